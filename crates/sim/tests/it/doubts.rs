//! A CA's list of the revoked cannot be had: one finding for the issuer, however many certificates.

use jiff::SignedDuration;
use perennial_core::finding::Code;
use perennial_core::words::{Name, after};
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Returns how often it is said: of the issuer, and of certificates.
fn said(world: &World) -> (usize, usize) {
    let state = world.driver().unwrap().state();
    let is_it = |code: Code| code == Code::EndpointRevocationUnknown;
    let issuer = &state.issuers[&Name::new("ca")].history;
    let certificates = state.certificates().flat_map(|(_, _, own)| &own.history.incidents);
    let own = issuer.incidents.iter().filter(|incident| is_it(incident.code)).count();
    (own, certificates.filter(|incident| is_it(incident.code)).count())
}

fn several() -> World {
    let mut scenario = Scenario::new(7, begin());
    for name in ["a", "b", "c"] {
        scenario = scenario.with(name, &[&format!("{name}.test")], "web", &["web1"]);
    }
    let mut world = World::new(7, scenario);
    assert!(world.settle_until(after(begin(), hours(24))));
    world
}

#[test]
fn a_list_that_cannot_be_had_for_a_day_is_one_finding_of_its_issuer() {
    let mut world = several();
    world.outside.lists_are_dark = true;
    world.run_for(hours(20));
    assert_eq!(said(&world), (0, 0), "nothing matters yet");
    world.run_for(hours(6));
    assert_eq!(said(&world), (1, 0));
    world.kill();
    world.run_for(hours(2));
    assert_eq!(said(&world), (1, 0), "it is known after a restart");
    world.outside.lists_are_dark = false;
    world.run_for(hours(2));
    assert_eq!(said(&world), (0, 0));
    let kinds = |kind: &str| {
        let records = world.records().iter();
        let its = records.filter(|record| record.body.contains("endpoint.revocation-unknown"));
        its.filter(|record| &*record.kind == kind).count()
    };
    assert_eq!((kinds("incident.opened"), kinds("incident.resolved")), (1, 1));
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}

#[test]
fn another_certificate_bears_witness_when_the_first_one_does_no_more() {
    let mut world = several();
    world.outside.lists_are_dark = true;
    world.run_for(hours(26));
    let state = world.driver().unwrap().state();
    let witness = state.issuers[&Name::new("ca")].unlisted.clone().unwrap();
    let mut intent = world.intent().clone();
    intent.certificates.get_mut(&witness).unwrap().endpoints = Box::default();
    world.declare(intent);
    world.run_for(hours(1));
    assert_eq!(said(&world), (0, 0));
    world.run_for(hours(3));
    assert_eq!(said(&world), (1, 0));
    let state = world.driver().unwrap().state();
    assert_ne!(state.issuers[&Name::new("ca")].unlisted.as_ref(), Some(&witness));
}
