//! The lanes' queues: who waits where, how many acts are in flight, which lane may admit.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use jiff::Timestamp;

use super::Subject;
use crate::action::ActKind;
use crate::decide::{Lane, Urgency};
use crate::intent::IssuerKind;
use crate::state::{Issuer, State};
use crate::words::Name;

/// Every lane's queue.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    queues: BTreeMap<Lane, Queue>,
    places: BTreeMap<Subject, Vec<(Lane, Place)>>,
    /// Lanes in which something may have become possible.
    touched: BTreeSet<Lane>,
    /// Lanes that are shut until a moment.
    shut: BTreeMap<Lane, Timestamp>,
}

#[derive(Debug, Default)]
struct Queue {
    in_flight: usize,
    waiting: BTreeSet<(Place, Subject)>,
    /// Those whose last attempt failed; they get a share of the budget only.
    failing: BTreeSet<(Place, Subject)>,
}

/// A place in a queue: issuers before certificates, these by their urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    urgency: Option<Urgency>,
    is_failing: bool,
}

impl Lanes {
    /// Puts a subject into the lanes that it wants, and out of the others.
    pub(super) fn queue(
        &mut self,
        subject: Subject,
        urgency: Option<Urgency>,
        is_failing: bool,
        mut lanes: Vec<Lane>,
    ) {
        if lanes.is_empty() && !self.places.contains_key(&subject) {
            return;
        }
        lanes.sort();
        lanes.dedup();
        let place = Place { urgency, is_failing };
        for (lane, before) in self.places.remove(&subject).unwrap_or_default() {
            if let Some(queue) = self.queues.get_mut(&lane) {
                queue.of(before).remove(&(before, subject));
            }
        }
        if lanes.is_empty() {
            return;
        }
        for lane in &lanes {
            let queue = self.queues.entry(lane.clone()).or_default();
            queue.of(place).insert((place, subject));
            self.touched.insert(lane.clone());
        }
        let places = lanes.into_iter().map(|lane| (lane, place)).collect();
        self.places.insert(subject, places);
    }

    /// Returns whether a subject waits anywhere.
    pub(super) fn has(&self, subject: Subject) -> bool {
        self.places.contains_key(&subject)
    }

    /// Takes a subject out of a lane.
    pub(super) fn forget(&mut self, lane: &Lane, subject: Subject) {
        let Some(places) = self.places.get_mut(&subject) else { return };
        if let Some(at) = places.iter().position(|(own, _)| own == lane) {
            let (_, place) = places.swap_remove(at);
            if let Some(queue) = self.queues.get_mut(lane) {
                queue.of(place).remove(&(place, subject));
            }
        }
        if places.is_empty() {
            self.places.remove(&subject);
        }
    }

    /// Notes that an act is in flight.
    pub(super) fn enter(&mut self, act: &ActKind) {
        self.queues.entry(Lane::of(act)).or_default().in_flight += 1;
    }

    /// Notes that an act is in flight no more.
    pub(super) fn leave(&mut self, act: &ActKind) {
        let lane = Lane::of(act);
        if let Some(queue) = self.queues.get_mut(&lane) {
            queue.in_flight = queue.in_flight.saturating_sub(1);
        }
        self.touched.insert(lane);
    }

