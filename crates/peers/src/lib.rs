//! Starts real peers (Pebble, BIND, Knot, nginx, ...) for tests; never shipped.
//!
//! A test that speaks about the world must meet the world: a real CA that validates, real name
//! servers, a real web server. Each peer here is one struct. Starting it writes its configuration
//! into a folder of its own, picks ports nobody else has, waits until the peer *answers* (never for
//! a fixed time), and dropping it ends the process and all its workers.
//!
//! - A peer that is not installed is an error that says what to type, never a skipped test.
//! - What a peer wrote is kept in a log, shown when a start fails and when a test panics.
//! - Everything listens on loopback and on ports drawn by [`Port`], so tests may run at once.
//! - Should the test be killed, its peers end with it (Linux).
//!
//! ```no_run
//! # async fn story() -> Result<(), perennial_peers::Error> {
//! use perennial_peers::{Bind, DnsOptions, Pebble, PebbleOptions, Zone};
//!
//! let dns = Bind::start(DnsOptions::serving([Zone::new("shop.test", "@ A 127.0.0.1")])).await?;
//! let ca = Pebble::start(PebbleOptions::asking(dns.addr())).await?;
//! println!("{} validates http-01 on port {}", ca.directory_url(), ca.http_port());
//! # Ok(())
//! # }
//! ```

mod apache;
mod bind;
mod caddy;
mod certbot;
mod challtestsrv;
mod client;
mod daemon;
mod dehydrated;
mod dns;
mod dovecot;
mod error;
mod haproxy;
mod knot;
mod lego;
mod mint;
mod moto;
mod nameserver;
mod nginx;
mod openssl;
mod pdns;
mod pebble;
mod port;
mod postfix;
mod postgresql;
mod process;
mod program;
mod prosody;
mod slapd;
mod visitor;
mod vsftpd;
mod wait;
mod wrk;

pub use bind::Bind;
pub use certbot::{Certbot, CertbotProof};
pub use challtestsrv::ChallTestSrv;
pub use daemon::{Daemon, TlsFiles};
pub use dehydrated::Dehydrated;
pub use dns::{DnsOptions, TsigKey, Zone, dig, resolve};
pub use error::Error;
pub use haproxy::{Haproxy, HaproxyOptions};
pub use knot::Knot;
pub use lego::Lego;
pub use mint::{Authority, Minted, self_signed};
pub use moto::Moto;
pub use nameserver::NameServer;
pub use nginx::{Nginx, NginxOptions, Server};
pub use openssl::openssl;
pub use pdns::PowerDns;
pub use pebble::{Eab, KeyAlgorithm, Pebble, PebbleOptions};
pub use port::Port;
pub use program::Program;
pub use visitor::{Visit, Visitor};
pub use wait::until;
pub use wrk::{Wrk, WrkOptions, WrkReport};
