//! PowerDNS: an authoritative server whose zones, in SQLite, are changed by an HTTP API.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::client::{body, client};
use crate::dns::{ASK_WITHIN, dig};
use crate::error::{temp_dir, write};
use crate::process::{Process, listens, run};
use crate::{Error, Port, Program, Zone};

/// A running PowerDNS.
#[derive(Debug)]
pub struct PowerDns {
    process: Process,
    dns: Port,
    api: Port,
    _dir: TempDir,
}

impl PowerDns {
    /// Starts PowerDNS and waits until it answers for every zone, by DNS and by its API.
    ///
    /// # Errors
    ///
    /// When it or its back end is not installed, or it does not answer in time (with its log).
    pub async fn start(zones: impl IntoIterator<Item = Zone>) -> Result<Self, Error> {
        let program = Program::PDNS_SERVER.locate()?;
        let pdnsutil = Program::PDNSUTIL.locate()?;
        let dir = temp_dir("pdns")?;
        let (dns, api) = (Port::free()?, Port::free()?);
        write(&dir.path().join("pdns.conf"), config(dir.path(), &dns, &api))?;
        make_tables(dir.path()).await?;
        let zones: Vec<Zone> = zones.into_iter().collect();
        for zone in &zones {
            let file = dir.path().join(zone.file_name());
            write(&file, zone.file(dns.v4()))?;
            let mut load = Command::new(&pdnsutil);
            load.arg(format!("--config-dir={}", dir.path().display()));
            load.args(["load-zone", &zone.name]).arg(&file);
            run(&format!("loading {} into PowerDNS", zone.name), load, ASK_WITHIN).await?;
        }
        let mut command = Command::new(program);
        command.arg(format!("--config-dir={}", dir.path().display()));
        command.args(["--daemon=no", "--guardian=no"]);
        let process = Process::start("pdns_server", command, &dir.path().join("log"))?;
        for zone in &zones {
            process.ready(|| serves(dns.v4(), &zone.name)).await?;
        }
        process.ready(|| listens(api.v4())).await?;
        Ok(Self { process, dns, api, _dir: dir })
    }

    /// Returns where it answers (UDP and TCP).
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.dns.v4()
    }

    /// Returns where its API is.
    #[must_use]
    pub fn api(&self) -> String {
        format!("http://{}", self.api.v4())
    }

    /// Returns the key of its API.
    #[must_use]
    pub const fn api_key() -> &'static str {
        "perennial-test-key"
    }

    /// Returns the data of a name's records, sorted.
    ///
    /// # Errors
    ///
    /// When `dig` is not installed or the server does not answer.
    pub async fn look(&self, name: &str, kind: &str) -> Result<Vec<String>, Error> {
        dig(self.addr(), name, kind).await
    }

    /// Changes record sets by the API: `rrsets` is the JSON of PowerDNS's own PATCH.
    ///
    /// # Errors
    ///
    /// With what it said, when it refuses.
    pub async fn patch(&self, zone: &str, rrsets: &str) -> Result<(), Error> {
        let url = format!("{}/api/v1/servers/localhost/zones/{zone}.", self.api());
        let request = client("")?.patch(url).header("X-API-Key", Self::api_key());
        let request = request.header("Content-Type", "application/json").body(rrsets.to_owned());
        body(&format!("changing {zone} at PowerDNS"), request.send().await).await.map(drop)
    }

    /// Returns the end of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn config(dir: &Path, dns: &Port, api: &Port) -> String {
    let mut text = String::new();
    let dir = dir.display();
    for (key, value) in [
        ("launch", "gsqlite3".to_owned()),
        ("gsqlite3-database", format!("{dir}/zones.sqlite")),
        ("socket-dir", dir.to_string()),
        ("local-address", dns.v4().ip().to_string()),
        ("local-port", dns.number().to_string()),
        ("api", "yes".to_owned()),
        ("api-key", PowerDns::api_key().to_owned()),
        ("webserver", "yes".to_owned()),
        ("webserver-address", api.v4().ip().to_string()),
        ("webserver-port", api.number().to_string()),
        // What the API changes is served at once.
        ("cache-ttl", "0".to_owned()),
        ("query-cache-ttl", "0".to_owned()),
        ("negquery-cache-ttl", "0".to_owned()),
        ("zone-cache-refresh-interval", "0".to_owned()),
        ("receiver-threads", "1".to_owned()),
        ("distributor-threads", "1".to_owned()),
        ("disable-syslog", "yes".to_owned()),
    ] {
        let _ = writeln!(text, "{key}={value}");
    }
    text
}

/// Makes the database: PowerDNS brings its tables as a file and does not make them itself.
async fn make_tables(dir: &Path) -> Result<(), Error> {
    let schema = SCHEMA.iter().map(PathBuf::from).find(|path| path.exists());
    let schema = schema.ok_or(Error::Missing {
        program: "pdns-backend-sqlite3",
        install: "apt-get install pdns-backend-sqlite3",
    })?;
    let mut command = Command::new(Program::SQLITE3.locate()?);
    command.arg(dir.join("zones.sqlite")).arg(format!(".read {}", schema.display()));
    run("making PowerDNS's tables", command, ASK_WITHIN).await.map(drop)
}

/// Where Debian and Ubuntu keep the tables; images without documentation lack the second.
const SCHEMA: [&str; 2] = [
    "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql",
    "/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql",
];

async fn serves(addr: SocketAddr, zone: &str) -> Result<(), Error> {
    let soa = dig(addr, &format!("{zone}."), "SOA").await?;
    if soa.is_empty() { Err(Error::failed(format!("asking for {zone}"), "no SOA")) } else { Ok(()) }
}
