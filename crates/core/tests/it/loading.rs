//! Loading: what cannot be folded stops its own stream and nothing else.

use perennial_core::driver::Loader;
use perennial_core::event::Event;
use perennial_core::record::{Record, Stream, StreamKind};
use perennial_core::words::Name;
use proptest::prelude::*;

use crate::golden;

fn site() -> Stream {
    Stream::new(StreamKind::Certificate, Name::new("site"))
}

fn loaded(records: &[Record]) -> Loader {
    let mut loader = Loader::new();
    records.iter().for_each(|record| loader.record(record));
    loader
}

/// Makes the record that follows on a stream's newest.
pub(crate) fn next(loader: &Loader, stream: &Stream, kind: &str, body: &str) -> Record {
    Record {
        stream: stream.clone(),
        version: loader.state().version(stream) + 1,
        at: "2026-03-01T00:00:00Z".parse().unwrap(),
        kind: kind.into(),
        schema: 1,
        must_understand: false,
        shard: stream.shard(),
        epoch: 1,
        body: body.into(),
    }
}

#[test]
fn each_record_that_is_out_of_the_ordinary_is_kept_or_stops_its_stream() {
    let life = golden("life.jsonl");
    let whole = loaded(&life);
    let newest = whole.state().version(&site());
    let checkpoint = whole.state().checkpoint(&site()).unwrap();
    let checkpoint = Event::Checkpoint(checkpoint).body();
    let record = |kind: &str, body: &str| next(&whole, &site(), kind, body);
    let gap = |record: Record| Record { version: record.version + 5, ..record };
    let unknown = || record("future.thing", "{\"what\":1}");
    let expected = format!("version {} was expected", newest + 1);
    // What comes, and the version that the stream has then or why it is refused.
    let table = [
        ("an unknown kind", unknown(), Ok(newest + 1)),
        (
            "an unknown kind that must be understood",
            Record { must_understand: true, ..unknown() },
            Err("kind `future.thing` is not known to this release and must be"),
        ),
        ("an unreadable body", record("attempt.began", "{\"issuer\":7}"), Err("invalid type")),
        ("a gap", gap(record("renewal.requested", "{}")), Err(&*expected)),
        ("a checkpoint ahead", gap(record("checkpoint", &checkpoint)), Ok(newest + 6)),
    ];
    for (what, odd, then) in table {
        let mut loader = loaded(&life);
        loader.record(&odd);
        match then {
            Ok(version) => {
                assert!(loader.is_whole(), "{what}: {:?}", loader.quarantined());
                assert_eq!(loader.state().version(&site()), version, "{what}");
            }
            Err(cause) => {
                let [(stream, told)] = loader.quarantined() else { panic!("{what} is taken") };
                assert_eq!(*stream, site(), "{what}");
                assert!(told.contains(cause), "{what}: {told}");
                // What follows in the stream is not folded any more.
                loader.record(&next(&loader, &site(), "renewal.requested", "{}"));
                assert_eq!(loader.state().version(&site()), newest, "{what}");
            }
        }
        for stream in streams(&life).filter(|stream| *stream != site()) {
            let now = loader.state().checkpoint(&stream);
            assert_eq!(now, whole.state().checkpoint(&stream), "{what}: {stream}");
        }
    }
}

fn streams(records: &[Record]) -> impl Iterator<Item = Stream> {
    let all: std::collections::BTreeSet<_> = records.iter().map(|r| r.stream.clone()).collect();
    all.into_iter()
}

/// A record as damage, another release or malice might leave it: how many records later it comes,
/// its version before or after the one that is due, its kind, its body, and how much of that.
type Odd = (usize, i64, String, String, usize, bool);

fn odd() -> impl Strategy<Value = Odd> {
    let events = golden("events.jsonl");
    let kinds: Vec<String> = events.iter().map(|record| record.kind.to_string()).collect();
    let bodies: Vec<String> = events.iter().map(|record| record.body.to_string()).collect();
    let kind = prop_oneof![6 => prop::sample::select(kinds.clone()), 1 => ".{0,12}"];
    let any_body = prop_oneof![3 => prop::sample::select(bodies.clone()), 1 => ".{0,40}"];
    // Half of the time a body that its kind does have.
    let pairs: Vec<_> = kinds.into_iter().zip(bodies).collect();
    let named = prop_oneof![prop::sample::select(pairs), (kind, any_body)];
    let version = prop_oneof![4 => Just(0_i64), 1 => -3..4_i64, 1 => any::<i64>()];
    let cut = prop_oneof![3 => Just(usize::MAX), 1 => 0..200_usize];
    (0..20_usize, version, named, cut, any::<bool>()).prop_map(
        |(later, version, (kind, body), cut, must)| (later, version, kind, body, cut, must),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_records_in_one_stream_leave_every_other_stream_whole(
        victim in 0..8_usize, odds in prop::collection::vec(odd(), 0..40),
    ) {
        let life = golden("life.jsonl");
        let whole = loaded(&life);
        let known: Vec<_> = streams(&life).collect();
        let other = Stream::new(StreamKind::Certificate, Name::new("other"));
        let victim = known.get(victim).unwrap_or(&other);
        let mut loader = Loader::new();
        let mut life = life.iter();
        for (later, version, kind, body, cut, must_understand) in odds {
            life.by_ref().take(later).for_each(|record| loader.record(record));
            let body: String = body.chars().take(cut).collect();
            let due = next(&loader, victim, &kind, &body);
            let version = due.version.saturating_add_signed(version);
            loader.record(&Record { version, must_understand, ..due });
        }
        life.for_each(|record| loader.record(record));
        for (stream, cause) in loader.quarantined() {
            prop_assert_eq!(stream, victim, "{}", cause);
        }
        for stream in known.iter().filter(|stream| *stream != victim) {
            prop_assert_eq!(
                loader.state().checkpoint(stream), whole.state().checkpoint(stream), "{}", stream
            );
        }
        // Whatever was made of them can be begun with.
        let (driver, _) = loader.start("test", 2, "2026-03-01T00:00:00Z".parse().unwrap(), 1);
        prop_assert!(driver.quarantined().iter().all(|(stream, _)| stream == victim));
    }
}
