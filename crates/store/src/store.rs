//! One folder, opened whole: lock, journal, vault.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::lock::Lock;
use crate::sqlite::SqliteJournal;
use crate::vault::{FileVault, Unseal};

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the secret comes from that seals keys and bundles.
    pub unseal: Unseal,
}

/// A store open for writing.
///
/// The parts are taken apart by the shell: the journal goes to a [`crate::Writer`], the vault to
/// the adapters. The lock must outlive both.
#[derive(Debug)]
pub struct Store {
    /// The records.
    pub journal: SqliteJournal,
    /// Keys, chains and bundles.
    pub vault: FileVault,
    /// What keeps other writers out.
    pub lock: Lock,
}

impl Store {
    /// Opens the store in a folder for writing; an absent or empty folder becomes a new store.
    ///
    /// # Errors
    ///
    /// Returns what is in the way: another process, a damaged file, a newer layout, a missing or
    /// wrong secret. [`StoreError::advice`] says what to do.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| StoreError::io("make", folder, error))?;
        let lock = Lock::acquire(folder)?;
        let journal = SqliteJournal::open(&Self::journal_path(folder))?;
        let vault = FileVault::open(folder, &options.unseal)?;
        Ok(Self { journal, vault, lock })
    }

    /// Opens the journal of the store in a folder for reading, beside a running daemon or not.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read; [`crate::Trouble::Absent`] if there is none yet.
    pub fn open_journal(folder: &Path) -> Result<SqliteJournal, StoreError> {
        SqliteJournal::open_read_only(&Self::journal_path(folder))
    }

    /// Returns where the journal of a store lies.
    #[must_use]
    pub fn journal_path(folder: &Path) -> PathBuf {
        folder.join("journal.db")
    }
}
