//! The DNS model behind sockets.

mod client;
mod server;
mod tsig;
mod wire;

pub use server::{DnsConfig, DnsServers, NameServer};
pub use tsig::TsigKey;

pub(crate) use client::resolve;
