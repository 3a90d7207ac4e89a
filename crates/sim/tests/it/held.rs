//! A CA changes what clients depend on: its leaf is held, and never for too long.

use jiff::{SignedDuration, Timestamp};
use perennial_core::event::{Decoded, Event};
use perennial_core::finding::Code;
use perennial_core::words::{Fingerprint, Name, after};
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
    world.confirm("site");
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(served(&world), newest(&world).0);
    assert_eq!(open(&world), []);
    fine(&world);
}
