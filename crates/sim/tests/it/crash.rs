//! The process dies at every boundary of every act of a full issue-and-deploy, account creation
//! included: enumerated, not sampled; singly, and in pairs.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use perennial_core::words::after;
use perennial_sim::model::ca::Ca;
use perennial_sim::world::{Scenario, World};

use crate::begin;

fn issue_and_deploy(seed: u64, solver: &str, dies_at: &[u64]) -> World {
    let names: &[&str] =
        if solver == "dns" { &["*.site.test", "site.test"] } else { &["site.test"] };
    let scenario = Scenario::new(seed, begin()).with("site", names, solver, &["web1"]);
    let mut world = World::new(seed, scenario);
    world.dies_at = dies_at.iter().copied().collect::<BTreeSet<_>>();
    world
}

/// Runs with deaths at some boundaries; returns how many boundaries there were.
fn run(seed: u64, solver: &str, dies_at: &[u64]) -> u64 {
    let mut world = issue_and_deploy(seed, solver, dies_at);
    let settled = world.settle_until(after(begin(), SignedDuration::from_hours(2)));
    let boundaries = world.boundaries();
    world.run_for(SignedDuration::from_mins(10));
    world.check_settled();
    let told = format!("solver {solver}, seed {seed}, deaths at {dies_at:?}");
    assert!(world.checks.violations.is_empty(), "{told}: {:#?}", world.checks.violations);
    assert!(settled, "{told}: does not settle");
    // What is in flight resumes by its URL: another order is asked for only where that was lost.
    // (Their number would not tell: this CA answers with the order before while that is pending.)
    let (asked, lost) = (world.checks.asked_orders_of("site"), world.checks.lost_orders_of("site"));
    assert_eq!(asked, 1 + lost, "{told}: asked for {asked} orders, of which {lost} were lost");
    boundaries
}

#[test]
fn death_at_every_boundary_loses_nothing_over_http() {
    let boundaries = run(1, "web", &[]);
    assert!(boundaries > 60, "{boundaries}");
    for boundary in 1..=boundaries {
        run(1, "web", &[boundary]);
    }
}

#[test]
fn death_at_every_boundary_loses_nothing_over_dns() {
    for boundary in 1..=run(2, "dns", &[]) {
        run(2, "dns", &[boundary]);
    }
}

/// What was put up for an order that nobody knows any more is taken down all the same, whether or
/// not the process lived to hear that it was up.
#[test]
fn death_at_every_boundary_leaves_no_answer_of_a_forgotten_order() {
    for (seed, solver) in [(4, "web"), (5, "dns")] {
        for boundary in 1..=run(seed, solver, &[]) {
            let mut world = issue_and_deploy(seed, solver, &[boundary]);
            world.while_dead = Some(|outside| outside.cas.values_mut().for_each(Ca::forget_orders));
            let settled = world.settle_until(after(begin(), SignedDuration::from_hours(4)));
            world.run_for(SignedDuration::from_mins(10));
            world.check_settled();
            let told = format!("solver {solver}, death at {boundary}");
            assert!(world.checks.violations.is_empty(), "{told}: {:#?}", world.checks.violations);
            assert!(settled, "{told}: does not settle");
        }
    }
}

/// Lets the process die at every pair of boundaries.
fn pairs(seed: u64, solver: &str) {
    let boundaries = run(seed, solver, &[]);
    for first in 1..=boundaries {
        // The boundaries after the first death are those of what follows on it.
        for second in first + 1..=boundaries + 8 {
            run(seed, solver, &[first, second]);
        }
    }
}

#[test]
fn death_at_every_pair_of_boundaries_loses_nothing_over_http() {
    pairs(3, "web");
}

#[test]
fn death_at_every_pair_of_boundaries_loses_nothing_over_dns() {
    pairs(6, "dns");
}
