//! Hostile bytes for everything that reads them.
//!
//! A target is a function that takes any bytes, lets one of our readers have them, and panics if
//! what comes out breaks a promise: bounded, safe to print, the same each time. `scripts/fuzz` runs
//! libFuzzer on it, led by coverage; `cargo test` runs it on what it starts from ([`seeds`]) and on
//! all that ever went wrong (`found/`), so that it never does again.

pub mod seeds;
mod targets;

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its folder in `found/`.
    pub name: &'static str,
    /// Takes any bytes; panics if a promise is broken.
    pub run: fn(&[u8]),
    /// What the fuzzer starts from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Everything that reads bytes of others.
pub const TARGETS: &[Target] = &[
    Target { name: "configuration", run: targets::configuration, seeds: seeds::configuration },
    Target { name: "chain", run: targets::chain, seeds: seeds::chain },
    Target { name: "revocation", run: targets::revocation, seeds: seeds::revocation },
    Target { name: "hello", run: targets::hello, seeds: seeds::hello },
    Target { name: "acme", run: targets::acme, seeds: seeds::acme },
    Target { name: "dns", run: targets::dns, seeds: seeds::dns },
    Target { name: "journal", run: targets::journal, seeds: seeds::journal },
    Target { name: "nginx", run: targets::nginx, seeds: seeds::nginx },
];

/// Returns a target by its name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
