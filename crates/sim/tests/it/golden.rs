//! Golden records: one line for every kind of event, and a whole life, as this release writes them.
//!
//! `PERENNIAL_BLESS=1 cargo test -p perennial-sim --test it golden` writes them, once for a release;
//! what a release has written must fold for ever, which core's tests see to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use jiff::SignedDuration;
use perennial_core::event::{
    AccountHolderSeen, AccountImported, CertificateRenamed, ChainChosen, ChainOffered,
    ClockPutRight, Empty, Event, HoldOverruled, InstanceRestored, InstanceTroubled, IntentHeld,
    IntentRefused, LeafConfirmed, LeafImported, RevocationMoot, RevocationRequested,
    RevocationUnknown, ValidationFailed, ValidationPassed,
};
use perennial_core::record::{Record, Stream, StreamKind};
use perennial_core::state::State;
use perennial_core::words::{ChainFacts, Fingerprint, KeyFacts, Name, Objection, after};
use perennial_sim::model::ca::Outage;
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/tests/golden/0.1")
}

fn line(record: &Record) -> String {
    let Record { stream, version, at, kind, schema, must_understand, shard, epoch, body } = record;
    format!(
        r#"{{"stream":"{stream}","version":{version},"at":"{at}","kind":"{kind}","schema":{schema},"must_understand":{must_understand},"shard":{shard},"epoch":{epoch},"body":{body}}}"#
    )
}

