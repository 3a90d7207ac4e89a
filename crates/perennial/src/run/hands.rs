//! Sends each act and ask to the adapter it belongs to. Chooses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_adapters::acme::Client;
use perennial_adapters::challenge::Solvers;
use perennial_adapters::deploy::Targets;
use perennial_adapters::dns::Places;
use perennial_adapters::probe::Probe;
use perennial_config::Settings;
use perennial_core::action::{ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{
    Answer, Blame, Failure, FailureKind, Fingerprint, KeyAlgorithm, KeyFacts, Name, Slot,
};
use perennial_store::{StoreError, Vault, join_bundle};
use perennial_wire::key::KeyPair;
use tokio::task::spawn_blocking;

/// Every adapter, as configured.
pub struct Hands {
    /// One client for each issuer.
    pub issuers: BTreeMap<Name, Client>,
    /// Who puts up and takes down answers.
    pub solvers: Solvers,
    /// Who finds where answers go and looks whether they are there.
    pub places: Places,
    /// Who writes bundles.
    pub targets: Targets,
    /// Who looks at endpoints.
    pub probe: Probe,
    /// Keys, chains and bundles.
    pub vault: Arc<dyn Vault>,
    /// What was declared and cannot be used.
    pub unfit: Unfit,
}

/// Issuers and solvers that could not be set up, each with the cause: a secret that cannot be read,
/// a file of roots that is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfit {
    issuers: BTreeMap<Name, String>,
    solvers: BTreeMap<Name, String>,
}

impl Unfit {
    pub(super) fn note_issuer(&mut self, name: &Name, cause: &dyn std::error::Error) {
        self.issuers.insert(name.clone(), cause.to_string());
    }

    pub(super) fn note_solver(&mut self, name: &Name, cause: &dyn std::error::Error) {
        self.solvers.insert(name.clone(), cause.to_string());
    }

    /// Returns the first cause among what these settings name, if there is any. What only a former
    /// configuration names may have lost its secret together with its lines in the file.
    #[must_use]
    pub fn first_of(&self, settings: &Settings) -> Option<&str> {
        let issuers = self.issuers.iter().filter(|(name, _)| settings.issuers.contains_key(*name));
        let solvers = self.solvers.iter().filter(|(name, _)| settings.solvers.contains_key(*name));
        issuers.chain(solvers).next().map(|(_, cause)| cause.as_str())
    }

    fn solver(&self, name: &Name) -> Option<Failure> {
        let cause = self.solvers.get(name)?;
        Some(unusable(Blame::Solver(name.clone()), format!("use solver {name}"), cause))
    }

    fn issuer(&self, name: &Name) -> Failure {
        match self.issuers.get(name) {
            Some(cause) => unusable(Blame::Ourselves, format!("speak to issuer {name}"), cause),
            None => undeclared(name),
        }
    }
}

/// Whatever is wrong on this machine may be mended at any time: it is tried again.
fn unusable(blame: Blame, attempted: String, cause: &str) -> Failure {
    let (kind, cause) = (FailureKind::Transient, cause.into());
    Failure { kind, blame, attempted: attempted.into(), cause, problem: None }
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands").field("issuers", &self.issuers.keys()).finish_non_exhaustive()
    }
}

impl Hands {
    /// Performs an act.
    pub async fn perform(&self, act: &ActKind) -> Outcome {
        match act {
            ActKind::MakeKey { slot, algorithm } => self.make_key(slot, *algorithm).await,
            ActKind::DropKey { slot } => self.drop_key(slot).await,
            ActKind::KeepBundle { leaf, key } => self.keep_bundle(*leaf, key).await,
            ActKind::NewAccount { issuer, .. } | ActKind::Revoke { issuer, .. } => {
                self.at_issuer(issuer, act).await
            }
            ActKind::NewOrder { account, .. }
            | ActKind::Respond { account, .. }
            | ActKind::ChangeKey { account, .. }
            | ActKind::EndAccount { account }
            | ActKind::Finalize { account, .. } => self.at_issuer(&account.issuer, act).await,
            ActKind::Present { answer } | ActKind::Withdraw { answer } => {
                match self.unfit.solver(&answer.solver) {
                    Some(failure) => Outcome::Failed(failure),
                    None => self.solvers.perform(act).await,
                }
            }
            ActKind::Stage { .. }
            | ActKind::Validate { .. }
            | ActKind::Activate { .. }
            | ActKind::PutBack { .. } => self.targets.perform(act).await,
        }
    }

