//! Settling: deciding on everyone concerned until nothing more follows.

use alloc::boxed::Box;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::{Driver, GRACE, Subject, Work};
use crate::action::Outcome;
use crate::decide::{self, Decision, Lane, Urgency, Want};
use crate::event::{Ended, Event, Started};
use crate::finding;
use crate::record::{Stream, StreamKind};
use crate::state::{CertificateId, History};
use crate::words::Name;
use crate::words::time::after;

/// How many subjects are decided on in one call at the most; the rest follow in the next, so that
/// a million certificates at start make many small steps and not one that lasts for seconds.
const SUBJECTS_IN_A_CALL: usize = 2_000;

/// How often one subject may be decided on again because its own choices were recorded. An attempt
/// passes through a handful of states without the outside; what goes on for longer would go on for
/// ever.
const ROUNDS: usize = 64;

/// When to decide on it again if deciding did not settle.
const UNSETTLED_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// What was decided on a subject, and its place among those who want something.
#[derive(Debug, Default)]
struct Decided {
    decision: Decision,
    reserve_at: Option<Timestamp>,
    urgency: Option<Urgency>,
    is_failing: bool,
}

/// What a subject wanted when it was decided on last in this call.
pub(super) struct Settled {
    subject: Subject,
    /// How many records the call had made by then: a decision holds until the next one.
    recorded: usize,
    wants: Vec<Want>,
}

impl Work {
    /// Returns what a subject wants, if that was decided in this call and nothing was recorded since.
    fn still_wanted(&mut self, subject: Subject) -> Option<Vec<Want>> {
        let recorded = self.records.len();
        let is_it = |own: &mut Settled| own.subject == subject && own.recorded == recorded;
        self.settled.take_if(is_it).map(|own| own.wants)
    }
}

impl Driver {
    /// Decides on everyone concerned, admits what may be admitted, and again.
    pub(super) fn settle(&mut self, work: &mut Work) {
        let mut left = SUBJECTS_IN_A_CALL;
        loop {
            while let Some(subject) = self.next_subject(work, &mut left) {
                self.decide(work, subject);
            }
            if !self.admit(work) {
                return;
            }
        }
    }

    fn next_subject(&mut self, work: &mut Work, left: &mut usize) -> Option<Subject> {
        if let Some(subject) = work.dirty.pop_first() {
            return Some(subject);
        }
        *left = left.checked_sub(1)?;
        self.asks.admitted().or_else(|| self.wakes.pop_due(work.now))
    }

    fn decide(&mut self, work: &mut Work, subject: Subject) {
        match subject {
            Subject::Instance => self.decide_instance(work),
            Subject::Issuer(number) => {
                let Some(name) = self.issuers.get(number) else { return };
                let stream = Stream::new(StreamKind::Issuer, name.clone());
                self.decide_until_settled(work, subject, &stream);
            }
            Subject::Certificate(id) => {
                let Some(name) = self.state.name(id) else { return };
                let stream = Stream::new(StreamKind::Certificate, name.clone());
                self.decide_until_settled(work, subject, &stream);
            }
        }
        work.dirty.remove(&subject);
    }

    fn decide_instance(&mut self, work: &mut Work) {
        let (subject, stream) = (Subject::Instance, Stream::instance());
        if let Some(until) = self.broken_until(work, subject) {
            return self.wakes.set(subject, Some(until));
        }
        let judged = self.isolated(&stream, || {
            let mut decision = Decision::default();
            finding::of_instance(&self.state.instance, &self.quarantined, &mut decision);
            let open = &self.state.instance.history.incidents;
            Some(finding::changes(open, decision.findings, work.now))
        });
        let (events, again_at) = match judged {
            Ok(judged) => judged.unwrap_or_default(),
            Err(cause) => return self.break_off(work, subject, &stream, cause),
        };
        self.broken.remove(&subject);
        for event in events {
            self.append(work, &stream, event);
        }
        self.wakes.set(subject, again_at);
    }

