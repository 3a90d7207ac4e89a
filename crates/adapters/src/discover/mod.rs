//! Discovery: what can be learnt about a host without any configuration.
//!
//! One look gathers facts and judges none of them: every address and what it serves, the zone and
//! who serves it, the CAA records that count, who owns the challenge name, and what a CA would meet
//! on port 80. All of it is asked anew, at once where it can be, and each part fails for itself: a
//! resolver in trouble does not hide what a server shows.

mod caa;
mod challenge;
mod http;
mod operator;
mod zone;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use perennial_core::words::{Identifier, LeafFacts, Protocol, SightState};
use perennial_wire::clock::Clock;
use perennial_wire::dns::{DnsError, Resolver, is_within};
use perennial_wire::revocation::Revocations;
use perennial_wire::tls::{
    ClientCertificate, Judgement, Roots, Served, Stores, TlsError, TlsVersion, handshake_by,
    judge_chain, judge_handshake,
};
use tokio::task::JoinSet;

pub use caa::{Allowance, CaaFacts, CaaRecord, allowance};
pub use challenge::ChallengeFacts;
pub use http::{HttpAnswer, HttpFacts, HttpTrouble};
pub use operator::{Operator, OperatorKind, operator_of};
pub use zone::{ServerFacts, ZoneFacts};

/// How many addresses of one host are looked at.
const MAX_ADDRESSES: usize = 32;

/// How long connecting, and then the answer, may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at hosts.
#[derive(Clone, Debug)]
pub struct Discover {
    resolver: Resolver,
    stores: Stores,
    clock: Clock,
    timeout: Duration,
    connect_to: Option<IpAddr>,
    http_port: u16,
    revocations: Option<Arc<Revocations>>,
}

/// What was learnt about a host.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The host asked about.
    pub host: Identifier,
    /// The port.
    pub port: u16,
    /// What was spoken there before TLS began.
    pub protocol: Protocol,
    /// When it was looked at, by the logical clock.
    pub at: Timestamp,
    /// The names that the host is an alias of, link by link.
    pub aliases: Vec<String>,
    /// Whether the host has a name in DNS at all; true for addresses.
    pub exists: bool,
    /// What could not be looked up about its addresses.
    pub address_problems: Vec<String>,
    /// What each address serves.
    pub addresses: Vec<AddressFacts>,
    /// What clients of each trust store make of the first chain that was served.
    pub stores: Vec<StoreFacts>,
    /// The identifier of the leaf by which the host is covered, or else the host itself: the name
    /// that has to be validated to renew.
    pub validated: Identifier,
    /// The zone that holds the validated name; nothing for an address or this machine's own name.
    pub zone: Option<Result<ZoneFacts, Unknown>>,
    /// The CAA records that count for the validated name; nothing for an address.
    pub caa: Option<Result<CaaFacts, Unknown>>,
    /// Who owns the challenge name; nothing for an address.
    pub challenge: Option<Result<ChallengeFacts, Unknown>>,
    /// What a CA would meet on port 80 of each address.
    pub http: Vec<HttpFacts>,
}

/// Why something could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What went wrong, in words.
    pub cause: String,
    /// Whether nobody answered *us*, so that nothing is known about the zone.
    pub is_ours: bool,
}

impl From<DnsError> for Unknown {
    fn from(error: DnsError) -> Self {
        let is_ours = match &error {
            DnsError::Timeout { .. }
            | DnsError::Late { .. }
            | DnsError::Unreachable { .. }
            | DnsError::NoRoute { .. }
            | DnsError::Unwritable(_)
            | DnsError::NoServers(_) => true,
            DnsError::Name(_)
            | DnsError::Malformed { .. }
            | DnsError::Tsig { .. }
            | DnsError::Code { .. }
            | DnsError::Aliases { .. }
            | DnsError::Lame { .. }
            | DnsError::TooDeep { .. } => false,
        };
        Self { cause: error.to_string(), is_ours }
    }
}

/// What one address serves.
#[derive(Clone, Debug)]
pub struct AddressFacts {
    /// Which.
    pub address: SocketAddr,
    /// What clients make of it.
    pub state: SightState,
    /// What went wrong, in words.
    pub cause: Option<String>,
    /// The leaf, whenever one was served that can be read.
    pub leaf: Option<LeafFacts>,
    /// The version of TLS.
    pub version: Option<TlsVersion>,
    /// Whether a client certificate was asked for.
    pub asks_for_client_certificate: bool,
}

/// What clients of one trust store make of a chain.
#[derive(Clone, Debug)]
pub struct StoreFacts {
    /// Whose store.
    pub store: String,
    /// The state.
    pub state: SightState,
}

impl Discover {
    /// Makes a looker that resolves by `resolver` and judges by `clock`, the logical one. A chain is
    /// fine if it is fine for clients of any of the `stores`.
    #[must_use]
    pub fn new(resolver: Resolver, stores: Stores, clock: Clock) -> Self {
        Self {
            resolver,
            stores,
            clock,
            timeout: TIMEOUT,
            connect_to: None,
            http_port: 80,
            revocations: None,
        }
    }

    /// Looks whether what is fine otherwise is revoked, by these lists.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Looks at this address instead of the host's own.
    #[must_use]
    pub const fn at_address(mut self, address: Option<IpAddr>) -> Self {
        self.connect_to = address;
        self
    }

    /// Waits so long for a connection, and then so long for an answer.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Looks for http-01 at this port; CAs use 80 alone (RFC 8555 section 8.3).
    #[must_use]
    pub const fn with_http_port(mut self, port: u16) -> Self {
        self.http_port = port;
        self
    }

