//! What was recorded while the clock was ahead, put right (law 4).
//!
//! Delays are counted from recorded moments. A clock that was ahead for an hour leaves moments that
//! lie far in the future once it is right again, and whoever counts from one would wait until then.
//! So the journal is told ([`crate::event::ClockPutRight`]), and each stream that has such moments
//! moves them back by as much as the clock was moved: what had passed since has passed, and nothing
//! waits longer than it would have otherwise.
//!
//! There is no other remedy in a pure decision: to take a moment that has not come yet for now makes
//! a delay begin anew each time it is looked at, and never end.

use alloc::boxed::Box;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::State;
use super::attempt::{
    AnswerState, Attempt, LastFailure, POLLED_AT_LEAST_EVERY, Rest, Running, Stage,
};
use super::certificate::Certificate;
use super::deployment::{DeployStep, Trouble};
use super::endpoint::Lasting;
use super::history::History;
use super::instance::Instance;
use super::issuer::{Account, Issuer, LEFT_ALONE_AT_MOST, LIMITED_AT_MOST, OrderBudget};
use crate::record::{Stream, StreamKind};
use crate::words::time::after;
use crate::words::{Failure, FailureKind};

/// How long an act or a question may be in flight at the most; each has its own limit, far below.
const IN_FLIGHT_AT_MOST: SignedDuration = SignedDuration::from_mins(10);

/// A clock that was set back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetBack {
    /// What it showed last.
    pub(crate) was: Timestamp,
    /// What it shows.
    pub(crate) now: Timestamp,
}

impl SetBack {
    /// Moves back a moment that was recorded and has not come yet.
    pub(crate) fn moment(self, at: &mut Timestamp) {
        if *at > self.now {
            *at = self.moved(*at).min(self.now);
        }
    }

    /// Moves back the end of a wait, which lies `most` ahead of its beginning at the most. One that
    /// had come already while the clock was ahead is over.
    pub(crate) fn until(self, until: &mut Timestamp, most: SignedDuration) {
        if *until > self.was {
            *until = self.moved(*until);
        } else if *until > after(self.now, most) {
            *until = self.now;
        }
    }

    /// Moves back the deadline of an act or a question that is in flight.
    pub(crate) fn deadline(self, at: &mut Timestamp) {
        self.until(at, IN_FLIGHT_AT_MOST);
    }

    fn moved(self, at: Timestamp) -> Timestamp {
        after(at, self.now.duration_since(self.was))
    }

    fn moments<'a>(self, all: impl IntoIterator<Item = &'a mut Timestamp>) {
        all.into_iter().for_each(|at| self.moment(at));
    }
}

impl State {
    /// Puts right what a stream holds.
    pub(super) fn put_right(&mut self, stream: &Stream, back: SetBack) {
        match stream.kind {
            StreamKind::Instance => self.instance.put_right(back),
            StreamKind::Issuer => {
                if let Some(issuer) = self.issuers.get_mut(&stream.name) {
                    issuer.put_right(back);
                }
            }
            StreamKind::Certificate => {
                if let Some(certificate) = self.certificate_mut(&stream.name) {
                    certificate.put_right(back);
                }
            }
            StreamKind::Solver | StreamKind::Target => {}
        }
    }

    /// Returns the streams that hold something to be put right.
    pub(crate) fn ahead(&self, back: SetBack) -> Vec<Stream> {
        let mut found = Vec::new();
        let mut instance = self.instance.clone();
        instance.put_right(back);
        if instance != self.instance {
            found.push(Stream::instance());
        }
        for (name, issuer) in &self.issuers {
            let mut right = issuer.clone();
            right.put_right(back);
            if right != *issuer {
                found.push(Stream::new(StreamKind::Issuer, name.clone()));
            }
        }
        for (_, name, certificate) in self.certificates() {
            let mut right = certificate.clone();
            right.put_right(back);
            if right != *certificate {
                found.push(Stream::new(StreamKind::Certificate, name.clone()));
            }
        }
        found
    }
}

impl History {
    fn put_right(&mut self, back: SetBack) {
        for acting in self.acting.iter_mut() {
            back.deadline(&mut acting.deadline_at);
        }
        for incident in self.incidents.iter_mut() {
            back.moment(&mut incident.opened_at);
            back.moments(&mut incident.told_at);
        }
    }
}

impl Instance {
    fn put_right(&mut self, back: SetBack) {
        self.history.put_right(back);
        back.moments(&mut self.started_at);
    }
}

impl Issuer {
    fn put_right(&mut self, back: SetBack) {
        self.history.put_right(back);
        let health = &mut self.health;
        if let Some(until) = &mut health.closed_until {
            back.until(until, LEFT_ALONE_AT_MOST);
        }
        if let Some(until) = &mut health.limited_until {
            back.until(until, LIMITED_AT_MOST);
        }
        let OrderBudget { all, after_failure } = &mut self.orders;
        back.moments(&mut self.relisted_at);
        back.until(all, OrderBudget::AHEAD_AT_MOST);
        back.until(after_failure, OrderBudget::AHEAD_AT_MOST);
        if let Account::Refused { retry_at, .. } = &mut self.account {
            back.until(retry_at, LEFT_ALONE_AT_MOST);
        }
        put_trouble_right(self.trouble.as_mut(), back);
        back.moments(self.changing.iter_mut().map(|change| &mut change.since));
        back.moments(self.failing.iter_mut().map(|failing| &mut failing.at));
    }
}

