//! Views as whole texts: made of events, as the journal would give them.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_config::{Source as ConfigSource, render, understand};
use perennial_core::action::{AccountRef, ActKind, Fact, Outcome};
use perennial_core::event::{
    AttemptBegan, AttemptEnded, Ended, EndpointSeen, Event, IncidentOpened, InstanceStarted,
    IntentHeld, Reason, Started, TargetInspected,
};
use perennial_core::finding::{Code, Severity};
use perennial_core::record::{Record, Stream, StreamKind};
use perennial_core::state::State;
use perennial_core::words::{
    AccountFacts, AccountStatus, Blame, BundleId, Failure, FailureKind, Fingerprint, Handshake,
    Identifier, Installed, KeyFacts, KeyId, LeafFacts, Name, Permille, Sight, SightState, Slot,
    Url, Validity,
};

use super::*;

/// A journal in memory, folded as it grows.
struct Story {
    state: State,
    records: Vec<Record>,
    now: Timestamp,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn loaded(text: &str) -> perennial_config::Loaded {
    let source = ConfigSource {
        name: String::from("perennial.toml"),
        folder: PathBuf::from("/etc/perennial"),
        text: String::from(text),
    };
    understand(&[source]).unwrap_or_else(|messages| panic!("{}", render(&messages)))
}

const FILE: &str = r#"
agree_terms = true
[issuer.letsencrypt]
[solver.http]
http-01 = "listener"
[target.web]
nginx = "/etc/nginx"
[certificate.www]
names = ["example.org", "www.example.org"]
targets = ["web"]
[certificate.shop]
names = ["shop.example.org"]
targets = ["web"]
[certificate.new]
names = ["new.example.org"]
targets = ["web"]
"#;

impl Story {
    fn new() -> Self {
        let now = at("2026-11-01T10:00:00Z");
        Self { state: State::default(), records: Vec::new(), now }
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests read better with values")]
    fn add(&mut self, kind: StreamKind, name: &str, event: Event) -> u64 {
        let stream = Stream::new(kind, Name::new(name));
        let version = self.state.version(&stream) + 1;
        self.state.fold(&stream, version, self.now, &event).unwrap();
        self.records.push(Record {
            shard: stream.shard(),
            stream,
            version,
            at: self.now,
            kind: event.kind().into(),
            schema: 1,
            must_understand: event.must_understand(),
            epoch: 1,
            body: event.body().into(),
        });
        self.now += SignedDuration::from_secs(1);
        version
    }

    fn act(&mut self, kind: StreamKind, name: &str, act: ActKind, outcome: Outcome) {
        let deadline_at = self.now + SignedDuration::from_mins(1);
        let of = self.add(kind, name, Event::Started(Started { act, deadline_at }));
        self.add(kind, name, Event::Ended(Ended { of, outcome, interrupted: false }));
    }

    fn declare(&mut self, text: &str) {
        let intent = loaded(text).intent;
        for (name, spec) in intent.issuers {
            self.add(StreamKind::Issuer, name.as_str(), Event::IssuerDeclared(spec));
        }
        for (name, spec) in intent.targets {
            self.add(StreamKind::Target, name.as_str(), Event::TargetDeclared(spec));
        }
        for (name, spec) in intent.solvers {
            self.add(StreamKind::Solver, name.as_str(), Event::SolverDeclared(spec));
        }
        for (name, spec) in intent.certificates {
            let event = Event::CertificateDeclared(Box::new(spec));
            self.add(StreamKind::Certificate, name.as_str(), event);
        }
    }

    fn account(&mut self) {
        let slot = Slot("account/letsencrypt".into());
        let key = KeyFacts { id: KeyId([7; 32]), thumbprint: "thumb".into() };
        let act = ActKind::MakeKey { slot: slot.clone(), algorithm: Default::default() };
        self.act(StreamKind::Issuer, "letsencrypt", act, Outcome::Done(Fact::Key(key)));
        let act = ActKind::NewAccount {
            issuer: Name::new("letsencrypt"),
            key: slot,
            contact: Box::default(),
            eab: false,
            agreed: true,
        };
        let url = Url::from("https://ca.example/acct/1");
        let facts = AccountFacts { url, status: AccountStatus::Valid };
        self.act(StreamKind::Issuer, "letsencrypt", act, Outcome::Done(Fact::Account(facts)));
    }

    /// A leaf is found at the target and adopted; every endpoint serves it.
    fn adopted(&mut self, name: &str, leaf: &LeafFacts) {
        let installed = Installed {
            leaf: Some(Arc::new(leaf.clone())),
            ours: true,
            staged: Box::default(),
            key_matches: Some(true),
            remarks: Box::default(),
            leftovers: Box::default(),
        };
        let found = TargetInspected { target: Name::new("web"), found: Ok(installed) };
        self.add(StreamKind::Certificate, name, Event::TargetInspected(found));
        self.add(StreamKind::Certificate, name, Event::LeafAdopted(Arc::new(leaf.clone())));
        let id = self.state.id(&Name::new(name)).unwrap();
        let endpoints = self.state.certificate(id).unwrap().spec.endpoints.clone();
        for endpoint in endpoints {
            let handshake = |address: &str, state| Handshake {
                address: address.parse().unwrap(),
                state,
                leaf: Some(Arc::new(leaf.clone())),
                cause: None,
                doubts: None,
                sample: None,
            };
            let is_shop = endpoint.server_name.as_str() == "shop.example.org";
            let second = if is_shop { SightState::Expired } else { SightState::Ok };
            let handshakes = vec![
                handshake("192.0.2.10:443", SightState::Ok),
                handshake("[2001:db8::10]:443", second),
            ];
            let sight = Ok(Sight { handshakes, tlsa: None });
            let seen = EndpointSeen { endpoint, sight, seen_at: None };
            self.add(StreamKind::Certificate, name, Event::EndpointSeen(seen));
        }
    }
}

fn leaf(names: &[&str], not_before: &str, not_after: &str) -> LeafFacts {
    LeafFacts {
        fingerprint: Fingerprint([1; 32]),
        key: KeyId([2; 32]),
        identifiers: names.iter().map(|name| Identifier::new(name).unwrap()).collect(),
        validity: Validity { not_before: at(not_before), not_after: at(not_after) },
        chain_not_after: at("2035-01-01T00:00:00Z"),
        issued_by: "Let's Encrypt YE1".into(),
        ari_id: None,
        for_servers: true,
        chain_in_order: true,
        traits: None,
        trusted: None,
    }
}

fn failure() -> Failure {
    Failure {
        kind: FailureKind::Refused,
        blame: Blame::Name(Identifier::new("new.example.org").unwrap()),
        attempted: "prove new.example.org to letsencrypt".into(),
        cause: "the CA saw 404 at http://new.example.org/\u{1b}[2J".into(),
        problem: None,
    }
}

/// A month of a small fleet: one well, one with a stale address, one that cannot be issued.
fn story() -> Story {
    let mut story = Story::new();
    let started = InstanceStarted { version: "0.1.0".into() };
    story.add(StreamKind::Instance, "self", Event::InstanceStarted(started));
    story.declare(FILE);
    story.account();
    let names = ["example.org", "www.example.org"];
    story.adopted("www", &leaf(&names, "2026-10-20T09:00:00Z", "2027-01-18T09:00:00Z"));
    let shop = leaf(&["shop.example.org"], "2026-08-26T09:00:00Z", "2026-11-24T09:00:00Z");
    story.adopted("shop", &shop);
    let opened = IncidentOpened {
        code: Code::TargetNotReloaded,
        subject: "shop.example.org:443 [[2001:db8::10]:443]".into(),
        severity: Severity::Warning,
        blame: None,
        evidence: "serves a leaf until 2026-11-24T09:00:00Z".into(),
    };
    story.add(StreamKind::Certificate, "shop", Event::IncidentOpened(opened));
    let nothing = Installed {
        leaf: None,
        ours: true,
        staged: Box::default(),
        key_matches: None,
        remarks: Box::default(),
        leftovers: Box::default(),
    };
    let found = TargetInspected { target: Name::new("web"), found: Ok(nothing) };
    story.add(StreamKind::Certificate, "new", Event::TargetInspected(found));
    let id = story.state.id(&Name::new("new")).unwrap();
    let endpoint = story.state.certificate(id).unwrap().spec.endpoints[0].clone();
    let seen = EndpointSeen { endpoint, sight: Err(failure()), seen_at: None };
    story.add(StreamKind::Certificate, "new", Event::EndpointSeen(seen));
    let began = AttemptBegan {
        issuer: Name::new("letsencrypt"),
        identifiers: [Identifier::new("new.example.org").unwrap()].into(),
        key: Slot("certificate/new/1".into()),
        profile: None,
        replaces: None,
        reason: Reason::Uncovered,
        reserve_at: None,
        hurried: false,
    };
    story.add(StreamKind::Certificate, "new", Event::AttemptBegan(Box::new(began)));
    let account = AccountRef {
        issuer: Name::new("letsencrypt"),
        url: Url::from("https://ca.example/acct/1"),
        key: Slot("account/letsencrypt".into()),
    };
    let act = ActKind::NewOrder {
        account,
        identifiers: [Identifier::new("new.example.org").unwrap()].into(),
        profile: None,
        replaces: None,
    };
    story.act(StreamKind::Certificate, "new", act, Outcome::Unknown);
    let ended = AttemptEnded { failure: failure(), jitter: Permille::new(0) };
    story.add(StreamKind::Certificate, "new", Event::AttemptEnded(Box::new(ended)));
    let act = ActKind::KeepBundle { leaf: shop.fingerprint, key: Slot("x".into()) };
    let kept = Outcome::Done(Fact::Kept(BundleId([3; 32])));
    story.act(StreamKind::Certificate, "shop", act, kept);
    story.now = at("2026-11-21T09:00:00Z");
    story
}

#[test]
fn status_of_a_name_tells_how_it_stands_at_each_target() {
    let story = story();
    let all = || StatusView::of(&story.state, &[], Source::Daemon, story.now, 0);
    let view = all().about(&story.state, &Name::new("shop.example.org"));
    let expected = "
  runway  certificate  names   state
     3 d  shop         0 of 1  shop.example.org:443 [[2001:db8::10]:443]: serves a leaf until 2026-11-24T09:00:00Z; renewal is due

  covered  name              target  how that is known
        -  shop.example.org  web     not covered: [2001:db8::10]:443 shows an expired leaf

warning shop target.not-reloaded shop.example.org:443 [[2001:db8::10]:443] (19 d ago)
  serves a leaf until 2026-11-24T09:00:00Z
  hint: reload the server by hand and check the target's `reload` command

3 certificates, 1 finding, 0 lapses; letsencrypt ok; running since 2026-11-01 10:00 UTC
";
    assert_eq!(format!("\n{}", view.render(Paint::Plain)), expected);
    let www = all().about(&story.state, &Name::new("www"));
    assert!(!www.has_findings() && view.has_findings());
    let told = www.render(Paint::Plain);
    let row = "     58 d  www.example.org  web     seen at 2 of 2 addresses\n";
    assert!(told.contains(row), "{told}");
    let json = serde_json::to_value(&www).unwrap();
    let row = &json["certificates"][0]["coverage"][0];
    assert_eq!((&row["state"], &row["addresses_seen"]), (&"seen".into(), &2.into()));
    assert_eq!(serde_json::from_value::<StatusView>(json).unwrap(), www);
}

#[test]
fn status_is_a_table_with_what_lapses_first_on_top() {
    let story = story();
    let view = StatusView::of(&story.state, &[], Source::Daemon, story.now, 10);
    let expected = "
  runway  certificate  names   state
     new  new          0 of 1  no leaf yet
     3 d  shop         0 of 1  shop.example.org:443 [[2001:db8::10]:443]: serves a leaf until 2026-11-24T09:00:00Z; renewal is due
    58 d  www          2 of 2  renewal in 27 d

warning shop target.not-reloaded shop.example.org:443 [[2001:db8::10]:443] (19 d ago)
  serves a leaf until 2026-11-24T09:00:00Z
  hint: reload the server by hand and check the target's `reload` command

3 certificates, 1 finding, 0 lapses; letsencrypt ok; running since 2026-11-01 10:00 UTC
";
    assert_eq!(format!("\n{}", view.render(Paint::Plain)), expected);
}

#[test]
fn a_status_keeps_its_counts_when_it_is_cut_and_its_meaning_as_json() {
    let story = story();
    let quarantined = [(Stream::instance(), Box::from("record 3 of instance/self: no body"))];
    let view = StatusView::of(&story.state, &quarantined, Source::Journal, story.now, 1);
    let expected = "
  runway  certificate  names   state
     new  new          0 of 1  no leaf yet
  and 2 more with a longer runway

critical journal.quarantined instance/self (now)
  record 3 of instance/self: no body
  hint: restore the store from a backup, or report this with the record named below

3 certificates, 2 findings, 0 lapses; letsencrypt ok; no daemon is running
";
    assert_eq!(format!("\n{}", view.render(Paint::Plain)), expected);
    let json = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<StatusView>(&json).unwrap(), view);
}

#[test]
fn an_empty_store_has_a_status_too() {
    let view = StatusView::of(&State::default(), &[], Source::Journal, Timestamp::UNIX_EPOCH, 10);
    let expected = "\n0 certificates, 0 findings, 0 lapses; no daemon is running\n";
    assert_eq!(format!("\n{}", view.render(Paint::Plain)), expected);
}

#[test]
fn colours_are_only_where_they_are_wanted() {
    let story = story();
    let view = StatusView::of(&story.state, &[], Source::Daemon, story.now, 10);
    assert!(!view.render(Paint::Plain).contains('\u{1b}'));
    assert!(view.render(Paint::Colour).contains("\u{1b}[33mwarning\u{1b}[0m"));
}

#[test]
fn a_plan_for_nothing_known_begins_by_looking() {
    let nothing = State::default();
    let view = PlanView::of(&nothing, &loaded(FILE), at("2026-11-21T09:00:00Z"));
    let expected = "
  + issuer/letsencrypt  https://acme-v02.api.letsencrypt.org/directory
  + solver/http  http-01
  + target/web
  + certificate/new  new.example.org
  + certificate/shop  shop.example.org
  + certificate/www  example.org, www.example.org

      now  new          look at 1 target and 1 endpoint: nothing is changed before it is known what is there
      now  new          adopt a valid leaf, or order from letsencrypt (new.example.org by http): none is known yet
      now  shop         look at 1 target and 1 endpoint: nothing is changed before it is known what is there
      now  shop         adopt a valid leaf, or order from letsencrypt (shop.example.org by http): none is known yet
      now  www          look at 1 target and 2 endpoints: nothing is changed before it is known what is there
      now  www          adopt a valid leaf, or order from letsencrypt (example.org by http, www.example.org by http): none is known yet
";
    assert_eq!(format!("\n{}", view.render(Paint::Plain)), expected);
}

#[test]
fn a_plan_says_what_changes_what_is_due_and_what_is_left_alone() {
    let story = story();
    let file = FILE.replace("[certificate.shop]", "[certificate.store]");
    let view = PlanView::of(&story.state, &loaded(&file), story.now);
    let expected = "
  + certificate/store  shop.example.org
  - certificate/shop  renewed all the same, until it is retired

      now  new          try again to order from letsencrypt (new.example.org by http): attempt 1 failed: could not prove new.example.org to letsencrypt: the CA saw 404 at http://new.example.org/\u{fffd}[2J
      now  shop         order from letsencrypt (shop.example.org by http): it is time; 3 d of runway
      now  store        look at 1 target and 1 endpoint: nothing is changed before it is known what is there
      now  store        adopt a valid leaf, or order from letsencrypt (shop.example.org by http): none is known yet
  in 27 d  www          order from letsencrypt (example.org by http, www.example.org by http): it is time; 58 d of runway
";
    assert_eq!(format!("\n{}", view.render(Paint::Plain)), expected);
}

#[test]
fn the_journal_tells_a_story() {
    let mut story = story();
    let held = IntentHeld { missing: vec![Name::new("a"), Name::new("b")] };
    story.add(StreamKind::Instance, "self", Event::IntentHeld(held));
    let mut timeline = Timeline::new();
    let lines = story.records.iter().map(|record| timeline.line(record));
    let told: Vec<String> = lines
        .filter(|line| line.weight == Weight::Main)
        .map(|line| line.render(Paint::Plain))
        .collect();
    let expected = "
2026-11-01 10:00:00  perennial           perennial 0.1.0 started
2026-11-01 10:00:01  issuer/letsencrypt  declared, at https://acme-v02.api.letsencrypt.org/directory
2026-11-01 10:00:02  target/web          declared, as a place to install at
2026-11-01 10:00:03  solver/http         declared, for http-01
2026-11-01 10:00:04  new                 declared, for new.example.org
2026-11-01 10:00:05  shop                declared, for shop.example.org
2026-11-01 10:00:06  www                 declared, for example.org, www.example.org
2026-11-01 10:00:08  issuer/letsencrypt  made the key account/letsencrypt
2026-11-01 10:00:10  issuer/letsencrypt  our account is https://ca.example/acct/1
2026-11-01 10:00:12  www                 adopted a leaf of Let's Encrypt YE1 until 2027-01-18 09:00 UTC
2026-11-01 10:00:13  www                 seen at example.org:443, 2 of 2 addresses: a leaf of Let's Encrypt YE1 until 2027-01-18 09:00 UTC
2026-11-01 10:00:14  www                 seen at www.example.org:443, 2 of 2 addresses: a leaf of Let's Encrypt YE1 until 2027-01-18 09:00 UTC
2026-11-01 10:00:16  shop                adopted a leaf of Let's Encrypt YE1 until 2026-11-24 09:00 UTC
2026-11-01 10:00:17  shop                shop.example.org:443: 1 of 2 addresses are well; [2001:db8::10]:443 shows an expired leaf
2026-11-01 10:00:18  shop                finding target.not-reloaded shop.example.org:443 [[2001:db8::10]:443]: serves a leaf until 2026-11-24T09:00:00Z; reload the server by hand and check the target's `reload` command
2026-11-01 10:00:20  new                 new.example.org:443: could not prove new.example.org to letsencrypt: the CA saw 404 at http://new.example.org/\u{fffd}[2J
2026-11-01 10:00:21  new                 renewing new.example.org at letsencrypt: no valid leaf covers them
2026-11-01 10:00:23  new                 not known whether this took effect: order new.example.org at letsencrypt
2026-11-01 10:00:24  new                 gave up this attempt: could not prove new.example.org to letsencrypt: the CA saw 404 at http://new.example.org/\u{fffd}[2J
2026-11-01 10:00:26  shop                kept the new leaf with its chain and key
2026-11-21 09:00:00  perennial           the configuration drops 2 certificates; held until a person says: perennial confirm";
    assert_eq!(format!("\n{}", told.join("\n")), expected);
}

#[test]
fn a_record_of_a_newer_release_is_shown_as_it_is() {
    let mut record = story().records[0].clone();
    record.kind = "moon.landed".into();
    record.body = "{\"where\":\"tranquillity\"}".into();
    let line = Timeline::new().line(&record);
    assert_eq!(line.text, "moon.landed {\"where\":\"tranquillity\"}");
}
