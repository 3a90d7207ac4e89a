//! What is known of an issuer: what it offers, our account there, its health, its budget.

use alloc::boxed::Box;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::account_key::KeyChange;
use super::deployment::Trouble;
use super::failing::{self, Failing};
use super::few::Few;
use super::history::History;
use crate::action::{AccountRef, ActKind, Fact, Outcome};
use crate::event::{AccountImported, Ended, Event};
use crate::intent::IssuerSpec;
use crate::words::time::after;
use crate::words::{
    AccountFacts, AccountStatus, DirectoryFacts, Failure, FailureKind, KeyFacts, Name, Slot, Url,
};

/// An issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its version, acts and incidents.
    pub history: History,
    /// What the operator declared.
    pub spec: IssuerSpec,
    /// Whether it is still declared.
    pub declared: bool,
    /// What its directory said last.
    pub directory: Option<DirectoryFacts>,
    /// Our account.
    pub account: Account,
    /// Whether it works.
    pub health: Health,
    /// How much of the new-order budget is spent.
    pub orders: OrderBudget,
    /// What went wrong with making the account, if nothing went right since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Box<Trouble>>,
    /// Names that failed validation there lately, for whichever certificates.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub failing: Few<Failing>,
    /// The certificate that shows, for long, that the list of the revoked cannot be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<Name>,
    /// When the last one that did showed it no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relisted_at: Option<Timestamp>,
    /// How often our account was given another key; also numbers the key's slot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key_number: u32,
    /// Another key that our account is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing: Option<Box<KeyChange>>,
    /// The number of a key that is to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_key: Option<u32>,
    /// Whether a person wants our account ended.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub ending: bool,
    /// When our account was ended for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Our account at an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// There is no key yet.
    Absent,
    /// The key is durable; the CA may or may not know it.
    Keyed {
        /// The key.
        key: KeyFacts,
        /// The URL it had before the CA forgot it.
        former: Option<Url>,
    },
    /// Usable.
    Ready {
        /// The key.
        key: KeyFacts,
        /// The account's URL.
        url: Url,
        /// The URL it had before, where that was another one: somebody may have pinned it in CAA.
        former: Option<Url>,
    },
    /// The CA does not want it.
    Refused {
        /// The key.
        key: KeyFacts,
        /// Why.
        failure: Box<Failure>,
        /// When to ask again.
        retry_at: Timestamp,
        /// How often in a row.
        failures: u16,
        /// The URL it had before, where it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        former: Option<Url>,
    },
}

/// Whether a shared thing works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How often in a row it was at fault.
    pub failures: u16,
    /// Nothing is admitted before this.
    pub closed_until: Option<Timestamp>,
    /// No order is admitted before this: the CA said so, and nothing else that works unsays it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_until: Option<Timestamp>,
    /// What it did last.
    pub last: Option<Box<Failure>>,
}

/// The generic cell rate algorithm, for orders and for orders of those that failed before.
///
/// Each field is the theoretical arrival time of the next order; a level of `n` tokens spent means
/// `n` emission intervals ahead of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBudget {
    /// Of all orders.
    pub all: Timestamp,
    /// Of those whose last attempt failed.
    pub after_failure: Timestamp,
}

impl Default for OrderBudget {
    fn default() -> Self {
        Self { all: Timestamp::UNIX_EPOCH, after_failure: Timestamp::UNIX_EPOCH }
    }
}

/// How often in a row a shared thing may be at fault before it is left alone for a while.
const FAULTS_BEFORE_CLOSING: u16 = 3;

/// Let's Encrypt's new orders per account: 300, one more every 36 s (rate-limits page, 2026-08-05).
const ORDER_EVERY: SignedDuration = SignedDuration::from_secs(36);

/// A fifth of it.
const ORDER_AFTER_FAILURE_EVERY: SignedDuration = SignedDuration::from_secs(180);

