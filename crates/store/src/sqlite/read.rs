//! Reading: a row becomes a record, or is told to be unreadable.

use perennial_core::record::{Record, Stream};
use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, Params, Row, params};

use crate::journal::{Entry, Found, Unreadable};

pub(super) fn all(connection: &Connection, visit: &mut dyn FnMut(Found)) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(READ_ALL)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(found(row)?);
    }
    Ok(())
}

pub(super) fn stream(
    connection: &Connection,
    stream: &Stream,
    from_version: u64,
) -> rusqlite::Result<Vec<Found>> {
    collect(connection, READ_STREAM, params![stream.to_string(), from_version])
}

pub(super) fn tail(
    connection: &Connection,
    position: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Found>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    collect(connection, READ_TAIL, params![position, limit])
}

pub(super) fn head(connection: &Connection) -> rusqlite::Result<u64> {
    // The newest record of all is never archived: what supersedes a record comes after it.
    let mut statement = connection.prepare_cached("SELECT coalesce(max(rowid), 0) FROM record")?;
    statement.query_row([], |row| row.get(0))
}

pub(super) fn last_version(connection: &Connection, stream: &Stream) -> rusqlite::Result<u64> {
    let mut statement = connection
        .prepare_cached("SELECT coalesce(max(version), 0) FROM record WHERE stream = ?1")?;
    statement.query_row([stream.to_string()], |row| row.get(0))
}

fn collect(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<Vec<Found>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(found(row)?);
    }
    Ok(all)
}

/// Reads a row. Only the engine's own failures stop reading; what stands in the row does not.
fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let position = row.get(0)?;
    Ok(match record(row) {
        Ok(record) => Found::Entry(Entry { position, record }),
        Err(why) => {
            let stream = text(row, 1).unwrap_or_default().to_owned();
            Found::Unreadable(Unreadable { position, stream, why })
        }
    })
}

fn record(row: &Row<'_>) -> Result<Record, String> {
    Ok(Record {
        stream: Stream::try_from(text(row, 1)?.to_owned())?,
        version: number(row, 2)?,
        at: text(row, 3)?.parse().map_err(|error| format!("column `at`: {error}"))?,
        kind: text(row, 4)?.into(),
        schema: number(row, 5)?,
        must_understand: number(row, 6)?,
        shard: number(row, 7)?,
        epoch: number(row, 8)?,
        body: text(row, 9)?.into(),
    })
}

/// Reads a text without copying it.
fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, String> {
    match row.get_ref(column) {
        Ok(value @ ValueRef::Text(_)) => value.as_str().map_err(|e| in_column(column, &e)),
        Ok(other) => Err(format!("column {column}: {} instead of text", other.data_type())),
        Err(error) => Err(in_column(column, &error)),
    }
}

fn number<T: FromSql>(row: &Row<'_>, column: usize) -> Result<T, String> {
    row.get(column).map_err(|error| in_column(column, &error))
}

fn in_column(column: usize, error: &dyn std::error::Error) -> String {
    format!("column {column}: {error}")
}

/// In the order of the rows, that is, of appending: one sequential pass over the file. A probe of
/// `superseded`, mostly empty, is all that each row costs beyond being read.
const READ_ALL: &str = "
    SELECT r.rowid, r.stream, r.version, r.at, r.kind, r.schema, r.must_understand, r.shard,
           r.epoch, r.body
    FROM record r LEFT JOIN superseded s ON s.stream = r.stream
    WHERE s.below IS NULL OR r.version >= s.below
    ORDER BY r.rowid";

const READ_STREAM: &str = "
    SELECT * FROM archive WHERE stream = ?1 AND version >= ?2
    UNION ALL
    SELECT * FROM record WHERE stream = ?1 AND version >= ?2
    ORDER BY version";

const READ_TAIL: &str = "
    SELECT * FROM archive WHERE rowid > ?1
    UNION ALL
    SELECT * FROM record WHERE rowid > ?1
    ORDER BY rowid LIMIT ?2";
