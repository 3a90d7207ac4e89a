//! Walking down the tree, from delegation to delegation.
//!
//! Each server is believed only about the zone for which it was asked: referrals must lead down,
//! towards the name, and addresses beside a referral count only for name servers inside the zone
//! that refers. Others are looked up by a walk of their own. A walk asks a bounded number of
//! questions, however the zones on its way refer to each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};

use super::resolver::{Answered, Resolver, is_answer};
use super::{DnsError, Recursion, exchange, is_within, question, to_text};

/// How many questions one lookup may take.
const MAX_QUESTIONS: u32 = 64;

/// How many delegations may lie below each other.
const MAX_CUTS: usize = 16;

/// How deep the walks for name servers' addresses may nest.
const MAX_NESTING: u8 = 4;

/// How many servers of one zone are tried.
const MAX_SERVERS: usize = 8;

/// One lookup's walk, with what it may still ask.
pub(super) struct Walk<'a> {
    resolver: &'a Resolver,
    starts: &'a [(String, Vec<SocketAddr>)],
    questions: u32,
}

/// A zone and the servers to which it is delegated.
struct Cut {
    zone: String,
    servers: Vec<SocketAddr>,
}

/// What a server said.
enum Said {
    Answer(Message),
    /// Others are responsible: the zone, its name servers, and addresses that can be believed.
    Referral {
        zone: String,
        names: Vec<String>,
        glue: Vec<IpAddr>,
    },
}

type Boxed<'f, T> = Pin<Box<dyn Future<Output = Result<T, DnsError>> + Send + 'f>>;

impl<'a> Walk<'a> {
    pub(super) const fn new(
        resolver: &'a Resolver,
        starts: &'a [(String, Vec<SocketAddr>)],
    ) -> Self {
        Self { resolver, starts, questions: 0 }
    }

    pub(super) async fn ask(mut self, name: &str, kind: RecordType) -> Result<Answered, DnsError> {
        self.descend(name, kind, 0).await
    }

    /// Boxed, since looking up a name server's address is a walk within the walk.
    fn descend<'f>(
        &'f mut self,
        name: &'f str,
        kind: RecordType,
        nesting: u8,
    ) -> Boxed<'f, Answered> {
        Box::pin(async move {
            let mut cut = self.start(name)?;
            for _ in 0..MAX_CUTS {
                match self.ask_zone(&cut, name, kind).await? {
                    Said::Answer(message) => {
                        return Ok(Answered { message, bailiwick: cut.zone });
                    }
                    Said::Referral { zone, names, glue } => {
                        let servers = self.servers(&names, glue, nesting).await;
                        if servers.is_empty() {
                            return Err(DnsError::Lame { zone });
                        }
                        cut = Cut { zone, servers };
                    }
                }
            }
            Err(self.too_deep(name))
        })
    }

    fn start(&self, name: &str) -> Result<Cut, DnsError> {
        self.starts
            .iter()
            .filter(|(zone, _)| is_within(name, zone))
            .max_by_key(|(zone, _)| zone.len())
            .map(|(zone, servers)| Cut { zone: zone.clone(), servers: servers.clone() })
            .ok_or_else(|| DnsError::NoServers(format!("no walk leads to `{name}`")))
    }

    /// Asks the servers of a zone in turn, until one answers or refers.
    async fn ask_zone(
        &mut self,
        cut: &Cut,
        name: &str,
        kind: RecordType,
    ) -> Result<Said, DnsError> {
        let mut last = DnsError::Lame { zone: cut.zone.clone() };
        for server in cut.servers.iter().take(MAX_SERVERS) {
            self.questions += 1;
            if self.questions > MAX_QUESTIONS {
                return Err(self.too_deep(name));
            }
            let request = question(name, kind, Recursion::NotDesired)?;
            match exchange(*server, request, self.resolver.timeout, None).await {
                Ok(message) if is_answer(&message) => match read(&cut.zone, name, message) {
                    Some(said) => return Ok(said),
                    None => last = DnsError::Lame { zone: cut.zone.clone() },
                },
                Ok(message) => last = DnsError::of_code(*server, &message),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Finds where the servers of a referral are: beside it, or by a walk for each until one is
    /// found.
    async fn servers(
        &mut self,
        names: &[String],
        glue: Vec<IpAddr>,
        nesting: u8,
    ) -> Vec<SocketAddr> {
        let port = self.resolver.port;
        let at = |ips: Vec<IpAddr>| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        if !glue.is_empty() {
            return at(glue);
        }
        if nesting == MAX_NESTING {
            return Vec::new();
        }
        for name in names.iter().take(MAX_SERVERS) {
            for kind in [RecordType::A, RecordType::AAAA] {
                // A name server's name may not be an alias: RFC 2181 section 10.3.
                let Ok(answered) = self.descend(name, kind, nesting + 1).await else { continue };
                let records = answered.message.answers.iter();
                let found: Vec<IpAddr> = records
                    .filter(|r| to_text(&r.name) == *name)
                    .filter_map(|r| address(&r.data))
                    .collect();
                if !found.is_empty() {
                    return at(found);
                }
            }
        }
        Vec::new()
    }

    fn too_deep(&self, name: &str) -> DnsError {
        DnsError::TooDeep { name: name.to_owned(), limit: MAX_QUESTIONS }
    }
}

/// Reads what a server of `zone` said of `name`; nothing if it neither answers nor refers downwards.
fn read(zone: &str, name: &str, message: Message) -> Option<Said> {
    if message.metadata.authoritative {
        return Some(Said::Answer(message));
    }
    let delegation = message.authorities.iter().find_map(|record| match &record.data {
        RData::NS(_) => Some(to_text(&record.name)),
        _ => None,
    });
    let below =
        delegation.filter(|cut| is_within(name, cut) && is_within(cut, zone) && cut != zone)?;
    let mut names: Vec<String> = Vec::new();
    for record in message.authorities.iter().filter(|record| to_text(&record.name) == below) {
        if let RData::NS(ns) = &record.data {
            names.push(to_text(&ns.0));
        }
    }
    let mut glue: Vec<IpAddr> = message
        .additionals
        .iter()
        .filter(|record| {
            let owner = to_text(&record.name);
            names.contains(&owner) && is_within(&owner, zone)
        })
        .filter_map(|record| address(&record.data))
        .collect();
    // IPv4 first: where there is no way by IPv6, nothing is lost.
    glue.sort_by_key(IpAddr::is_ipv6);
    Some(Said::Referral { zone: below, names, glue })
}

const fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

/// The root servers a to m, as IANA's root hints give them (<https://www.internic.net/domain/named.root>).
pub(super) const ROOTS: [Ipv4Addr; 13] = [
    Ipv4Addr::new(198, 41, 0, 4),
    Ipv4Addr::new(170, 247, 170, 2),
    Ipv4Addr::new(192, 33, 4, 12),
    Ipv4Addr::new(199, 7, 91, 13),
    Ipv4Addr::new(192, 203, 230, 10),
    Ipv4Addr::new(192, 5, 5, 241),
    Ipv4Addr::new(192, 112, 36, 4),
    Ipv4Addr::new(198, 97, 190, 53),
    Ipv4Addr::new(192, 36, 148, 17),
    Ipv4Addr::new(192, 58, 128, 30),
    Ipv4Addr::new(193, 0, 14, 129),
    Ipv4Addr::new(199, 7, 83, 42),
    Ipv4Addr::new(202, 12, 27, 33),
];
