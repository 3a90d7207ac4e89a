//! Probes of a real nginx in every state an endpoint can be in.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use perennial_adapters::probe::Probe;
use perennial_core::action::{AskKind, Reply};
use perennial_core::intent::{EndpointSpec, Serves};
use perennial_core::words::{
    Fingerprint, Handshake, Identifier, Name, Sight, SightState, TlsaRecord, TlsaSelector, TlsaSet,
    TlsaUsage,
};
use perennial_peers::{
    Authority, Bind, DnsOptions, Knot, Minted, Nginx, NginxOptions, Port, Server, Zone,
    self_signed, until,
};
use perennial_wire::clock::Clock;
use perennial_wire::dns::Resolver;
use perennial_wire::tls::{Roots, Stores};
use tempfile::TempDir;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn at(days: i64) -> SystemTime {
    (now() + SignedDuration::from_hours(24 * days)).into()
}

struct Ca {
    root: Authority,
    middle: Authority,
    files: TempDir,
}

impl Ca {
    fn new() -> Self {
        let root = Authority::new("Test Root").unwrap();
        let middle = root.below("Test CA 1").unwrap();
        Self { root, middle, files: tempfile::tempdir().unwrap() }
    }

    fn leaf(&self, names: &[&str], from: i64, to: i64) -> Minted {
        self.middle.issue_between(names, at(from), at(to)).unwrap()
    }

    /// A server on one address that presents a leaf, with what follows it in the chain.
    fn server(&self, address: SocketAddr, leaf: &Minted, rest: &[&Authority]) -> Server {
        let file = |kind| self.files.path().join(format!("{}.{kind}", address.ip()));
        let rest: String = rest.iter().map(|authority| authority.pem()).collect();
        let (chain, key) = (file("chain"), file("key"));
        std::fs::write(&chain, format!("{}{rest}", leaf.cert_pem)).unwrap();
        std::fs::write(&key, &leaf.key_pem).unwrap();
        Server::named(&["shop.test"]).https(address).cert(chain, key)
    }

    fn good(&self, address: SocketAddr) -> Server {
        self.server(address, &self.leaf(&["shop.test"], -30, 60), &[&self.middle])
    }

    fn roots(&self) -> Roots {
        self.named_roots("the test")
    }

    fn named_roots(&self, name: &str) -> Roots {
        Roots::from_pem(name, self.root.pem().as_bytes()).unwrap()
    }

    fn probe(&self, resolver: Resolver) -> Probe {
        Probe::new(resolver, Stores::only(self.roots()), Clock::new(now))
            .with_timeout(Duration::from_secs(5))
    }
}

fn endpoint(port: u16, connect_to: Option<&str>) -> AskKind {
    AskKind::Probe {
        endpoint: EndpointSpec {
            server_name: Identifier::new("shop.test").unwrap(),
            connect_to: connect_to.map(Into::into),
            port,
            serves: Serves::Ours,
            protocol: perennial_core::words::Protocol::Tls,
            variant: None,
            shared: false,
        },
    }
}

async fn see(probe: &Probe, ask: &AskKind) -> Sight {
    match probe.ask(ask).await {
        Reply::Sight(sight) => sight,
        other => panic!("{other:?}"),
    }
}

/// What was seen, a line for each address, without the port.
fn told(sight: &Sight) -> Vec<String> {
    let line = |seen: &Handshake| {
        let leaf = seen.leaf.as_ref().map_or("no leaf", |leaf| &leaf.issued_by);
        let cause = seen.cause.as_deref().unwrap_or("-");
        format!("{} {:?} [{leaf}] {cause}", seen.address.ip(), seen.state)
    };
    sight.handshakes.iter().map(line).collect()
}

