//! What every store must keep, as tests that run against any of them.
//!
//! A backend's own tests call [`run`] with a function that makes an empty store, and drive
//! [`kill`] with a child process. The suite panics where a promise is broken; it is meant to be
//! called from `#[test]` functions.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test suite: panicking is how it reports"
)]

mod journal;
pub mod kill;
mod vault;

use std::path::PathBuf;

use jiff::Timestamp;
use perennial_core::record::{Batch, Record, Stream, StreamKind};
use perennial_core::words::Name;

use crate::journal::{CHECKPOINT_KIND, Found, Journal};
use crate::vault::Vault;

/// A store under test: an empty one when made, and the same one whenever it is opened.
pub trait Backend {
    /// Its journal.
    type Journal: Journal + 'static;
    /// Its vault.
    type Vault: Vault + 'static;

    /// Opens the journal once more, beside those that are open already.
    fn journal(&self) -> Self::Journal;

    /// Opens the vault once more, beside those that are open already.
    fn vault(&self) -> Self::Vault;

    /// Returns a folder that may hold plain content, searched for key material by the suite.
    fn folder(&self) -> Option<PathBuf>;
}

/// Runs every check, each on a store of its own.
///
/// # Panics
///
/// Panics where the backend breaks a promise.
pub fn run<B: Backend>(make: impl Fn() -> B) {
    let checks = journal::checks::<B>().into_iter().chain(vault::checks::<B>());
    for check in checks {
        check(&make());
    }
}

type Check<B> = fn(&B);

/// Makes a record that is right in itself.
pub(crate) fn record(stream: &Stream, version: u64, epoch: u64) -> Record {
    Record {
        stream: stream.clone(),
        version,
        at: "2026-11-21T10:00:00.123456789Z".parse::<Timestamp>().expect("an instant"),
        kind: "act.started".into(),
        schema: 1,
        must_understand: version.is_multiple_of(2),
        shard: stream.shard(),
        epoch,
        body: format!(r#"{{"version":{version},"text":"ü \"quoted\""}}"#).into(),
    }
}

/// Makes a checkpoint.
pub(crate) fn checkpoint(stream: &Stream, version: u64, epoch: u64) -> Record {
    Record { kind: CHECKPOINT_KIND.into(), ..record(stream, version, epoch) }
}

/// Makes a batch.
pub(crate) fn batch(number: u64, records: Vec<Record>) -> Batch {
    Batch { number, records }
}

/// Names a certificate's stream.
pub(crate) fn stream(name: &str) -> Stream {
    Stream::new(StreamKind::Certificate, Name::new(name))
}

/// Returns what reading at startup shows.
pub(crate) fn read_all(journal: &impl Journal) -> Vec<Record> {
    let mut all = Vec::new();
    journal.read_all(&mut |found| all.push(found)).expect("the journal is readable");
    records(all)
}

/// Returns a stream's records.
pub(crate) fn read_stream(journal: &impl Journal, stream: &Stream, from: u64) -> Vec<Record> {
    records(journal.read_stream(stream, from).expect("the stream is readable"))
}

fn records(found: Vec<Found>) -> Vec<Record> {
    found.into_iter().map(|found| found.record().expect("each record is readable")).collect()
}
