//! The table: how each server is asked, checked and told.

use std::path::Path;

use super::uses::{self, Use};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// The Apache HTTP server.
    Apache,
    /// Caddy.
    Caddy,
    /// Dovecot.
    Dovecot,
    /// Postfix.
    Postfix,
    /// PostgreSQL.
    Postgresql,
}

/// What is to be known about a server. In the words of commands, `{config}` stands for its main
/// file, `{folder}` for the folder of that, `{data}` for the folder of its data.
#[derive(Debug)]
pub(super) struct Row {
    /// Its main file, in the folder of its configuration; the first that is there.
    pub(super) main: &'static [&'static str],
    /// The program that `binary` declares.
    pub(super) program: &'static str,
    /// Tells where its data are. Who owns these owns the files, and runs the programs.
    pub(super) data: Option<&'static [&'static str]>,
    /// Each tells a part of what files are read.
    pub(super) asks: &'static [&'static [&'static str]],
    /// Reads the answers; relative paths start from the folder given.
    pub(super) read: fn(&[String], &Path) -> Result<Vec<Use>, String>,
    /// Checks the configuration as it stands.
    pub(super) check: &'static [&'static str],
    /// Makes the running server read its files again, and lets no connection break.
    pub(super) reload: &'static [&'static str],
    /// What a person writes so that our files are read.
    pub(super) point: &'static str,
}

impl ServerKind {
    pub(super) const fn row(self) -> &'static Row {
        match self {
            Self::Apache => &APACHE,
            Self::Caddy => &CADDY,
            Self::Dovecot => &DOVECOT,
            Self::Postfix => &POSTFIX,
            Self::Postgresql => &POSTGRESQL,
        }
    }
}

const APACHE: Row = Row {
    main: &["apache2.conf", "httpd.conf", "conf/httpd.conf"],
    program: "apachectl",
    data: None,
    asks: &[&["apachectl", "-f", "{config}", "-t", "-D", "DUMP_INCLUDES"]],
    read: uses::apache,
    check: &["apachectl", "-f", "{config}", "-t"],
    reload: &["apachectl", "-f", "{config}", "-k", "graceful"],
    point: "in the virtual host of its names, write `SSLCertificateFile {fullchain}` and \
            `SSLCertificateKeyFile {key}`",
};

// A configuration that says the same as before is not loaded again, unless it is forced to be.
const CADDY: Row = Row {
    main: &["Caddyfile"],
    program: "caddy",
    data: None,
    asks: &[&["caddy", "adapt", "--config", "{config}"]],
    read: uses::caddy,
    check: &["caddy", "validate", "--config", "{config}"],
    reload: &["caddy", "reload", "--force", "--config", "{config}"],
    point: "in the site of its names, write `tls {fullchain} {key}`",
};

// The key's path is among what is not shown without `-P`.
const DOVECOT: Row = Row {
    main: &["dovecot.conf"],
    program: "doveadm",
    data: None,
    asks: &[&["doveconf", "-c", "{config}", "-n", "-P"]],
    read: uses::dovecot,
    check: &["doveconf", "-c", "{config}", "-n"],
    reload: &["doveadm", "-c", "{config}", "reload"],
    point: "write `ssl_cert = <{fullchain}` and `ssl_key = <{key}`",
};

const POSTFIX: Row = Row {
    main: &["main.cf"],
    program: "postfix",
    data: None,
    asks: &[&[
        "postconf",
        "-c",
        "{folder}",
        "-x",
        "smtpd_tls_chain_files",
        "smtpd_tls_cert_file",
        "smtpd_tls_key_file",
        "smtpd_tls_eccert_file",
        "smtpd_tls_eckey_file",
    ]],
    read: uses::postfix,
    check: &["postfix", "-c", "{folder}", "check"],
    reload: &["postfix", "-c", "{folder}", "reload"],
    point: "write `smtpd_tls_chain_files = {key}, {fullchain}`",
};

const POSTGRESQL: Row = Row {
    main: &["postgresql.conf"],
    program: "postgres",
    data: Some(&["postgres", "-C", "data_directory", "-D", "{folder}"]),
    asks: &[
        &["postgres", "-C", "ssl_cert_file", "-D", "{folder}"],
        &["postgres", "-C", "ssl_key_file", "-D", "{folder}"],
    ],
    read: uses::postgresql,
    check: &["postgres", "-C", "ssl", "-D", "{folder}"],
    reload: &["pg_ctl", "reload", "-D", "{data}"],
    point: "write `ssl_cert_file = '{fullchain}'` and `ssl_key_file = '{key}'`",
};