impl Certificate {
    fn put_right(&mut self, back: SetBack) {
        self.history.put_right(back);
        back.moment(&mut self.declared_at);
        back.moments(self.undeclared_at.iter_mut().chain(&mut self.seen_through));
        back.moments(&mut self.requested_at);
        back.moments(self.leaf.iter_mut().map(|leaf| &mut leaf.since));
        back.moments(self.late.iter_mut().map(|late| &mut late.since));
        back.moments(self.issued.iter_mut().map(|issued| &mut issued.at));
        for own in self.revoking.iter_mut() {
            back.moment(&mut own.since);
            put_trouble_right(own.trouble.as_mut(), back);
        }
        back.moments(self.laggards.iter_mut().map(|laggard| &mut laggard.at));
        back.moments(self.predecessors.iter_mut().filter_map(|known| known.hurried_at.as_mut()));
        back.moments(self.owed.iter_mut().filter_map(|owed| owed.failed_at.as_mut()));
        back.moments(self.spent_keys.iter_mut().filter_map(|spent| spent.failed_at.as_mut()));
        for ledger in &mut self.targets {
            match &mut ledger.step {
                DeployStep::Activated { at, .. } | DeployStep::Seen { at, .. } => back.moment(at),
                DeployStep::Behind | DeployStep::Staged { .. } | DeployStep::Validated { .. } => {}
            }
            put_trouble_right(ledger.trouble.as_mut(), back);
            back.moments(ledger.overruled.iter_mut().map(|overruled| &mut overruled.at));
        }
        for endpoint in &mut self.endpoints {
            back.moments(&mut endpoint.since);
            back.moments(endpoint.tlsa.iter_mut().map(|tlsa| &mut tlsa.since));
            let shown = endpoint.shown.iter_mut().flatten();
            let doubts = shown.filter_map(|address| address.doubts.as_deref_mut());
            back.moments(doubts.flat_map(Lasting::each).map(|doubt| &mut doubt.since));
        }
        match &mut self.attempt {
            Attempt::Resting(rest) => rest.put_right(back),
            Attempt::Running(running) => running.put_right(back),
        }
    }
}

impl Rest {
    fn put_right(&mut self, back: SetBack) {
        let Some(LastFailure { failure, at, since, .. }) = self.last.as_deref_mut() else { return };
        put_failure_right(failure, *at, back);
        back.moments([at, since]);
    }
}

impl Running {
    fn put_right(&mut self, back: SetBack) {
        back.moment(&mut self.began_at);
        self.before.put_right(back);
        put_trouble_right(self.trouble.as_mut(), back);
        let Stage::Ordered(ordered) = &mut self.stage else { return };
        back.moment(&mut ordered.since);
        back.moments(ordered.chains.iter_mut().map(|chain| &mut chain.at));
        if let Some(poll_at) = &mut ordered.poll_at {
            back.until(poll_at, POLLED_AT_LEAST_EVERY);
        }
        for authorization in &mut ordered.authorizations {
            match &mut authorization.answer {
                AnswerState::Presented { at, .. } | AnswerState::Responded { at, .. } => {
                    back.moment(at);
                }
                AnswerState::Absent | AnswerState::Doubted | AnswerState::Awaited => {}
            }
        }
    }
}

fn put_trouble_right(trouble: Option<&mut Box<Trouble>>, back: SetBack) {
    let Some(Trouble { failure, at, since, .. }) = trouble.map(|trouble| &mut **trouble) else {
        return;
    };
    put_failure_right(failure, *at, back);
    back.moments([at, since]);
}

/// Moves back when a CA wants to be asked again, as far as when that was heard.
fn put_failure_right(failure: &mut Failure, heard_at: Timestamp, back: SetBack) {
    if let FailureKind::RateLimited { until } = &mut failure.kind
        && heard_at > back.now
    {
        *until = back.moved(*until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_recorded_while_the_clock_was_ahead_is_as_long_ago_as_it_was() {
        let back = SetBack { was: at("2027-01-01T01:00:00Z"), now: at("2026-01-01T01:00:00Z") };
        let mut ahead = at("2027-01-01T00:10:00Z");
        back.moment(&mut ahead);
        assert_eq!(ahead, at("2026-01-01T00:10:00Z"));
        let mut before = at("2025-12-31T00:00:00Z");
        back.moment(&mut before);
        assert_eq!(before, at("2025-12-31T00:00:00Z"));
    }

    #[test]
    fn a_wait_ends_when_it_would_have_ended_or_has_ended_already() {
        let back = SetBack { was: at("2027-01-01T01:00:00Z"), now: at("2026-01-01T01:00:00Z") };
        let day = SignedDuration::from_hours(24);
        for (until, right) in [
            // Begun while the clock was ahead, and not over.
            ("2027-01-01T02:00:00Z", "2026-01-01T02:00:00Z"),
            // Begun while it was ahead, and over then.
            ("2027-01-01T00:30:00Z", "2026-01-01T01:00:00Z"),
            // Begun before.
            ("2026-01-01T05:00:00Z", "2026-01-01T05:00:00Z"),
            ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ] {
            let mut moved = at(until);
            back.until(&mut moved, day);
            assert_eq!(moved, at(right), "{until}");
        }
    }
}
