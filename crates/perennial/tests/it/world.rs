//! A world of real peers around a daemon: a CA, a web server, and the configuration that binds them.
//!
//! [`World::of`] starts a Pebble that asks the given name server, and an nginx that serves a
//! placeholder for the given names. [`World::write`] writes the configuration: what all tests
//! have in common, then the test's own lines, in which `@HTTP@`, `@ALPN@`, `@HTTPS@` and `@DIR@`
//! stand for the ports and the folder of this world.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use perennial_peers::{
    Authority, ChallTestSrv, DnsOptions, Nginx, NginxOptions, Pebble, PebbleOptions, Port, Server,
    TsigKey, Zone, dig,
};
use tempfile::TempDir;

use crate::running::configure;

/// Where a daemon runs.
pub(crate) struct World {
    pub(crate) pebble: Pebble,
    pub(crate) nginx: Nginx,
    /// The port on which Pebble validates http-01.
    pub(crate) http: Port,
    /// The port on which Pebble validates tls-alpn-01.
    pub(crate) alpn: Port,
    /// The port on which nginx serves.
    pub(crate) https: Port,
    /// Further lines of `[issuer.pebble]`.
    pub(crate) issuer: String,
    /// Further lines of `[target.web]`.
    pub(crate) target: String,
    /// Whom the daemon asks; unless changed, the server that Pebble asks.
    pub(crate) resolver: SocketAddr,
    pub(crate) folder: TempDir,
}

/// What a world is made of.
pub(crate) struct Plan {
    pub(crate) names: Vec<&'static str>,
    pub(crate) pebble: PebbleOptions,
    /// Where nginx serves.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether nginx serves a webroot on the port of http-01.
    pub(crate) webroot: bool,
    /// Whether each name has a server block and files of its own.
    pub(crate) apart: bool,
}

