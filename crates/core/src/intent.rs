//! Intent: everything the operator declared, validated. Not the file it came from.
//!
//! Secrets appear by name only; what a name stands for is known to the adapters alone.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::words::{ChallengeKind, Identifier, KeyAlgorithm, KeyId, Name, Protocol, Variant};

/// Everything declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// CAs with account and profile.
    pub issuers: BTreeMap<Name, IssuerSpec>,
    /// Means to present challenge answers.
    pub solvers: BTreeMap<Name, SolverSpec>,
    /// Places we write bundles to.
    pub targets: BTreeMap<Name, TargetSpec>,
    /// What must be covered.
    pub certificates: BTreeMap<Name, CertificateSpec>,
}

/// A CA directory, an account and a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerSpec {
    /// Where the directory is.
    pub directory: Box<str>,
    /// Whom the CA may write to, as `mailto:` URLs.
    pub contact: Box<[Box<str>]>,
    /// Whether an external account binding is configured; its values are the adapter's.
    pub eab: bool,
    /// The profile to order, where the CA offers profiles.
    pub profile: Option<Box<str>>,
    /// Whether the terms of service are agreed to.
    pub agreed: bool,
    /// Which rules apply to it.
    pub kind: IssuerKind,
    /// What kind of key a new account gets.
    #[serde(default, skip_serializing_if = "KeyAlgorithm::is_default")]
    pub account_key: KeyAlgorithm,
}

/// Whether the rules of the public web apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerKind {
    /// A CA of the public web: public suffixes, delegation, CAA and limits apply.
    #[default]
    Public,
    /// A CA of one's own.
    Private,
}

/// The means to present a challenge answer for some zones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SolverSpec {
    /// Which challenges it answers.
    pub kind: ChallengeKind,
    /// For which zones; empty means for every name.
    pub zones: Box<[Box<str>]>,
    /// Whether the record of another name is written, at the end of a CNAME.
    ///
    /// True for solvers that write DNS records. Zones then match the end of the chain too.
    pub follows_cname: bool,
    /// How long an answer may take until every authoritative server shows it.
    pub visible_within: SignedDuration,
    /// Whether a person puts the records up, and we only look.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub by_hand: bool,
}

/// A place we write bundles to. How is the adapter's; core needs to know what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSpec {
    /// Whether files that we did not write may be replaced (they are copied first).
    pub take_over: bool,
    /// Whether there is a command that validates what is staged before it is activated.
    pub validates: bool,
    /// How long after activating the old leaf may still be served.
    pub settle: SignedDuration,
    /// Where clients meet its server, and nowhere else. Empty: not declared.
    #[serde(default, skip_serializing_if = "<[Site]>::is_empty")]
    pub serves_at: Box<[Site]>,
}

/// Where clients meet a target's server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// An address, or a host that endpoints connect to.
    pub host: SiteHost,
    /// The port; every port where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// An address, or a host that endpoints connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SiteHost {
    /// An address.
    Address(IpAddr),
    /// A host, as an endpoint's `connect_to` has it.
    Name(Box<str>),
}

impl Site {
    /// Returns whether who goes to this address of an endpoint comes here. Without an address: who
    /// goes wherever the endpoint leads.
    #[must_use]
    pub fn is_met(&self, endpoint: &EndpointSpec, address: Option<SocketAddr>) -> bool {
        if self.port.is_some_and(|port| port != endpoint.port) {
            return false;
        }
        match &self.host {
            SiteHost::Address(ip) => address.is_some_and(|address| address.ip() == *ip),
            SiteHost::Name(name) => endpoint.connect_to.as_deref() == Some(name),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (SiteHost::Address(ip), Some(port)) => SocketAddr::new(*ip, port).fmt(f),
            (SiteHost::Address(ip), None) => ip.fmt(f),
            (SiteHost::Name(name), Some(port)) => write!(f, "{name}:{port}"),
            (SiteHost::Name(name), None) => f.write_str(name),
        }
    }
}

