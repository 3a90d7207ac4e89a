//! nginx under load through twenty renewals: nobody notices, and each is seen at every address.
//!
//! Two kinds of load run from before the first renewal until after the last, and of both no request
//! may fail, in whatever way. *Fresh handshakes*: a new connection for each request, at each of the
//! three addresses. *Kept connections*: visitors who judge the certificate and keep their
//! connection, one at each address. nginx closes such connections when it reloads, as HTTP allows;
//! like a browser, a visitor then sends a request to which no byte of an answer came once more (RFC
//! 9112 section 9.3.1).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use perennial_core::driver::Driver;
use perennial_core::state::DeployStep;
use perennial_core::words::{Fingerprint, Identifier};
use perennial_peers::{
    Authority, ChallTestSrv, Nginx, NginxOptions, Pebble, PebbleOptions, Port, Server, Visit,
    Visitor, Wrk, WrkOptions, WrkReport, until,
};
use perennial_wire::tls::handshake;

use crate::running::{Running, configure};

const NAME: &str = "www.load.test";

/// How many renewals follow the first certificate.
const RENEWALS: u32 = 20;

/// How long we look for a leaf that the daemon has seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections each load of handshakes keeps busy: enough to meet every reload, few enough to leave the
/// renewals a processor.
const CONNECTIONS: u16 = 2;

/// The peers, and nginx's addresses.
struct World {
    folder: tempfile::TempDir,
    dns: ChallTestSrv,
    http: Port,
    pebble: Pebble,
    nginx: Nginx,
    addresses: [SocketAddr; 3],
    _https: Port,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dns = ChallTestSrv::start(None).await.unwrap();
        dns.set_default_ipv6(None).await.unwrap();
        dns.add_a(NAME, &[Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)]).await.unwrap();
        dns.add_aaaa(NAME, &[Ipv6Addr::LOCALHOST]).await.unwrap();
        let (http, https) = (Port::free().unwrap(), Port::free().unwrap());
        let mut options = PebbleOptions::asking(dns.addr());
        options.http_port = Some(http.number());
        let pebble = Pebble::start(options).await.unwrap();
        let addresses = [https.v4(), https.on(2), https.v6()];
        let placeholder = Authority::new("somebody else").unwrap().issue(&[NAME]).unwrap();
        let (cert, key) = (folder.path().join("old.pem"), folder.path().join("old.key"));
        std::fs::write(&cert, placeholder.cert_pem).unwrap();
        std::fs::write(&key, placeholder.key_pem).unwrap();
        let server = Server::named(&[NAME]).cert(&cert, &key);
        let server = addresses.into_iter().fold(server, Server::https);
        let options = NginxOptions { servers: vec![server], raw: String::new() };
        let nginx = Nginx::start(options).await.unwrap();
        Self { folder, dns, http, pebble, nginx, addresses, _https: https }
    }

    async fn config(&self) -> String {
        let folder = self.folder.path();
        let roots = folder.join("roots.pem");
        let root = self.pebble.issuing_root_pem(0).await.unwrap();
        std::fs::write(&roots, format!("{}\n{root}", self.pebble.ca_root_pem())).unwrap();
        let [https, ..] = self.addresses;
        format!(
            r#"
contact = "ops@load.test"
[store]
dir = "{store}"
[resolver]
servers = ["{dns}"]
[issuer.pebble]
directory = "{directory}"
roots = "{roots}"
kind = "private"
agree_terms = true
[solver.web]
http-01 = "listener"
listen = ["127.0.0.1:{http}", "127.0.0.2:{http}", "[::1]:{http}"]
[target.web]
nginx = "{conf}"
prefix = "{prefix}"
files = "{files}"
take_over = true
[certificate.www]
names = ["{NAME}"]
issuers = ["pebble"]
targets = ["web"]
endpoints = ["{NAME}:{https}"]
"#,
            store = folder.join("store").display(),
            dns = self.dns.addr(),
            directory = self.pebble.directory_url(),
            roots = roots.display(),
            http = self.http.number(),
            conf = self.nginx.conf_path().display(),
            prefix = self.nginx.dir().display(),
            files = folder.join("live").display(),
            https = https.port(),
        )
    }

    fn urls(&self) -> impl Iterator<Item = String> {
        self.addresses.iter().map(|address| format!("https://{address}/"))
    }

    /// Returns the leaves that fresh handshakes of this test's own show, one for each address.
    async fn served(&self) -> Vec<Fingerprint> {
        let name = Identifier::new(NAME).unwrap();
        let mut leaves = Vec::new();
        for address in self.addresses {
            let served = handshake(address, &name, Duration::from_secs(10)).await.unwrap();
            leaves.push(served.chain.fingerprint());
        }
        leaves
    }
}

