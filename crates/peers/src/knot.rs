//! Knot: an authoritative server that takes signed updates and binds any address of 127.0.0.0/8.
//!
//! Unlike BIND it does not follow an alias into another zone of its own.

use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use crate::error::{make_dir, write};
use crate::{DnsOptions, Error, NameServer, Program, TsigKey};

/// A running Knot. What it can do stands at [`NameServer`].
#[derive(Debug)]
pub struct Knot(NameServer);

impl Knot {
    /// Starts Knot and waits until it answers for every zone.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses a zone, or does not answer in time (with its log).
    pub async fn start(options: DnsOptions) -> Result<Self, Error> {
        let program = Program::KNOTD.locate()?;
        NameServer::start(Program::KNOTD, Program::KNSUPDATE, options, |options, addr, dir| {
            make_dir(&dir.join("db"))?;
            let conf = dir.join("knot.conf");
            write(&conf, config(options, addr, dir))?;
            let mut command = Command::new(program);
            command.arg("-c").arg(&conf);
            Ok(command)
        })
        .await
        .map(Self)
    }
}

impl Deref for Knot {
    type Target = NameServer;

    fn deref(&self) -> &NameServer {
        &self.0
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