    /// Returns how many acts are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.queues.values().map(|queue| queue.in_flight).sum()
    }

    /// Notes that something about an issuer changed.
    pub(super) fn touch_issuer(&mut self, issuer: &Name) {
        for lane in [Lane::Orders(issuer.clone()), Lane::Issuer(issuer.clone())] {
            self.shut.remove(&lane);
            self.touched.insert(lane);
        }
    }

    /// Looks anew at every lane that is shut: the clock by which it was is another one now.
    pub(super) fn put_right(&mut self) {
        self.touched.extend(core::mem::take(&mut self.shut).into_keys());
    }

    /// Returns when the first lane that is shut opens.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.shut.values().min().copied()
    }

    /// Returns the next waiter that may be admitted, and where.
    pub(super) fn next(&mut self, state: &State, now: Timestamp) -> Option<(Lane, Subject)> {
        if state.instance.waits_to_resume().is_some() {
            return None;
        }
        let opened: Vec<Lane> =
            self.shut.iter().filter(|(_, at)| **at <= now).map(|(lane, _)| lane.clone()).collect();
        for lane in opened {
            self.shut.remove(&lane);
            self.touched.insert(lane);
        }
        while let Some(lane) = self.touched.first().cloned() {
            if let Some(subject) = self.first_of(&lane, state, now) {
                return Some((lane, subject));
            }
            self.touched.remove(&lane);
        }
        None
    }

    fn first_of(&mut self, lane: &Lane, state: &State, now: Timestamp) -> Option<Subject> {
        let queue = self.queues.get(lane)?;
        if queue.waiting.is_empty() && queue.failing.is_empty() {
            return None;
        }
        let gate = Gate::of(lane, state, now);
        if queue.in_flight >= gate.places {
            return None;
        }
        let waiting = queue.waiting.first().filter(|_| gate.opens_at <= now);
        let failing = queue.failing.first().filter(|_| gate.opens_for_failing_at <= now);
        let first = waiting.into_iter().chain(failing).min();
        if let Some((_, subject)) = first {
            return Some(*subject);
        }
        let fresh = (!queue.waiting.is_empty()).then_some(gate.opens_at);
        let failing = (!queue.failing.is_empty()).then_some(gate.opens_for_failing_at);
        let opens_at = fresh.into_iter().chain(failing).min()?;
        if opens_at < Timestamp::MAX {
            self.shut.insert(lane.clone(), opens_at);
        }
        None
    }
}

impl Queue {
    const fn of(&mut self, place: Place) -> &mut BTreeSet<(Place, Subject)> {
        if place.is_failing { &mut self.failing } else { &mut self.waiting }
    }
}

/// How many a lane admits, and from when on.
struct Gate {
    places: usize,
    opens_at: Timestamp,
    opens_for_failing_at: Timestamp,
}

impl Gate {
    fn of(lane: &Lane, state: &State, now: Timestamp) -> Self {
        let open = Self { places: lane.capacity(), opens_at: now, opens_for_failing_at: now };
        match lane {
            Lane::Local | Lane::Solver(_) | Lane::Target(_) => open,
            Lane::Issuer(name) => match state.issuers.get(name) {
                Some(issuer) => open.for_issuer(issuer, now),
                None => Self::SHUT,
            },
            Lane::Orders(name) => match state.issuers.get(name) {
                // While the account's key changes, an answer would be right for one key only.
                Some(issuer) if issuer.changing.is_none() && issuer.account_ref(name).is_some() => {
                    open.for_issuer(issuer, now).within_budget(issuer)
                }
                _ => Self::SHUT,
            },
        }
    }

    const SHUT: Self =
        Self { places: 1, opens_at: Timestamp::MAX, opens_for_failing_at: Timestamp::MAX };

    /// An issuer that fails is left alone for a while, then tried by one before the others follow:
    /// no stampede when it returns.
    fn for_issuer(self, issuer: &Issuer, now: Timestamp) -> Self {
        let Some(until) = issuer.health.closed_until else { return self };
        let opens_at = until.max(now);
        Self { places: 1, opens_at, opens_for_failing_at: opens_at }
    }

