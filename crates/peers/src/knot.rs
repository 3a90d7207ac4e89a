//! Knot: an authoritative server that takes signed updates and binds any address of 127.0.0.0/8.
//!
//! Unlike BIND it does not follow an alias into another zone of its own.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::bind::serves;
use crate::dns::{dig, update};
use crate::error::{make_dir, temp_dir, write};
use crate::process::Process;
use crate::{DnsOptions, Error, Port, Program, TsigKey};

/// A running Knot.
#[derive(Debug)]
pub struct Knot {
    process: Process,
    addr: SocketAddr,
    tsig: Option<TsigKey>,
    _port: Option<Port>,
    _dir: TempDir,
}

impl Knot {
    /// Starts Knot and waits until it answers for every zone.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses a zone, or does not answer in time (with its log).
    pub async fn start(options: DnsOptions) -> Result<Self, Error> {
        let program = Program::KNOTD.locate()?;
        let dir = temp_dir("knot")?;
        let (addr, port) = match options.listen {
            Some(addr) => (addr, None),
            None => {
                let port = Port::free()?;
                (port.v4(), Some(port))
            }
        };
        make_dir(&dir.path().join("db"))?;
        for zone in &options.zones {
            write(&dir.path().join(zone.file_name()), zone.file(addr))?;
        }
        let conf = dir.path().join("knot.conf");
        write(&conf, config(&options, addr, dir.path()))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&conf);
        let process = Process::start("knotd", command, &dir.path().join("log"))?;
        let started = Self { process, addr, tsig: options.tsig, _port: port, _dir: dir };
        for zone in &options.zones {
            started.process.ready(async || serves(addr, &zone.name).await).await?;
        }
        Ok(started)
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

    /// Changes a zone with `knsupdate`'s commands (`update add www 1 A 127.0.0.1`), one a line.
    ///
    /// # Errors
    ///
    /// When the tool is not installed or the update is refused.
    pub async fn update(&self, zone: &str, changes: &str) -> Result<(), Error> {
        update(Program::KNSUPDATE, self.addr, zone, self.tsig.as_ref(), changes).await
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

fn config(options: &DnsOptions, addr: SocketAddr, dir: &Path) -> String {
    let dir = dir.display();
    let mut text = format!(
        "server:\n    rundir: {dir}\n    listen: {}@{}\n    udp-workers: 1\n    tcp-workers: 1\n    \
         background-workers: 1\nlog:\n  - target: stderr\n    any: info\ndatabase:\n    \
         storage: {dir}/db\n    journal-db-max-size: 16M\n    kasp-db-max-size: 16M\n    \
         timer-db-max-size: 16M\n    catalog-db-max-size: 16M\n",
        addr.ip(),
        addr.port()
    );
    let mut acls = "all-may-look";
    let keys: Vec<&TsigKey> = options.tsig.iter().chain(&options.powerless).collect();
    if !keys.is_empty() {
        text.push_str("key:\n");
    }
    for TsigKey { name, secret } in keys {
        let _ = write!(text, "  - id: {name}\n    algorithm: hmac-sha256\n    secret: {secret}\n");
    }
    text.push_str("acl:\n  - id: all-may-look\n    address: [127.0.0.0/8, \"::1\"]\n    ");
    text.push_str("action: transfer\n");
    if let Some(TsigKey { name, .. }) = &options.tsig {
        let _ =
            write!(text, "  - id: may-update\n    key: {name}\n    action: [update, transfer]\n");
        acls = "all-may-look, may-update";
    }
    text.push_str("zone:\n");
    for zone in &options.zones {
        let (name, file) = (&zone.name, zone.file_name());
        let _ = write!(
            text,
            "  - domain: {name}.\n    storage: {dir}\n    file: {file}\n    acl: [{acls}]\n    \
             zonefile-sync: -1\n    zonefile-load: difference-no-serial\n    \
             journal-content: all\n"
        );
    }
    text
}
