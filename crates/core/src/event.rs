//! Events: what a record says.
//!
//! Each event is a kind and a body. The kinds are fixed for ever: an old record always folds, and
//! a kind this release does not know is kept and skipped. A new field must work when it is absent.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::{ActKind, Outcome};
use crate::finding::{Code, Severity};
use crate::intent::{CertificateSpec, EndpointSpec, IssuerSpec, SolverSpec, TargetSpec};
use crate::state::{Leaf, Saved, known_shape};
use crate::words::{
    Answer, AriCertId, AuthorizationFacts, Blame, BundleId, ChainFacts, DirectoryFacts, Failure,
    Identifier, Installed, KeyFacts, LeafFacts, Name, Objection, OrderFacts, Permille, Place,
    RenewalInfoFacts, RevocationReason, Showing, Sight, Slot, Url,
};

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($body:ty) = $kind:literal,)*) => {
        /// What a record says.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $variant($body),)*
        }

        impl Event {
            /// Every kind there is.
            pub const KINDS: &'static [&'static str] = &[$($kind,)*];

            /// Returns the kind as the journal writes it.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                }
            }

            /// Returns the body as JSON.
            #[must_use]
            pub fn body(&self) -> String {
                let body = match self {
                    $(Self::$variant(body) => serde_json::to_string(body),)*
                };
                // Our shapes have string keys and no failing `Serialize`: writing them cannot fail.
                body.unwrap_or_default()
            }

            /// Reads an event.
            #[must_use]
            pub fn decode(kind: &str, body: &str) -> Decoded {
                match kind {
                    $($kind => Decoded::of(serde_json::from_str(body).map(Self::$variant)),)*
                    _ => Decoded::Unknown,
                }
            }
        }
    };
}

/// What became of reading an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// It was read.
    Event(Box<Event>),
    /// A kind that this release does not know.
    Unknown,
    /// A known kind whose body cannot be read: why.
    Unreadable(String),
}

