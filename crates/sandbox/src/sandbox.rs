//! The whole sandbox in one handle.

use jiff::Timestamp;
use perennial_sim::model::dns::Data;
use perennial_wire::clock::Clock;

use crate::ca::{CaSetup, SandboxCa};
use crate::dns::{DnsConfig, DnsServers, NameServer, TsigKey};
use crate::error::SandboxError;
use crate::host::{HostSetup, SandboxHost};

/// What a sandbox consists of.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The clock that certificates are judged by; may run a day a second.
    pub clock: Clock,
    /// The machine's clock, for TSIG and for lags.
    pub wall: Clock,
    /// The DNS servers.
    pub dns: DnsConfig,
    /// The CAs.
    pub cas: Vec<CaSetup>,
    /// The TLS hosts.
    pub hosts: Vec<HostSetup>,
}

impl SandboxConfig {
    /// One CA; a resolver, a root and two name servers, `ns1.sandbox.test` and `ns2.sandbox.test`,
    /// on addresses of their own; one TSIG key, `sandbox`.
    #[must_use]
    pub fn new(clock: Clock, wall: Clock) -> Self {
        let at = |last: u8| [127, 0, 0, last];
        let dns = DnsConfig {
            port: 0,
            resolver: at(1).into(),
            root: NameServer::new("root.sandbox.test", at(2)),
            servers: vec![
                NameServer::new("ns1.sandbox.test", at(3)),
                NameServer::new("ns2.sandbox.test", at(4)),
            ],
            keys: vec![TsigKey {
                name: "sandbox".into(),
                secret: b"perennial sandbox secret".to_vec(),
            }],
        };
        Self { clock, wall, dns, cas: vec![CaSetup::new("Sandbox")], hosts: Vec::new() }
    }
}

/// A small internet on loopback, running until dropped.
pub struct Sandbox {
    /// The DNS.
    pub dns: DnsServers,
    /// The CAs, in the order of the configuration.
    pub cas: Vec<SandboxCa>,
    /// The TLS hosts, in the order of the configuration.
    pub hosts: Vec<SandboxHost>,
    name_servers: Vec<String>,
}

impl Sandbox {
    /// Starts everything.
    ///
    /// # Errors
    ///
    /// Returns what could not be started; what was is stopped again.
    pub async fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let dns = DnsServers::start(&config.dns, config.wall).await?;
        let mut cas = Vec::new();
        for setup in &config.cas {
            cas.push(SandboxCa::start(setup, dns.resolver(), config.clock.clone()).await?);
        }
        let mut hosts = Vec::new();
        for setup in &config.hosts {
            hosts.push(SandboxHost::start(setup).await?);
        }
        let servers = config.dns.servers.into_iter();
        let name_servers = servers.map(|server| server.name).collect();
        Ok(Self { dns, cas, hosts, name_servers })
    }

    /// Makes a zone on all name servers but the root's, with addresses for its apex and
    /// for everything directly below.
    pub fn add_zone(&self, apex: &str, addresses: &[std::net::IpAddr]) {
        let servers: Vec<&str> = self.name_servers.iter().map(String::as_str).collect();
        self.dns.with(|dns, _| {
            dns.add_zone(apex, &servers);
            for address in addresses {
                let data = Data::address(*address);
                // From the beginning of time, so that no lag hides it.
                dns.add(apex, apex, data.clone(), Timestamp::MIN);
                dns.add(apex, &format!("*.{apex}"), data, Timestamp::MIN);
            }
        });
    }
}
