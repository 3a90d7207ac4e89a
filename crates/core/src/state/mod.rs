//! State: the fold of the journal. Everything here can be made again from the records.

mod account_key;
mod attempt;
mod by_name;
mod certificate;
mod chain;
mod checkpoint;
mod clock;
mod compact;
mod deployment;
mod endpoint;
mod failing;
mod few;
mod history;
mod instance;
mod interner;
mod issued;
mod issuer;
mod laggard;
mod put_back;
mod revoking;
mod share;
mod validating;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use jiff::Timestamp;

pub use account_key::{KeyChange, Unsure};
pub(crate) use attempt::POLLED_AT_LEAST_EVERY;
pub use attempt::{
    AnswerState, Attempt, Authorization, LastFailure, Ordered, Rest, Running, Stage,
};
pub use certificate::{Certificate, Late, Leaf, Owed, Predecessor, SpentKey, Suggestion};
pub use chain::Offered;
pub(crate) use checkpoint::known_shape;
pub use checkpoint::{CHECKPOINT_SHAPE, Saved, Snapshot};
pub(crate) use clock::SetBack;
pub use deployment::{Before, DeployStep, Deployment, Fine, Found, Overruled, Trouble};
pub use endpoint::{AddressState, Doubt, EndpointState, Lasting, Served, StoreRefuses, TlsaState};
pub use failing::Failing;
pub use few::Few;
pub use history::{Acting, History};
pub use instance::{Instance, Restored};
pub use issued::{ISSUED_LATELY, Issued, set_of};
pub use issuer::{Account, Health, Issuer, OrderBudget, account_slot};
pub use laggard::Laggard;
pub use revoking::Revoking;
pub(crate) use validating::{AUTHORIZED_WITHIN, VALIDATED_WITHIN};

use crate::event::Event;
use crate::intent::{Intent, SolverSpec, TargetSpec};
use crate::record::{Stream, StreamKind};
use crate::words::{BundleId, Fingerprint, Identifier, Name, Slot};

/// A certificate's place in the state. Only in memory; the journal has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId(u32);

impl CertificateId {
    /// Returns the place, for what is kept beside the state.
    pub(crate) const fn place(self) -> usize {
        self.0 as usize
    }
}

/// Everything known.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// This instance.
    pub instance: Instance,
    /// Issuers.
    pub issuers: BTreeMap<Name, Issuer>,
    /// Solvers.
    pub solvers: BTreeMap<Name, Declared<SolverSpec>>,
    /// Targets.
    pub targets: BTreeMap<Name, Declared<TargetSpec>>,
    certificates: Vec<(Name, Certificate)>,
    by_name: by_name::ByName,
    interner: interner::Interner,
    validating: validating::Validating,
}

/// Something declared that has no life of its own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Declared<T> {
    /// Its version.
    pub history: History,
    /// What the operator declared.
    pub spec: T,
    /// Whether it is still declared.
    pub declared: bool,
}

/// What of the vault is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Slots whose keys are used, or will be by the next attempt.
    pub slots: BTreeSet<Slot>,
    /// Leaves whose chains have not been joined to a bundle yet.
    pub chains: BTreeSet<Fingerprint>,
    /// Bundles that targets are to have.
    pub bundles: BTreeSet<BundleId>,
}

impl State {
    /// Takes in an event of a stream.
    ///
    /// # Errors
    ///
    /// Returns why the stream cannot go on: an event that makes no sense there, or a checkpoint
    /// that cannot be read. The caller quarantines the stream; nothing else is touched.
    pub fn fold(
        &mut self,
        stream: &Stream,
        version: u64,
        at: Timestamp,
        event: &Event,
    ) -> Result<(), String> {
        if let Event::Checkpoint(checkpoint) = event {
            self.restore(stream, version, checkpoint.clone())?;
            self.note_validating(stream);
            return Ok(());
        }
        let name = &stream.name;
        match stream.kind {
            StreamKind::Instance => self.instance.fold(version, at, event),
            StreamKind::Issuer => match (self.issuers.get_mut(name), event) {
                (Some(issuer), _) => issuer.fold(version, at, event),
                (None, Event::IssuerDeclared(spec)) => {
                    let mut issuer = Issuer::new(spec.clone());
                    issuer.fold(version, at, event);
                    self.issuers.insert(name.clone(), issuer);
                }
                (None, _) => return Err(before_declared(stream, event)),
            },
            StreamKind::Solver => {
                let spec = if let Event::SolverDeclared(spec) = event { Some(spec) } else { None };
                fold_declared(&mut self.solvers, stream, version, at, event, spec)?;
            }
            StreamKind::Target => {
                let spec = if let Event::TargetDeclared(spec) = event { Some(spec) } else { None };
                fold_declared(&mut self.targets, stream, version, at, event, spec)?;
            }
            StreamKind::Certificate => match (self.certificate_mut(name), event) {
                (Some(certificate), _) => {
                    certificate.fold(version, at, event);
                    if share::brings_much(event) {
                        self.share(name);
                    }
                }
                (None, Event::CertificateDeclared(spec)) => {
                    let mut certificate = Certificate::new(spec.clone(), at);
                    certificate.fold(version, at, event);
                    self.add(name.clone(), certificate);
                    self.share(name);
                }
                (None, _) => return Err(before_declared(stream, event)),
            },
        }
        if let Event::ClockPutRight(right) = event {
            self.put_right(stream, SetBack { was: right.was, now: at });
        }
        if validating::may_change(event) {
            self.note_validating(stream);
        }
        Ok(())
    }