impl Decoded {
    fn of(read: Result<Event, serde_json::Error>) -> Self {
        match read {
            Ok(event) => Self::Event(Box::new(event)),
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

events! {
    /// An act was admitted; it is performed once this record is durable.
    Started(Started) = "act.started",
    /// An act ended.
    Ended(Ended) = "act.ended",
    /// A finding became an incident.
    IncidentOpened(IncidentOpened) = "incident.opened",
    /// An incident's severity changed, or what shows it did.
    IncidentChanged(IncidentChanged) = "incident.changed",
    /// The finding is gone.
    IncidentResolved(IncidentResolved) = "incident.resolved",
    /// The state of the stream up to here; what came before may go to the archive.
    Checkpoint(Checkpoint) = "checkpoint",

    /// This instance started.
    InstanceStarted(InstanceStarted) = "instance.started",
    /// The clock was ahead and was set back: the stream's moments that have not come yet move too.
    ClockPutRight(ClockPutRight) = "clock.put-right",
    /// A declaration was refused; the last good one stays.
    IntentRefused(IntentRefused) = "intent.refused",
    /// A declaration was taken on.
    IntentAccepted(IntentAccepted) = "intent.accepted",
    /// A declaration that drops many certificates waits for a person.
    IntentHeld(IntentHeld) = "intent.held",

    /// What this instance stands on that fails now: its disk, its ports. It replaces what was told.
    InstanceTroubled(InstanceTroubled) = "instance.troubled",

    /// The store was restored from a backup: nothing is done until a person resumes.
    InstanceRestored(InstanceRestored) = "instance.restored",
    /// A person has seen how things stand after a restore, and lets us go on.
    InstanceResumed(Empty) = "instance.resumed",

    /// The operator declared an issuer, or changed it.
    IssuerDeclared(IssuerSpec) = "issuer.declared",
    /// What the CA's directory says.
    DirectorySeen(DirectoryFacts) = "directory.seen",
    /// An account that another tool made goes on as ours.
    AccountImported(AccountImported) = "account.imported",
    /// The CA says that it does not know our account.
    AccountLost(AccountLost) = "account.lost",
    /// A person wants our account to have another key.
    AccountKeyRequested(Empty) = "account.key-requested",
    /// Which account a key has, asked for since it is not known which key ours has.
    AccountHolderSeen(AccountHolderSeen) = "account.holder-seen",
    /// Another key for our account was given up: the present one stays.
    AccountKeyDropped(Empty) = "account.key-dropped",
    /// A person wants our account ended.
    AccountEndRequested(Empty) = "account.end-requested",
    /// A person has seen that our account has another URL than before.
    AccountConfirmed(Empty) = "account.confirmed",
    /// A new order was admitted; it was paid for from the issuer's budget.
    OrderAdmitted(OrderAdmitted) = "order.admitted",
    /// The issuer was at fault for something.
    Blamed(Failure) = "blamed",
    /// The issuer works again.
    Cleared(Empty) = "cleared",
    /// The issuer's list of the revoked could not be had for long, as a certificate shows, or shows
    /// no more.
    RevocationUnknown(RevocationUnknown) = "revocation.unknown",

    /// The validation of a name failed at the issuer, for whichever certificate.
    ValidationFailed(Box<ValidationFailed>) = "validation.failed",
    /// The validation of a name that had failed there lately went well.
    ValidationPassed(ValidationPassed) = "validation.passed",

    /// The operator declared a solver, or changed it.
    SolverDeclared(SolverSpec) = "solver.declared",
    /// The operator declared a target, or changed it.
    TargetDeclared(TargetSpec) = "target.declared",

    /// The operator declared a certificate, or changed it.
    CertificateDeclared(Box<CertificateSpec>) = "certificate.declared",
    /// The thing is in the operator's file no more. Certificates are renewed all the same (law 8).
    Undeclared(Empty) = "undeclared",
    /// What lies at a target.
    TargetInspected(TargetInspected) = "target.inspected",
    /// What an endpoint serves.
    EndpointSeen(EndpointSeen) = "endpoint.seen",
    /// Nothing that is looked at regularly had changed until this record's time.
    SeenThrough(Empty) = "seen.through",
    /// The certificate is declared under another name now; that one goes on.
    CertificateRenamed(CertificateRenamed) = "certificate.renamed",
    /// The leaf of the certificate that this one was declared as before.
    LeafInherited(Box<Leaf>) = "leaf.inherited",
    /// A valid leaf that somebody else installed is taken on with its own schedule.
    LeafAdopted(Arc<LeafFacts>) = "leaf.adopted",
    /// A leaf that another tool got, with its key, goes on as ours.
    LeafImported(Box<LeafImported>) = "leaf.imported",
    /// The CA's suggestion of when to renew, and where in it we go.
    RenewalInfoSeen(RenewalInfoSeen) = "renewal-info.seen",
    /// A person asked for a renewal.
    RenewalRequested(Empty) = "renewal.requested",
    /// A person confirmed a leaf: it goes to its targets whatever speaks against it.
    LeafConfirmed(LeafConfirmed) = "leaf.confirmed",
    /// The reserve began, and a leaf goes to a target although something speaks against it.
    HoldOverruled(Box<HoldOverruled>) = "hold.overruled",
    /// An attempt to renew began, with every choice made.
    AttemptBegan(Box<AttemptBegan>) = "attempt.began",
    /// Something is wrong with the attempt; it goes on or is ended next.
    AttemptTroubled(Failure) = "attempt.troubled",
    /// An attempt ended without a leaf.
    AttemptEnded(Box<AttemptEnded>) = "attempt.ended",
    /// How the attempt's order stands.
    OrderSeen(Box<OrderFacts>) = "order.seen",
    /// How one of its authorizations stands.
    AuthorizationSeen(Box<AuthorizationFacts>) = "authorization.seen",
    /// Where a DNS answer goes.
    PlaceFound(PlaceFound) = "place.found",
    /// What the authoritative servers show of an answer.
    AnswerShown(AnswerShown) = "answer.shown",
    /// It is time to tell the CA, with what the servers show.
    AnswerAwaited(AnswerAwaited) = "answer.awaited",
    /// The process that had put up answers ended; whether they are up still is not known.
    AnswersDoubted(Empty) = "answers.doubted",
    /// The issued chain was fetched and is in the store.
    ChainSeen(Arc<LeafFacts>) = "chain.seen",
    /// One of several chains of the issued leaf was fetched, or cannot be.
    ChainOffered(Box<ChainOffered>) = "chain.offered",
    /// One of several chains was chosen.
    ChainChosen(ChainChosen) = "chain.chosen",
    /// A person wants a leaf revoked.
    RevocationRequested(RevocationRequested) = "revocation.requested",
    /// A leaf that was to be revoked has ended by itself.
    RevocationMoot(RevocationMoot) = "revocation.moot",
    /// A withdrawal that failed many times was given up: a person said so, or too many are owed.
    WithdrawalAbandoned(Answer) = "withdrawal.abandoned",
    /// An answer that could not be withdrawn, or was to stay, is seen to be gone.
    AnswerGone(Answer) = "answer.gone",
    /// An answer that stays after its validation is of no use any more, and is to be withdrawn.
    AnswerSpent(Answer) = "answer.spent",
}

/// An act that was admitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// What it does.
    pub act: ActKind,
    /// What outlives this is `Unknown`.
    pub deadline_at: Timestamp,
}

/// How an act ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The version of its `act.started` in this stream.
    pub of: u64,
    /// How.
    pub outcome: Outcome,
    /// Whether it is unknown because this process ended: nobody failed, and it is repeated at once.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub interrupted: bool,
}

/// The clock was set back to the record's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockPutRight {
    /// What it showed last.
    pub was: Timestamp,
}

