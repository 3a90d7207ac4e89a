//! Tests of the simulated world.

mod crash;
mod story;
mod swarm;

/// When every story begins.
fn begin() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}
