//! The hands: acme, challenge, dns, deploy, probe
