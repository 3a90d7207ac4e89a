//! What the store costs, beside the bare engine in the same run.
//!
//! Each measurement is repeated, ours and the bare one in turn; medians and their ratio are
//! printed. Ratios carry over to other machines better than times: these are the disk's.
//!
//! `cargo bench -p perennial-store` (append `-- quick` for a tenth of everything)

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and panics where it cannot"
)]

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use perennial_core::record::{Batch, Record, Stream, StreamKind};
use perennial_core::words::Name;
use perennial_store::{CHECKPOINT_KIND, Journal, SqliteJournal, Writer};
use rusqlite::{Connection, params};

const ROUNDS: usize = 5;

fn main() {
    // `cargo test` runs benchmarks too, and means: see that it works.
    let is_quick = std::env::args().any(|argument| argument == "quick" || argument == "--test");
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let scale = if is_quick || !is_bench { 100 } else { 1 };
    append_one_by_one(2_000 / scale);
    append_grouped(200_000 / scale);
    restart(1_000_000 / scale);
}

/// One record a transaction: what an act waits for.
fn append_one_by_one(count: usize) {
    let (ours, bare) = in_turn(
        || {
            let folder = tempfile::tempdir().expect("a folder");
            let mut journal = SqliteJournal::open(&folder.path().join("db")).expect("a journal");
            let epoch = journal.acquire_epoch().expect("an epoch");
            let batches = batches(count, epoch);
            timed(|| {
                for batch in &batches {
                    journal.append(batch, epoch).expect("an append");
                }
            })
        },
        || {
            let folder = tempfile::tempdir().expect("a folder");
            let connection = bare_engine(&folder.path().join("db"));
            let batches = batches(count, 1);
            timed(|| batches.iter().for_each(|batch| insert(&connection, &batch.records)))
        },
    );
    report("append, one record a commit", count, ours, bare);
}

/// Everything submitted at once through the writer's thread, in batches of one record.
fn append_grouped(count: usize) {
    let (ours, bare) = in_turn(
        || {
            let folder = tempfile::tempdir().expect("a folder");
            let mut journal = SqliteJournal::open(&folder.path().join("db")).expect("a journal");
            let epoch = journal.acquire_epoch().expect("an epoch");
            let batches = batches(count, epoch);
            let (tell, told) = channel();
            let deliver = move |receipt| tell.send(receipt).expect("a listener");
            let writer = Writer::spawn(journal, epoch, deliver).expect("a thread");
            timed(|| {
                batches.into_iter().for_each(|batch| writer.submit(batch));
                while told.recv().expect("a receipt").expect("durable").through < count as u64 {}
            })
        },
        || {
            let folder = tempfile::tempdir().expect("a folder");
            let connection = bare_engine(&folder.path().join("db"));
            let records: Vec<Record> =
                batches(count, 1).into_iter().flat_map(|batch| batch.records).collect();
            timed(|| records.chunks(4096).for_each(|group| insert(&connection, group)))
        },
    );
    report("append, grouped by the writer (bare: 4096 a commit)", count, ours, bare);
}

/// Reading at startup: one checkpoint for each of many streams.
fn restart(count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db");
    let mut journal = SqliteJournal::open(&path).expect("a journal");
    let mut source = (0..count).map(|number| Ok(checkpoint(number, 1)));
    journal.restore(&mut source).expect("a restore");
    drop(journal);
    let size = std::fs::metadata(&path).expect("a file").len();
    println!("store of {count} streams: {} MiB", size / (1 << 20));

    let read = || {
        timed(|| {
            let journal = SqliteJournal::open(&path).expect("a journal");
            let mut read = 0;
            journal
                .read_all(&mut |found| read += usize::from(found.record().is_some()))
                .expect("all");
            assert_eq!(read, count);
        })
    };
    let (ours, bare) = in_turn(read, || timed(|| assert_eq!(bare_read(&path), count)));
    report("restart, read everything (bare: select without keeping)", count, ours, bare);
    drop_from_cache(&path);
    println!("  from a cold file: {:.2?}", read());

    let mut journal = SqliteJournal::open(&path).expect("a journal");
    let epoch = journal.acquire_epoch().expect("an epoch");
    let again = (0..count).step_by(10).map(|number| checkpoint(number, 2));
    let records = again.map(|record| Record { epoch, ..record }).collect();
    journal.append(&Batch { number: 1, records }, epoch).expect("an append");
    drop(journal);
    println!("  with a tenth waiting to be archived: {:.2?}", read());
}

