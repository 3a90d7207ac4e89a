//! Tests of the judge: golden records, properties of fold and decide, decision tables.

#![cfg(test)] // so that the lints see tests, and what tests call, as tests

mod chains;
mod codes;
mod declaring;
mod doubts;
mod edges;
mod golden;
mod hold;
mod holding;
mod life;
mod loading;
mod offline;
mod owing;
mod properties;
mod put_back;
mod risky;
mod shop;

use jiff::Timestamp;
use perennial_core::event::{Decoded, Event};
use perennial_core::record::{Record, Stream};
use serde_json::Value;

/// Reads a golden file of release 0.1.
fn golden(file: &str) -> Vec<Record> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/0.1/");
    let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
    text.lines().map(record).collect()
}

fn record(line: &str) -> Record {
    let value: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| value[name].as_str().unwrap().to_string();
    let number = |name: &str| value[name].as_u64().unwrap();
    Record {
        stream: Stream::try_from(text("stream")).unwrap(),
        version: number("version"),
        at: text("at").parse::<Timestamp>().unwrap(),
        kind: text("kind").into(),
        schema: u16::try_from(number("schema")).unwrap(),
        must_understand: value["must_understand"].as_bool().unwrap(),
        shard: u16::try_from(number("shard")).unwrap(),
        epoch: number("epoch"),
        body: value["body"].to_string().into(),
    }
}

/// Reads a record's event.
fn event(record: &Record) -> Event {
    match Event::decode(&record.kind, &record.body) {
        Decoded::Event(event) => *event,
        other => panic!("{} {}: {other:?}", record.kind, record.body),
    }
}
