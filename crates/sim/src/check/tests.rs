//! Each checker finds what it is there to find, planted into an outside in which all is well.

use jiff::SignedDuration;
use perennial_core::action::{Act, ActId, ActKind, Fact, Outcome};
use perennial_core::driver::Loader;
use perennial_core::event::{Decoded, Ended, Event, Started};
use perennial_core::record::Record;
use perennial_core::state::State;
use perennial_core::words::{KeyAlgorithm, OrderFacts, Slot, Url};

use super::*;
use crate::world::{Scenario, World};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn begin() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn later(world: &World, span: SignedDuration) -> Timestamp {
    perennial_core::words::after(world.now(), span)
}

fn new_world() -> World {
    World::new(1, Scenario::new(1, begin()).with("site", &["site.test"], "web", &["web1"]))
}

/// A world in which a certificate was issued, is served, and nothing is left to do.
fn settled() -> World {
    let mut world = new_world();
    assert!(world.settle_until(perennial_core::words::after(begin(), HOUR)));
    world.run_for(HOUR);
    world.checks = Checks::new(world.intent());
    world.check_settled();
    assert_eq!(world.checks.violations, Vec::<String>::new());
    world
}

fn event(record: &Record) -> Event {
    let Decoded::Event(event) = Event::decode(&record.kind, &record.body) else {
        panic!("{} cannot be read", record.kind)
    };
    *event
}

/// Returns the first act of a kind that the world has performed; its deadline is to come.
fn act(world: &World, is: fn(&ActKind) -> bool) -> Act {
    let found = world.records().iter().find_map(|record| match event(record) {
        Event::Started(started) if is(&started.act) => Some((record, started.act)),
        _ => None,
    });
    let (record, kind) = found.unwrap();
    let id = ActId { stream: record.stream.clone(), version: record.version };
    Act { id, deadline_at: later(world, HOUR), kind }
}

/// Returns the same act, started anew some versions later.
fn again(act: &Act, versions: u64) -> Act {
    let id = ActId { version: act.id.version + versions, ..act.id.clone() };
    Act { id, ..act.clone() }
}

/// Returns an order as the CA answered with it, under another URL.
fn order(world: &World, url: &str) -> Outcome {
    let facts = world.records().iter().find_map(|record| match event(record) {
        Event::Ended(Ended { outcome: Outcome::Done(Fact::Order(facts)), .. }) => Some(facts),
        _ => None,
    });
    Outcome::Done(Fact::Order(OrderFacts { url: Url(url.into()), ..facts.unwrap() }))
}

/// Folds the records up to the first of a kind, with it.
fn up_to(world: &World, kind: &str) -> Loader {
    let mut loader = Loader::new();
    for record in world.records() {
        loader.record(record);
        if &*record.kind == kind {
            return loader;
        }
    }
    panic!("there is no {kind}")
}

/// Starts acts; returns them under the versions that they have then.
fn start(state: &mut State, acts: &[Act]) -> Vec<Act> {
    let started = acts.iter().map(|act| {
        let version = state.version(&act.id.stream) + 1;
        let started = Started { act: act.kind.clone(), deadline_at: act.deadline_at };
        state.fold(&act.id.stream, version, begin(), &Event::Started(started)).unwrap();
        Act { id: ActId { version, ..act.id.clone() }, ..act.clone() }
    });
    started.collect()
}

/// Asserts that these and no others were found.
fn found(checks: &Checks, parts: &[&str]) {
    let violations = &checks.violations;
    assert_eq!(violations.len(), parts.len(), "{violations:#?}");
    for (violation, part) in violations.iter().zip(parts) {
        assert!(violation.contains(part), "{violation} is not {part}");
    }
}

#[test]
fn finalizing_without_a_durable_key_is_found() {
    let mut world = settled();
    let finalize = act(&world, |act| matches!(act, ActKind::Finalize { .. }));
    // The key was dropped when its bundle was kept.
    world.checks.before(&finalize, &world.outside, begin());
    found(&world.checks, &["finalize without a durable key"]);
}

