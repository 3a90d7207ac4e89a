//! Actions: what is decided, with every choice already made.
//!
//! An *act* changes the outside and is journalled before it is done. An *ask* only reads, has a
//! deadline, and may be repeated freely. Performing either needs no judgement; two interpreters
//! exist, the daemon's and the simulator's.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::intent::EndpointSpec;
use crate::record::Stream;
use crate::words::{
    AccountFacts, Answer, AriCertId, AuthorizationFacts, Blame, BundleId, ChainFacts,
    ChallengeFacts, ChallengeKind, DirectoryFacts, Failure, FailureKind, Fingerprint, Identifier,
    Installed, KeyAlgorithm, KeyFacts, Name, OrderFacts, Place, RenewalInfoFacts, RevocationReason,
    Showing, Sight, Slot, Url,
};

/// Which act: the stream it belongs to and the version of its `act.started` record there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActId {
    /// Whose act it is.
    pub stream: Stream,
    /// The version of its `Started`.
    pub version: u64,
}

impl fmt::Display for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.stream, self.version)
    }
}

/// An act that has been admitted and whose `Started` is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Which act.
    pub id: ActId,
    /// What outlives this moment is `Unknown`.
    pub deadline_at: Timestamp,
    /// What to do.
    pub kind: ActKind,
}

/// What an act does. Each may be repeated after `Unknown` without doubling its effect, except
/// `NewOrder`, of which at most one is doubled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActKind {
    /// Makes the key of a slot, or returns the facts of the one that is there already.
    MakeKey {
        /// Where it is kept.
        slot: Slot,
        /// Which kind.
        algorithm: KeyAlgorithm,
    },
    /// Removes the key of a slot that no leaf uses any more.
    DropKey {
        /// Which.
        slot: Slot,
    },
    /// Registers the key of a slot as an account, or finds the account it already is.
    NewAccount {
        /// Where.
        issuer: Name,
        /// The account's key.
        key: Slot,
        /// Whom the CA may write to.
        contact: Box<[Box<str>]>,
        /// Whether to bind it to an external account.
        eab: bool,
        /// Whether the terms are agreed to.
        agreed: bool,
    },
    /// Gives our account another key.
    ChangeKey {
        /// Which, by its present key.
        account: AccountRef,
        /// The slot of the next key.
        key: Slot,
    },
    /// Ends our account for good.
    EndAccount {
        /// Which.
        account: AccountRef,
    },
    /// Creates an order.
    NewOrder {
        /// Where, and as whom.
        account: AccountRef,
        /// For which names.
        identifiers: Arc<[Identifier]>,
        /// Under which profile.
        profile: Option<Box<str>>,
        /// Which leaf it replaces.
        replaces: Option<AriCertId>,
    },
    /// Puts up a challenge answer.
    Present {
        /// Which.
        answer: Answer,
    },
    /// Tells the CA that the answer is up.
    Respond {
        /// Where, and as whom.
        account: AccountRef,
        /// Which challenge.
        challenge: Url,
        /// Its type: what is sent differs.
        kind: ChallengeKind,
    },
    /// Takes down a challenge answer; one that is not there is fine.
    Withdraw {
        /// Which.
        answer: Answer,
    },
    /// Sends the CSR.
    Finalize {
        /// Where, and as whom.
        account: AccountRef,
        /// The order's finalize URL.
        finalize: Url,
        /// The order's own URL.
        order: Url,
        /// For which names.
        identifiers: Arc<[Identifier]>,
        /// With which key.
        key: Slot,
    },
    /// Has a leaf revoked; one that is revoked already is fine.
    Revoke {
        /// Where.
        issuer: Name,
        /// As whom; without one, by the leaf's own key.
        account: Option<AccountRef>,
        /// The leaf, with its key.
        bundle: BundleId,
        /// Why.
        reason: RevocationReason,
    },
    /// Joins a fetched chain and the key of a slot to a bundle in the store.
    KeepBundle {
        /// What `Ask::Chain` stored the chain under: its leaf's fingerprint, unless it is an alternate.
        leaf: Fingerprint,
        /// The key's slot.
        key: Slot,
    },
    /// Writes a bundle beside the active one, for nobody to see yet.
    Stage {
        /// Where.
        target: Name,
        /// For which certificate.
        certificate: Name,
        /// Which.
        bundle: BundleId,
    },
    /// Runs the target's own check on what is staged.
    Validate {
        /// Where.
        target: Name,
        /// For which certificate.
        certificate: Name,
        /// Which.
        bundle: BundleId,
    },
    /// Makes the staged bundle the active one and tells the server.
    Activate {
        /// Where.
        target: Name,
        /// For which certificate.
        certificate: Name,
        /// Which.
        bundle: BundleId,
        /// Whether files that are not ours are copied aside and replaced.
        take_over: bool,
    },
    /// Makes active again what was before a bundle, and tells the server.
    PutBack {
        /// Where.
        target: Name,
        /// For which certificate.
        certificate: Name,
        /// Which bundle is taken back.
        bundle: BundleId,
        /// The leaf that is to be active again.
        onto: Fingerprint,
        /// What is worse with it than before, in words.
        because: Box<str>,
    },
}

/// An account at an issuer: what every signed request needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRef {
    /// Which issuer.
    pub issuer: Name,
    /// The account's URL, the `kid`.
    pub url: Url,
    /// The account's key.
    pub key: Slot,
}