impl OrderBudget {
    /// How many orders may be created at once, when nothing was spent for long: fewer than the CA
    /// allows, since orders do not reach it at the distances at which they were admitted.
    pub const BURST: i32 = 280;

    /// How far ahead of now its fields may be: the whole burst.
    pub(super) const AHEAD_AT_MOST: SignedDuration = SignedDuration::from_secs(36 * 280);

    fn spend(&mut self, at: Timestamp, after_failure: bool) {
        self.all = after(self.all.max(at), ORDER_EVERY);
        if after_failure {
            self.after_failure = after(self.after_failure.max(at), ORDER_AFTER_FAILURE_EVERY);
        }
    }

    /// Returns from when on an order may be created.
    #[must_use]
    pub fn free_at(&self, after_failure: bool) -> Timestamp {
        let burst = ORDER_EVERY.saturating_mul(Self::BURST - 1);
        let free = after(self.all, -burst);
        if !after_failure {
            return free;
        }
        let burst = ORDER_AFTER_FAILURE_EVERY.saturating_mul(Self::BURST / 5 - 1);
        free.max(after(self.after_failure, -burst))
    }
}

impl Health {
    fn blame(&mut self, at: Timestamp, failure: &Failure) {
        self.last = Some(Box::new(failure.clone()));
        if let FailureKind::RateLimited { until } = failure.kind {
            let until = until.min(after(at, LIMITED_AT_MOST));
            self.limited_until = self.limited_until.max(Some(until));
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAULTS_BEFORE_CLOSING {
            let until = after(at, closed_for(self.failures - FAULTS_BEFORE_CLOSING));
            self.closed_until = self.closed_until.max(Some(until));
        }
    }

    fn clear(&mut self, at: Timestamp) {
        let before = core::mem::take(self);
        if before.limited_until.is_some_and(|until| at < until) {
            self.limited_until = before.limited_until;
            self.last = before.last;
        }
    }

    /// Returns whether something may be admitted now.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.closed_until.is_none_or(|until| until <= now) && !self.is_limited(now)
    }

    /// Returns whether the CA wants no orders for now.
    #[must_use]
    pub fn is_limited(&self, now: Timestamp) -> bool {
        self.limited_until.is_some_and(|until| now < until)
    }
}

/// How long a CA's word that too much was asked is taken for: an answer that names a far day must
/// not end all renewals, and one order a day costs nobody anything.
pub(super) const LIMITED_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

/// How long a shared thing that is at fault is left alone at the most.
pub(super) const LEFT_ALONE_AT_MOST: SignedDuration = SignedDuration::from_mins(30);

/// How long a shared thing is left alone, by how often it was at fault after the first three:
/// one minute doubling up to half an hour. A CA's outage is noticed to be over within that.
fn closed_for(step: u16) -> SignedDuration {
    SignedDuration::from_mins(match step {
        0 => 1,
        1 => 2,
        2 => 4,
        3 => 8,
        4 => 16,
        _ => 30,
    })
}

/// Returns the slot of the first account key at an issuer.
#[must_use]
pub fn account_slot(issuer: &Name) -> Slot {
    Slot(alloc::format!("account/{issuer}").into())
}

impl Issuer {
    /// Makes the state of a newly declared issuer.
    #[must_use]
    pub fn new(spec: IssuerSpec) -> Self {
        Self {
            history: History::default(),
            spec,
            declared: true,
            directory: None,
            account: Account::Absent,
            health: Health::default(),
            orders: OrderBudget::default(),
            trouble: None,
            failing: Few::new(),
            unlisted: None,
            relisted_at: None,
            key_number: 0,
            changing: None,
            spent_key: None,
            ending: false,
            ended: None,
        }
    }

