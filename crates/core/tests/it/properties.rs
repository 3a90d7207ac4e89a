//! Properties: any sequence of records folds, and any state is decided on; replaying from a
//! checkpoint is replaying from the beginning; deciding twice is deciding once.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{ActId, Outcome};
use perennial_core::driver::{Driver, Input, Loader, Step};
use perennial_core::event::{Decoded, Ended, Event};
use perennial_core::record::{Receipt, Record, Stream, StreamKind};
use perennial_core::state::State;
use perennial_core::words::{Name, after};
use proptest::prelude::*;

use crate::{event, golden};

const KINDS: [StreamKind; 5] = [
    StreamKind::Instance,
    StreamKind::Issuer,
    StreamKind::Solver,
    StreamKind::Target,
    StreamKind::Certificate,
];

fn stream(kind: usize) -> Stream {
    let kind = KINDS[kind % KINDS.len()];
    let name = match kind {
        StreamKind::Instance => "self",
        StreamKind::Issuer => "ca",
        StreamKind::Solver => "dns",
        StreamKind::Target => "web1",
        StreamKind::Certificate => "site",
    };
    Stream::new(kind, Name::new(name))
}

/// Every golden event; each may come to any stream, in any order, as often as it likes.
fn pool() -> Vec<Event> {
    let records = golden("events.jsonl").into_iter().chain(golden("life.jsonl"));
    records.map(|record| event(&record)).collect()
}

/// One nonsense: which stream, which event, how many seconds later, and which act an end is of.
type Nonsense = (usize, usize, i64, u64);

fn nonsense() -> impl Strategy<Value = Vec<Nonsense>> {
    // Certificates and issuers have the richest states.
    let stream = prop_oneof![8 => Just(4_usize), 3 => Just(1_usize), 1 => 0..5_usize];
    prop::collection::vec((stream, 0..10_000_usize, 0..200_000_i64, 1..80_u64), 0..120)
}

struct Told {
    state: State,
    now: Timestamp,
    /// What the state is made of.
    journal: Vec<Record>,
}