    fn note_validating(&mut self, stream: &Stream) {
        if stream.kind == StreamKind::Certificate
            && let Some(id) = self.id(&stream.name)
            && let Some((_, certificate)) = self.certificates.get(id.place())
        {
            self.validating.note(id, certificate);
        }
    }

    /// Returns whether an issuer is validating a name for another certificate than `own` just now.
    #[must_use]
    pub(crate) fn is_validating_elsewhere(
        &self,
        issuer: &Name,
        identifier: &Identifier,
        own: &Name,
        now: Timestamp,
    ) -> bool {
        let is_own = |id| self.name(id) == Some(own);
        let sole = validating::Sole::Validation(issuer.clone());
        self.validating.is_elsewhere(sole, identifier, &is_own, now)
    }

    /// Returns whether an answer for another certificate than `own` is up that would be hidden by
    /// one more for the same name.
    #[must_use]
    pub(crate) fn is_answered_elsewhere(
        &self,
        identifier: &Identifier,
        own: &Name,
        now: Timestamp,
    ) -> bool {
        let is_own = |id| self.name(id) == Some(own);
        self.validating.is_elsewhere(validating::Sole::Answer, identifier, &is_own, now)
    }

    /// Passes over a record of a kind that this release does not know.
    pub fn skip(&mut self, stream: &Stream, version: u64) {
        let name = &stream.name;
        let history = match stream.kind {
            StreamKind::Instance => Some(&mut self.instance.history),
            StreamKind::Issuer => self.issuers.get_mut(name).map(|issuer| &mut issuer.history),
            StreamKind::Solver => self.solvers.get_mut(name).map(|solver| &mut solver.history),
            StreamKind::Target => self.targets.get_mut(name).map(|target| &mut target.history),
            StreamKind::Certificate => self.certificate_mut(name).map(|c| &mut c.history),
        };
        if let Some(history) = history {
            history.version = version;
        }
    }

    /// Returns the version of a stream's newest record; 0 where there is none.
    #[must_use]
    pub fn version(&self, stream: &Stream) -> u64 {
        self.history(stream).map_or(0, |history| history.version)
    }

    /// Returns what is common to all streams of one of them.
    #[must_use]
    pub fn history(&self, stream: &Stream) -> Option<&History> {
        let name = &stream.name;
        match stream.kind {
            StreamKind::Instance => Some(&self.instance.history),
            StreamKind::Issuer => self.issuers.get(name).map(|issuer| &issuer.history),
            StreamKind::Solver => self.solvers.get(name).map(|solver| &solver.history),
            StreamKind::Target => self.targets.get(name).map(|target| &target.history),
            StreamKind::Certificate => {
                self.id(name).and_then(|id| self.certificate(id)).map(|c| &c.history)
            }
        }
    }

    /// Returns where a certificate is.
    #[must_use]
    pub fn id(&self, name: &Name) -> Option<CertificateId> {
        self.by_name.find(name, |id| self.name(id) == Some(name))
    }

    /// Returns a certificate.
    #[must_use]
    pub fn certificate(&self, id: CertificateId) -> Option<&Certificate> {
        self.certificates.get(id.0 as usize).map(|(_, certificate)| certificate)
    }

    /// Returns a certificate's name.
    #[must_use]
    pub fn name(&self, id: CertificateId) -> Option<&Name> {
        self.certificates.get(id.0 as usize).map(|(name, _)| name)
    }

    /// Returns every certificate, in the order in which they were first declared.
    pub fn certificates(&self) -> impl Iterator<Item = (CertificateId, &Name, &Certificate)> {
        let numbered = (0..).map(CertificateId).zip(&self.certificates);
        numbered.map(|(id, (name, certificate))| (id, name, certificate))
    }

