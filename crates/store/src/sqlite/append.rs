//! Writing: taking over, appending, restoring, archiving. Each is one immediate transaction.

use std::collections::HashMap;
use std::path::Path;

use perennial_core::record::{Batch, Record, Stream};
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::trouble;
use crate::error::{AppendError, StoreError, Trouble};
use crate::journal::{Archived, CHECKPOINT_KIND, Source};

/// Why an append was given up: our own refusal, or the engine's.
pub(super) enum Refused {
    Ours(AppendError),
    NotEmpty,
    Engine(rusqlite::Error),
}

impl Refused {
    pub(super) fn into_error(self, path: &Path, attempted: &'static str) -> AppendError {
        match self {
            Self::Ours(error) => error,
            Self::NotEmpty => StoreError::new(attempted, path, Trouble::NotEmpty).into(),
            Self::Engine(error) => StoreError::new(attempted, path, trouble(error)).into(),
        }
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

pub(super) fn acquire_epoch(connection: &mut Connection) -> rusqlite::Result<u64> {
    let transaction = begin(connection)?;
    let epoch = transaction.query_row(
        "UPDATE writer SET epoch = epoch + 1 RETURNING epoch",
        [],
        |row| row.get(0),
    )?;
    transaction.commit()?;
    Ok(epoch)
}

pub(super) fn append_all(
    connection: &mut Connection,
    batches: &[Batch],
    epoch: u64,
) -> Result<(), Refused> {
    let transaction = begin(connection)?;
    let current = current_epoch(&transaction)?;
    if current != epoch {
        return Err(Refused::Ours(AppendError::Fenced { ours: epoch, current }));
    }
    {
        let mut rows = Rows::of(&transaction)?;
        for record in batches.iter().flat_map(|batch| &batch.records) {
            check(record, epoch).map_err(Refused::Ours)?;
            rows.add(record, Beginning::First)?;
        }
    }
    Ok(transaction.commit()?)
}

pub(super) fn restore(
    connection: &mut Connection,
    records: &mut Source<'_>,
) -> Result<u64, Refused> {
    let transaction = begin(connection)?;
    let is_empty: bool =
        transaction.query_row("SELECT NOT EXISTS (SELECT 1 FROM record)", [], |row| row.get(0))?;
    if !is_empty {
        return Err(Refused::NotEmpty);
    }
    let mut restored = 0;
    let mut highest_epoch = current_epoch(&transaction)?;
    {
        let mut rows = Rows::of(&transaction)?;
        for record in records {
            let record = record.map_err(|error| Refused::Ours(AppendError::Source(error)))?;
            check(&record, record.epoch).map_err(Refused::Ours)?;
            rows.add(&record, Beginning::FirstOrCheckpoint)?;
            highest_epoch = highest_epoch.max(record.epoch);
            restored += 1;
        }
    }
    transaction.execute("UPDATE writer SET epoch = ?1", [highest_epoch])?;
    transaction.commit()?;
    Ok(restored)
}

pub(super) fn archive(connection: &mut Connection, limit: usize) -> rusqlite::Result<Archived> {
    let transaction = begin(connection)?;
    let mut moved = 0;
    let mut waiting = next_superseded(&transaction)?;
    while let Some((stream, below)) = waiting.take().filter(|_| moved < limit) {
        let step = move_below(&transaction, &stream, below, limit - moved)?;
        moved += step.moved;
        if !step.more {
            transaction
                .prepare_cached("DELETE FROM superseded WHERE stream = ?1")?
                .execute([&stream])?;
        }
        waiting = next_superseded(&transaction)?;
    }
    let more = next_superseded(&transaction)?.is_some();
    transaction.commit()?;
    Ok(Archived { moved, more })
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn current_epoch(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let mut statement = transaction.prepare_cached("SELECT epoch FROM writer")?;
    statement.query_row([], |row| row.get(0))
}

/// Checks that a record says of itself what is true.
fn check(record: &Record, epoch: u64) -> Result<(), AppendError> {
    let why = if record.epoch != epoch {
        "it carries another epoch than the one it is appended under"
    } else if record.shard != record.stream.shard() {
        "its shard is not its stream's"
    } else if record.version == 0 || i64::try_from(record.version).is_err() {
        "its version is out of range"
    } else {
        return Ok(());
    };
    Err(AppendError::Malformed { stream: record.stream.clone(), version: record.version, why })
}

/// The statements that add records, and what they have added so far.
struct Rows<'t> {
    last: CachedStatement<'t>,
    insert: CachedStatement<'t>,
    supersede: CachedStatement<'t>,
    /// The last versions of the streams met in this transaction.
    lasts: HashMap<Stream, u64>,
}

impl<'t> Rows<'t> {
    fn of(transaction: &'t Transaction<'t>) -> rusqlite::Result<Self> {
        Ok(Self {
            last: transaction.prepare_cached(LAST_VERSION)?,
            insert: transaction.prepare_cached(INSERT)?,
            supersede: transaction.prepare_cached(SUPERSEDE)?,
            lasts: HashMap::new(),
        })
    }

    /// Adds a record if it follows its stream's last one.
    fn add(&mut self, record: &Record, beginning: Beginning) -> Result<(), Refused> {
        let stream = record.stream.to_string();
        let last = match self.lasts.get(&record.stream) {
            Some(last) => *last,
            None => self.last.query_row([&stream], |row| row.get(0))?,
        };
        let is_checkpoint = &*record.kind == CHECKPOINT_KIND;
        let begins = last == 0 && is_checkpoint && beginning == Beginning::FirstOrCheckpoint;
        if !begins && record.version.checked_sub(1) != Some(last) {
            let (stream, version) = (record.stream.clone(), record.version);
            return Err(Refused::Ours(AppendError::Conflict { stream, version, last }));
        }
        insert(&mut self.insert, &stream, record)?;
        if is_checkpoint && last > 0 {
            self.supersede.execute(params![stream, record.version])?;
        }
        if self.lasts.len() >= LASTS_LIMIT {
            self.lasts.clear();
        }
        self.lasts.insert(record.stream.clone(), record.version);
        Ok(())
    }
}

/// At which version a stream may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// At 1.
    First,
    /// At 1, or with a checkpoint at any.
    FirstOrCheckpoint,
}

fn insert(
    statement: &mut CachedStatement<'_>,
    stream: &str,
    record: &Record,
) -> rusqlite::Result<usize> {
    statement.execute(params![
        stream,
        record.version,
        record.at.to_string(),
        &*record.kind,
        record.schema,
        record.must_understand,
        record.shard,
        record.epoch,
        &*record.body,
    ])
}

fn next_superseded(transaction: &Transaction<'_>) -> rusqlite::Result<Option<(String, i64)>> {
    let mut statement =
        transaction.prepare_cached("SELECT stream, below FROM superseded LIMIT 1")?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// Moves up to `limit` records of one stream below a version to the archive, oldest first.
fn move_below(
    transaction: &Transaction<'_>,
    stream: &str,
    below: i64,
    limit: usize,
) -> rusqlite::Result<Archived> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let boundary: Option<i64> = {
        let mut statement = transaction.prepare_cached(
            "SELECT version FROM record WHERE stream = ?1 AND version < ?2
             ORDER BY version LIMIT 1 OFFSET ?3",
        )?;
        let mut rows = statement.query(params![stream, below, limit])?;
        rows.next()?.map(|row| row.get(0)).transpose()?
    };
    let until = boundary.unwrap_or(below);
    transaction
        .prepare_cached(
            "INSERT INTO archive SELECT * FROM record WHERE stream = ?1 AND version < ?2",
        )?
        .execute(params![stream, until])?;
    let moved = transaction
        .prepare_cached("DELETE FROM record WHERE stream = ?1 AND version < ?2")?
        .execute(params![stream, until])?;
    Ok(Archived { moved, more: boundary.is_some() })
}

/// How many streams' last versions are remembered: a restore may hold millions.
const LASTS_LIMIT: usize = 65_536;

/// Looked up apart from the insert: one statement that does both would copy each row through a
/// temporary table, since it reads what it writes.
const LAST_VERSION: &str = "SELECT coalesce(max(version), 0) FROM record WHERE stream = ?1";

const INSERT: &str = "
    INSERT INTO record
      (stream, version, at, kind, schema, must_understand, shard, epoch, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const SUPERSEDE: &str = "
    INSERT INTO superseded (stream, below) VALUES (?1, ?2)
    ON CONFLICT (stream) DO UPDATE SET below = excluded.below";
