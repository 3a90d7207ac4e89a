//! Sockets around the models of `perennial-sim`: a small internet on loopback with fault switches.
//!
//! ```text
//! Sandbox ─┬─ cas    HTTPS, ACME, real validation, real certificates   (sim::model::ca)
//!          ├─ dns    UDP and TCP, RFC 2136 with TSIG, a resolver        (sim::model::dns)
//!          └─ hosts  web servers that serve what they have loaded         (sim::model::host)
//! ```
//!
//! Everything listens on loopback alone and ends when its handle is dropped. Faults are switched on
//! the models themselves: `sandbox.cas[0].with(|ca| ca.faults.outage = Outage::Unavailable)`.
//!
//! Bounded: connections, their life, heads, bodies, messages, redirects, tries. Not bounded: what
//! the models remember; a sandbox is thrown away.

mod ca;
mod dns;
mod door;
mod error;
mod host;
mod http;
mod sandbox;

pub use ca::{CaSetup, SandboxCa};
pub use dns::{DnsConfig, DnsServers, NameServer, TsigKey};
pub use error::SandboxError;
pub use host::{HostSetup, Loaded, SandboxHost};
pub use perennial_sim::model;
pub use sandbox::{Sandbox, SandboxConfig};
