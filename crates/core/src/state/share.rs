//! Sharing within a certificate, and between certificates.

use alloc::sync::Arc;

use super::certificate::Certificate;
use super::endpoint::EndpointState;
use super::interner::Interner;
use crate::action::{Fact, Outcome};
use crate::event::Event;

/// Returns whether an event brings something that is worth sharing.
pub(super) const fn brings_much(event: &Event) -> bool {
    match event {
        Event::CertificateDeclared(_)
        | Event::LeafAdopted(_)
        | Event::LeafImported(_)
        | Event::LeafInherited(_) => true,
        Event::Ended(ended) => matches!(ended.outcome, Outcome::Done(Fact::Kept(_))),
        _ => false,
    }
}

impl Certificate {
    /// Holds once what is said more than once: names in the declaration, in the leaf and in the
    /// ledgers, the leaf in the ledgers, what several addresses serve, and what other certificates
    /// say alike.
    pub(super) fn share(&mut self, interner: &mut Interner) {
        let spec = &mut *self.spec;
        interner.list(&mut spec.issuers);
        interner.list(&mut spec.solvers);
        interner.list(&mut spec.targets);
        if let Some(owner) = &mut spec.owner {
            interner.name(owner);
        }
        for endpoint in &mut spec.endpoints {
            if let Some(own) = spec.identifiers.iter().find(|own| **own == endpoint.server_name) {
                endpoint.server_name = own.clone();
            }
        }
        if let Some(leaf) = &mut self.leaf {
            if let Some(issuer) = &mut leaf.issuer {
                interner.name(issuer);
            }
            let facts = Arc::make_mut(&mut leaf.facts);
            if facts.identifiers == spec.identifiers {
                facts.identifiers = Arc::clone(&spec.identifiers);
            }
            interner.text(&mut facts.issued_by);
            if let Some(traits) = &mut facts.traits {
                interner.traits(traits);
            }
        }
        for (ledger, target) in self.targets.iter_mut().zip(&*spec.targets) {
            if ledger.target == *target {
                ledger.target = target.clone();
            }
            ledger.share(self.leaf.as_deref());
        }
        EndpointState::share(&mut self.endpoints);
    }
}
