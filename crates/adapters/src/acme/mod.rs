//! The ACME room: one exchange with a CA for each action.
//!
//! ```text
//! action ──request──▶ payload ──jws──▶ bytes ──HTTP──▶ answer ──answer──▶ facts
//!                                                        └─────classify──▶ failure
//! ```
//!
//! Everything but the exchange itself is pure: [`request`] and [`jws`] make bytes, [`answer`] reads
//! facts from an answer and the time, [`mod@classify`] makes the failures. The client holds three things
//! between exchanges: the directory, nonces, and connections. All are caches; a new client does the
//! same.
//!
//! Nothing is decided here, nothing is retried, with one exception: a refused nonce. It means that
//! the CA looked at nothing else, and brings the next nonce along.
//!
//! What a crash leaves behind: nothing here. Keys are made elsewhere and durable before the CA hears
//! of them; an answer that was lost is `Unknown`, and core asks.
//!
//! Source: RFC 8555, RFC 8738, RFC 9773, draft-ietf-acme-profiles.

mod account;
mod answer;
mod attempt;
mod classify;
mod directory;
mod eab;
mod exchange;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod json;
mod jws;
mod link;
mod nonce;
mod problem;
mod request;
mod retry_after;
mod revoke;
#[cfg(test)]
mod testing;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use perennial_core::action::{AccountRef, ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{
    AriCertId, AuthorizationFacts, ChainFacts, ChallengeFacts, ChallengeKind, Failure, Identifier,
    Name, OrderFacts, RenewalInfoFacts, Slot, Url,
};
use perennial_wire::clock::Clock;
use perennial_wire::http::Http;
use perennial_wire::shelf::Shelf;
use perennial_wire::tls::{Roots, lasts_until, leads_to_root};
use perennial_wire::x509;

pub use eab::{Eab, EabError};

use classify::{Attempt, Step, Trouble, classify};
use directory::Directory;
use exchange::Stopped;

/// Which CA, and how we are known there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the operator calls it.
    pub issuer: Name,
    /// Where its directory is.
    pub directory: Box<str>,
    /// The binding to an account that the CA knows by other means, if it demands one.
    pub eab: Option<Eab>,
    /// The roots that clients of its leaves have.
    pub roots: Roots,
}

/// A client of one CA.
pub struct Client {
    settings: Settings,
    http: Http,
    shelf: Arc<dyn Shelf>,
    /// The logical clock: moments that end up in facts.
    clock: Clock,
    directory: Mutex<Option<Arc<Directory>>>,
    nonces: nonce::Pool,
}

impl Client {
    /// Makes a client. Nothing is sent before the first action.
    #[must_use]
    pub fn new(settings: Settings, http: Http, shelf: Arc<dyn Shelf>, clock: Clock) -> Self {
        let (directory, nonces) = (Mutex::default(), nonce::Pool::default());
        Self { settings, http, shelf, clock, directory, nonces }
    }

    /// Performs an act: what concerns our account, `NewOrder`, `Respond`, `Finalize` or `Revoke`.
    ///
    /// The outcome is `Unknown` if the request may have reached the CA and its answer was lost or
    /// cannot be read.
    pub async fn perform(&self, act: &ActKind) -> Outcome {
        let attempt = self.attempt_of_act(act);
        let done = match act {
            ActKind::NewAccount { issuer, key, contact, eab, agreed } => {
                self.new_account(issuer, key, contact, *eab, *agreed).await.map(Fact::Account)
            }
            ActKind::NewOrder { account, identifiers, profile, replaces } => self
                .new_order(account, identifiers, profile.as_deref(), replaces.as_ref())
                .await
                .map(Fact::Order),
            ActKind::Respond { account, challenge, kind } => {
                self.respond(account, challenge, kind).await.map(Fact::Responded)
            }
            ActKind::Finalize { account, finalize, order, identifiers, key } => {
                self.finalize(account, finalize, order, identifiers, key).await.map(Fact::Order)
            }
            ActKind::ChangeKey { account, key } => {
                self.change_key(account, key).await.map(|()| Fact::KeyChanged)
            }
            ActKind::EndAccount { account } => self.end_account(account).await.map(Fact::Account),
            ActKind::Revoke { issuer, account, bundle, reason } => self
                .revoke(issuer, account.as_ref(), *bundle, *reason)
                .await
                .map(|()| Fact::Revoked),
            ActKind::MakeKey { .. }
            | ActKind::DropKey { .. }
            | ActKind::Present { .. }
            | ActKind::Withdraw { .. }
            | ActKind::KeepBundle { .. }
            | ActKind::Stage { .. }
            | ActKind::Validate { .. }
            | ActKind::Activate { .. }
            | ActKind::PutBack { .. } => Err(Stopped::ours(Step::Directory, NOT_OURS)),
        };
        match done {
            Ok(fact) => Outcome::Done(fact),
            Err(stopped) => Outcome::Failed(self.failure(&attempt, &stopped)),
        }
    }

    /// Asks: `Directory`, `Account`, `Order`, `Authorization`, `Chain` or `RenewalInfo`.
    ///
    /// The bytes of a chain are on the shelf before the reply is given.
    pub async fn ask(&self, ask: &AskKind) -> Reply {
        let attempt = self.attempt_of_ask(ask);
        let told = match ask {
            AskKind::Directory { issuer } => {
                self.ask_directory(issuer).await.map(|d| Reply::Directory(d.facts.clone()))
            }
            AskKind::Account { issuer, key } => {
                self.account_of(issuer, key).await.map(Reply::Account)
            }
            AskKind::Order { account, order } => self.order(account, order).await.map(Reply::Order),
            AskKind::Authorization { account, authorization } => {
                self.authorization(account, authorization).await.map(Reply::Authorization)
            }
            AskKind::Chain { account, certificate, alternate } => {
                let chain = self.chain(account, certificate, *alternate).await;
                chain.map(|facts| Reply::Chain(Box::new(facts)))
            }
            AskKind::RenewalInfo { issuer, leaf } => {
                self.renewal_info(issuer, leaf).await.map(Reply::RenewalInfo)
            }
            AskKind::Locate { .. }
            | AskKind::Look { .. }
            | AskKind::Inspect { .. }
            | AskKind::Probe { .. } => Err(Stopped::ours(Step::Directory, NOT_OURS)),
        };
        told.unwrap_or_else(|stopped| Reply::Failed(self.failure(&attempt, &stopped)))
    }