    fn decide_until_settled(&mut self, work: &mut Work, subject: Subject, stream: &Stream) {
        if self.is_quarantined(stream) {
            return;
        }
        self.give_up_overdue(work, subject, stream);
        if let Some(until) = self.broken_until(work, subject) {
            let wake_at = self.overdue_at(subject).map_or(until, |at| at.min(until));
            return self.wakes.set(subject, Some(wake_at));
        }
        for _ in 0..ROUNDS {
            let decided = match self.decision(work, subject, stream) {
                Ok(Some(decided)) => decided,
                Ok(None) => return,
                Err(cause) => return self.break_off(work, subject, stream, cause),
            };
            self.broken.remove(&subject);
            if decided.decision.events.is_empty() {
                self.take_up(work, subject, stream, decided);
                return;
            }
            for event in decided.decision.events {
                self.append(work, stream, event);
            }
        }
        self.wakes.set(subject, Some(after(work.now, UNSETTLED_AGAIN)));
    }

    /// Returns what is decided on a subject now, or what a panic on the way said.
    fn decision(
        &self,
        work: &Work,
        subject: Subject,
        stream: &Stream,
    ) -> Result<Option<Decided>, Box<str>> {
        let cx = self.context(work);
        self.isolated(stream, || match subject {
            Subject::Instance => None,
            Subject::Issuer(number) => {
                let name = self.issuers.get(number)?;
                let issuer = self.state.issuers.get(name)?;
                let decision = decide::issuer(&cx, name, issuer);
                Some(Decided { decision, ..Decided::default() })
            }
            Subject::Certificate(id) => {
                let certificate = self.state.certificate(id)?;
                let decision = decide::certificate(&cx, self.state.name(id)?, certificate);
                let mut decided = Decided { decision, ..Decided::default() };
                if !decided.decision.wants.is_empty() || self.lanes.has(subject) {
                    // Its place in the lanes changes when the reserve begins.
                    decided.reserve_at = Some(decide::Runway::of(certificate).reserve_at());
                    decided.urgency = Some(Urgency::of(&cx, id, certificate));
                    decided.is_failing = certificate.attempt.is_doomed();
                }
                Some(decided)
            }
        })
    }

    /// Takes up a settled decision: incidents, asks, places in lanes, the next wake.
    fn take_up(&mut self, work: &mut Work, subject: Subject, stream: &Stream, decided: Decided) {
        let Decided { decision, reserve_at, urgency, is_failing } = decided;
        let open = self.history_of(subject).map_or(&[][..], |history| &history.incidents);
        let recorded = work.records.len();
        let mut wake_at = decision.wake_at;
        if !open.is_empty() || !decision.findings.is_empty() {
            let (events, again_at) = finding::changes(open, decision.findings, work.now);
            for event in events {
                self.append(work, stream, event);
            }
            wake_at = wake_at.into_iter().chain(again_at).min();
        }
        let lanes: Vec<Lane> = decision.wants.iter().map(|want| want.lane.clone()).collect();
        work.settled = Some(Settled { subject, recorded, wants: decision.wants });
        if !lanes.is_empty() {
            let reserve_at = reserve_at.filter(|at| *at > work.now);
            wake_at = wake_at.into_iter().chain(reserve_at).min();
        }
        if !lanes.is_empty() || self.lanes.has(subject) {
            self.lanes.queue(subject, urgency, is_failing, lanes);
        }
        wake_at = wake_at.into_iter().chain(self.overdue_at(subject)).min();
        let asks = &decision.asks;
        let asked = self.asks.put(work.now, subject, stream, asks, wake_at, &mut work.asks);
        wake_at = wake_at.into_iter().chain(asked).min();
        self.wakes.set(subject, wake_at);
        if let Subject::Certificate(id) = subject {
            self.hear_witness(work, id);
        }
    }

    /// Tells issuers what a certificate shows of their lists of the revoked.
    fn hear_witness(&mut self, work: &mut Work, id: CertificateId) {
        let Some(own) = self.state.name(id).zip(self.state.certificate(id)) else { return };
        let cx = self.context(work);
        let told = self.state.issuers.iter().filter_map(|(name, issuer)| {
            Some((name.clone(), finding::witness(&cx, own, (name, issuer))?))
        });
        let told: Vec<_> = told.collect();
        for (issuer, seen) in told {
            let stream = Stream::new(StreamKind::Issuer, issuer);
            self.append(work, &stream, Event::RevocationUnknown(seen));
        }
    }