impl Plan {
    /// A Pebble that asks a name server, and an nginx on 127.0.0.1.
    pub(crate) fn new(dns: SocketAddr, names: &[&'static str]) -> Self {
        Self {
            names: names.to_vec(),
            pebble: PebbleOptions::asking(dns),
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            webroot: false,
            apart: false,
        }
    }
}

/// Starts a name server that knows every name at 127.0.0.1.
pub(crate) async fn any_name() -> ChallTestSrv {
    let dns = ChallTestSrv::start(None).await.unwrap();
    dns.set_default_ipv6(None).await.unwrap();
    dns
}

impl World {
    /// Starts the usual world.
    pub(crate) async fn new(dns: SocketAddr, names: &[&'static str]) -> Self {
        Self::of(Plan::new(dns, names)).await
    }

    /// Starts a world.
    pub(crate) async fn of(mut plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [http, alpn, https] = [(); 3].map(|()| Port::free().unwrap());
        let resolver = plan.pebble.dns;
        plan.pebble.http_port = Some(http.number());
        plan.pebble.tls_port = Some(alpn.number());
        let pebble = Pebble::start(plan.pebble).await.unwrap();
        let webroot = plan.webroot.then(|| folder.path().join("webroot"));
        if let Some(webroot) = &webroot {
            std::fs::create_dir(webroot).unwrap();
        }
        let blocks = if plan.apart { plan.names.chunks(1) } else { plan.names.chunks(usize::MAX) };
        let servers = blocks.enumerate().map(|(number, names)| {
            let issued = Authority::new("somebody else").unwrap().issue(names).unwrap();
            // The first is `old.pem` with `old.key`, which tests know.
            let number = if number == 0 { String::new() } else { number.to_string() };
            let file = |kind: &str| folder.path().join(format!("old{number}.{kind}"));
            std::fs::write(file("pem"), issued.cert_pem).unwrap();
            std::fs::write(file("key"), issued.key_pem).unwrap();
            let mut server = Server::named(names).cert(file("pem"), file("key"));
            for address in &plan.addresses {
                server = server.https(SocketAddr::new(*address, https.number()));
            }
            match &webroot {
                Some(webroot) => server.http(http.v4()).webroot(webroot.clone()),
                None => server,
            }
        });
        let options = NginxOptions { servers: servers.collect(), raw: String::new() };
        let nginx = Nginx::start(options).await.unwrap();
        let target = "take_over = true\nsettle = \"2s\"".to_owned();
        let issuer = "agree_terms = true".to_owned();
        let world = Self { pebble, nginx, http, alpn, https, issuer, target, resolver, folder };
        world.trust().await;
        world
    }

    /// Writes the roots that the daemon trusts: Pebble's own, and the one it issues under.
    pub(crate) async fn trust(&self) {
        let issuing = self.pebble.issuing_root_pem(0).await.unwrap();
        let roots = format!("{}\n{issuing}", self.pebble.ca_root_pem());
        std::fs::write(self.path("roots.pem"), roots).unwrap();
    }

    /// Writes the configuration, and returns where it is.
    pub(crate) fn write(&self, own: &str) -> PathBuf {
        let head = format!(
            "contact = \"ops@example.test\"\n[store]\ndir = \"@DIR@/store\"\n\
             [resolver]\nservers = [\"{}\"]\n\
             [issuer.pebble]\ndirectory = \"{}\"\nroots = \"@DIR@/roots.pem\"\n\
             kind = \"private\"\n{}\n\
             [target.web]\nnginx = \"{}\"\nprefix = \"{}\"\nfiles = \"@DIR@/live\"\n{}\n",
            self.resolver,
            self.pebble.directory_url(),
            self.issuer,
            self.nginx.conf_path().display(),
            self.nginx.dir().display(),
            self.target,
        );
        let text = format!("{head}{own}")
            .replace("@DIR@", &self.folder.path().display().to_string())
            .replace("@HTTPS@", &self.https.number().to_string())
            .replace("@ALPN@", &self.alpn.number().to_string())
            .replace("@HTTP@", &self.http.number().to_string());
        configure(self.folder.path(), &text)
    }

    /// Returns a path in this world's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns how many orders Pebble says it has.
    pub(crate) fn orders(&self) -> usize {
        let log = self.pebble.log();
        let count = log.rsplit_once(" orders in the db").map(|(before, _)| before);
        let count = count.and_then(|before| before.rsplit_once("There are now ")?.1.parse().ok());
        count.unwrap_or(0)
    }
}

/// A solver that answers http-01 on every loopback address of the usual tests, and a certificate
/// for `www.example.test`.
pub(crate) const WWW_BY_LISTENER: &str = r#"
[solver.http]
http-01 = "listener"
listen = ["127.0.0.1:@HTTP@"]
[certificate.www]
names = ["www.example.test"]
targets = ["web"]
endpoints = ["www.example.test:@HTTPS@"]
"#;

/// A solver that writes http-01 answers into a webroot, and the same certificate.
pub(crate) const WWW_BY_WEBROOT: &str = r#"
[solver.webroot]
http-01 = "webroot"
webroot = "@DIR@/webroot"
[certificate.www]
names = ["www.example.test"]
targets = ["web"]
endpoints = ["www.example.test:@HTTPS@"]
"#;

/// Asserts that no challenge answer is left in DNS.
pub(crate) async fn assert_no_txt(server: SocketAddr, record: &str) {
    assert_eq!(dig(server, record, "TXT").await.unwrap(), Vec::<String>::new(), "{record}");
}

/// Describes a zone with two hosts, which may be updated with the known key.
pub(crate) fn zone(name: &str) -> DnsOptions {
    DnsOptions::serving([Zone::new(name, "@ A 127.0.0.1\nwww A 127.0.0.1")])
}

/// Returns a solver for dns-01 by signed updates of one server.
pub(crate) fn rfc2136(server: SocketAddr) -> String {
    let TsigKey { name, secret } = TsigKey::known();
    format!(
        "[solver.ns]\ndns-01 = \"rfc2136\"\nserver = \"{server}\"\n\
         nameservers = [\"{server}\"]\ntsig = {{ name = \"{name}\", key = \"{secret}\" }}\n"
    )
}

/// A certificate for `shop.test` and all below it, seen at its apex and at a concrete host.
pub(crate) const SHOP: &str = r#"
[certificate.shop]
names = ["shop.test", "*.shop.test"]
targets = ["web"]
endpoints = ["shop.test:@HTTPS@", "www.shop.test:@HTTPS@"]
"#;
