//! What is seen at endpoints and found at targets.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Fingerprint, LeafFacts, TlsaSet};

/// One look at one endpoint: every address of it, each by a fresh handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// One entry for each address looked at.
    pub handshakes: Vec<Handshake>,
    /// The service's TLSA records; absent where they could not be looked up, or were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlsa: Option<TlsaSet>,
}

/// What one fresh handshake with one address showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// Which address; the port is the endpoint's.
    pub address: SocketAddr,
    /// What was found.
    pub state: SightState,
    /// The leaf served, whenever one was; shared facts are looked up by fingerprint.
    pub leaf: Option<Arc<LeafFacts>>,
    /// What went wrong, in words, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<str>>,
    /// What is in doubt of a chain that is fine, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubts: Option<Box<Doubts>>,
    /// How many of several connections showed this, where several servers share the address: each
    /// thing that was shown is one entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// A part of the fresh connections that were made to an address. What no connection met is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// How many showed this.
    pub shown: u8,
    /// Of how many.
    pub of: u8,
}

/// What is in doubt of a chain that is fine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubts {
    /// Why it could not be looked up whether the leaf is revoked, where that was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Box<str>>,
    /// The trust stores that refuse the chain although another one accepts it.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub refused_by: Box<[Refusal]>,
}

/// A trust store that refuses a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whose roots they are, as people call it.
    pub store: Box<str>,
    /// Why.
    pub cause: Box<str>,
}

/// The distinct states of DESIGN "Verifying". The wire's part only: whether the leaf is the right
/// one is judged in core, which knows which leaf is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SightState {
    /// A chain that a client would accept for this name, now.
    Ok,
    /// The leaf or a certificate of its chain has expired.
    Expired,
    /// Not valid yet.
    NotYetValid,
    /// Not for this name.
    NameMismatch,
    /// No path to a trusted root.
    Untrusted,
    /// A path exists only with certificates that the server does not send.
    IncompleteChain,
    /// Revoked.
    Revoked,
    /// No connection.
    Unreachable,
    /// A connection, but no TLS.
    NoTls,
    /// The server demands a client certificate and says no more.
    ClientCertificateDemanded,
    /// This vantage cannot look there (no IPv6 here, say).
    CannotLook,
}

/// What a look into a target's own store found. Proves nothing about what is served (law 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The leaf found there, if any.
    pub leaf: Option<Arc<LeafFacts>>,
    /// Whether the files were written by us.
    pub ours: bool,
    /// Leaves staged there but not active.
    pub staged: Box<[Fingerprint]>,
    /// Whether the key beside the leaf belongs to it; absent where there is no key or no leaf.
    pub key_matches: Option<bool>,
    /// Why clients may not be shown what is installed there, for people: a server block that reads
    /// other files, say.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub remarks: Box<[Box<str>]>,
    /// Where bundles lie, with their keys, that are of the past and should be gone.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub leftovers: Box<[Box<str>]>,
}
