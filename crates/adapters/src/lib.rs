//! The hands: acme, challenge, dns, deploy, probe

pub mod acme;
pub mod challenge;
pub mod deploy;
pub mod discover;
pub mod dns;
pub mod foreign;
pub mod probe;
