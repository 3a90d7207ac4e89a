//! How long a year of a thousand certificates takes.
//!
//! `cargo bench -p perennial-sim --bench year -- 1000`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::after;
use perennial_sim::world::{Keep, Rigour, Scenario, World};

fn main() {
    let asked = std::env::args().filter_map(|text| text.parse().ok()).next();
    let count: usize = asked.unwrap_or(1_000);
    let begins_at = Timestamp::from_second(1_767_225_600).unwrap_or_default();
    let mut scenario = Scenario::new(1, begins_at);
    for number in 0..count {
        let name = format!("site{number}");
        scenario = scenario.with(&name, &[&format!("{name}.test")], "web", &["web1"]);
    }
    let mut world = World::with_rigour(1, scenario, Rigour::None, Keep::Nothing);
    if std::env::args().all(|argument| argument != "every-look") {
        world.pass_over_quiet_time();
    }
    let begun = Instant::now();
    world.run_until(after(begins_at, SignedDuration::from_hours(24 * 365)));
    let took = begun.elapsed();
    let (steps, records) = (world.steps(), world.journal().count());
    println!("{count} certificates, one year: {:.2} s", took.as_secs_f64());
    println!("{steps} steps, {records} records");
    println!("{} ns each step, the outside included", took.as_nanos() / u128::from(steps.max(1)));
}
