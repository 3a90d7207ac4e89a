//! The hands: acme, challenge, dns, deploy, probe

pub mod deploy;
