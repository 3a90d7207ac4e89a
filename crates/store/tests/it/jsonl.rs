//! Records as lines of JSON.

use perennial_core::record::Record;
use perennial_store::jsonl::{JsonlError, export_jsonl, import_jsonl, read_jsonl, write_record};
use perennial_store::{AppendError, Journal, SqliteJournal, Store};

use crate::{fill, on_disk, record, versions};

#[test]
fn a_store_survives_its_export_the_archive_included() {
    let (old, new) = (on_disk(), on_disk());
    let mut journal = SqliteJournal::open(&Store::journal_path(old.folder.path())).unwrap();
    fill(&mut journal, 2500);
    journal.archive(100).unwrap();
    let mut lines = Vec::new();
    let exported = export_jsonl(&journal, &mut lines).unwrap();
    assert_eq!((exported.records, exported.unreadable.len()), (2500, 0));

    let mut restored = SqliteJournal::open(&Store::journal_path(new.folder.path())).unwrap();
    assert_eq!(import_jsonl(&mut restored, &mut lines.as_slice()).unwrap(), 2500);
    let stream = crate::www();
    let records = |journal: &SqliteJournal| -> Vec<Record> {
        let found = journal.read_stream(&stream, 1).unwrap();
        found.into_iter().map(|found| found.record().unwrap()).collect()
    };
    assert_eq!(records(&restored), records(&journal));
    let mut again = Vec::new();
    export_jsonl(&restored, &mut again).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(lines).unwrap());
}

#[test]
fn bodies_of_every_kind_come_back_byte_for_byte() {
    let bodies = [
        r#"{"a":  1.50}"#,
        "null",
        " 1",
        "1 ",
        "",
        "not json",
        "{\"a\":\n1}",
        "\"\u{2028}\"",
        "\u{0}",
    ];
    for body in bodies {
        let record = Record { body: body.into(), ..record(1, 1) };
        let mut line = Vec::new();
        write_record(&record, &mut line).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "{body:?}");
        let read: Vec<Record> = read_jsonl(&mut line.as_slice()).map(Result::unwrap).collect();
        assert_eq!(read, [record], "{body:?}");
    }
}

#[test]
fn a_line_reads_as_people_expect_it() {
    let mut line = Vec::new();
    write_record(&record(1, 2), &mut line).unwrap();
    assert_eq!(
        String::from_utf8(line).unwrap(),
        concat!(
            r#"{"stream":"certificate/www","version":1,"at":"1970-01-01T00:00:00Z","#,
            r#""kind":"noted","schema":1,"must_understand":false,"shard":3716,"epoch":2,"#,
            r#""body":{"version":1}}"#,
            "\n"
        )
    );
}

#[test]
fn a_line_that_is_no_record_is_named_and_nothing_is_restored() {
    let store = on_disk();
    let mut journal = SqliteJournal::open(&Store::journal_path(store.folder.path())).unwrap();
    let mut text = Vec::new();
    write_record(&record(1, 1), &mut text).unwrap();
    text.extend_from_slice(b"\n{\"stream\":\"nonsense\"}\n");
    let error = import_jsonl(&mut journal, &mut text.as_slice()).unwrap_err();
    let JsonlError::Append(AppendError::Source(source)) = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "line 3 is no record");
    assert!(versions(&journal).is_empty());
}
