//! Declaring: what the operator's newest declaration changes becomes records.
//!
//! Intent is journalled, so that a certificate that vanishes from a file is known to have vanished.
//! Undeclared does not stop renewal (law 8). The removal of more than a tenth of the certificates,
//! and of over three, is held until a person confirms it; everything else of the declaration is
//! taken on at once.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::removal::removal;
use super::{Driver, Subject, Work};
use crate::event::{CertificateRenamed, Empty, Event, IntentAccepted, IntentHeld};
use crate::intent::Intent;
use crate::record::{Stream, StreamKind};
use crate::state::{Account, Issuer};
use crate::words::Name;

impl Driver {
    /// Takes on a declaration.
    pub(super) fn declare(&mut self, work: &mut Work, intent: &Intent, confirmed: bool) {
        let mut removal = removal(&self.state, intent);
        if confirmed {
            removal = removal.confirmed(&self.state, intent);
        }
        self.declare_means(work, intent);
        for stream in removal.means {
            self.append(work, &stream, Event::Undeclared(Empty {}));
        }
        self.declare_certificates(work, intent);
        if confirmed {
            self.acknowledge(work);
        }
        let instance = Stream::instance();
        let missing = removal.certificates;
        if removal.is_held {
            // Said again after a declaration that was refused: this one could be read.
            let known = &self.state.instance;
            if known.held != missing || known.refused.is_some() {
                self.append(work, &instance, Event::IntentHeld(IntentHeld { missing }));
            }
            return;
        }
        for name in missing {
            let stream = Stream::new(StreamKind::Certificate, name);
            self.append(work, &stream, Event::Undeclared(Empty {}));
        }
        let certificates = intent.certificates.len() as u64;
        self.append(work, &instance, Event::IntentAccepted(IntentAccepted { certificates }));
    }

    /// A person who confirms has seen what cannot end by itself: that our account has another URL,
    /// and that answers are left that no solver can take down.
    fn acknowledge(&mut self, work: &mut Work) {
        let has_moved =
            |issuer: &Issuer| matches!(issuer.account, Account::Ready { former: Some(_), .. });
        let moved = self.state.issuers.iter().filter(|(_, issuer)| has_moved(issuer));
        let moved: Vec<Name> = moved.map(|(name, _)| name.clone()).collect();
        for name in moved {
            let stream = Stream::new(StreamKind::Issuer, name);
            self.append(work, &stream, Event::AccountConfirmed(Empty {}));
        }
        let mut left = Vec::new();
        for (_, name, certificate) in self.state.certificates() {
            let hopeless = certificate.owed.iter().filter(|owed| owed.is_hopeless());
            left.extend(hopeless.map(|owed| (name.clone(), owed.answer.clone())));
        }
        for (name, answer) in left {
            let stream = Stream::new(StreamKind::Certificate, name);
            self.append(work, &stream, Event::WithdrawalAbandoned(answer));
        }
    }

    fn declare_means(&mut self, work: &mut Work, intent: &Intent) {
        for (name, spec) in &intent.issuers {
            let known = self.state.issuers.get(name);
            if known.is_none_or(|issuer| issuer.spec != *spec || !issuer.declared) {
                let stream = Stream::new(StreamKind::Issuer, name.clone());
                self.append(work, &stream, Event::IssuerDeclared(spec.clone()));
            }
        }
        for (name, spec) in &intent.solvers {
            let known = self.state.solvers.get(name);
            if known.is_none_or(|solver| solver.spec != *spec || !solver.declared) {
                let stream = Stream::new(StreamKind::Solver, name.clone());
                self.append(work, &stream, Event::SolverDeclared(spec.clone()));
                self.wake_all(work);
            }
        }
        for (name, spec) in &intent.targets {
            let known = self.state.targets.get(name);
            if known.is_none_or(|target| target.spec != *spec || !target.declared) {
                let stream = Stream::new(StreamKind::Target, name.clone());
                self.append(work, &stream, Event::TargetDeclared(spec.clone()));
                self.wake_all(work);
            }
        }
    }

    fn declare_certificates(&mut self, work: &mut Work, intent: &Intent) {
        for (name, spec) in &intent.certificates {
            let known = self.state.id(name).and_then(|id| self.state.certificate(id));
            let is_known =
                known.is_some_and(|known| *known.spec == *spec && known.undeclared_at.is_none());
            if is_known {
                continue;
            }
            let is_new = known.is_none_or(|known| known.renamed_to.is_some());
            let stream = Stream::new(StreamKind::Certificate, name.clone());
            self.append(work, &stream, Event::CertificateDeclared(Box::new(spec.clone())));
            if let (true, Some(was)) = (is_new, &spec.was) {
                self.rename(work, was, &stream);
            }
        }
    }

    /// A certificate that was declared under another name takes its leaf along: nothing is ordered
    /// for a rename.
    fn rename(&mut self, work: &mut Work, was: &Name, to: &Stream) {
        let Some(former) = self.state.id(was).and_then(|id| self.state.certificate(id)) else {
            return;
        };
        let leaf = former.leaf.clone();
        let from = Stream::new(StreamKind::Certificate, was.clone());
        let renamed = CertificateRenamed { to: to.name.clone() };
        self.append(work, &from, Event::CertificateRenamed(renamed));
        if let Some(leaf) = leaf {
            self.append(work, to, Event::LeafInherited(leaf));
        }
    }

    /// What was declared of a solver or target, or what a CA offers, may matter to every certificate:
    /// all are decided on again, a part in each call.
    pub(super) fn wake_all(&mut self, work: &Work) {
        let ids: Vec<_> = self.state.certificates().map(|(id, ..)| id).collect();
        for id in ids {
            self.wakes.set(Subject::Certificate(id), Some(work.now));
        }
    }
}