#[tokio::test]
async fn every_state_of_an_address_is_told_apart() {
    let ca = Ca::new();
    let port = Port::free().unwrap();
    let strict = "ssl_client_certificate";
    let root_file = ca.files.path().join("root.pem");
    std::fs::write(&root_file, ca.root.pem()).unwrap();
    let mut demanding = ca.good(port.on(7));
    demanding.raw = format!("{strict} {}; ssl_verify_client on;", root_file.display());
    let mut old = ca.good(port.on(8));
    old.raw = "ssl_protocols TLSv1.2;".into();
    let expired = ca.leaf(&["shop.test"], -90, -1);
    let early = ca.leaf(&["shop.test"], 1, 90);
    let other = ca.leaf(&["www.shop.test"], -30, 60);
    let own = self_signed(&["shop.test"], at(-30), at(60)).unwrap();
    let servers = vec![
        ca.good(port.on(1)),
        ca.server(port.on(2), &expired, &[&ca.middle]),
        ca.server(port.on(3), &own, &[]),
        ca.server(port.on(4), &other, &[&ca.middle]),
        ca.server(port.on(5), &ca.leaf(&["shop.test"], -30, 60), &[]),
        ca.server(port.on(6), &early, &[&ca.middle]),
        demanding,
        old,
        Server::named(&["shop.test"]).http(port.on(9)),
    ];
    let _nginx = Nginx::start(NginxOptions { servers, raw: String::new() }).await.unwrap();
    let names: String = (1..=10).map(|n| format!("@ A 127.0.0.{n}\n")).collect();
    let zone = Zone::new("shop.test", &format!("{names}@ AAAA 2001:db8::10\n@ AAAA ::1\n"));
    let dns = Knot::start(DnsOptions::serving([zone])).await.unwrap();
    let probe = ca.probe(Resolver::recursive(vec![dns.addr()]));

    let sight = see(&probe, &endpoint(port.number(), None)).await;
    let mut told = told(&sight);
    // Where there is a way to IPv6 at all, the documentation prefix leads nowhere.
    let six = told.pop().unwrap();
    assert!(
        six.starts_with("2001:db8::10 CannotLook") || six.starts_with("2001:db8::10 Unreachable")
    );
    assert_eq!(
        told,
        [
            "127.0.0.1 Ok [Test CA 1] -",
            "127.0.0.2 Expired [Test CA 1] the leaf expired at 2026-11-20T12:00:00Z",
            "127.0.0.3 Untrusted [an issuer without a name] the leaf is signed by itself",
            "127.0.0.4 NameMismatch [Test CA 1] the leaf is for www.shop.test",
            "127.0.0.5 IncompleteChain [Test CA 1] the server does not send the certificate of Test CA 1",
            "127.0.0.6 NotYetValid [Test CA 1] the leaf is valid from 2026-11-22T12:00:00Z",
            "127.0.0.7 Ok [Test CA 1] -",
            "127.0.0.8 Ok [Test CA 1] -",
            "127.0.0.9 NoTls [no leaf] the answer is not TLS",
            "127.0.0.10 Unreachable [no leaf] connection refused",
            "::1 Unreachable [no leaf] connection refused",
        ]
    );
}

#[tokio::test]
async fn two_addresses_with_different_leaves_and_a_declared_origin_are_each_seen() {
    let ca = Ca::new();
    let port = Port::free().unwrap();
    let servers = vec![ca.good(port.on(1)), ca.good(port.on(2)), ca.good(port.v6())];
    let _nginx = Nginx::start(NginxOptions { servers, raw: String::new() }).await.unwrap();
    let records = "@ A 127.0.0.1\n@ AAAA ::1\norigin A 127.0.0.2\n";
    let dns = Knot::start(DnsOptions::serving([Zone::new("shop.test", records)])).await.unwrap();
    let probe = ca.probe(Resolver::recursive(vec![dns.addr()]));

    let usual = see(&probe, &endpoint(port.number(), None)).await;
    let origin = see(&probe, &endpoint(port.number(), Some("origin.shop.test"))).await;
    let direct = see(&probe, &endpoint(port.number(), Some("127.0.0.2"))).await;
    let bracketed = see(&probe, &endpoint(port.number(), Some("[::1]"))).await;

    let leaf =
        |sight: &Sight, index: usize| sight.handshakes[index].leaf.clone().unwrap().fingerprint;
    assert_eq!(usual.handshakes.len(), 2);
    assert_ne!(leaf(&usual, 0), leaf(&usual, 1));
    assert_eq!(origin, direct);
    assert_eq!(leaf(&bracketed, 0), leaf(&usual, 1));
    assert!(
        [&usual, &origin].iter().all(|s| s.handshakes.iter().all(|h| h.state == SightState::Ok))
    );
}