    /// Looks at a host: its addresses first, then all the rest at once.
    pub async fn look(&self, host: &Identifier, port: u16, protocol: Protocol) -> Facts {
        let found = self.find(host).await;
        let at = self.clock.now();
        let (met, http) = tokio::join!(
            self.meet(host, port, protocol, &found.ips),
            self.ask_http(host, &found.ips)
        );
        let known: Vec<_> = met
            .iter()
            .filter_map(|(_, met)| met.as_ref().ok())
            .flat_map(|served| served.chain.rest().iter().cloned())
            .collect();
        let judge = |(_, met): &(_, _)| judge_handshake(met, host, at, &self.stores, &known);
        let judged: Vec<_> = met.iter().map(judge).collect();
        let judged = match &self.revocations {
            Some(lists) => lists.complete(judged, at).await,
            None => judged.into_iter().map(|(judged, _)| judged).collect(),
        };
        let all = met.iter().zip(judged);
        let addresses: Vec<AddressFacts> =
            all.map(|((address, met), judged)| address_facts(*address, met, judged)).collect();
        let first = met.iter().find_map(|(_, met)| met.as_ref().ok());
        let stores = first.map(|served| self.by_store(served, host, at)).unwrap_or_default();
        let validated = validated(host, &addresses);
        let (zone, caa, challenge) = self.ask_dns(&validated).await;
        Facts {
            host: host.clone(),
            port,
            protocol,
            at,
            aliases: found.aliases,
            exists: found.exists,
            address_problems: found.problems,
            addresses,
            stores,
            validated,
            zone,
            caa,
            challenge,
            http,
        }
    }

    async fn ask_dns(
        &self,
        validated: &Identifier,
    ) -> (
        Option<Result<ZoneFacts, Unknown>>,
        Option<Result<CaaFacts, Unknown>>,
        Option<Result<ChallengeFacts, Unknown>>,
    ) {
        let name = validated.base();
        // Neither an address nor a name of this machine's own is in any zone.
        if validated.is_ip() || is_within(name, "localhost") {
            return (None, None, None);
        }
        let (zone, caa, challenge) = tokio::join!(
            zone::look(&self.resolver, name, self.timeout),
            caa::look(&self.resolver, name),
            challenge::look(&self.resolver, name),
        );
        (Some(zone), Some(caa), Some(challenge))
    }

    async fn find(&self, host: &Identifier) -> Found {
        let mut found = Found { exists: true, ..Found::default() };
        if let Ok(ip) = host.as_str().parse() {
            found.ips.push(self.connect_to.unwrap_or(ip));
            return found;
        }
        let mut missing = 0;
        for family in self.resolver.addresses(host.as_str()).await {
            match family {
                Ok(lookup) => {
                    found.ips.extend(lookup.addresses());
                    missing += usize::from(!lookup.exists);
                    found.aliases = lookup.aliases;
                }
                Err(error) => found.problems.push(error.to_string()),
            }
        }
        found.exists = missing < 2;
        if let Some(ip) = self.connect_to {
            found.ips = vec![ip];
        }
        found.ips.sort();
        found.ips.dedup();
        found.ips.truncate(MAX_ADDRESSES);
        found.problems.dedup();
        found
    }

    async fn meet(
        &self,
        host: &Identifier,
        port: u16,
        protocol: Protocol,
        ips: &[IpAddr],
    ) -> Vec<(SocketAddr, Result<Served, TlsError>)> {
        let mut meeting = JoinSet::new();
        for ip in ips {
            let (address, host) = (SocketAddr::new(*ip, port), host.clone());
            let timeout = self.timeout;
            meeting.spawn(async move {
                (address, handshake_by(protocol, address, &host, timeout).await)
            });
        }
        let mut met = meeting.join_all().await;
        met.sort_by_key(|(address, _)| *address);
        met
    }

    async fn ask_http(&self, host: &Identifier, ips: &[IpAddr]) -> Vec<HttpFacts> {
        let mut asking = JoinSet::new();
        for ip in ips {
            let (address, host) = (SocketAddr::new(*ip, self.http_port), host.clone());
            let timeout = self.timeout;
            asking.spawn(async move { http::look(address, &host, timeout).await });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|facts| facts.address);
        answers
    }

    fn by_store(&self, served: &Served, host: &Identifier, at: Timestamp) -> Vec<StoreFacts> {
        let Ok(facts) = served.chain.facts() else { return Vec::new() };
        let judge = |store: &Roots| StoreFacts {
            store: store.name().to_owned(),
            state: judge_chain(&served.chain, &facts, host, at, store, &[]).state,
        };
        self.stores.iter().map(judge).collect()
    }
}

/// Where a host is.
#[derive(Debug, Default)]
struct Found {
    ips: Vec<IpAddr>,
    aliases: Vec<String>,
    exists: bool,
    problems: Vec<String>,
}

fn address_facts(
    address: SocketAddr,
    met: &Result<Served, TlsError>,
    judged: Judgement,
) -> AddressFacts {
    let served = met.as_ref().ok();
    let causes = judged.causes();
    AddressFacts {
        address,
        state: judged.state,
        cause: (!causes.is_empty()).then(|| causes.join("; ")),
        leaf: judged.leaf,
        version: served.map(|served| served.version),
        asks_for_client_certificate: served
            .is_some_and(|served| served.client_certificate != ClientCertificate::NotAsked),
    }
}

/// The name that a CA would have to validate so that the host stays covered: the wildcard, if the
/// leaf covers the host by one.
fn validated(host: &Identifier, addresses: &[AddressFacts]) -> Identifier {
    let mut leaves = addresses.iter().filter_map(|facts| facts.leaf.as_ref());
    let covering = leaves.find_map(|leaf| leaf.identifiers.iter().find(|own| own.covers(host)));
    covering.unwrap_or(host).clone()
}

#[cfg(test)]
mod tests;
