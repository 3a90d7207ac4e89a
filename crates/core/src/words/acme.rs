//! What a CA says, read tolerantly: RFC 8555's objects without their transport.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChallengeKind, Fingerprint, Identifier, LeafFacts, Persist, SuggestedWindow};

/// A URL that a CA gave us. Opaque: it is compared and sent back, never taken apart in core.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Url(pub Box<str>);

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self(Box::from(text))
    }
}

/// How renewal information and `replaces` call a leaf: `base64url(AKI).base64url(serial)`.
///
/// Source: RFC 9773 section 4.1.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AriCertId(pub Box<str>);

/// What a directory tells.
///
/// Source: RFC 8555 section 7.1.1, RFC 9773 section 4, draft-ietf-acme-profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryFacts {
    /// Whether renewal information can be asked for.
    pub has_renewal_info: bool,
    /// Whether new accounts need an external account binding.
    pub needs_eab: bool,
    /// The terms of service, to be agreed to.
    pub terms: Option<Url>,
    /// The profiles on offer; empty where the CA has none.
    pub profiles: Box<[Box<str>]>,
    /// The names under which CAA records allow this CA.
    pub caa_identities: Box<[Box<str>]>,
}

/// Source: RFC 8555 section 7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// Usable.
    Valid,
    /// Ended by us.
    Deactivated,
    /// Ended by the CA.
    Revoked,
    /// A status this release does not know.
    Unknown,
}

/// What the CA says of our account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFacts {
    /// The account's URL, from `Location`.
    pub url: Url,
    /// Its status.
    pub status: AccountStatus,
}

/// Source: RFC 8555 section 7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Authorizations are missing.
    Pending,
    /// May be finalized.
    Ready,
    /// Is being issued.
    Processing,
    /// Has been issued.
    Valid,
    /// Is dead.
    Invalid,
    /// A status this release does not know (Pebble 2.4 says `deactivated`): treated as dead.
    Unknown,
}

/// What the CA says of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFacts {
    /// Its URL, from `Location` when it was made.
    pub url: Url,
    /// Its status.
    pub status: OrderStatus,
    /// What it is for, if the CA repeats it.
    pub identifiers: Arc<[Identifier]>,
    /// Its authorizations, in the CA's order (Pebble shuffles them).
    pub authorizations: Box<[Url]>,
    /// Where to send the CSR.
    pub finalize: Option<Url>,
    /// Where the chain can be fetched once valid.
    pub certificate: Option<Url>,
    /// When the CA forgets it.
    pub expires: Option<Timestamp>,
    /// The `replaces` that the CA took on, to be compared with what was sent.
    pub replaces: Option<AriCertId>,
    /// The profile that the CA says it issues under, to be compared with what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<str>>,
    /// Why it is dead.
    pub error: Option<Problem>,
    /// When to ask again, from `Retry-After`.
    pub retry_at: Option<Timestamp>,
}

/// Source: RFC 8555 section 7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// A challenge must be answered.
    Pending,
    /// Done.
    Valid,
    /// Failed.
    Invalid,
    /// Ended by us.
    Deactivated,
    /// Outlived its time.
    Expired,
    /// Ended by the CA.
    Revoked,
    /// A status this release does not know.
    Unknown,
}

/// What the CA says of an authorization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationFacts {
    /// Its URL.
    pub url: Url,
    /// What it is for, without `*.`.
    pub identifier: Identifier,
    /// Whether it is for the wildcard of `identifier`.
    pub wildcard: bool,
    /// Its status.
    pub status: AuthorizationStatus,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// The challenges on offer.
    pub challenges: Vec<ChallengeFacts>,
    /// When to ask again, from `Retry-After`.
    pub retry_at: Option<Timestamp>,
}

/// Source: RFC 8555 section 7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    /// Waits for us.
    Pending,
    /// Is being tried; may carry an error (RFC 8555 erratum 5732).
    Processing,
    /// Passed.
    Valid,
    /// Failed.
    Invalid,
    /// A status this release does not know.
    Unknown,
}

/// What the CA says of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeFacts {
    /// Its URL.
    pub url: Url,
    /// Its type.
    pub kind: ChallengeKind,
    /// Its token; some types have none.
    pub token: Option<Box<str>>,
    /// What a record that stays has to say, for dns-persist-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persist: Option<Box<Persist>>,
    /// Its status.
    pub status: ChallengeStatus,
    /// Why it failed.
    pub error: Option<Problem>,
}

/// A chain as a CA delivered it.
///
/// Source: RFC 8555 section 7.4.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainFacts {
    /// What its leaf says, and what holds of this very chain.
    pub leaf: Arc<LeafFacts>,
    /// What the store has it under: the leaf's fingerprint, or for an alternate its own digest.
    pub kept: Fingerprint,
    /// Where the CA says that other chains of the same leaf are.
    pub alternates: Box<[Url]>,
}

/// What the CA suggests about renewing a leaf.
///
/// Source: RFC 9773 section 4.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalInfoFacts {
    /// When.
    pub window: SuggestedWindow,
    /// A page for people, if the CA has a special reason.
    pub explanation: Option<Url>,
    /// When to ask again, from `Retry-After`.
    pub retry_at: Option<Timestamp>,
}

/// A problem document, kept whole.
///
/// Source: RFC 8555 section 6.7, RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The type without `urn:ietf:params:acme:error:`, or the whole URN of another family.
    pub kind: Box<str>,
    /// What the CA wrote.
    pub detail: Box<str>,
    /// The HTTP status.
    pub status: u16,
    /// One for each identifier, where the CA tells them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subproblems: Vec<SubProblem>,
}

/// The part of a problem that concerns one identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubProblem {
    /// The type, as in [`Problem::kind`].
    pub kind: Box<str>,
    /// What the CA wrote.
    pub detail: Box<str>,
    /// Whom it concerns.
    pub identifier: Option<Identifier>,
}
