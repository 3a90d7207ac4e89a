//! Probes: looking at endpoints as clients meet them.
//!
//! One ask is one look: the endpoint's host is resolved anew, and every address of it, A and AAAA
//! alike, gets one fresh handshake of its own. What a handshake shows is judged by the logical clock
//! and by every trust store that clients of that endpoint use, as `check` does: what one store
//! accepts is fine until its last path ends, and a store that refuses all the same is told with it
//! ([`Stores`]). Which leaf ought to be there is core's matter. A leaf that is fine otherwise
//! is looked up on its CA's list of the revoked.
//!
//! Where several servers share an address, one handshake shows one of them: there [`SAMPLES`] are made,
//! and each thing that they show is an entry, with how many showed it.
//!
//! An address is never left out, and never holds up the others: this machine may have no way to it,
//! it may be silent, or it may not get its turn. Each step of a look has its share of the time, and
//! together they end before core gives the whole look up.

mod tlsa;
mod trouble;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use perennial_core::action::{AskKind, Reply};
use perennial_core::decide::LOOK_WITHIN;
use perennial_core::intent::EndpointSpec;
use perennial_core::words::{Doubts, Failure, Handshake, Identifier, Sample, Sight};
use perennial_wire::clock::Clock;
use perennial_wire::dns::{DnsError, Resolver};
use perennial_wire::revocation::{Revocations, TOLD_WITHIN};
use perennial_wire::tls::{Manner, Served, Stores, TlsError, handshake_as, judge_handshake};
use perennial_wire::x509::CertificateDer;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time;

use trouble::{Trouble, failure};

/// How many addresses of one endpoint are looked at. More are a load balancer's, not an operator's.
pub const MAX_ADDRESSES: usize = 32;

/// How many connections are made to an address that several servers share.
const SAMPLES: u8 = 8;

/// How many handshakes are under way at once, over all asks.
const MAX_AT_ONCE: usize = 256;

/// How long looking the addresses up may take.
const RESOLVED_WITHIN: Duration = Duration::from_secs(7);

/// How long an address waits for its turn where too many are being looked at.
const ADMITTED_WITHIN: Duration = Duration::from_secs(3);

/// How long connecting, and then the handshake, may take.
const TIMEOUT: Duration = Duration::from_secs(5);

const _: () = assert!(
    RESOLVED_WITHIN.as_secs()
        + ADMITTED_WITHIN.as_secs()
        + 2 * TIMEOUT.as_secs()
        + TOLD_WITHIN.as_secs()
        < LOOK_WITHIN.as_secs().unsigned_abs(),
    "the steps of a look end before it is given up"
);

/// Looks at endpoints.
#[derive(Debug)]
pub struct Probe {
    resolver: Resolver,
    clock: Clock,
    timeout: Duration,
    stores: StoresByName,
    known: Vec<CertificateDer<'static>>,
    revocations: Option<Arc<Revocations>>,
    at_once: Arc<Semaphore>,
}

/// Which trust stores clients use, for which server name.
#[derive(Debug)]
struct StoresByName {
    usual: Stores,
    others: BTreeMap<Identifier, Stores>,
}

impl StoresByName {
    fn of(&self, name: &Identifier) -> &Stores {
        self.others.get(name).unwrap_or(&self.usual)
    }
}

impl Probe {
    /// Makes a probe that resolves names by `resolver` and judges chains by `stores` and by `clock`,
    /// which must be the logical one.
    #[must_use]
    pub fn new(resolver: Resolver, stores: Stores, clock: Clock) -> Self {
        let resolver = resolver.with_limit(RESOLVED_WITHIN);
        let stores = StoresByName { usual: stores, others: BTreeMap::new() };
        let at_once = Arc::new(Semaphore::new(MAX_AT_ONCE));
        let (known, revocations) = (Vec::new(), None);
        Self { resolver, clock, timeout: TIMEOUT, stores, known, revocations, at_once }
    }

    /// Looks whether what is fine otherwise is revoked, by these lists.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Judges what is served for this server name by these stores instead; what was said of it
    /// first counts.
    #[must_use]
    pub fn with_stores_for(mut self, name: Identifier, stores: Stores) -> Self {
        self.stores.others.entry(name).or_insert(stores);
        self
    }

    /// Knows these certificates: a chain that they alone complete is incomplete, not untrusted.
    #[must_use]
    pub fn knowing(mut self, known: Vec<CertificateDer<'static>>) -> Self {
        self.known.extend(known);
        self
    }

    /// Waits so long for a connection, and then so long for the handshake.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Answers `Ask::Probe`; any other ask is a fault of ours.
    pub async fn ask(&self, ask: &AskKind) -> Reply {
        let AskKind::Probe { endpoint } = ask else {
            return Reply::Failed(failure("look at an endpoint", &Trouble::NotMine));
        };
        match self.look(endpoint).await {
            Ok(sight) => Reply::Sight(sight),
            Err(failed) => Reply::Failed(failed),
        }
    }

