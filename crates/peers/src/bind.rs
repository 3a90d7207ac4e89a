//! BIND: an authoritative server that takes signed updates, and a resolver for the same zones.
//!
//! Asked as one asks an authority (without recursion), it answers for its zones and refuses all
//! others. Asked as one asks a resolver, as a CA does, it also follows an alias from one of its
//! zones into another, and passes questions on as [`DnsOptions::forwarding`] says; names outside
//! all of that do not exist, so that nothing is ever asked on the real network.

use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::write;
use crate::{DnsOptions, Error, NameServer, Program, TsigKey};

/// A running BIND. What it can do stands at [`NameServer`].
#[derive(Debug)]
pub struct Bind(NameServer);

impl Bind {
    /// Starts BIND and waits until it answers for every zone.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses a zone, or does not answer in time (with its log).
    pub async fn start(options: DnsOptions) -> Result<Self, Error> {
        let program = Program::NAMED.locate()?;
        NameServer::start(Program::NAMED, Program::NSUPDATE, options, |options, addr, dir| {
            write(&dir.join("outside.zone"), root(&options.forwards))?;
            let conf = dir.join("named.conf");
            write(&conf, config(options, addr, dir))?;
            let mut command = Command::new(unconfined(program, dir)?);
            command.arg("-g").args(["-n", "1"]).arg("-c").arg(&conf);
            Ok(command)
        })
        .await
        .map(Self)
    }
}

impl Deref for Bind {
    type Target = NameServer;

    fn deref(&self) -> &NameServer {
        &self.0
    }
}

/// Returns a program that may read our folder: Debian's AppArmor profile keeps `named` from reading
/// anything but its own folders, and goes by the program's path, so a copy is free of it.
fn unconfined(program: PathBuf, dir: &Path) -> Result<PathBuf, Error> {
    if !Path::new("/etc/apparmor.d/usr.sbin.named").exists() {
        return Ok(program);
    }
    let copy = dir.join("named");
    std::fs::copy(&program, &copy)
        .map_err(|cause| Error::failed(format!("copying {}", program.display()), cause))?;
    Ok(copy)
}

/// A root in which nothing exists but what is passed on: BIND follows a forwarder only below a
/// delegation.
fn root(forwards: &[(String, SocketAddr)]) -> String {
    let mut text = String::from(
        "$TTL 1\n. SOA ns. hostmaster. 1 3600 600 86400 1\n. NS ns.\nns. A 127.0.0.1\n",
    );
    for (zone, _) in forwards {
        let _ = writeln!(text, "{zone}. NS ns.");
    }
    text
}

fn config(options: &DnsOptions, addr: SocketAddr, dir: &Path) -> String {
    let (v4, v6) = match addr {
        SocketAddr::V4(v4) => (v4.ip().to_string(), "none".to_owned()),
        SocketAddr::V6(v6) => ("none".to_owned(), v6.ip().to_string()),
    };
    let (port, dir) = (addr.port(), dir.display());
    let mut text = format!(
        "options {{\n  directory \"{dir}\";\n  managed-keys-directory \"{dir}\";\n  \
         pid-file none;\n  session-keyfile none;\n  lock-file none;\n  \
         listen-on port {port} {{ {v4}; }};\n  listen-on-v6 port {port} {{ {v6}; }};\n  \
         allow-query {{ any; }};\n  allow-transfer {{ any; }};\n  notify no;\n  \
         dnssec-validation no;\n  empty-zones-enable no;\n  max-cache-size 8m;\n  \
         max-cache-ttl 0;\n  max-ncache-ttl 0;\n}};\ncontrols {{ }};\n"
    );
    let mut grant = String::new();
    for TsigKey { name, secret } in options.tsig.iter().chain(&options.powerless) {
        let _ = writeln!(text, "key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};");
    }
    if let Some(TsigKey { name, .. }) = &options.tsig {
        grant = format!(" update-policy {{ grant {name} zonesub ANY; }};");
    }
    let serves_root = options.zones.iter().any(|zone| zone.name.is_empty());
    let mut resolver = String::new();
    if !serves_root {
        resolver.push_str("  zone \".\" { type primary; file \"outside.zone\"; };\n");
    }
    let mut authority = String::new();
    for zone in &options.zones {
        let (name, file) = (format!("{}.", zone.name), zone.file_name());
        let signed = if zone.signed { " dnssec-policy default; inline-signing yes;" } else { "" };
        let _ = writeln!(
            resolver,
            "  zone \"{name}\" {{ type primary; file \"{file}\";{grant}{signed} }};"
        );
        let _ = writeln!(authority, "  zone \"{name}\" {{ in-view \"resolver\"; }};");
    }
    for (zone, to) in &options.forwards {
        let (ip, port) = (to.ip(), to.port());
        let _ = writeln!(
            resolver,
            "  zone \"{zone}\" {{ type forward; forward only; \
             forwarders {{ {ip} port {port}; }}; }};"
        );
    }
    let _ = write!(
        text,
        "view \"resolver\" {{\n  match-recursive-only yes;\n  recursion yes;\n{resolver}}};\n\
         view \"authority\" {{\n  recursion no;\n{authority}}};\n"
    );
    text
}
