//! Asks in flight and asked lately: process memory, worth nothing after a restart.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::{GRACE, Subject};
use crate::action::{Ask, AskKind};
use crate::decide::Asking;
use crate::record::Stream;
use crate::words::time::after;

/// How many looks at endpoints and targets may be in flight at once; the others wait for a place.
const LOOKS_AT_MOST: usize = 256;

/// How many other questions may be: what renewals wait for never shares a place with looks, of
/// which dead endpoints may hold as many as there are.
const QUESTIONS_AT_MOST: usize = 256;

/// How far off the moment may be that a CA names for asking again.
const NAMED_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

/// How often is asked at the rarest about something that is on its way.
const POLLED_AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// How often a question that failed is put again, at the rarest, if it may be put more often.
const AFTER_FAILURE_AT_MOST: SignedDuration = SignedDuration::from_mins(5);

/// What was asked, by whom.
#[derive(Debug)]
pub(super) struct Asks {
    marks: BTreeMap<Subject, Marks>,
    looks: Pool,
    questions: Pool,
}

impl Default for Asks {
    fn default() -> Self {
        Self {
            marks: BTreeMap::new(),
            looks: Pool::of(LOOKS_AT_MOST),
            questions: Pool::of(QUESTIONS_AT_MOST),
        }
    }
}

/// Places for asks, and who waits for one: first come, first served.
#[derive(Debug)]
struct Pool {
    at_most: usize,
    in_flight: usize,
    waiting: VecDeque<Subject>,
    /// Who is in `waiting`, so that nobody waits twice.
    queued: BTreeSet<Subject>,
}

impl Pool {
    const fn of(at_most: usize) -> Self {
        Self { at_most, in_flight: 0, waiting: VecDeque::new(), queued: BTreeSet::new() }
    }

    const fn is_full(&self) -> bool {
        self.in_flight >= self.at_most
    }

    fn wait(&mut self, subject: &Subject) {
        if self.queued.insert(subject.clone()) {
            self.waiting.push_back(subject.clone());
        }
    }

    /// Returns who waited longest, if there is a place.
    fn admitted(&mut self) -> Option<Subject> {
        if self.is_full() {
            return None;
        }
        let subject = self.waiting.pop_front()?;
        self.queued.remove(&subject);
        Some(subject)
    }

    const fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

/// What one subject asked.
#[derive(Debug, Default)]
struct Marks {
    /// When the last decision wanted to be made again, whatever is answered.
    decide_at: Option<Timestamp>,
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    key: u64,
    is_look: bool,
    every: SignedDuration,
    failures: u8,
    state: MarkState,
}

#[derive(Clone, Copy, Debug)]
enum MarkState {
    InFlight { deadline_at: Timestamp },
    Answered { at: Timestamp, not_before: Option<Timestamp> },
}

impl Asks {
    /// Puts the questions that may be put now; returns when to look at them again.
    pub(super) fn put(
        &mut self,
        now: Timestamp,
        subject: &Subject,
        stream: &Stream,
        asks: &[Asking],
        decide_at: Option<Timestamp>,
        out: &mut Vec<Ask>,
    ) -> Option<Timestamp> {
        if asks.is_empty() && !self.marks.contains_key(subject) {
            return None;
        }
        let mut before = self.marks.remove(subject).unwrap_or_default().marks;
        let mut marks = Vec::with_capacity(asks.len());
        let mut again: Option<Timestamp> = None;
        for asking in asks {
            let key = key(&asking.kind);
            if marks.iter().any(|mark: &Mark| mark.key == key) {
                continue;
            }
            let place = before.iter().position(|mark| mark.key == key);
            let known = place.map(|place| before.swap_remove(place));
            let (mark, look_at) = self.consider(now, known, key, asking, stream, out);
            if mark.is_none() {
                self.pool(is_look(&asking.kind)).wait(subject);
            }
            marks.extend(mark);
            again = again.into_iter().chain(look_at).min();
        }
        // What is in flight although nobody wants it any more still comes back, or never does.
        for mark in before {
            match mark.state {
                MarkState::InFlight { deadline_at } if now < after(deadline_at, GRACE) => {
                    let gives_up_at = after(deadline_at, GRACE);
                    again = Some(again.map_or(gives_up_at, |at| at.min(gives_up_at)));
                    marks.push(mark);
                }
                MarkState::InFlight { .. } => self.pool(mark.is_look).leave(),
                MarkState::Answered { .. } => {}
            }
        }
        if !marks.is_empty() {
            self.marks.insert(subject.clone(), Marks { decide_at, marks });
        }
        again
    }

    fn consider(
        &mut self,
        now: Timestamp,
        known: Option<Mark>,
        key: u64,
        asking: &Asking,
        stream: &Stream,
        out: &mut Vec<Ask>,
    ) -> (Option<Mark>, Option<Timestamp>) {
        let failures = match known {
            None => 0,
            Some(mark) => match mark.state {
                MarkState::InFlight { deadline_at } if now < after(deadline_at, GRACE) => {
                    return (known, Some(after(deadline_at, GRACE)));
                }
                MarkState::InFlight { .. } => {
                    // The shell never answered; its place is taken back.
                    self.pool(mark.is_look).leave();
                    mark.failures
                }
                MarkState::Answered { .. } => {
                    let mark = Mark { every: asking.every, ..mark };
                    let due = mark.due();
                    if now < due {
                        return (Some(mark), Some(due));
                    }
                    mark.failures
                }
            },
        };
        let is_look = is_look(&asking.kind);
        let pool = self.pool(is_look);
        if pool.is_full() {
            return (None, None);
        }
        pool.in_flight += 1;
        let deadline_at = after(now, asking.within);
        out.push(Ask { stream: stream.clone(), deadline_at, kind: asking.kind.clone() });
        let state = MarkState::InFlight { deadline_at };
        let mark = Mark { key, is_look, every: asking.every, failures, state };
        (Some(mark), Some(after(deadline_at, GRACE)))
    }

