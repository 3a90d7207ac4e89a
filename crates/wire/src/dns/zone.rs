//! Which zone holds a name, and who serves it.

use std::net::SocketAddr;

use hickory_proto::rr::{RData, RecordType};
use tokio::task::JoinSet;

use super::resolver::negative_zone;
use super::{DnsError, Resolver, parent, to_text};

/// Who serves a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneServers {
    /// The zone's apex.
    pub zone: String,
    /// Its name servers, sorted by name.
    pub servers: Vec<NameServer>,
}

/// One name server of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its name.
    pub name: String,
    /// Where it is; empty if its name leads nowhere.
    pub addresses: Vec<SocketAddr>,
    /// Why its addresses, or those of one family, could not be found.
    pub problem: Option<DnsError>,
}

impl ZoneServers {
    /// Returns every address, each once.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let mut all: Vec<SocketAddr> =
            self.servers.iter().flat_map(|server| server.addresses.iter().copied()).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// How many name servers of a zone are looked up.
const MAX_SERVERS: usize = 16;

impl Resolver {
    /// Finds the apex of the zone that holds a name, by asking for SOA records and climbing.
    ///
    /// # Errors
    ///
    /// Returns why nothing is known.
    pub async fn apex(&self, name: &str) -> Result<String, DnsError> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let mut at = name.as_str();
        loop {
            let answered = self.ask(at, RecordType::SOA).await?;
            let mut own = answered.message.answers.iter().filter(|r| to_text(&r.name) == at);
            if own.clone().any(|record| matches!(record.data, RData::SOA(_))) {
                return Ok(at.to_owned());
            }
            // Behind an alias the authority section speaks of the alias's zone, not of this one.
            let is_alias = own.any(|record| matches!(record.data, RData::CNAME(_)));
            if let Some(zone) = negative_zone(&answered, at).filter(|_| !is_alias) {
                return Ok(zone);
            }
            match parent(at) {
                Some(above) => at = above,
                None => return Err(DnsError::Lame { zone: String::new() }),
            }
        }
    }

    /// Finds a zone's name servers and their addresses.
    ///
    /// # Errors
    ///
    /// Returns why the zone's NS records could not be had; an address that cannot be found is that
    /// server's `problem`.
    pub async fn zone_servers(&self, zone: &str) -> Result<ZoneServers, DnsError> {
        let found = self.lookup(zone, RecordType::NS).await?;
        let mut looking = JoinSet::new();
        for name in found.name_servers().into_iter().take(MAX_SERVERS) {
            let resolver = self.clone();
            looking.spawn(async move { resolver.name_server(name).await });
        }
        let mut servers = looking.join_all().await;
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(ZoneServers { zone: found.name, servers })
    }

    async fn name_server(&self, name: String) -> NameServer {
        let (mut addresses, mut problem) = (Vec::new(), None);
        for family in self.addresses(&name).await {
            match family {
                Ok(lookup) => addresses.extend(lookup.addresses()),
                Err(error) => problem = Some(error),
            }
        }
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
        NameServer { name, addresses, problem }
    }
}
