//! Leaves that wait before they take another's place: what holds them, what lifts that, and that no
//! hold outlives what is served.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{ActKind, AskKind, Fact, Outcome};
use perennial_core::decide::{self, Context, Decision, Draw, Hold};
use perennial_core::event::{
    Decoded, EndpointSeen, Event, LeafConfirmed, Reason, RenewalInfoSeen, TargetInspected,
};
use perennial_core::finding::Code;
use perennial_core::intent::{
    CertificateSpec, EndpointSpec, IssuerKind, IssuerSpec, KeyRotation, TargetSpec,
};
use perennial_core::record::{Stream, StreamKind};
use perennial_core::state::{Leaf, State};
use perennial_core::words::{
    AriCertId, BundleId, DirectoryFacts, Doubts, Fingerprint, Handshake, Identifier, Installed,
    KeyId, KeyKind, LeafFacts, Link, Name, Objection, Permille, RenewalInfoFacts, Sample, Sight,
    SightState, SuggestedWindow, TlsaRecord, TlsaSelector, TlsaSet, TlsaUsage, Traits, Validity,
    after,
};
use proptest::prelude::*;

const SITE: &str = "site";

pub(crate) fn begin() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(crate) const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// A leaf that begins `from` days after the beginning and lives 90.
pub(crate) fn leaf(number: u8, from: i64) -> LeafFacts {
    let not_before = after(begin(), days(from));
    let not_after = after(not_before, days(90));
    LeafFacts {
        fingerprint: Fingerprint([number; 32]),
        key: KeyId([number + 100; 32]),
        identifiers: [Identifier::new("site.test").unwrap()].into(),
        validity: Validity { not_before, not_after },
        chain_not_after: after(begin(), days(3000)),
        issued_by: "CA".into(),
        ari_id: None,
        for_servers: true,
        chain_in_order: true,
        traits: Some(Arc::new(Traits {
            key_kind: KeyKind::EcdsaP256,
            for_clients: true,
            above: [Link { fingerprint: Fingerprint([90; 32]), key: KeyId([190; 32]) }].into(),
            root: "Root X1".into(),
        })),
        trusted: Some(true),
    }
}

pub(crate) fn traits(leaf: &mut LeafFacts) -> &mut Traits {
    Arc::make_mut(leaf.traits.as_mut().unwrap())
}

/// One certificate on one target with one endpoint.
pub(crate) struct Story {
    state: State,
    pub(crate) now: Timestamp,
    spec: CertificateSpec,
}

impl Story {
    pub(crate) fn new(change: impl FnOnce(&mut CertificateSpec)) -> Self {
        let endpoint = EndpointSpec {
            server_name: Identifier::new("site.test").unwrap(),
            connect_to: None,
            port: 443,
            serves: perennial_core::intent::Serves::Ours,
            protocol: perennial_core::words::Protocol::Tls,
            variant: None,
            shared: false,
        };
        let mut spec = CertificateSpec {
            identifiers: [Identifier::new("site.test").unwrap()].into(),
            issuers: [Name::new("ca")].into(),
            solvers: std::sync::Arc::default(),
            targets: [Name::new("web")].into(),
            endpoints: [endpoint].into(),
            key: perennial_core::words::KeyAlgorithm::EcdsaP256,
            key_chosen: false,
            pins: Box::default(),
            chain: None,
            rotation: KeyRotation::Rotate,
            renew_before: None,
            owner: None,
            was: None,
        };
        change(&mut spec);
        let mut story = Self { state: State::default(), now: begin(), spec: spec.clone() };
        let target = TargetSpec {
            take_over: true,
            validates: false,
            settle: SignedDuration::ZERO,
            serves_at: Box::default(),
        };
        story.tell(StreamKind::Target, "web", &Event::TargetDeclared(target));
        story.tell(StreamKind::Certificate, SITE, &Event::CertificateDeclared(Box::new(spec)));
        story
    }

    pub(crate) fn tell(&mut self, kind: StreamKind, name: &str, event: &Event) {
        let stream = Stream::new(kind, Name::new(name));
        let version = self.state.version(&stream) + 1;
        self.state.fold(&stream, version, self.now, event).unwrap();
    }

    fn site(&mut self, event: &Event) {
        self.tell(StreamKind::Certificate, SITE, event);
    }