#[tokio::test]
async fn tlsa_records_are_told_where_the_zone_is_signed() {
    let ca = Ca::new();
    let port = Port::free().unwrap();
    let servers = vec![ca.good(port.on(1))];
    let _nginx = Nginx::start(NginxOptions { servers, raw: String::new() }).await.unwrap();
    let (digest, key) = ("ab".repeat(32), "cd".repeat(64));
    let records = format!(
        "@ A 127.0.0.1\n_{port}._tcp TLSA 3 1 1 {digest}\n_{port}._tcp TLSA 2 0 2 {key}\n",
        port = port.number()
    );
    let zone = Zone::new("shop.test", &records);
    let unsigned = Bind::start(DnsOptions::serving([zone.clone()])).await.unwrap();
    let signed = Bind::start(DnsOptions::serving([zone.signed()])).await.unwrap();
    let look = async |dns: &Bind| {
        let probe = ca.probe(Resolver::recursive(vec![dns.addr()]));
        see(&probe, &endpoint(port.number(), None)).await.tlsa.unwrap()
    };
    assert_eq!(look(&unsigned).await, TlsaSet::default(), "such bind nobody");

    // BIND signs what it has loaded a moment later.
    let told = until("the zone is signed", Duration::from_secs(20), async || {
        Some(look(&signed).await).filter(|set| !set.records.is_empty())
    });
    let told = told.await.unwrap();
    assert_eq!(told.ttl_secs, 1);
    let record = |usage, selector, digest| TlsaRecord { usage, selector, digest };
    let expected = [
        record(TlsaUsage::DaneTa, TlsaSelector::Certificate, None),
        record(TlsaUsage::DaneEe, TlsaSelector::Key, Some(Fingerprint([0xab; 32]))),
    ];
    assert_eq!(*told.records, expected);

    // Nobody answers, so nothing is known.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = Resolver::recursive(vec![silent.local_addr().unwrap()]);
    let probe = ca.probe(resolver.with_timeout(Duration::from_millis(200)));
    assert_eq!(see(&probe, &endpoint(port.number(), Some("127.0.0.1"))).await.tlsa, None);
}

#[tokio::test]
async fn trust_stores_may_differ_by_name() {
    let ca = Ca::new();
    let port = Port::free().unwrap();
    let servers = vec![ca.good(port.on(1))];
    let _nginx = Nginx::start(NginxOptions { servers, raw: String::new() }).await.unwrap();
    let ask = endpoint(port.number(), Some("127.0.0.1"));
    let state = async |probe: Probe| see(&probe, &ask).await.handshakes[0].state;
    let plain = || {
        let nobody = Resolver::recursive(Vec::new());
        Probe::new(nobody, Stores::only(Roots::mozilla()), Clock::new(now))
    };
    assert_eq!(state(plain()).await, SightState::Untrusted);
    let name = Identifier::new("shop.test").unwrap();
    assert_eq!(
        state(plain().with_stores_for(name, Stores::only(ca.roots()))).await,
        SightState::Ok
    );
}

#[tokio::test]
async fn silent_addresses_and_lookups_do_not_hold_up_the_others() {
    let ca = Ca::new();
    let port = Port::free().unwrap();
    let _nginx =
        Nginx::start(NginxOptions { servers: vec![ca.good(port.on(1))], raw: String::new() })
            .await
            .unwrap();
    // They take connections, since nobody accepts them, and never answer: one TLS, one DNS.
    let _silent = std::net::TcpListener::bind(port.on(2)).unwrap();
    let silent_dns = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let records = "@ A 127.0.0.1\n@ A 127.0.0.2\n";
    let dns = Knot::start(DnsOptions::serving([Zone::new("shop.test", records)])).await.unwrap();
    let silent = silent_dns.local_addr().unwrap();
    let resolver = Resolver::recursive(vec![silent, dns.addr()]);
    let resolver = resolver.with_timeout(Duration::from_millis(300));
    let probe = ca.probe(resolver).with_timeout(Duration::from_millis(700));
    let ask = endpoint(port.number(), None);
    let look = tokio::time::timeout(Duration::from_secs(5), see(&probe, &ask));
    assert_eq!(
        told(&look.await.expect("it ends by itself")),
        [
            "127.0.0.1 Ok [Test CA 1] -",
            "127.0.0.2 NoTls [no leaf] connected, but no TLS answer within 0.7 s",
        ]
    );
}

