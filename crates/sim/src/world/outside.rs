//! The outside: CAs, DNS, web servers, targets and their hosts, each a model of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use perennial_core::words::{ChallengeKind, Identifier, Name, Problem};

use super::shelf::{Bundle, Shelf};
use crate::model::ca::verdict::{self, Fetched};
use crate::model::ca::{Ca, CaEffect, Validation};
use crate::model::dns::{Dns, Kind, Lookup};
use crate::model::host::TlsHost;
use crate::model::target::Target;

/// Everything outside of the process.
#[derive(Clone, Debug)]
pub struct Outside {
    /// CAs by issuer.
    pub cas: BTreeMap<Name, Ca>,
    /// The DNS.
    pub dns: Dns,
    /// Where dns-01 answers are written: the server that takes updates.
    pub primary: Box<str>,
    /// Answers that web servers give, by token.
    pub web: BTreeMap<Box<str>, Box<str>>,
    /// Names whose web server cannot be reached by the CA.
    pub dark_names: Vec<Identifier>,
    /// Whether the CAs' lists of the revoked cannot be had.
    pub lists_are_dark: bool,
    /// Targets.
    pub targets: BTreeMap<Name, Target<Bundle>>,
    /// The host that serves a certificate at a target.
    pub hosts: BTreeMap<(Name, Name), TlsHost<Bundle>>,
    /// The daemon's disk.
    pub shelf: Shelf,
}

impl Outside {
    /// Makes an outside in which there is only DNS.
    #[must_use]
    pub fn new() -> Self {
        let primary = "ns1.provider.test";
        let mut dns = Dns::new("a.root.test", SocketAddr::from(([127, 0, 0, 53], 53)));
        dns.add_server(primary, SocketAddr::from(([127, 0, 1, 53], 53)));
        Self {
            cas: BTreeMap::new(),
            dns,
            primary: primary.into(),
            web: BTreeMap::new(),
            dark_names: Vec::new(),
            lists_are_dark: false,
            targets: BTreeMap::new(),
            hosts: BTreeMap::new(),
            shelf: Shelf::default(),
        }
    }

    /// Takes out what the CAs need done.
    pub fn effects(&mut self) -> Vec<(Name, CaEffect)> {
        let mut all = Vec::new();
        for (name, ca) in &mut self.cas {
            all.extend(ca.effects().map(|effect| (name.clone(), effect)));
        }
        all
    }

    /// Does what a CA needs done.
    pub fn settle(&mut self, issuer: &Name, effect: CaEffect, now: Timestamp) {
        match effect {
            CaEffect::Validate(validation) => {
                let verdict = self.validate(&validation, now);
                if let Some(ca) = self.cas.get_mut(issuer) {
                    ca.verdict(validation.authorization, verdict, now);
                }
            }
            CaEffect::Issue { order, leaf, .. } => {
                if let Some(ca) = self.cas.get_mut(issuer) {
                    ca.issued(order, Ok(leaf), now);
                }
            }
        }
    }

    fn validate(&self, validation: &Validation, now: Timestamp) -> Result<(), Problem> {
        if validation.kind == ChallengeKind::Dns01 {
            let name = format!("_acme-challenge.{}", validation.identifier.base());
            let found = self.dns.resolve(&name, Kind::Txt, now);
            return verdict::dns01(validation, &validation.key_authorization(), &found);
        }
        let address = Box::from("192.0.2.1");
        let found = if self.dark_names.contains(&validation.identifier) {
            Fetched::Failed { address, cause: "Connection refused".into() }
        } else {
            match self.web.get(&validation.token) {
                Some(body) => Fetched::Answer { from: address, status: 200, body: body.clone() },
                None => Fetched::Answer { from: address, status: 404, body: "".into() },
            }
        };
        verdict::http01(validation, &found)
    }

    /// Returns how many challenge answers are up.
    #[must_use]
    pub fn answers_up(&self, now: Timestamp) -> usize {
        let zones = self.dns.zones.values();
        let texts = zones.map(|zone| {
            let records = zone.records(now);
            records.filter(|(name, _)| name.starts_with("_acme-challenge")).count()
        });
        self.web.len() + texts.sum::<usize>()
    }

    /// Makes a target and everything behind it dead, or alive again.
    pub fn set_dead(&mut self, target: &Name, dead: bool) {
        if let Some(found) = self.targets.get_mut(target) {
            found.faults.unreachable = dead;
        }
        for host in self.hosts_of(target) {
            host.faults.unreachable = dead;
        }
    }

    /// Makes reloads at a target say yes and do nothing, or work again.
    pub fn set_deaf(&mut self, target: &Name, deaf: bool) {
        for host in self.hosts_of(target) {
            host.faults.reload_does_nothing = deaf;
        }
    }

    fn hosts_of(&mut self, target: &Name) -> impl Iterator<Item = &mut TlsHost<Bundle>> {
        let target = target.clone();
        self.hosts.iter_mut().filter(move |((own, _), _)| *own == target).map(|(_, host)| host)
    }

    /// Returns the hosts that serve a certificate, each with its target.
    pub fn hosts_for<'a>(
        &'a self,
        targets: &'a [Name],
        certificate: &'a Name,
    ) -> impl Iterator<Item = (&'a Name, &'a TlsHost<Bundle>)> {
        targets.iter().filter_map(move |target| {
            let host = self.hosts.get(&(target.clone(), certificate.clone()))?;
            Some((target, host))
        })
    }

    /// Returns the TXT values that a resolver finds at a name.
    #[must_use]
    pub fn texts(&self, name: &str, now: Timestamp) -> Lookup {
        self.dns.resolve(name, Kind::Txt, now)
    }
}

impl Default for Outside {
    fn default() -> Self {
        Self::new()
    }
}