    /// No order before the CA wants one again, nor beyond the budget.
    fn within_budget(self, issuer: &Issuer) -> Self {
        let limited = issuer.health.limited_until.unwrap_or(Timestamp::MIN);
        let (free, free_for_failing) = match issuer.spec.kind {
            IssuerKind::Private => (limited, limited),
            IssuerKind::Public => {
                let free = |after_failure| issuer.orders.free_at(after_failure).max(limited);
                (free(false), free(true))
            }
        };
        Self {
            opens_at: self.opens_at.max(free),
            opens_for_failing_at: self.opens_for_failing_at.max(free_for_failing),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Fact, Outcome};
    use crate::event::{Empty, Ended, Event, OrderAdmitted, Started};
    use crate::intent::IssuerSpec;
    use crate::record::{Stream, StreamKind};
    use crate::state::account_slot;
    use crate::words::{
        AccountFacts, AccountStatus, Blame, Failure, FailureKind, KeyAlgorithm, KeyFacts, KeyId,
        Url,
    };

    struct Ca {
        state: State,
        now: Timestamp,
    }

    impl Ca {
        /// Makes a CA at which our account is ready.
        fn ready() -> Self {
            let now = "2026-01-01T00:00:00Z".parse().unwrap();
            let mut ca = Self { state: State::default(), now };
            ca.tell(&Event::IssuerDeclared(IssuerSpec {
                directory: "https://ca.test/directory".into(),
                contact: [].into(),
                eab: false,
                profile: None,
                agreed: true,
                kind: IssuerKind::Public,
                account_key: KeyAlgorithm::EcdsaP256,
            }));
            let (slot, algorithm) = (account_slot(&name()), KeyAlgorithm::EcdsaP256);
            let key = KeyFacts { id: KeyId([1; 32]), thumbprint: "thumbprint".into() };
            ca.act(ActKind::MakeKey { slot: slot.clone(), algorithm }, Fact::Key(key));
            let (url, status) = (Url::from("https://ca.test/1"), AccountStatus::Valid);
            let register = ActKind::NewAccount {
                issuer: name(),
                key: slot,
                contact: [].into(),
                eab: false,
                agreed: true,
            };
            ca.act(register, Fact::Account(AccountFacts { url, status }));
            ca
        }

        fn tell(&mut self, event: &Event) {
            let stream = Stream::new(StreamKind::Issuer, name());
            let version = self.state.version(&stream) + 1;
            self.state.fold(&stream, version, self.now, event).unwrap();
        }

        fn act(&mut self, act: ActKind, fact: Fact) {
            self.tell(&Event::Started(Started { act, deadline_at: self.now }));
            let of = self.state.version(&Stream::new(StreamKind::Issuer, name()));
            let outcome = Outcome::Done(fact);
            self.tell(&Event::Ended(Ended { of, outcome, interrupted: false }));
        }

        fn blame(&mut self, kind: FailureKind) {
            let (attempted, cause) = ("order".into(), "no".into());
            let blame = Blame::Issuer(name());
            let failure = Failure { kind, blame, attempted, cause, problem: None };
            self.tell(&Event::Blamed(failure));
        }

        /// Returns which of the lanes are open: everything, orders, orders of those that failed.
        fn open(&self) -> (bool, bool, bool) {
            let gate = |lane| Gate::of(&lane, &self.state, self.now);
            let (all, orders) = (gate(Lane::Issuer(name())), gate(Lane::Orders(name())));
            let is_open = |at| at <= self.now;
            (is_open(all.opens_at), is_open(orders.opens_at), is_open(orders.opens_for_failing_at))
        }
    }

    fn name() -> Name {
        Name::new("ca")
    }

    #[test]
    fn a_ca_that_fails_three_times_is_left_alone_and_then_tried_by_one() {
        let mut ca = Ca::ready();
        assert_eq!(ca.open(), (true, true, true));
        (0..3).for_each(|_| ca.blame(FailureKind::Transient));
        assert_eq!(ca.open(), (false, false, false));
        ca.now = crate::words::after(ca.now, jiff::SignedDuration::from_mins(1));
        assert_eq!(ca.open(), (true, true, true));
        assert_eq!(Gate::of(&Lane::Issuer(name()), &ca.state, ca.now).places, 1);
    }

    #[test]
    fn a_ca_that_wants_no_orders_gets_none_however_well_it_answers() {
        let mut ca = Ca::ready();
        let until = crate::words::after(ca.now, jiff::SignedDuration::from_hours(1));
        ca.blame(FailureKind::RateLimited { until });
        ca.tell(&Event::Cleared(Empty {}));
        assert_eq!(ca.open(), (true, false, false));
    }

    #[test]
    fn those_that_failed_get_a_fifth_of_the_budget() {
        let mut ca = Ca::ready();
        for _ in 0..56 {
            assert_eq!(ca.open(), (true, true, true));
            let admitted = OrderAdmitted { certificate: Name::new("x"), after_failure: true };
            ca.tell(&Event::OrderAdmitted(admitted));
        }
        assert_eq!(ca.open(), (true, true, false));
    }
}
