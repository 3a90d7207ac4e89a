//! The words of the project: one word, one thing. RFC terms win.
//!
//! Nothing here decides; these are the values that records, actions and decisions are made of.

mod acme;
mod challenge;
mod failure;
mod leaf;
mod name;
mod objection;
mod persist;
mod problem;
mod protocol;
mod revocation;
mod sight;
mod text;
pub(crate) mod time;
mod tlsa;

pub use acme::{
    AccountFacts, AccountStatus, AriCertId, AuthorizationFacts, AuthorizationStatus, ChainFacts,
    ChallengeFacts, ChallengeStatus, DirectoryFacts, OrderFacts, OrderStatus, Problem,
    RenewalInfoFacts, SubProblem, Url,
};
pub use challenge::{Answer, ChallengeKind, Place, Showing};
pub use failure::{Blame, Failure, FailureKind};
pub use leaf::{
    BundleId, Fingerprint, KeyAlgorithm, KeyFacts, KeyId, KeyKind, LeafFacts, Link, Slot, Traits,
    Variant,
};
pub use name::{Identifier, IdentifierError, Name};
pub use objection::Objection;
pub use persist::{Persist, Standing};
pub use problem::{RateLimit, blame_problem, blame_status};
pub use protocol::Protocol;
pub use revocation::RevocationReason;
pub use sight::{Doubts, Handshake, Installed, Refusal, Sample, Sight, SightState};
pub use time::{Permille, SuggestedWindow, Validity, after};
pub use tlsa::{TlsaRecord, TlsaSelector, TlsaSet, TlsaUsage};
