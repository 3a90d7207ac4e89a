//! The DNS as a state machine: servers, zones, delegations, updates.
//!
//! ```text
//! root ──NS──▶ example.org @ ns1, ns2      updates reach a zone through any of its servers;
//!               └──NS──▶ sub @ ns3         each server shows them after its own lag
//! ```
//!
//! A zone is held by servers, and a delegation is a record of the parent: the two can disagree, as
//! they do after a domain has moved to another provider. Then the old zone still takes updates, and
//! nobody asks it. Names are A-labels in lower case without final dot; the root is empty.
//!
//! Deliberately absent: caches, DNSSEC, zone transfers. A server's lag stands for every kind of
//! "not yet".

mod data;
#[cfg(test)]
mod tests;
mod update;
mod zone;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{Place, after};

pub use data::{Caa, Data, DnsAnswer, Kind, Lookup, Rcode, Record};
pub use update::{Change, Prerequisite, Update};
pub use zone::{Zone, ZoneFault};

/// All servers and zones.
#[derive(Clone, Debug, Default)]
pub struct Dns {
    /// The servers by name.
    pub servers: BTreeMap<Box<str>, Server>,
    /// The zones by an id of their own: two providers may hold zones of the same apex. Made by
    /// [`Self::add_zone`] and [`Self::hold_zone`].
    pub zones: BTreeMap<Box<str>, Zone>,
    /// The ids of zones that are not called by their apex.
    others: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// What is wrong with the resolver that clients ask.
    pub resolver: ServerFault,
}

/// An authoritative server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it answers.
    pub address: SocketAddr,
    /// How long it takes to show what was changed.
    pub lag: SignedDuration,
    /// What is wrong with it.
    pub fault: ServerFault,
}

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerFault {
    /// All is well.
    #[default]
    None,
    /// It does not answer.
    Silent,
    /// It answers SERVFAIL.
    ServFail,
    /// It answers REFUSED.
    Refused,
}

/// The id of the root zone.
pub const ROOT: &str = ".";

/// How many CNAMEs and referrals are followed.
const MAX_STEPS: usize = 16;

impl Dns {
    /// Makes a DNS with a root zone on one server.
    #[must_use]
    pub fn new(root_server: &str, address: SocketAddr) -> Self {
        let mut dns = Self::default();
        dns.add_server(root_server, address);
        dns.zones.insert(ROOT.into(), Zone::new("", &[root_server]));
        dns
    }

    /// Starts a server.
    pub fn add_server(&mut self, name: &str, address: SocketAddr) {
        let server = Server { address, lag: SignedDuration::ZERO, fault: ServerFault::default() };
        self.servers.insert(name.into(), server);
    }

    /// Makes a zone under its apex as id, holds it on servers and delegates it to them.
    pub fn add_zone(&mut self, apex: &str, servers: &[&str]) {
        self.hold_zone(apex, apex, servers);
        self.delegate(apex, servers);
    }

    /// Holds a zone on servers, without anybody being told to ask them.
    pub fn hold_zone(&mut self, id: &str, apex: &str, servers: &[&str]) {
        self.zones.insert(id.into(), Zone::new(apex, servers));
        if id != apex {
            let others = self.others.entry(apex.into()).or_default();
            if others.iter().all(|other| &**other != id) {
                others.push(id.into());
            }
        }
    }

    /// Points the parent's delegation of `apex` at servers, at once: nothing lags there.
    pub fn delegate(&mut self, apex: &str, servers: &[&str]) {
        let parent =
            self.zones.values_mut().filter(|zone| &*zone.apex != apex && covers(&zone.apex, apex));
        if let Some(parent) = parent.max_by_key(|zone| zone.apex.len()) {
            parent.delegate(apex, servers);
        }
    }

    /// Puts a record into a zone; one that is there already stays.
    pub fn add(&mut self, zone: &str, name: &str, data: Data, now: Timestamp) {
        if let Some(zone) = self.zones.get_mut(zone) {
            zone.add(name, data, now);
        }
    }

    /// Takes a record out of a zone.
    pub fn remove(&mut self, zone: &str, name: &str, data: &Data, now: Timestamp) {
        if let Some(zone) = self.zones.get_mut(zone) {
            zone.remove(name, now, |found| found == data);
        }
    }

    /// Asks one server. Returns nothing where it is silent.
    #[must_use]
    pub fn ask(&self, server: &str, name: &str, kind: Kind, now: Timestamp) -> Option<DnsAnswer> {
        let found = self.servers.get(server)?;
        match found.fault {
            ServerFault::None => {}
            ServerFault::Silent => return None,
            ServerFault::ServFail => return Some(DnsAnswer::empty(Rcode::ServFail)),
            ServerFault::Refused => return Some(DnsAnswer::empty(Rcode::Refused)),
        }
        let Some(zone) = self.zone_at(server, name) else {
            return Some(DnsAnswer::empty(Rcode::Refused));
        };
        match zone.fault {
            ZoneFault::None | ZoneFault::RefusesUpdates | ZoneFault::IgnoresUpdates => {}
            ZoneFault::Silent => return None,
            ZoneFault::ServFail => return Some(DnsAnswer::empty(Rcode::ServFail)),
        }
        let mut answer = zone.answer(name, kind, after(now, -found.lag));
        answer.additional = self.glue(&answer.authority);
        Some(answer)
    }

