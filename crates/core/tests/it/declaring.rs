//! What declarations take away: what is held, what stays because something needs it, what is said.

use jiff::Timestamp;
use perennial_core::action::{ActKind, Fact, Outcome};
use perennial_core::driver::{Driver, Input, Loader, removal};
use perennial_core::event::{AccountLost, Ended, Event, Started};
use perennial_core::intent::{
    CertificateSpec, Intent, IssuerKind, IssuerSpec, KeyRotation, SolverSpec, TargetSpec,
};
use perennial_core::record::{Record, Stream};
use perennial_core::state::{Owed, account_slot};
use perennial_core::words::{
    AccountFacts, AccountStatus, Answer, Blame, ChallengeKind, FailureKind, Identifier,
    KeyAlgorithm, Name, Url,
};

use crate::golden;
use crate::loading::next;
use crate::shop::{Shop, failure};

fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn issuer() -> IssuerSpec {
    IssuerSpec {
        directory: "https://ca.test/directory".into(),
        contact: Box::default(),
        eab: false,
        profile: None,
        agreed: true,
        kind: IssuerKind::Private,
        account_key: KeyAlgorithm::EcdsaP256,
    }
}

fn solver() -> SolverSpec {
    SolverSpec {
        kind: ChallengeKind::Http01,
        zones: Box::default(),
        follows_cname: false,
        visible_within: jiff::SignedDuration::from_secs(60),
        by_hand: false,
    }
}

fn target() -> TargetSpec {
    let settle = jiff::SignedDuration::from_secs(60);
    TargetSpec { take_over: false, validates: false, settle, serves_at: [].into() }
}

/// Declares certificates, each with an issuer, a solver and a target of the same name.
fn declaring(names: &[&str]) -> Intent {
    let mut intent = Intent::default();
    for text in names {
        let name = Name::new(text);
        intent.issuers.insert(name.clone(), issuer());
        intent.solvers.insert(name.clone(), solver());
        intent.targets.insert(name.clone(), target());
        let spec = CertificateSpec {
            identifiers: [Identifier::new(&format!("{text}.test")).unwrap()].into(),
            issuers: [name.clone()].into(),
            solvers: [name.clone()].into(),
            targets: [name.clone()].into(),
            endpoints: Box::default(),
            key: KeyAlgorithm::EcdsaP256,
            key_chosen: false,
            pins: Box::default(),
            chain: None,
            rotation: KeyRotation::Rotate,
            renew_before: None,
            owner: None,
            was: None,
        };
        intent.certificates.insert(name, spec);
    }
    intent
}

struct Declaring {
    driver: Driver,
}

impl Declaring {
    fn new(names: &[&str]) -> Self {
        let (driver, _) = Loader::new().start("0.1.0", 1, now(), 1);
        let mut own = Self { driver };
        own.declare(&declaring(names), false);
        own
    }

    fn declare(&mut self, intent: &Intent, confirmed: bool) -> Vec<Record> {
        let intent = Box::new(intent.clone());
        self.driver.on(Input::Declared { intent, confirmed }, now(), 1).append.records
    }

    fn refuse(&mut self) {
        let message = "perennial.toml:1:1: nonsense".into();
        let _ = self.driver.on(Input::DeclarationRefused { message }, now(), 1);
    }

    fn codes(&self) -> Vec<&'static str> {
        let incidents = &self.driver.state().instance.history.incidents;
        incidents.iter().map(|incident| incident.code.as_str()).collect()
    }
}

const FIVE: &[&str] = &["a", "b", "c", "d", "e"];

#[test]
fn a_held_removal_takes_nothing_away_until_it_is_confirmed() {
    let mut own = Declaring::new(FIVE);
    let one = declaring(&["a"]);
    let held = removal(own.driver.state(), &one);
    assert!(held.is_held && held.means.is_empty());
    assert_eq!(held.certificates.len(), 4);
    let before = own.driver.state().intent();
    own.declare(&one, false);
    assert_eq!(own.driver.state().intent(), before);
    own.declare(&one, true);
    assert_eq!(own.driver.state().intent().certificates.len(), 1);
    assert_eq!(own.codes(), [""; 0]);
}

