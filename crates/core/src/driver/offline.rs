//! Writing while no daemon runs: what another tool kept is taken over, a restored store is marked.
//!
//! Both happen between two lives of the daemon, on a journal that was folded whole, so that nothing
//! here decides on acts: events are chosen, folded and become one batch, which the next start finds as
//! if it had always been there. A crash before the batch is durable leaves the journal as it was.
//!
//! **Importing** takes an account over where we have none at that issuer, and a leaf where a declared
//! certificate has none and the leaf covers its names. Whatever else is declared already stays as it
//! is: importing a second time changes nothing, and says so.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use jiff::Timestamp;

use super::Loader;
use crate::event::{AccountImported, Event, InstanceRestored, LeafImported};
use crate::intent::{CertificateSpec, Intent};
use crate::record::{Batch, Record, Stream, StreamKind};
use crate::state::{Account, Certificate, account_slot};
use crate::words::{BundleId, KeyFacts, LeafFacts, Name, Slot, Url};

/// What another tool kept and we are to go on with.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Accounts.
    pub accounts: Vec<ImportedAccount>,
    /// Leaves.
    pub leaves: Vec<ImportedLeaf>,
}

/// An account and the issuer whose account it becomes. Its key lies in that issuer's slot.
#[derive(Clone, Debug)]
pub struct ImportedAccount {
    /// Which issuer.
    pub issuer: Name,
    /// What is recorded.
    pub account: AccountImported,
}

/// A leaf and the certificate whose leaf it becomes. Its bundle is in the vault.
#[derive(Clone, Debug)]
pub struct ImportedLeaf {
    /// Which certificate.
    pub certificate: Name,
    /// What is recorded.
    pub leaf: LeafImported,
}

/// Why something is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The issuer has an account already.
    HasAccount,
    /// The certificate has a leaf already.
    HasLeaf,
    /// The leaf is not for all of the certificate's names: the first that is missing.
    Uncovered(Box<str>),
    /// The leaf is not valid any more, or not yet.
    NotValid,
    /// Nothing of that name is declared.
    Undeclared,
    /// Its stream cannot be written: a record of it could not be folded.
    Quarantined,
}

/// What is to be written.
#[derive(Debug)]
pub struct Offline {
    loader: Loader,
    epoch: u64,
    now: Timestamp,
    records: Vec<Record>,
}

impl Offline {
    /// Begins on a folded journal; `epoch` is the one under which is written.
    #[must_use]
    pub const fn new(loader: Loader, epoch: u64, now: Timestamp) -> Self {
        Self { loader, epoch, now, records: Vec::new() }
    }

    /// Declares issuers, solvers and targets that the journal does not know yet: what is imported may
    /// name them.
    ///
    /// # Errors
    ///
    /// Returns why an event does not fold, which is a mistake of ours.
    pub fn declare_means(&mut self, intent: &Intent) -> Result<(), String> {
        for (name, spec) in &intent.issuers {
            if !self.loader.state().issuers.contains_key(name) {
                self.append(StreamKind::Issuer, name, Event::IssuerDeclared(spec.clone()))?;
            }
        }
        for (name, spec) in &intent.solvers {
            if !self.loader.state().solvers.contains_key(name) {
                self.append(StreamKind::Solver, name, Event::SolverDeclared(spec.clone()))?;
            }
        }
        for (name, spec) in &intent.targets {
            if !self.loader.state().targets.contains_key(name) {
                self.append(StreamKind::Target, name, Event::TargetDeclared(spec.clone()))?;
            }
        }
        Ok(())
    }

    /// Returns why an issuer's account stays as it is, if it does; otherwise where the key belongs.
    ///
    /// # Errors
    ///
    /// Returns the reason.
    pub fn place_of_account(&self, intent: &Intent, issuer: &Name) -> Result<Slot, Left> {
        if !intent.issuers.contains_key(issuer) {
            return Err(Left::Undeclared);
        }
        self.is_open(StreamKind::Issuer, issuer)?;
        let Some(known) = self.loader.state().issuers.get(issuer) else {
            return Ok(account_slot(issuer));
        };
        match &known.account {
            Account::Absent => Ok(known.slot(issuer)),
            Account::Keyed { .. } | Account::Ready { .. } | Account::Refused { .. } => {
                Err(Left::HasAccount)
            }
        }
    }