    pub(crate) fn lies(&mut self, leaf: Option<&LeafFacts>) {
        self.lies_with(leaf, |_| {});
    }

    pub(crate) fn lies_with(
        &mut self,
        leaf: Option<&LeafFacts>,
        change: impl FnOnce(&mut Installed),
    ) {
        let mut installed = Installed {
            leaf: leaf.cloned().map(Arc::new),
            ours: true,
            staged: Box::default(),
            key_matches: leaf.map(|_| true),
            remarks: Box::default(),
            leftovers: Box::default(),
        };
        change(&mut installed);
        let inspected = TargetInspected { target: Name::new("web"), found: Ok(installed) };
        self.site(&Event::TargetInspected(inspected));
    }

    pub(crate) fn serves(
        &mut self,
        state: SightState,
        leaf: Option<&LeafFacts>,
        tlsa: Option<TlsaSet>,
    ) {
        let handshake = Handshake {
            address: "192.0.2.1:443".parse().unwrap(),
            state,
            leaf: leaf.cloned().map(Arc::new),
            cause: None,
            doubts: None,
            sample: None,
        };
        let sight = Ok(Sight { handshakes: vec![handshake], tlsa });
        let endpoint = self.spec.endpoints[0].clone();
        self.site(&Event::EndpointSeen(EndpointSeen { endpoint, sight, seen_at: None }));
    }

    /// Both addresses serve a leaf, and of the first one this is in doubt.
    pub(crate) fn doubts(&mut self, leaf: &LeafFacts, doubts: &Doubts) {
        let shake = |address: &str, doubts: &Doubts| Handshake {
            address: address.parse().unwrap(),
            state: SightState::Ok,
            leaf: Some(Arc::new(leaf.clone())),
            cause: None,
            doubts: (*doubts != Doubts::default()).then(|| Box::new(doubts.clone())),
            sample: None,
        };
        let handshakes =
            vec![shake("192.0.2.1:443", doubts), shake("192.0.2.2:443", &Doubts::default())];
        let (endpoint, sight) =
            (self.spec.endpoints[0].clone(), Ok(Sight { handshakes, tlsa: None }));
        self.site(&Event::EndpointSeen(EndpointSeen { endpoint, sight, seen_at: None }));
    }

    /// All that is known is what the checkpoint of the certificate says.
    pub(crate) fn restarts(&mut self) {
        let stream = Stream::new(StreamKind::Certificate, Name::new(SITE));
        let body = Event::Checkpoint(self.state.checkpoint(&stream).unwrap()).body();
        let Decoded::Event(checkpoint) = Event::decode("checkpoint", &body) else {
            panic!("it cannot be read: {body}")
        };
        self.site(&checkpoint);
    }

    /// An issued leaf is kept; what is told here as inherited differs in nothing that matters.
    pub(crate) fn keeps(&mut self, facts: &LeafFacts, number: u32, change: impl FnOnce(&mut Leaf)) {
        let mut leaf = Leaf {
            number,
            facts: Arc::new(facts.clone()),
            bundle: Some(BundleId([7; 32])),
            issuer: Some(Name::new("ca")),
            since: self.now,
            is_early: false,
            replaced_revoked: false,
            revoked_at: None,
            reserve_at: None,
            hurried: false,
            odd_profile: None,
        };
        change(&mut leaf);
        self.site(&Event::LeafInherited(Box::new(leaf)));
    }

    /// The act of the target that is wanted, if one is.
    pub(crate) fn wanted(&self) -> Option<ActKind> {
        let mut wants = self.decide().wants.into_iter().filter_map(|want| want.act);
        wants.find(|act| {
            matches!(
                act,
                ActKind::Stage { .. } | ActKind::Activate { .. } | ActKind::PutBack { .. }
            )
        })
    }

    /// The act of the target that is wanted is done, with this outcome.
    pub(crate) fn does(&mut self, outcome: &Outcome) {
        let act = self.wanted().expect("an act is wanted");
        let deadline_at = after(self.now, SignedDuration::from_mins(1));
        self.site(&Event::Started(perennial_core::event::Started { act, deadline_at }));
        let of = self.state.version(&Stream::new(StreamKind::Certificate, Name::new(SITE)));
        let (outcome, interrupted) = (outcome.clone(), false);
        self.site(&Event::Ended(perennial_core::event::Ended { of, outcome, interrupted }));
    }

