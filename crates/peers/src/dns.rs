//! What BIND and Knot have in common: zones, a TSIG key, and tools to ask and to change.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::process::run;
use crate::{Error, Program};

/// What an authoritative server serves.
#[derive(Debug, Clone, Default)]
pub struct DnsOptions {
    /// Where it listens; a free port on 127.0.0.1 is drawn when there is none. BIND binds only
    /// addresses the loopback interface carries, Knot any in 127.0.0.0/8.
    pub listen: Option<SocketAddr>,
    /// The zones; parents and children may both be among them.
    pub zones: Vec<Zone>,
    /// The key that may update all of them.
    pub tsig: Option<TsigKey>,
    /// A key the servers know, and that may do nothing.
    pub powerless: Option<TsigKey>,
    /// BIND only: zones that live at other servers. Asked about them as a resolver, it asks those;
    /// nothing is cached.
    pub forwards: Vec<(String, SocketAddr)>,
}

/// A zone: its name and its records.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The name, without the root's dot; empty for the root itself.
    pub name: String,
    /// The records, in the form of a zone file; relative names are below the zone. A `SOA` is put
    /// before them unless they contain one, and an `NS` (`ns`, with the server's address) unless a
    /// line says `@ NS`.
    pub records: String,
    /// Whether the server signs it, with keys of its own making (BIND only).
    pub signed: bool,
}

/// A key that signs updates (HMAC-SHA256, RFC 8945).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TsigKey {
    /// The key's name, without the root's dot.
    pub name: String,
    /// The secret in base64.
    pub secret: String,
}

impl DnsOptions {
    /// Serves zones that may be updated with [`TsigKey::known`].
    #[must_use]
    pub fn serving(zones: impl IntoIterator<Item = Zone>) -> Self {
        Self { zones: zones.into_iter().collect(), tsig: Some(TsigKey::known()), ..Self::default() }
    }

    /// Listens at the given address.
    #[must_use]
    pub const fn at(mut self, listen: SocketAddr) -> Self {
        self.listen = Some(listen);
        self
    }

    /// Passes questions about a zone on to another server (BIND only).
    #[must_use]
    pub fn forwarding(mut self, zone: &str, to: SocketAddr) -> Self {
        self.forwards.push((zone.to_owned(), to));
        self
    }
}

impl Zone {
    /// A zone with records.
    #[must_use]
    pub fn new(name: &str, records: &str) -> Self {
        let (name, records) = (name.trim_end_matches('.').to_owned(), records.to_owned());
        Self { name, records, signed: false }
    }

    /// The server signs it, with keys of its own making (BIND only).
    #[must_use]
    pub const fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Returns the name of the zone's file.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.zone", if self.name.is_empty() { "root" } else { &self.name })
    }

    /// Returns the zone's file, for a server at the given address.
    pub(crate) fn file(&self, server: SocketAddr) -> String {
        let has = |line: &str, kind: &str| {
            line.split_whitespace().any(|word| word.eq_ignore_ascii_case(kind))
        };
        let origin = format!("{}.", self.name);
        let mut text = format!("$ORIGIN {origin}\n$TTL 1\n");
        if !has(&self.records, "soa") {
            text.push_str("@ SOA ns hostmaster 1 3600 600 86400 1\n");
        }
        if !self.records.lines().any(|line| line.starts_with('@') && has(line, "ns")) {
            let (kind, address) = match server {
                SocketAddr::V4(v4) => ("A", v4.ip().to_string()),
                SocketAddr::V6(v6) => ("AAAA", v6.ip().to_string()),
            };
            let _ = writeln!(text, "@ NS ns\nns {kind} {address}");
        }
        text + &self.records + "\n"
    }
}

impl TsigKey {
    /// The key tests use: everybody knows it.
    #[must_use]
    pub fn known() -> Self {
        Self {
            name: "perennial-test".into(),
            secret: "cGVyZW5uaWFsLXRlc3Qta2V5LXBlcmVubmlhbC10ZXM=".into(),
        }
    }
}

/// Asks a server for records of a name and returns their data, one each, sorted.
///
/// Asks over TCP, without recursion; `kind` is a record type, or `AXFR` for every record of a zone
/// (then whole lines are returned).
///
/// # Errors
///
/// When `dig` is not installed, or the server does not answer.
pub async fn dig(server: SocketAddr, name: &str, kind: &str) -> Result<Vec<String>, Error> {
    ask(server, name, kind, "+norecurse").await
}

/// Like [`dig`], but asks as one asks a resolver.
///
/// # Errors
///
/// When `dig` is not installed, or the server does not answer.
pub async fn resolve(server: SocketAddr, name: &str, kind: &str) -> Result<Vec<String>, Error> {
    ask(server, name, kind, "+recurse").await
}

async fn ask(
    server: SocketAddr,
    name: &str,
    kind: &str,
    recurse: &str,
) -> Result<Vec<String>, Error> {
    let mut command = Command::new(Program::DIG.locate()?);
    command
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), "-t", kind, "-q", name])
        .args(["+tcp", recurse, "+time=5", "+tries=1", "+nocmd"]);
    let whole_zone = kind.eq_ignore_ascii_case("axfr");
    command.args(if whole_zone { ["+noall", "+answer"] } else { ["+short", "+nocomments"] });
    let text = run(&format!("dig {name} {kind}"), command, ASK_WITHIN).await?;
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    Ok(lines)
}

/// How long a question or an update may take.
pub(crate) const ASK_WITHIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_without_a_soa_gets_one() {
        let at = "127.0.0.7:53".parse().unwrap();
        let file = Zone::new("shop.test.", "www A 127.0.0.9").file(at);
        assert_eq!(
            file,
            "$ORIGIN shop.test.\n$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\n\
             ns A 127.0.0.7\nwww A 127.0.0.9\n"
        );
    }

    #[test]
    fn a_zone_with_a_soa_and_ns_is_left_alone() {
        let at = "127.0.0.7:53".parse().unwrap();
        let records = "@ IN SOA a b 1 2 3 4 5\n@ NS a.other.test.";
        let file = Zone::new("shop.test", records).file(at);
        assert_eq!(file, format!("$ORIGIN shop.test.\n$TTL 1\n{records}\n"));
        assert!(Zone::new(".", "").file(at).starts_with("$ORIGIN .\n"));
    }
}
