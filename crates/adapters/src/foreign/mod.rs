//! What other tools keep: their accounts, their keys, the leaves they got, what they do with them.
//!
//! certbot, lego and acme.sh keep everything below one folder, each in its own way. Reading such a
//! tree changes nothing in it: it tells what could go on under our care, and what could not and why.
//!
//! ```text
//! certbot   accounts/<server>/<id>/   renewal/<name>.conf ─▶ live/<name>/   renewal-hooks/
//! lego      accounts/<host>/<mail>/   certificates/<name>.crt .key .json
//! acme.sh   ca/<host>/<path>/         <name>/ or <name>_ecc/: <name>.conf .key, fullchain.cer
//! ```
//!
//! What a tree says is hostile like any file: sizes and counts are bounded, nothing in it is run, and
//! what is broken is told as a [`Tree::problems`] entry and hides nothing else.

mod acme_sh;
mod certbot;
mod lego;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use perennial_core::words::LeafFacts;
use perennial_wire::key::KeyPair;
use perennial_wire::x509::Chain;
use zeroize::Zeroizing;

/// A tool whose tree can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The EFF's certbot.
    Certbot,
    /// lego's command line, versions 4 and 5.
    Lego,
    /// acme.sh.
    AcmeSh,
}

/// What was found below a tool's folder.
#[derive(Debug, Default)]
pub struct Tree {
    /// Its accounts, in the order of their places.
    pub accounts: Vec<Account>,
    /// What it keeps renewed, in the order of the names.
    pub lineages: Vec<Lineage>,
    /// What could not be read, each as a sentence with its path.
    pub problems: Vec<String>,
}

/// An account at a CA.
#[derive(Debug)]
pub struct Account {
    /// The folder that holds it.
    pub place: PathBuf,
    /// At which CA.
    pub directory: Directory,
    /// Its URL, where the tool wrote it down.
    pub url: Option<String>,
    /// Whom the CA writes to, without `mailto:`.
    pub contact: Vec<String>,
    /// Its key.
    pub key: Key,
}

/// At which CA: as exactly as the tool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directory {
    /// The URL of its directory.
    Url(String),
    /// The host, with its port if it is not 443; the path is not known.
    Host(String),
}

/// A private key, with what can be said of it.
pub struct Key {
    /// As PKCS#8 DER.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// The public half.
    pub pair: KeyPair,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pair.fmt(f)
    }
}

/// What a tool keeps renewed under one name.
#[derive(Debug)]
pub struct Lineage {
    /// As the tool calls it.
    pub name: String,
    /// The newest leaf with its chain.
    pub chain: Chain,
    /// What that leaf says.
    pub facts: LeafFacts,
    /// Its key.
    pub key: Key,
    /// Where servers find them.
    pub paths: Paths,
    /// Who issued it, where the tool wrote that down.
    pub directory: Option<Directory>,
    /// Under which account: its [`Account::place`].
    pub account: Option<PathBuf>,
    /// How control is proven.
    pub proof: Proof,
    /// Commands around a renewal.
    pub hooks: Hooks,
    /// Whether the key stays the same.
    pub reuses_key: bool,
}

/// Paths by which servers know a leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Leaf and chain.
    pub fullchain: Option<PathBuf>,
    /// The leaf alone.
    pub cert: Option<PathBuf>,
    /// The chain without the leaf.
    pub chain: Option<PathBuf>,
    /// The key.
    pub key: Option<PathBuf>,
}

/// How a tool proves control of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// http-01 by files: names, each with the folder that a web server shows.
    Webroot(Vec<(String, PathBuf)>),
    /// http-01 by a server of its own on a port.
    Standalone(u16),
    /// By changing the configuration of a web server: `nginx` or `apache`.
    Server(String),
    /// By DNS records: what the tool calls its provider.
    Dns(String),
    /// By two commands of the operator's.
    Commands {
        /// Puts an answer up.
        auth: String,
        /// Takes it down.
        cleanup: Option<String>,
        /// Whether the answers are DNS records.
        dns: bool,
    },
    /// Another way, or one that the tool did not write down.
    Other(String),
}