    /// Each of these addresses shows this.
    pub(crate) fn shows(&mut self, all: &[(&str, SightState, Option<&LeafFacts>)]) {
        let shake = |(address, state, leaf): &(&str, SightState, Option<&LeafFacts>)| Handshake {
            address: address.parse().unwrap(),
            state: *state,
            leaf: leaf.cloned().map(Arc::new),
            cause: None,
            doubts: None,
            sample: None,
        };
        let sight = Ok(Sight { handshakes: all.iter().map(shake).collect(), tlsa: None });
        let endpoint = self.spec.endpoints[0].clone();
        self.site(&Event::EndpointSeen(EndpointSeen { endpoint, sight, seen_at: None }));
    }

    /// Connections to one address showed these leaves.
    pub(crate) fn samples(&mut self, all: &[(&LeafFacts, Option<Sample>)]) {
        let shake = |(leaf, sample): &(&LeafFacts, Option<Sample>)| Handshake {
            address: "192.0.2.1:443".parse().unwrap(),
            state: SightState::Ok,
            leaf: Some(Arc::new((*leaf).clone())),
            cause: None,
            doubts: None,
            sample: *sample,
        };
        let sight = Ok(Sight { handshakes: all.iter().map(shake).collect(), tlsa: None });
        let endpoint = self.spec.endpoints[0].clone();
        self.site(&Event::EndpointSeen(EndpointSeen { endpoint, sight, seen_at: None }));
    }

    pub(crate) fn decide(&self) -> Decision {
        let cx = Context { state: &self.state, now: self.now, draw: Draw(1) };
        let id = self.state.id(&Name::new(SITE)).unwrap();
        decide::certificate(&cx, &Name::new(SITE), self.state.certificate(id).unwrap())
    }

    fn hold(&self) -> Option<Hold> {
        let cx = Context { state: &self.state, now: self.now, draw: Draw(1) };
        let id = self.state.id(&Name::new(SITE)).unwrap();
        decide::holds(&cx, self.state.certificate(id).unwrap()).pop().map(|(_, hold)| hold)
    }

    fn objections(&self) -> Vec<Objection> {
        match self.hold() {
            Some(Hold::Until { objections, .. }) => objections,
            _ => Vec::new(),
        }
    }

    pub(crate) fn codes(&self) -> Vec<&'static str> {
        self.decide().findings.iter().map(|finding| finding.code.as_str()).collect()
    }
}

/// Leaf 1 is served since day 0; on day 60 leaf 2, changed so, was kept.
pub(crate) fn renewed(
    spec: impl FnOnce(&mut CertificateSpec),
    old: impl FnOnce(&mut LeafFacts),
    new: impl FnOnce(&mut LeafFacts),
) -> Story {
    let (mut before, mut next) = (leaf(1, 0), leaf(2, 60));
    old(&mut before);
    new(&mut next);
    let mut story = Story::new(spec);
    story.keeps(&before, 1, |_| {});
    story.lies(Some(&before));
    story.serves(SightState::Ok, Some(&before), None);
    story.now = after(begin(), days(60));
    story.keeps(&next, 2, |_| {});
    story
}

pub(crate) fn nothing<T: ?Sized>(_: &mut T) {}

#[test]
fn a_leaf_like_the_served_one_is_not_held() {
    let story = renewed(nothing, nothing, nothing);
    assert_eq!(story.hold(), None);
}

#[test]
fn what_clients_may_depend_on_holds_a_leaf_that_lacks_it() {
    let lost = renewed(nothing, nothing, |leaf| traits(leaf).for_clients = false);
    assert_eq!(lost.objections(), [Objection::NoClientAuth]);
    assert!(lost.codes().contains(&"leaf.no-client-auth"));
    let gained = renewed(nothing, |leaf| traits(leaf).for_clients = false, nothing);
    assert_eq!(gained.hold(), None);

    let rsa = |leaf: &mut LeafFacts| traits(leaf).key_kind = KeyKind::Rsa { bits: 2048 };
    let other =
        Objection::OtherKeyKind { from: KeyKind::Rsa { bits: 2048 }, to: KeyKind::EcdsaP256 };
    assert_eq!(renewed(nothing, rsa, nothing).objections(), [other]);
    assert_eq!(renewed(|spec| spec.key_chosen = true, rsa, nothing).hold(), None, "it is wanted");
    let longer = |leaf: &mut LeafFacts| traits(leaf).key_kind = KeyKind::Rsa { bits: 4096 };
    assert_eq!(renewed(nothing, rsa, longer).hold(), None);

    let moved = renewed(nothing, nothing, |leaf| traits(leaf).root = "Root X2".into());
    assert_eq!(moved.codes().iter().filter(|code| code.starts_with("leaf.")).count(), 1);
    assert!(moved.codes().contains(&"leaf.root-changed"));

    let untrusted = renewed(nothing, nothing, |leaf| leaf.trusted = Some(false));
    assert_eq!(untrusted.objections(), [Objection::Untrusted]);
}

