//! A certificate with targets and addresses, for tests of what is made of sights.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use jiff::{SignedDuration, Timestamp};

use crate::event::{EndpointSeen, Event};
use crate::intent::{
    CertificateSpec, EndpointSpec, KeyRotation, Serves, Site, SiteHost, TargetSpec,
};
use crate::record::{Stream, StreamKind};
use crate::state::{Certificate, DeployStep, Found, Leaf, State};
use crate::words::{
    BundleId, Failure, Fingerprint, Handshake, Identifier, KeyAlgorithm, KeyId, LeafFacts, Name,
    Sight, SightState, Validity, after,
};

/// When everything is told.
pub(super) fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(super) const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

pub(super) fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

/// Returns an address by its last number.
pub(super) fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 443))
}

pub(super) fn site(last: u8) -> Site {
    Site { host: SiteHost::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))), port: None }
}

/// What an address shows: the newest leaf, or an older one, or something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    New,
    Old,
    Bad(SightState),
}

/// The newest leaf is number 2, issued a day ago for 90 days; the old one ends in 29 days.
pub(super) fn facts(number: u8, names: &[&str]) -> LeafFacts {
    let age = if number > 1 { 1 } else { 61 };
    let not_before = after(now(), days(-age));
    let not_after = after(not_before, days(90));
    let mut identifiers: Vec<Identifier> = names.iter().map(|name| id(name)).collect();
    identifiers.sort();
    LeafFacts {
        fingerprint: Fingerprint([number; 32]),
        key: KeyId([number; 32]),
        identifiers: identifiers.into(),
        validity: Validity { not_before, not_after },
        chain_not_after: after(not_after, days(700)),
        issued_by: "a CA".into(),
        ari_id: None,
        for_servers: true,
        chain_in_order: true,
        traits: None,
        trusted: None,
    }
}

fn spec(names: &[&str], targets: &[(&str, &[u8])]) -> CertificateSpec {
    let mut identifiers: Vec<Identifier> = names.iter().map(|name| id(name)).collect();
    identifiers.sort();
    let endpoint = |server_name: &Identifier| EndpointSpec {
        server_name: server_name.clone(),
        connect_to: None,
        port: 443,
        serves: Serves::Ours,
        protocol: crate::words::Protocol::Tls,
        variant: None,
        shared: false,
    };
    CertificateSpec {
        endpoints: identifiers.iter().filter(|name| !name.is_wildcard()).map(endpoint).collect(),
        identifiers: identifiers.into(),
        issuers: Arc::from([Name::new("ca")]),
        solvers: Arc::from([]),
        targets: targets.iter().map(|(name, _)| Name::new(name)).collect(),
        key: KeyAlgorithm::EcdsaP256,
        key_chosen: false,
        pins: Box::default(),
        chain: None,
        rotation: KeyRotation::Rotate,
        renew_before: None,
        owner: None,
        was: None,
    }
}

/// A state with one certificate.
pub(super) struct Fleet {
    pub(super) state: State,
    targets: BTreeMap<Name, TargetSpec>,
}

impl Fleet {
    /// Declares targets, each with the addresses on its list, and a certificate that was renewed a
    /// day ago and activated at all of them; nothing was looked at since.
    pub(super) fn new(names: &[&str], targets: &[(&str, &[u8])]) -> (Self, Certificate) {
        let list = |list: &[u8]| list.iter().map(|last| site(*last)).collect();
        let target = |(name, own): &(&str, &[u8])| {
            let (settle, serves_at) = (SignedDuration::from_secs(60), list(own));
            let spec = TargetSpec { take_over: false, validates: false, settle, serves_at };
            (Name::new(name), spec)
        };
        let targets_declared: BTreeMap<_, _> = targets.iter().map(target).collect();
        let mut state = State::default();
        for (name, spec) in &targets_declared {
            let stream = Stream::new(StreamKind::Target, name.clone());
            let declared = Event::TargetDeclared(spec.clone());
            state.fold(&stream, 1, now(), &declared).unwrap();
        }
        let declared_at = after(now(), days(-100));
        let mut certificate = Certificate::new(Box::new(spec(names, targets)), declared_at);
        let since = after(now(), days(-1));
        certificate.leaf = Some(Box::new(Leaf {
            number: 2,
            facts: Arc::new(facts(2, names)),
            bundle: Some(BundleId([2; 32])),
            issuer: Some(Name::new("ca")),
            since,
            is_early: false,
            replaced_revoked: false,
            revoked_at: None,
            reserve_at: None,
            hurried: false,
            odd_profile: None,
        }));
        for ledger in &mut certificate.targets {
            ledger.step = DeployStep::Activated { leaf: 2, at: since };
            ledger.found =
                Found::Leaf { facts: Arc::new(facts(2, names)), ours: true, key_matches: true };
        }
        (Self { state, targets: targets_declared }, certificate)
    }

    /// Returns how many targets are declared.
    pub(super) fn targets(&self) -> usize {
        self.targets.len()
    }
}

/// Returns what a look shows.
pub(super) fn look(addresses: &[(u8, Shows)]) -> Sight {
    let handshake = |(last, shows): &(u8, Shows)| {
        let (state, leaf) = match shows {
            Shows::New => (SightState::Ok, Some(facts(2, &["any.test"]))),
            Shows::Old => (SightState::Ok, Some(facts(1, &["any.test"]))),
            Shows::Bad(state) => (*state, None),
        };
        Handshake {
            address: address(*last),
            state,
            leaf: leaf.map(Arc::new),
            cause: None,
            doubts: None,
            sample: None,
        }
    };
    Sight { handshakes: addresses.iter().map(handshake).collect(), tlsa: None }
}

/// Tells a certificate what its endpoint at `place` shows; nobody says that it is seen by that.
pub(super) fn show(
    certificate: &mut Certificate,
    place: usize,
    at: Timestamp,
    sight: Result<Sight, Failure>,
) {
    let endpoint = certificate.spec.endpoints[place].clone();
    let seen = EndpointSeen { endpoint, sight, seen_at: Some(Box::default()) };
    certificate.fold(certificate.history.version + 1, at, &Event::EndpointSeen(seen));
}
