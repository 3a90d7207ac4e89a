//! The exchange: one signed request and its answer, with what it needs beforehand.
//!
//! ```text
//! directory (once) ──▶ nonce (from the pool, else asked for) ──▶ signed POST ──▶ answer
//!                                    ▲                                            │ badNonce
//!                                    └────────────── fresh nonce ◀────────────────┘
//! ```
//!
//! A step before the request proper that fails is told apart ([`Step::Directory`], [`Step::Nonce`]),
//! because then the request was never sent.

use std::sync::{Arc, PoisonError};

use perennial_core::action::AccountRef;
use perennial_core::words::{Name, Slot, Url};
use perennial_wire::http::Response;
use perennial_wire::key::KeyPair;
use perennial_wire::x509;

use super::classify::{Step, Trouble};
use super::directory::Directory;
use super::jws::{self, Signer};
use super::{Client, nonce, problem};

/// An exchange that did not give what it should, and at which step.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) step: Step,
    pub(super) trouble: Trouble,
}

impl Stopped {
    pub(super) const fn new(step: Step, trouble: Trouble) -> Self {
        Self { step, trouble }
    }

    pub(super) fn ours(step: Step, cause: impl Into<String>) -> Self {
        Self::new(step, Trouble::Ours(cause.into()))
    }

    pub(super) fn unreadable(step: Step) -> impl FnOnce(String) -> Self {
        move |cause| Self::new(step, Trouble::Unreadable(cause))
    }
}

impl Client {
    /// Returns the directory, fetched at most once until something shows that it is out of date.
    pub(super) async fn directory(&self) -> Result<Arc<Directory>, Stopped> {
        let kept = self.directory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match kept {
            Some(directory) => Ok(directory),
            None => self.fetch_directory().await,
        }
    }

    pub(super) async fn fetch_directory(&self) -> Result<Arc<Directory>, Stopped> {
        let answer = self.get(Step::Directory, &self.settings.directory).await?;
        let directory = Directory::read(&answer).map_err(Stopped::unreadable(Step::Directory))?;
        let directory = Arc::new(directory);
        self.keep_directory(Some(Arc::clone(&directory)));
        Ok(directory)
    }

    fn keep_directory(&self, directory: Option<Arc<Directory>>) {
        *self.directory.lock().unwrap_or_else(PoisonError::into_inner) = directory;
    }

    async fn fetch_nonce(&self) -> Result<String, Stopped> {
        const STEP: Step = Step::Nonce;
        let url = self.directory().await?.new_nonce.clone();
        let answer = self.http.head(&url.0).await;
        let answer = answer.map_err(|error| Stopped::new(STEP, Trouble::Transport(error)))?;
        if !answer.is_success() {
            return Err(self.refusal(STEP, answer));
        }
        let missing = || Stopped::unreadable(STEP)("the answer has no usable Replay-Nonce".into());
        nonce::of_answer(&answer).ok_or_else(missing)
    }

    /// Gets a public resource.
    pub(super) async fn get(&self, step: Step, url: &str) -> Result<Response, Stopped> {
        let answer = self.http.get(url, JSON, MAX_JSON).await;
        let answer = answer.map_err(|error| Stopped::new(step, Trouble::Transport(error)))?;
        self.nonces.keep(nonce::of_answer(&answer), self.now());
        if answer.is_success() { Ok(answer) } else { Err(self.refusal(step, answer)) }
    }

    /// Sends a request signed as an account.
    pub(super) async fn post_as(
        &self,
        step: Step,
        account: &AccountRef,
        url: &Url,
        payload: &str,
    ) -> Result<Response, Stopped> {
        self.must_be_ours(step, &account.issuer)?;
        let key = self.key(step, &account.key)?;
        self.post(step, &key, Signer::Account(&account.url), url, payload).await
    }

    /// Sends a signed request, again as long as only the nonce is refused.
    pub(super) async fn post(
        &self,
        step: Step,
        key: &KeyPair,
        signer: Signer<'_>,
        url: &Url,
        payload: &str,
    ) -> Result<Response, Stopped> {
        let mut fresh = None;
        let mut tries = 1;
        loop {
            let nonce = match fresh.take().or_else(|| self.nonces.take(self.now())) {
                Some(nonce) => nonce,
                None => self.fetch_nonce().await?,
            };
            let body = jws::sign(key, signer, &nonce, url, payload);
            let body = body.map_err(|error| Stopped::ours(step, error.to_string()))?;
            let (accept, limit) = expected(step);
            let answer = self.http.post(&url.0, JOSE, accept, body, limit).await;
            let answer = answer.map_err(|error| Stopped::new(step, Trouble::Transport(error)))?;
            let next = nonce::of_answer(&answer);
            if answer.is_success() {
                self.nonces.keep(next, self.now());
                return Ok(answer);
            }
            if tries == NONCE_TRIES || !is_bad_nonce(&answer) {
                self.nonces.keep(next, self.now());
                return Err(self.refusal(step, answer));
            }
            // Not through the pool: what else is in there may be as stale as the one refused.
            fresh = next;
            tries += 1;
        }
    }

    /// Makes a refusal of an answer, and forgets the directory if the CA may have moved.
    fn refusal(&self, step: Step, answer: Response) -> Stopped {
        let listed = matches!(
            step,
            Step::Nonce | Step::NewAccount | Step::NewOrder | Step::RenewalInfo | Step::Revoke
        );
        if listed && matches!(answer.status, 301..=308 | 404 | 405 | 410) {
            self.keep_directory(None);
        }
        Stopped::new(step, Trouble::Refused(Box::new(answer)))
    }

    pub(super) fn key(&self, step: Step, slot: &Slot) -> Result<KeyPair, Stopped> {
        let der = self.shelf.key(slot).map_err(|error| Stopped::ours(step, error.to_string()))?;
        let unusable = |error| Stopped::ours(step, format!("key of slot {slot}: {error}"));
        KeyPair::from_pkcs8(&der).map_err(unusable)
    }

    pub(super) fn must_be_ours(&self, step: Step, issuer: &Name) -> Result<(), Stopped> {
        let own = &self.settings.issuer;
        if issuer == own {
            return Ok(());
        }
        Err(Stopped::ours(step, format!("an action for {issuer} was given to the client of {own}")))
    }
}

fn is_bad_nonce(answer: &Response) -> bool {
    problem::of_answer(answer).is_some_and(|problem| &*problem.kind == "badNonce")
}

/// What a step's answer is, and how large it may be.
const fn expected(step: Step) -> (&'static str, usize) {
    match step {
        Step::Chain => ("application/pem-certificate-chain", x509::MAX_PEM_LEN),
        Step::Directory
        | Step::Nonce
        | Step::NewAccount
        | Step::NewOrder
        | Step::Respond
        | Step::Finalize
        | Step::Order
        | Step::Authorization
        | Step::RenewalInfo
        | Step::Account
        | Step::ChangeKey
        | Step::EndAccount
        | Step::Revoke => (JSON, MAX_JSON),
    }
}

/// How often one request is sent while only its nonce is refused. With Pebble refusing 30 % by
/// design, all twelve fail once in two million requests.
const NONCE_TRIES: u32 = 12;

/// How large a JSON answer may be. An order of 1,000 names has about 150 KiB.
const MAX_JSON: usize = 1024 * 1024;

const JSON: &str = "application/json";
const JOSE: &str = "application/jose+json";