    /// Returns when the first act in flight must be given up.
    fn overdue_at(&self, subject: Subject) -> Option<Timestamp> {
        let acting = &self.history_of(subject)?.acting;
        acting.iter().map(|acting| after(acting.deadline_at, GRACE)).min()
    }

    /// Says `Unknown` for acts whose outcome did not come in time, whatever became of the shell.
    fn give_up_overdue(&mut self, work: &mut Work, subject: Subject, stream: &Stream) {
        let Some(history) = self.history_of(subject) else { return };
        let overdue = history.acting.iter().filter(|a| after(a.deadline_at, GRACE) <= work.now);
        let overdue: Vec<_> = overdue.map(|a| (a.version, a.act.clone())).collect();
        for (version, act) in overdue {
            self.lanes.leave(&act);
            let outcome = Outcome::Unknown;
            let ended = Event::Ended(Ended { of: version, outcome, interrupted: false });
            self.append(work, stream, ended);
        }
    }

    /// Admits waiters while lanes have places; returns whether anyone was.
    fn admit(&mut self, work: &mut Work) -> bool {
        let mut any = false;
        while let Some((lane, subject)) = self.lanes.next(&self.state, work.now) {
            any |= self.admit_one(work, &lane, subject);
        }
        any
    }

    /// Admits one act of a waiter: what it wants is decided afresh, since much may have changed
    /// while it waited, unless that was done just now.
    fn admit_one(&mut self, work: &mut Work, lane: &Lane, subject: Subject) -> bool {
        let Some(stream) = self.stream_of(subject) else { return false };
        let wants = match work.still_wanted(subject) {
            Some(wants) => wants,
            None => match self.decision(work, subject, &stream) {
                Ok(decided) => decided.unwrap_or_default().decision.wants,
                Err(cause) => {
                    self.break_off(work, subject, &stream, cause);
                    return false;
                }
            },
        };
        let want = wants.into_iter().find(|want| want.lane == *lane && want.act.is_some());
        let Some(want) = want else {
            self.lanes.forget(lane, subject);
            return false;
        };
        let Some(act) = want.act else { return false };
        if let (Lane::Orders(issuer), Subject::Certificate(id)) = (lane, subject) {
            self.spend(work, issuer, id);
        }
        self.lanes.forget(lane, subject);
        let deadline_at = after(work.now, want.within);
        self.start(work, &stream, Started { act, deadline_at });
        true
    }

    /// The spend and the `Started` are one atomic append: both are in this step's batch.
    fn spend(&mut self, work: &mut Work, issuer: &Name, id: CertificateId) {
        let Some(certificate) = self.state.name(id).cloned() else { return };
        let after_failure = self.state.certificate(id).is_some_and(|c| c.attempt.is_doomed());
        let admitted = crate::event::OrderAdmitted { certificate, after_failure };
        let stream = Stream::new(StreamKind::Issuer, issuer.clone());
        self.append(work, &stream, Event::OrderAdmitted(admitted));
    }

    fn history_of(&self, subject: Subject) -> Option<&History> {
        match subject {
            Subject::Instance => Some(&self.state.instance.history),
            Subject::Issuer(number) => {
                let issuer = self.state.issuers.get(self.issuers.get(number)?);
                issuer.map(|issuer| &issuer.history)
            }
            Subject::Certificate(id) => self.state.certificate(id).map(|c| &c.history),
        }
    }

    fn stream_of(&self, subject: Subject) -> Option<Stream> {
        match subject {
            Subject::Instance => Some(Stream::instance()),
            Subject::Issuer(number) => {
                Some(Stream::new(StreamKind::Issuer, self.issuers.get(number)?.clone()))
            }
            Subject::Certificate(id) => {
                Some(Stream::new(StreamKind::Certificate, self.state.name(id)?.clone()))
            }
        }
    }
}
