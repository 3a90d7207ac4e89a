//! A running name server, whichever it is.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::dns::{ASK_WITHIN, dig};
use crate::error::{temp_dir, write};
use crate::process::{Process, listens, run};
use crate::{DnsOptions, Error, Port, Program, TsigKey};

/// A running BIND or Knot.
#[derive(Debug)]
pub struct NameServer {
    process: Process,
    addr: SocketAddr,
    tsig: Option<TsigKey>,
    updater: Program,
    _port: Option<Port>,
    _dir: TempDir,
}

impl NameServer {
    /// Starts a server that `prepare` writes the configuration for and returns the command of, and
    /// waits until it answers for every zone.
    pub(crate) async fn start(
        program: Program,
        updater: Program,
        options: DnsOptions,
        prepare: impl FnOnce(&DnsOptions, SocketAddr, &Path) -> Result<Command, Error>,
    ) -> Result<Self, Error> {
        let dir = temp_dir(program.name())?;
        let (addr, port) = match options.listen {
            Some(addr) => (addr, None),
            None => {
                let port = Port::free()?;
                (port.v4(), Some(port))
            }
        };
        for zone in &options.zones {
            write(&dir.path().join(zone.file_name()), zone.file(addr))?;
        }
        let command = prepare(&options, addr, dir.path())?;
        let process = Process::start(program.name(), command, &dir.path().join("log"))?;
        for zone in &options.zones {
            process.ready(|| serves(addr, &zone.name)).await?;
        }
        if options.zones.is_empty() {
            process.ready(|| listens(addr)).await?;
        }
        Ok(Self { process, addr, tsig: options.tsig, updater, _port: port, _dir: dir })
    }

    /// Returns where it answers (UDP and TCP).
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the key its zones may be updated with.
    #[must_use]
    pub const fn tsig(&self) -> Option<&TsigKey> {
        self.tsig.as_ref()
    }

    /// Changes a zone with the commands of the server's own tool, `nsupdate` or `knsupdate`
    /// (`update add www.example.test 1 A 127.0.0.1`), one a line.
    ///
    /// # Errors
    ///
    /// When the tool is not installed or the update is refused.
    pub async fn update(&self, zone: &str, changes: &str) -> Result<(), Error> {
        let dir = temp_dir(self.updater.name())?;
        let script = dir.path().join("changes");
        let (ip, port) = (self.addr.ip(), self.addr.port());
        write(&script, format!("server {ip} {port}\nzone {zone}.\n{changes}\nsend\n"))?;
        let mut command = Command::new(self.updater.locate()?);
        if let Some(TsigKey { name, secret }) = &self.tsig {
            command.args(["-y", &format!("hmac-sha256:{name}:{secret}")]);
        }
        command.args(["-t", "10", "-v"]).arg(script);
        run(&format!("updating {zone}"), command, ASK_WITHIN).await.map(drop)
    }

    /// Returns the data of a name's records, sorted; `kind` `AXFR` returns a whole zone.
    ///
    /// # Errors
    ///
    /// When `dig` is not installed or the server does not answer.
    pub async fn look(&self, name: &str, kind: &str) -> Result<Vec<String>, Error> {
        dig(self.addr, name, kind).await
    }

    /// Returns the end of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Tells whether a server answers for a zone.
async fn serves(addr: SocketAddr, zone: &str) -> Result<(), Error> {
    let soa = dig(addr, &format!("{zone}."), "SOA").await?;
    if soa.is_empty() { Err(Error::failed(format!("asking for {zone}"), "no SOA")) } else { Ok(()) }
}
