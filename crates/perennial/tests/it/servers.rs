//! Servers beside nginx: what they serve is taken over, and renewed again and again under load. A leaf
//! counts as deployed when it was seen the way clients meet it. No connection is lost, but for
//! Dovecot, which sends away whoever has not logged in yet, and Caddy, which resets what waits to be
//! taken.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use perennial_core::words::{Identifier, Protocol};
use perennial_peers::{
    Authority, ChallTestSrv, Daemon, Pebble, PebbleOptions, Port, Program, TlsFiles,
};
use perennial_wire::tls::handshake_by;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::running::{Running, configure};
use crate::world::any_name;

const NAME: &str = "mail.example.test";

/// How often each server is given a new leaf under load.
const RENEWALS: u32 = 4;

/// How many clients come again and again at once.
const CLIENTS: usize = 4;

/// A CA, a name server, and the files of a server that somebody else set up.
struct World {
    dns: ChallTestSrv,
    pebble: Pebble,
    http: Port,
    tls: TlsFiles,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        // Servers go on as users of their own.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let dns = any_name().await;
        let http = Port::free().unwrap();
        let mut options = PebbleOptions::asking(dns.addr());
        options.http_port = Some(http.number());
        let pebble = Pebble::start(options).await.unwrap();
        let issued = Authority::new("somebody else").unwrap().issue(&[NAME]).unwrap();
        let path = |name: &str| folder.path().join(name);
        let tls = TlsFiles { chain: path("old.pem"), key: path("old.key") };
        std::fs::write(&tls.chain, issued.cert_pem).unwrap();
        std::fs::write(&tls.key, issued.key_pem).unwrap();
        std::fs::set_permissions(&tls.key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { dns, pebble, http, tls, folder }
    }

    async fn config(&self, target: &str, endpoint: &str) -> std::path::PathBuf {
        let issuing = self.pebble.issuing_root_pem(0).await.unwrap();
        let roots = format!("{}\n{issuing}", self.pebble.ca_root_pem());
        std::fs::write(self.folder.path().join("roots.pem"), roots).unwrap();
        let text = format!(
            r#"
contact = "ops@example.test"
[store]
dir = "@DIR@/store"
[resolver]
servers = ["{dns}"]
[issuer.pebble]
directory = "{directory}"
roots = "@DIR@/roots.pem"
agree_terms = true
[solver.web]
http-01 = "listener"
listen = ["127.0.0.1:{http}"]
[target.server]
{target}
files = "@DIR@/live"
take_over = true
settle = "2s"
[certificate.mail]
names = ["{NAME}"]
targets = ["server"]
endpoints = [{endpoint}]
"#,
            dns = self.dns.addr(),
            directory = self.pebble.directory_url(),
            http = self.http.number(),
        );
        let text = text.replace("@DIR@", &self.folder.path().display().to_string());
        configure(self.folder.path(), &text)
    }
}

/// Clients that meet a server again and again, each time by a fresh connection.
struct Load {
    clients: JoinSet<Vec<String>>,
    ends: Arc<AtomicBool>,
    met: Arc<AtomicUsize>,
}

impl Load {
    fn start(protocol: Protocol, at: SocketAddr) -> Self {
        let (ends, met) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (ends, met) = (Arc::clone(&ends), Arc::clone(&met));
            clients.spawn(async move {
                let name = Identifier::new(NAME).unwrap();
                let mut failures = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    match handshake_by(protocol, at, &name, Duration::from_secs(60)).await {
                        Ok(served) => failures.extend(served.ended_by),
                        Err(error) => failures.push(error.to_string()),
                    }
                    met.fetch_add(1, Ordering::Relaxed);
                }
                failures
            });
        }
        Self { clients, ends, met }
    }

    /// Ends it, and returns how many connections there were and what went wrong with them.
    async fn stop(self) -> (usize, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        let failures = self.clients.join_all().await.concat();
        (self.met.load(Ordering::Relaxed), failures)
    }
}

