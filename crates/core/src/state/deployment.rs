//! One target's ledger for one certificate: how far the newest leaf has come there.
//!
//! ```text
//! Behind ──Stage──▶ Staged ──Validate──▶ Validated ──Activate──▶ Activated ──handshakes──▶ Seen
//!    ▲                                                                │                      │
//!    └────────────── a newer leaf, or another leaf found there ───────┴──────────────────────┘
//! ```
//!
//! Each target has its own: one that is dead holds back no other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificate::Leaf;
use super::endpoint::EndpointState;
use crate::action::{ActKind, Outcome};
use crate::words::{
    Blame, Failure, FailureKind, Fingerprint, Installed, LeafFacts, Name, Objection, SightState,
};

/// A target's ledger. It holds the facts of the leaf that was found; in a checkpoint, their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment<F = Arc<LeafFacts>> {
    /// Which target.
    pub target: Name,
    /// What was found there.
    pub found: Found<F>,
    /// How far the newest leaf has come.
    pub step: DeployStep,
    /// What went wrong last, if nothing went right since.
    pub trouble: Option<Box<Trouble>>,
    /// What spoke against the newest leaf there when the reserve began and it went ahead all the
    /// same; until a person confirms it, or the leaf is superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<Box<Overruled>>,
    /// How often its server was told again of the newest leaf, since it went on serving another one.
    #[serde(default, skip_serializing_if = "is_none")]
    pub reloads: u16,
    /// Why clients may not be shown what is there, as the last look found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remarks: Option<Box<[Box<str>]>>,
    /// Where bundles of the past lie that should be gone, as the last look found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leftovers: Option<Box<[Box<str>]>>,
    /// What was fine here when the newest leaf began to be activated, until it is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Before>>,
    /// How often the newest leaf was taken back here, since its server served worse with it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub put_back: u16,
}

/// What was in good order at a target before its newest leaf was activated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The leaf that was shown.
    pub leaf: Fingerprint,
    /// When it ends.
    pub ends_at: Timestamp,
    /// The addresses that showed it to clients in good order.
    pub fine: Box<[Fine]>,
}

/// An address that was in good order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fine {
    /// Of which endpoint, in the order of the declaration.
    pub endpoint: u16,
    /// Which.
    pub address: SocketAddr,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
const fn is_none(count: &u16) -> bool {
    *count == 0
}

/// A deployment that went ahead although something spoke against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overruled {
    /// When.
    pub at: Timestamp,
    /// What spoke against it.
    pub objections: Box<[Objection]>,
}

/// What was found at a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found<F = Arc<LeafFacts>> {
    /// Not looked at yet.
    Unlooked,
    /// It could not be looked at.
    Unlookable(Box<Failure>),
    /// There is no leaf.
    Nothing {
        /// Whether we may write there without taking anything over.
        ours: bool,
    },
    /// There is a leaf.
    Leaf {
        /// Which.
        facts: F,
        /// Whether we wrote it.
        ours: bool,
        /// Whether the key beside it belongs to it.
        key_matches: bool,
    },
}

/// How far a leaf has come at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployStep {
    /// The newest leaf is not there.
    Behind,
    /// It lies beside the active one.
    Staged {
        /// Which leaf.
        leaf: u32,
    },
    /// The target's own check passed.
    Validated {
        /// Which leaf.
        leaf: u32,
    },
    /// It is active and the server was told.
    Activated {
        /// Which leaf.
        leaf: u32,
        /// When.
        at: Timestamp,
    },
    /// Fresh handshakes showed it where clients meet this target. Only observations of the wire
    /// lead here.
    Seen {
        /// Which leaf.
        leaf: u32,
        /// When.
        at: Timestamp,
    },
}

/// What went wrong last, and how often in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub failure: Failure,
    /// When.
    pub at: Timestamp,
    /// How often in a row.
    pub failures: u16,
    /// Since when.
    pub since: Timestamp,
}

