//! Deciding: what to do now, from what is known, and nothing else.
//!
//! Each function here is pure and total: no clock, no I/O, no chance, no error; trouble is a
//! finding. A decision on a certificate is made of
//!
//! - *events*: choices to be recorded at once (an attempt begins, or ends), after which is decided
//!   again;
//! - *wants*: acts that wait to be admitted by their lane;
//! - *asks*: questions, each with how often it may be repeated;
//! - *findings*: judgements about now;
//! - the moment at which to decide again if nothing else happens.
//!
//! The parent branches, the leaves run straight: [`certificate`] shows the whole of it.

mod account_key;
mod attempt;
mod authorize;
mod chain;
mod coverage;
#[cfg(test)]
mod coverage_tests;
mod deploy;
mod due;
#[cfg(test)]
mod fleet;
mod gate;
mod hold;
mod issuer;
mod lane;
mod look;
mod put_back;
mod renew;
mod retry;
mod revoke;
mod runway;
mod suggest;
mod tie;
#[cfg(test)]
mod tie_tests;
mod withdraw;

use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

pub(crate) use attempt::is_passing;
pub(crate) use authorize::refused;
pub use chain::{ends_at, suffices};
pub use coverage::{Cell, Lack, Proof, coverage};
pub(crate) use deploy::holds_newer;
pub use deploy::reload_at;
pub(crate) use due::FIRST_THIRD_PERCENT;
pub use due::{Due, due, has_place, held_until, may_write};
pub use gate::gate;
pub(crate) use hold::unmended;
pub use hold::{Hold, holds, to_confirm};
pub use issuer::issuer;
pub use lane::{Lane, Urgency};
pub use look::LOOK_WITHIN;
pub use renew::{RENEW_BY_PERCENT, renew_at};
pub use retry::{next_attempt_at, put_back_until, target_at, within_attempt_at};
pub use revoke::is_replaced;
pub use runway::Runway;
pub(crate) use tie::{Ties, is_other, newly_seen, ours};
pub(crate) use withdraw::is_needed;

use crate::action::{ActKind, AskKind};
use crate::event::Event;
use crate::finding::{self, Finding};
use crate::intent::{CertificateSpec, SolverSpec, solver_for};
use crate::state::{Attempt, Certificate, State};
use crate::words::{Identifier, Name, Permille};

/// What a decision is made from, besides its subject.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Everything known.
    pub state: &'a State,
    /// The time.
    pub now: Timestamp,
    /// Chance, drawn by the shell; what is made of it goes into records.
    pub draw: Draw,
}

impl<'a> Context<'a> {
    /// Returns who answers for a name of a certificate.
    pub(crate) fn solver_for(
        &self,
        spec: &'a CertificateSpec,
        identifier: &Identifier,
    ) -> Option<(&'a Name, &'a SolverSpec)> {
        let solvers = |name: &Name| self.state.solvers.get(name).map(|solver| &solver.spec);
        solver_for(solvers, spec, identifier)
    }
}

/// Chance, drawn outside.
#[derive(Clone, Copy, Debug)]
pub struct Draw(pub u64);

impl Draw {
    /// Returns a share, equally likely anywhere in 0 to 1000, for one subject.
    #[must_use]
    pub fn permille(self, subject: &Name) -> Permille {
        let seed = subject.as_str().bytes().fold(self.0, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        });
        let mixed = (seed ^ (seed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Permille::new(u16::try_from((mixed >> 32) % 1001).unwrap_or_default())
    }
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Choices to be recorded at once. Where there are any, the rest is not to be used.
    pub events: Vec<Event>,
    /// Acts that wait for their lane.
    pub wants: Vec<Want>,
    /// Questions.
    pub asks: Vec<Asking>,
    /// Judgements about now.
    pub findings: Vec<Finding>,
    /// When to decide again if nothing else happens.
    pub wake_at: Option<Timestamp>,
}

/// An act that waits for its lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// Which lane.
    pub lane: Lane,
    /// What to do; absent while something that the act must name is not known yet (our account).
    pub act: Option<ActKind>,
    /// How long it may take.
    pub within: SignedDuration,
}

/// A question, and how often it may be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// What.
    pub kind: AskKind,
    /// How long the answer may take.
    pub within: SignedDuration,
    /// How long after an answer it may be put again, at the earliest.
    pub every: SignedDuration,
}

impl Decision {
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn want(&mut self, lane: Lane, act: ActKind, within: SignedDuration) {
        self.wants.push(Want { lane, act: Some(act), within });
    }

    fn ask(&mut self, kind: AskKind, within: SignedDuration, every: SignedDuration) {
        self.asks.push(Asking { kind, within, every });
    }
}

/// Decides on a certificate.
#[must_use]
pub fn certificate(cx: &Context<'_>, name: &Name, certificate: &Certificate) -> Decision {
    let mut decision = Decision::default();
    if cx.state.instance.waits_to_resume().is_some() {
        return observe(cx, name, certificate);
    }
    withdraw::decide(cx, name, certificate, &mut decision);
    revoke::decide(cx, certificate, &mut decision);
    if !decision.events.is_empty() {
        return decision;
    }
    if certificate.renamed_to.is_some() {
        deploy::drop_spent_keys(cx, certificate, &mut decision);
        return decision;
    }
    look::decide(cx, name, certificate, &mut decision);
    if look::is_over(cx, certificate, &mut decision) {
        if let Some(adopted) = look::adopt(cx, certificate) {
            decision.events.push(adopted);
            return decision;
        }
        match &certificate.attempt {
            Attempt::Resting(rest) => due::begin(cx, name, certificate, rest, &mut decision),
            Attempt::Running(running) => {
                attempt::advance(cx, name, certificate, running, &mut decision);
            }
        }
        deploy::decide(cx, name, certificate, &mut decision);
        suggest::decide(cx, certificate, &mut decision);
    }
    if decision.events.is_empty() {
        finding::of_certificate(cx, certificate, &mut decision);
    }
    decision
}

/// Looks, and takes on what is newer than ours; does nothing else. So a restored store begins.
fn observe(cx: &Context<'_>, name: &Name, certificate: &Certificate) -> Decision {
    let mut decision = Decision::default();
    if certificate.renamed_to.is_some() {
        return decision;
    }
    look::decide(cx, name, certificate, &mut decision);
    if look::is_over(cx, certificate, &mut decision) {
        decision.events.extend(look::adopt(cx, certificate));
    }
    if decision.events.is_empty() {
        finding::of_certificate(cx, certificate, &mut decision);
    }
    decision
}