#[test]
fn another_root_of_another_declared_issuer_is_wanted() {
    let mut story = renewed(nothing, nothing, nothing);
    let mut next = leaf(3, 60);
    traits(&mut next).root = "Root Y".into();
    // Leaf 2 never came to be served; what counts is who issued leaf 1.
    story.keeps(&next, 3, |leaf| leaf.issuer = Some(Name::new("standby")));
    assert_eq!(story.hold(), None);
}

#[test]
fn what_is_not_known_never_holds() {
    let unknown = |leaf: &mut LeafFacts| (leaf.traits, leaf.trusted) = (None, None);
    assert_eq!(renewed(nothing, unknown, nothing).hold(), None);
    assert_eq!(renewed(nothing, nothing, unknown).hold(), None);
}

#[test]
fn what_does_not_work_anyway_is_not_kept_from_being_replaced() {
    let states = [
        SightState::Untrusted,
        SightState::Expired,
        SightState::NameMismatch,
        SightState::IncompleteChain,
        SightState::Revoked,
    ];
    for state in states {
        let mut story = renewed(nothing, nothing, |leaf| traits(leaf).for_clients = false);
        story.serves(state, Some(&leaf(1, 0)), None);
        assert_eq!(story.hold(), None, "{state:?}");
    }
    let mut story = Story::new(nothing);
    story.lies(None);
    story.serves(SightState::NoTls, None, None);
    let mut first = leaf(1, 0);
    first.trusted = Some(false);
    story.keeps(&first, 1, |_| {});
    assert_eq!(story.hold(), None, "nothing is served yet");
}

#[test]
fn a_target_that_has_nothing_good_is_not_kept_waiting_by_one_that_has() {
    let no_clients = |leaf: &mut LeafFacts| traits(leaf).for_clients = false;
    // What is seen may be the other server's; here nothing lies, or what lies has expired.
    let mut story = renewed(nothing, nothing, no_clients);
    story.lies(None);
    assert_eq!(story.hold(), None);
    let mut story = renewed(nothing, nothing, no_clients);
    let mut expired = leaf(9, 0);
    expired.validity.not_after = after(begin(), days(50));
    story.lies(Some(&expired));
    assert_eq!(story.hold(), None);
}

#[test]
fn a_bad_address_that_is_not_the_targets_ends_no_hold() {
    let mut story = renewed(nothing, nothing, |leaf| traits(leaf).for_clients = false);
    let usual = story.hold().unwrap();
    let at = |address: &str, state, leaf: LeafFacts| Handshake {
        address: address.parse().unwrap(),
        state,
        leaf: Some(Arc::new(leaf)),
        cause: None,
        doubts: None,
        sample: None,
    };
    let mut forgotten = leaf(9, 0);
    forgotten.validity.not_after = after(begin(), days(10));
    let handshakes = vec![
        at("192.0.2.1:443", SightState::Ok, leaf(1, 0)),
        at("192.0.2.2:443", SightState::Expired, forgotten),
    ];
    let endpoint = story.spec.endpoints[0].clone();
    let sight = Ok(Sight { handshakes, tlsa: None });
    story.site(&Event::EndpointSeen(EndpointSeen { endpoint, sight, seen_at: None }));
    assert_eq!(story.hold(), Some(usual));
}