/// Commands around a renewal, each for a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before each attempt.
    pub pre: Vec<String>,
    /// After each attempt.
    pub post: Vec<String>,
    /// After each new leaf.
    pub deploy: Vec<String>,
}

impl Hooks {
    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pre.is_empty() && self.post.is_empty() && self.deploy.is_empty()
    }
}

impl Tool {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Certbot, Self::Lego, Self::AcmeSh];

    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certbot => "certbot",
            Self::Lego => "lego",
            Self::AcmeSh => "acme.sh",
        }
    }

    /// Returns where it keeps its tree unless told otherwise; `home` is the user's.
    #[must_use]
    pub fn usual_place(self, home: &Path) -> PathBuf {
        match self {
            Self::Certbot => PathBuf::from("/etc/letsencrypt"),
            Self::Lego => PathBuf::from(".lego"),
            Self::AcmeSh => home.join(".acme.sh"),
        }
    }

    /// Returns what ends its own renewals, for people to type.
    #[must_use]
    pub const fn farewell(self) -> &'static str {
        match self {
            Self::Certbot => "systemctl disable --now certbot.timer",
            Self::Lego => "remove its line from crontab -e, or its timer",
            Self::AcmeSh => "acme.sh --uninstall-cronjob",
        }
    }

    /// Reads the tree below a folder.
    ///
    /// # Errors
    ///
    /// Returns why there is no tree of this tool. What is broken within one is in
    /// [`Tree::problems`].
    pub fn read(self, root: &Path) -> Result<Tree, NoTree> {
        let no_tree = |cause: String| NoTree { tool: self, root: root.to_path_buf(), cause };
        let marks: &[&str] = match self {
            Self::Certbot => &["renewal", "accounts"],
            Self::Lego => &["certificates", "accounts"],
            Self::AcmeSh => &["account.conf", "ca"],
        };
        if let Err(error) = std::fs::read_dir(root) {
            return Err(no_tree(error.to_string()));
        }
        if !marks.iter().any(|mark| root.join(mark).exists()) {
            let marks = marks.join("` nor `");
            return Err(no_tree(format!("it holds neither `{marks}`")));
        }
        let mut tree = match self {
            Self::Certbot => certbot::read(root),
            Self::Lego => lego::read(root),
            Self::AcmeSh => acme_sh::read(root),
        };
        tree.accounts.sort_by(|a, b| a.place.cmp(&b.place));
        tree.lineages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tree)
    }
}

/// Why a folder is no tree of a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} has no tree in {}: {cause}", tool.as_str(), root.display())]
pub struct NoTree {
    /// Which tool.
    pub tool: Tool,
    /// The folder.
    pub root: PathBuf,
    /// Why.
    pub cause: String,
}

impl Directory {
    /// Returns whether it may be the CA with this directory.
    #[must_use]
    pub fn is(&self, url: &str) -> bool {
        match self {
            Self::Url(own) => own.trim_end_matches('/') == url.trim_end_matches('/'),
            Self::Host(own) => host_of(url).is_some_and(|host| host == *own),
        }
    }

    /// Returns its URL, or the likeliest one.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Host(host) => format!("https://{host}/directory"),
        }
    }
}

/// Returns the host of an https URL, with its port if it is not 443.
fn host_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    Some(host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase())
}

impl std::fmt::Display for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(text) | Self::Host(text) => f.write_str(text),
        }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Webroot(_) => f.write_str("http-01 by webroot"),
            Self::Standalone(port) => write!(f, "http-01 by a server of its own on port {port}"),
            Self::Server(server) => write!(f, "http-01 through {server}'s configuration"),
            Self::Dns(provider) => write!(f, "dns-01 by `{provider}`"),
            Self::Commands { dns: true, .. } => f.write_str("dns-01 by commands"),
            Self::Commands { dns: false, .. } => f.write_str("http-01 by commands"),
            Self::Other(what) => f.write_str(what),
        }
    }
}