    fn failure(&self, attempt: &Attempt<'_>, stopped: &Stopped) -> Failure {
        classify(attempt, stopped.step, &stopped.trouble, self.now())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The acts.
impl Client {
    async fn new_order(
        &self,
        account: &AccountRef,
        identifiers: &[Identifier],
        profile: Option<&str>,
        replaces: Option<&AriCertId>,
    ) -> Result<OrderFacts, Stopped> {
        const STEP: Step = Step::NewOrder;
        self.must_be_ours(STEP, &account.issuer)?;
        let url = self.directory().await?.new_order.clone();
        let payload = request::new_order(identifiers, profile, replaces);
        let answer = self.post_as(STEP, account, &url, &payload).await?;
        answer::new_order(&answer, self.now()).map_err(Stopped::unreadable(STEP))
    }

    async fn respond(
        &self,
        account: &AccountRef,
        challenge: &Url,
        kind: &ChallengeKind,
    ) -> Result<ChallengeFacts, Stopped> {
        let answer = self.post_as(Step::Respond, account, challenge, request::RESPOND).await?;
        let facts = answer::challenge(&answer, challenge, kind);
        facts.map_err(Stopped::unreadable(Step::Respond))
    }

    async fn finalize(
        &self,
        account: &AccountRef,
        finalize: &Url,
        order: &Url,
        identifiers: &[Identifier],
        key: &Slot,
    ) -> Result<OrderFacts, Stopped> {
        const STEP: Step = Step::Finalize;
        let csr = self
            .key(STEP, key)?
            .csr(identifiers)
            .map_err(|e| Stopped::ours(STEP, e.to_string()))?;
        let payload = request::finalize(&csr);
        let answer = self.post_as(STEP, account, finalize, &payload).await?;
        let facts = answer::order(&answer, order.clone(), self.now());
        facts.map_err(Stopped::unreadable(STEP))
    }
}

/// The asks.
impl Client {
    async fn ask_directory(&self, issuer: &Name) -> Result<Arc<Directory>, Stopped> {
        self.must_be_ours(Step::Directory, issuer)?;
        self.fetch_directory().await
    }

    async fn order(&self, account: &AccountRef, order: &Url) -> Result<OrderFacts, Stopped> {
        const STEP: Step = Step::Order;
        let answer = self.post_as(STEP, account, order, request::POST_AS_GET).await?;
        let facts = answer::order(&answer, order.clone(), self.now());
        facts.map_err(Stopped::unreadable(STEP))
    }

    async fn authorization(
        &self,
        account: &AccountRef,
        authorization: &Url,
    ) -> Result<AuthorizationFacts, Stopped> {
        const STEP: Step = Step::Authorization;
        let answer = self.post_as(STEP, account, authorization, request::POST_AS_GET).await?;
        let facts = answer::authorization(&answer, authorization.clone(), self.now());
        facts.map_err(Stopped::unreadable(STEP))
    }

    async fn chain(
        &self,
        account: &AccountRef,
        chain: &Url,
        alternate: bool,
    ) -> Result<ChainFacts, Stopped> {
        const STEP: Step = Step::Chain;
        let answer = self.post_as(STEP, account, chain, request::POST_AS_GET).await?;
        let unreadable = |e: x509::X509Error| Stopped::unreadable(STEP)(e.to_string());
        let chain = x509::Chain::from_pem(&answer.body).map_err(unreadable)?;
        let mut facts = chain.facts().map_err(unreadable)?;
        let (at, roots) = (self.now(), &self.settings.roots);
        let trusted = leads_to_root(&chain, &facts, at, roots);
        facts.trusted = Some(trusted);
        if trusted {
            // A cross-certificate that its clients do not need must not shorten it.
            facts.chain_not_after = lasts_until(&chain, &facts, at, roots);
        }
        let pem = chain.to_pem();
        // An alternate has the same leaf, and must not take the first one's place.
        let under = if alternate { x509::fingerprint(pem.as_bytes()) } else { facts.fingerprint };
        let kept = self.shelf.keep_chain(under, pem.as_bytes());
        kept.map_err(|error| Stopped::ours(STEP, error.to_string()))?;
        let alternates = link::links(&answer, "alternate").into();
        Ok(ChainFacts { leaf: Arc::new(facts), kept: under, alternates })
    }

    async fn renewal_info(
        &self,
        issuer: &Name,
        leaf: &AriCertId,
    ) -> Result<RenewalInfoFacts, Stopped> {
        const STEP: Step = Step::RenewalInfo;
        self.must_be_ours(STEP, issuer)?;
        let directory = self.directory().await?;
        let not_offered = || Stopped::new(STEP, Trouble::NotOffered("renewal information"));
        let base = directory.renewal_info.as_ref().ok_or_else(not_offered)?;
        let url = request::renewal_info_url(base, leaf);
        let answer = self.get(STEP, &url).await?;
        answer::renewal_info(&answer, self.now()).map_err(Stopped::unreadable(STEP))
    }
}

const NOT_OURS: &str = "this action belongs to another room";
const NO_EAB: &str = "an external account binding is wanted, and none is configured";