impl Told {
    fn new() -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Self { state: State::default(), now, journal: Vec::new() }
    }

    fn tell(&mut self, pool: &[Event], (kind, which, later, of): Nonsense) {
        let stream = stream(kind);
        self.now = after(self.now, SignedDuration::from_secs(later));
        let mut event = pool[which % pool.len()].clone();
        // An end that ends something: otherwise most would be of acts that never were.
        if let Event::Ended(ended) = &event {
            let acting = self.state.history(&stream).map_or(&[][..], |history| &history.acting);
            let len = acting.len().max(1);
            let chosen = acting.get(usize::try_from(of).unwrap() % len);
            let of = chosen.map_or(of, |acting| acting.version);
            event = Event::Ended(Ended { of, ..ended.clone() });
        }
        let version = self.state.version(&stream) + 1;
        // An event that makes no sense there is refused, and the stream stays as it was.
        if self.state.fold(&stream, version, self.now, &event).is_ok() {
            self.journal.push(Record {
                version,
                at: self.now,
                kind: event.kind().into(),
                schema: 1,
                must_understand: false,
                shard: stream.shard(),
                epoch: 1,
                body: event.body().into(),
                stream,
            });
        }
    }

    fn checkpoints(&self) -> Vec<Option<perennial_core::event::Checkpoint>> {
        (0..KINDS.len()).map(|kind| self.state.checkpoint(&stream(kind))).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_records_folds_and_deciding_on_it_twice_is_deciding_once(told in nonsense()) {
        let pool = pool();
        let mut life = Told::new();
        told.into_iter().for_each(|nonsense| life.tell(&pool, nonsense));
        let mut loader = Loader::new();
        life.journal.iter().for_each(|record| loader.record(record));
        prop_assert!(loader.is_whole(), "{:?}", loader.quarantined());
        let (mut driver, step) = loader.start("test", 2, life.now, 7);
        prop_assert!(decides_once(&mut driver, step, life.now, 7).is_ok());
    }

    #[test]
    fn replaying_from_a_checkpoint_is_replaying_from_the_beginning(
        told in nonsense(), cut in 0..120_usize,
    ) {
        let pool = pool();
        let (mut whole, mut cut_off) = (Told::new(), Told::new());
        for (place, nonsense) in told.into_iter().enumerate() {
            if place == cut {
                cut_off = Told { now: whole.now, ..Told::new() };
                for kind in 0..KINDS.len() {
                    let stream = stream(kind);
                    let Some(checkpoint) = whole.state.checkpoint(&stream) else { continue };
                    // The checkpoint is a record of its own; the other history gets one that says
                    // nothing, so that versions agree.
                    let version = whole.state.version(&stream) + 1;
                    let written = Event::Checkpoint(checkpoint).body();
                    let Decoded::Event(read) = Event::decode("checkpoint", &written) else {
                        panic!("{written} cannot be read");
                    };
                    cut_off.state.fold(&stream, version, whole.now, &read).unwrap();
                    whole.state.skip(&stream, version);
                }
            }
            whole.tell(&pool, nonsense);
            cut_off.tell(&pool, nonsense);
        }
        prop_assert_eq!(whole.checkpoints(), cut_off.checkpoints());
    }

    #[test]
    fn any_inputs_leave_a_journal_that_loads_to_the_same_state(told in nonsense()) {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut loader = Loader::new();
        let outcomes = outcomes();
        let life = golden("life.jsonl");
        life.iter().for_each(|record| loader.record(record));
        let mut journal = life;
        let (mut driver, step) = loader.start("test", 2, start, 1);
        journal.extend(step.append.records);
        let mut now = start;
        let mut through = step.append.number;
        for (kind, which, later, of) in told {
            now = after(now, SignedDuration::from_secs(later));
            let input = input(&driver, &outcomes, (kind, which), of, through);
            let step = driver.on(input, now, u64::try_from(later).unwrap());
            let steps = decides_once(&mut driver, step, now, of);
            prop_assert!(steps.is_ok(), "{:?}", steps);
            for step in steps.unwrap() {
                through = through.max(step.append.number);
                journal.extend(step.append.records);
            }
        }
        let mut loader = Loader::new();
        journal.iter().for_each(|record| loader.record(record));
        for kind in 0..KINDS.len() {
            let stream = stream(kind);
            prop_assert_eq!(driver.state().checkpoint(&stream), loader.state().checkpoint(&stream));
        }
    }
}

/// Every outcome that an act has in the pool.
fn outcomes() -> Vec<Outcome> {
    let ends = pool().into_iter();
    ends.filter_map(|event| if let Event::Ended(end) = event { Some(end.outcome) } else { None })
        .collect()
}

/// Lets the driver decide at one instant until it wants to be called later; then calling it again
/// must add nothing. Returns every step, or the one too many.
fn decides_once(
    driver: &mut Driver,
    first: Step,
    now: Timestamp,
    draw: u64,
) -> Result<Vec<Step>, Step> {
    let mut steps = vec![first];
    while steps.last().unwrap().wake_at.is_some_and(|at| at <= now) {
        assert!(steps.len() < 100, "it spins");
        steps.push(driver.on(Input::Time, now, draw));
    }
    let again = driver.on(Input::Time, now, draw);
    let is_empty =
        again.append.records.is_empty() && again.acts.is_empty() && again.asks.is_empty();
    if is_empty { Ok(steps) } else { Err(again) }
}

/// Makes an input of numbers: outcomes of acts in flight that any act might have had, mostly.
fn input(
    driver: &Driver,
    outcomes: &[Outcome],
    (kind, which): (usize, usize),
    of: u64,
    through: u64,
) -> Input {
    let stream = stream(kind);
    let history = driver.state().history(&stream);
    let acting = history.map_or(&[][..], |history| &history.acting);
    match (acting.get(which % acting.len().max(1)), which % 5) {
        (_, 0) => Input::Time,
        (_, 1) => Input::Durable(Receipt { through }),
        (_, 2) => Input::Renew { certificate: Name::new("site") },
        (Some(acting), _) => Input::Outcome {
            act: ActId { stream, version: acting.version },
            outcome: outcomes[usize::try_from(of).unwrap() % outcomes.len()].clone(),
        },
        (None, _) => Input::Time,
    }
}
