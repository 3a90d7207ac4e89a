//! What can go wrong in a store: where, why, and what the operator does next.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use perennial_core::record::Stream;

/// Says what the store could not do, on which file.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted} {}", path.display())]
pub struct StoreError {
    /// What was attempted, as a verb: "append to", "unseal".
    pub attempted: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// Why it failed. Boxed, so that results stay small.
    #[source]
    pub trouble: Box<Trouble>,
}

/// Says why a store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The file system has no room left, or a quota is reached.
    #[error("no space is left")]
    Full,
    /// The file, its folder or its file system cannot be written by us.
    #[error("it cannot be written (read-only or not permitted)")]
    ReadOnly,
    /// What is there was damaged; the text says what was found.
    #[error("it is damaged: {0}")]
    Corrupt(String),
    /// The file ends early.
    #[error("it ends early: {found} bytes where at least {needed} belong")]
    Truncated {
        /// How long it is.
        found: usize,
        /// How long it would have to be.
        needed: usize,
    },
    /// Written by a release that knows more than this one.
    #[error("a newer release wrote it (layout {found}; this release knows {known})")]
    Newer {
        /// The layout on disk.
        found: i64,
        /// The newest layout this release knows.
        known: i64,
    },
    /// Something that is not ours is in the place.
    #[error("it is not ours: {0}")]
    Foreign(String),
    /// Another process has the store open for writing.
    #[error("{} has it open", holder(*pid))]
    Busy {
        /// Which process, if it wrote its number down.
        pid: Option<u32>,
    },
    /// Sealed under a secret other than the one given.
    #[error("it is sealed under another secret than the one in {}", secret.display())]
    WrongSecret {
        /// The file whose secret was tried.
        secret: PathBuf,
    },
    /// Sealed files exist, but the secret that opens them does not.
    #[error("it is missing, and sealed files exist that only it can open")]
    SecretMissing,
    /// The secret's file does not hold a secret.
    #[error("a secret is 32 bytes or 64 hexadecimal digits, and this is neither ({found} bytes)")]
    SecretMalformed {
        /// How long the file is.
        found: u64,
    },
    /// A sealed file lies under a name other than the one it was sealed for.
    #[error("it was sealed as {found}, so it was renamed or swapped")]
    Misplaced {
        /// The kind and name it was sealed for.
        found: String,
    },
    /// There is nothing of that name.
    #[error("there is none")]
    Absent,
    /// The journal is not empty, where an empty one was needed.
    #[error("it already holds records")]
    NotEmpty,
    /// The operating system refused.
    #[error(transparent)]
    Io(io::Error),
    /// The database engine or the cryptography refused.
    #[error("{0}")]
    Engine(Box<dyn Error + Send + Sync>),
}

impl StoreError {
    pub(crate) fn new(attempted: &'static str, path: &Path, trouble: Trouble) -> Self {
        Self { attempted, path: path.to_owned(), trouble: Box::new(trouble) }
    }

    pub(crate) fn io(attempted: &'static str, path: &Path, error: io::Error) -> Self {
        Self::new(attempted, path, Trouble::from(error))
    }

    /// Returns what to do about it: the text after `hint: `.
    #[must_use]
    pub fn advice(&self) -> String {
        let path = self.path.display();
        match &*self.trouble {
            Trouble::Full => format!(
                "free space on the file system of {path} (df -h {path}); nothing durable is lost, \
                 and perennial goes on where it stopped"
            ),
            Trouble::ReadOnly => format!(
                "make {path} writable for the user perennial runs as (ls -ld {path}; findmnt -T \
                 {path})"
            ),
            Trouble::Corrupt(_) | Trouble::Truncated { .. } => format!(
                "keep a copy of {path}, then restore it from a backup; a journal can often be \
                 saved with: sqlite3 {path} .recover"
            ),
            Trouble::Newer { .. } => {
                "run the release that wrote it, or a later one; or restore a backup made before \
                 the upgrade"
                    .to_owned()
            }
            Trouble::Foreign(_) => format!("choose another store folder, or move {path} away"),
            Trouble::Busy { pid: Some(pid) } => {
                format!("use the running one, or stop it first (ps -p {pid})")
            }
            Trouble::Busy { pid: None } => {
                format!("use the running one, or stop it first (fuser {path})")
            }
            Trouble::WrongSecret { secret } => format!(
                "put back the secret the store was made with at {}, or point at it with `unseal`",
                secret.display()
            ),
            Trouble::SecretMissing => format!(
                "put back the secret the store was made with at {path}, or point at it with \
                 `unseal`; it is not made anew, since that would lose every key"
            ),
            Trouble::SecretMalformed { .. } => {
                format!("head -c 32 /dev/urandom > {path}, if no store uses it yet")
            }
            Trouble::Misplaced { .. } => format!("restore {path} from a backup"),
            Trouble::Absent => format!("check the path {path}"),
            Trouble::NotEmpty => "restore into an empty store folder".to_owned(),
            Trouble::Io(_) | Trouble::Engine(_) => {
                format!("look at the disk and the permissions of {path} (dmesg, ls -ld {path})")
            }
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            io::ErrorKind::NotFound => Self::Absent,
            _ => Self::Io(error),
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Says why records were not appended. Nothing of what was to be appended is durable then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A record's version is not the one after its stream's last: another writer was there, or the
    /// driver lost count.
    #[error("record {stream}#{version} does not follow version {last}, the stream's last")]
    Conflict {
        /// Whose history.
        stream: Stream,
        /// The version that was to be written.
        version: u64,
        /// The version the stream is at.
        last: u64,
    },
    /// Another writer took over: its epoch is not ours.
    #[error("another writer took over this store (epoch {current}; ours was {ours})")]
    Fenced {
        /// The epoch we write under.
        ours: u64,
        /// The epoch the store is at.
        current: u64,
    },
    /// A record contradicts itself.
    #[error("record {stream}#{version} is malformed: {why}")]
    Malformed {
        /// Whose history.
        stream: Stream,
        /// Which record.
        version: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An earlier batch failed, so that this one was not tried.
    #[error("an earlier batch failed, so that this one was not tried")]
    Halted,
    /// The records to restore could not be read.
    #[error("the records to restore could not be read")]
    Source(#[source] Box<dyn Error + Send + Sync>),
    /// The store could not write.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AppendError {
    /// Returns what to do about it: the text after `hint: `.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Conflict { .. } | Self::Malformed { .. } | Self::Halted => {
                "restart perennial; if it happens again, please report it with `perennial journal`"
                    .to_owned()
            }
            Self::Fenced { .. } => "let only one perennial run on this store".to_owned(),
            Self::Source(_) => "check the file the records come from".to_owned(),
            Self::Store(error) => error.advice(),
        }
    }
}
