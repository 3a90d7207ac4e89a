//! The sections of the file, key by key.

use jiff::SignedDuration;

use super::{Endpoints, Named, Octal, OneOrMany, Section, section};
use crate::secret::Secret;
use crate::source::Spanned;

/// All sections, in the order of the manual.
pub(super) const ALL: &[Section] = &[
    RawFile::SECTION,
    RawIssuer::SECTION,
    RawEab::SECTION,
    RawSolver::SECTION,
    RawTsig::SECTION,
    RawTarget::SECTION,
    RawCertificate::SECTION,
    RawEndpoint::SECTION,
    RawStore::SECTION,
    RawControl::SECTION,
    RawResolver::SECTION,
];

section! {
    /// The whole file.
    "the file" RawFile {
        /// Whom CAs may write to: one address or a list. Issuers may have their own.
        "contact" contact: OneOrMany,
        /// Whether you agree to the terms of service of every issuer that does not say otherwise.
        "agree_terms" agree_terms: bool,
        /// The CAs.
        "issuer" issuer: Named<RawIssuer>,
        /// The means to answer challenges.
        "solver" solver: Named<RawSolver>,
        /// The places bundles are written to.
        "target" target: Named<RawTarget>,
        /// What must be covered.
        "certificate" certificate: Named<RawCertificate>,
        /// Where the journal, the keys and the bundles are kept.
        "store" store: RawStore,
        /// How the command line reaches the daemon.
        "control" control: RawControl,
        /// Who is asked for names.
        "resolver" resolver: RawResolver,
    }
}

section! {
    /// A CA, an account there and a profile.
    "[issuer.NAME]" RawIssuer {
        /// The name of a known CA, or the URL of an ACME directory.
        "directory" directory: String,
        /// The external account binding that the CA gave you.
        "eab" eab: RawEab,
        /// The profile to order, where the CA offers profiles.
        "profile" profile: String,
        /// A PEM file with the roots by which the CA's own server is judged.
        "roots" roots: String,
        /// Whether the rules of the public web apply: `public` or `private`.
        "kind" kind: String,
        /// The kind of key that a new account gets.
        "account_key" account_key: String,
        /// Whether you agree to this CA's terms of service.
        "agree_terms" agree_terms: bool,
        /// Whom this CA may write to.
        "contact" contact: OneOrMany,
    }
}

section! {
    /// An external account binding (RFC 8555 section 7.3.4).
    "eab = { }" RawEab {
        /// The key identifier.
        "kid" kid: Secret,
        /// The MAC key, in base64url as the CA shows it.
        "key" key: Secret,
    }
}

section! {
    /// A means to present challenge answers.
    "[solver.NAME]" RawSolver {
        /// Answers over HTTP on port 80: `listener`, `webroot` or `exec`.
        "http-01" http_01: String,
        /// Answers within a TLS handshake on port 443: `listener`.
        "tls-alpn-01" tls_alpn_01: String,
        /// Answers in DNS: `rfc2136`, `exec`, or a provider (docs/providers.md).
        "dns-01" dns_01: String,
        /// Answers in DNS below a label of the account's, as `dns-01` does.
        "dns-account-01" dns_account_01: String,
        /// Answers by a record that stays: `rfc2136`, `exec` or `by-hand`.
        "dns-persist-01" dns_persist_01: String,
        /// The zones it answers for; without them, every name.
        "zones" zones: Vec<Spanned<String>>,
        /// Where the listener listens.
        "listen" listen: OneOrMany,
        /// The folder whose `.well-known/acme-challenge` your web server shows.
        "webroot" webroot: String,
        /// The primary server that takes updates.
        "server" server: String,
        /// The key that signs updates.
        "tsig" tsig: RawTsig,
        /// The credentials of a provider, each a secret.
        "credentials" credentials: Named<Secret>,
        /// The life of the records written.
        "ttl" ttl: SignedDuration,
        /// The servers that must show an answer, instead of those the zone delegates to.
        "nameservers" nameservers: OneOrMany,
        /// The program that puts answers up and takes them down, and its first arguments.
        "program" program: OneOrMany,
        /// How it is called: `lego`, `lego-raw`, `certbot`, `acme.sh` or `dehydrated`.
        "convention" convention: String,
        /// The program that takes answers down, in the convention of certbot.
        "cleanup" cleanup: OneOrMany,
        /// The program's environment; values may be secrets.
        "env" env: Named<Secret>,
        /// How long an answer may take until every authoritative server shows it.
        "visible_within" visible_within: SignedDuration,
    }
}

section! {
    /// A TSIG key (RFC 8945).
    "tsig = { }" RawTsig {
        /// The key's name, as the server knows it.
        "name" name: String,
        /// The key in base64.
        "key" key: Secret,
        /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
        "algorithm" algorithm: String,
    }
}