#[test]
fn an_effect_after_the_deadline_is_found() {
    let mut world = settled();
    let stage = act(&world, |act| matches!(act, ActKind::Stage { .. }));
    world.checks.before(&stage, &world.outside, stage.deadline_at);
    found(&world.checks, &[]);
    let late = later(&world, HOUR + HOUR);
    world.checks.before(&stage, &world.outside, late);
    found(&world.checks, &["takes effect after its deadline"]);
}

#[test]
fn an_order_too_many_is_found_unless_an_answer_was_lost() {
    for lost in [false, true] {
        let mut world = settled();
        let began = world.records().iter().find(|r| &*r.kind == "attempt.began").unwrap().clone();
        let first = act(&world, |act| matches!(act, ActKind::NewOrder { .. }));
        let second = again(&first, 10);
        let (one, two) = (order(&world, "https://ca.test/1"), order(&world, "https://ca.test/2"));
        let (checks, outside) = (&mut world.checks, &world.outside);
        checks.record(&began);
        checks.after(&first, &one, outside, begin());
        found(checks, &[]);
        if lost {
            checks.crash();
        }
        checks.after(&second, &two, outside, begin());
        found(checks, if lost { &[] } else { &["2 orders in 1 attempts with 0 lost answers"] });
        assert_eq!(checks.orders_of("site"), 2);
        assert_eq!(checks.lost_orders_of("site"), usize::from(lost));
    }
}

#[test]
fn an_answer_whose_record_is_durable_is_not_lost() {
    let mut world = settled();
    let first = act(&world, |act| matches!(act, ActKind::NewOrder { .. }));
    let ends = |record: &&Record| {
        record.stream == first.id.stream
            && matches!(event(record), Event::Ended(ended) if ended.of == first.id.version)
    };
    let ended = world.records().iter().find(ends).unwrap().clone();
    let one = order(&world, "https://ca.test/1");
    world.checks.after(&first, &one, &world.outside, begin());
    world.checks.record(&ended);
    world.checks.crash();
    assert_eq!(world.checks.lost_orders_of("site"), 0);
}

#[test]
fn making_worse_what_is_served_is_found() {
    let mut world = settled();
    let now = world.now();
    let activate = act(&world, |act| matches!(act, ActKind::Activate { .. }));
    let done = Outcome::Done(Fact::Activated);
    world.checks.before(&activate, &world.outside, now);
    world.checks.after(&activate, &done, &world.outside, now);
    found(&world.checks, &[]);
    world.checks.before(&activate, &world.outside, now);
    for host in world.outside.hosts.values_mut() {
        host.store(None);
        host.restart();
    }
    world.checks.after(&activate, &done, &world.outside, now);
    found(&world.checks, &["made worse", "made worse"]);
}

#[test]
fn an_older_leaf_in_place_of_a_newer_one_is_found() {
    let mut world = settled();
    let first = world.outside.clone();
    world.run_for(24 * HOUR);
    world.renew("site");
    world.run_for(HOUR);
    world.checks = Checks::new(world.intent());
    let now = world.now();
    let activate = act(&world, |act| matches!(act, ActKind::Activate { .. }));
    world.checks.before(&activate, &world.outside, now);
    world.checks.after(&activate, &Outcome::Done(Fact::Activated), &first, now);
    found(&world.checks, &["made worse", "made worse"]);
}

#[test]
fn an_act_that_was_given_up_and_one_too_many_in_a_lane_are_found() {
    let mut world = settled();
    let now = world.now();
    let mut state = world.driver().unwrap().state().clone();
    let activate = act(&world, |act| matches!(act, ActKind::Activate { .. }));
    let acts = start(&mut state, &[activate.clone(), activate.clone()]);
    world.checks.release(&acts[0], &state, now);
    found(&world.checks, &[]);
    world.checks.release(&acts[1], &state, now);
    found(&world.checks, &["2 acts are in flight in Target"]);
    world.checks = Checks::new(world.intent());
    world.checks.release(&activate, &state, now);
    found(&world.checks, &["is released and was given up before"]);
}

