//! The happy path.

use crate::begin;
use perennial_sim::world::{Scenario, World};

#[test]
fn one_certificate_over_http() {
    let scenario = Scenario::new(1, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(1, scenario);
    let settled = world.settle_until("2026-01-01T01:00:00Z".parse().unwrap());
    for record in world.records() {
        println!(
            "{} {}#{} {} {}",
            record.at, record.stream, record.version, record.kind, record.body
        );
    }
    println!("{:?}", world.checks.violations);
    assert!(settled);
}
