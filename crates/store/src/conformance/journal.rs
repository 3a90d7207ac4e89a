//! The journal's promises.

use perennial_core::record::{Record, Stream};

use super::{Backend, Check, batch, checkpoint, read_all, read_stream, record, stream};
use crate::error::{AppendError, Trouble};
use crate::journal::{Found, Journal};

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        an_empty_journal_is_empty,
        what_was_appended_is_read_back_unchanged_also_after_reopening,
        a_receipt_names_the_last_batch,
        a_batch_is_durable_whole_or_not_at_all,
        a_group_is_durable_whole_or_not_at_all,
        a_version_that_does_not_follow_is_a_conflict,
        a_record_that_contradicts_itself_is_refused,
        a_later_writer_fences_the_earlier_one,
        an_epoch_never_taken_is_fenced_too,
        epochs_rise_also_after_reopening,
        streams_are_read_in_the_order_of_their_versions,
        reading_begins_at_the_newest_checkpoint,
        archiving_hides_nothing_and_is_bounded,
        positions_ascend_and_the_tail_follows,
        a_reader_sees_what_a_writer_appends,
        restoring_brings_back_everything_with_its_epochs,
        restoring_is_refused_where_records_are,
        a_restore_that_breaks_off_restores_nothing,
    ]
}

fn an_empty_journal_is_empty<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    assert_eq!(read_all(&journal), []);
    assert_eq!(read_stream(&journal, &stream("www"), 1), []);
    assert_eq!(journal.head().expect("a head"), 0);
    assert_eq!(journal.last_version(&stream("www")).expect("a version"), 0);
    assert!(journal.tail(0, 10).expect("a tail").is_empty());
    assert!(!journal.archive(10).expect("nothing to archive").more);
}

fn what_was_appended_is_read_back_unchanged_also_after_reopening<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let www = stream("www");
    let mut last = record(&www, 3, epoch);
    last.body = "not json: \u{0}\n".into();
    last.schema = u16::MAX;
    last.at = jiff::Timestamp::MIN;
    let written = vec![record(&www, 1, epoch), record(&www, 2, epoch), last];
    journal.append(&batch(1, written.clone()), epoch).expect("an append");
    assert_eq!(read_all(&journal), written);
    drop(journal);
    let journal = backend.journal();
    assert_eq!(read_all(&journal), written);
    assert_eq!(read_stream(&journal, &www, 2), written[1..]);
    assert_eq!(journal.last_version(&www).expect("a version"), 3);
}

fn a_receipt_names_the_last_batch<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let www = stream("www");
    let batches = [
        batch(7, vec![record(&www, 1, epoch)]),
        batch(8, Vec::new()),
        batch(9, vec![record(&www, 2, epoch)]),
    ];
    let receipt = journal.append_all(&batches, epoch).expect("an append");
    assert_eq!(receipt.through, 9);
}

fn a_batch_is_durable_whole_or_not_at_all<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let (one, two) = (stream("one"), stream("two"));
    let records = vec![record(&one, 1, epoch), record(&two, 2, epoch)];
    let error = journal.append(&batch(1, records), epoch).expect_err("a gap");
    assert!(matches!(error, AppendError::Conflict { version: 2, last: 0, .. }), "{error:?}");
    assert_eq!(read_all(&journal), []);
    // The journal goes on as if nothing had been tried.
    journal.append(&batch(1, vec![record(&one, 1, epoch)]), epoch).expect("an append");
    assert_eq!(read_all(&backend.journal()), [record(&one, 1, epoch)]);
}

fn a_group_is_durable_whole_or_not_at_all<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let www = stream("www");
    let batches = [batch(1, vec![record(&www, 1, epoch)]), batch(2, vec![record(&www, 1, epoch)])];
    journal.append_all(&batches, epoch).expect_err("a repetition");
    assert_eq!(read_all(&journal), []);
}

fn a_version_that_does_not_follow_is_a_conflict<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let www = stream("www");
    let first = vec![record(&www, 1, epoch), record(&www, 2, epoch)];
    journal.append(&batch(1, first.clone()), epoch).expect("an append");
    for wrong in [1, 2, 4, 5] {
        let records = vec![record(&www, wrong, epoch)];
        let error = journal.append(&batch(2, records), epoch).expect_err("a conflict");
        let AppendError::Conflict { stream, version, last } = error else { panic!("{error:?}") };
        assert_eq!((stream, version, last), (www.clone(), wrong, 2));
    }
    assert_eq!(read_all(&journal), first);
}

