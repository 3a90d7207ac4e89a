//! A CA changes what clients depend on: its leaf is held, and never for too long.

use jiff::{SignedDuration, Timestamp};
use perennial_core::event::{Decoded, Event};
use perennial_core::finding::Code;
use perennial_core::words::{AriCertId, Fingerprint, Name, SuggestedWindow, after};
use perennial_sim::model::ca::CaConfig;
use perennial_sim::model::host::Met;
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

fn ca(world: &mut World) -> &mut CaConfig {
    &mut world.outside.cas.get_mut(&Name::new("ca")).unwrap().config
}

/// A certificate whose leaves prove clients too, renewed after the CA changed so.
fn renewed(change: impl FnOnce(&mut CaConfig) + 'static) -> World {
    let scenario = Scenario::new(5, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(5, scenario);
    ca(&mut world).for_clients = true;
    assert!(world.settle_until(after(begin(), days(1))));
    world.at(days(40), move |world| change(ca(world)));
    // Renewal comes after 60 days, and the reserve 22 days later.
    world.run_until(after(begin(), days(70)));
    world
}

fn served(world: &World) -> Fingerprint {
    let host = world.outside.hosts.get(&(Name::new("web1"), Name::new("site"))).unwrap();
    let address = host.addresses().next().unwrap();
    let Met::Leaf(bundle) = host.connect(address) else { panic!("nothing is served") };
    bundle.leaf.fingerprint
}

/// Returns the newest leaf, and when the leaf before it ends.
fn newest(world: &World) -> (Fingerprint, Option<Timestamp>) {
    let state = world.driver().unwrap().state();
    let site = state.certificate(state.id(&Name::new("site")).unwrap()).unwrap();
    let before = site.predecessors.first().map(|known| known.facts.ends_at());
    (site.leaf.as_ref().unwrap().facts.fingerprint, before)
}

fn open(world: &World) -> Vec<Code> {
    let state = world.driver().unwrap().state();
    let site = state.certificate(state.id(&Name::new("site")).unwrap()).unwrap();
    site.history.incidents.iter().map(|incident| incident.code).collect()
}

fn fine(world: &World) {
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}

#[test]
fn a_lost_usage_and_another_root_wait_for_the_reserve_and_cause_no_lapse() {
    let mut world = renewed(|ca| {
        ca.for_clients = false;
        ca.root = "Sandbox Root X2".into();
    });
    let (newest_leaf, ends_at) = newest(&world);
    let before = served(&world);
    assert_ne!(newest_leaf, before, "it is kept and not activated");
    assert_eq!(open(&world), [Code::LeafNoClientAuth, Code::LeafRootChanged]);
    let orders = world.checks.orders_of("site");

    world.run_until(after(begin(), days(80)));
    assert_eq!(served(&world), before);
    world.run_until(after(ends_at.unwrap(), -days(5)));
    assert_eq!(served(&world), newest_leaf, "the reserve has begun");
    assert_eq!(open(&world), [Code::DeployOverruled]);
    assert_eq!(world.checks.orders_of("site"), orders, "and nothing was ordered twice");
    let overruled = world.records().iter().any(|record| {
        let event = Event::decode(&record.kind, &record.body);
        matches!(event, Decoded::Event(event) if matches!(*event, Event::HoldOverruled(_)))
    });
    assert!(overruled);
    world.run_until(after(begin(), days(200)));
    assert_eq!(open(&world), [], "the next leaf is like this one");
    fine(&world);
}

#[test]
fn a_root_that_nobody_has_is_kept_from_clients() {
    let world = renewed(|ca| ca.root_trusted = false);
    assert_eq!(open(&world), [Code::LeafUntrusted]);
    assert_ne!(newest(&world).0, served(&world));
    fine(&world);
}

#[test]
fn a_person_lets_a_held_leaf_pass_at_once() {
    let mut world = renewed(|ca| ca.for_clients = false);
    world.confirm("site", 2);
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(served(&world), newest(&world).0);
    assert_eq!(open(&world), []);
    fine(&world);
}

#[test]
fn a_person_lets_the_leaf_pass_that_was_shown_and_no_later_one() {
    let mut world = renewed(|ca| ca.for_clients = false);
    let before = served(&world);
    world.renew("site");
    world.run_for(SignedDuration::from_mins(10));
    assert_ne!(served(&world), newest(&world).0, "leaf 3 is held as leaf 2 was");
    let confirmed = |world: &World| {
        world.records().iter().filter(|record| &*record.kind == "leaf.confirmed").count()
    };
    for not_shown in [2, 1, 4] {
        world.confirm("site", not_shown);
        world.run_for(SignedDuration::from_mins(10));
        assert_eq!((served(&world), confirmed(&world)), (before, 0), "leaf {not_shown}");
    }
    world.confirm("site", 3);
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!((served(&world), confirmed(&world)), (newest(&world).0, 1));
    // Nothing is left to be confirmed.
    world.confirm("site", 3);
    assert_eq!(confirmed(&world), 1);
    fine(&world);
}

/// Returns how the CA calls the leaf that is served while the next one is held.
fn served_id(world: &World) -> AriCertId {
    let state = world.driver().unwrap().state();
    let site = state.certificate(state.id(&Name::new("site")).unwrap()).unwrap();
    site.predecessors.first().unwrap().facts.ari_id.clone().unwrap()
}

#[test]
fn a_ca_that_wants_the_served_leaf_gone_ends_the_hold_and_costs_no_second_order() {
    let mut world = renewed(|ca| ca.for_clients = false);
    let (id, orders) = (served_id(&world), world.checks.orders_of("site"));
    let held = newest(&world).0;
    let (start, end) = (after(begin(), days(70)), after(begin(), days(70)));
    let window = SuggestedWindow { start: after(start, -SignedDuration::from_hours(1)), end };
    world.outside.cas.get_mut(&Name::new("ca")).unwrap().suggest(&id, Some((window, None)));
    // It is asked every six hours, and half a day is left for a person.
    world.run_for(SignedDuration::from_hours(11));
    assert_ne!(served(&world), held);
    world.run_for(SignedDuration::from_hours(9));
    assert_eq!(served(&world), held);
    assert_eq!(open(&world), [Code::DeployOverruled]);
    world.run_until(after(begin(), days(80)));
    assert_eq!(world.checks.orders_of("site"), orders);
    fine(&world);
}

#[test]
fn a_served_leaf_that_is_revoked_gives_way_to_the_held_one_without_another_order() {
    let mut world = renewed(|ca| ca.for_clients = false);
    let (id, orders) = (served_id(&world), world.checks.orders_of("site"));
    let held = newest(&world).0;
    let ca = world.outside.cas.get_mut(&Name::new("ca")).unwrap();
    let found = ca.issued_leaves().find(|(own, _)| own.facts().ari_id.as_ref() == Some(&id));
    let serial = found.unwrap().0.serial;
    ca.revoke_leaf(&serial);
    world.run_for(SignedDuration::from_hours(2));
    assert_eq!(served(&world), held);
    world.run_until(after(begin(), days(80)));
    assert_eq!(world.checks.orders_of("site"), orders);
    fine(&world);
}