impl Trouble {
    /// Makes the trouble that a failure leads to, after the one before it if nothing went right
    /// since.
    pub(super) fn again(before: Option<&Self>, at: Timestamp, failure: &Failure) -> Self {
        Self {
            failure: failure.clone(),
            at,
            failures: before.map_or(0, |trouble| trouble.failures).saturating_add(1),
            since: before.map_or(at, |trouble| trouble.since),
        }
    }

    /// Makes the trouble that an act of unknown outcome leads to. One that was interrupted by the end
    /// of this process is no failure yet: only when that happens in a row may the act be the reason.
    pub(super) fn unknown(
        before: Option<&Self>,
        at: Timestamp,
        act: &ActKind,
        interrupted: bool,
    ) -> Self {
        let again = Self::again(before, at, &super::attempt::unanswered(act));
        let failures = if interrupted && before.is_none() { 0 } else { again.failures };
        Self { failures, ..again }
    }
}

impl<F> Deployment<F> {
    /// Exchanges what it holds of the leaf that was found.
    pub(super) fn naming<G, E>(
        self,
        name: impl FnOnce(F) -> Result<G, E>,
    ) -> Result<Deployment<G>, E> {
        let Self { target, found, step, trouble, overruled, reloads, .. } = self;
        let Self { remarks, leftovers, before, put_back, .. } = self;
        let found = match found {
            Found::Unlooked => Found::Unlooked,
            Found::Unlookable(failure) => Found::Unlookable(failure),
            Found::Nothing { ours } => Found::Nothing { ours },
            Found::Leaf { facts, ours, key_matches } => {
                Found::Leaf { facts: name(facts)?, ours, key_matches }
            }
        };
        Ok(Deployment {
            target,
            found,
            step,
            trouble,
            overruled,
            reloads,
            remarks,
            leftovers,
            before,
            put_back,
        })
    }
}

impl Found {
    fn of(installed: &Installed) -> Self {
        match &installed.leaf {
            None => Self::Nothing { ours: installed.ours },
            Some(facts) => Self::Leaf {
                facts: Arc::clone(facts),
                ours: installed.ours,
                key_matches: installed.key_matches.unwrap_or(false),
            },
        }
    }

    /// Returns whether this is what was found.
    fn is(&self, installed: &Installed) -> bool {
        match (self, &installed.leaf) {
            (Self::Nothing { ours }, None) => *ours == installed.ours,
            (Self::Leaf { facts, ours, key_matches }, Some(leaf)) => {
                *ours == installed.ours
                    && *key_matches == installed.key_matches.unwrap_or(false)
                    && facts == leaf
            }
            (
                Self::Unlooked | Self::Unlookable(_) | Self::Nothing { .. } | Self::Leaf { .. },
                _,
            ) => false,
        }
    }
}

impl Deployment {
    pub(super) const fn new(target: Name) -> Self {
        Self {
            target,
            found: Found::Unlooked,
            step: DeployStep::Behind,
            trouble: None,
            overruled: None,
            reloads: 0,
            remarks: None,
            leftovers: None,
            before: None,
            put_back: 0,
        }
    }

    /// Returns whether it was looked at, with whatever result.
    #[must_use]
    pub const fn is_looked_at(&self) -> bool {
        !matches!(self.found, Found::Unlooked)
    }

    /// Returns the number of the leaf that is active there by our own doing.
    #[must_use]
    pub const fn active(&self) -> Option<u32> {
        match self.step {
            DeployStep::Activated { leaf, .. } | DeployStep::Seen { leaf, .. } => Some(leaf),
            DeployStep::Behind | DeployStep::Staged { .. } | DeployStep::Validated { .. } => None,
        }
    }

    /// Returns why clients may not be shown what is there, as the last look found.
    #[must_use]
    pub fn remarks(&self) -> &[Box<str>] {
        self.remarks.as_deref().unwrap_or_default()
    }

    /// Returns where bundles of the past lie that should be gone, as the last look found.
    #[must_use]
    pub fn leftovers(&self) -> &[Box<str>] {
        self.leftovers.as_deref().unwrap_or_default()
    }