section! {
    /// A place that bundles are written to.
    "[target.NAME]" RawTarget {
        /// The folder of the bundles: one folder for each certificate, switched as a whole.
        "files" files: String,
        /// nginx's configuration file or folder: its server blocks tell which files are used.
        "nginx" nginx: String,
        /// HAProxy's configuration file or folder: its `bind` lines tell which files are used.
        "haproxy" haproxy: String,
        /// Apache's configuration file or folder: its virtual hosts tell which files are used.
        "apache" apache: String,
        /// Caddy's configuration file or folder: its sites tell which files are used.
        "caddy" caddy: String,
        /// Dovecot's configuration file or folder.
        "dovecot" dovecot: String,
        /// Postfix's configuration folder.
        "postfix" postfix: String,
        /// PostgreSQL's configuration folder, the one with `postgresql.conf`.
        "postgresql" postgresql: String,
        /// The server's program.
        "binary" binary: String,
        /// The socket of HAProxy's runtime API.
        "runtime" runtime: String,
        /// The prefix that nginx is started with (`nginx -p`).
        "prefix" prefix: String,
        /// A path by which a server knows the file of leaf and chain.
        "fullchain" fullchain: String,
        /// A path by which a server knows the file of the leaf alone.
        "cert" cert: String,
        /// A path by which a server knows the file of the chain without the leaf.
        "chain" chain: String,
        /// A path by which a server knows the file of the key.
        "key" key: String,
        /// The user who owns the files.
        "owner" owner: String,
        /// The group of the files.
        "group" group: String,
        /// The mode of files that hold a key, as an octal text.
        "mode" mode: Octal,
        /// The command that must succeed on what is staged before it becomes active.
        "validate" validate: Vec<Spanned<String>>,
        /// The command that makes the server take the new files.
        "reload" reload: Vec<Spanned<String>>,
        /// Whether files that Perennial did not write may be replaced; they are copied first.
        "take_over" take_over: bool,
        /// How long after the reload the old leaf may still be served.
        "settle" settle: SignedDuration,
        /// Where clients meet this target's server: addresses, and hosts of `connect_to`.
        "serves_at" serves_at: OneOrMany,
    }
}

section! {
    /// Names to keep covered, by whom, where.
    "[certificate.NAME]" RawCertificate {
        /// The DNS names and IP addresses.
        "names" names: OneOrMany,
        /// The issuers allowed, in the order of preference.
        "issuers" issuers: OneOrMany,
        /// The solvers that may be used.
        "solvers" solvers: OneOrMany,
        /// The targets that take it.
        "targets" targets: OneOrMany,
        /// Where clients meet the names.
        "endpoints" endpoints: Endpoints,
        /// The kind of key, or two: one for clients that take ECDSA, one for those that take RSA.
        "key" key: OneOrMany,
        /// The root at which the chain is to end, where the CA offers several.
        "chain" chain: String,
        /// Whether each leaf gets a new key: `rotate` or `reuse`.
        "rotation" rotation: String,
        /// Keys that clients pin, as `sha256/` and the digest of the key in base64.
        "pins" pins: OneOrMany,
        /// How long before the end to renew.
        "renew_before" renew_before: SignedDuration,
        /// Who is told.
        "owner" owner: String,
        /// The name under which this certificate was declared before.
        "was" was: String,
    }
}

section! {
    /// A place where clients meet a name.
    "an endpoint" RawEndpoint {
        /// The name that is asked for and judged.
        "name" name: String,
        /// The host or address to connect to, instead of the name's own addresses.
        "connect_to" connect_to: String,
        /// The port.
        "port" port: u16,
        /// The servers behind it, as hosts or addresses: each is looked at, and serves ours.
        "origins" origins: OneOrMany,
        /// Whether several servers share its addresses.
        "shared" shared: bool,
        /// Whose leaf is meant to be served: `ours` or `foreign`.
        "serves" serves: String,
        /// What is spoken before TLS begins: `tls` (nothing), `smtp`, `imap`, ...
        "protocol" protocol: String,
    }
}

section! {
    /// Where the journal, the keys and the bundles are kept.
    "[store]" RawStore {
        /// The folder.
        "dir" dir: String,
        /// The secret that unseals the keys.
        "unseal" unseal: Secret,
    }
}

section! {
    /// How the command line reaches the daemon.
    "[control]" RawControl {
        /// The Unix socket.
        "socket" socket: String,
    }
}

section! {
    /// Who is asked for names.
    "[resolver]" RawResolver {
        /// The recursive resolvers, as addresses.
        "servers" servers: OneOrMany,
    }
}
