//! What adapters need beside the intent: addresses, paths, credentials by reference.
//!
//! Core never sees these. Each map has exactly the keys of its counterpart in the intent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::SignedDuration;
use perennial_core::words::{ChallengeKind, Name};

use crate::provider::Provider;
use crate::secret::Secret;

/// Everything that adapters and the shell need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the journal, the keys and the bundles are kept.
    pub store: StoreSettings,
    /// The Unix socket by which the command line reaches the daemon.
    pub control_socket: PathBuf,
    /// The recursive resolvers; empty means the system's.
    pub resolvers: Vec<SocketAddr>,
    /// How each issuer is reached.
    pub issuers: BTreeMap<Name, IssuerSettings>,
    /// How each solver writes.
    pub solvers: BTreeMap<Name, SolverSettings>,
    /// How each target is written to.
    pub targets: BTreeMap<Name, TargetSettings>,
}

/// Where the journal, the keys and the bundles are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The folder.
    pub dir: PathBuf,
    /// The file with the secret that unseals the keys; absent means one that the store makes in its
    /// own folder.
    pub unseal: Option<PathBuf>,
}

/// How an issuer is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The URL of its directory, as in the intent.
    pub directory: String,
    /// A PEM file with the roots by which its server is judged, instead of the system's.
    pub roots: Option<PathBuf>,
    /// The external account binding.
    pub eab: Option<EabSettings>,
}

/// An external account binding.
///
/// Source: RFC 8555 section 7.3.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EabSettings {
    /// The key identifier.
    pub kid: Secret,
    /// The MAC key in base64url.
    pub key: Secret,
}

/// How a solver writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SolverSettings {
    /// `http-01 = "listener"` or `tls-alpn-01 = "listener"`.
    Listener {
        /// Which of them.
        protocol: Protocol,
        /// Where it listens.
        listen: Vec<SocketAddr>,
    },
    /// `http-01 = "webroot"`.
    Webroot {
        /// The folder that the web server shows as `/`.
        dir: PathBuf,
    },
    /// `dns-01 = "rfc2136"`.
    Rfc2136(Rfc2136Settings),
    /// `dns-01 = "cloudflare"` and its like.
    Provider(ProviderSettings),
    /// `dns-01 = "exec"`, or of another challenge.
    Exec(ExecSettings),
    /// `dns-persist-01 = "by-hand"`.
    ByHand {
        /// The servers that must show a record; empty means those the zone delegates to.
        nameservers: Vec<SocketAddr>,
    },
}

/// How a program answers challenges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecSettings {
    /// The program and its first arguments.
    pub program: Vec<String>,
    /// How it is called.
    pub convention: HookConvention,
    /// The program that takes answers down, where it is another one.
    pub cleanup: Option<Vec<String>>,
    /// Which type of challenge it answers.
    pub kind: ChallengeKind,
    /// Its environment.
    pub env: BTreeMap<String, Secret>,
    /// The servers that must show an answer; empty means those the zone delegates to.
    pub nameservers: Vec<SocketAddr>,
}

/// What a listener of ours speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP, for http-01.
    Http,
    /// TLS, for tls-alpn-01.
    TlsAlpn,
}

impl Protocol {
    /// Returns the port at which CAs ask.
    ///
    /// Source: RFC 8555 section 8.3, RFC 8737 section 3.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::TlsAlpn => 443,
        }
    }
}

/// How DNS updates are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rfc2136Settings {
    /// The primary server.
    pub server: HostPort,
    /// The key that signs updates; absent means unsigned.
    pub tsig: Option<TsigSettings>,
    /// The life of the records written.
    pub ttl: SignedDuration,
    /// The servers that must show an answer; empty means those the zone delegates to.
    pub nameservers: Vec<SocketAddr>,
}

/// How a program that answers challenges is called: as the tool it was written for would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HookConvention {
    /// lego's `exec`.
    #[default]
    Lego,
    /// lego's `exec` in its raw mode.
    LegoRaw,
    /// certbot's manual hooks.
    Certbot,
    /// A script of acme.sh's dnsapi.
    AcmeSh,
    /// dehydrated's hook.
    Dehydrated,
}