    /// Returns whether a look tells nothing that is not known.
    #[must_use]
    pub fn shows(&self, found: &Result<Installed, Failure>, newest: Option<&Leaf>) -> bool {
        match found {
            Ok(installed) => {
                self.found.is(installed)
                    && self.remarks() == &*installed.remarks
                    && self.leftovers() == &*installed.leftovers
                    && !self.is_replaced(installed, newest)
            }
            Err(failure) => {
                matches!(&self.found, Found::Unlookable(known) if **known == *failure)
            }
        }
    }

    pub(super) fn fall_behind(&mut self) {
        self.step = DeployStep::Behind;
        self.trouble = None;
        self.reloads = 0;
        self.before = None;
        self.put_back = 0;
    }

    /// Takes in what was found. A leaf other than the active one means that somebody put it there:
    /// the ledger begins anew.
    pub(crate) fn inspect(&mut self, found: &Result<Installed, Failure>, newest: Option<&Leaf>) {
        let installed = match found {
            Err(failure) => return self.found = Found::Unlookable(Box::new(failure.clone())),
            Ok(installed) => installed,
        };
        let said = |all: &[Box<str>]| (!all.is_empty()).then(|| all.into());
        self.remarks = said(&installed.remarks);
        self.leftovers = said(&installed.leftovers);
        if !self.found.is(installed) {
            self.found = Found::of(installed);
            self.share(newest);
        }
        if self.is_replaced(installed, newest) {
            self.fall_behind();
        }
    }

    /// Keeps the facts of the newest leaf once, where it is what was found.
    pub(super) fn share(&mut self, newest: Option<&Leaf>) {
        if let (Found::Leaf { facts, .. }, Some(newest)) = (&mut self.found, newest)
            && *facts == newest.facts
        {
            *facts = Arc::clone(&newest.facts);
        }
    }

    /// Returns whether the newest leaf was active and what was found is not it.
    fn is_replaced(&self, installed: &Installed, newest: Option<&Leaf>) -> bool {
        let (Some(active), Some(newest)) = (self.active(), newest) else { return false };
        let is_newest = |facts: &Arc<LeafFacts>| facts.fingerprint == newest.facts.fingerprint;
        let is_there = installed.leaf.as_ref().is_some_and(is_newest);
        active == newest.number && !(is_there && installed.key_matches == Some(true))
    }

    pub(super) fn conclude(
        &mut self,
        at: Timestamp,
        act: &ActKind,
        outcome: &Outcome,
        interrupted: bool,
        leaf: Option<u32>,
    ) {
        match outcome {
            // What is taken back stays to be taken back.
            Outcome::Failed(failure) if matches!(act, ActKind::PutBack { .. }) => {
                self.note(at, failure);
            }
            Outcome::Failed(failure) => {
                self.note(at, failure);
                // What was staged may be gone; begin anew.
                self.step = DeployStep::Behind;
            }
            // Staging, validating and activating may be repeated: the step is simply not taken.
            Outcome::Unknown => {
                let before = self.trouble.take();
                let trouble = Trouble::unknown(before.as_deref(), at, act, interrupted);
                self.trouble = Some(Box::new(trouble));
            }
            Outcome::Done(_) => {
                let Some(leaf) = leaf else { return };
                if let ActKind::PutBack { because, .. } = act {
                    return self.take_back(at, because);
                }
                // It was told of it before: its server goes on serving another one.
                if matches!(act, ActKind::Activate { .. }) && self.active() == Some(leaf) {
                    self.reloads = self.reloads.saturating_add(1);
                }
                self.step = match act {
                    ActKind::Stage { .. } => DeployStep::Staged { leaf },
                    ActKind::Validate { .. } => DeployStep::Validated { leaf },
                    _ => {
                        // Only the whole going right ends what went wrong: a server that cannot be
                        // reloaded takes files all the same, and would be hammered with them.
                        self.trouble = None;
                        DeployStep::Activated { leaf, at }
                    }
                };
            }
        }
    }

