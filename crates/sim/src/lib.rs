//! The liar: models of CA, DNS, targets and TLS hosts as pure state machines, on a virtual clock.

pub mod check;
pub mod model;
pub mod world;