/// A life with most of what can happen in it.
fn life() -> World {
    let names = ["site.test", "*.site.test"];
    let scenario = Scenario::new(1, begin())
        .with("site", &names, "dns", &["web1"])
        .with("shop", &["shop.test"], "web", &["web1"])
        .with("gone", &["gone.test"], "web", &["web1"]);
    let mut world = World::new(1, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    let ca = Name::new("ca");
    let change = move |w: &mut World, outage| {
        w.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = outage;
    };
    world.at(days(50), move |w| change(w, Outage::Unavailable));
    world.at(days(62), move |w| change(w, Outage::None));
    world.at(days(63), move |w| w.outside.cas.get_mut(&ca).unwrap().restart());
    world.at(days(63), |w| w.renew("shop"));
    world.at(days(70), |w| {
        let mut intent = w.intent().clone();
        intent.certificates.remove(&Name::new("gone"));
        w.declare(intent);
    });
    world.run_until(after(begin(), days(75)));
    assert!(world.checks.violations.is_empty(), "{:?}", world.checks.violations);
    world
}

/// Returns one record of every kind.
fn one_of_each() -> BTreeMap<String, Record> {
    let world = life();
    let mut all = BTreeMap::new();
    for record in world.records() {
        all.entry(record.kind.to_string()).or_insert_with(|| record.clone());
    }
    let state = world.driver().unwrap().state();
    for (stream, event) in rare(state) {
        let (kind, body) = (event.kind(), event.body().into());
        let must_understand = event.must_understand();
        let (shard, at) = (stream.shard(), begin());
        let record = Record {
            stream,
            version: 7,
            at,
            kind: kind.into(),
            schema: 1,
            must_understand,
            shard,
            epoch: 1,
            body,
        };
        all.entry(kind.to_string()).or_insert(record);
    }
    all
}

/// What a short life does not bring.
fn rare(state: &State) -> Vec<(Stream, Event)> {
    let stream = Stream::new(StreamKind::Certificate, Name::new("site"));
    let site = state.certificate(state.id(&stream.name).unwrap()).unwrap();
    let leaf = site.leaf.clone().unwrap();
    let answer = perennial_core::words::Answer {
        solver: Name::new("dns"),
        kind: perennial_core::words::ChallengeKind::Dns01,
        identifier: perennial_core::words::Identifier::new("site.test").unwrap(),
        token: "token".into(),
        thumbprint: "thumbprint".into(),
        place: None,
        standing: None,
    };
    let account = perennial_core::words::Url::from("https://ca.test/acct/1");
    let standing = perennial_core::words::Answer {
        kind: perennial_core::words::ChallengeKind::DnsPersist01,
        token: "".into(),
        thumbprint: "".into(),
        standing: Some(Box::new(perennial_core::words::Standing {
            issuer: "ca.test".into(),
            account_uri: account.0.clone(),
            account,
            wildcard: true,
        })),
        ..answer.clone()
    };
    let trouble = perennial_core::words::Failure {
        kind: perennial_core::words::FailureKind::Transient,
        blame: perennial_core::words::Blame::Issuer(Name::new("ca")),
        attempted: "ask the CA".into(),
        cause: "no connection".into(),
        problem: None,
    };
    let issuer = Stream::new(StreamKind::Issuer, Name::new("ca"));
    let identifier = answer.identifier.clone();
    let failed = ValidationFailed { identifier: identifier.clone(), failure: trouble.clone() };
    let refused = IntentRefused { message: "line 3: unknown key `isuer`".into() };
    let troubled = InstanceTroubled { troubles: vec![trouble.clone()] };
    let held = IntentHeld { missing: vec![Name::new("shop")] };
    let unlisted = RevocationUnknown { certificate: Some(Name::new("site")) };
    let overruled = HoldOverruled {
        target: Name::new("web1"),
        objections: Box::new([
            Objection::NoClientAuth,
            Objection::OtherRoot { from: "Sandbox Root X1".into(), to: "Sandbox Root X2".into() },
        ]),
    };
    let key = perennial_core::words::Slot("account/ca/1".into());
    let holder = AccountHolderSeen { key, url: Some("https://ca.test/acct/1".into()) };
    let reason = perennial_core::words::RevocationReason::KeyCompromise;
    let asked = RevocationRequested { leaf: leaf.number, reason, at_once: false };
    let certificate = perennial_core::words::Url::from("https://ca.test/cert/1/1");
    let found = Ok(ChainFacts {
        leaf: leaf.facts.clone(),
        kept: Fingerprint([7; 32]),
        alternates: Box::new([certificate.clone()]),
    });
    let offered = ChainOffered { certificate: certificate.clone(), found };
    let imported = LeafImported {
        facts: leaf.facts.clone(),
        bundle: leaf.bundle.unwrap(),
        issuer: leaf.issuer.clone(),
        from: "certbot".into(),
    };
    let account = AccountImported {
        key: KeyFacts { id: leaf.facts.key, thumbprint: "thumbprint".into() },
        url: Some("https://ca.test/account/1".into()),
        from: "certbot".into(),
    };
    let restored = InstanceRestored { id: "0a1b2c3d4e5f6071".into(), backed_up_at: begin() };
    vec![
        (stream.clone(), Event::ChainOffered(Box::new(offered))),
        (stream.clone(), Event::ChainChosen(ChainChosen { certificate })),
        (Stream::instance(), Event::IntentRefused(refused)),
        (Stream::instance(), Event::IntentHeld(held)),
        (Stream::instance(), Event::InstanceTroubled(troubled)),
        (stream.clone(), Event::ClockPutRight(ClockPutRight { was: after(begin(), days(365)) })),
        (stream.clone(), Event::AttemptTroubled(trouble)),
        (stream.clone(), Event::AnswersDoubted(Empty {})),
        (stream.clone(), Event::Undeclared(Empty {})),
        (stream.clone(), Event::CertificateRenamed(CertificateRenamed { to: Name::new("shop") })),
        (stream.clone(), Event::LeafAdopted(leaf.facts.clone())),
        (stream.clone(), Event::LeafConfirmed(LeafConfirmed { leaf: leaf.number })),
        (stream.clone(), Event::HoldOverruled(Box::new(overruled))),
        (stream.clone(), Event::LeafImported(Box::new(imported))),
        (stream.clone(), Event::RevocationRequested(asked)),
        (stream.clone(), Event::RevocationMoot(RevocationMoot { leaf: leaf.number })),
        (stream.clone(), Event::LeafInherited(leaf)),
        (stream.clone(), Event::WithdrawalAbandoned(answer.clone())),
        (stream.clone(), Event::AnswerGone(answer.clone())),
        (stream.clone(), Event::AnswerSpent(standing)),
        (issuer.clone(), Event::ValidationFailed(Box::new(failed))),
        (issuer.clone(), Event::ValidationPassed(ValidationPassed { identifier })),
        (issuer.clone(), Event::AccountConfirmed(Empty {})),
        (issuer.clone(), Event::AccountImported(account)),
        (Stream::instance(), Event::InstanceRestored(restored)),
        (Stream::instance(), Event::InstanceResumed(Empty {})),
        (issuer.clone(), Event::AccountKeyRequested(Empty {})),
        (issuer.clone(), Event::AccountKeyDropped(Empty {})),
        (issuer.clone(), Event::AccountHolderSeen(holder)),
        (issuer.clone(), Event::AccountEndRequested(Empty {})),
        (issuer, Event::RevocationUnknown(unlisted)),
        (stream.clone(), Event::Checkpoint(state.checkpoint(&stream).unwrap())),
    ]
}

#[test]
fn every_kind_of_event_has_a_golden_line() {
    let all = one_of_each();
    if std::env::var_os("PERENNIAL_BLESS").is_some() {
        let mut events = String::new();
        for record in all.values() {
            writeln!(events, "{}", line(record)).unwrap();
        }
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(folder().join("events.jsonl"), events).unwrap();
        let mut life_told = String::new();
        for record in life().records().iter().take(250) {
            writeln!(life_told, "{}", line(record)).unwrap();
        }
        std::fs::write(folder().join("life.jsonl"), life_told).unwrap();
    }
    let missing: Vec<_> = Event::KINDS.iter().filter(|kind| !all.contains_key(**kind)).collect();
    assert!(missing.is_empty(), "{missing:?} have no example");
    let golden = std::fs::read_to_string(folder().join("events.jsonl")).unwrap_or_default();
    for kind in Event::KINDS {
        let marker = format!(r#""kind":"{kind}""#);
        assert!(golden.contains(&marker), "`{kind}` has no golden line: bless, and commit it");
    }
}
