//! Looking names up.
//!
//! Two ways give the same answers: servers that recurse are asked in turn, or the tree is walked
//! from the root (or from a configured parent) and nobody's cache is believed. Either way a chain of
//! CNAMEs is followed here, link by link, and each link is reported: whose name a name really is
//! decides about challenges, CAA and blame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{CAA, TLSA};
use hickory_proto::rr::{RData, RecordType};

use super::walk::{ROOTS, Walk};
use super::{DnsError, Recursion, exchange, is_within, question, to_text};

/// How many links a chain of CNAMEs may have. Boulder's resolvers follow as few.
pub const MAX_ALIASES: usize = 8;

/// How long a server that is silent is waited for, unless told otherwise.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);

/// How many times the time for one question a whole lookup may take.
const LOOKUP_QUESTIONS: u32 = 8;

/// Looks names up.
#[derive(Clone, Debug)]
pub struct Resolver {
    plan: Plan,
    pub(super) timeout: Duration,
    limit: Option<Duration>,
    pub(super) port: u16,
}

#[derive(Clone, Debug)]
enum Plan {
    /// Ask these, in order.
    Recursive(Vec<SocketAddr>),
    /// Walk down from the closest of these zones.
    Iterative(Vec<(String, Vec<SocketAddr>)>),
}

/// What was found under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name asked for.
    pub name: String,
    /// The names that it is an alias of, link by link.
    pub aliases: Vec<String>,
    /// Whether the name at the end of the chain exists, with whatever records.
    pub exists: bool,
    /// The records of the type asked for, at the end of the chain.
    pub records: Vec<RData>,
    /// Whether signatures came with the records: their zone is signed. They are asked for with TLSA
    /// records only, and are not checked here.
    pub signed: bool,
    /// How long the records may be remembered, in seconds.
    pub ttl_secs: u32,
    /// The zone that says so, as far as the answer names it: the apex of what does not exist.
    pub zone: Option<String>,
}

impl Lookup {
    /// Returns the name at the end of the chain: the one that owns the records.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.aliases.last().unwrap_or(&self.name)
    }

    /// Returns the addresses among the records.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.each(|data| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        })
    }

    /// Returns the names that NS records point to.
    #[must_use]
    pub fn name_servers(&self) -> Vec<String> {
        let mut names = self.each(|data| match data {
            RData::NS(ns) => Some(to_text(&ns.0)),
            _ => None,
        });
        names.sort();
        names
    }

    /// Returns the TXT records, each with its strings joined (RFC 8555 section 8.4 reads them so).
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.each(|data| match data {
            RData::TXT(txt) => {
                let joined: Vec<u8> = txt.txt_data.iter().flat_map(|part| part.to_vec()).collect();
                Some(String::from_utf8_lossy(&joined).into_owned())
            }
            _ => None,
        })
    }

    /// Returns the CAA records.
    #[must_use]
    pub fn caa(&self) -> Vec<CAA> {
        self.each(|data| match data {
            RData::CAA(caa) => Some(caa.clone()),
            _ => None,
        })
    }

    /// Returns the TLSA records.
    #[must_use]
    pub fn tlsa(&self) -> Vec<TLSA> {
        self.each(|data| match data {
            RData::TLSA(tlsa) => Some(tlsa.clone()),
            _ => None,
        })
    }

    fn each<T>(&self, pick: impl Fn(&RData) -> Option<T>) -> Vec<T> {
        self.records.iter().filter_map(pick).collect()
    }
}

/// What one server answered, and how far it may be believed.
pub(super) struct Answered {
    pub(super) message: Message,
    /// The zone for which the server was asked: it may speak of names in it only.
    pub(super) bailiwick: String,
}

impl Resolver {
    /// Asks the servers of this machine's `/etc/resolv.conf`.
    ///
    /// # Errors
    ///
    /// Returns why the file cannot be read.
    pub fn system() -> Result<Self, DnsError> {
        let text = std::fs::read_to_string(RESOLV_CONF)
            .map_err(|error| DnsError::NoServers(format!("{RESOLV_CONF}: {error}")))?;
        Ok(Self::recursive(resolv_conf(&text)))
    }

