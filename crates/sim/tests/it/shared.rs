//! Many certificates share one bad name: together they ask for it as often as one would, and what
//! each of them waits for is told of each.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use perennial_core::event::{Decoded, Event};
use perennial_core::finding::Code;
use perennial_core::record::Record;
use perennial_core::words::{AuthorizationStatus, Identifier, after};
use perennial_sim::model::dns::{Data, Kind};
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Ten certificates with `bad.test` and a name of their own each.
fn world(seed: u64) -> World {
    let mut scenario = Scenario::new(seed, begin());
    for number in 0..10 {
        let own = format!("own{number}.test");
        scenario = scenario.with(&format!("c{number}"), &["bad.test", &own], "web", &["web1"]);
    }
    World::new(seed, scenario)
}

/// Returns when the CA refused the name: once for each authorization.
fn refusals(world: &World, name: &str) -> Vec<Timestamp> {
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for record in world.records() {
        let Decoded::Event(event) = Event::decode(&record.kind, &record.body) else { panic!() };
        if let Event::AuthorizationSeen(facts) = *event
            && facts.identifier.as_str() == name
            && facts.status == AuthorizationStatus::Invalid
            && known.insert(facts.url.to_string())
        {
            found.push(record.at);
        }
    }
    found
}

/// Returns how many certificates have had so many leaves.
fn have_had(world: &World, leaves: u32) -> usize {
    let state = world.driver().unwrap().state();
    state.certificates().filter(|(.., certificate)| certificate.leaves == leaves).count()
}

#[test]
fn ten_certificates_with_one_bad_name_ask_for_it_as_often_as_one_would() {
    for seed in 1..4 {
        let mut world = world(seed);
        world.run_until(after(begin(), hours(24 * 50)));
        assert_eq!(have_had(&world, 1), 10);
        world.outside.dark_names.push(Identifier::new("bad.test").unwrap());
        // Renewal comes after 60 days, and the reserve 22 days later.
        world.run_until(after(begin(), hours(24 * 70)));
        let refused = refusals(&world, "bad.test");
        assert!(refused.len() >= 9, "seed {seed}: it is asked for again: {refused:?}");
        for first in &refused {
            let end = after(*first, hours(24));
            let of_a_day = refused.iter().filter(|at| first <= at && **at < end).count();
            assert!(of_a_day <= 4, "seed {seed}: {of_a_day} from {first} on: {refused:?}");
        }
        for (_, name, certificate) in world.driver().unwrap().state().certificates() {
            let told = certificate.history.incidents.iter().any(|incident| {
                incident.code == Code::NameValidationFailed && &*incident.subject == "bad.test"
            });
            assert!(told, "seed {seed}: nobody is told why {name} waits");
        }
        assert_eq!(have_had(&world, 1), 10);

        world.outside.dark_names.clear();
        world.run_until(after(begin(), hours(24 * 70 + 18)));
        assert_eq!(have_had(&world, 2), 10, "seed {seed}: the name is mended");
        assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
    }
}

#[test]
fn in_the_reserve_the_ca_is_asked_for_a_bad_name_once_an_hour_for_all_of_them() {
    let mut world = world(1);
    world.outside.dark_names.push(Identifier::new("bad.test").unwrap());
    // Without any leaf the reserve begins after 18 hours.
    world.run_until(after(begin(), hours(48)));
    let refused = refusals(&world, "bad.test");
    assert!(refused.len() > 20, "{refused:?}");
    for pair in refused.windows(2) {
        assert!(pair[1] >= after(pair[0], hours(1)), "{pair:?}");
    }
}

#[test]
fn a_good_name_that_many_share_keeps_none_of_them_waiting_for_long() {
    let mut world = world(1);
    assert!(world.settle_until(after(begin(), SignedDuration::from_mins(30))));
    assert_eq!(have_had(&world, 1), 10);
    assert_eq!(refusals(&world, "bad.test"), []);
}

