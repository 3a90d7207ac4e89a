//! Decision tables as text: what is decided after each record of a whole life, and what every state
//! of an attempt makes of every event.
//!
//! `PERENNIAL_BLESS=1 cargo test -p perennial-core --test it life` writes the tables as they are
//! now, to be read and committed.

use std::fmt::Write as _;

use perennial_core::action::{ActKind, AskKind, Outcome};
use perennial_core::decide::{self, Context, Decision, Draw};
use perennial_core::event::{Ended, Event, Started};
use perennial_core::record::{Record, Stream, StreamKind};
use perennial_core::state::{Attempt, Certificate, Stage, State};
use perennial_core::words::Name;

use crate::{event, golden};

fn compare(file: &str, told: &str) {
    let path = format!("{}/tests/it/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("PERENNIAL_BLESS").is_some() {
        std::fs::write(&path, told).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(told == expected, "{file} says otherwise; it is now:\n{told}");
}

/// Returns the first word of what serialises to `"word"` or `{"word": ...}`.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value).unwrap() {
        serde_json::Value::String(word) => word,
        serde_json::Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Writes an event in a few words.
fn short(event: &Event) -> String {
    match event {
        Event::Started(started) => format!("{} started", word(&started.act)),
        Event::Ended(ended) => match &ended.outcome {
            Outcome::Done(fact) => format!("done {}", word(fact)),
            Outcome::Failed(failure) => format!("failed {}", word(&failure.kind)),
            Outcome::Unknown => "ended unknown".to_string(),
        },
        Event::OrderSeen(facts) => format!("order {}", word(&facts.status)),
        Event::AuthorizationSeen(facts) => format!("authorization {}", word(&facts.status)),
        other => other.kind().to_string(),
    }
}

fn short_decision(decision: &Decision) -> String {
    let mut words: Vec<String> = decision.events.iter().map(|e| format!("!{}", e.kind())).collect();
    let acts = decision.wants.iter().filter_map(|want| want.act.as_ref());
    words.extend(acts.map(|act: &ActKind| word(act)));
    let asks = decision
        .asks
        .iter()
        .filter(|ask| !matches!(ask.kind, AskKind::Inspect { .. } | AskKind::Probe { .. }));
    words.extend(asks.map(|ask| format!("{}?", word(&ask.kind))));
    words.extend(decision.findings.iter().map(|finding| format!("({})", finding.code.as_str())));
    if words.is_empty() { "wait".to_string() } else { words.join(", ") }
}

fn is_of(record: &Record, certificate: &str) -> bool {
    record.stream.kind != StreamKind::Certificate || record.stream.name.as_str() == certificate
}

#[test]
fn what_is_decided_after_each_record_of_a_life() {
    let mut state = State::default();
    let mut table = String::new();
    for record in golden("life.jsonl").iter().filter(|record| is_of(record, "shop")) {
        let event = event(record);
        if matches!(event, Event::SeenThrough(_)) {
            break;
        }
        state.fold(&record.stream, record.version, record.at, &event).unwrap();
        let Some(shop) = state.id(&Name::new("shop")).and_then(|id| state.certificate(id)) else {
            continue;
        };
        if record.stream.kind == StreamKind::Certificate {
            let cx = Context { state: &state, now: record.at, draw: Draw(1) };
            let decision = decide::certificate(&cx, &Name::new("shop"), shop);
            writeln!(table, "{:<28} -> {}", short(&event), short_decision(&decision)).unwrap();
        }
    }
    compare("life.txt", &table);
}

/// Writes in a word how far an attempt is.
fn stage(certificate: &Certificate) -> String {
    let Attempt::Running(running) = &certificate.attempt else { return "resting".to_string() };
    let stage = match &running.stage {
        Stage::Unordered { doubted: false } => "unordered".to_string(),
        Stage::Unordered { doubted: true } => "unordered?".to_string(),
        Stage::Ordered(order) => {
            let answers = order.authorizations.iter().map(|a| word(&a.answer));
            let doubt = if order.finalize_doubted { "?" } else { "" };
            let answers = answers.collect::<Vec<_>>().join("+");
            format!("{}{doubt} {answers}", word(&order.facts.status))
        }
        Stage::Fetched(_) => "fetched".to_string(),
    };
    let key = if running.key.is_some() { "" } else { " keyless" };
    let trouble = if running.trouble.is_some() { " troubled" } else { "" };
    format!("{stage}{key}{trouble}")
}

/// Returns the state of `shop` in each stage that its first attempt passes, by its words.
fn stages() -> Vec<(String, State)> {
    let mut state = State::default();
    let mut stages: Vec<(String, State)> = Vec::new();
    for record in golden("life.jsonl").iter().filter(|record| is_of(record, "shop")) {
        state.fold(&record.stream, record.version, record.at, &event(record)).unwrap();
        let Some(shop) = state.id(&Name::new("shop")).and_then(|id| state.certificate(id)) else {
            continue;
        };
        let words = stage(shop);
        if stages.iter().all(|(known, _)| *known != words) {
            stages.push((words, state.clone()));
        }
    }
    stages
}

/// Returns what may happen to `shop`: each kind of record once, and each act with each end.
fn happenings() -> Vec<(String, Vec<Event>)> {
    let records = golden("life.jsonl");
    let shop = records.iter().filter(|record| {
        record.stream.kind == StreamKind::Certificate && record.stream.name.as_str() == "shop"
    });
    let mut all: Vec<(String, Vec<Event>)> = Vec::new();
    let mut started: Vec<(u64, Started)> = Vec::new();
    let golden_events = golden("events.jsonl");
    for record in shop.chain(&golden_events) {
        let event = event(record);
        match event {
            Event::Started(start) => started.push((record.version, start)),
            Event::Ended(end) => {
                let begun = started.iter().find(|(version, _)| *version == end.of);
                let Some((_, start)) = begun.cloned() else { continue };
                for outcome in [end.outcome, refused(), Outcome::Unknown] {
                    let name = format!("{} {}", word(&start.act), ending(&outcome));
                    let ended = Event::Ended(Ended { of: 1001, outcome, interrupted: false });
                    push(&mut all, name, vec![Event::Started(start.clone()), ended]);
                }
            }
            Event::Checkpoint(_) => {}
            other => push(&mut all, short(&other), vec![other]),
        }
    }
    all
}

fn push(all: &mut Vec<(String, Vec<Event>)>, name: String, events: Vec<Event>) {
    if all.iter().all(|(known, _)| *known != name) {
        all.push((name, events));
    }
}

fn ending(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(_) => "done",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown => "unknown",
    }
}

fn refused() -> Outcome {
    Outcome::Failed(perennial_core::words::Failure {
        kind: perennial_core::words::FailureKind::Transient,
        blame: perennial_core::words::Blame::Ourselves,
        attempted: "do it".into(),
        cause: "no".into(),
        problem: None,
    })
}

#[test]
fn every_stage_of_an_attempt_against_every_event() {
    let stream = Stream::new(StreamKind::Certificate, Name::new("shop"));
    let mut table = String::new();
    for (before, state) in stages() {
        writeln!(table, "{before}").unwrap();
        for (name, events) in happenings() {
            let mut state = state.clone();
            for (version, event) in (1001..).zip(&events) {
                let at = "2026-01-01T01:00:00Z".parse().unwrap();
                state.fold(&stream, version, at, event).unwrap();
            }
            let shop = state.certificate(state.id(&stream.name).unwrap()).unwrap();
            let after = stage(shop);
            if after != before {
                writeln!(table, "    {name:<28} -> {after}").unwrap();
            }
        }
    }
    compare("attempt.txt", &table);
}
