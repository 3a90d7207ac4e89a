//! Asks in flight and asked lately: process memory, worth nothing after a restart.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::moment::Moment;
use super::quiet::PASSED_OVER_FROM;
use super::{GRACE, Subject};
use crate::action::{Ask, AskKind};
use crate::decide::Asking;
use crate::record::Stream;
use crate::state::{POLLED_AT_LEAST_EVERY, SetBack};
use crate::words::time::after;

/// How many looks at endpoints and targets may be in flight at once; the others wait for a place.
const LOOKS_AT_MOST: usize = 256;

/// How many other questions may be: what renewals wait for never shares a place with looks, of
/// which dead endpoints may hold as many as there are.
const QUESTIONS_AT_MOST: usize = 256;

/// How far off the moment may be that a CA names for asking again.
const NAMED_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

/// How often a question that failed is put again, at the rarest, if it may be put more often.
const AFTER_FAILURE_AT_MOST: SignedDuration = SignedDuration::from_mins(5);

/// What was asked, by whom.
#[derive(Debug)]
pub(super) struct Asks {
    /// Of the certificates, by their place in the state.
    of_certificates: Vec<Marks>,
    of_others: BTreeMap<Subject, Marks>,
    looks: Pool,
    questions: Pool,
}

impl Default for Asks {
    fn default() -> Self {
        Self {
            of_certificates: Vec::new(),
            of_others: BTreeMap::new(),
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

    fn wait(&mut self, subject: Subject) {
        if self.queued.insert(subject) {
            self.waiting.push_back(subject);
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
    decide_at: Option<Moment>,
    marks: Vec<Mark>,
}

/// One question. There are millions, so that it is kept in 32 bytes.
#[derive(Clone, Copy, Debug)]
struct Mark {
    key: u64,
    /// When it was answered last; in flight: when it must be answered.
    at: Moment,
    /// When the answer said to ask again.
    not_before: Option<Moment>,
    every: Every,
    failures: u8,
    is_look: bool,
    is_in_flight: bool,
    /// Whether an act of ours has ended since: the answer may be another one now.
    is_old: bool,
}

/// How often a question is put, in milliseconds: at the rarest every 49 days.
#[derive(Clone, Copy, Debug)]
struct Every(u32);

const _: () = assert!(size_of::<Mark>() == 32);

impl Asks {
    /// Puts the questions that may be put now; returns when to look at them again.
    pub(super) fn put(
        &mut self,
        now: Timestamp,
        subject: Subject,
        stream: &Stream,
        asks: &[Asking],
        decide_at: Option<Timestamp>,
        out: &mut Vec<Ask>,
    ) -> Option<Timestamp> {
        let known = self.of_mut(subject).map(core::mem::take).unwrap_or_default();
        if asks.is_empty() && known.marks.is_empty() {
            return None;
        }
        let mut before = known.marks;
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
        // And when a CA wants to be asked again holds for who asks again sooner than he thinks.
        for mark in before {
            let gives_up_at = mark.due();
            if !mark.is_in_flight {
                if mark.not_before.is_some() && now < gives_up_at {
                    marks.push(mark);
                }
            } else if now < gives_up_at {
                again = Some(again.map_or(gives_up_at, |at| at.min(gives_up_at)));
                marks.push(mark);
            } else {
                self.pool(mark.is_look).leave();
            }
        }
        if !marks.is_empty() {
            *self.entry(subject) = Marks { decide_at: decide_at.map(Moment::of), marks };
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
        let every = Every::of(asking.every);
        let mut failures = 0;
        if let Some(mark) = known {
            let mark = if mark.is_in_flight { mark } else { Mark { every, ..mark } };
            let due = mark.due();
            if now < due {
                return (Some(mark), Some(due));
            }
            if mark.is_in_flight {
                // The shell never answered; its place is taken back.
                self.pool(mark.is_look).leave();
            }
            failures = mark.failures;
        }
        let is_look = is_look(&asking.kind);
        let pool = self.pool(is_look);
        if pool.is_full() {
            return (None, None);
        }
        pool.in_flight += 1;
        let deadline_at = after(now, asking.within);
        out.push(Ask { stream: stream.clone(), deadline_at, kind: asking.kind.clone() });
        let mark = Mark {
            key,
            at: Moment::of(deadline_at),
            not_before: None,
            every,
            failures,
            is_look,
            is_in_flight: true,
            is_old: false,
        };
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
        subject: Subject,
        ask: &AskKind,
        not_before: Option<Timestamp>,
        failed: bool,
    ) -> Option<Timestamp> {
        let key = key(ask);
        let Marks { decide_at, marks } = self.of_mut(subject)?;
        let mark = marks.iter_mut().find(|mark| mark.key == key)?;
        let left = mark.is_in_flight.then_some(mark.is_look);
        mark.failures = if failed { mark.failures.saturating_add(1) } else { 0 };
        (mark.is_in_flight, mark.is_old) = (false, false);
        mark.at = Moment::of(now);
        mark.not_before = not_before.map(Moment::of);
        let again = marks.iter().map(Mark::due).chain(decide_at.map(Moment::at)).min();
        if let Some(is_look) = left {
            self.pool(is_look).leave();
        }
        again
    }

    /// Returns whether nothing is in flight and nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight() == 0 && self.looks.waiting.is_empty() && self.questions.waiting.is_empty()
    }

    /// Notes that an act of a subject has ended: what was answered before says little.
    pub(super) fn outdate(&mut self, subject: Subject) {
        if let Some(own) = self.of_mut(subject) {
            own.marks.iter_mut().for_each(|mark| mark.is_old = true);
        }
    }

    /// Returns until when a subject, to be woken at `wake_at`, would only put questions that are put
    /// because all is well, and that were answered after everything outside that is not our doing
    /// last changed.
    pub(super) fn quiet_until(
        &self,
        subject: Subject,
        wake_at: Timestamp,
        since: Timestamp,
    ) -> Timestamp {
        let Some(Marks { decide_at, marks }) = self.of(subject) else { return wake_at };
        let decide_at = decide_at.map_or(Timestamp::MAX, Moment::at);
        let first = marks.iter().map(Mark::due).min();
        // It is woken for another reason.
        if first.is_none_or(|first| wake_at < first.min(decide_at)) {
            return wake_at;
        }
        let is_busy = |mark: &&Mark| {
            let is_hidden = mark.is_in_flight || mark.is_old || mark.at < Moment::of(since);
            is_hidden || mark.failures > 0 || mark.every.span() < PASSED_OVER_FROM
        };
        let busy = marks.iter().filter(is_busy);
        busy.map(Mark::due).fold(decide_at, Timestamp::min)
    }

    /// Moves the questions that are due before `end` by whole periods beyond it, as if each had been
    /// answered `takes` after it was put. Returns when the subject is to be woken.
    pub(super) fn pass_over(
        &mut self,
        subject: Subject,
        end: Timestamp,
        takes: SignedDuration,
    ) -> Option<Timestamp> {
        let Marks { decide_at, marks } = self.of_mut(subject)?;
        marks.iter_mut().for_each(|mark| mark.pass_over(Moment::of(end), takes));
        marks.iter().map(Mark::due).chain(decide_at.map(Moment::at)).min()
    }

    /// Moves what lies ahead of a clock that was set back.
    pub(super) fn put_right(&mut self, back: SetBack) {
        for all in self.of_certificates.iter_mut().chain(self.of_others.values_mut()) {
            // Everybody is decided on again.
            all.decide_at = None;
            all.marks.iter_mut().for_each(|mark| mark.put_right(back));
        }
    }

    fn of(&self, subject: Subject) -> Option<&Marks> {
        match subject {
            Subject::Certificate(id) => self.of_certificates.get(id.place()),
            Subject::Instance | Subject::Issuer(_) => self.of_others.get(&subject),
        }
    }

    fn of_mut(&mut self, subject: Subject) -> Option<&mut Marks> {
        match subject {
            Subject::Certificate(id) => self.of_certificates.get_mut(id.place()),
            Subject::Instance | Subject::Issuer(_) => self.of_others.get_mut(&subject),
        }
    }

    fn entry(&mut self, subject: Subject) -> &mut Marks {
        let Subject::Certificate(id) = subject else {
            return self.of_others.entry(subject).or_default();
        };
        if self.of_certificates.len() <= id.place() {
            self.of_certificates.resize_with(id.place() + 1, Marks::default);
        }
        // The place was made just now; what is not there would be a question put too often.
        match self.of_certificates.get_mut(id.place()) {
            Some(marks) => marks,
            None => self.of_others.entry(subject).or_default(),
        }
    }
}

impl Mark {
    /// Returns when the question may be put again, or is given up.
    fn due(&self) -> Timestamp {
        let at = self.at.at();
        if self.is_in_flight {
            return after(at, GRACE);
        }
        let every = self.every.span();
        // What is polled has deadlines of minutes: a CA that names tomorrow is asked sooner.
        let is_poll = every < POLLED_AT_LEAST_EVERY;
        let most = if is_poll { POLLED_AT_LEAST_EVERY } else { NAMED_AT_MOST };
        match self.not_before {
            Some(named) => named.at().clamp(at, after(at, most)),
            None => after(at, pause(every, self.failures)),
        }
    }
}

impl Mark {
    fn put_right(&mut self, back: SetBack) {
        let (mut at, mut named) = (self.at.at(), self.not_before.map(Moment::at));
        if self.is_in_flight {
            back.deadline(&mut at);
        } else {
            back.moment(&mut at);
        }
        if let Some(named) = &mut named {
            back.until(named, NAMED_AT_MOST);
        }
        (self.at, self.not_before) = (Moment::of(at), named.map(Moment::of));
    }

    fn pass_over(&mut self, end: Moment, takes: SignedDuration) {
        let due = Moment::of(self.due());
        let period = due.since(self.at).saturating_add(Moment::nanos(takes));
        if due >= end || period <= 0 {
            return;
        }
        let missing = end.since(due);
        let periods = missing / period + i64::from(missing % period > 0);
        let shift = period.saturating_mul(periods);
        self.at = self.at.later(shift);
        self.not_before = self.not_before.map(|at| at.later(shift));
    }
}

impl Every {
    fn of(span: SignedDuration) -> Self {
        Self(u32::try_from(span.as_millis()).unwrap_or(u32::MAX))
    }

    fn span(self) -> SignedDuration {
        SignedDuration::from_millis(i64::from(self.0))
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
        AskKind::Account { key, .. } => hash.take(10, &key.0),
        AskKind::Locate { identifier, .. } => hash.take(5, identifier.as_str()),
        AskKind::Look { answer } => {
            hash.take(6, &answer.token);
            // Records that stay have no token.
            if answer.standing.is_some() {
                hash.take(10, answer.identifier.as_str());
            }
        }
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

    fn put(asks: &mut Asks, number: u32, kind: AskKind) -> usize {
        let name = Name::new(&alloc::format!("n{number}"));
        let stream = Stream::new(StreamKind::Issuer, name);
        let asking =
            Asking { kind, within: SignedDuration::from_secs(30), every: SignedDuration::ZERO };
        let mut out = Vec::new();
        let now = Timestamp::UNIX_EPOCH;
        asks.put(now, Subject::Issuer(number), &stream, &[asking], None, &mut out);
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
                protocol: crate::words::Protocol::Tls,
                variant: None,
                shared: false,
            },
        };
        let mut asks = Asks::default();
        let put_up: usize = (0..1_000).map(|number| put(&mut asks, number, probe())).sum();
        assert_eq!(put_up, LOOKS_AT_MOST);
        assert_eq!(asks.admitted(), None);
        let directory = AskKind::Directory { issuer: Name::new("ca") };
        assert_eq!(put(&mut asks, 1_000, directory), 1);
        asks.looks.leave();
        let first_to_wait = Subject::Issuer(u32::try_from(LOOKS_AT_MOST).unwrap());
        assert_eq!(asks.admitted(), Some(first_to_wait));
    }
}