/// How a DNS provider is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Which provider.
    pub provider: &'static Provider,
    /// Its credentials, by the names of its fields.
    pub credentials: BTreeMap<String, Secret>,
    /// The life of the records written.
    pub ttl: SignedDuration,
    /// The servers that must show an answer; empty means those the zone delegates to.
    pub nameservers: Vec<SocketAddr>,
}

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name as A-labels, or the address in its canonical text without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A TSIG key.
///
/// Source: RFC 8945.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigSettings {
    /// Its name, in lower case without final dot.
    pub name: String,
    /// The key in base64.
    pub key: Secret,
    /// The algorithm.
    pub algorithm: TsigAlgorithm,
}

/// The algorithm of a TSIG key.
///
/// Source: RFC 8945 section 6; the weaker ones are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`.
    #[default]
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl TsigAlgorithm {
    /// Returns the algorithm's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

/// How a target is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSettings {
    /// The folder of the bundles: one folder below it for each certificate.
    pub dir: PathBuf,
    /// Who is told, and by which names the files are known.
    pub recipe: TargetRecipe,
    /// The user who owns the files, by name or number; absent means the one we run as.
    pub owner: Option<String>,
    /// The group of the files, by name or number; absent means ours.
    pub group: Option<String>,
    /// The mode of the file that holds the key.
    pub mode: u32,
}

/// Who is told of a new bundle, and by which names its files are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetRecipe {
    /// Whoever the commands tell.
    Files {
        /// Further paths of the files.
        paths: FilePaths,
        /// The command that checks what is staged: program and arguments, without a shell.
        validate: Option<Vec<String>>,
        /// The command that makes the server take the new files.
        reload: Option<Vec<String>>,
    },
    /// An nginx on this machine: its server blocks tell which files are used.
    Nginx {
        /// Its main configuration file, or the folder that holds `nginx.conf`.
        config: PathBuf,
        /// The program; a bare name is looked up in `PATH`.
        binary: PathBuf,
        /// The prefix it is started with (`-p`), if any.
        prefix: Option<PathBuf>,
    },
    /// A HAProxy on this machine: its `bind` lines and lists tell which files are used.
    Haproxy {
        /// Its configuration file, or the folder of its `*.cfg`.
        config: PathBuf,
        /// The program; a bare name is looked up in `PATH`.
        binary: PathBuf,
        /// The socket of its runtime API; absent means the one that its configuration says.
        runtime: Option<PathBuf>,
        /// The command that makes it read its files again, where the runtime API does not do.
        reload: Vec<String>,
    },
    /// Another server on this machine: its own program says which files are used.
    Server {
        /// Which.
        kind: ServerKind,
        /// Its main configuration file, or the folder that holds it.
        config: PathBuf,
        /// Its program, if not the one in `PATH`.
        binary: Option<PathBuf>,
        /// The command that makes it read its files again, if not its own.
        reload: Option<Vec<String>>,
    },
}

/// A server whose own program says which files it uses.
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

/// Paths by which servers know the files already; each becomes a link. `{certificate}` in a path
/// stands for the certificate's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePaths {
    /// Leaf and chain.
    pub fullchain: Option<PathBuf>,
    /// The leaf alone.
    pub cert: Option<PathBuf>,
    /// The chain without the leaf.
    pub chain: Option<PathBuf>,
    /// The key.
    pub key: Option<PathBuf>,
}

impl Settings {
    /// Returns every address at which http-01 answers are to be served: solvers share listeners.
    #[must_use]
    pub fn http01_listen(&self) -> BTreeSet<SocketAddr> {
        let listen = |solver: &SolverSettings| match solver {
            SolverSettings::Listener { protocol: Protocol::Http, listen } => listen.clone(),
            SolverSettings::Listener { protocol: Protocol::TlsAlpn, .. }
            | SolverSettings::Webroot { .. }
            | SolverSettings::Rfc2136(_)
            | SolverSettings::Provider(_)
            | SolverSettings::Exec(_)
            | SolverSettings::ByHand { .. } => Vec::new(),
        };
        self.solvers.values().flat_map(listen).collect()
    }
}
