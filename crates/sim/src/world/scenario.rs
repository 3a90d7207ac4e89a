//! Scenarios: what is declared, and the outside to go with it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::intent::{
    CertificateSpec, EndpointSpec, Intent, IssuerKind, IssuerSpec, KeyRotation, Serves, Site,
    SiteHost, SolverSpec, TargetSpec,
};
use perennial_core::words::{ChallengeKind, Identifier, KeyAlgorithm, Name, after};

use super::outside::Outside;
use crate::model::Dice;
use crate::model::ca::{Ca, CaConfig};
use crate::model::host::TlsHost;

/// What is declared, and the outside to go with it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the operator declares.
    pub intent: Intent,
    /// What there is.
    pub outside: Outside,
    /// When it begins.
    pub begins_at: Timestamp,
    addresses: u32,
}

impl Scenario {
    /// Makes a scenario with one CA `ca` like Let's Encrypt, a solver `web` for http-01 and a solver
    /// `dns` for dns-01.
    #[must_use]
    pub fn new(seed: u64, begins_at: Timestamp) -> Self {
        let chain_until = after(begins_at, SignedDuration::from_hours(24 * 365 * 5));
        let config = CaConfig::like_lets_encrypt("https://ca.test", chain_until);
        let ca = Ca::new(config, Dice::new(seed));
        let mut outside = Outside::new();
        outside.cas.insert(Name::new("ca"), ca);
        let issuer = IssuerSpec {
            directory: "https://ca.test/directory".into(),
            contact: Box::default(),
            eab: false,
            profile: None,
            agreed: true,
            kind: IssuerKind::Public,
            account_key: KeyAlgorithm::EcdsaP256,
        };
        let solvers = [
            (Name::new("web"), spec_of(ChallengeKind::Http01)),
            (Name::new("dns"), spec_of(ChallengeKind::Dns01)),
        ];
        let intent = Intent {
            issuers: BTreeMap::from([(Name::new("ca"), issuer)]),
            solvers: BTreeMap::from(solvers),
            ..Intent::default()
        };
        Self { intent, outside, begins_at, addresses: 0 }
    }

    /// Returns the CA.
    pub fn ca(&mut self) -> Option<&mut Ca> {
        self.outside.cas.get_mut(&Name::new("ca"))
    }

    /// Declares a certificate whose names are answered for by `solver` and which is served at
    /// `targets`, each of which has two addresses for it. Besides `web` and `dns` there are `tls` for
    /// tls-alpn-01, `account` for dns-account-01 and `standing` for dns-persist-01, declared with the
    /// first that wants them.
    #[must_use]
    pub fn with(mut self, name: &str, names: &[&str], solver: &str, targets: &[&str]) -> Self {
        let name = Name::new(name);
        let mut identifiers: Vec<Identifier> =
            names.iter().filter_map(|text| Identifier::new(text).ok()).collect();
        identifiers.sort();
        let further = match solver {
            "tls" => Some(ChallengeKind::TlsAlpn01),
            "account" => Some(ChallengeKind::DnsAccount01),
            "standing" => Some(ChallengeKind::DnsPersist01),
            _ => None,
        };
        if let Some(kind) = further {
            self.intent.solvers.insert(Name::new(solver), spec_of(kind));
        }
        for identifier in
            identifiers.iter().filter(|_| matches!(solver, "dns" | "account" | "standing"))
        {
            self.add_zone(identifier);
        }
        for target in targets {
            self.add_host(target, &name);
        }
        let plain = identifiers.iter().filter(|identifier| !identifier.is_wildcard());
        let endpoints = plain.map(|server_name| EndpointSpec {
            server_name: server_name.clone(),
            connect_to: None,
            port: 443,
            serves: Serves::Ours,
            protocol: perennial_core::words::Protocol::Tls,
            variant: None,
            shared: false,
        });
        let spec = CertificateSpec {
            endpoints: endpoints.collect(),
            identifiers: identifiers.into(),
            issuers: Arc::new([Name::new("ca")]),
            solvers: Arc::new([Name::new(solver)]),
            targets: targets.iter().map(|target| Name::new(target)).collect(),
            key: KeyAlgorithm::EcdsaP256,
            key_chosen: false,
            pins: Box::default(),
            chain: None,
            rotation: KeyRotation::Rotate,
            renew_before: None,
            owner: None,
            was: None,
        };
        self.intent.certificates.insert(name, spec);
        self
    }

    /// Lets every target declare the addresses at which it serves.
    #[must_use]
    pub fn with_lists(mut self) -> Self {
        for ((target, _), host) in &self.outside.hosts {
            let Some(spec) = self.intent.targets.get_mut(target) else { continue };
            let own = host.addresses().map(|address| Site {
                host: SiteHost::Address(address.ip()),
                port: Some(address.port()),
            });
            spec.serves_at = spec.serves_at.iter().cloned().chain(own).collect();
        }
        self
    }

    fn add_zone(&mut self, identifier: &Identifier) {
        let labels: Vec<&str> = identifier.base().rsplit('.').take(2).collect();
        let apex = labels.into_iter().rev().collect::<Vec<_>>().join(".");
        if !self.outside.dns.zones.contains_key(&*apex) {
            let primary = self.outside.primary.clone();
            self.outside.dns.add_zone(&apex, &[&primary]);
        }
    }

    fn add_host(&mut self, target: &str, certificate: &Name) {
        let target = Name::new(target);
        self.intent.targets.entry(target.clone()).or_insert_with(|| TargetSpec {
            take_over: false,
            validates: true,
            settle: SignedDuration::from_secs(10),
            serves_at: Box::default(),
        });
        self.outside.targets.entry(target.clone()).or_default();
        let addresses = [self.next_address(), self.next_address()];
        self.outside.hosts.insert((target, certificate.clone()), TlsHost::new(&addresses));
    }

    fn next_address(&mut self) -> SocketAddr {
        self.addresses += 1;
        SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + self.addresses), 443))
    }
}

fn spec_of(kind: ChallengeKind) -> SolverSpec {
    SolverSpec {
        follows_cname: kind.is_in_dns(),
        kind,
        zones: Box::default(),
        visible_within: SignedDuration::from_mins(5),
        by_hand: false,
    }
}
