//! What the driver costs: restart, memory, idle and acting decisions, admission.
//!
//! `cargo bench -p perennial-core --bench driver -- 1000000` prints medians. Memory is read from
//! `/proc/self/statm`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may fail like a test"
)]

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{Ask, AskKind, Outcome, Reply};
use perennial_core::driver::{Driver, Input, Loader, Step};
use perennial_core::event::Event;
use perennial_core::record::{Receipt, Record, Stream, StreamKind};
use perennial_core::words::{Handshake, Name, Sight, SightState, after};
use serde_json::{Value, json};

fn main() {
    let asked = std::env::args().filter_map(|text| text.parse().ok()).next();
    let count: usize = asked.unwrap_or(100_000);
    let life = Life::read();
    settled(&life, count);
    waiting(&life, 100_000.min(count));
}

/// The checkpoints of one settled certificate and of what it needs, as the golden life has them.
struct Life {
    shared: Vec<Record>,
    template: String,
    now: Timestamp,
}

impl Life {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/0.1/life.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let records: Vec<Record> = text.lines().map(record).collect();
        let mut loader = Loader::new();
        let end = records.iter().position(|record| &*record.kind == "seen.through").unwrap();
        records[..end].iter().for_each(|record| loader.record(record));
        let state = loader.state();
        let shared = [
            (StreamKind::Issuer, "ca"),
            (StreamKind::Solver, "web"),
            (StreamKind::Solver, "dns"),
            (StreamKind::Target, "web1"),
        ];
        let checkpoint = |kind, name: &str| {
            let stream = Stream::new(kind, Name::new(name));
            let body = Event::Checkpoint(state.checkpoint(&stream).unwrap()).body();
            as_record(stream, body)
        };
        let mut shared: Vec<Record> =
            shared.into_iter().map(|(kind, name)| checkpoint(kind, name)).collect();
        let mut second = shared[3].clone();
        second.stream.name = Name::new("web2");
        shared.push(second);
        let shop = Stream::new(StreamKind::Certificate, Name::new("shop"));
        let template = widened(&Event::Checkpoint(state.checkpoint(&shop).unwrap()).body());
        Self { shared, template, now: after(records[end].at, SignedDuration::from_secs(60)) }
    }

    /// Loads certificates and starts. Returns also how long that took, without making the records,
    /// which are dropped again by the thousand.
    fn load(&self, count: usize, template: &str) -> (Driver, Step, Duration) {
        let mut loader = Loader::new();
        self.shared.iter().for_each(|record| loader.record(record));
        let mut took = Duration::ZERO;
        let numbers: Vec<usize> = (0..count).collect();
        for numbers in numbers.chunks(1_000) {
            let make = |number: &usize| {
                let name = format!("c{number:07}");
                let stream = Stream::new(StreamKind::Certificate, Name::new(&name));
                as_record(stream, template.replace("shop", &name))
            };
            let records: Vec<Record> = numbers.iter().map(make).collect();
            let begun = on_processor();
            records.iter().for_each(|record| loader.record(record));
            took += on_processor() - begun;
        }
        let begun = on_processor();
        let (driver, step) = loader.start("bench", 1, self.now, 1);
        (driver, step, took + on_processor() - begun)
    }
}

/// Gives the certificate of a checkpoint five names, two targets and two endpoints.
fn widened(checkpoint: &str) -> String {
    let mut value: Value = serde_json::from_str(checkpoint).unwrap();
    let state = &mut value["state"]["certificate"];
    let names = json!(["a.shop.test", "b.shop.test", "c.shop.test", "d.shop.test", "shop.test"]);
    let own = &mut state["own"];
    own["spec"]["identifiers"] = names.clone();
    own["leaf"]["facts"]["identifiers"] = names;
    own["spec"]["targets"] = json!(["web1", "web2"]);
    let endpoint = own["spec"]["endpoints"][0].clone();
    let mut other = endpoint.clone();
    other["server_name"] = json!("a.shop.test");
    own["spec"]["endpoints"] = json!([endpoint, other]);
    let mut ledger = state["targets"][0].clone();
    ledger["found"] = json!({"leaf": {"facts": 0, "ours": true, "key_matches": true}});
    let mut second = ledger.clone();
    second["target"] = json!("web2");
    state["targets"] = json!([ledger, second]);
    let shown = state["endpoints"][0].clone();
    state["endpoints"] = json!([shown, shown]);
    value.to_string()
}

