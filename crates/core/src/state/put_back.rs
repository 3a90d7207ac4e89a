//! Copies of what many read: an issuer, a solver, a target, this instance.
//!
//! A fold that breaks off leaves its subject half changed. A certificate rests then, and nobody else
//! decides by it. What many certificates decide by must be as it was before, so that it is copied.

use alloc::boxed::Box;

use super::{Declared, Instance, Issuer, State};
use crate::intent::{SolverSpec, TargetSpec};
use crate::record::{Stream, StreamKind};

/// A copy; of what was not there yet, that it was not.
#[derive(Debug)]
pub(crate) enum Shared {
    Instance(Box<Instance>),
    Issuer(Option<Box<Issuer>>),
    Solver(Option<Box<Declared<SolverSpec>>>),
    Target(Option<Box<Declared<TargetSpec>>>),
}

impl State {
    /// Copies what a stream is of, unless that is a certificate.
    pub(crate) fn shared(&self, stream: &Stream) -> Option<Shared> {
        let name = &stream.name;
        match stream.kind {
            StreamKind::Instance => Some(Shared::Instance(Box::new(self.instance.clone()))),
            StreamKind::Issuer => {
                Some(Shared::Issuer(self.issuers.get(name).cloned().map(Box::new)))
            }
            StreamKind::Solver => {
                Some(Shared::Solver(self.solvers.get(name).cloned().map(Box::new)))
            }
            StreamKind::Target => {
                Some(Shared::Target(self.targets.get(name).cloned().map(Box::new)))
            }
            StreamKind::Certificate => None,
        }
    }

    /// Makes what a stream is of what it was.
    pub(crate) fn put_back(&mut self, stream: &Stream, shared: Shared) {
        let name = stream.name.clone();
        match shared {
            Shared::Instance(instance) => self.instance = *instance,
            Shared::Issuer(Some(issuer)) => {
                self.issuers.insert(name, *issuer);
            }
            Shared::Issuer(None) => {
                self.issuers.remove(&name);
            }
            Shared::Solver(Some(solver)) => {
                self.solvers.insert(name, *solver);
            }
            Shared::Solver(None) => {
                self.solvers.remove(&name);
            }
            Shared::Target(Some(target)) => {
                self.targets.insert(name, *target);
            }
            Shared::Target(None) => {
                self.targets.remove(&name);
            }
        }
    }
}
