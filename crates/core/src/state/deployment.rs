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

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificate::Leaf;
use crate::action::{ActKind, Outcome};
use crate::words::{Failure, Installed, LeafFacts, Name};

/// A target's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Which target.
    pub target: Name,
    /// What was found there.
    pub found: Found,
    /// How far the newest leaf has come.
    pub step: DeployStep,
    /// What went wrong last, if nothing went right since.
    pub trouble: Option<Box<Trouble>>,
}

/// What was found at a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
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
        facts: Box<LeafFacts>,
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
    /// Fresh handshakes showed it at every address. Only observations of the wire lead here.
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
}

impl Deployment {
    pub(super) const fn new(target: Name) -> Self {
        Self { target, found: Found::Unlooked, step: DeployStep::Behind, trouble: None }
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

    /// Returns whether a look tells nothing that is not known.
    #[must_use]
    pub fn shows(&self, found: &Result<Installed, Failure>, newest: Option<&Leaf>) -> bool {
        let mut after = self.clone();
        after.inspect(found, newest);
        after == *self
    }

    pub(super) fn fall_behind(&mut self) {
        self.step = DeployStep::Behind;
        self.trouble = None;
    }

    /// Takes in what was found. A leaf other than the active one means that somebody put it there:
    /// the ledger begins anew.
    pub(super) fn inspect(&mut self, found: &Result<Installed, Failure>, newest: Option<&Leaf>) {
        self.found = match found {
            Err(failure) => Found::Unlookable(Box::new(failure.clone())),
            Ok(Installed { leaf: None, ours, .. }) => Found::Nothing { ours: *ours },
            Ok(Installed { leaf: Some(facts), ours, key_matches, .. }) => Found::Leaf {
                facts: facts.clone(),
                ours: *ours,
                key_matches: key_matches.unwrap_or(false),
            },
        };
        let (Some(active), Some(newest)) = (self.active(), newest) else { return };
        let holds_newest = matches!(
            &self.found,
            Found::Leaf { facts, key_matches: true, .. }
                if facts.fingerprint == newest.facts.fingerprint
        );
        let is_known = !matches!(self.found, Found::Unlookable(_) | Found::Unlooked);
        if active == newest.number && is_known && !holds_newest {
            self.fall_behind();
        }
    }

    pub(super) fn conclude(
        &mut self,
        at: Timestamp,
        act: &ActKind,
        outcome: &Outcome,
        leaf: Option<u32>,
    ) {
        match outcome {
            Outcome::Failed(failure) => {
                self.note(at, failure);
                // What was staged may be gone; begin anew.
                self.step = DeployStep::Behind;
            }
            // Staging, validating and activating may be repeated: the step is simply not taken.
            Outcome::Unknown => self.note(at, &super::attempt::unanswered(act)),
            Outcome::Done(_) => {
                let Some(leaf) = leaf else { return };
                self.trouble = None;
                self.step = match act {
                    ActKind::Stage { .. } => DeployStep::Staged { leaf },
                    ActKind::Validate { .. } => DeployStep::Validated { leaf },
                    _ => DeployStep::Activated { leaf, at },
                };
            }
        }
    }

    fn note(&mut self, at: Timestamp, failure: &Failure) {
        let before = self.trouble.take();
        self.trouble = Some(Box::new(Trouble::again(before.as_deref(), at, failure)));
    }
}