#[test]
fn a_leaf_that_came_late_or_in_a_hurry_is_held_no_longer_than_that_allows() {
    let until = |change: &dyn Fn(&mut Leaf)| {
        let mut story = renewed(nothing, nothing, nothing);
        let mut next = leaf(3, 60);
        traits(&mut next).for_clients = false;
        story.keeps(&next, 3, |leaf| change(leaf));
        match story.hold() {
            Some(Hold::Until { at, .. }) => at.duration_since(story.now),
            _ => SignedDuration::ZERO,
        }
    };
    let usual = until(&|_| {});
    assert!(usual > days(20), "{usual:?}");
    let reserve = after(begin(), days(61));
    assert_eq!(until(&|leaf| leaf.reserve_at = Some(reserve)), days(1));
    let begun = after(begin(), days(59));
    assert_eq!(until(&|leaf| leaf.reserve_at = Some(begun)), SignedDuration::ZERO);
    assert_eq!(until(&|leaf| leaf.hurried = true), SignedDuration::from_hours(12));
}

#[test]
fn what_was_seen_to_be_revoked_stays_so_when_the_list_cannot_be_had() {
    let mut story = Story::new(|spec| spec.rotation = KeyRotation::Reuse);
    let own = leaf(1, 0);
    story.keeps(&own, 1, |_| {});
    story.lies(Some(&own));
    let slot = |story: &Story| {
        let id = story.state.id(&Name::new(SITE)).unwrap();
        story.state.certificate(id).unwrap().next_slot(&Name::new(SITE))
    };
    let before = slot(&story);
    story.serves(SightState::Revoked, Some(&own), None);
    story.serves(SightState::Ok, Some(&own), None);
    assert!(story.codes().contains(&"endpoint.revoked"), "{:?}", story.codes());
    let id = story.state.id(&Name::new(SITE)).unwrap();
    let due = decide::due(story.state.certificate(id).unwrap());
    assert_eq!((due.reason, due.at <= story.now), (Reason::Revoked, true));
    assert_ne!(slot(&story), before, "its key is not used again");
}

#[test]
fn what_lies_at_a_target_counts_where_nothing_is_seen() {
    let mut story = renewed(nothing, nothing, |leaf| traits(leaf).for_clients = false);
    story.serves(SightState::Unreachable, None, None);
    assert_eq!(story.objections(), [Objection::NoClientAuth]);
}

#[test]
fn pins_hold_a_leaf_that_none_of_them_fits() {
    let pins = |keys: &[u8]| -> Box<[KeyId]> { keys.iter().map(|n| KeyId([*n; 32])).collect() };
    let unmet = renewed(|spec| spec.pins = pins(&[101, 9]), nothing, nothing);
    assert_eq!(unmet.objections(), [Objection::PinsUnmet { pin: KeyId([102; 32]).pin().into() }]);
    for fitting in [[102, 9], [9, 190]] {
        assert_eq!(renewed(|spec| spec.pins = pins(&fitting), nothing, nothing).hold(), None);
    }
    let broken = renewed(|spec| spec.pins = pins(&[9]), nothing, nothing);
    assert_eq!(broken.hold(), None, "what is served fits none either");
}

#[test]
fn a_pin_is_written_as_everybody_writes_it() {
    let digest = core::array::from_fn(|place| u8::try_from(place * 8).unwrap());
    let expected = "sha256/AAgQGCAoMDhASFBYYGhweICIkJigqLC4wMjQ2ODo8Pg=";
    assert_eq!(KeyId(digest).pin(), expected);
}

pub(crate) fn records(keys: &[u8]) -> TlsaSet {
    let record = |byte: &u8| TlsaRecord {
        usage: TlsaUsage::DaneEe,
        selector: TlsaSelector::Key,
        digest: Some(Fingerprint([*byte; 32])),
    };
    TlsaSet { records: keys.iter().map(record).collect(), ttl_secs: 3600 }
}

#[test]
fn a_record_for_the_served_key_holds_the_next_one_until_its_own_is_published_and_known() {
    let mut story = renewed(nothing, nothing, nothing);
    let old = leaf(1, 0);
    story.serves(SightState::Ok, Some(&old), Some(records(&[101])));
    let [Objection::TlsaUnmet { owner, publish }] = &*story.objections() else { panic!() };
    assert_eq!(&**owner, "_443._tcp.site.test");
    assert_eq!(**publish, *format!("3 1 1 {}", "66".repeat(32)), "the new key's");

    story.serves(SightState::Ok, Some(&old), Some(records(&[101, 102])));
    let known_at = after(story.now, SignedDuration::from_hours(2));
    assert!(matches!(story.hold(), Some(Hold::Until { at, .. }) if at == known_at));
    story.serves(SightState::Ok, Some(&old), None);
    assert!(story.hold().is_some(), "a failed lookup changes nothing");
    story.now = known_at;
    assert_eq!(story.hold(), None);
    story.serves(SightState::Ok, Some(&old), Some(records(&[190])));
    assert_eq!(story.hold(), None, "records that fit nothing hold nothing");
}

