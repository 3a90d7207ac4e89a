//! A person wants another key for our account, or its end.

use jiff::SignedDuration;
use perennial_core::state::{Account, Issuer};
use perennial_core::words::{Name, Permille, Url, after};
use perennial_sim::model::ca::Outage;
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn mins(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn world(seed: u64) -> World {
    let scenario = Scenario::new(seed, begin())
        .with("site", &["site.test"], "web", &["web1"])
        .with("shop", &["shop.test", "*.shop.test"], "dns", &["web1"]);
    let mut world = World::new(seed, scenario);
    assert!(world.settle_until(after(begin(), mins(60))));
    world
}

fn issuer(world: &World) -> &Issuer {
    &world.driver().unwrap().state().issuers[&Name::new("ca")]
}

/// Returns the thumbprint of our account's key as we know it, as its CA does, and the URL.
fn account(world: &World) -> (Box<str>, Box<str>, Url) {
    let Account::Ready { key, url, .. } = &issuer(world).account else { panic!("no account") };
    let known = world.outside.cas[&Name::new("ca")].thumbprint(url).unwrap();
    (key.thumbprint.clone(), known.into(), url.clone())
}

fn fine(world: &World) {
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}

#[test]
fn whatever_is_lost_or_dies_both_sides_know_the_same_key() {
    for seed in 1..60 {
        let mut world = world(seed);
        let (before, _, url) = account(&world);
        let ca = Name::new("ca");
        world.outside.cas.get_mut(&ca).unwrap().faults.lost_answers = Permille::new(400);
        world.renew("shop");
        world.run_for(SignedDuration::from_secs(seed.cast_signed() % 5));
        if world.driver().is_none() {
            continue;
        }
        world.change_key("ca");
        let from = world.boundaries();
        world.dies_at.extend([from + seed % 9, from + 3 + seed % 17, from + 20 + seed % 5]);
        world.run_for(mins(30));
        world.outside.cas.get_mut(&ca).unwrap().faults.lost_answers = Permille::new(0);
        world.run_for(mins(60));
        let (ours, theirs, same) = account(&world);
        assert_eq!((&ours, &same), (&theirs, &url), "seed {seed}");
        // The wish itself may have been lost with the process.
        let is_changed = issuer(&world).key_number == 1;
        assert_eq!(ours != before, is_changed, "seed {seed}");
        assert!(issuer(&world).changing.is_none(), "seed {seed}");
        world.renew("site");
        world.run_for(mins(60));
        world.check_settled();
        fine(&world);
    }
}

#[test]
fn a_change_of_keys_that_did_not_come_about_in_an_hour_is_given_up() {
    let mut world = world(70);
    let ca = Name::new("ca");
    world.outside.cas.get_mut(&ca).unwrap().faults.outage = Outage::Unreachable;
    world.change_key("ca");
    world.run_for(mins(90));
    world.outside.cas.get_mut(&ca).unwrap().faults.outage = Outage::None;
    world.run_for(mins(30));
    assert!(issuer(&world).changing.is_none());
    world.renew("site");
    world.run_for(mins(120));
    let (ours, theirs, _) = account(&world);
    assert_eq!(ours, theirs);
    world.check_settled();
    fine(&world);
}

#[test]
fn an_account_that_was_ended_is_used_no_more() {
    let mut world = world(80);
    world.end_account("ca");
    world.run_for(mins(10));
    assert!(issuer(&world).ended.is_some());
    let before = world.checks.asked_orders_of("site");
    world.renew("site");
    world.run_for(mins(60));
    assert_eq!(world.checks.asked_orders_of("site"), before);
    fine(&world);
}
