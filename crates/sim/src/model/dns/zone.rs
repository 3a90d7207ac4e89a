//! One zone: its records through time, and how it answers.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::after;

use super::covers;
use super::data::{Data, DnsAnswer, Kind, Rcode, Record};

/// A zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its apex.
    pub apex: Box<str>,
    /// The names of the servers that hold it, the primary first.
    pub servers: Vec<Box<str>>,
    /// The TTL of what is added.
    pub ttl: u32,
    /// What is wrong with it, on every server.
    pub fault: ZoneFault,
    /// By name with its labels reversed, so that what lies below a name follows it.
    owners: BTreeMap<Box<str>, Owner>,
    serial: u32,
}

/// What a name has and had.
#[derive(Clone, Debug)]
struct Owner {
    name: Box<str>,
    entries: Vec<Entry>,
}

/// What is wrong with a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZoneFault {
    /// All is well.
    #[default]
    None,
    /// Questions about it are not answered.
    Silent,
    /// Questions about it are answered SERVFAIL, as under broken DNSSEC.
    ServFail,
    /// Updates are refused.
    RefusesUpdates,
    /// Updates are accepted and forgotten.
    IgnoresUpdates,
}

/// A record and its life. What was removed is kept as long as a server may still show it.
#[derive(Clone, Debug)]
struct Entry {
    data: Data,
    added_at: Timestamp,
    removed_at: Option<Timestamp>,
}

impl Entry {
    fn shows(&self, at: Timestamp) -> bool {
        self.added_at <= at && self.removed_at.is_none_or(|removed_at| at < removed_at)
    }
}

/// How long what was removed is kept for servers that lag.
const KEEP: SignedDuration = SignedDuration::from_hours(24);

/// Returns a name with its labels reversed.
fn reversed(name: &str) -> Box<str> {
    name.rsplit('.').collect::<Vec<_>>().join(".").into()
}

impl Zone {
    /// Makes a zone on servers. Its own NS records name them from the beginning of time.
    #[must_use]
    pub fn new(apex: &str, servers: &[&str]) -> Self {
        let mut zone = Self {
            apex: apex.into(),
            servers: servers.iter().map(|server| Box::from(*server)).collect(),
            ttl: 60,
            fault: ZoneFault::default(),
            owners: BTreeMap::new(),
            serial: 1,
        };
        for server in servers {
            zone.add(apex, Data::Ns((*server).into()), Timestamp::MIN);
        }
        zone
    }

    /// Returns whether a server holds it.
    #[must_use]
    pub fn is_on(&self, server: &str) -> bool {
        self.servers.iter().any(|held| &**held == server)
    }

    /// Returns the records that a server without lag shows.
    pub fn records(&self, at: Timestamp) -> impl Iterator<Item = (&str, &Data)> {
        self.owners.values().flat_map(move |owner| {
            let shown = owner.entries.iter().filter(move |entry| entry.shows(at));
            shown.map(|entry| (&*owner.name, &entry.data))
        })
    }

    /// Returns what a server without lag shows of one name.
    pub(super) fn of(&self, name: &str, at: Timestamp) -> impl Iterator<Item = &Data> {
        let owner = self.owners.get(&reversed(name));
        let entries = owner.map(|owner| owner.entries.as_slice()).unwrap_or_default();
        entries.iter().filter(move |entry| entry.shows(at)).map(|entry| &entry.data)
    }

    pub(super) fn add(&mut self, name: &str, data: Data, now: Timestamp) {
        let owner = self.owners.entry(reversed(name));
        let owner = owner.or_insert_with(|| Owner { name: name.into(), entries: Vec::new() });
        if owner.entries.iter().any(|entry| entry.shows(now) && entry.data == data) {
            return;
        }
        // What no server can show any more is forgotten here, where it would pile up.
        let forgotten = after(now, -KEEP);
        owner.entries.retain(|entry| entry.removed_at.is_none_or(|at| at > forgotten));
        owner.entries.push(Entry { data, added_at: now, removed_at: None });
        self.serial = self.serial.wrapping_add(1);
    }

    pub(super) fn remove(&mut self, name: &str, now: Timestamp, which: impl Fn(&Data) -> bool) {
        let Some(owner) = self.owners.get_mut(&reversed(name)) else { return };
        let living = owner.entries.iter_mut().filter(|entry| entry.shows(now));
        for entry in living.filter(|entry| which(&entry.data)) {
            entry.removed_at = Some(now);
            self.serial = self.serial.wrapping_add(1);
        }
    }