/// What an act learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// The key is durable.
    Key(KeyFacts),
    /// The key is gone.
    KeyDropped,
    /// The account as the CA has it.
    Account(AccountFacts),
    /// The account has the next key.
    KeyChanged,
    /// The order, from `NewOrder` and `Finalize`.
    Order(OrderFacts),
    /// The answer is up.
    Presented,
    /// The challenge after responding.
    Responded(ChallengeFacts),
    /// The answer is down.
    Withdrawn,
    /// The leaf is revoked.
    Revoked,
    /// The bundle is durable.
    Kept(BundleId),
    /// The bundle is staged.
    Staged,
    /// The target's check passed.
    Validated,
    /// The bundle is active and the server was told.
    Activated,
    /// What was before it is active again and the server was told.
    PutBack,
}

/// How an act ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It took effect.
    Done(Fact),
    /// It took no effect; where the failure's own kind is `Unknown`, it may have, and this is why
    /// nobody can tell.
    Failed(Failure),
    /// It cannot be known, nor why: the deadline passed, or we were restarted.
    Unknown,
}

/// An ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Who wants to know.
    pub stream: Stream,
    /// When to give up.
    pub deadline_at: Timestamp,
    /// What is asked.
    pub kind: AskKind,
}

/// What an ask asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskKind {
    /// What the CA offers.
    Directory {
        /// Which CA.
        issuer: Name,
    },
    /// Which account a key has, if it has one.
    Account {
        /// Which CA.
        issuer: Name,
        /// The key's slot.
        key: Slot,
    },
    /// How an order stands.
    Order {
        /// Where, and as whom.
        account: AccountRef,
        /// Which.
        order: Url,
    },
    /// How an authorization stands.
    Authorization {
        /// Where, and as whom.
        account: AccountRef,
        /// Which.
        authorization: Url,
    },
    /// The issued chain; the performer stores its bytes before it answers: the first one under the
    /// leaf's fingerprint, an alternate under a digest of its own.
    Chain {
        /// Where, and as whom.
        account: AccountRef,
        /// Which.
        certificate: Url,
        /// Whether it is an alternate to one that was fetched before.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        alternate: bool,
    },
    /// When the CA would like a leaf to be renewed.
    RenewalInfo {
        /// Which CA.
        issuer: Name,
        /// Which leaf.
        leaf: AriCertId,
    },
    /// Where the DNS answer for a name goes.
    Locate {
        /// Who would write it.
        solver: Name,
        /// Which name.
        identifier: Identifier,
        /// For which type of challenge.
        kind: ChallengeKind,
        /// As which account: the record of dns-account-01 is named by it.
        account: Url,
    },
    /// What the authoritative servers show of an answer.
    Look {
        /// Which answer.
        answer: Answer,
    },
    /// What lies at a target.
    Inspect {
        /// Where.
        target: Name,
        /// For which certificate.
        certificate: Name,
    },
    /// What an endpoint serves, at every address.
    Probe {
        /// Which.
        endpoint: EndpointSpec,
    },
}

impl AskKind {
    /// Makes the failure of a question that was not answered in time: at fault is whoever was asked.
    #[must_use]
    pub fn unanswered(&self) -> Failure {
        let issuer = |issuer: &Name| Blame::Issuer(issuer.clone());
        let (blame, attempted) = match self {
            Self::Directory { issuer: own } => {
                (issuer(own), format!("read the directory of {own}"))
            }
            Self::Account { issuer: own, .. } => {
                (issuer(own), format!("ask {own} for our account"))
            }
            Self::Order { account, order } => (issuer(&account.issuer), format!("ask for {order}")),
            Self::Authorization { account, authorization } => {
                (issuer(&account.issuer), format!("ask for {authorization}"))
            }
            Self::Chain { account, certificate, .. } => {
                (issuer(&account.issuer), format!("fetch {certificate}"))
            }
            Self::RenewalInfo { issuer: own, .. } => {
                (issuer(own), format!("ask {own} for renewal information"))
            }
            Self::Locate { identifier, .. } => {
                let zone = Blame::Zone(identifier.base().into());
                (zone, format!("find who serves _acme-challenge.{}", identifier.base()))
            }
            Self::Look { answer } => {
                let base = answer.identifier.base();
                let zone = answer.place.as_ref().map_or(base, |place| &place.zone);
                (Blame::Zone(zone.into()), format!("see the answer for {base} in DNS"))
            }
            Self::Inspect { target, .. } => {
                (Blame::Target(target.clone()), format!("look into target {target}"))
            }
            Self::Probe { endpoint } => {
                let place = endpoint.to_string();
                (Blame::Endpoint(place.as_str().into()), format!("look at {place}"))
            }
        };
        Failure {
            kind: FailureKind::Unknown,
            blame,
            attempted: attempted.into(),
            cause: "no answer came in time".into(),
            problem: None,
        }
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To `Directory`.
    Directory(DirectoryFacts),
    /// To `Account`.
    Account(Option<AccountFacts>),
    /// To `Order`.
    Order(OrderFacts),
    /// To `Authorization`.
    Authorization(AuthorizationFacts),
    /// To `Chain`.
    Chain(Box<ChainFacts>),
    /// To `RenewalInfo`.
    RenewalInfo(RenewalInfoFacts),
    /// To `Locate`.
    Place(Place),
    /// To `Look`.
    Showing(Showing),
    /// To `Inspect`.
    Installed(Installed),
    /// To `Probe`.
    Sight(Sight),
    /// The ask failed. An ask past its deadline fails as `Unknown`.
    Failed(Failure),
}