/// The loads that run all the time.
struct Loads {
    fresh: Vec<Wrk>,
    kept: Vec<Visitor>,
}

impl Loads {
    async fn start(world: &World) -> Self {
        let root = world.pebble.issuing_root_pem(0).await.unwrap();
        let fresh = |url: String| {
            let options = WrkOptions::of_handshakes(&url);
            Wrk::start(&WrkOptions { connections: CONNECTIONS, ..options }).unwrap()
        };
        let kept = |address: &SocketAddr| Visitor::start(NAME, *address, &root).unwrap();
        Self {
            fresh: world.urls().map(fresh).collect(),
            kept: world.addresses.iter().map(kept).collect(),
        }
    }

    async fn stop(self) -> (Vec<WrkReport>, Vec<Visit>) {
        let (mut fresh, mut kept) = (Vec::new(), Vec::new());
        for wrk in self.fresh {
            fresh.push(wrk.stop().await.unwrap());
        }
        for visitor in self.kept {
            kept.push(visitor.stop().await.unwrap());
        }
        (fresh, kept)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_renewals_under_load_fail_no_request_and_are_seen_at_every_address() {
    let world = World::start().await;
    let config = configure(world.folder.path(), &world.config().await);
    let mut daemon = Running::start(&config).await;
    let mut leaves = BTreeSet::new();
    leaves.insert(daemon.until("first leaf seen", |driver, _| seen(driver, 1)).await);

    let loads = Loads::start(&world).await;
    for number in 2..=RENEWALS + 1 {
        daemon.renew("www");
        let what = format!("leaf {number} seen");
        let leaf = daemon.until(&what, move |driver, _| seen(driver, number)).await;
        // By the daemon, that is; and by us. nginx's old workers may take one connection more
        // while the new ones serve already.
        let served =
            until(&what, PATIENCE, async || (world.served().await == [leaf; 3]).then_some(()));
        served.await.unwrap();
        assert!(leaves.insert(leaf), "leaf {number} is new");
    }
    let (fresh, kept) = loads.stop().await;
    daemon.stop().await;

    eprintln!("fresh handshakes: {fresh:?}\nkept connections: {kept:?}");
    for report in fresh {
        assert_eq!(report.failures(), 0, "{report:?}");
        assert!(report.requests > 1000, "{report:?}");
    }
    for visit in kept {
        assert_eq!(visit.failures, Vec::<String>::new(), "{visit:?}");
        // Once for each reload at most, or more is lost than a closed connection.
        assert!(visit.sent_again <= u64::from(RENEWALS), "{visit:?}");
        assert!(visit.answered > 1000, "{visit:?}");
    }
}

/// Returns the leaf of a number once it was seen at all three addresses.
fn seen(driver: &Driver, number: u32) -> Option<Fingerprint> {
    let (_, _, certificate) = driver.state().certificates().next()?;
    let DeployStep::Seen { leaf, .. } = certificate.targets.first()?.step else { return None };
    let newest = certificate.leaf.as_ref().filter(|newest| newest.number == number)?;
    let fingerprint = newest.facts.fingerprint;
    let shown = certificate.endpoints.first()?.shown.as_ref().ok()?;
    let everywhere = shown.len() == 3 && shown.iter().all(|a| a.leaf() == Some(fingerprint));
    (leaf == number && everywhere).then_some(fingerprint)
}