#[test]
fn what_an_undeclared_certificate_needs_stays_declared() {
    let mut own = Declaring::new(&["a", "b"]);
    let mut one = declaring(&["a"]);
    own.declare(&one, false);
    let intent = own.driver.state().intent();
    assert_eq!(intent.certificates.len(), 1);
    assert_eq!((intent.issuers.len(), intent.solvers.len(), intent.targets.len()), (2, 2, 2));
    // Declared again with other means, it lets go of these.
    let mut again = declaring(&["b"]).certificates.remove(&Name::new("b")).unwrap();
    let only: std::sync::Arc<[Name]> = [Name::new("a")].into();
    (again.issuers, again.solvers, again.targets) = (only.clone(), only.clone(), only);
    one.certificates.insert(Name::new("b"), again);
    own.declare(&one, false);
    let intent = own.driver.state().intent();
    assert_eq!((intent.issuers.len(), intent.solvers.len(), intent.targets.len()), (1, 1, 1));
}

#[test]
fn a_held_file_that_is_mended_after_a_mistake_ends_the_finding_of_the_mistake() {
    let mut own = Declaring::new(FIVE);
    let one = declaring(&["a"]);
    own.declare(&one, false);
    assert_eq!(own.codes(), ["config.removal-held"]);
    own.refuse();
    assert!(own.codes().contains(&"config.refused"), "{:?}", own.codes());
    own.declare(&one, false);
    assert_eq!(own.codes(), ["config.removal-held"]);
    // Said once: the same file again is no news.
    let kinds = own.declare(&one, false);
    assert!(!kinds.iter().any(|record| &*record.kind == "intent.held"));
    own.declare(&declaring(FIVE), false);
    assert_eq!(own.codes(), [""; 0]);
}

/// Tells a journal of an act and of how it ended.
fn acted(loader: &mut Loader, stream: &Stream, act: ActKind, outcome: Outcome) {
    let started = Event::Started(Started { act, deadline_at: now() });
    tell(loader, stream, &started);
    let of = loader.state().version(stream);
    tell(loader, stream, &Event::Ended(Ended { of, outcome, interrupted: false }));
}

fn tell(loader: &mut Loader, stream: &Stream, event: &Event) {
    loader.record(&next(loader, stream, event.kind(), &event.body()));
}

/// A journal in which the account has another URL than before, and an answer cannot be taken down.
fn left_to_a_person() -> Loader {
    let mut loader = Loader::new();
    let life = golden("life.jsonl");
    let end = life.iter().position(|record| &*record.kind == "seen.through").unwrap();
    life[..end].iter().for_each(|record| loader.record(record));
    let issuer = Name::new("ca");
    let url = loader.state().issuers[&issuer].account_ref(&issuer).unwrap().url;
    tell(&mut loader, &Shop::issuer_stream(), &Event::AccountLost(AccountLost { url }));
    let key = account_slot(&issuer);
    let contact = Box::default();
    let again = ActKind::NewAccount { issuer, key, contact, eab: false, agreed: true };
    let facts = AccountFacts { url: Url::from("https://ca.test/2"), status: AccountStatus::Valid };
    let outcome = Outcome::Done(Fact::Account(facts));
    acted(&mut loader, &Shop::issuer_stream(), again, outcome);

    let answer = Answer {
        solver: Name::new("web"),
        kind: ChallengeKind::Http01,
        identifier: Identifier::new("shop.test").unwrap(),
        token: "token".into(),
        thumbprint: "thumbprint".into(),
        place: None,
        standing: None,
    };
    let present = ActKind::Present { answer: answer.clone() };
    acted(&mut loader, &Shop::stream(), present, Outcome::Done(Fact::Presented));
    for _ in 0..Owed::TRIES {
        let withdraw = ActKind::Withdraw { answer: answer.clone() };
        let failure = failure(FailureKind::Refused, Blame::Solver(Name::new("web")));
        acted(&mut loader, &Shop::stream(), withdraw, Outcome::Failed(failure));
    }
    assert!(loader.is_whole(), "{:?}", loader.quarantined());
    loader
}

#[test]
fn who_confirms_has_seen_what_cannot_end_by_itself_and_who_only_declares_has_not() {
    for (confirmed, expected) in [(true, 1), (false, 0)] {
        let (mut driver, _) = left_to_a_person().start("test", 1, now(), 1);
        let intent = Box::new(driver.state().intent());
        let step = driver.on(Input::Declared { intent, confirmed }, now(), 1);
        let count = |stream: &Stream, kind: &str| {
            let all = step.append.records.iter();
            all.filter(|record| record.stream == *stream && &*record.kind == kind).count()
        };
        let moved = count(&Shop::issuer_stream(), "account.confirmed");
        let left = count(&Shop::stream(), "withdrawal.abandoned");
        assert_eq!((moved, left), (expected, expected), "confirmed: {confirmed}");
    }
}
