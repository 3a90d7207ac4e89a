//! An ACME CA as a state machine: what it remembers, how it answers, and how it misbehaves.
//!
//! ```text
//! CaRequest ──ask──▶ CaReply            CaEffect ──(validate, sign)──▶ verdict, issued
//!                └──▶ effects ─────────────┘
//! ```
//!
//! It follows Boulder where RFC 8555 leaves a choice, since Boulder's choices are what clients
//! meet: an expired order is a 404 of type `malformed`; a failed validation shows only in its
//! authorization; `replaces` is refused with 409 while another order claims it; a pending order for
//! the same names is given again. Validating and signing are the surroundings' work, asked for by
//! [`CaEffect`], so that the sandbox does them over sockets and the simulator by asking its world.
//!
//! Deliberately absent: signatures, nonces and JSON (the skin's), revocation lists, key policy.
//!
//! Sources: RFC 8555, RFC 9773, draft-ietf-acme-profiles; Boulder as of 2026-08-07.

mod account;
mod authorization;
mod config;
mod finalize;
mod limits;
mod message;
mod new_order;
mod order;
mod problem;
mod renewal;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use perennial_core::words::{DirectoryFacts, Identifier, Url};

pub use config::{CaConfig, CaFaults, Limit, Limits, Outage, Profile};
pub use message::{
    AuthorizationId, CaAnswer, CaEffect, CaFact, CaReply, CaRequest, CaaRecheck, Csr, Delivery,
    IssuedLeaf, NewAccount, NewOrder, OrderId, Serial, Validation,
};
pub use problem::problem;

use super::Dice;
use account::{Account, AccountId};
use authorization::Authorization;
use limits::Spent;
use order::{Order, OrderKey};
use problem::{Answered, Refusal, good, internal, unavailable};
use renewal::Issued;

/// An ACME CA.
#[derive(Clone, Debug)]
pub struct Ca {
    /// How it is set up. May be changed while it runs, as a CA's is.
    pub config: CaConfig,
    /// What is wrong with it.
    pub faults: CaFaults,
    dice: Dice,
    /// What goes wrong with requests is thrown apart, so that asking more often does not change what
    /// is made.
    luck: Dice,
    last_id: u64,
    accounts: BTreeMap<AccountId, Account>,
    bound: BTreeSet<Box<str>>,
    orders: BTreeMap<OrderId, Order>,
    /// The newest order for an account's set of names under a profile.
    newest_order: BTreeMap<OrderKey, OrderId>,
    authorizations: BTreeMap<AuthorizationId, Authorization>,
    /// The newest valid authorization of an account's name.
    newest_valid: BTreeMap<(AccountId, Identifier), AuthorizationId>,
    leaves: BTreeMap<Serial, Issued>,
    /// Whether any leaf was ever revoked.
    has_revoked: bool,
    /// When an exact set of names was last issued for.
    last_issued: BTreeMap<Arc<[Identifier]>, Timestamp>,
    spent: Spent,
    effects: VecDeque<CaEffect>,
}

impl Ca {
    /// Opens a CA.
    #[must_use]
    pub fn new(config: CaConfig, mut dice: Dice) -> Self {
        let luck = dice.split();
        Self {
            config,
            faults: CaFaults::default(),
            dice,
            luck,
            last_id: 0,
            accounts: BTreeMap::new(),
            bound: BTreeSet::new(),
            orders: BTreeMap::new(),
            newest_order: BTreeMap::new(),
            authorizations: BTreeMap::new(),
            newest_valid: BTreeMap::new(),
            leaves: BTreeMap::new(),
            has_revoked: false,
            last_issued: BTreeMap::new(),
            spent: Spent::default(),
            effects: VecDeque::new(),
        }
    }

    /// Takes a request. What it needs done is then in [`Self::effects`].
    pub fn ask(&mut self, request: &CaRequest, now: Timestamp) -> CaReply {
        let after = self.faults.slow;
        // Thrown for every request, so that an outage does not shift later throws.
        let refuse_nonce = self.luck.chance(self.faults.bad_nonces);
        let lose = self.luck.chance(self.faults.lost_answers);
        if self.faults.outage == Outage::Unreachable {
            return CaReply { after, delivery: Delivery::Unreachable };
        }
        let answer = self.answer(request, refuse_nonce, now).unwrap_or_else(CaAnswer::from);
        let delivery = if lose { Delivery::Lost } else { Delivery::Answer(Box::new(answer)) };
        CaReply { after, delivery }
    }