    /// Resolves a name as a resolver does: from the root, along referrals and CNAMEs, asking the
    /// servers of a zone in order until one answers.
    #[must_use]
    pub fn resolve(&self, name: &str, kind: Kind, now: Timestamp) -> Lookup {
        match self.resolver {
            ServerFault::None => {}
            ServerFault::Silent => return Lookup::Silence,
            ServerFault::ServFail | ServerFault::Refused => return Lookup::ServFail,
        }
        let mut chain = Vec::new();
        let mut name: Box<str> = name.into();
        for _ in 0..MAX_STEPS {
            let (answer, _) = match self.walk(&name, kind, now) {
                Ok(found) => found,
                Err(failed) => return failed,
            };
            let alias = answer.alias(&name, kind);
            chain.extend(answer.answers);
            match (alias, answer.rcode) {
                (Some(alias), Rcode::NoError) => name = alias,
                (_, Rcode::NxDomain) => return Lookup::NoName,
                (None, Rcode::NoError) => return Lookup::Found(chain),
                (_, Rcode::ServFail | Rcode::Refused | Rcode::NotAuth | Rcode::NotZone) => {
                    return Lookup::ServFail;
                }
                (_, Rcode::YxDomain | Rcode::YxRrSet | Rcode::NxRrSet) => return Lookup::ServFail,
            }
        }
        Lookup::ServFail
    }

    /// Follows the delegations from the root; returns the answer of the last zone, and which of its
    /// servers gave it.
    fn walk(
        &self,
        name: &str,
        kind: Kind,
        now: Timestamp,
    ) -> Result<(DnsAnswer, Box<str>), Lookup> {
        let mut servers = self.zones.get(ROOT).map(|root| root.servers.clone()).unwrap_or_default();
        for _ in 0..MAX_STEPS {
            let (answer, server) = self.first_answer(&servers, name, kind, now)?;
            match answer.referral() {
                Some(next) => servers = next,
                None => return Ok((answer, server)),
            }
        }
        Err(Lookup::ServFail)
    }

    /// Asks servers in order until one gives an answer worth having.
    fn first_answer(
        &self,
        servers: &[Box<str>],
        name: &str,
        kind: Kind,
        now: Timestamp,
    ) -> Result<(DnsAnswer, Box<str>), Lookup> {
        let mut failure = Lookup::Silence;
        for server in servers {
            let Some(answer) = self.ask(server, name, kind, now) else { continue };
            match answer.rcode {
                Rcode::NoError | Rcode::NxDomain => return Ok((answer, server.clone())),
                Rcode::ServFail
                | Rcode::Refused
                | Rcode::NotAuth
                | Rcode::NotZone
                | Rcode::YxDomain
                | Rcode::YxRrSet
                | Rcode::NxRrSet => failure = Lookup::ServFail,
            }
        }
        Err(failure)
    }

    /// Returns the zone that a server answers from: the one whose apex is nearest.
    fn zone_at(&self, server: &str, name: &str) -> Option<&Zone> {
        self.nearest(server, name).map(|(_, zone)| zone)
    }

    /// Returns the zone on a server whose apex is nearest to a name, and its id.
    fn nearest(&self, server: &str, name: &str) -> Option<(&str, &Zone)> {
        // Most zones are called by their apex: then this is a look-up for each label.
        let above = std::iter::successors(Some(name), |name| {
            name.split_once('.').map(|(_, parent)| parent).or((!name.is_empty()).then_some(""))
        });
        for apex in above {
            let id = if apex.is_empty() { ROOT } else { apex };
            let plain = self.zones.get_key_value(id).filter(|(_, zone)| *zone.apex == *apex);
            let others = self.others.get(apex).into_iter().flatten();
            let mut held =
                plain.into_iter().chain(others.filter_map(|id| self.zones.get_key_value(&**id)));
            if let Some((id, zone)) = held.find(|(_, zone)| zone.is_on(server)) {
                return Some((&**id, zone));
            }
        }
        None
    }

    /// Returns the id of the zone that the world asks about a name.
    #[must_use]
    pub fn zone_of(&self, name: &str, now: Timestamp) -> Option<&str> {
        let (_, server) = self.walk(name, Kind::Soa, now).ok()?;
        self.nearest(&server, name).map(|(id, _)| id)
    }

    /// Returns where a record of a name goes: the end of its CNAME chain, the zone that holds it,
    /// and that zone's servers.
    #[must_use]
    pub fn place(&self, name: &str, now: Timestamp) -> Option<Place> {
        let mut record: Box<str> = name.into();
        for _ in 0..MAX_STEPS {
            let (answer, _) = self.walk(&record, Kind::Cname, now).ok()?;
            let Some(Data::Cname(target)) = answer.answers.last().map(|last| last.data.clone())
            else {
                break;
            };
            record = target;
        }
        let zone = self.zones.get(self.zone_of(&record, now)?)?;
        let addresses = zone.servers.iter().filter_map(|server| self.servers.get(server));
        let servers = addresses.map(|server| server.address).collect();
        Some(Place { record, zone: zone.apex.clone(), servers })
    }

    fn glue(&self, authority: &[Record]) -> Vec<Record> {
        let glue = |record: &Record| {
            let Data::Ns(server) = &record.data else { return None };
            let data = Data::address(self.servers.get(server)?.address.ip());
            Some(Record { name: server.clone(), ttl: record.ttl, data })
        };
        authority.iter().filter_map(glue).collect()
    }
}

/// Returns whether `name` is `apex` or lies below it.
#[must_use]
pub fn covers(apex: &str, name: &str) -> bool {
    apex.is_empty()
        || name == apex
        || name.strip_suffix(apex).is_some_and(|head| head.ends_with('.'))
}
