//! The writer: grouping, order, and the end after a failure.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use perennial_core::record::Receipt;
use perennial_store::{AppendError, Journal, SqliteJournal, Store, Writer};

use crate::{batch, fill, on_disk, versions};

type Told = Result<Receipt, AppendError>;

/// A writer on a new store, telling everything.
struct Started {
    _folder: tempfile::TempDir,
    path: PathBuf,
    epoch: u64,
    writer: Writer,
    told: Receiver<Told>,
}

fn start() -> Started {
    let folder = on_disk().folder;
    let path = Store::journal_path(folder.path());
    let mut journal = SqliteJournal::open(&path).unwrap();
    let epoch = journal.acquire_epoch().unwrap();
    let (tell, told) = channel();
    let writer = Writer::spawn(journal, epoch, move |receipt| tell.send(receipt).unwrap()).unwrap();
    Started { _folder: folder, path, epoch, writer, told }
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(Duration::from_secs(20)).expect("the writer tells")
}

#[test]
fn batches_that_wait_are_committed_together_in_order() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    let mut journal = SqliteJournal::open(&path).unwrap();
    let epoch = journal.acquire_epoch().unwrap();
    let (tell, told) = channel();
    let (open, gate) = channel::<()>();
    let writer = Writer::spawn(journal, epoch, move |receipt| {
        tell.send(receipt).unwrap();
        // The first commit lasts until everything else waits.
        let _ = gate.recv();
    })
    .unwrap();
    writer.submit(batch(1, [1], epoch));
    assert_eq!(next(&told).unwrap().through, 1);
    for version in 2..=100 {
        writer.submit(batch(version, [version], epoch));
    }
    drop(open);
    assert_eq!(next(&told).unwrap().through, 100, "one commit, one receipt");
    drop(writer);
    assert!(told.recv().is_err(), "nothing more is told");
    let journal = SqliteJournal::open_read_only(&path).unwrap();
    assert_eq!(versions(&journal), (1..=100).collect::<Vec<_>>());
}

#[test]
fn dropping_the_writer_waits_until_everything_is_durable() {
    let Started { _folder, path, epoch, writer, told } = start();
    for version in 1..=500 {
        writer.submit(batch(version, [version], epoch));
    }
    drop(writer);
    let last = told.iter().map(|receipt| receipt.unwrap().through).last();
    assert_eq!(last, Some(500));
    assert_eq!(versions(&SqliteJournal::open_read_only(&path).unwrap()).len(), 500);
}

#[test]
fn after_a_failure_everything_later_fails_and_nothing_is_written() {
    let Started { _folder, path, epoch, writer, told } = start();
    writer.submit(batch(1, [1], epoch));
    assert_eq!(next(&told).unwrap().through, 1);
    writer.submit(batch(2, [7], epoch));
    let error = next(&told).unwrap_err();
    assert!(matches!(error, AppendError::Conflict { version: 7, last: 1, .. }), "{error:?}");
    writer.submit(batch(3, [2], epoch));
    let error = next(&told).unwrap_err();
    assert!(matches!(error, AppendError::Halted), "{error:?}");
    drop(writer);
    assert_eq!(versions(&SqliteJournal::open_read_only(&path).unwrap()), [1]);
}

#[test]
fn a_writer_that_was_replaced_is_told_so() {
    let Started { _folder, path, epoch, writer, told } = start();
    SqliteJournal::open(&path).unwrap().acquire_epoch().unwrap();
    writer.submit(batch(1, [1], epoch));
    assert!(matches!(next(&told).unwrap_err(), AppendError::Fenced { .. }));
}

#[test]
fn an_idle_writer_archives_what_checkpoints_left_behind() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    let mut journal = SqliteJournal::open(&path).unwrap();
    let epoch = fill(&mut journal, 1234);
    let writer = Writer::spawn(journal, epoch, |_| {}).unwrap();
    let reader = rusqlite::Connection::open(&path).unwrap();
    let count = |table| {
        let sql = format!("SELECT count(*) FROM {table}");
        reader.query_row(&sql, [], |row| row.get::<_, u64>(0)).unwrap()
    };
    // Each look is a query of its own; the writer needs no more than five steps.
    let archived = (0..1_000_000).any(|_| count("superseded") == 0);
    assert!(archived, "still {} records are waiting", count("record"));
    assert_eq!((count("archive"), count("record")), (1229, 5));
    assert_eq!(writer.archive_watch().trouble(), None);
    drop(writer);
    assert_eq!(versions(&SqliteJournal::open_read_only(&path).unwrap()).len(), 1234);
}