/// Takes a server over, renews under load, and returns the connections that were lost.
async fn serves_and_renews(world: &World, target: &str, at: (Protocol, SocketAddr)) -> Vec<String> {
    let (protocol, address) = at;
    let endpoint = format!(
        "{{ name = \"{NAME}\", protocol = \"{}\", port = {} }}",
        protocol.as_str(),
        address.port()
    );
    let config = world.config(target, &endpoint).await;
    let mut daemon = Running::start(&config).await;
    let first = daemon.until_seen("mail", 1).await;
    let load = Load::start(protocol, address);
    let mut last = first;
    for number in 2..=RENEWALS + 1 {
        daemon.renew("mail");
        let leaf = daemon.until_seen("mail", number).await;
        assert_ne!(leaf.fingerprint, last.fingerprint);
        last = leaf;
    }
    let (met, failures) = load.stop().await;
    daemon.stop().await;
    assert!(met > usize::try_from(RENEWALS).unwrap(), "{met}");
    assert!(is_link_into(&world.tls.chain, world.folder.path()));
    failures
}

/// What a server loses that loses nothing.
const NOTHING: [&str; 0] = [];

/// How many connections a server may lose that loses some at each reload: one of each client, where
/// it is told four times as often as there are leaves.
const SOME: usize = 4 * RENEWALS as usize * CLIENTS;

fn is_link_into(path: &Path, folder: &Path) -> bool {
    let to = std::fs::read_link(path).unwrap();
    to == folder.join("live/mail/door-1/fullchain.pem")
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_serves_and_renews_under_load() {
    let world = World::new().await;
    let port = Port::free().unwrap();
    let server = Daemon::apache(NAME, port.v4(), &world.tls).await.unwrap();
    let target = format!("apache = \"{}\"", server.config().display());
    let lost = serves_and_renews(&world, &target, (Protocol::Tls, port.v4())).await;
    assert_eq!(lost, NOTHING, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_serves_and_renews_under_load() {
    let world = World::new().await;
    let (port, admin) = (Port::free().unwrap(), Port::free().unwrap());
    let server = Daemon::caddy(NAME, port.v4(), admin.v4(), &world.tls).await.unwrap();
    let target = format!("caddy = \"{}\"", server.config().display());
    let lost = serves_and_renews(&world, &target, (Protocol::Tls, port.v4())).await;
    // What waits to be taken while the listeners are exchanged is reset.
    assert!(lost.len() <= SOME, "{lost:?}\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_serves_and_renews_under_load_over_smtp() {
    let world = World::new().await;
    let port = Port::free().unwrap();
    let server = Daemon::postfix(port.v4(), &world.tls).await.unwrap();
    let target = format!("postfix = \"{}\"", server.config().display());
    let lost = serves_and_renews(&world, &target, (Protocol::Smtp, port.v4())).await;
    assert_eq!(lost, NOTHING, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_serves_and_renews_under_load_over_imap() {
    let world = World::new().await;
    let (imap, pop3) = (Port::free().unwrap(), Port::free().unwrap());
    let server = Daemon::dovecot(imap.v4(), pop3.v4(), &world.tls).await.unwrap();
    let target = format!("dovecot = \"{}\"", server.config().display());
    let lost = serves_and_renews(&world, &target, (Protocol::Imap, imap.v4())).await;
    // At each reload, whoever has a connection and has not logged in yet is sent away.
    assert!(lost.len() <= SOME, "{lost:?}\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_serves_and_renews_under_load_over_its_own_protocol() {
    let world = World::new().await;
    Daemon::give_to_postgresql(&world.tls.key).unwrap();
    let port = Port::free().unwrap();
    let server = Daemon::postgresql(port.v4(), &world.tls).await.unwrap();
    let target = format!(
        "postgresql = \"{}\"\nbinary = \"{}\"",
        server.config().display(),
        Program::POSTGRES.locate().unwrap().display()
    );
    let lost = serves_and_renews(&world, &target, (Protocol::Postgresql, port.v4())).await;
    assert_eq!(lost, NOTHING, "{}", server.log());
}
