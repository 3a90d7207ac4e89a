//! The outside: CAs, DNS, web servers, targets and their hosts, each a model of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use perennial_core::words::{ChallengeKind, Identifier, Name, Problem, Url};

use super::shelf::{Bundle, Shelf};
use crate::model::ca::verdict::{self, Fetched, Shaken};
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
    /// What is shown within TLS handshakes, by name: the last of the answers that are up.
    pub handshakes: BTreeMap<Identifier, Vec<Shown>>,
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

/// The token and the text of an answer.
type Shown = (Box<str>, Box<str>);

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
            handshakes: BTreeMap::new(),
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
                let verdict = self.validate(issuer, &validation, now);
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

    fn validate(
        &self,
        issuer: &Name,
        validation: &Validation,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let is_dark = self.dark_names.contains(&validation.identifier);
        match validation.kind {
            ChallengeKind::Dns01 | ChallengeKind::DnsAccount01 => {
                let (kind, account) = (&validation.kind, &validation.account);
                let name = record_name(kind, &validation.identifier, account);
                let found = self.dns.resolve(&name, Kind::Txt, now);
                verdict::dns01(&name, &validation.key_authorization(), &found)
            }
            ChallengeKind::DnsPersist01 => {
                let (kind, account) = (&validation.kind, &validation.account);
                let name = record_name(kind, &validation.identifier, account);
                let found = self.dns.resolve(&name, Kind::Txt, now);
                let identities = self.cas.get(issuer).map(|ca| &*ca.config.caa_identities);
                verdict::dns_persist01(validation, identities.unwrap_or_default(), &found)
            }
            ChallengeKind::TlsAlpn01 => {
                let found = self.shaken(&validation.identifier, is_dark);
                verdict::tls_alpn01(validation, &validation.key_authorization(), &found)
            }
            ChallengeKind::Http01 | ChallengeKind::Other(_) => {
                verdict::http01(validation, &self.fetched(&validation.token, is_dark))
            }
        }
    }

    fn fetched(&self, token: &str, is_dark: bool) -> Fetched {
        let address = Box::from("192.0.2.1");
        if is_dark {
            Fetched::Failed { address, cause: "Connection refused".into() }
        } else {
            match self.web.get(token) {
                Some(body) => Fetched::Answer { from: address, status: 200, body: body.clone() },
                None => Fetched::Answer { from: address, status: 404, body: "".into() },
            }
        }
    }

    fn shaken(&self, identifier: &Identifier, is_dark: bool) -> Shaken {
        let from = Box::from("192.0.2.1");
        if is_dark {
            let (address, cause) = (from, "Connection refused".into());
            return Shaken::Failed { address, cause, connected: false };
        }
        match self.handshakes.get(identifier).and_then(|shown| shown.last()) {
            Some((_, text)) => {
                let (names, digest) = (vec![identifier.base().into()], Some(text.clone()));
                Shaken::Certificate { from, names, digest }
            }
            None => {
                let cause = "remote error: tls: access denied".into();
                Shaken::Failed { address: from, cause, connected: true }
            }
        }
    }

    /// Returns how many challenge answers are up.
    #[must_use]
    pub fn answers_up(&self, now: Timestamp) -> usize {
        let zones = self.dns.zones.values();
        let texts = zones.map(|zone| {
            let records = zone.records(now);
            records.filter(|(name, _)| name.contains("_acme-challenge")).count()
        });
        let shown = self.handshakes.values().map(Vec::len);
        self.web.len() + shown.sum::<usize>() + texts.sum::<usize>()
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

/// Returns the name at which a CA looks for a DNS answer. In the model's world an account's label is
/// the end of its URL, and no digest.
pub(super) fn record_name(kind: &ChallengeKind, identifier: &Identifier, account: &Url) -> String {
    let base = identifier.base();
    match kind {
        ChallengeKind::DnsAccount01 => {
            let label = account.0.rsplit('/').next().unwrap_or_default();
            format!("_{label}._acme-challenge.{base}")
        }
        ChallengeKind::DnsPersist01 => format!("_validation-persist.{base}"),
        ChallengeKind::Http01
        | ChallengeKind::Dns01
        | ChallengeKind::TlsAlpn01
        | ChallengeKind::Other(_) => format!("_acme-challenge.{base}"),
    }
}

impl Default for Outside {
    fn default() -> Self {
        Self::new()
    }
}