    pub(super) fn delegate(&mut self, apex: &str, servers: &[&str]) {
        if let Some(owner) = self.owners.get_mut(&reversed(apex)) {
            owner.entries.retain(|entry| entry.data.kind() != Kind::Ns);
        }
        for server in servers {
            self.add(apex, Data::Ns((*server).into()), Timestamp::MIN);
        }
    }

    /// Answers a question for a name inside, as of a moment.
    pub(super) fn answer(&self, name: &str, kind: Kind, at: Timestamp) -> DnsAnswer {
        let mut answer = DnsAnswer { authoritative: true, ..DnsAnswer::empty(Rcode::NoError) };
        let mut name: Box<str> = name.into();
        // A CNAME is followed as long as it stays inside.
        for _ in 0..8 {
            if let Some(cut) = self.cut(&name, at) {
                // After a CNAME out of this zone's hands, the answer so far is all there is.
                if answer.answers.is_empty() {
                    answer.authoritative = false;
                    answer.authority = self.set(&cut, Kind::Ns, at);
                }
                return answer;
            }
            let Some(owner) = self.owner(&name, at) else {
                answer.rcode = Rcode::NxDomain;
                answer.authority = vec![self.soa()];
                return answer;
            };
            let renamed = |record: Record| Record { name: name.clone(), ..record };
            let found = self.set(&owner, kind, at);
            if !found.is_empty() || kind == Kind::Cname {
                answer.answers.extend(found.into_iter().map(renamed));
            } else if let Some(alias) = self.set(&owner, Kind::Cname, at).pop() {
                let Data::Cname(target) = alias.data.clone() else { return answer };
                answer.answers.push(renamed(alias));
                if covers(&self.apex, &target) {
                    name = target;
                    continue;
                }
            }
            break;
        }
        if answer.answers.is_empty() {
            answer.authority = vec![self.soa()];
        }
        answer
    }

    /// Returns the zone cut at or above a name, if there is one below the apex.
    fn cut(&self, name: &str, at: Timestamp) -> Option<Box<str>> {
        let mut cut = None;
        let mut above = name;
        while above != &*self.apex {
            if self.of(above, at).any(|data| data.kind() == Kind::Ns) {
                cut = Some(above);
            }
            let Some((_, parent)) = above.split_once('.') else { break };
            above = parent;
        }
        cut.map(Box::from)
    }

    /// Returns whose records answer for a name: its own, or a wildcard's (RFC 4592).
    fn owner(&self, name: &str, at: Timestamp) -> Option<Box<str>> {
        if self.exists(name, at) {
            return Some(name.into());
        }
        let mut encloser = name;
        while let Some((_, rest)) = encloser.split_once('.') {
            if self.exists(rest, at) {
                let wildcard = format!("*.{rest}");
                return self.exists(&wildcard, at).then(|| wildcard.into());
            }
            encloser = rest;
        }
        None
    }

    /// Returns whether a name, or one below it, has records.
    fn exists(&self, name: &str, at: Timestamp) -> bool {
        let shows = |owner: &Owner| owner.entries.iter().any(|entry| entry.shows(at));
        let key = reversed(name);
        if name == &*self.apex || self.owners.get(&key).is_some_and(shows) {
            return true;
        }
        let below: Box<str> = format!("{key}.").into();
        let after = self.owners.range(below.clone()..);
        after.take_while(|(key, _)| key.starts_with(&*below)).any(|(_, owner)| shows(owner))
    }

    fn set(&self, name: &str, kind: Kind, at: Timestamp) -> Vec<Record> {
        if kind == Kind::Soa {
            return if name == &*self.apex { vec![self.soa()] } else { Vec::new() };
        }
        let found = self.of(name, at).filter(|data| data.kind() == kind);
        found.map(|data| Record { name: name.into(), ttl: self.ttl, data: data.clone() }).collect()
    }

    fn soa(&self) -> Record {
        let primary = self.servers.first().cloned().unwrap_or_default();
        let data = Data::Soa { primary, serial: self.serial };
        Record { name: self.apex.clone(), ttl: self.ttl, data }
    }
}