    async fn look(&self, endpoint: &EndpointSpec) -> Result<Sight, Failure> {
        let attempted = || format!("look at {endpoint}");
        let name = &endpoint.server_name;
        if name.is_wildcard() {
            let trouble = Trouble::Wildcard;
            return Err(failure(&attempted(), &trouble));
        }
        let found = self.addresses(endpoint).await;
        let found = found.map_err(|trouble| failure(&attempted(), &trouble))?;
        let manner = Manner { protocol: endpoint.protocol, variant: endpoint.variant };
        let times = if endpoint.shared { SAMPLES } else { 1 };
        let (met, tlsa) = tokio::join!(
            self.meet(&found.addresses, name, manner, times),
            tlsa::look_up(&self.resolver, name, endpoint.port, self.timeout)
        );
        // What one address sends may complete what another one leaves out.
        let mut known = self.known.clone();
        let chains = met.iter().filter_map(|(_, met)| met.as_ref().ok());
        known.extend(chains.flat_map(|served| served.chain.rest().iter().cloned()));
        let at = self.clock.now();
        let stores = self.stores.of(name);
        let judge = |(_, met): &(_, _)| judge_handshake(met, name, at, stores, &known);
        let judged: Vec<_> = met.iter().map(judge).collect();
        let judged = match &self.revocations {
            Some(lists) => lists.complete(judged, at).await,
            None => judged.into_iter().map(|(judged, _)| judged).collect(),
        };
        let seen = met.iter().zip(judged).map(|((address, _), judged)| {
            let sample = endpoint.shared.then_some(Sample { shown: 1, of: SAMPLES });
            let causes = judged.told().into_iter();
            let causes: Vec<String> = causes.chain(found.problem.clone()).collect();
            let doubts = Doubts {
                revocation: judged.revocation_unknown.map(Into::into),
                refused_by: judged.refused_by.into(),
            };
            Handshake {
                address: *address,
                state: judged.state,
                leaf: judged.leaf.map(Arc::new),
                cause: (!causes.is_empty()).then(|| causes.join("; ").into()),
                doubts: (doubts != Doubts::default()).then(|| Box::new(doubts)),
                sample,
            }
        });
        let handshakes = if endpoint.shared { gathered(seen.collect()) } else { seen.collect() };
        Ok(Sight { handshakes, tlsa })
    }

    /// Makes so many fresh handshakes with each address, all at once, in the order of the addresses.
    async fn meet(
        &self,
        addresses: &[SocketAddr],
        name: &Identifier,
        manner: Manner,
        times: u8,
    ) -> Vec<(SocketAddr, Result<Served, TlsError>)> {
        let mut meeting = JoinSet::new();
        let each = |address: &SocketAddr| (0..times).map(|_| *address).collect::<Vec<_>>();
        for address in addresses.iter().flat_map(each) {
            let (name, timeout) = (name.clone(), self.timeout);
            let at_once = Arc::clone(&self.at_once);
            meeting.spawn(async move {
                let Ok(_permit) = time::timeout(ADMITTED_WITHIN, at_once.acquire_owned()).await
                else {
                    return (address, Err(TlsError::NoTurn));
                };
                (address, handshake_as(manner, address, &name, timeout).await)
            });
        }
        let mut met = meeting.join_all().await;
        met.sort_by_key(|(address, _)| *address);
        met
    }

    async fn addresses(&self, endpoint: &EndpointSpec) -> Result<Found, Trouble> {
        let host = endpoint.connect_to.as_deref().unwrap_or(endpoint.server_name.as_str());
        let at = |ip| SocketAddr::new(ip, endpoint.port);
        // In brackets, as in a URL, or bare.
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Found { addresses: vec![at(ip)], problem: None });
        }
        let [v4, v6] = self.resolver.addresses(host).await;
        found(host, [v4, v6].map(|family| family.map(|lookup| lookup.addresses())), at)
    }
}

/// Makes one entry of all connections to an address that showed the same.
fn gathered(seen: Vec<Handshake>) -> Vec<Handshake> {
    let mut gathered: Vec<Handshake> = Vec::new();
    for one in seen {
        let leaf = |seen: &Handshake| seen.leaf.as_ref().map(|leaf| leaf.fingerprint);
        let same = gathered.iter_mut().find(|known| {
            (known.address, known.state, leaf(known)) == (one.address, one.state, leaf(&one))
        });
        match same.and_then(|known| known.sample.as_mut()) {
            Some(sample) => sample.shown = sample.shown.saturating_add(1),
            None => gathered.push(one),
        }
    }
    // Which connection was the first to come to which server is chance.
    gathered.sort_by_key(|seen| {
        let leaf = seen.leaf.as_ref().map(|leaf| leaf.fingerprint);
        (seen.address, leaf, format!("{:?}", seen.state))
    });
    gathered
}

/// The addresses of an endpoint, and what is not known of them.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    addresses: Vec<SocketAddr>,
    problem: Option<String>,
}

/// Joins both families. That one cannot be looked up does not hide the other; it is told with every
/// address that is looked at.
fn found(
    host: &str,
    [v4, v6]: [Result<Vec<IpAddr>, DnsError>; 2],
    at: impl Fn(IpAddr) -> SocketAddr,
) -> Result<Found, Trouble> {
    let (ips, problem) = match (v4, v6) {
        (Ok(v4), Ok(v6)) => ([v4, v6].concat(), None),
        (Ok(v4), Err(error)) if !v4.is_empty() => (v4, Some(("AAAA", error))),
        (Err(error), Ok(v6)) if !v6.is_empty() => (v6, Some(("A", error))),
        (Err(error), _) | (_, Err(error)) => return Err(Trouble::Dns(error)),
    };
    if ips.is_empty() {
        return Err(Trouble::NoAddress(host.to_owned()));
    }
    let mut addresses: Vec<SocketAddr> = ips.into_iter().map(at).collect();
    addresses.sort();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    let problem =
        problem.map(|(kind, error)| format!("{kind} records could not be looked up: {error}"));
    Ok(Found { addresses, problem })
}

#[cfg(test)]
mod tests;
