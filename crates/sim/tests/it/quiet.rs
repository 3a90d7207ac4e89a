//! Quiet time that is passed over, beside the same time lived through look by look.

use jiff::SignedDuration;
use perennial_core::record::Record;
use perennial_core::words::{Name, after};
use perennial_sim::model::ca::Outage;
use perennial_sim::world::{Keep, Pace, Rigour, Scenario, World};

use crate::begin;

const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// A year in which things go wrong: an outage of the CA, a server that does not reload, a target
/// that cannot be reached, a certificate that is declared no more, a wish.
fn year(passes_over: bool) -> World {
    let mut scenario = Scenario::new(5, begin());
    for number in 0..6 {
        let name = format!("site{number}");
        let names = [format!("{name}.test"), format!("*.{name}.test")];
        let (names, solver): (&[_], _) = match number % 2 {
            0 => (&[&*names[0], &*names[1]], "dns"),
            _ => (&[&*names[0]], "web"),
        };
        scenario = scenario.with(&name, names, solver, &["web1", "web2"]);
    }
    let mut world = World::with_rigour(5, scenario, Rigour::None, Keep::Everything);
    // How long things take must not depend on how many dice were thrown before.
    let instant = SignedDuration::from_millis(1);
    world.pace = Pace { commit: instant, act: instant, ask: instant };
    if passes_over {
        world.pass_over_quiet_time();
    }
    let outage = |world: &mut World, outage| {
        world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = outage;
    };
    let reloads = |world: &mut World, fails| {
        let host = (Name::new("web1"), Name::new("site1"));
        world.outside.hosts.get_mut(&host).unwrap().faults.reload_fails = fails;
    };
    let reachable = |world: &mut World, unreachable| {
        world.outside.targets.get_mut(&Name::new("web2")).unwrap().faults.unreachable = unreachable;
    };
    world.at(days(55), move |world| outage(world, Outage::Unavailable));
    world.at(days(64), move |world| outage(world, Outage::None));
    world.at(days(100), move |world| reloads(world, true));
    world.at(days(140), move |world| reloads(world, false));
    world.at(days(170), |world| world.renew("site0"));
    world.at(days(180), move |world| reachable(world, true));
    world.at(days(183), move |world| reachable(world, false));
    world.at(days(200), |world| {
        let mut intent = world.intent().clone();
        intent.certificates.remove(&Name::new("site3"));
        world.declare(intent);
    });
    world.run_until(after(begin(), days(365)));
    world
}

/// Returns what was recorded, without what says only that nothing changed, and without the places
/// in the streams, which those take.
fn told(world: &World) -> Vec<String> {
    let is_news = |record: &&Record| !matches!(&*record.kind, "seen.through" | "checkpoint");
    let tell = |record: &Record| {
        let body = match record.body.strip_prefix("{\"of\":").and_then(|b| b.split_once(',')) {
            Some((_, rest)) => rest,
            None => &*record.body,
        };
        format!("{} {} {} {body}", record.at, record.stream, record.kind)
    };
    world.records().iter().filter(is_news).map(tell).collect()
}

#[test]
fn a_year_that_is_passed_over_is_the_year_that_is_lived_through() {
    let (lived, passed) = (year(false), year(true));
    let (all, fewer) = (told(&lived), told(&passed));
    for (one, other) in all.iter().zip(&fewer) {
        assert_eq!(one, other);
    }
    assert_eq!(all.len(), fewer.len());
    assert!(all.len() > 1_000, "{} records are too few to tell", all.len());
    assert_eq!(lived.checks.violations, passed.checks.violations);
    // What is left are looks every few minutes while something is wrong.
    assert!(passed.steps() * 3 < lived.steps() * 2, "{} of {}", passed.steps(), lived.steps());
}