#[test]
fn a_person_who_mended_the_name_need_not_wait_for_its_time() {
    let mut world = world(1);
    world.outside.dark_names.push(Identifier::new("bad.test").unwrap());
    world.run_until(after(begin(), hours(1)));
    world.outside.dark_names.clear();
    world.renew("c7");
    world.run_for(SignedDuration::from_mins(10));
    let state = world.driver().unwrap().state();
    let asked = state.certificate(state.id(&"c7".into()).unwrap()).unwrap();
    assert!(asked.leaf.is_some());
}

#[test]
fn answers_that_hide_each_other_are_put_up_one_after_the_other() {
    for seed in 1..6 {
        let mut scenario = Scenario::new(seed, begin());
        for number in 0..10 {
            let own = format!("own{number}.test");
            scenario =
                scenario.with(&format!("c{number}"), &["shared.test", &own], "tls", &["web1"]);
        }
        let mut world = World::new(seed, scenario);
        assert!(world.settle_until(after(begin(), SignedDuration::from_mins(30))), "seed {seed}");
        assert_eq!(have_had(&world, 1), 10);
        assert_eq!(refusals(&world, "shared.test"), [], "seed {seed}");
        assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
    }
}

#[test]
fn an_answer_named_by_the_account_is_put_up_and_taken_down_where_the_account_looks() {
    let scenario = Scenario::new(1, begin());
    let scenario = scenario.with("shop", &["shop.test", "*.shop.test"], "account", &["web1"]);
    let mut world = World::new(1, scenario);
    assert!(world.settle_until(after(begin(), SignedDuration::from_mins(30))));
    assert_eq!(have_had(&world, 1), 1);
    assert_eq!(world.outside.answers_up(world.now()), 0);
}

/// Returns the values of standing records at a name.
fn standing(world: &World, name: &str) -> Vec<String> {
    let found = world.outside.texts(&format!("_validation-persist.{name}"), world.now());
    let text = |data: &Data| match data {
        Data::Txt(text) => Some(text.to_string()),
        _ => None,
    };
    found.data(Kind::Txt).filter_map(text).collect()
}

fn presented(world: &World) -> usize {
    let is_present =
        |record: &&Record| &*record.kind == "act.started" && record.body.contains("\"present\"");
    world.records().iter().filter(is_present).count()
}

#[test]
fn a_record_that_stays_is_put_up_once_and_goes_with_the_last_that_needs_it() {
    let scenario = Scenario::new(1, begin());
    let scenario = scenario.with("shop", &["shop.test", "*.shop.test"], "standing", &["web1"]);
    let scenario =
        scenario.with("other", &["shop.test", "*.shop.test", "own.test"], "standing", &["web1"]);
    let mut fewer = scenario.intent.clone();
    let mut world = World::new(1, scenario);
    assert!(world.settle_until(after(begin(), SignedDuration::from_mins(30))));
    let up = standing(&world, "shop.test");
    let [record] = up.as_slice() else { panic!("{up:?}") };
    assert!(record.starts_with("ca.sandbox.test; accounturi=https://ca.test/acct/"), "{record}");
    assert!(record.ends_with("; policy=wildcard"), "{record}");
    let before = presented(&world);
    // A renewal later it is there, and nothing was written.
    world.run_until(after(begin(), hours(24 * 75)));
    assert_eq!((have_had(&world, 2), presented(&world)), (2, before));

    // What one certificate needs no more, the other may.
    let other = fewer.certificates.get_mut(&"other".into()).unwrap();
    let own = Identifier::new("own.test").unwrap();
    other.identifiers = [own.clone()].into();
    other.endpoints = other.endpoints.iter().filter(|e| e.server_name == own).cloned().collect();
    world.declare(fewer.clone());
    world.run_for(hours(1));
    assert_eq!(standing(&world, "shop.test"), up);
    let shop = fewer.certificates.get_mut(&"shop".into()).unwrap();
    shop.solvers = ["dns".into()].into();
    world.declare(fewer);
    world.run_for(hours(1));
    assert_eq!(standing(&world, "shop.test"), Vec::<String>::new());
    assert_eq!(standing(&world, "own.test").len(), 1);
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}