#[tokio::test]
async fn a_store_that_refuses_what_another_one_accepts_is_named() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    let port = Port::free().unwrap();
    let _nginx =
        Nginx::start(NginxOptions { servers: vec![ca.good(port.on(1))], raw: String::new() })
            .await
            .unwrap();
    let stores = Stores::only(stranger.named_roots("a stranger")).with(ca.roots());
    let probe = Probe::new(Resolver::recursive(Vec::new()), stores, Clock::new(now));
    let sight = see(&probe, &endpoint(port.number(), Some("127.0.0.1"))).await;
    let told = told(&sight);
    let begin = "127.0.0.1 Ok [Test CA 1] clients with the roots of a stranger refuse it: ";
    assert!(told[0].starts_with(begin), "{told:?}");
}

#[tokio::test]
async fn what_cannot_be_resolved_fails_with_whose_fault_it_is() {
    let ca = Ca::new();
    let dns = Knot::start(DnsOptions::serving([Zone::new("else.test", "")])).await.unwrap();
    let fails = async |resolver: Resolver, connect_to: &str| match ca
        .probe(resolver)
        .ask(&endpoint(443, Some(connect_to)))
        .await
    {
        Reply::Failed(failure) => format!("{}: {}", failure.blame, failure.cause),
        other => panic!("{other:?}"),
    };
    let knot = || Resolver::recursive(vec![dns.addr()]);
    let place = "endpoint shop.test:443 at ";
    assert_eq!(
        fails(knot(), "none.else.test").await,
        format!("{place}none.else.test: `none.else.test` has no address")
    );
    let refused = fails(knot(), "shop.test").await;
    assert!(refused.contains("answered REFUSED for A"), "{refused}");
    let nobody = fails(Resolver::recursive(Vec::new()), "shop.test").await;
    assert_eq!(nobody, "ourselves: no name server is known: the list of servers is empty");
    let wrong = ca.probe(knot()).ask(&AskKind::Directory { issuer: Name::new("x") }).await;
    assert!(matches!(wrong, Reply::Failed(_)));
}

#[tokio::test]
async fn several_servers_that_share_an_address_are_each_met_by_one_of_eight_connections() {
    let ca = Ca::new();
    let port = Port::free().unwrap();
    let address = port.on(1);
    let mut servers = Vec::new();
    let mut leaves = Vec::new();
    for number in [1_u8, 2] {
        // The kernel shares connections out among those who listen so.
        let leaf = ca.leaf(&["shop.test"], -30, 60);
        let mut server = ca.server(port.on(10 + number), &leaf, &[&ca.middle]);
        server.https.clear();
        server.raw = format!("listen {address} ssl reuseport;\n");
        let options = NginxOptions { servers: vec![server], raw: String::new() };
        servers.push(Nginx::start(options).await.unwrap());
        let chain = perennial_wire::x509::Chain::from_pem(leaf.cert_pem.as_bytes()).unwrap();
        leaves.push(chain.fingerprint());
    }
    leaves.sort();
    let probe = ca.probe(Resolver::recursive(Vec::new()));
    let AskKind::Probe { endpoint } = endpoint(port.number(), Some("127.0.0.1")) else {
        panic!("it is a probe")
    };
    let ask = AskKind::Probe { endpoint: EndpointSpec { shared: true, ..endpoint } };
    // Which connection goes to which of them is chance.
    let both = until("both servers are met", Duration::from_secs(60), async || {
        let sight = see(&probe, &ask).await;
        (sight.handshakes.len() == 2).then_some(sight)
    });
    let sight = both.await.unwrap();
    let shown: Vec<Fingerprint> =
        sight.handshakes.iter().map(|seen| seen.leaf.as_ref().unwrap().fingerprint).collect();
    assert_eq!(shown, leaves);
    let samples = sight.handshakes.iter().map(|seen| seen.sample.unwrap());
    assert_eq!(samples.clone().map(|sample| u16::from(sample.shown)).sum::<u16>(), 8);
    assert!(samples.clone().all(|sample| sample.of == 8));
    assert!(sight.handshakes.iter().all(|seen| seen.state == SightState::Ok));
}