    /// Returns how many asks are in flight.
    pub(super) const fn in_flight(&self) -> usize {
        self.looks.in_flight + self.questions.in_flight
    }

    const fn pool(&mut self, is_look: bool) -> &mut Pool {
        if is_look { &mut self.looks } else { &mut self.questions }
    }

    /// Returns who waited for a place, one for each that is free.
    pub(super) fn admitted(&mut self) -> Option<Subject> {
        self.questions.admitted().or_else(|| self.looks.admitted())
    }

    /// Notes an answer. Returns when to decide on the subject again if the answer told nothing: what
    /// was decided last still holds, and only the question's own time has moved.
    pub(super) fn answered(
        &mut self,
        now: Timestamp,
        subject: &Subject,
        ask: &AskKind,
        not_before: Option<Timestamp>,
        failed: bool,
    ) -> Option<Timestamp> {
        let key = key(ask);
        let Marks { decide_at, marks } = self.marks.get_mut(subject)?;
        let mark = marks.iter_mut().find(|mark| mark.key == key)?;
        if matches!(mark.state, MarkState::InFlight { .. }) {
            let pool = if mark.is_look { &mut self.looks } else { &mut self.questions };
            pool.leave();
        }
        mark.failures = if failed { mark.failures.saturating_add(1) } else { 0 };
        mark.state = MarkState::Answered { at: now, not_before };
        marks.iter().map(Mark::due).chain(*decide_at).min()
    }
}

impl Mark {
    /// Returns when the question may be put again, or is given up.
    fn due(&self) -> Timestamp {
        match self.state {
            MarkState::InFlight { deadline_at } => after(deadline_at, GRACE),
            MarkState::Answered { at, not_before } => {
                let due = after(at, pause(self.every, self.failures));
                // What is polled has deadlines of minutes: a CA that names tomorrow is asked sooner.
                let is_poll = self.every < POLLED_AT_LEAST_EVERY;
                let most = if is_poll { POLLED_AT_LEAST_EVERY } else { NAMED_AT_MOST };
                not_before.map_or(due, |named| named.clamp(at, after(at, most)))
            }
        }
    }
}

/// Returns how long after an answer a question is put again: as wanted, and after failures in a
/// row at growing distances.
fn pause(every: SignedDuration, failures: u8) -> SignedDuration {
    if failures == 0 || every >= AFTER_FAILURE_AT_MOST {
        return every;
    }
    let doubled = every.saturating_mul(1 << failures.min(12));
    doubled.max(SignedDuration::from_secs(1)).min(AFTER_FAILURE_AT_MOST)
}

/// Returns whether a question is a look at an endpoint or a target.
const fn is_look(ask: &AskKind) -> bool {
    matches!(ask, AskKind::Probe { .. } | AskKind::Inspect { .. })
}

/// Returns what tells one question of a subject from the others: FNV-1a of its kind and object.
fn key(ask: &AskKind) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    match ask {
        AskKind::Directory { issuer } => hash.take(0, issuer.as_str()),
        AskKind::Order { order, .. } => hash.take(1, &order.0),
        AskKind::Authorization { authorization, .. } => hash.take(2, &authorization.0),
        AskKind::Chain { certificate, .. } => hash.take(3, &certificate.0),
        AskKind::RenewalInfo { leaf, .. } => hash.take(4, &leaf.0),
        AskKind::Locate { identifier, .. } => hash.take(5, identifier.as_str()),
        AskKind::Look { answer } => hash.take(6, &answer.token),
        AskKind::Inspect { target, .. } => hash.take(7, target.as_str()),
        AskKind::Probe { endpoint } => {
            hash.take(8, endpoint.server_name.as_str());
            hash.take(9, endpoint.connect_to.as_deref().unwrap_or_default());
            hash.bytes(&endpoint.port.to_be_bytes());
        }
    }
    hash.0
}

struct Fnv(u64);

impl Fnv {
    fn take(&mut self, tag: u8, text: &str) {
        self.bytes(&[tag]);
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::{EndpointSpec, Serves};
    use crate::record::StreamKind;
    use crate::words::{Identifier, Name};

    fn put(asks: &mut Asks, number: usize, kind: AskKind) -> usize {
        let name = Name::new(&alloc::format!("n{number}"));
        let stream = Stream::new(StreamKind::Issuer, name.clone());
        let asking =
            Asking { kind, within: SignedDuration::from_secs(30), every: SignedDuration::ZERO };
        let mut out = Vec::new();
        let now = Timestamp::UNIX_EPOCH;
        asks.put(now, &Subject::Issuer(name), &stream, &[asking], None, &mut out);
        out.len()
    }

    #[test]
    fn looks_at_dead_endpoints_never_take_the_places_of_questions() {
        let probe = || AskKind::Probe {
            endpoint: EndpointSpec {
                server_name: Identifier::new("dead.test").unwrap(),
                connect_to: None,
                port: 443,
                serves: Serves::Ours,
            },
        };
        let mut asks = Asks::default();
        let put_up: usize = (0..1_000).map(|number| put(&mut asks, number, probe())).sum();
        assert_eq!(put_up, LOOKS_AT_MOST);
        assert_eq!(asks.admitted(), None);
        let directory = AskKind::Directory { issuer: Name::new("ca") };
        assert_eq!(put(&mut asks, 1_000, directory), 1);
        asks.looks.leave();
        let first_to_wait = Subject::Issuer(Name::new(&alloc::format!("n{LOOKS_AT_MOST}")));
        assert_eq!(asks.admitted(), Some(first_to_wait));
    }
}