fn a_record_that_contradicts_itself_is_refused<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let www = stream("www");
    let good = || record(&www, 1, epoch);
    let wrong = [
        Record { epoch: epoch + 1, ..good() },
        Record { shard: good().shard ^ 1, ..good() },
        Record { version: 0, ..good() },
        Record { version: u64::MAX, ..good() },
    ];
    for record in wrong {
        let error = journal.append(&batch(1, vec![record]), epoch).expect_err("malformed");
        assert!(matches!(error, AppendError::Malformed { .. }), "{error:?}");
    }
    assert_eq!(read_all(&journal), []);
}

fn a_later_writer_fences_the_earlier_one<B: Backend>(backend: &B) {
    let (mut first, mut second) = (backend.journal(), backend.journal());
    let www = stream("www");
    let ours = first.acquire_epoch().expect("an epoch");
    first.append(&batch(1, vec![record(&www, 1, ours)]), ours).expect("an append");
    let current = second.acquire_epoch().expect("an epoch");
    assert!(current > ours);
    let late = batch(2, vec![record(&www, 2, ours)]);
    let error = first.append(&late, ours).expect_err("fenced");
    let expected = (ours, current);
    assert!(
        matches!(error, AppendError::Fenced { ours, current } if (ours, current) == expected),
        "{error:?}"
    );
    second.append(&batch(1, vec![record(&www, 2, current)]), current).expect("an append");
    assert_eq!(read_all(&first), [record(&www, 1, ours), record(&www, 2, current)]);
}

fn an_epoch_never_taken_is_fenced_too<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    for wrong in [0, epoch + 1] {
        let records = vec![record(&stream("www"), 1, wrong)];
        let error = journal.append(&batch(1, records), wrong).expect_err("fenced");
        assert!(matches!(error, AppendError::Fenced { .. }), "{error:?}");
    }
}

fn epochs_rise_also_after_reopening<B: Backend>(backend: &B) {
    let taken: Vec<u64> =
        (0..3).map(|_| backend.journal().acquire_epoch().expect("an epoch")).collect();
    assert!(taken.is_sorted_by(|earlier, later| earlier < later), "{taken:?}");
    assert!(taken[0] > 0);
}

fn streams_are_read_in_the_order_of_their_versions<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let streams = [stream("b"), stream("a"), Stream::instance()];
    for version in 1..=20 {
        let records = streams.iter().map(|stream| record(stream, version, epoch)).collect();
        journal.append(&batch(version, records), epoch).expect("an append");
    }
    let all = read_all(&journal);
    for stream in &streams {
        let versions = all.iter().filter(|r| r.stream == *stream).map(|r| r.version);
        assert_eq!(versions.collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    }
}

/// Two streams of ten records; one has checkpoints at 4 and 8.
fn with_checkpoints(journal: &mut impl Journal) -> (Stream, Stream) {
    let epoch = journal.acquire_epoch().expect("an epoch");
    let (plain, marked) = (stream("plain"), stream("marked"));
    for version in 1..=10 {
        let second = match version {
            4 | 8 => checkpoint(&marked, version, epoch),
            _ => record(&marked, version, epoch),
        };
        let records = vec![record(&plain, version, epoch), second];
        journal.append(&batch(version, records), epoch).expect("an append");
    }
    (plain, marked)
}

fn versions(records: &[Record], stream: &Stream) -> Vec<u64> {
    records.iter().filter(|r| r.stream == *stream).map(|r| r.version).collect()
}

fn reading_begins_at_the_newest_checkpoint<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let (plain, marked) = with_checkpoints(&mut journal);
    let all = read_all(&journal);
    assert_eq!(versions(&all, &plain), (1..=10).collect::<Vec<_>>());
    assert_eq!(versions(&all, &marked), [8, 9, 10]);
    assert_eq!(versions(&read_stream(&journal, &marked, 1), &marked).len(), 10);
}

