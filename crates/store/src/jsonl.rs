//! Records as lines of JSON: for backups, for golden files, for people.
//!
//! One record a line, the archive's included, in the order of appending. The body stands in it as
//! the JSON it is, byte for byte; a body that is not JSON on one line is written as a string under
//! `body_text`.

use std::io::{self, BufRead, Read, Write};

use jiff::Timestamp;
use perennial_core::record::{Record, Stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{AppendError, StoreError};
use crate::journal::{Found, Journal, Unreadable};

/// Says why records could not be exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum JsonlError {
    /// The text could not be read or written.
    #[error("could not read or write the lines")]
    Io(#[from] io::Error),
    /// A line is no record.
    #[error("line {number} is no record")]
    Line {
        /// Which line, from 1.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A line is longer than any record.
    #[error("line {number} is longer than {LINE_LIMIT} bytes")]
    TooLong {
        /// Which line, from 1.
        number: u64,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal did not take the records.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What an export held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// How many records were written.
    pub records: u64,
    /// What could not be read, and so is not in the export.
    pub unreadable: Vec<Unreadable>,
}

/// Writes a whole journal as lines of JSON.
///
/// # Errors
///
/// Returns why it could not be read or written to the end.
pub fn export_jsonl(journal: &dyn Journal, out: &mut dyn Write) -> Result<Exported, JsonlError> {
    let mut exported = Exported::default();
    let mut position = 0;
    loop {
        let page = journal.tail(position, PAGE)?;
        let Some(last) = page.last() else { break };
        position = last.position();
        for found in page {
            match found {
                Found::Entry(entry) => {
                    write_record(&entry.record, out)?;
                    exported.records += 1;
                }
                Found::Unreadable(unreadable) => exported.unreadable.push(unreadable),
            }
        }
    }
    out.flush()?;
    Ok(exported)
}

/// Restores an empty journal from lines of JSON: all of them or none. Returns how many.
///
/// # Errors
///
/// Returns which line is no record, or why the journal took none.
pub fn import_jsonl(journal: &mut dyn Journal, lines: &mut dyn BufRead) -> Result<u64, JsonlError> {
    let mut records = read_jsonl(lines).map(|record| record.map_err(Into::into));
    Ok(journal.restore(&mut records)?)
}

/// Reads lines of JSON, one record each; empty ones are skipped.
pub fn read_jsonl(
    lines: &mut dyn BufRead,
) -> impl Iterator<Item = Result<Record, JsonlError>> + use<'_> {
    let mut number = 0;
    let mut line = Vec::new();
    std::iter::from_fn(move || {
        loop {
            number += 1;
            line.clear();
            match lines.take(LINE_LIMIT).read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
            if line.len() as u64 == LINE_LIMIT {
                return Some(Err(JsonlError::TooLong { number }));
            }
            if !line.trim_ascii().is_empty() {
                return Some(parse(&line).map_err(|source| JsonlError::Line { number, source }));
            }
        }
    })
}

fn parse(line: &[u8]) -> Result<Record, serde_json::Error> {
    let line: Line = serde_json::from_slice(line)?;
    let body = match (line.body, line.body_text) {
        (Some(raw), None) => Box::<str>::from(raw),
        (None, Some(text)) => text,
        _ => return Err(serde::de::Error::custom("it needs either `body` or `body_text`")),
    };
    Ok(Record {
        stream: line.stream,
        version: line.version,
        at: line.at,
        kind: line.kind,
        schema: line.schema,
        must_understand: line.must_understand,
        shard: line.shard,
        epoch: line.epoch,
        body,
    })
}

/// Writes one record as a line of JSON.
///
/// # Errors
///
/// Returns why it could not be written.
pub fn write_record(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let raw = raw_body(&record.body);
    let line = Line {
        stream: record.stream.clone(),
        version: record.version,
        at: record.at,
        kind: record.kind.clone(),
        schema: record.schema,
        must_understand: record.must_understand,
        shard: record.shard,
        epoch: record.epoch,
        body_text: raw.is_none().then(|| record.body.clone()),
        body: raw,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// Returns a body as JSON, if it comes back from a line of JSON as it is.
fn raw_body(body: &str) -> Option<Box<RawValue>> {
    // White space around a value is not kept, and `null` would read as "no body".
    let comes_back = |raw: &&RawValue| raw.get() == body && body != "null";
    let one_line = (!body.contains(['\n', '\r'])).then_some(body)?;
    serde_json::from_str::<&RawValue>(one_line).ok().filter(comes_back).map(RawValue::to_owned)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    stream: Stream,
    version: u64,
    at: Timestamp,
    kind: Box<str>,
    schema: u16,
    must_understand: bool,
    shard: u16,
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_text: Option<Box<str>>,
}

/// Records read from the journal at once.
const PAGE: usize = 1024;

/// The longest line that is read.
const LINE_LIMIT: u64 = 64 * 1024 * 1024;
