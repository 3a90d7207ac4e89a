//! Where the peers' programs are, and what to type when they are not.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::Error;

/// A program a test may need.
///
/// Looked for on `PATH`, in the usual folders for system programs, and in `bin` below
/// `$PERENNIAL_PEERS` (by default `~/.cache/perennial/peers`), where `scripts/peers` puts what no
/// distribution has, and in Go's folder for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    name: &'static str,
    install: &'static str,
}

impl Program {
    /// The ACME server of Let's Encrypt for tests.
    pub const PEBBLE: Self = Self {
        name: "pebble",
        install: "go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1",
    };
    /// The name server and challenge responder that comes with Pebble.
    pub const CHALLTESTSRV: Self = Self {
        name: "pebble-challtestsrv",
        install: "go install github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@v2.10.1",
    };
    /// BIND's server.
    pub const NAMED: Self = Self { name: "named", install: "apt-get install bind9" };
    /// BIND's tool that asks.
    pub const DIG: Self = Self { name: "dig", install: "apt-get install bind9-dnsutils" };
    /// BIND's tool that updates.
    pub const NSUPDATE: Self = Self { name: "nsupdate", install: "apt-get install bind9-dnsutils" };
    /// Knot's server.
    pub const KNOTD: Self = Self { name: "knotd", install: "apt-get install knot" };
    /// Knot's tool that updates.
    pub const KNSUPDATE: Self =
        Self { name: "knsupdate", install: "apt-get install knot-dnsutils" };
    /// PowerDNS's server.
    pub const PDNS_SERVER: Self =
        Self { name: "pdns_server", install: "apt-get install pdns-server pdns-backend-sqlite3" };
    /// PowerDNS's tool.
    pub const PDNSUTIL: Self =
        Self { name: "pdnsutil", install: "apt-get install pdns-server pdns-backend-sqlite3" };
    /// An ACME client in one shell script.
    pub const DEHYDRATED: Self = Self { name: "dehydrated", install: "apt-get install dehydrated" };
    /// SQLite's shell.
    pub const SQLITE3: Self = Self { name: "sqlite3", install: "apt-get install sqlite3" };
    /// The web server.
    pub const NGINX: Self = Self { name: "nginx", install: "apt-get install nginx" };
    /// The load balancer.
    pub const HAPROXY: Self = Self { name: "haproxy", install: "apt-get install haproxy" };
    /// The load generator.
    pub const WRK: Self = Self { name: "wrk", install: "apt-get install wrk" };
    /// The server that plays Amazon Route 53.
    pub const MOTO_SERVER: Self = Self {
        name: "moto_server",
        install: "scripts/peers (or: python3 -m venv ~/.cache/perennial/peers/moto && \
                  ~/.cache/perennial/peers/moto/bin/pip install -r scripts/moto.txt)",
    };
    /// The EFF's ACME client.
    pub const CERTBOT: Self = Self {
        name: "certbot",
        install: "scripts/peers (or: python3 -m venv ~/.cache/perennial/peers/certbot && \
                  ~/.cache/perennial/peers/certbot/bin/pip install certbot==5.8.0)",
    };

    /// The mail server's command.
    pub const POSTFIX: Self = Self { name: "postfix", install: "apt-get install postfix" };
    /// The mail server itself, which its command starts in the background only.
    pub const POSTFIX_MASTER: Self = Self { name: "master", install: "apt-get install postfix" };
    /// The server of mailboxes.
    pub const DOVECOT: Self =
        Self { name: "dovecot", install: "apt-get install dovecot-imapd dovecot-pop3d" };
    /// Its command.
    pub const DOVEADM: Self =
        Self { name: "doveadm", install: "apt-get install dovecot-imapd dovecot-pop3d" };
    /// OpenLDAP's server.
    pub const SLAPD: Self = Self { name: "slapd", install: "apt-get install slapd" };
    /// The FTP server.
    pub const VSFTPD: Self = Self { name: "vsftpd", install: "apt-get install vsftpd" };
    /// The XMPP server.
    pub const PROSODY: Self = Self { name: "prosody", install: "apt-get install prosody" };
    /// The database server.
    pub const POSTGRES: Self = Self { name: "postgres", install: "apt-get install postgresql" };
    /// Makes a cluster for it.
    pub const INITDB: Self = Self { name: "initdb", install: "apt-get install postgresql" };
    /// The ACME client in Go.
    pub const LEGO: Self = Self { name: "lego", install: "apt-get install lego" };
    /// The tool for keys and certificates.
    pub const OPENSSL: Self = Self { name: "openssl", install: "apt-get install openssl" };
    /// The web server of the Apache project.
    pub const APACHE: Self = Self { name: "apache2", install: "apt-get install apache2" };
    /// The web server that has certificates of its own.
    pub const CADDY: Self = Self { name: "caddy", install: "apt-get install caddy" };

    /// Returns where the program is.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], with the command that installs it.
    pub fn locate(self) -> Result<PathBuf, Error> {
        folders()
            .into_iter()
            .map(|folder| folder.join(self.name))
            .find(|path| is_program(path))
            .ok_or(Error::Missing { program: self.name, install: self.install })
    }

    /// Returns the name it is called by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// Folders to look in, first the ones the caller chose.
fn folders() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let ours = peers_folder(std::env::var_os("PERENNIAL_PEERS").as_deref(), &home);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![ours.join("bin"), ours.join("certbot/bin"), ours.join("moto/bin")];
    folders.extend(std::env::split_paths(&path));
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    folders.push(PathBuf::from("/usr/lib/postfix/sbin"));
    folders.extend(newest_postgresql());
    folders.push(home.join("go/bin"));
    folders
}

/// Where Debian keeps PostgreSQL's programs: a folder for each version, of which the newest counts.
fn newest_postgresql() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.flatten().map(|entry| entry.path()).max_by_key(number)?;
    Some(newest.join("bin"))
}

/// The folder `scripts/peers` fills.
fn peers_folder(chosen: Option<&OsStr>, home: &Path) -> PathBuf {
    chosen.map_or_else(|| home.join(".cache/perennial/peers"), PathBuf::from)
}

/// Tells whether a path is a file somebody may run.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_peer_is_an_error_that_says_what_to_type() {
        let nobody = Program { name: "no-such-peer", install: "apt-get install no-such-peer" };
        let error = nobody.locate().unwrap_err().to_string();
        assert!(error.starts_with("`no-such-peer` not found"), "{error}");
        assert!(error.contains("hint: apt-get install no-such-peer"), "{error}");
    }

    #[test]
    fn the_folder_of_peers_can_be_chosen() {
        let home = Path::new("/home/ada");
        assert_eq!(peers_folder(None, home), home.join(".cache/perennial/peers"));
        assert_eq!(peers_folder(Some(OsStr::new("/srv/peers")), home), Path::new("/srv/peers"));
    }
}