/// Nothing more to say than the kind does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// A finding became an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentOpened {
    /// Which finding.
    pub code: Code,
    /// What it is about, within the stream: a name, an address, a target. Empty: the stream itself.
    pub subject: Box<str>,
    /// How bad.
    pub severity: Severity,
    /// Whose fault.
    pub blame: Option<Blame>,
    /// What shows it.
    pub evidence: Box<str>,
}

/// An incident's severity changed, or what shows it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentChanged {
    /// Which finding.
    pub code: Code,
    /// What it is about.
    pub subject: Box<str>,
    /// How bad it is now.
    pub severity: Severity,
    /// What shows it now, where that means something else than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<str>>,
    /// Whose fault it is now; told with the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
}

/// The finding is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentResolved {
    /// Which finding.
    pub code: Code,
    /// What it was about.
    pub subject: Box<str>,
}

/// The state of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The shape of `state`; older shapes are upcast when read.
    #[serde(deserialize_with = "known_shape")]
    pub shape: u16,
    /// The state.
    pub state: Saved,
}

/// This instance started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceStarted {
    /// The program's version.
    pub version: Box<str>,
}

/// A declaration was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntentRefused {
    /// The first message, and how many more.
    pub message: Box<str>,
}

/// A declaration was taken on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntentAccepted {
    /// How many certificates it declares.
    pub certificates: u64,
}

/// A declaration waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntentHeld {
    /// The certificates that are missing from it.
    pub missing: Vec<Name>,
}

/// What this instance stands on, and fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceTroubled {
    /// All of it; empty once everything works.
    pub troubles: Vec<Failure>,
}

/// The store was restored from a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRestored {
    /// How this instance is called from now on, so that it is not taken for the one that was backed up.
    pub id: Box<str>,
    /// When the backup was made.
    pub backed_up_at: Timestamp,
}

/// An account that another tool made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountImported {
    /// Its key, which lies in the account's slot.
    pub key: KeyFacts,
    /// Its URL, where the tool had written it down; otherwise the CA is asked by the key.
    pub url: Option<Url>,
    /// Which tool.
    pub from: Box<str>,
}

/// A leaf that another tool got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafImported {
    /// What it says of itself.
    pub facts: Arc<LeafFacts>,
    /// The bundle in the store.
    pub bundle: BundleId,
    /// Who issued it, under the account that is ours now; absent where that is not known.
    pub issuer: Option<Name>,
    /// Which tool.
    pub from: Box<str>,
}

/// The CA does not know our account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountLost {
    /// The URL that it had.
    pub url: Url,
}

/// Which account a key has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountHolderSeen {
    /// The key's slot.
    pub key: Slot,
    /// The account's URL, if it has one.
    pub url: Option<Url>,
}

/// A new order was paid for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderAdmitted {
    /// For which certificate.
    pub certificate: Name,
    /// Whether its last attempt failed; those get a fifth of the budget at most.
    pub after_failure: bool,
}