    /// Returns what signed requests need, once the account is usable.
    #[must_use]
    pub fn account_ref(&self, name: &Name) -> Option<AccountRef> {
        match &self.account {
            Account::Ready { .. } if self.ended.is_some() => None,
            Account::Ready { url, .. } => {
                Some(AccountRef { issuer: name.clone(), url: url.clone(), key: self.slot(name) })
            }
            Account::Absent | Account::Keyed { .. } | Account::Refused { .. } => None,
        }
    }

    /// Returns the thumbprint of the account's key, once there is one.
    #[must_use]
    pub fn thumbprint(&self) -> Option<&str> {
        match &self.account {
            Account::Absent => None,
            Account::Keyed { key, .. }
            | Account::Ready { key, .. }
            | Account::Refused { key, .. } => Some(&key.thumbprint),
        }
    }

    /// Takes in an event.
    pub fn fold(&mut self, version: u64, at: Timestamp, event: &Event) {
        let ended = self.history.fold(version, at, event);
        match event {
            Event::IssuerDeclared(spec) => {
                if self.ended.is_some() && !self.declared {
                    self.begin_anew();
                }
                if self.spec.directory != spec.directory {
                    self.move_to_another_ca();
                }
                self.spec = spec.clone();
                self.declared = true;
            }
            Event::Undeclared(_) => self.declared = false,
            Event::DirectorySeen(facts) => self.directory = Some(facts.clone()),
            Event::AccountConfirmed(_) => self.account.confirm(),
            Event::AccountKeyRequested(_) => self.want_key(at),
            Event::AccountKeyDropped(_) => self.drop_change(),
            Event::AccountHolderSeen(seen) => self.see_holder(seen),
            Event::AccountEndRequested(_) => self.ending = self.ended.is_none(),
            Event::RevocationUnknown(seen) => {
                self.unlisted.clone_from(&seen.certificate);
                self.relisted_at = seen.certificate.is_none().then_some(at);
            }
            Event::AccountImported(imported) => self.account.import(imported),
            Event::AccountLost(lost) => self.account.lose(&lost.url),
            Event::OrderAdmitted(admitted) => self.orders.spend(at, admitted.after_failure),
            Event::Blamed(failure) => self.health.blame(at, failure),
            Event::Cleared(_) => self.health.clear(at),
            Event::ValidationFailed(failed) => {
                failing::note(&mut self.failing, at, &failed.identifier, &failed.failure);
            }
            Event::ValidationPassed(passed) => {
                self.failing.retain(|known| known.identifier != passed.identifier);
            }
            Event::Ended(end) => {
                if let Some(act) = ended {
                    self.note(at, &act, end);
                    self.account.conclude(at, &act, &end.outcome);
                    self.conclude_key(at, &act, &end.outcome);
                }
            }
            _ => {}
        }
    }
}

impl Issuer {
    fn note(&mut self, at: Timestamp, act: &ActKind, end: &Ended) {
        let before = self.trouble.take();
        let before = before.as_deref();
        self.trouble = match &end.outcome {
            Outcome::Done(_) => None,
            Outcome::Failed(failure) => Some(Trouble::again(before, at, failure)),
            Outcome::Unknown => Some(Trouble::unknown(before, at, act, end.interrupted)),
        }
        .map(Box::new);
    }
}

impl Issuer {
    /// An account that was ended is not made again with the same key: its CA would refuse that.
    fn begin_anew(&mut self) {
        self.key_number = self.key_number.saturating_add(1);
        (self.account, self.changing, self.ended) = (Account::Absent, None, None);
    }

    /// Another directory is another CA: nothing that the former one said holds there, and our key
    /// is not known there yet.
    fn move_to_another_ca(&mut self) {
        self.directory = None;
        self.health = Health::default();
        self.orders = OrderBudget::default();
        self.failing = Few::new();
        (self.changing, self.ending, self.ended) = (None, false, None);
        self.account = match &self.account {
            Account::Absent => Account::Absent,
            Account::Keyed { key, .. }
            | Account::Ready { key, .. }
            | Account::Refused { key, .. } => Account::Keyed { key: key.clone(), former: None },
        };
    }
}

