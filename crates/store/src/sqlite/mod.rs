//! The journal of one machine: one SQLite file in WAL mode.
//!
//! Every append is one `BEGIN IMMEDIATE` transaction with `synchronous=FULL`: when it returns, the
//! write-ahead log has been synced. Readers (the command line beside a running daemon) open the
//! file read-only and never block the writer. Everything is plain columns, so that
//! `sqlite3 journal.db 'select * from record'` shows the history without us.
//!
//! Complications: a record must be found by (stream, version) to check an append, but reading at
//! startup must be one sequential pass, cold disk or not. So rows lie in the order of appending,
//! an index serves the check, and the short table `superseded` tells both the reader what to skip
//! and the archiver what to move: it holds a stream from the moment a checkpoint is appended until
//! the records before it are in the archive.

mod append;
mod open;
mod read;

use std::path::{Path, PathBuf};

use perennial_core::record::{Batch, Receipt, Stream};
use rusqlite::{Connection, ErrorCode};

use crate::error::{AppendError, StoreError, Trouble};
use crate::journal::{Archived, Found, Journal, Source};

/// A journal in one SQLite file.
#[derive(Debug)]
pub struct SqliteJournal {
    connection: Connection,
    path: PathBuf,
}

impl SqliteJournal {
    /// Opens a journal for writing, and makes it if there is none.
    ///
    /// Takes no lock beyond SQLite's own; [`crate::Store::open`] takes the store's.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be used; a damaged one is looked at, and what was found is told.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open::for_writing(path)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Opens a journal for reading, whether or not a daemon writes to it meanwhile.
    ///
    /// Appending to it fails with [`Trouble::ReadOnly`].
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read; [`Trouble::Absent`] if there is none yet.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let connection = open::for_reading(path)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn fail(&self, attempted: &'static str, error: rusqlite::Error) -> StoreError {
        StoreError::new(attempted, &self.path, trouble(error))
    }
}

impl Journal for SqliteJournal {
    fn acquire_epoch(&mut self) -> Result<u64, StoreError> {
        append::acquire_epoch(&mut self.connection).map_err(|e| self.fail("take over", e))
    }

    fn append_all(&mut self, batches: &[Batch], epoch: u64) -> Result<Receipt, AppendError> {
        let refused = append::append_all(&mut self.connection, batches, epoch);
        refused.map_err(|refused| refused.into_error(&self.path, "append to"))?;
        let through = batches.last().map_or(0, |batch| batch.number);
        Ok(Receipt { through })
    }

    fn restore(&mut self, records: &mut Source<'_>) -> Result<u64, AppendError> {
        append::restore(&mut self.connection, records)
            .map_err(|refused| refused.into_error(&self.path, "restore to"))
    }

    fn read_all(&self, visit: &mut dyn FnMut(Found)) -> Result<(), StoreError> {
        read::all(&self.connection, visit).map_err(|e| self.fail("read", e))
    }

    fn read_stream(&self, stream: &Stream, from_version: u64) -> Result<Vec<Found>, StoreError> {
        read::stream(&self.connection, stream, from_version).map_err(|e| self.fail("read", e))
    }

    fn tail(&self, position: u64, limit: usize) -> Result<Vec<Found>, StoreError> {
        read::tail(&self.connection, position, limit).map_err(|e| self.fail("read", e))
    }

    fn head(&self) -> Result<u64, StoreError> {
        read::head(&self.connection).map_err(|e| self.fail("read", e))
    }

    fn last_version(&self, stream: &Stream) -> Result<u64, StoreError> {
        read::last_version(&self.connection, stream).map_err(|e| self.fail("read", e))
    }

    fn archive(&mut self, limit: usize) -> Result<Archived, StoreError> {
        append::archive(&mut self.connection, limit).map_err(|e| self.fail("archive in", e))
    }
}

/// Classifies what the engine says: the one place where it is done.
fn trouble(error: rusqlite::Error) -> Trouble {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Trouble::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Trouble::Corrupt(error.to_string())
        }
        _ => Trouble::Engine(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_the_engine_says_is_classified() {
        let classify = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            match trouble(error) {
                Trouble::Full => "full",
                Trouble::ReadOnly => "read-only",
                Trouble::Corrupt(_) => "corrupt",
                Trouble::Engine(_) => "engine",
                _ => "other",
            }
        };
        let table = [
            (ffi::SQLITE_FULL, "full"),
            (ffi::SQLITE_READONLY, "read-only"),
            (ffi::SQLITE_READONLY_DIRECTORY, "read-only"),
            (ffi::SQLITE_PERM, "read-only"),
            (ffi::SQLITE_CORRUPT, "corrupt"),
            (ffi::SQLITE_CORRUPT_INDEX, "corrupt"),
            (ffi::SQLITE_NOTADB, "corrupt"),
            (ffi::SQLITE_BUSY, "engine"),
            (ffi::SQLITE_IOERR_WRITE, "engine"),
            (ffi::SQLITE_CANTOPEN, "engine"),
        ];
        for (code, expected) in table {
            assert_eq!(classify(code), expected, "{code}");
        }
    }
}