/// The validation of a name failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationFailed {
    /// Which, without a wildcard's label.
    pub identifier: Identifier,
    /// What the CA said.
    pub failure: Failure,
}

/// The validation of a name went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationPassed {
    /// Which, without a wildcard's label.
    pub identifier: Identifier,
}

/// An issuer's list of the revoked could not be had for long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationUnknown {
    /// The certificate whose endpoints show it; absent once those show it no more.
    pub certificate: Option<Name>,
}

/// The certificate has another name now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateRenamed {
    /// Which.
    pub to: Name,
}

/// What lies at a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetInspected {
    /// Which.
    pub target: Name,
    /// What was found, or why it could not be looked at.
    pub found: Result<Installed, Failure>,
}

/// What an endpoint serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointSeen {
    /// Which.
    pub endpoint: EndpointSpec,
    /// What was seen, or why it could not be looked at.
    pub sight: Result<Sight, Failure>,
    /// The targets at which the newest leaf counts as seen by now. Absent in the first records:
    /// there it is every target once every address of every endpoint showed it, and none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Box<[Name]>>,
}

/// The CA's suggestion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenewalInfoSeen {
    /// Of which leaf.
    pub leaf: AriCertId,
    /// What the CA says.
    pub facts: RenewalInfoFacts,
    /// Our place in the window, drawn once for each window.
    pub spread: Permille,
}

/// A person wants a leaf revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationRequested {
    /// Its number.
    pub leaf: u32,
    /// Why.
    pub reason: RevocationReason,
    /// Whether that does not wait until its replacement is seen.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub at_once: bool,
}

/// A leaf that was to be revoked has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationMoot {
    /// Its number.
    pub leaf: u32,
}

/// A person confirmed a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafConfirmed {
    /// Its number.
    pub leaf: u32,
}

/// A leaf goes ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOverruled {
    /// To which target.
    pub target: Name,
    /// What speaks against it.
    pub objections: Box<[Objection]>,
}

/// An attempt began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptBegan {
    /// By whom.
    pub issuer: Name,
    /// For which names.
    pub identifiers: Arc<[Identifier]>,
    /// With which key.
    pub key: Slot,
    /// Under which profile.
    pub profile: Option<Box<str>>,
    /// Which leaf it replaces, for the CA.
    pub replaces: Option<AriCertId>,
    /// Why now.
    pub reason: Reason,
    /// When the reserve of the leaf that is to be replaced begins; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve_at: Option<Timestamp>,
    /// Whether the CA asks for it clearly before the schedule would, as it does when it must revoke.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub hurried: bool,
}

/// Why a renewal is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No valid leaf covers the names.
    Uncovered,
    /// The declared names are not the leaf's.
    NamesChanged,
    /// A target has no valid leaf, and we hold none that could go there.
    TargetUncovered,
    /// The leaf is revoked: its CA's list says so, as an endpoint that serves it showed.
    Revoked,
    /// The CA's suggestion says so.
    Suggested,
    /// Our own schedule says so.
    Scheduled,
    /// A person said so.
    Requested,
}

/// One of several chains of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainOffered {
    /// Where the CA has it.
    pub certificate: Url,
    /// The chain, or why it cannot be had.
    pub found: Result<ChainFacts, Failure>,
}

/// One of several chains was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainChosen {
    /// Where the CA has it.
    pub certificate: Url,
}

/// An attempt ended without a leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnded {
    /// Why.
    pub failure: Failure,
    /// The share of the retry delay that chance adds.
    pub jitter: Permille,
}

/// Where a DNS answer goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaceFound {
    /// For which authorization.
    pub authorization: Url,
    /// Where.
    pub place: Place,
}

/// What the servers show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerShown {
    /// For which authorization.
    pub authorization: Url,
    /// What.
    pub showing: Showing,
}

/// The waiting for an answer is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerAwaited {
    /// For which authorization.
    pub authorization: Url,
}

impl Event {
    /// Returns whether a reader that does not know the kind must refuse the stream: true where
    /// skipping would make it decide on a state that never was.
    #[must_use]
    pub const fn must_understand(&self) -> bool {
        matches!(self, Self::Checkpoint(_))
    }

    /// Returns a line for logs.
    #[must_use]
    pub fn brief(&self) -> String {
        format!("{} {}", self.kind(), self.body())
    }
}