fn archiving_hides_nothing_and_is_bounded<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let (plain, marked) = with_checkpoints(&mut journal);
    let before = read_all(&journal);
    let tail = journal.tail(0, 100).expect("a tail");
    let mut steps = Vec::new();
    loop {
        let step = journal.archive(3).expect("a step");
        steps.push(step.moved);
        assert_eq!(read_all(&journal), before, "after {steps:?}");
        assert_eq!(journal.tail(0, 100).expect("a tail"), tail, "after {steps:?}");
        if !step.more {
            break;
        }
    }
    assert_eq!(steps.iter().sum::<usize>(), 7);
    assert!(steps.iter().all(|moved| *moved <= 3), "{steps:?}");
    assert_eq!(read_stream(&journal, &marked, 1).len(), 10);
    assert_eq!(versions(&read_stream(&journal, &marked, 6), &marked), [6, 7, 8, 9, 10]);
    assert_eq!(journal.last_version(&plain).expect("a version"), 10);
    drop(journal);
    let mut journal = backend.journal();
    assert_eq!(read_all(&journal), before);
    // Archiving again, after a further checkpoint.
    let epoch = journal.acquire_epoch().expect("an epoch");
    let records = vec![checkpoint(&marked, 11, epoch)];
    journal.append(&batch(1, records), epoch).expect("an append");
    assert_eq!(journal.archive(100).expect("a step").moved, 3);
    assert_eq!(versions(&read_all(&journal), &marked), [11]);
    assert_eq!(read_stream(&journal, &marked, 1).len(), 11);
}

fn positions_ascend_and_the_tail_follows<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    with_checkpoints(&mut journal);
    let all = journal.tail(0, 100).expect("a tail");
    assert_eq!(all.len(), 20);
    assert!(all.is_sorted_by(|a, b| a.position() < b.position()));
    assert_eq!(all.last().map(Found::position), Some(journal.head().expect("a head")));
    let middle = all[4].position();
    assert_eq!(journal.tail(middle, 3).expect("a tail"), all[5..8]);
    assert!(journal.tail(journal.head().expect("a head"), 3).expect("a tail").is_empty());
}

fn a_reader_sees_what_a_writer_appends<B: Backend>(backend: &B) {
    let mut writer = backend.journal();
    let reader = backend.journal();
    let epoch = writer.acquire_epoch().expect("an epoch");
    for version in 1..=3 {
        let one = record(&stream("www"), version, epoch);
        let seen = reader.head().expect("a head");
        writer.append(&batch(version, vec![one.clone()]), epoch).expect("an append");
        let new = reader.tail(seen, 10).expect("a tail");
        assert_eq!(new.into_iter().filter_map(Found::record).collect::<Vec<_>>(), [one]);
    }
}

fn restoring_brings_back_everything_with_its_epochs<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let (www, cut) = (stream("www"), stream("cut"));
    let records = vec![
        record(&www, 1, 5),
        checkpoint(&cut, 40, 7),
        record(&www, 2, 7),
        record(&cut, 41, 9),
        checkpoint(&www, 3, 9),
    ];
    let mut source = records.clone().into_iter().map(Ok);
    assert_eq!(journal.restore(&mut source).expect("a restore"), 5);
    assert_eq!(read_stream(&journal, &www, 1).len(), 3);
    assert_eq!(versions(&read_all(&journal), &www), [3]);
    assert_eq!(versions(&read_all(&journal), &cut), [40, 41]);
    let tail = journal.tail(0, 10).expect("a tail");
    assert_eq!(tail.into_iter().filter_map(Found::record).collect::<Vec<_>>(), records);
    let epoch = journal.acquire_epoch().expect("an epoch");
    assert!(epoch > 9, "no epoch of the past is taken again");
    journal.append(&batch(1, vec![record(&cut, 42, epoch)]), epoch).expect("an append");
}

fn restoring_is_refused_where_records_are<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let epoch = journal.acquire_epoch().expect("an epoch");
    let one = record(&stream("www"), 1, epoch);
    journal.append(&batch(1, vec![one.clone()]), epoch).expect("an append");
    let mut source = [Ok(record(&stream("other"), 1, 1))].into_iter();
    let error = journal.restore(&mut source).expect_err("not empty");
    let AppendError::Store(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error.trouble, Trouble::NotEmpty), "{error:?}");
    assert_eq!(read_all(&journal), [one]);
}

fn a_restore_that_breaks_off_restores_nothing<B: Backend>(backend: &B) {
    let mut journal = backend.journal();
    let www = stream("www");
    let good = || Ok(record(&www, 1, 1));
    let ends: [Result<Record, Box<dyn std::error::Error + Send + Sync>>; 4] = [
        Err("unreadable".into()),
        Ok(record(&www, 3, 1)),
        Ok(checkpoint(&www, 3, 1)),
        Ok(record(&stream("cut"), 2, 1)),
    ];
    for end in ends {
        let mut source = [good(), end].into_iter();
        journal.restore(&mut source).expect_err("broken off");
        assert_eq!(read_all(&journal), []);
    }
}