    /// Remembers what is in good order before a leaf is activated.
    pub(super) fn remember(&mut self, endpoints: &[EndpointState], next: Fingerprint) {
        let lying = match &self.found {
            Found::Leaf { facts, key_matches: true, .. } => Some(facts.fingerprint),
            Found::Unlooked | Found::Unlookable(_) | Found::Nothing { .. } | Found::Leaf { .. } => {
                None
            }
        };
        self.before = before(endpoints, lying, next);
    }

    /// The newest leaf was taken back: the target is behind, and its files are another's.
    fn take_back(&mut self, at: Timestamp, because: &str) {
        let put_back = self.put_back.saturating_add(1);
        let trouble = Trouble {
            failure: Failure {
                kind: FailureKind::Refused,
                blame: Blame::Target(self.target.clone()),
                attempted: "serve the newest leaf".into(),
                cause: because.into(),
                problem: None,
            },
            at,
            failures: put_back,
            since: at,
        };
        self.fall_behind();
        self.found = Found::Unlooked;
        self.trouble = Some(Box::new(trouble));
        self.put_back = put_back;
    }

    fn note(&mut self, at: Timestamp, failure: &Failure) {
        let before = self.trouble.take();
        self.trouble = Some(Box::new(Trouble::again(before.as_deref(), at, failure)));
    }
}

/// Returns what is in good order before a leaf is activated: the leaf that was found lying there, if
/// it is shown, or else the newest that is. What was found may be long ago; whether it can be put
/// back is known where it lies.
fn before(
    endpoints: &[EndpointState],
    lying: Option<Fingerprint>,
    next: Fingerprint,
) -> Option<Box<Before>> {
    let fine = || {
        endpoints.iter().zip(0_u16..).flat_map(|(endpoint, number)| {
            let shown = endpoint.shown.iter().flatten();
            let fine = shown.filter(|shown| shown.state == SightState::Ok);
            fine.filter_map(move |shown| Some((number, shown, shown.served.as_deref()?)))
        })
    };
    let others = fine().map(|(.., served)| served).filter(|served| served.leaf != next);
    let own = others.max_by_key(|served| (Some(served.leaf) == lying, served.not_before))?;
    let fine = fine().filter(|(.., served)| served.leaf == own.leaf);
    let fine = fine.map(|(endpoint, shown, _)| Fine { endpoint, address: shown.address });
    Some(Box::new(Before { leaf: own.leaf, ends_at: own.ends_at, fine: fine.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Fact;
    use crate::words::BundleId;

    #[test]
    fn a_server_that_takes_files_and_does_not_reload_is_tried_at_growing_distances() {
        let (target, certificate) = (Name::new("web"), Name::new("shop"));
        let bundle = BundleId([7; 32]);
        let stage = ActKind::Stage { target, certificate, bundle };
        let (target, certificate) = (Name::new("web"), Name::new("shop"));
        let activate = ActKind::Activate { target, certificate, bundle, take_over: false };
        let failed = Outcome::Failed(Failure {
            kind: FailureKind::Transient,
            blame: Blame::Target(Name::new("web")),
            attempted: "reload".into(),
            cause: "exit status 1".into(),
            problem: None,
        });
        let mut ledger = Deployment::new(Name::new("web"));
        let staged = Outcome::Done(Fact::Staged);
        let at = Timestamp::UNIX_EPOCH;
        for times in 1..4 {
            ledger.conclude(at, &stage, &staged, false, Some(1));
            ledger.conclude(at, &activate, &failed, false, Some(1));
            assert_eq!(ledger.trouble.as_ref().map(|trouble| trouble.failures), Some(times));
        }
        ledger.conclude(at, &stage, &staged, false, Some(1));
        ledger.conclude(at, &activate, &Outcome::Done(Fact::Activated), false, Some(1));
        assert_eq!(ledger.trouble, None);
    }
}