    /// Puts a question.
    pub async fn ask(&self, ask: &AskKind) -> Reply {
        match ask {
            AskKind::Directory { issuer }
            | AskKind::Account { issuer, .. }
            | AskKind::RenewalInfo { issuer, .. } => self.ask_issuer(issuer, ask).await,
            AskKind::Order { account, .. }
            | AskKind::Authorization { account, .. }
            | AskKind::Chain { account, .. } => self.ask_issuer(&account.issuer, ask).await,
            AskKind::Locate { solver, .. } | AskKind::Look { answer: Answer { solver, .. } } => {
                match self.unfit.solver(solver) {
                    Some(failure) => Reply::Failed(failure),
                    None => self.places.ask(ask).await,
                }
            }
            AskKind::Inspect { .. } => self.targets.ask(ask).await,
            AskKind::Probe { .. } => self.probe.ask(ask).await,
        }
    }

    async fn at_issuer(&self, issuer: &Name, act: &ActKind) -> Outcome {
        match self.issuers.get(issuer) {
            Some(client) => client.perform(act).await,
            None => Outcome::Failed(self.unfit.issuer(issuer)),
        }
    }

    async fn ask_issuer(&self, issuer: &Name, ask: &AskKind) -> Reply {
        match self.issuers.get(issuer) {
            Some(client) => client.ask(ask).await,
            None => Reply::Failed(self.unfit.issuer(issuer)),
        }
    }

    async fn make_key(&self, slot: &Slot, algorithm: KeyAlgorithm) -> Outcome {
        let (vault, slot) = (Arc::clone(&self.vault), slot.clone());
        let made = blocking(move || made_key(&*vault, &slot, algorithm));
        settled("make a key", made.await.map(Fact::Key))
    }

    async fn drop_key(&self, slot: &Slot) -> Outcome {
        let (vault, slot) = (Arc::clone(&self.vault), slot.clone());
        let dropped = blocking(move || vault.drop_key(&slot).map_err(told));
        settled("drop a key", dropped.await.map(|()| Fact::KeyDropped))
    }

    /// Joins chain and key. The chain stays until the next start's sweep: before the outcome is
    /// durable it may be needed again.
    async fn keep_bundle(&self, leaf: Fingerprint, key: &Slot) -> Outcome {
        let (vault, key) = (Arc::clone(&self.vault), key.clone());
        let kept = blocking(move || join_bundle(&*vault, leaf, &key).map_err(told));
        settled("keep a bundle", kept.await.map(Fact::Kept))
    }
}

/// Returns the facts of the key in a slot, making it if there is none.
fn made_key(vault: &dyn Vault, slot: &Slot, algorithm: KeyAlgorithm) -> Result<KeyFacts, String> {
    let key = match vault.key(slot).map_err(told)? {
        Some(key) => key,
        None => {
            let made = KeyPair::generate(algorithm).map_err(|error| error.to_string())?;
            vault.put_key(slot, &made).map_err(told)?
        }
    };
    let key = KeyPair::from_pkcs8(&key).map_err(|error| error.to_string())?;
    Ok(key.facts())
}

/// Runs something that waits for the disk, or computes, where it holds up nothing else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(error.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn told(error: StoreError) -> String {
    let cause = std::error::Error::source(&error).map_or_else(String::new, |c| format!(": {c}"));
    format!("{error}{cause}")
}

/// Whatever fails on our own disk is our own fault, and worth trying again.
fn settled(attempted: &str, done: Result<Fact, String>) -> Outcome {
    match done {
        Ok(fact) => Outcome::Done(fact),
        Err(cause) => Outcome::Failed(Failure {
            kind: FailureKind::Transient,
            blame: Blame::Ourselves,
            attempted: attempted.into(),
            cause: cause.into(),
            problem: None,
        }),
    }
}

fn undeclared(issuer: &Name) -> Failure {
    Failure {
        kind: FailureKind::Refused,
        blame: Blame::Ourselves,
        attempted: format!("speak to issuer {issuer}").into(),
        cause: "it is not declared any more".into(),
        problem: None,
    }
}