#[test]
fn hammering_is_found() {
    let mut world = settled();
    let now = world.now();
    let mut state = world.driver().unwrap().state().clone();
    let stage = act(&world, |act| matches!(act, ActKind::Stage { .. }));
    let acts = start(&mut state, &[stage]);
    for _ in 0..59 {
        world.checks.release(&acts[0], &state, now);
        world.checks.crash();
    }
    found(&world.checks, &[]);
    world.checks.release(&acts[0], &state, now);
    found(&world.checks, &["hammers"]);
}

#[test]
fn an_attempt_and_an_act_without_an_end_are_found() {
    let mut world = settled();
    let running = up_to(&world, "authorization.seen");
    world.checks.overdue(running.state(), later(&world, 18 * HOUR));
    found(&world.checks, &[]);
    world.checks.overdue(running.state(), later(&world, 22 * HOUR));
    found(&world.checks, &["site: an attempt runs since"]);
    world.checks = Checks::new(world.intent());
    let mut state = world.driver().unwrap().state().clone();
    let stage = act(&world, |act| matches!(act, ActKind::Stage { .. }));
    let acts = start(&mut state, &[stage]);
    world.checks.overdue(&state, acts[0].deadline_at);
    found(&world.checks, &[]);
    world.checks.overdue(&state, later(&world, HOUR + HOUR));
    found(&world.checks, &["is in flight for ever"]);
}

#[test]
fn serving_what_has_lapsed_is_found_unless_the_target_was_hindered() {
    let mut world = settled();
    let lapsed = later(&world, 24 * 365 * HOUR);
    world.checks.tick(&world.outside, world.now());
    found(&world.checks, &[]);
    world.checks.tick(&world.outside, lapsed);
    found(&world.checks, &["has lapsed", "has lapsed"]);
    world.checks = Checks::new(world.intent());
    world.outside.set_deaf(&Name::new("web1"), true);
    world.checks.tick(&world.outside, lapsed);
    found(&world.checks, &[]);
}

#[test]
fn what_is_left_over_is_found() {
    let mut world = settled();
    world.outside.web.insert("token".into(), "answer".into());
    world.outside.shelf.make_key(&Slot("forgotten".into()), KeyAlgorithm::EcdsaP256);
    world.check_settled();
    found(&world.checks, &["1 challenge answers are left", "keys are left"]);
}

#[test]
fn what_is_not_settled_is_found() {
    let mut world = settled();
    assert_eq!(unsettled(world.driver().unwrap().state()), None);
    let stages = [
        ("issuer.declared", "issuer ca: no account"),
        ("authorization.seen", "site: an attempt runs"),
        ("chain.seen", "site: an attempt runs"),
    ];
    for (kind, part) in stages {
        assert_eq!(unsettled(up_to(&world, kind).state()).unwrap(), part, "{kind}");
    }
    let (driver, _) = up_to(&world, "chain.seen").start("0.1.0", 9, begin(), 0);
    world.checks.settled(&driver, &world.outside, begin());
    let first = world.checks.violations.first().unwrap();
    assert!(first.contains("not settled: site: an attempt runs"), "{first}");
}

#[test]
fn acts_that_the_lanes_still_count_are_found() {
    let mut world = new_world();
    while world.driver().is_none_or(|driver| driver.in_flight().0 == 0) {
        world.run_for(SignedDuration::from_millis(50));
    }
    world.check_settled();
    let is_found = |found: &String| found.contains("the lanes count 1 acts in flight");
    assert!(world.checks.violations.iter().any(is_found), "{:#?}", world.checks.violations);
}