#[test]
fn a_person_lets_it_pass_and_only_this_one() {
    let mut story = renewed(nothing, nothing, |leaf| traits(leaf).for_clients = false);
    story.site(&Event::LeafConfirmed(LeafConfirmed { leaf: 2 }));
    assert_eq!(story.hold(), None);
    let mut next = leaf(3, 60);
    traits(&mut next).for_clients = false;
    story.keeps(&next, 3, |_| {});
    assert_eq!(story.objections(), [Objection::NoClientAuth]);
}

#[test]
fn a_name_that_is_served_by_nothing_yet_does_not_wait_for_the_reserve() {
    let site = || Identifier::new("site.test").unwrap();
    let more: Arc<[Identifier]> = [site(), Identifier::new("www.site.test").unwrap()].into();
    let wider = |leaf: &mut LeafFacts| {
        leaf.identifiers = more.clone();
        traits(leaf).for_clients = false;
    };
    let story = renewed(|spec| spec.identifiers = more.clone(), nothing, wider);
    let Some(Hold::Until { at, .. }) = story.hold() else { panic!() };
    assert_eq!(at, after(story.now, SignedDuration::from_hours(12)));
}

#[test]
fn when_the_reserve_begins_it_goes_ahead_and_says_so_until_confirmed() {
    let mut story = renewed(nothing, nothing, |leaf| traits(leaf).for_clients = false);
    stage(&mut story);
    let Some(Hold::Until { at, .. }) = story.hold() else { panic!() };
    assert_eq!(at, after(begin(), SignedDuration::from_hours(60 * 24 + 540)), "3/4 of 30 days");
    assert!(!activates(&story.decide()));
    story.now = at;
    let decided = story.decide();
    let [Event::HoldOverruled(overruled)] = &*decided.events else { panic!("{decided:?}") };
    assert_eq!(*overruled.objections, [Objection::NoClientAuth]);
    story.site(&decided.events[0].clone());
    let decided = story.decide();
    assert!(activates(&decided));
    let said =
        |story: &Story| story.decide().findings.iter().any(|f| f.code == Code::DeployOverruled);
    assert!(said(&story));
    story.site(&Event::LeafConfirmed(LeafConfirmed { leaf: 2 }));
    assert!(!said(&story));
}

fn activates(decision: &Decision) -> bool {
    decision.wants.iter().any(|want| matches!(want.act, Some(ActKind::Activate { .. })))
}

/// Stages the newest leaf.
fn stage(story: &mut Story) {
    story.does(&Outcome::Done(Fact::Staged));
}

fn ari_id(number: u8) -> AriCertId {
    AriCertId(format!("aki.{number}").into())
}

/// Leaf 2 is held before leaf 1, and the CA of both tells when it wants them renewed.
fn held_where_windows_are_told() -> Story {
    let named = |leaf: &mut LeafFacts, number| leaf.ari_id = Some(ari_id(number));
    let mut story = renewed(
        nothing,
        |leaf| named(leaf, 1),
        |leaf| {
            named(leaf, 2);
            traits(leaf).for_clients = false;
        },
    );
    let issuer = IssuerSpec {
        directory: "https://ca.test/directory".into(),
        contact: Box::default(),
        eab: false,
        profile: None,
        agreed: true,
        kind: IssuerKind::Public,
        account_key: perennial_core::words::KeyAlgorithm::EcdsaP256,
    };
    let directory = DirectoryFacts { has_renewal_info: true, ..DirectoryFacts::default() };
    story.tell(StreamKind::Issuer, "ca", &Event::IssuerDeclared(issuer));
    story.tell(StreamKind::Issuer, "ca", &Event::DirectorySeen(directory));
    story
}

#[test]
fn while_a_leaf_is_held_the_window_of_the_served_one_is_asked_for_too() {
    let asked = |story: &Story| -> Vec<AriCertId> {
        let asks = story.decide().asks.into_iter();
        let asked = asks.filter_map(|asking| match asking.kind {
            AskKind::RenewalInfo { leaf, .. } => Some(leaf),
            _ => None,
        });
        asked.collect()
    };
    let mut story = held_where_windows_are_told();
    assert_eq!(asked(&story), [ari_id(2), ari_id(1)]);
    story.site(&Event::LeafConfirmed(LeafConfirmed { leaf: 2 }));
    assert_eq!(asked(&story), [ari_id(2)], "it is on its way out");
}

