//! Cases that happened to others.

use jiff::SignedDuration;
use perennial_core::event::{Decoded, Event};
use perennial_core::finding::Code;
use perennial_core::intent::KeyRotation;
use perennial_core::record::{Stream, StreamKind};
use perennial_core::words::{Fingerprint, Name, after};
use perennial_sim::model::ca::Outage;
use perennial_sim::model::host::Met;
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// Returns the leaf that every address of a target serves for `site`, if they agree.
fn served(world: &World, target: &str) -> Option<Fingerprint> {
    let host = world.outside.hosts.get(&(Name::new(target), Name::new("site")))?;
    let mut leaves = host.addresses().map(|address| match host.connect(address) {
        Met::Leaf(bundle) => Some(bundle.leaf.fingerprint),
        Met::NoTls | Met::Unreachable => None,
    });
    let first = leaves.next().flatten();
    leaves.all(|leaf| leaf == first).then_some(first).flatten()
}

fn newest(world: &World) -> Fingerprint {
    let state = world.driver().unwrap().state();
    let site = state.certificate(state.id(&Name::new("site")).unwrap()).unwrap();
    site.leaf.as_ref().unwrap().facts.fingerprint
}

/// Returns whether a finding was ever opened.
fn opened(world: &World, code: Code) -> bool {
    world.records().iter().any(|record| match Event::decode(&record.kind, &record.body) {
        Decoded::Event(event) => {
            matches!(*event, Event::IncidentOpened(opened) if opened.code == code)
        }
        _ => false,
    })
}

fn fine(world: &World) {
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}

#[test]
fn seven_of_eight_targets_are_served_on_the_day_and_the_eighth_catches_up() {
    let targets = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"];
    let scenario = Scenario::new(8, begin()).with("site", &["site.test"], "web", &targets);
    let mut world = World::new(8, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    let first = newest(&world);
    world.outside.set_dead(&Name::new("t8"), true);
    world.renew("site");
    world.run_for(days(1));
    let second = newest(&world);
    assert_ne!(first, second);
    for target in &targets[..7] {
        assert_eq!(served(&world, target), Some(second), "{target}");
    }
    assert!(opened(&world, Code::TargetFailing));
    world.run_for(days(29));
    world.outside.set_dead(&Name::new("t8"), false);
    assert_eq!(served(&world, "t8"), Some(first));
    world.run_for(SignedDuration::from_mins(75));
    assert_eq!(served(&world, "t8"), Some(second));
    assert!(
        world.is_settled(),
        "{:?}",
        perennial_sim::check::unsettled(world.driver().unwrap().state())
    );
    world.check_settled();
    fine(&world);
}

#[test]
fn a_reload_that_does_nothing_is_found_and_seen_when_mended() {
    let scenario = Scenario::new(9, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(9, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    world.outside.set_deaf(&Name::new("web1"), true);
    world.renew("site");
    world.run_for(days(1));
    assert!(opened(&world, Code::TargetNotReloaded));
    assert!(!world.is_settled());
    for host in world.outside.hosts.values_mut() {
        host.restart();
    }
    world.run_for(SignedDuration::from_mins(10));
    world.check_settled();
    fine(&world);
}

#[test]
fn an_outage_of_the_ca_for_a_week_in_the_renewal_window_is_ridden_out() {
    let scenario = Scenario::new(10, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(10, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    world.at(days(55), |w| {
        w.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = Outage::Unreachable;
    });
    world.at(days(62), |w| {
        w.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = Outage::None;
    });
    world.run_until(after(begin(), days(63)));
    assert!(opened(&world, Code::CaFailing));
    assert_eq!(world.checks.orders_of("site"), 2);
    world.check_settled();
    fine(&world);
}

#[test]
fn a_mass_of_new_names_stays_within_the_limits_and_is_done_within_a_day() {
    let mut scenario = Scenario::new(11, begin());
    for number in 0..400 {
        let name = format!("site{number}");
        scenario = scenario.with(&name, &[&format!("{name}.test")], "web", &["web1"]);
    }
    let mut world = World::new(11, scenario);
    world.run_for(days(1));
    let refused = world.records().iter().find(|record| record.body.contains("rate-limited"));
    assert_eq!(refused, None);
    assert_eq!(world.checks.orders(), 400);
    world.check_settled();
    fine(&world);
}

#[test]
fn an_unreadable_record_stops_its_own_stream_only() {
    let scenario = Scenario::new(12, begin()).with("site", &["site.test"], "web", &["web1"]).with(
        "other",
        &["other.test"],
        "web",
        &["web1"],
    );
    let mut world = World::new(12, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    world.damage(&Stream::new(StreamKind::Certificate, Name::new("other")));
    world.run_for(days(1));
    world.renew("site");
    world.renew("other");
    world.run_for(days(1));
    assert!(opened(&world, Code::JournalQuarantined));
    assert_eq!(served(&world, "web1"), Some(newest(&world)));
    assert_eq!(world.checks.orders_of("site"), 2);
    fine(&world);
}

/// Revokes the leaf that a certificate has.
fn revoke(world: &mut World) {
    let newest = newest(world);
    let ca = world.outside.cas.get_mut(&Name::new("ca")).unwrap();
    let mut issued = ca.issued_leaves().map(|(leaf, _)| (leaf.serial, leaf.facts().fingerprint));
    let (serial, _) = issued.find(|(_, fingerprint)| *fingerprint == newest).unwrap();
    drop(issued);
    ca.revoke_leaf(&serial);
}

#[test]
fn a_revoked_leaf_is_replaced_as_soon_as_it_is_seen_and_its_key_is_given_up() {
    for rotation in [KeyRotation::Rotate, KeyRotation::Reuse] {
        let mut scenario = Scenario::new(12, begin()).with("site", &["site.test"], "web", &["w1"]);
        let site = scenario.intent.certificates.get_mut(&Name::new("site")).unwrap();
        site.rotation = rotation;
        let mut world = World::new(12, scenario);
        // No renewal information: the list alone says it.
        world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.renewal_info_down = true;
        assert!(world.settle_until(after(begin(), days(1))));
        let first = world.outside.shelf.chains[&newest(&world)].clone();
        revoke(&mut world);
        world.run_for(SignedDuration::from_mins(70));
        assert!(opened(&world, Code::EndpointRevoked));
        let second = world.outside.shelf.chains[&newest(&world)].clone();
        assert_ne!(first.key, second.key, "{rotation:?}");
        assert_eq!(served(&world, "w1"), Some(second.fingerprint));
        // The next one is as planned, and keeps the key that took the place of the revoked one's.
        world.renew("site");
        world.run_for(SignedDuration::from_mins(70));
        let third = world.outside.shelf.chains[&newest(&world)].clone();
        assert_eq!(second.key == third.key, rotation == KeyRotation::Reuse);
        assert_eq!(world.checks.orders_of("site"), 3);
        world.check_settled();
        fine(&world);
    }
}

#[test]
fn a_ca_that_revokes_whatever_it_issues_is_not_asked_without_end() {
    let scenario = Scenario::new(13, begin()).with("site", &["site.test"], "web", &["w1"]);
    let mut world = World::new(13, scenario);
    world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.renewal_info_down = true;
    assert!(world.settle_until(after(begin(), days(1))));
    for _ in 0..24 {
        revoke(&mut world);
        world.run_for(SignedDuration::from_hours(1));
    }
    let orders = world.checks.orders_of("site");
    assert!((4..=6).contains(&orders), "{orders} orders in a day");
    fine(&world);
}
