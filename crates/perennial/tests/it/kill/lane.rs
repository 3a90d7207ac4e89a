//! What cases share: the name server all of them, a CA those of one lane.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_peers::{ChallTestSrv, DnsOptions, Knot, Pebble, PebbleOptions, Port, TsigKey, Zone};

use crate::naming;

/// How names are proven.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    /// By http-01, with the daemon's own listener.
    Http,
    /// By tls-alpn-01, with the daemon's own listener.
    TlsAlpn,
    /// By http-01, with files that the web server shows: what can be left behind.
    Webroot,
    /// By dns-01, with signed updates: what can be left behind.
    Dns,
    /// By dns-01, with a program in the convention of lego's `exec`: what can be left behind.
    Program,
}

/// The zone of the names of all cases.
pub(super) const ZONE: &str = "kill.test";

/// The folder below a case's own from which its web server shows answers.
pub(super) const WEBROOT: &str = "webroot";

/// How many names the zone has.
const NAMES: usize = 1000;

/// The name server.
pub(super) enum Names {
    Http(ChallTestSrv),
    TlsAlpn(ChallTestSrv),
    Webroot(ChallTestSrv),
    Dns(Box<Knot>),
    Program(Box<Knot>),
}

impl Proof {
    /// Starts the name server. Every name is at 127.0.0.1.
    pub(super) async fn start(self) -> Arc<Names> {
        Arc::new(match self {
            Self::Http => Names::Http(everywhere().await),
            Self::TlsAlpn => Names::TlsAlpn(everywhere().await),
            Self::Webroot => Names::Webroot(everywhere().await),
            Self::Dns => Names::Dns(Box::new(one_by_one().await)),
            Self::Program => Names::Program(Box::new(one_by_one().await)),
        })
    }
}

/// Starts a name server that can be written to, by which each name that a case may have is here.
async fn one_by_one() -> Knot {
    // No wildcard: it would not stand for a name that has a challenge record below it.
    let hosts = (1..=NAMES).map(|at| format!("n{at} A 127.0.0.1\n"));
    let zone = Zone::new(ZONE, &hosts.collect::<String>());
    Knot::start(DnsOptions::serving([zone])).await.unwrap()
}

/// Starts a name server by which every name is here.
async fn everywhere() -> ChallTestSrv {
    let dns = ChallTestSrv::start(None).await.unwrap();
    dns.set_default_ipv6(None).await.unwrap();
    dns
}

impl Names {
    pub(super) fn addr(&self) -> SocketAddr {
        match self {
            Self::Http(dns) | Self::TlsAlpn(dns) | Self::Webroot(dns) => dns.addr(),
            Self::Dns(dns) | Self::Program(dns) => dns.addr(),
        }
    }

    /// Returns the certificate of a case: for its name, and by DNS for all names below it as well.
    /// What its solver needs is put into the case's folder.
    pub(super) fn certificate(
        &self,
        name: &str,
        folder: &Path,
        validated: u16,
        https: u16,
    ) -> String {
        let listener = |challenge: &str| {
            format!("{challenge} = \"listener\"\nlisten = [\"127.0.0.1:{validated}\"]\n")
        };
        let (solver, in_dns) = match self {
            Self::Http(_) => (listener("http-01"), false),
            Self::TlsAlpn(_) => (listener("tls-alpn-01"), false),
            Self::Webroot(_) => {
                (format!("http-01 = \"webroot\"\nwebroot = \"@DIR@/{WEBROOT}\"\n"), false)
            }
            Self::Dns(dns) => {
                let (server, TsigKey { name: key, secret }) = (dns.addr(), TsigKey::known());
                let solver = format!(
                    "dns-01 = \"rfc2136\"\nserver = \"{server}\"\nnameservers = [\"{server}\"]\n\
                     tsig = {{ name = \"{key}\", key = \"{secret}\" }}\n"
                );
                (solver, true)
            }
            Self::Program(dns) => (naming::exec(folder, dns.addr(), ":"), true),
        };
        let below = if in_dns { format!(", \"*.{name}\"") } else { String::new() };
        format!(
            "[solver.own]\n{solver}[certificate.www]\nnames = [\"{name}\"{below}]\n\
             targets = [\"web\"]\nendpoints = [\"{name}:{https}\"]\n"
        )
    }

    /// Returns whether an answer that was up is up while no daemon lives.
    pub(super) const fn outlive_the_daemon(&self) -> bool {
        match self {
            Self::Http(_) | Self::TlsAlpn(_) => false,
            Self::Webroot(_) | Self::Dns(_) | Self::Program(_) => true,
        }
    }

    /// Asserts that no answer for a name is left; the case's files are in `folder`.
    pub(super) async fn assert_none_left(&self, name: &str, folder: &Path) {
        match self {
            // The listener's answers are gone with the process.
            Self::Http(_) | Self::TlsAlpn(_) => {}
            Self::Webroot(_) => {
                let left = files_below(&folder.join(WEBROOT));
                assert_eq!(left, Vec::<PathBuf>::new());
            }
            Self::Dns(dns) | Self::Program(dns) => {
                let record = format!("_acme-challenge.{name}");
                let left = dns.look(&record, "TXT").await.unwrap();
                assert_eq!(left, Vec::<String>::new(), "{record}");
            }
        }
    }
}

/// Returns the files below a folder, at any depth.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    paths.flat_map(below).collect()
}

/// A CA for the cases of one lane.
pub(super) struct Lane {
    pub(super) names: Arc<Names>,
    pub(super) pebble: Pebble,
    /// The port of http-01, or of tls-alpn-01.
    pub(super) validated: Port,
    /// The roots of its own certificate and of those it issues.
    pub(super) roots: String,
}

impl Lane {
    pub(super) async fn start(names: Arc<Names>) -> Self {
        let validated = Port::free().unwrap();
        let mut options = PebbleOptions::asking(names.addr());
        match *names {
            Names::TlsAlpn(_) => options.tls_port = Some(validated.number()),
            _ => options.http_port = Some(validated.number()),
        }
        let pebble = Pebble::start(options).await.unwrap();
        let issuing = pebble.issuing_root_pem(0).await.unwrap();
        let roots = format!("{}\n{issuing}", pebble.ca_root_pem());
        Self { names, pebble, validated, roots }
    }

    /// Returns how many accounts and how many orders the CA has made so far.
    pub(super) fn made(&self) -> (usize, usize) {
        let log = std::fs::read_to_string(self.pebble.log_path()).unwrap();
        let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
        (count(" accounts in memory"), count(" orders in the db"))
    }
}
