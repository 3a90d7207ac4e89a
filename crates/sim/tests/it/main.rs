//! Tests of the simulated world.

#![cfg(test)] // so that the lints see tests, and what tests call, as tests

mod account;
mod cases;
mod clock;
mod crash;
mod doubts;
mod golden;
mod held;
mod private;
mod quiet;
mod revoke;
mod shared;
mod story;
mod swarm;
mod waits;

/// When every story begins.
fn begin() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}