impl Account {
    /// Another tool's account becomes ours, where we have none.
    fn import(&mut self, imported: &AccountImported) {
        if *self != Self::Absent {
            return;
        }
        let key = imported.key.clone();
        *self = match imported.url.clone() {
            Some(url) => Self::Ready { key, url, former: None },
            None => Self::Keyed { key, former: None },
        };
    }

    fn lose(&mut self, lost: &Url) {
        if let Self::Ready { key, url, former } = self
            && url == lost
        {
            // The oldest is what somebody may have pinned; that it was lost again changes nothing.
            let former = former.take().or_else(|| Some(url.clone()));
            *self = Self::Keyed { key: key.clone(), former };
        }
    }

    fn confirm(&mut self) {
        if let Self::Ready { former, .. } = self {
            *former = None;
        }
    }

    fn conclude(&mut self, at: Timestamp, act: &ActKind, outcome: &Outcome) {
        match (act, outcome) {
            (ActKind::MakeKey { .. }, Outcome::Done(Fact::Key(key))) if *self == Self::Absent => {
                *self = Self::Keyed { key: key.clone(), former: None };
            }
            (ActKind::NewAccount { .. }, Outcome::Done(Fact::Account(facts))) => {
                self.register(at, facts);
            }
            (ActKind::NewAccount { .. }, Outcome::Failed(failure)) if is_refusal(failure.kind) => {
                self.refuse(at, failure);
            }
            // A CA that is down or busy says nothing of the account: that is the issuer's trouble,
            // and it is asked again when the issuer is.
            //
            // An unknown outcome is cleared up by asking again with the same key: registering a
            // key twice finds the account it already is (RFC 8555 section 7.3.1).
            _ => {}
        }
    }

    fn register(&mut self, at: Timestamp, facts: &AccountFacts) {
        let (key, former) = match self {
            Self::Absent => return,
            Self::Keyed { key, former } => (key.clone(), former.take()),
            Self::Ready { key, url, former } => {
                (key.clone(), former.take().or_else(|| Some(url.clone())))
            }
            Self::Refused { key, former, .. } => (key.clone(), former.take()),
        };
        if facts.status == AccountStatus::Valid {
            let former = former.filter(|url| *url != facts.url);
            *self = Self::Ready { key, url: facts.url.clone(), former };
        } else {
            let failure = Failure {
                kind: FailureKind::Unauthorized,
                blame: crate::words::Blame::Ourselves,
                attempted: "use the account".into(),
                cause: alloc::format!("the CA says the account is {:?}", facts.status).into(),
                problem: None,
            };
            *self = Self::Keyed { key, former };
            self.refuse(at, &failure);
        }
    }

    fn refuse(&mut self, at: Timestamp, failure: &Failure) {
        let (key, former, failures) = match self {
            Self::Absent => return,
            Self::Keyed { key, former } => (key.clone(), former.take(), 0),
            Self::Ready { key, url, former } => {
                (key.clone(), former.take().or_else(|| Some(url.clone())), 0)
            }
            Self::Refused { key, former, failures, .. } => (key.clone(), former.take(), *failures),
        };
        let failures = failures.saturating_add(1);
        let retry_at = after(at, closed_for(failures.saturating_sub(1)));
        let failure = Box::new(failure.clone());
        *self = Self::Refused { key, failure, retry_at, failures, former };
    }
}

/// Returns whether a failure to register is the CA's judgement of the account, and not its own
/// trouble (503, 429, no connection).
const fn is_refusal(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Refused
        | FailureKind::Unauthorized
        | FailureKind::AccountUnknown
        | FailureKind::Gone
        | FailureKind::AlreadyReplaced => true,
        FailureKind::Transient | FailureKind::RateLimited { .. } | FailureKind::Unknown => false,
    }
}
