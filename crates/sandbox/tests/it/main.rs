//! The sandbox seen from outside: by clients and tools that others wrote.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests share lies outside of test functions"
)]

mod acme;
mod bench;
mod conformance;
mod dns;
mod faults;
mod hosts;
mod raw;