fn as_record(stream: Stream, body: String) -> Record {
    Record {
        version: 100,
        at: Timestamp::UNIX_EPOCH,
        kind: "checkpoint".into(),
        schema: 1,
        must_understand: true,
        shard: stream.shard(),
        epoch: 1,
        body: body.into(),
        stream,
    }
}

fn record(line: &str) -> Record {
    let value: Value = serde_json::from_str(line).unwrap();
    Record {
        stream: Stream::try_from(value["stream"].as_str().unwrap().to_string()).unwrap(),
        version: value["version"].as_u64().unwrap(),
        at: value["at"].as_str().unwrap().parse().unwrap(),
        kind: value["kind"].as_str().unwrap().into(),
        schema: 1,
        must_understand: false,
        shard: 0,
        epoch: 1,
        body: value["body"].to_string().into(),
    }
}

/// Returns how long this thread was on a processor: seconds of work are measured so, whoever else
/// wants the processor.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Returns how many bytes are resident.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn median(mut nanos: Vec<u128>) -> u128 {
    nanos.sort_unstable();
    nanos[nanos.len() / 2]
}

fn timed(times: &mut Vec<u128>, driver: &mut Driver, input: Input, now: Timestamp) -> Step {
    let begun = Instant::now();
    let step = driver.on(input, now, 7);
    times.push(begun.elapsed().as_nanos());
    step
}

fn settled(life: &Life, count: usize) {
    let before = resident();
    let (mut driver, step, took) = life.load(count, &life.template);
    println!("{count} settled certificates, 5 names, 2 targets, 2 endpoints each");
    println!("restart to first decision    {:>10.2} s", took.as_secs_f64());
    println!("bytes each when loaded       {:>10}", (resident() - before) / count);
    let mut asks = step.asks;
    let mut now = life.now;
    let begun = Instant::now();
    let mut calls = 0;
    // Everybody is looked at first within fifty minutes, so that not all are due together afterwards.
    let apart = SignedDuration::from_nanos(3_000_000_000_000 / (5 * count as i64));
    while let Some(ask) = asks.pop() {
        calls += 1;
        now = after(now, apart);
        let reply = unchanged(&driver, &ask);
        let step = driver.on(Input::Reply { stream: ask.stream, ask: ask.kind, reply }, now, 3);
        asks.extend(step.asks);
        let step = driver.on(Input::Time, now, 3);
        asks.extend(step.asks);
    }
    let each = begun.elapsed().as_nanos() / calls;
    println!("first looks, each            {each:>10} ns ({calls} asks)");
    println!("bytes each when looked at    {:>10}", (resident() - before) / count);
    idle(&mut driver, &mut now);
    acting(&mut driver, count, now);
}

/// What each kind of wake costs that changes nothing.
fn idle(driver: &mut Driver, now: &mut Timestamp) {
    let mut nothing = Vec::new();
    for _ in 0..10_000 {
        let step = timed(&mut nothing, driver, Input::Time, *now);
        assert!(step.append.records.is_empty() && step.asks.is_empty());
    }
    println!("wake with nothing due        {:>10} ns", median(nothing));
    // Each wake finds those due that are due then, and each of their looks is answered at once.
    let (mut wakes, mut replies) = (Vec::new(), Vec::new());
    let mut wake_at = driver.on(Input::Time, *now, 3).wake_at;
    while wakes.len() < 10_000
        && let Some(at) = wake_at
    {
        *now = (*now).max(at);
        let step = timed(&mut wakes, driver, Input::Time, *now);
        wake_at = step.wake_at;
        for ask in step.asks {
            let reply = unchanged(driver, &ask);
            let input = Input::Reply { stream: ask.stream, ask: ask.kind, reply };
            wake_at = timed(&mut replies, driver, input, *now).wake_at;
        }
    }
    println!("decision of a due subject    {:>10} ns", median(wakes));
    println!("reply that changes nothing   {:>10} ns", median(replies));
}

/// What a decision costs that begins something.
fn acting(driver: &mut Driver, count: usize, now: Timestamp) {
    let mut renewals = Vec::new();
    let mut outcomes = Vec::new();
    let mut released = Vec::new();
    for number in 0..1_000.min(count) {
        let certificate = Name::new(&format!("c{number:07}"));
        let step = timed(&mut renewals, driver, Input::Renew { certificate }, now);
        let receipt = Receipt { through: step.append.number };
        released.extend(driver.on(Input::Durable(receipt), now, 3).acts);
        while let Some(act) = released.pop() {
            let input = Input::Outcome { act: act.id, outcome: Outcome::Unknown };
            let step = timed(&mut outcomes, driver, input, now);
            let receipt = Receipt { through: step.append.number };
            let _ = driver.on(Input::Durable(receipt), now, 3);
        }
    }
    println!("renewal begun                {:>10} ns (3 records)", median(renewals));
    println!("outcome taken in             {:>10} ns (1 record)", median(outcomes));
}

