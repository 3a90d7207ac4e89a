//! The hands: acme, challenge, dns, deploy, probe

pub mod acme;
pub mod deploy;
pub mod probe;