    /// Asks these servers, which must recurse, in order.
    #[must_use]
    pub const fn recursive(servers: Vec<SocketAddr>) -> Self {
        Self { plan: Plan::Recursive(servers), timeout: QUESTION_TIMEOUT, limit: None, port: 53 }
    }

    /// Walks down from the closest of these zones, each given with its servers. The root is the
    /// empty text; a configured parent is a zone of its own.
    #[must_use]
    pub const fn iterative(from: Vec<(String, Vec<SocketAddr>)>) -> Self {
        Self { plan: Plan::Iterative(from), timeout: QUESTION_TIMEOUT, limit: None, port: 53 }
    }

    /// Walks down from the root of the public tree.
    #[must_use]
    pub fn from_root() -> Self {
        let roots = ROOTS.iter().map(|ip| SocketAddr::new((*ip).into(), 53)).collect();
        Self::iterative(vec![(String::new(), roots)])
    }

    /// Waits so long for one server.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Ends a whole lookup after so long, however many servers there are left to ask.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Asks name servers that are found by name at this port.
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Returns whether a server is one of those that recurse for us: its failures are our own.
    #[must_use]
    pub fn relies_on(&self, server: SocketAddr) -> bool {
        match &self.plan {
            Plan::Recursive(servers) => servers.contains(&server),
            Plan::Iterative(_) => false,
        }
    }

    /// Looks up the records of one type, following CNAMEs. A name that does not exist and a name
    /// without such records are answers, not errors.
    ///
    /// # Errors
    ///
    /// Returns why nothing is known: nobody answers, the answers are errors, the chain is too long.
    pub async fn lookup(&self, name: &str, kind: RecordType) -> Result<Lookup, DnsError> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if let Some(loopback) = localhost(&name, kind) {
            return Ok(loopback);
        }
        let total = self.timeout.saturating_mul(LOOKUP_QUESTIONS);
        let total = self.limit.map_or(total, |limit| limit.min(total));
        let within_ms = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
        let late = || DnsError::Late { name: name.clone(), within_ms };
        tokio::time::timeout(total, self.follow(&name, kind)).await.unwrap_or_else(|_| Err(late()))
    }

    /// Looks up the addresses of a name, of both families at once.
    ///
    /// The two results stand apart: a name whose AAAA question fails has an unknown number of
    /// addresses, which is worth saying.
    pub async fn addresses(&self, name: &str) -> [Result<Lookup, DnsError>; 2] {
        let (v4, v6) =
            tokio::join!(self.lookup(name, RecordType::A), self.lookup(name, RecordType::AAAA));
        [v4, v6]
    }

    async fn follow(&self, name: &str, kind: RecordType) -> Result<Lookup, DnsError> {
        let mut chain = AliasChain::new(name);
        loop {
            let before = chain.aliases.len();
            let answered = self.ask(chain.end(), kind).await?;
            let records = chain.follow(&answered, kind)?;
            let zone = negative_zone(&answered, chain.end());
            let code = answered.message.metadata.response_code;
            let settled = !records.is_empty()
                || chain.aliases.len() == before
                || (is_within(chain.end(), &answered.bailiwick)
                    && (code == ResponseCode::NXDomain || zone.is_some()));
            if settled {
                let exists = !records.is_empty() || code != ResponseCode::NXDomain;
                let AliasChain { name, aliases, signed, ttl_secs } = chain;
                return Ok(Lookup { name, aliases, exists, records, signed, ttl_secs, zone });
            }
        }
    }

    /// Asks one question by the resolver's plan; NXDOMAIN is an answer, other codes are errors.
    pub(super) async fn ask(&self, name: &str, kind: RecordType) -> Result<Answered, DnsError> {
        match &self.plan {
            Plan::Recursive(servers) => self.ask_recursive(servers, name, kind).await,
            Plan::Iterative(starts) => Walk::new(self, starts).ask(name, kind).await,
        }
    }

    async fn ask_recursive(
        &self,
        servers: &[SocketAddr],
        name: &str,
        kind: RecordType,
    ) -> Result<Answered, DnsError> {
        let mut last = DnsError::NoServers("the list of servers is empty".to_owned());
        for server in servers {
            let request = question(name, kind, Recursion::Desired)?;
            match exchange(*server, request, self.timeout, None).await {
                Ok(message) if is_answer(&message) => {
                    return Ok(Answered { message, bailiwick: String::new() });
                }
                Ok(message) => last = DnsError::of_code(*server, &message),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A chain of aliases being followed.
pub(super) struct AliasChain {
    name: String,
    aliases: Vec<String>,
    signed: bool,
    ttl_secs: u32,
}

impl AliasChain {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), aliases: Vec::new(), signed: false, ttl_secs: u32::MAX }
    }

    fn end(&self) -> &str {
        self.aliases.last().unwrap_or(&self.name)
    }

    /// Follows the links that an answer shows, as far as its server may speak of them, and returns
    /// the records at the end if they are there.
    pub(super) fn follow(
        &mut self,
        answered: &Answered,
        kind: RecordType,
    ) -> Result<Vec<RData>, DnsError> {
        loop {
            let end = self.end();
            if !is_within(end, &answered.bailiwick) {
                return Ok(Vec::new());
            }
            let at_end = answered.message.answers.iter().filter(|r| to_text(&r.name) == end);
            let (mut records, mut link) = (Vec::new(), None);
            let (mut signed, mut ttl_secs) = (false, u32::MAX);
            for record in at_end {
                match &record.data {
                    data if record.record_type() == kind => {
                        records.push(data.clone());
                        ttl_secs = ttl_secs.min(record.ttl);
                    }
                    _ if record.record_type() == RecordType::RRSIG => signed = true,
                    RData::CNAME(target) => link = Some(to_text(&target.0)),
                    _ => {}
                }
            }
            match link {
                Some(target) if records.is_empty() => self.push(target)?,
                _ => {
                    (self.signed, self.ttl_secs) = (signed, ttl_secs);
                    return Ok(records);
                }
            }
        }
    }

    fn push(&mut self, target: String) -> Result<(), DnsError> {
        let circle = self.name == target || self.aliases.contains(&target);
        if circle || self.aliases.len() == MAX_ALIASES {
            return Err(DnsError::Aliases { name: self.name.clone() });
        }
        self.aliases.push(target);
        Ok(())
    }
}