/// Many wait for one issuer: how long admitting the next one takes.
fn waiting(life: &Life, count: usize) {
    let mut value: Value = serde_json::from_str(&life.template).unwrap();
    let own = &mut value["state"]["certificate"]["own"];
    let plan = json!({
        "issuer": "ca", "identifiers": own["spec"]["identifiers"], "key": "certificate/shop/2",
        "profile": null, "replaces": null, "reason": "scheduled"
    });
    let key = json!({"id": "11".repeat(32), "thumbprint": "thumb"});
    own["attempt"] = json!({"running": {
        "plan": plan, "began_at": life.now, "before": {"failures": 0, "last": null}, "key": key,
        "stage": {"unordered": {"doubted": false}}, "trouble": null
    }});
    // A private issuer has no budget, so that only places in flight are waited for.
    let mut shared = life.shared.clone();
    shared[0].body = shared[0].body.replace("public", "private").into();
    let life = Life { shared, template: String::new(), now: life.now };
    let (mut driver, step, _) = life.load(count, &value.to_string());
    let mut through = step.append.number;
    let mut again = step.wake_at;
    let now = life.now;
    while again.is_some_and(|at| at <= now) {
        let step = driver.on(Input::Time, now, 3);
        through = through.max(step.append.number);
        again = step.wake_at;
    }
    let mut times = Vec::new();
    let mut acts = driver.on(Input::Durable(Receipt { through }), now, 3).acts;
    for _ in 0..1_000 {
        let Some(act) = acts.pop() else { panic!("nobody is admitted") };
        let input = Input::Outcome { act: act.id, outcome: Outcome::Unknown };
        let step = timed(&mut times, &mut driver, input, now);
        let receipt = Receipt { through: step.append.number };
        acts.extend(driver.on(Input::Durable(receipt), now, 3).acts);
        let step = driver.on(Input::Time, now, 3);
        let receipt = Receipt { through: step.append.number };
        acts.extend(driver.on(Input::Durable(receipt), now, 3).acts);
        // The issuer is well: its doubts are cleared, so that it admits the next.
        let directory = driver.state().issuers[&Name::new("ca")].directory.clone().unwrap();
        let reply = Reply::Directory(directory);
        let ask = AskKind::Directory { issuer: Name::new("ca") };
        let stream = Stream::new(StreamKind::Issuer, Name::new("ca"));
        let step = driver.on(Input::Reply { stream, ask, reply }, now, 3);
        let receipt = Receipt { through: step.append.number };
        acts.extend(driver.on(Input::Durable(receipt), now, 3).acts);
    }
    println!("{count} waiting at one issuer");
    println!("outcome and next admission   {:>10} ns", median(times));
}

/// Answers a question with what is known already.
fn unchanged(driver: &Driver, ask: &Ask) -> Reply {
    let state = driver.state();
    let certificate = state.id(&ask.stream.name).and_then(|id| state.certificate(id));
    match (&ask.kind, certificate) {
        (AskKind::Probe { .. }, Some(certificate)) => {
            let leaf = Some(certificate.leaf.as_ref().unwrap().facts.clone());
            let shown = certificate.endpoints[0].shown.as_ref().unwrap();
            let shake = |address| Handshake {
                address,
                state: SightState::Ok,
                leaf: leaf.clone(),
                cause: None,
                doubts: None,
                sample: None,
            };
            let handshakes = shown.iter().map(|address| shake(address.address)).collect();
            Reply::Sight(Sight { handshakes, tlsa: None })
        }
        (AskKind::Inspect { .. }, Some(certificate)) => {
            let leaf = Some(certificate.leaf.as_ref().unwrap().facts.clone());
            Reply::Installed(perennial_core::words::Installed {
                leaf,
                ours: true,
                staged: Box::default(),
                key_matches: Some(true),
                remarks: Box::default(),
                leftovers: Box::default(),
            })
        }
        (AskKind::Directory { .. }, _) => {
            let issuer = &state.issuers[&Name::new("ca")];
            Reply::Directory(issuer.directory.clone().unwrap())
        }
        _ => Reply::Failed(perennial_core::words::Failure {
            kind: perennial_core::words::FailureKind::Transient,
            blame: perennial_core::words::Blame::Ourselves,
            attempted: "answer".into(),
            cause: "this is a benchmark".into(),
            problem: None,
        }),
    }
}
