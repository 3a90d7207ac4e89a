//! Failures: what kind, whose fault, what was attempted.

use alloc::boxed::Box;
use core::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Identifier, Name, Problem};

/// Why an act or an ask did not do what it was to do. Made once per adapter, in one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure; the retry table is by this and by blame.
    pub kind: FailureKind,
    /// The one thing at fault.
    pub blame: Blame,
    /// What was attempted on what: "create an order at letsencrypt".
    pub attempted: Box<str>,
    /// The chain of causes as text, outermost first, separated by ": ".
    pub cause: Box<str>,
    /// The CA's problem document, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.attempted, self.cause)
    }
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Worth trying again soon: no connection, a time-out before sending, 5xx.
    Transient,
    /// Refused until a moment; the CA's Retry-After, or our own reading of it.
    RateLimited {
        /// When to try again.
        until: Timestamp,
    },
    /// Refused, and the same request would be refused again until something changes.
    Refused,
    /// We may not: wrong credential, no account, account paused or deactivated.
    Unauthorized,
    /// The account key is unknown to the CA (`accountDoesNotExist`).
    AccountUnknown,
    /// The thing asked for is no more: order, authorization or challenge answered 404 or expired.
    Gone,
    /// The CA refuses the order for its `replaces`: the predecessor is replaced already, or it does
    /// not know it as ours (RFC 9773 section 5). The order is made again without.
    AlreadyReplaced,
    /// It cannot be known whether the act took effect: the answer was lost.
    Unknown,
}

/// The one thing at fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// A name: its validation fails for reasons of its own.
    Name(Identifier),
    /// A DNS zone: nobody answers for it, or it cannot be written.
    Zone(Box<str>),
    /// A solver: its credential or its server.
    Solver(Name),
    /// An issuer: its API.
    Issuer(Name),
    /// Our account at an issuer.
    Account(Name),
    /// A target.
    Target(Name),
    /// An endpoint.
    Endpoint(Box<str>),
    /// Ourselves: disk, clock, egress, resolver, configuration.
    Ourselves,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "name {name}"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
            Self::Solver(name) => write!(f, "solver {name}"),
            Self::Issuer(name) => write!(f, "issuer {name}"),
            Self::Account(name) => write!(f, "account at {name}"),
            Self::Target(name) => write!(f, "target {name}"),
            Self::Endpoint(text) => write!(f, "endpoint {text}"),
            Self::Ourselves => f.write_str("ourselves"),
        }
    }
}