#[test]
fn a_window_that_was_moved_to_the_past_ends_a_hold_within_half_a_day_and_orders_nothing() {
    let mut story = held_where_windows_are_told();
    stage(&mut story);
    let window = |from: SignedDuration, to: SignedDuration| SuggestedWindow {
        start: after(begin(), from),
        end: after(begin(), to),
    };
    let tell = |story: &mut Story, leaf: u8, window| {
        let facts = RenewalInfoFacts { window, explanation: None, retry_at: None };
        let (leaf, spread) = (ari_id(leaf), Permille::new(500));
        story.site(&Event::RenewalInfoSeen(RenewalInfoSeen { leaf, facts, spread }));
    };
    let until = |story: &Story| match story.hold() {
        Some(Hold::Until { at, .. }) => at,
        other => panic!("{other:?}"),
    };
    let usual = until(&story);
    // The leaf was renewed by this window, so that it has passed.
    tell(&mut story, 1, window(days(59), days(60)));
    assert_eq!(until(&story), usual);
    story.now = after(begin(), days(65));
    tell(&mut story, 1, window(days(59), days(60)));
    assert_eq!(until(&story), usual);
    tell(&mut story, 1, window(days(70), days(71)));
    assert_eq!(until(&story), usual, "it has not come yet");

    let hour = SignedDuration::from_hours(1);
    tell(&mut story, 1, window(days(65) - hour, days(65) - hour / 2));
    let half_a_day_on = after(story.now, 12 * hour);
    assert_eq!(until(&story), half_a_day_on);
    let decided = story.decide();
    assert_eq!(decided.events, [], "the held leaf is the answer to it");
    assert!(!activates(&decided));
    // As Boulder says it: always an hour ago.
    story.now = after(story.now, 6 * hour);
    tell(&mut story, 1, window(days(65) + 5 * hour, days(65) + 5 * hour + hour / 2));
    assert_eq!(until(&story), half_a_day_on, "it is not moved on and on");
    tell(&mut story, 1, window(days(80), days(81)));
    assert_eq!(until(&story), usual, "the CA takes it back");

    tell(&mut story, 1, window(days(65), days(65) + hour));
    story.now = after(story.now, 12 * hour);
    let decided = story.decide();
    let [Event::HoldOverruled(_)] = &*decided.events else { panic!("{decided:?}") };
}

proptest! {
    /// Law 6, the other way round: whatever speaks against a leaf, it is activated while what is
    /// served is still valid, with at least a twelfth of the time left (a quarter of the third after which renewal is planned).
    #[test]
    fn a_hold_never_outlives_what_is_served(
        (kept, life, early) in (0_i64..89, 2_i64..400, any::<bool>()),
        (auth, key, root, trust) in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let (before, mut next) = (leaf(1, 0), leaf(2, kept));
        next.validity.not_after = after(next.validity.not_before, days(life));
        traits(&mut next).for_clients = auth;
        if key { traits(&mut next).key_kind = KeyKind::Rsa { bits: 2048 }; }
        if root { traits(&mut next).root = "Root X2".into(); }
        next.trusted = Some(trust);
        let mut story = Story::new(nothing);
        story.keeps(&before, 1, |_| {});
        story.lies(Some(&before));
        story.serves(SightState::Ok, Some(&before), None);
        story.now = after(begin(), days(kept));
        story.keeps(&next, 2, |leaf| leaf.is_early = early);
        stage(&mut story);
        let ends_at = before.ends_at().min(next.ends_at());
        let left = ends_at.duration_since(story.now);
        if let Some(Hold::Until { at, .. }) = story.hold() {
            prop_assert!(at < ends_at);
            prop_assert!(story.decide().wake_at.is_some_and(|wake| wake <= at), "it wakes for it");
            story.now = at;
        }
        // Each wake decides; going ahead is put on record, and then done.
        for event in story.decide().events {
            story.site(&event);
        }
        prop_assert!(activates(&story.decide()));
        prop_assert!(ends_at.duration_since(story.now) * 12 >= left);
    }
}
