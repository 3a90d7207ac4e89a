//! What a declaration takes away: which certificates it drops, whether that waits for a person, and
//! which issuers, solvers and targets nothing needs any more.
//!
//! One rule for all who ask: the driver, which records what goes, and `plan`, which says it
//! beforehand. A certificate that is dropped is renewed all the same (law 8), so what it needs stays
//! declared with it. Nothing goes while a removal is held.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::intent::Intent;
use crate::record::{Stream, StreamKind};
use crate::state::State;
use crate::words::Name;

/// A removal of more than this many is held, if it is also more than a tenth.
const FREELY_REMOVED: usize = 3;

/// What a declaration takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// The certificates that it lacks and does not rename.
    pub certificates: Vec<Name>,
    /// Whether these are so many that a person must confirm it.
    pub is_held: bool,
    /// The issuers, solvers and targets that it lacks and no certificate needs; none while held.
    pub means: Vec<Stream>,
}

/// Returns what a declaration would take away from what is known, unconfirmed.
#[must_use]
pub fn removal(state: &State, intent: &Intent) -> Removal {
    let certificates = missing(state, intent);
    let declared = state.certificates().filter(|(_, _, c)| c.undeclared_at.is_none()).count();
    let is_many = certificates.len() > FREELY_REMOVED;
    let is_held = is_many && certificates.len().saturating_mul(10) > declared;
    let means = if is_held { Vec::new() } else { means(state, intent) };
    Removal { certificates, is_held, means }
}

impl Removal {
    /// Returns the same removal as a person's confirmation makes it.
    pub(super) fn confirmed(mut self, state: &State, intent: &Intent) -> Self {
        if self.is_held {
            self.is_held = false;
            self.means = means(state, intent);
        }
        self
    }
}

fn missing(state: &State, intent: &Intent) -> Vec<Name> {
    let renamed: BTreeSet<&Name> =
        intent.certificates.values().filter_map(|spec| spec.was.as_ref()).collect();
    let declared = state.certificates().filter(|(_, _, c)| c.undeclared_at.is_none());
    let missing = declared
        .filter(|(_, name, _)| !intent.certificates.contains_key(*name) && !renamed.contains(name));
    missing.map(|(_, name, _)| name.clone()).collect()
}

fn means(state: &State, intent: &Intent) -> Vec<Stream> {
    let mut needed: BTreeSet<(StreamKind, &Name)> = BTreeSet::new();
    for (_, name, certificate) in state.certificates() {
        if intent.certificates.contains_key(name) || certificate.renamed_to.is_some() {
            continue;
        }
        let spec = &certificate.spec;
        needed.extend(spec.issuers.iter().map(|name| (StreamKind::Issuer, name)));
        needed.extend(spec.solvers.iter().map(|name| (StreamKind::Solver, name)));
        needed.extend(spec.targets.iter().map(|name| (StreamKind::Target, name)));
    }
    let issuers = state.issuers.iter().map(|(name, issuer)| (name, issuer.declared));
    let solvers = state.solvers.iter().map(|(name, solver)| (name, solver.declared));
    let targets = state.targets.iter().map(|(name, target)| (name, target.declared));
    let mut gone = Vec::new();
    let mut note = |kind, name: &Name, is_declared: bool, is_in_intent: bool| {
        if is_declared && !is_in_intent && !needed.contains(&(kind, name)) {
            gone.push(Stream::new(kind, name.clone()));
        }
    };
    for (name, is_declared) in issuers {
        note(StreamKind::Issuer, name, is_declared, intent.issuers.contains_key(name));
    }
    for (name, is_declared) in solvers {
        note(StreamKind::Solver, name, is_declared, intent.solvers.contains_key(name));
    }
    for (name, is_declared) in targets {
        note(StreamKind::Target, name, is_declared, intent.targets.contains_key(name));
    }
    gone
}
