//! Records and answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The types of record that the model knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Alias.
    Cname,
    /// Name server.
    Ns,
    /// Start of authority; made by the zone itself.
    Soa,
    /// Text.
    Txt,
    /// RFC 8659.
    Caa,
    /// Any other: no zone has one.
    Other,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Alias.
    Cname(Box<str>),
    /// Name server.
    Ns(Box<str>),
    /// Start of authority.
    Soa {
        /// The primary server.
        primary: Box<str>,
        /// Grows with each change.
        serial: u32,
    },
    /// Text; longer ones are cut into strings on the wire.
    Txt(Box<str>),
    /// RFC 8659.
    Caa(Caa),
}

/// A CAA record.
///
/// Source: RFC 8659 section 4.1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caa {
    /// Whether a CA that does not know the tag must refuse.
    pub critical: bool,
    /// `issue`, `issuewild`, `iodef`, or anything else.
    pub tag: Box<str>,
    /// What the tag says.
    pub value: Box<str>,
}

impl Data {
    /// Returns the record's type.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Cname(_) => Kind::Cname,
            Self::Ns(_) => Kind::Ns,
            Self::Soa { .. } => Kind::Soa,
            Self::Txt(_) => Kind::Txt,
            Self::Caa(_) => Kind::Caa,
        }
    }

    /// Makes the record of an address.
    #[must_use]
    pub const fn address(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::A(ip),
            IpAddr::V6(ip) => Self::Aaaa(ip),
        }
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its owner.
    pub name: Box<str>,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// Response codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcode {
    /// RFC 1035.
    NoError,
    /// The name does not exist.
    NxDomain,
    /// The server could not.
    ServFail,
    /// The server would not.
    Refused,
    /// The server is not authoritative for the zone (RFC 2136), or the signature is wrong.
    NotAuth,
    /// A name is outside of the zone (RFC 2136).
    NotZone,
    /// A name exists that must not (RFC 2136).
    YxDomain,
    /// A set exists that must not (RFC 2136).
    YxRrSet,
    /// A set does not exist that must (RFC 2136).
    NxRrSet,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// How it went.
    pub rcode: Rcode,
    /// Whether the server holds the zone.
    pub authoritative: bool,
    /// The answer, CNAMEs first.
    pub answers: Vec<Record>,
    /// A referral's NS records, or the SOA of a negative answer.
    pub authority: Vec<Record>,
    /// Addresses of what `authority` names.
    pub additional: Vec<Record>,
}

impl DnsAnswer {
    pub(super) const fn empty(rcode: Rcode) -> Self {
        Self {
            rcode,
            authoritative: false,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }

    /// Returns the servers to ask instead, if this is a referral.
    #[must_use]
    pub fn referral(&self) -> Option<Vec<Box<str>>> {
        if self.authoritative || !self.answers.is_empty() {
            return None;
        }
        let servers: Vec<Box<str>> = self
            .authority
            .iter()
            .filter_map(|record| match &record.data {
                Data::Ns(server) => Some(server.clone()),
                Data::A(_)
                | Data::Aaaa(_)
                | Data::Cname(_)
                | Data::Soa { .. }
                | Data::Txt(_)
                | Data::Caa(_) => None,
            })
            .collect();
        (!servers.is_empty()).then_some(servers)
    }

    /// Returns the end of the CNAME chain that starts at `name`, if nothing of `kind` is there.
    pub(super) fn alias(&self, name: &str, kind: Kind) -> Option<Box<str>> {
        let mut end: Option<&str> = None;
        for record in &self.answers {
            match &record.data {
                Data::Cname(target)
                    if kind != Kind::Cname && *record.name == *end.unwrap_or(name) =>
                {
                    end = Some(target);
                }
                data if data.kind() == kind => return None,
                _ => {}
            }
        }
        end.map(Box::from)
    }
}

/// What a resolver found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The name exists: the CNAMEs on the way and the records of the kind asked for, perhaps none.
    Found(Vec<Record>),
    /// The name does not exist.
    NoName,
    /// No server could answer.
    ServFail,
    /// No server answered.
    Silence,
}

impl Lookup {
    /// Returns the data of one kind; nothing where the lookup failed.
    pub fn data(&self, kind: Kind) -> impl Iterator<Item = &Data> {
        let records = match self {
            Self::Found(records) => records.as_slice(),
            Self::NoName | Self::ServFail | Self::Silence => &[],
        };
        records.iter().map(|record| &record.data).filter(move |data| data.kind() == kind)
    }
}
