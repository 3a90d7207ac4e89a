//! Which zone holds a name, who serves it, and whether they answer.

use std::net::SocketAddr;
use std::time::Duration;

use perennial_wire::dns::{
    DnsError, NameServer, RecordType, Recursion, Resolver, exchange, question,
};
use tokio::task::JoinSet;

use super::Unknown;
use super::operator::{Operator, operator_of};

/// A zone and who serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFacts {
    /// The apex.
    pub apex: String,
    /// The name servers.
    pub servers: Vec<ServerFacts>,
}

/// One name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its name.
    pub name: String,
    /// Who runs it, where its name tells.
    pub operator: Option<Operator>,
    /// Addresses that answer for the zone.
    pub answering: Vec<SocketAddr>,
    /// Addresses that do not, with why.
    pub failing: Vec<(SocketAddr, String)>,
    /// Addresses that this machine has no way to.
    pub out_of_reach: Vec<SocketAddr>,
    /// Why its addresses are not known.
    pub problem: Option<String>,
}

impl ZoneFacts {
    /// Returns who serves the zone: each operator once, in the order of the servers' names.
    #[must_use]
    pub fn operators(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for operator in self.servers.iter().filter_map(|server| server.operator) {
            if !names.contains(&operator.name) {
                names.push(operator.name);
            }
        }
        names
    }
}

pub(super) async fn look(
    resolver: &Resolver,
    name: &str,
    timeout: Duration,
) -> Result<ZoneFacts, Unknown> {
    let apex = resolver.apex(name).await?;
    let found = resolver.zone_servers(&apex).await?;
    let mut asking = JoinSet::new();
    for server in found.servers {
        let apex = apex.clone();
        asking.spawn(async move { ask_all(server, &apex, timeout).await });
    }
    let mut servers = asking.join_all().await;
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ZoneFacts { apex, servers })
}

/// Asks every address of a server for the zone's SOA: whoever serves the zone answers with authority.
async fn ask_all(server: NameServer, apex: &str, timeout: Duration) -> ServerFacts {
    let mut facts = ServerFacts {
        operator: operator_of(&server.name),
        name: server.name,
        answering: Vec::new(),
        failing: Vec::new(),
        out_of_reach: Vec::new(),
        problem: server.problem.map(|error| error.to_string()),
    };
    let mut asking = JoinSet::new();
    for address in server.addresses {
        let request = question(apex, RecordType::SOA, Recursion::NotDesired);
        asking.spawn(async move {
            let answer = match request {
                Ok(request) => exchange(address, request, timeout, None).await,
                Err(error) => Err(error),
            };
            (address, answer)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(address, _)| *address);
    for (address, answer) in answers {
        match answer {
            Ok(message) if message.metadata.authoritative => facts.answering.push(address),
            Ok(message) => {
                let text = format!("does not serve {apex} ({})", message.metadata.response_code);
                facts.failing.push((address, text));
            }
            Err(DnsError::NoRoute { .. }) => facts.out_of_reach.push(address),
            Err(error) => facts.failing.push((address, error.to_string())),
        }
    }
    facts
}
