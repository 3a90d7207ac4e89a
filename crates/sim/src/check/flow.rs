//! What is looked at as records and acts flow by, and at every tick of the clock.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{Act, ActId};
use perennial_core::decide::Lane;
use perennial_core::event::{Decoded, Event};
use perennial_core::record::Record;
use perennial_core::state::{Attempt, History, State};
use perennial_core::words::{Name, after};

use super::Checks;
use crate::model::host::Met;
use crate::world::Outside;

/// How long an attempt may last, everything included.
const ATTEMPT_WITHIN: SignedDuration = SignedDuration::from_hours(21);

/// How long after its deadline an act may still count as in flight.
const ACT_OVERDUE: SignedDuration = SignedDuration::from_secs(30);

/// How long after it was hindered a target may still serve what has lapsed meanwhile.
const CAUGHT_UP_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// How often the same act may be started within an hour.
const AN_HOUR: usize = 60;

impl Checks {
    /// Looks at a record that became durable.
    pub fn record(&mut self, record: &Record) {
        if &*record.kind == "attempt.began" {
            *self.began.entry(record.stream.name.clone()).or_default() += 1;
        }
        if !self.unheard.is_empty()
            && let Decoded::Event(event) = Event::decode(&record.kind, &record.body)
            && let Event::Ended(ended) = *event
        {
            self.unheard.remove(&ActId { stream: record.stream.clone(), version: ended.of });
        }
    }

    /// The process died: whatever it had in hand has no answer.
    pub fn crash(&mut self) {
        self.performing.clear();
        self.forget_named();
        for act in std::mem::take(&mut self.unheard) {
            self.lose_order(act);
        }
    }

    /// Notes that the answer to an act was lost.
    pub fn lose(&mut self, act: &Act) {
        if self.unheard.remove(&act.id) {
            self.lose_order(act.id.clone());
        }
    }

    pub(super) fn lose_order(&mut self, act: ActId) {
        self.losses.entry(act.stream.name).or_default().insert(act.version);
    }

    /// Looks at an act that was released: its lane has room, and it is not one of too many.
    pub fn release(&mut self, act: &Act, state: &State, now: Timestamp) {
        let acting = |id: &ActId| {
            let history: Option<&History> = state.history(&id.stream);
            history.is_some_and(|history| history.acting.iter().any(|a| a.version == id.version))
        };
        self.performing.retain(|id, _| acting(id));
        if !acting(&act.id) {
            self.violate(now, format!("{} is released and was given up before", act.id));
        }
        let lane = Lane::of(&act.kind);
        let in_flight = self.performing.values().filter(|other| **other == lane).count() + 1;
        if in_flight > lane.capacity() {
            self.violate(now, format!("{in_flight} acts are in flight in {lane:?}"));
        }
        self.performing.insert(act.id.clone(), lane);
        self.count(act, now);
    }

    fn count(&mut self, act: &Act, now: Timestamp) {
        let key = format!("{} {:?}", act.id.stream, act.kind);
        let hour_ago = after(now, SignedDuration::from_hours(-1));
        let lately = self.lately.entry(key).or_default();
        lately.retain(|at| *at > hour_ago);
        lately.push(now);
        if lately.len() == AN_HOUR {
            self.violate(now, format!("{} hammers: {:?}", act.id.stream, act.kind));
        }
        if self.lately.len() > 10_000 {
            self.lately.retain(|_, times| times.last().is_some_and(|at| *at > hour_ago));
        }
    }

    /// Nothing waits for ever: no attempt and no act outlives its deadlines.
    pub fn overdue(&mut self, state: &State, now: Timestamp) {
        let mut found = Vec::new();
        for (_, name, certificate) in state.certificates() {
            if let Attempt::Running(running) = &certificate.attempt
                && after(running.began_at, ATTEMPT_WITHIN) < now
            {
                found.push(format!("{name}: an attempt runs since {}", running.began_at));
            }
            found.extend(overdue_acts(name, &certificate.history, now));
        }
        for (name, issuer) in &state.issuers {
            found.extend(overdue_acts(name, &issuer.history, now));
        }
        for text in found {
            self.violate(now, text);
        }
    }

    /// Nothing lapses that could be avoided: whoever serves a leaf serves one that is valid.
    pub fn tick(&mut self, outside: &Outside, now: Timestamp) {
        let mut found = Vec::new();
        for ((target, certificate), host) in &outside.hosts {
            if host.faults.unreachable || host.faults.reload_does_nothing {
                self.hindered.insert(target.clone(), now);
            }
            let hindered_at = self.hindered.get(target);
            if hindered_at.is_some_and(|at| now < after(*at, CAUGHT_UP_WITHIN)) {
                continue;
            }
            for address in host.addresses() {
                if let Met::Leaf(bundle) = host.connect(address)
                    && bundle.leaf.ends_at() < now
                {
                    found.push(format!("{certificate} at {target} [{address}] has lapsed"));
                }
            }
        }
        for text in found {
            self.violate(now, text);
        }
    }
}

fn overdue_acts(name: &Name, history: &History, now: Timestamp) -> Vec<String> {
    let overdue = history.acting.iter().filter(|a| after(a.deadline_at, ACT_OVERDUE) < now);
    overdue.map(|acting| format!("{name}: {:?} is in flight for ever", acting.act)).collect()
}
