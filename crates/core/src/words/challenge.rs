//! Challenges and the answers we put up for them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Identifier, Name, Standing};

/// The type of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// RFC 8555 section 8.3.
    #[serde(rename = "http-01")]
    Http01,
    /// RFC 8555 section 8.4.
    #[serde(rename = "dns-01")]
    Dns01,
    /// RFC 8737.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// draft-ietf-acme-dns-account-label-02.
    #[serde(rename = "dns-account-01")]
    DnsAccount01,
    /// draft-ietf-acme-dns-persist-01: proven by a record that stays.
    #[serde(rename = "dns-persist-01")]
    DnsPersist01,
    /// One that this release cannot answer.
    #[serde(untagged)]
    Other(Box<str>),
}

impl ChallengeKind {
    /// Returns the type as RFC 8555 writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::DnsAccount01 => "dns-account-01",
            Self::DnsPersist01 => "dns-persist-01",
            Self::Other(text) => text,
        }
    }

    /// Returns whether the answer is a DNS record: only such prove wildcards, and none proves an
    /// address.
    ///
    /// Source: RFC 8738 section 4; RFC 8737 section 3; every CA of the public web for wildcards.
    #[must_use]
    pub const fn is_in_dns(&self) -> bool {
        match self {
            Self::Dns01 | Self::DnsAccount01 | Self::DnsPersist01 => true,
            Self::Http01 | Self::TlsAlpn01 | Self::Other(_) => false,
        }
    }

    /// Returns whether one place can show one answer for a name at a time.
    ///
    /// The server of a tls-alpn-01 answer hears the name and no token: of two certificates that are
    /// proven at once, the second has to wait.
    #[must_use]
    pub const fn shows_one_at_a_time(&self) -> bool {
        matches!(self, Self::TlsAlpn01)
    }
}

/// Where a DNS answer goes: the end of the CNAME chain that begins at `_acme-challenge.<name>` (for
/// dns-account-01 at a label of the account's below it, for dns-persist-01 at
/// `_validation-persist.<name>`), and the zone that holds it. Found by an ask and recorded *before* presenting, so that a crash in
/// between knows what to withdraw, even if the CNAME has moved since.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The owner name of the TXT record, without final dot.
    pub record: Box<str>,
    /// The apex of the zone that holds it, without final dot.
    pub zone: Box<str>,
    /// The zone's authoritative servers, as far as their addresses could be found.
    pub servers: Box<[SocketAddr]>,
}

/// A challenge answer: all that is needed to put it up or to take it down, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who presents it.
    pub solver: Name,
    /// For which type of challenge.
    pub kind: ChallengeKind,
    /// Which name is validated, without `*.`.
    pub identifier: Identifier,
    /// The challenge's token.
    pub token: Box<str>,
    /// Thumbprint of the account key; `token.thumbprint` is the key authorization.
    pub thumbprint: Box<str>,
    /// Where it goes; only for types answered in DNS.
    pub place: Option<Place>,
    /// What it says, where it is a record that stays; it has no token and no thumbprint then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Box<Standing>>,
}

impl Answer {
    /// Returns whether both are one record that stays, however its servers were found.
    #[must_use]
    pub fn is_same_record(&self, other: &Self) -> bool {
        let record = |answer: &Self| answer.place.as_ref().map(|place| place.record.clone());
        self.standing.is_some()
            && self.standing == other.standing
            && self.solver == other.solver
            && record(self) == record(other)
    }
}

/// What the authoritative servers of a DNS answer show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Showing {
    /// Servers that show the expected value.
    pub showing: Vec<SocketAddr>,
    /// Servers that answer, without the value.
    pub lagging: Vec<SocketAddr>,
    /// Servers that do not answer.
    pub silent: Vec<SocketAddr>,
}
