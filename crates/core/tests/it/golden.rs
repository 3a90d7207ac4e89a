//! What the first release wrote folds for ever.

use std::collections::BTreeSet;

use perennial_core::driver::Loader;
use perennial_core::event::Event;
use perennial_core::state::DeployStep;
use perennial_core::words::Name;

use crate::{event, golden};

#[test]
fn every_kind_of_event_has_a_golden_line_that_reads() {
    let records = golden("events.jsonl");
    let kinds: BTreeSet<String> = records.iter().map(|r| event(r).kind().to_string()).collect();
    let missing: Vec<_> = Event::KINDS.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "{missing:?} have no golden line");
}

#[test]
fn what_is_read_is_written_alike() {
    for record in golden("events.jsonl").iter().chain(&golden("life.jsonl")) {
        let read = event(record);
        let Some(again) = (match Event::decode(read.kind(), &read.body()) {
            perennial_core::event::Decoded::Event(again) => Some(*again),
            _ => None,
        }) else {
            panic!("{} cannot be read again", record.kind);
        };
        assert_eq!(read, again, "{}", record.kind);
    }
}

#[test]
fn a_whole_life_of_release_0_1_folds() {
    let mut loader = Loader::new();
    for record in golden("life.jsonl") {
        assert_eq!(record.shard, record.stream.shard(), "{}", record.stream);
        loader.record(&record);
    }
    let state = loader.state();
    let site = state.certificate(state.id(&Name::new("site")).unwrap()).unwrap();
    let leaf = site.leaf.as_ref().unwrap();
    assert!(
        matches!(site.targets[0].step, DeployStep::Seen { leaf: seen, .. } if seen == leaf.number)
    );
    let (driver, _) = loader.start("test", 2, "2026-02-01T00:00:00Z".parse().unwrap(), 0);
    assert_eq!(driver.quarantined(), []);
}