/// What must be covered, by whom, where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSpec {
    /// The names, sorted, without repetition; never empty.
    pub identifiers: Arc<[Identifier]>,
    /// The issuers allowed, in the order of preference; never empty.
    pub issuers: Arc<[Name]>,
    /// Which solver answers for which name: chosen once, by the longest matching zone.
    pub solvers: Arc<[Name]>,
    /// The targets that take it.
    pub targets: Arc<[Name]>,
    /// Where clients meet the names. Empty means: nothing can be seen, which is a finding.
    pub endpoints: Box<[EndpointSpec]>,
    /// Which key is made.
    pub key: KeyAlgorithm,
    /// Whether the operator chose `key`: what is only the default is no wish for a change.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub key_chosen: bool,
    /// Keys that clients pin (SHA-256 of the SPKI, as in RFC 7469 section 2.4): the leaf or a
    /// certificate above it must have one of them. Empty means that nobody does.
    #[serde(default, skip_serializing_if = "<[KeyId]>::is_empty")]
    pub pins: Box<[KeyId]>,
    /// The name of the root at which its chain is to end, where the CA offers several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Box<str>>,
    /// Whether each leaf gets a key of its own.
    pub rotation: KeyRotation,
    /// How long before the end to renew, if declared; clamped to half the lifetime.
    pub renew_before: Option<SignedDuration>,
    /// Who is told.
    pub owner: Option<Name>,
    /// The name under which it was declared before.
    pub was: Option<Name>,
}

/// Whether each leaf gets a key of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyRotation {
    /// Yes.
    #[default]
    Rotate,
    /// No: the key stays until it is compromised.
    Reuse,
}

/// A place clients meet a name. Only looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// The server name sent and judged.
    pub server_name: Identifier,
    /// Where to connect instead of to the name's own addresses: a declared origin, as host or
    /// address.
    pub connect_to: Option<Box<str>>,
    /// The port.
    pub port: u16,
    /// Whether the leaf served there is meant to be one of ours.
    pub serves: Serves,
    /// What is spoken before TLS begins.
    #[serde(default, skip_serializing_if = "Protocol::is_tls")]
    pub protocol: Protocol,
    /// Which kind of leaf is looked at, where the server has one of each; whichever it shows where
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// Whether several servers share its addresses: then one connection shows one of them, and
    /// several are made.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub shared: bool,
}

impl fmt::Display for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protocol != Protocol::usual_at(self.port) {
            write!(f, "{}://", self.protocol.as_str())?;
        }
        write!(f, "{}:{}", self.server_name, self.port)?;
        if let Some(origin) = &self.connect_to {
            write!(f, " at {origin}")?;
        }
        match self.variant {
            Some(variant) => write!(f, " ({variant})"),
            None => Ok(()),
        }
    }
}

/// Whose leaf an endpoint is meant to serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serves {
    /// One of ours.
    #[default]
    Ours,
    /// Somebody else's (an edge before our origin).
    Foreign,
}

/// Returns the solver that answers for a name of a certificate: among the certificate's solvers,
/// the one with the longest matching zone, the first of equals, since the order in the file is the
/// operator's preference.
///
/// A wildcard takes solvers that answer in DNS only, as every CA of the public web demands; an
/// address takes the others only (RFC 8738 section 4).
pub fn solver_for<'a>(
    solvers: impl Fn(&Name) -> Option<&'a SolverSpec>,
    spec: &'a CertificateSpec,
    identifier: &Identifier,
) -> Option<(&'a Name, &'a SolverSpec)> {
    let mut best: Option<(usize, &Name, &SolverSpec)> = None;
    for name in &*spec.solvers {
        let Some(solver) = solvers(name) else { continue };
        let Some(length) = solver.matches(identifier) else { continue };
        if best.is_none_or(|(longest, ..)| longest < length) {
            best = Some((length, name, solver));
        }
    }
    best.map(|(_, name, solver)| (name, solver))
}

impl SolverSpec {
    /// Returns how specifically the solver answers for a name: the length of the longest matching
    /// zone, 0 where it takes every name, nothing where it takes this one not.
    fn matches(&self, identifier: &Identifier) -> Option<usize> {
        let is_dns = self.kind.is_in_dns();
        if (identifier.is_wildcard() && !is_dns) || (identifier.is_ip() && is_dns) {
            return None;
        }
        if self.zones.is_empty() {
            return Some(0);
        }
        let matching = self.zones.iter().filter(|zone| identifier.is_within(zone));
        matching.map(|zone| zone.len()).max()
    }
}

impl Intent {
    /// Returns the solver that answers for a name of a certificate, as [`solver_for`].
    #[must_use]
    pub fn solver_for<'a>(
        &'a self,
        spec: &'a CertificateSpec,
        identifier: &Identifier,
    ) -> Option<&'a Name> {
        solver_for(|name| self.solvers.get(name), spec, identifier).map(|(name, _)| name)
    }
}
