//! The store against real disks: the conformance suite, killed writers, full and damaged disks.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what tests call reports by panicking, as they do"
)]

mod conformance;
mod damage;
mod golden;
mod group_commit;
mod jsonl;
mod opening;
mod small_disk;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use perennial_core::record::{Batch, Record, Stream, StreamKind};
use perennial_core::words::Name;
use perennial_store::conformance::Backend;
use perennial_store::{CHECKPOINT_KIND, FileVault, Journal, SqliteJournal, Store, Unseal};

/// The store under test: SQLite and files in a folder.
pub struct OnDisk<F> {
    /// The folder, held for as long as the store is used.
    pub folder: F,
}

impl<F: AsRef<Path>> Backend for OnDisk<F> {
    type Journal = SqliteJournal;
    type Vault = FileVault;

    fn journal(&self) -> SqliteJournal {
        SqliteJournal::open(&Store::journal_path(self.folder.as_ref())).unwrap()
    }

    fn vault(&self) -> FileVault {
        FileVault::open(self.folder.as_ref(), &Unseal::Own).unwrap()
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref().to_owned())
    }
}

fn on_disk() -> OnDisk<tempfile::TempDir> {
    OnDisk { folder: tempfile::tempdir().unwrap() }
}

fn www() -> Stream {
    Stream::new(StreamKind::Certificate, Name::new("www"))
}

fn record(version: u64, epoch: u64) -> Record {
    Record {
        stream: www(),
        version,
        at: Timestamp::UNIX_EPOCH,
        kind: if version.is_multiple_of(10) { CHECKPOINT_KIND.into() } else { "noted".into() },
        schema: 1,
        must_understand: false,
        shard: www().shard(),
        epoch,
        body: format!(r#"{{"version":{version}}}"#).into(),
    }
}

fn batch(number: u64, versions: impl IntoIterator<Item = u64>, epoch: u64) -> Batch {
    Batch { number, records: versions.into_iter().map(|v| record(v, epoch)).collect() }
}

/// Appends versions 1 to `last` and returns the epoch.
fn fill(journal: &mut SqliteJournal, last: u64) -> u64 {
    let epoch = journal.acquire_epoch().unwrap();
    journal.append(&batch(1, 1..=last, epoch), epoch).unwrap();
    epoch
}

fn versions(journal: &SqliteJournal) -> Vec<u64> {
    let found = journal.read_stream(&www(), 1).unwrap();
    found.into_iter().map(|found| found.record().unwrap().version).collect()
}