fn in_turn(ours: impl Fn() -> Duration, bare: impl Fn() -> Duration) -> (Duration, Duration) {
    let (mut all_ours, mut all_bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        all_ours.push(ours());
        all_bare.push(bare());
    }
    (median(all_ours), median(all_bare))
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn report(what: &str, count: usize, ours: Duration, bare: Duration) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("{what}: {count} records");
    println!("  ours {:9.2?} ({:8.2} us each, {:9.0}/s)", ours, each(ours), 1e6 / each(ours));
    println!("  bare {:9.2?} ({:8.2} us each, {:9.0}/s)", bare, each(bare), 1e6 / each(bare));
    println!("  ratio {ratio:.2}");
}

/// A stream of its own for every tenth record, as certificates have them.
fn batches(count: usize, epoch: u64) -> Vec<Batch> {
    let one = |index: usize| {
        let stream = stream(index / 10);
        let body = r#"{"act":"present","identifier":"www.example.org","deadline":"2026-11-21"}"#;
        let version = (index % 10 + 1) as u64;
        Batch {
            number: index as u64 + 1,
            records: vec![record(stream, version, epoch, "act.started", body)],
        }
    };
    (0..count).map(one).collect()
}

fn checkpoint(number: usize, version: u64) -> Record {
    let body = format!("{{\"number\":{number},\"state\":\"{}\"}}", "x".repeat(370));
    record(stream(number), version, 1, CHECKPOINT_KIND, &body)
}

fn stream(number: usize) -> Stream {
    Stream::new(StreamKind::Certificate, Name::new(&format!("customer-{number:07}")))
}

fn record(stream: Stream, version: u64, epoch: u64, kind: &str, body: &str) -> Record {
    Record {
        shard: stream.shard(),
        stream,
        version,
        at: Timestamp::UNIX_EPOCH,
        kind: kind.into(),
        schema: 1,
        must_understand: true,
        epoch,
        body: body.into(),
    }
}

/// The same table, modes and statement, without anything of ours around them.
fn bare_engine(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
             CREATE TABLE record (
               rowid INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL,
               at TEXT NOT NULL, kind TEXT NOT NULL, schema INTEGER NOT NULL,
               must_understand INTEGER NOT NULL, shard INTEGER NOT NULL, epoch INTEGER NOT NULL,
               body TEXT NOT NULL, UNIQUE (stream, version)) STRICT;",
        )
        .expect("a table");
    connection
}

fn insert(connection: &Connection, records: &[Record]) {
    connection.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    let mut statement = connection
        .prepare_cached("INSERT INTO record VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
        .expect("a statement");
    for record in records {
        let row = params![
            record.stream.to_string(),
            record.version,
            record.at.to_string(),
            &*record.kind,
            record.schema,
            record.must_understand,
            record.shard,
            record.epoch,
            &*record.body
        ];
        statement.execute(row).expect("an insert");
    }
    connection.execute_batch("COMMIT").expect("a commit");
}

/// Steps through the same rows and touches their longest column.
fn bare_read(path: &Path) -> usize {
    let connection = Connection::open(path).expect("a database");
    let mut statement =
        connection.prepare("SELECT * FROM record ORDER BY rowid").expect("a statement");
    let mut rows = statement.query([]).expect("rows");
    let mut read = 0;
    while let Some(row) = rows.next().expect("a row") {
        let body = row.get_ref(9).expect("a column").as_str().expect("text");
        read += usize::from(!body.is_empty());
    }
    read
}

/// Makes the kernel forget a file, so that the next read is the disk's.
fn drop_from_cache(path: &Path) {
    let input = format!("if={}", path.display());
    let done =
        Command::new("dd").args([&input, "iflag=nocache", "count=0", "status=none"]).status();
    assert!(done.expect("dd is needed: apt-get install coreutils").success());
}
