//! A person has a leaf revoked: no address shows it when its CA is told, unless that cannot wait.

use jiff::SignedDuration;
use perennial_core::event::{Decoded, Event};
use perennial_core::finding::Code;
use perennial_core::intent::KeyRotation;
use perennial_core::state::Certificate;
use perennial_core::words::{AriCertId, KeyId, Name, Permille, RevocationReason, after};
use perennial_sim::model::host::Met;
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn mins(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// A certificate at two targets, issued and seen, whose key stays unless it is compromised.
fn world(seed: u64) -> World {
    let mut scenario =
        Scenario::new(seed, begin()).with("site", &["site.test"], "web", &["web1", "web2"]);
    scenario.intent.certificates.get_mut(&Name::new("site")).unwrap().rotation = KeyRotation::Reuse;
    let mut world = World::new(seed, scenario.with_lists());
    assert!(world.settle_until(after(begin(), mins(60))));
    world
}

fn certificate(world: &World) -> &Certificate {
    let state = world.driver().unwrap().state();
    state.certificate(state.id(&Name::new("site")).unwrap()).unwrap()
}

/// Returns the newest leaf's number, its key, and what its CA calls it.
fn newest(world: &World) -> (u32, KeyId, AriCertId) {
    let leaf = certificate(world).leaf.as_ref().unwrap();
    (leaf.number, leaf.facts.key, leaf.facts.ari_id.clone().unwrap())
}

fn is_revoked(world: &World, leaf: &AriCertId) -> bool {
    world.outside.cas[&Name::new("ca")].is_revoked(leaf)
}

/// Returns whether any address serves a leaf.
fn is_served(world: &World, leaf: &AriCertId) -> bool {
    world.outside.hosts.values().any(|host| {
        host.addresses().any(|address| match host.connect(address) {
            Met::Leaf(bundle) => bundle.leaf.ari_id.as_ref() == Some(leaf),
            Met::NoTls | Met::Unreachable => false,
        })
    })
}

/// Runs until a leaf is revoked, and returns whether it was ever revoked while it was served.
fn until_revoked(world: &mut World, leaf: &AriCertId, within: SignedDuration) -> bool {
    let end = after(world.now(), within);
    let mut while_served = false;
    while !is_revoked(world, leaf) {
        assert!(world.now() < end, "it is not revoked: {:?}", certificate(world).revoking);
        world.run_for(SignedDuration::from_secs(1));
        while_served |= is_revoked(world, leaf) && is_served(world, leaf);
    }
    while_served
}

fn fine(world: &World) {
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}

fn opened(world: &World, code: Code) -> bool {
    world.records().iter().any(|record| match Event::decode(&record.kind, &record.body) {
        Decoded::Event(event) => {
            matches!(*event, Event::IncidentOpened(opened) if opened.code == code)
        }
        _ => false,
    })
}

#[test]
fn a_compromised_key_is_replaced_first_and_then_revoked_and_never_used_again() {
    let mut world = world(1);
    let (number, key, leaf) = newest(&world);
    world.revoke("site", RevocationReason::KeyCompromise, false);
    assert!(!until_revoked(&mut world, &leaf, mins(60)), "nobody meets a revoked leaf");
    let (next, other, _) = newest(&world);
    assert_eq!((next, other != key), (number + 1, true));
    world.run_for(mins(10));
    assert!(certificate(&world).revoking.is_empty());
    assert!(certificate(&world).is_compromised(key));
    assert!(!opened(&world, Code::EndpointRevoked));
    world.renew("site");
    world.run_for(mins(60));
    assert_eq!(newest(&world).1, other, "the next key is reused, as declared");
    fine(&world);
}

#[test]
fn a_leaf_that_is_superseded_keeps_its_key() {
    let mut world = world(2);
    let (_, key, leaf) = newest(&world);
    world.revoke("site", RevocationReason::Superseded, false);
    assert!(!until_revoked(&mut world, &leaf, mins(60)));
    assert_eq!(newest(&world).1, key);
    fine(&world);
}

#[test]
fn a_target_that_is_away_delays_revocation_and_not_for_ever() {
    let mut world = world(3);
    let (_, _, leaf) = newest(&world);
    let away = Name::new("web2");
    world.outside.targets.get_mut(&away).unwrap().faults.unreachable = true;
    world.revoke("site", RevocationReason::KeyCompromise, false);
    world.run_for(SignedDuration::from_hours(23));
    assert!(!is_revoked(&world, &leaf) && is_served(&world, &leaf));
    assert!(opened(&world, Code::RevocationOwed));
    world.run_for(SignedDuration::from_hours(2));
    assert!(is_revoked(&world, &leaf), "a compromised key is not kept in use for a dead server");
}

#[test]
fn a_person_need_not_wait() {
    let mut world = world(4);
    let (number, _, leaf) = newest(&world);
    world.revoke("site", RevocationReason::Unspecified, true);
    until_revoked(&mut world, &leaf, mins(5));
    world.run_for(mins(60));
    assert!(newest(&world).0 > number, "another one takes its place");
    assert!(!is_served(&world, &leaf));
}

#[test]
fn a_lost_answer_is_cleared_up_and_a_crash_forgets_nothing() {
    for seed in 10..30 {
        let mut world = world(seed);
        let (_, _, leaf) = newest(&world);
        world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.lost_answers =
            Permille::new(200);
        world.revoke("site", RevocationReason::KeyCompromise, false);
        // The wish is durable by then.
        world.run_for(SignedDuration::from_secs(1 + seed.cast_signed() % 7));
        let from = world.boundaries() + seed % 3;
        world.dies_at.extend((0..12).map(|step| from + 3 * step));
        assert!(!until_revoked(&mut world, &leaf, SignedDuration::from_hours(6)), "seed {seed}");
        world.run_for(SignedDuration::from_hours(2));
        assert!(certificate(&world).revoking.is_empty(), "seed {seed}");
        fine(&world);
    }
}