    /// Returns the intent that the journal holds: the last good declaration.
    #[must_use]
    pub fn intent(&self) -> Intent {
        Intent {
            issuers: declared(self.issuers.iter(), |i| i.declared.then(|| i.spec.clone())),
            solvers: declared(self.solvers.iter(), |s| s.declared.then(|| s.spec.clone())),
            targets: declared(self.targets.iter(), |t| t.declared.then(|| t.spec.clone())),
            certificates: declared(self.certificates.iter().map(|(n, c)| (n, c)), |c| {
                c.undeclared_at.is_none().then(|| (*c.spec).clone())
            }),
        }
    }

    /// Returns what of the vault is in use: keys, chains and bundles that a record names and that
    /// something may still need. Everything else there was left by a crash or is of the past.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        let mut used = InUse::default();
        for (name, issuer) in &self.issuers {
            used.slots.insert(issuer.slot(name));
            used.slots.extend(issuer.changing.as_ref().map(|_| issuer.next_slot(name)));
            used.slots.extend(issuer.spent_slot(name));
        }
        for (name, certificate) in &self.certificates {
            used.slots.insert(certificate.next_slot(name));
            used.slots.extend(certificate.spent_keys.iter().map(|spent| spent.slot.clone()));
            used.bundles.extend(certificate.leaf.as_ref().and_then(|leaf| leaf.bundle));
            used.bundles.extend(certificate.revoking.iter().map(|own| own.bundle));
            let Attempt::Running(running) = &certificate.attempt else { continue };
            used.slots.insert(running.plan.key.clone());
            match &running.stage {
                Stage::Unordered { .. } => {}
                Stage::Ordered(ordered) => {
                    let fetched = ordered.chains.iter().filter_map(|own| own.facts.as_ref());
                    used.chains.extend(fetched.map(|facts| facts.kept));
                }
                Stage::Fetched(leaf) => {
                    used.chains.insert(running.alternate.unwrap_or(leaf.fingerprint));
                }
            }
        }
        used
    }

    fn certificate_mut(&mut self, name: &Name) -> Option<&mut Certificate> {
        let id = self.id(name)?;
        self.certificates.get_mut(id.0 as usize).map(|(_, certificate)| certificate)
    }

    fn share(&mut self, name: &Name) {
        let Some(id) = self.id(name) else { return };
        if let Some((_, certificate)) = self.certificates.get_mut(id.place()) {
            certificate.share(&mut self.interner);
        }
    }

    fn add(&mut self, name: Name, certificate: Certificate) {
        // 2^32 certificates do not fit into any machine that this runs on.
        let id = CertificateId(u32::try_from(self.certificates.len()).unwrap_or(u32::MAX));
        self.by_name.add(&name, id);
        self.certificates.push((name, certificate));
    }
}

fn before_declared(stream: &Stream, event: &Event) -> String {
    format!("{stream} has `{}` before it was declared", event.kind())
}

fn declared<'a, T: 'a, S>(
    all: impl Iterator<Item = (&'a Name, &'a T)>,
    spec: impl Fn(&T) -> Option<S>,
) -> BTreeMap<Name, S> {
    all.filter_map(|(name, thing)| Some((name.clone(), spec(thing)?))).collect()
}

fn fold_declared<T: Clone>(
    all: &mut BTreeMap<Name, Declared<T>>,
    stream: &Stream,
    version: u64,
    at: Timestamp,
    event: &Event,
    spec: Option<&T>,
) -> Result<(), String> {
    let known = all.contains_key(&stream.name);
    let thing = match (known, spec) {
        (false, None) => return Err(before_declared(stream, event)),
        (_, Some(spec)) => all.entry(stream.name.clone()).or_insert_with(|| Declared {
            history: History::default(),
            spec: spec.clone(),
            declared: true,
        }),
        (true, None) => match all.get_mut(&stream.name) {
            Some(thing) => thing,
            None => return Ok(()),
        },
    };
    thing.history.fold(version, at, event);
    if let Some(spec) = spec {
        thing.spec = spec.clone();
        thing.declared = true;
    }
    if matches!(event, Event::Undeclared(_)) {
        thing.declared = false;
    }
    Ok(())
}

/// Boxes are used where a state is rare, so that the common one stays small.
const _: () = assert!(size_of::<Attempt>() <= 32);

/// A quarantined stream: why it cannot be folded.
pub type Quarantine = (Stream, Box<str>);