/// The zone whose SOA an answer without records shows, if it can speak for the name.
pub(super) fn negative_zone(answered: &Answered, name: &str) -> Option<String> {
    let soa = answered.message.authorities.iter().find(|r| matches!(r.data, RData::SOA(_)))?;
    let zone = to_text(&soa.name);
    (is_within(name, &zone) && is_within(&zone, &answered.bailiwick)).then_some(zone)
}

pub(super) fn is_answer(message: &Message) -> bool {
    matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// Names that never leave this machine. Source: RFC 6761 section 6.3.
fn localhost(name: &str, kind: RecordType) -> Option<Lookup> {
    if !is_within(name, "localhost") {
        return None;
    }
    let records = match kind {
        RecordType::A => vec![RData::A(Ipv4Addr::LOCALHOST.into())],
        RecordType::AAAA => vec![RData::AAAA(Ipv6Addr::LOCALHOST.into())],
        _ => Vec::new(),
    };
    let name = name.to_owned();
    let aliases = Vec::new();
    Some(Lookup { name, aliases, exists: true, records, signed: false, ttl_secs: 0, zone: None })
}

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Reads the servers; without any, the one on this machine is meant (resolv.conf(5)).
fn resolv_conf(text: &str) -> Vec<SocketAddr> {
    let servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let server = words.next().filter(|word| *word == "nameserver").and(words.next())?;
            server.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53))
        })
        .take(MAX_SERVERS)
        .collect();
    if servers.is_empty() {
        return vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)];
    }
    servers
}

/// As many as resolv.conf(5) allows.
const MAX_SERVERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_resolv_conf() {
        let text = "# c\nsearch example.org\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n\
                    nameserver 2001:db8::1 \nnameservers 192.0.2.9\n";
        let servers: Vec<SocketAddr> =
            ["192.0.2.1:53", "[2001:db8::1]:53"].iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!(resolv_conf(text), servers);
        assert_eq!(resolv_conf(""), ["127.0.0.1:53".parse().unwrap()]);
    }
}