    /// Returns why a certificate stays as it is, if it does; otherwise the slot of a key that is to
    /// be used again, where one is.
    ///
    /// # Errors
    ///
    /// Returns the reason.
    pub fn place_of_leaf(
        &self,
        intent: &Intent,
        name: &Name,
        leaf: &LeafFacts,
    ) -> Result<Option<Slot>, Left> {
        let spec = intent.certificates.get(name).ok_or(Left::Undeclared)?;
        self.is_open(StreamKind::Certificate, name)?;
        if self.certificate(name).is_some_and(|known| known.leaf.is_some()) {
            return Err(Left::HasLeaf);
        }
        if let Some(missing) = spec.identifiers.iter().find(|wanted| !leaf.covers(wanted)) {
            return Err(Left::Uncovered(format!("{missing}").into()));
        }
        if !leaf.validity.contains(self.now) || leaf.ends_at() <= self.now {
            return Err(Left::NotValid);
        }
        Ok(match spec.rotation {
            crate::intent::KeyRotation::Rotate => None,
            crate::intent::KeyRotation::Reuse => Some(self.next_slot(name, spec)),
        })
    }

    /// Takes over what has a place, in the order in which it is given.
    ///
    /// # Errors
    ///
    /// Returns why an event does not fold, which is a mistake of ours.
    pub fn import(&mut self, intent: &Intent, import: Import) -> Result<(), String> {
        self.declare_means(intent)?;
        for ImportedAccount { issuer, account } in import.accounts {
            if self.place_of_account(intent, &issuer).is_ok() {
                self.append(StreamKind::Issuer, &issuer, Event::AccountImported(account))?;
            }
        }
        for ImportedLeaf { certificate, leaf } in import.leaves {
            if self.place_of_leaf(intent, &certificate, &leaf.facts).is_err() {
                continue;
            }
            let Some(spec) = intent.certificates.get(&certificate) else { continue };
            if self.certificate(&certificate).is_none() {
                let declared = Event::CertificateDeclared(Box::new(spec.clone()));
                self.append(StreamKind::Certificate, &certificate, declared)?;
            }
            let imported = Event::LeafImported(Box::new(leaf));
            self.append(StreamKind::Certificate, &certificate, imported)?;
        }
        Ok(())
    }

    /// Marks the store as restored: whoever starts on it only looks, until a person resumes.
    ///
    /// # Errors
    ///
    /// Returns why the event does not fold, which is a mistake of ours.
    pub fn restored(&mut self, id: &str, backed_up_at: Timestamp) -> Result<(), String> {
        let event = Event::InstanceRestored(InstanceRestored { id: id.into(), backed_up_at });
        let stream = Stream::instance();
        self.append(stream.kind, &stream.name, event)
    }

    /// Returns what is to be made durable.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        Batch { number: 1, records: self.records }
    }

    fn certificate(&self, name: &Name) -> Option<&Certificate> {
        let state = self.loader.state();
        state.certificate(state.id(name)?)
    }

    fn next_slot(&self, name: &Name, spec: &CertificateSpec) -> Slot {
        match self.certificate(name) {
            Some(known) => known.next_slot(name),
            None => Certificate::new(Box::new(spec.clone()), self.now).next_slot(name),
        }
    }

    fn is_open(&self, kind: StreamKind, name: &Name) -> Result<(), Left> {
        let is_it = |stream: &Stream| stream.kind == kind && stream.name == *name;
        let mut quarantined = self.loader.quarantined().iter();
        if quarantined.any(|(stream, _)| is_it(stream)) { Err(Left::Quarantined) } else { Ok(()) }
    }

    #[expect(clippy::needless_pass_by_value, reason = "an event is spent once it is recorded")]
    fn append(&mut self, kind: StreamKind, name: &Name, event: Event) -> Result<(), String> {
        let stream = Stream::new(kind, name.clone());
        let record = Record {
            version: self.loader.state().version(&stream) + 1,
            at: self.now,
            kind: event.kind().into(),
            schema: 1,
            must_understand: event.must_understand(),
            shard: stream.shard(),
            epoch: self.epoch,
            body: event.body().into(),
            stream,
        };
        self.loader.record(&record);
        if let Some((stream, cause)) =
            self.loader.quarantined().iter().find(|(stream, _)| *stream == record.stream)
        {
            return Err(format!("{stream}: {cause}"));
        }
        self.records.push(record);
        Ok(())
    }
}

impl ImportedAccount {
    /// Makes one of what is known of it.
    #[must_use]
    pub fn new(issuer: Name, key: KeyFacts, url: Option<&str>, from: &str) -> Self {
        Self {
            issuer,
            account: AccountImported { key, url: url.map(Url::from), from: from.into() },
        }
    }
}

impl ImportedLeaf {
    /// Makes one of what is known of it.
    #[must_use]
    pub fn new(
        certificate: Name,
        facts: LeafFacts,
        bundle: BundleId,
        issuer: Option<Name>,
        from: &str,
    ) -> Self {
        let facts = alloc::sync::Arc::new(facts);
        Self { certificate, leaf: LeafImported { facts, bundle, issuer, from: from.into() } }
    }
}
