//! The happy path, told record by record and compared as text.
//!
//! `PERENNIAL_BLESS=1 cargo test -p perennial-sim --test it story` writes what is told now, to be
//! read and committed.

use std::fmt::Write as _;
use std::path::Path;

use jiff::SignedDuration;
use perennial_core::action::Outcome;
use perennial_core::event::{Decoded, Event};
use perennial_core::record::Record;
use perennial_core::words::after;
use perennial_sim::world::{Scenario, World};

use crate::begin;

fn story(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        let Decoded::Event(event) = Event::decode(&record.kind, &record.body) else {
            panic!("{} cannot be read", record.kind);
        };
        let gone = record.at.duration_since(begin()).as_secs_f64();
        let (stream, kind, detail) = (&record.stream, &record.kind, detail(&event));
        writeln!(text, "{gone:>12.3} {stream} {kind} {detail}").unwrap();
    }
    text
}

/// Returns the first word of what serialises to `"word"` or `{"word": ...}`.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value).unwrap() {
        serde_json::Value::String(word) => word,
        serde_json::Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

fn detail(event: &Event) -> String {
    match event {
        Event::Started(started) => word(&started.act),
        Event::Ended(ended) => match &ended.outcome {
            Outcome::Done(fact) => format!("#{} {}", ended.of, word(fact)),
            Outcome::Failed(failure) => format!("#{} {failure}", ended.of),
            Outcome::Unknown => format!("#{} unknown", ended.of),
        },
        Event::AttemptBegan(began) => word(&began.reason),
        Event::OrderSeen(facts) => word(&facts.status),
        Event::AuthorizationSeen(facts) => {
            let wild = if facts.wildcard { "*." } else { "" };
            format!("{wild}{} {}", facts.identifier, word(&facts.status))
        }
        Event::EndpointSeen(seen) => match &seen.sight {
            Ok(sight) => {
                let states = sight.handshakes.iter().map(|shake| word(&shake.state));
                format!("{} {}", seen.endpoint.server_name, states.collect::<Vec<_>>().join(" "))
            }
            Err(failure) => failure.to_string(),
        },
        Event::PlaceFound(found) => found.place.record.to_string(),
        Event::AnswerShown(shown) => {
            format!("{} show it, {} lag", shown.showing.showing.len(), shown.showing.lagging.len())
        }
        Event::RenewalInfoSeen(seen) => {
            format!("{} to {}", seen.facts.window.start, seen.facts.window.end)
        }
        Event::IncidentOpened(opened) => opened.code.as_str().to_string(),
        Event::IncidentResolved(resolved) => resolved.code.as_str().to_string(),
        _ => String::new(),
    }
}

fn compare(file: &str, told: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(file);
    if std::env::var_os("PERENNIAL_BLESS").is_some() {
        std::fs::write(&path, told).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(told == expected, "{file} tells otherwise; it is now:\n{told}");
}

fn tell(scenario: Scenario, seed: u64) -> World {
    let mut world = World::new(seed, scenario);
    assert!(world.settle_until(after(begin(), SignedDuration::from_hours(1))));
    world.check_settled();
    assert!(world.checks.violations.is_empty(), "{:?}", world.checks.violations);
    world
}

#[test]
fn one_certificate_over_http() {
    let scenario = Scenario::new(1, begin()).with("site", &["site.test"], "web", &["web1"]);
    compare("story_http.txt", &story(tell(scenario, 1).records()));
}

#[test]
fn a_wildcard_and_its_apex_over_dns() {
    let names = ["site.test", "*.site.test"];
    let scenario = Scenario::new(2, begin()).with("site", &names, "dns", &["web1"]);
    compare("story_dns.txt", &story(tell(scenario, 2).records()));
}
