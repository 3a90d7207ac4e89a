//! What the first release wrote folds for ever.

use std::collections::BTreeSet;

use perennial_core::driver::Loader;
use perennial_core::event::Event;
use perennial_core::record::Record;
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

#[test]
fn checkpoints_of_each_shape_fold_to_the_same_state() {
    let records = golden("checkpoints.jsonl");
    let loaded = |shape: u16| {
        let mut loader = Loader::new();
        let is_it = |record: &&Record| match event(record) {
            Event::Checkpoint(checkpoint) => checkpoint.shape == shape,
            _ => false,
        };
        records.iter().filter(is_it).for_each(|record| loader.record(record));
        assert!(loader.is_whole(), "{:?}", loader.quarantined());
        loader
    };
    let (first, second) = (loaded(1), loaded(2));
    for stream in records.iter().map(|record| &record.stream) {
        let checkpoint = first.state().checkpoint(stream);
        assert!(checkpoint.is_some(), "{stream}");
        assert_eq!(checkpoint, second.state().checkpoint(stream), "{stream}");
    }
}
