//! Clocks that are wrong for a while.

use jiff::SignedDuration;
use perennial_core::words::{Identifier, Name, after};
use perennial_sim::model::ca::Outage;
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// How long after all is well again everything is done at the latest: the longest delay that one
/// hour of failures leads to, and what chance adds.
const DONE_WITHIN: SignedDuration = hours(4);

/// What is wrong in the hour in which the clock is.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Nothing,
    DarkName,
    DeadTarget,
    DeafTarget,
    CaAway,
}

impl Trouble {
    const ALL: [Self; 5] =
        [Self::Nothing, Self::DarkName, Self::DeadTarget, Self::DeafTarget, Self::CaAway];

    fn set(self, world: &mut World, is_on: bool) {
        let target = Name::new("web1");
        match self {
            Self::Nothing => {}
            Self::DarkName => {
                let name = Identifier::new("site.test").unwrap();
                world.outside.dark_names = if is_on { vec![name] } else { Vec::new() };
            }
            Self::DeadTarget => world.outside.set_dead(&target, is_on),
            Self::DeafTarget => world.outside.set_deaf(&target, is_on),
            Self::CaAway => {
                let outage = if is_on { Outage::Unavailable } else { Outage::None };
                world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = outage;
            }
        }
    }
}

/// Lives through an hour in which the clock is a year ahead and something else is wrong too; returns
/// whether all is done in time afterwards.
fn survives(trouble: Trouble, is_new: bool, is_killed: bool) -> bool {
    let scenario = Scenario::new(21, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(21, scenario);
    if !is_new {
        assert!(world.settle_until(after(begin(), hours(24))));
    }
    trouble.set(&mut world, true);
    world.set_clock_ahead(hours(24 * 365));
    if !is_new {
        world.renew("site");
    }
    world.run_for(hours(1));
    world.set_clock_ahead(SignedDuration::ZERO);
    trouble.set(&mut world, false);
    if is_killed {
        world.kill();
    }
    let is_done = world.settle_until(after(world.now(), DONE_WITHIN));
    if is_done {
        world.check_settled();
        assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
    }
    is_done
}

#[test]
fn nothing_waits_longer_because_the_clock_was_a_year_ahead_for_an_hour() {
    let mut late = Vec::new();
    for trouble in Trouble::ALL {
        for (is_new, is_killed) in [(true, false), (true, true), (false, false), (false, true)] {
            if !survives(trouble, is_new, is_killed) {
                late.push((trouble, is_new, is_killed));
            }
        }
    }
    assert!(late.is_empty(), "{late:?}");
}