    /// Returns whether what is asked regularly, the directory and renewal information, is answered
    /// as before until something is changed here.
    #[must_use]
    pub fn answers_alike(&self) -> bool {
        let CaFaults { outage, slow, lost_answers, incident, .. } = &self.faults;
        let is_whole = *outage == Outage::None && slow.is_zero() && incident.is_none();
        is_whole && *lost_answers == perennial_core::words::Permille::default() && !self.has_revoked
    }

    /// Takes out what the CA needs done, oldest first.
    pub fn effects(&mut self) -> impl Iterator<Item = CaEffect> + use<> {
        std::mem::take(&mut self.effects).into_iter()
    }

    /// Starts anew without memory, as Pebble does: accounts, orders and leaves are unknown.
    pub fn restart(&mut self) {
        let dice = self.dice.split();
        let last_id = self.last_id;
        let faults = std::mem::take(&mut self.faults);
        *self = Self { faults, last_id, ..Self::new(self.config.clone(), dice) };
    }

    /// Forgets every order and authorization: their URLs answer 404.
    pub fn forget_orders(&mut self) {
        self.orders.clear();
        self.newest_order.clear();
        self.authorizations.clear();
        self.newest_valid.clear();
    }

    /// Forgets that authorizations are valid: every order needs its validations anew.
    pub fn forget_validations(&mut self) {
        self.newest_valid.clear();
    }

    /// Ends every pause, as a person does on the CA's page.
    pub fn unpause(&mut self) {
        self.spent.unpause();
        self.faults.paused.clear();
    }

    fn answer(&mut self, request: &CaRequest, refuse_nonce: bool, now: Timestamp) -> Answered {
        if self.faults.outage == Outage::Unavailable {
            return Err(unavailable());
        }
        let signed = !matches!(request, CaRequest::Directory | CaRequest::RenewalInfo { .. });
        if signed && refuse_nonce {
            let detail = "JWS has an invalid anti-replay nonce";
            return Err(problem(400, "badNonce", detail).into());
        }
        match request {
            CaRequest::Directory => Ok(good(200, CaFact::Directory(self.directory()))),
            CaRequest::NewAccount(new) => self.new_account(new),
            CaRequest::Account { account, deactivate } => self.account(account, *deactivate),
            CaRequest::KeyChange { account, thumbprint } => self.key_change(account, thumbprint),
            CaRequest::NewOrder(new) => self.new_order(new, now),
            CaRequest::Order { account, order } => self.order(account, order, now),
            CaRequest::Authorization { account, authorization, deactivate } => {
                self.authorization(account, authorization, *deactivate, now)
            }
            CaRequest::Challenge { account, challenge } => self.challenge(account, challenge, now),
            CaRequest::Respond { account, challenge } => self.respond(account, challenge, now),
            CaRequest::Finalize { account, finalize, csr } => {
                self.finalize(account, finalize, csr, now)
            }
            CaRequest::Certificate { account, certificate } => {
                self.certificate(account, certificate)
            }
            CaRequest::RenewalInfo { leaf } => self.renewal_info(leaf, now),
            CaRequest::Revoke { account, serial } => self.revoke(account.as_ref(), serial),
        }
    }

    fn directory(&self) -> DirectoryFacts {
        let shown = self.config.profiles_shown;
        DirectoryFacts {
            has_renewal_info: self.config.renewal_info,
            needs_eab: !self.config.external_accounts.is_empty(),
            terms: self.config.terms.then(|| self.url("terms", "1")),
            profiles: self.config.profiles.keys().filter(|_| shown).cloned().collect(),
            caa_identities: self.config.caa_identities.clone(),
        }
    }

    fn url(&self, kind: &str, id: &str) -> Url {
        Url(format!("{}/{kind}/{id}", self.config.base).into())
    }

    /// Returns the part of one of our URLs behind its kind.
    fn id_in<'a>(&self, url: &'a Url, kind: &str) -> Option<&'a str> {
        url.0
            .strip_prefix(&*self.config.base)?
            .strip_prefix('/')?
            .strip_prefix(kind)?
            .strip_prefix('/')
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn outage_of_validation(&self) -> Result<(), Refusal> {
        if self.faults.outage == Outage::NewAuthorizations {
            return Err(internal("Error creating new order"));
        }
        Ok(())
    }
}
