//! What is held back, told anew, or kept apart: leaves that come too often, evidence that changes,
//! decisions that break off.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{ActKind, Outcome};
use perennial_core::driver::{Doing, Driver, Input, Loader, Step};
use perennial_core::event::{AttemptEnded, Empty, Event, IncidentOpened};
use perennial_core::finding::{self, Code, Finding, Severity};
use perennial_core::record::Stream;
use perennial_core::words::{Blame, FailureKind, Name, Permille, after};

use crate::golden;
use crate::loading::next;
use crate::shop::{Shop, failure};

const fn mins(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Returns `shop` with a renewal due, in an attempt in which the leaf was issued and cannot be kept.
fn issued_in_vain() -> Shop {
    Shop::acting(|act| matches!(act, ActKind::KeepBundle { .. }))
}

fn fails(shop: &mut Shop) {
    let failure = failure(FailureKind::Transient, Blame::Ourselves);
    let ended = AttemptEnded { failure, jitter: Permille::new(0) };
    shop.tell(&Event::AttemptEnded(Box::new(ended)));
}

/// Tells `shop` that its next attempt is issued a leaf, as the one before was.
fn issued_again(shop: &mut Shop, chain: &Event) {
    assert!(begins(shop), "it does not begin");
    shop.tell(chain);
    fails(shop);
}

/// Decides; returns whether an attempt begins, and records that it does.
fn begins(shop: &mut Shop) -> bool {
    let decision = shop.decide();
    let began = decision.events.iter().find(|event| matches!(event, Event::AttemptBegan(_)));
    began.inspect(|event| shop.tell(event)).is_some()
}

fn chain_of(shop: &Shop) -> Event {
    let perennial_core::state::Attempt::Running(running) = &shop.certificate().attempt else {
        panic!("no attempt")
    };
    let perennial_core::state::Stage::Fetched(facts) = &running.stage else { panic!("no leaf") };
    Event::ChainSeen(facts.clone())
}

#[test]
fn leaves_that_come_to_nothing_hold_back_the_third_but_not_in_the_reserve_nor_a_person() {
    let mut shop = issued_in_vain();
    let chain = chain_of(&shop);
    shop.end(Outcome::Failed(failure(FailureKind::Refused, Blame::Ourselves)));
    fails(&mut shop);
    shop.wait(hours(1));
    issued_again(&mut shop, &chain);
    shop.wait(hours(7));
    assert!(!begins(&mut shop));
    let decision = shop.decide();
    let held = decision.findings.iter().find(|found| found.code == Code::IssuanceHeld);
    assert!(held.is_some(), "{:?}", decision.findings);

    let mut asked = shop.clone();
    asked.tell(&Event::RenewalRequested(Empty {}));
    assert!(begins(&mut asked));

    // A certificate without a leaf has a day from its declaration; its last quarter is the reserve.
    shop.wait(decision.wake_at.unwrap().duration_since(shop.now));
    let deadline = after(shop.now, hours(24));
    while !begins(&mut shop) {
        assert!(shop.now < deadline, "it is held for ever");
        shop.wait(mins(30));
    }
}

#[test]
fn leaves_that_were_asked_for_by_a_schedule_or_came_to_nothing_long_ago_hold_back_nothing() {
    let mut shop = issued_in_vain();
    let chain = chain_of(&shop);
    fails(&mut shop);
    for _ in 0..3 {
        shop.wait(hours(24 * 5));
        issued_again(&mut shop, &chain);
    }
}

fn found(evidence: &str, severity: Severity) -> Finding {
    let (code, subject, blame) = (Code::CaFailing, "ca".into(), None);
    Finding { code, subject, severity, blame, evidence: evidence.into() }
}

#[test]
fn evidence_is_told_anew_when_it_means_something_else_and_not_all_the_time() {
    let mut shop = Shop::acting(|_| true);
    let opened = |finding: Finding| {
        let Finding { code, subject, severity, blame, evidence } = finding;
        Event::IncidentOpened(IncidentOpened { code, subject, severity, blame, evidence })
    };
    shop.tell(&opened(found("no connection (try 1 failed now)", Severity::Notice)));
    let told = |shop: &Shop, finding: Finding| {
        finding::changes(&shop.certificate().history.incidents, vec![finding], shop.now)
    };
    // How often it was tried is no news.
    let same = found("no connection (try 2 failed now)", Severity::Notice);
    assert_eq!(told(&shop, same), (vec![], None));
    // Another cause is, a little later.
    let other = || found("503 (try 3 failed now)", Severity::Notice);
    let free_at = after(shop.now, mins(15));
    assert_eq!(told(&shop, other()), (vec![], Some(free_at)));
    shop.wait(mins(15));
    let (events, again_at) = told(&shop, other());
    assert_eq!((events.len(), again_at), (1, None));
    shop.tell(&events[0]);
    let incident = shop.certificate().history.incidents.last().unwrap();
    assert_eq!(&*incident.evidence, "503 (try 3 failed now)");
    assert_eq!(told(&shop, other()), (vec![], None));
    // What is worse is told at once, with what shows it.
    let (events, _) = told(&shop, found("404", Severity::Critical));
    shop.tell(&events[0]);
    let incident = shop.certificate().history.incidents.last().unwrap();
    assert_eq!((&*incident.evidence, incident.severity), ("404", Severity::Critical));
    assert_eq!(told(&shop, found("404", Severity::Notice)), (vec![], None));
}

#[test]
fn two_findings_of_one_kind_about_one_thing_are_one_incident() {
    let both = vec![found("one", Severity::Notice), found("other", Severity::Notice)];
    let (events, _) = finding::changes(&[], both, Timestamp::UNIX_EPOCH);
    assert_eq!(events.len(), 1);
}

thread_local! {
    /// What panics, if something does, and for whom.
    static BREAKS: Cell<Option<(&'static str, Doing)>> = const { Cell::new(None) };
}

fn isolate(stream: &Stream, doing: Doing, work: &mut dyn FnMut()) -> Result<(), Box<str>> {
    let breaks = BREAKS.get() == Some((stream.name.as_str(), doing));
    let work = AssertUnwindSafe(|| {
        work();
        // What it has changed by then stays changed.
        assert!(!breaks, "no end in sight");
    });
    catch_unwind(work).map_err(|_| "no end in sight".into())
}

fn kinds(step: &Step, stream: &str) -> Vec<String> {
    let records = step.append.records.iter();
    let own = records.filter(|record| record.stream.name.as_str() == stream);
    own.map(|record| record.kind.to_string()).collect()
}

fn has(step: &Step, stream: &str, kind: &str) -> bool {
    kinds(step, stream).iter().any(|own| own == kind)
}

fn renew(driver: &mut Driver, name: &str, now: Timestamp) -> Step {
    driver.on(Input::Renew { certificate: Name::new(name) }, now, 1)
}

/// Loads the first part of the golden life, and returns an hour later.
fn loaded() -> (Loader, Timestamp) {
    let mut loader = Loader::new().isolated_by(isolate);
    let life = golden("life.jsonl");
    let end = life.iter().position(|record| &*record.kind == "seen.through").unwrap();
    life[..end].iter().for_each(|record| loader.record(record));
    (loader, after(life[end].at, hours(1)))
}

#[test]
fn a_decision_that_panics_is_an_incident_of_its_own_and_the_others_go_on() {
    BREAKS.set(Some(("shop", Doing::Deciding)));
    let (loader, mut now) = loaded();
    let (mut driver, first) = loader.start("test", 1, now, 1);
    assert!(!has(&first, "site", "incident.opened"), "{:?}", kinds(&first, "site"));
    assert!(has(&first, "shop", "incident.opened"), "{:?}", kinds(&first, "shop"));

    let step = renew(&mut driver, "site", now);
    assert!(has(&step, "site", "attempt.began"), "{:?}", kinds(&step, "site"));
    // Its records are folded on, and nothing is decided before the time.
    let step = renew(&mut driver, "shop", now);
    assert_eq!(kinds(&step, "shop"), ["renewal.requested"]);
    assert!(step.wake_at.is_some());

    BREAKS.set(None);
    now = after(now, mins(1));
    let step = driver.on(Input::Time, now, 1);
    assert!(has(&step, "shop", "incident.resolved"), "{:?}", kinds(&step, "shop"));
    assert!(has(&step, "shop", "attempt.began"), "{:?}", kinds(&step, "shop"));
}

#[test]
fn a_record_whose_folding_panics_stops_its_own_stream_at_a_start_and_later() {
    BREAKS.set(Some(("shop", Doing::Folding)));
    let (loader, now) = loaded();
    let [(stream, cause)] = loader.quarantined() else { panic!("{:?}", loader.quarantined()) };
    assert_eq!(*stream, Shop::stream());
    assert!(cause.ends_with("folding it broke off: no end in sight"), "{cause}");
    BREAKS.set(None);
    let (mut driver, first) = loader.start("test", 1, now, 1);
    assert!(has(&first, "self", "incident.opened"), "{:?}", kinds(&first, "self"));
    assert_eq!(kinds(&renew(&mut driver, "shop", now), "shop"), <[&str; 0]>::default());

    BREAKS.set(Some(("site", Doing::Folding)));
    let step = renew(&mut driver, "site", now);
    assert_eq!(kinds(&step, "site"), <[&str; 0]>::default(), "what is not folded is not recorded");
    assert!(has(&step, "self", "incident.opened"), "{:?}", kinds(&step, "self"));
    BREAKS.set(None);
    let step = renew(&mut driver, "gone", now);
    assert!(has(&step, "gone", "attempt.began"), "{:?}", kinds(&step, "gone"));
}

#[test]
fn what_others_decide_by_is_as_it_was_when_folding_into_it_panics() {
    let (whole, _) = loaded();
    for (name, kind) in [("ca", "issuer"), ("web", "solver"), ("web1", "target")] {
        let stream = Stream::try_from(format!("{kind}/{name}")).unwrap();
        let (mut loader, now) = loaded();
        let version = loader.state().version(&stream) + 1;
        BREAKS.set(Some((name, Doing::Folding)));
        loader.record(&next(&loader, &stream, "undeclared", "{}"));
        BREAKS.set(None);
        assert_eq!(loader.quarantined().len(), 1, "{stream}");
        assert_eq!(loader.state().version(&stream) + 1, version, "{stream}");
        assert_eq!(loader.state().checkpoint(&stream), whole.state().checkpoint(&stream));
        let (mut driver, _) = loader.start("test", 1, now, 1);
        let step = renew(&mut driver, "shop", now);
        assert!(has(&step, "shop", "attempt.began"), "{:?}", kinds(&step, "shop"));
    }
}

#[test]
fn a_panic_in_judging_the_instance_is_an_incident_of_it_and_keeps_nobody_else() {
    BREAKS.set(Some(("self", Doing::Deciding)));
    let (loader, mut now) = loaded();
    let (mut driver, first) = loader.start("test", 1, now, 1);
    assert_eq!(kinds(&first, "self"), ["instance.started", "incident.opened"]);
    let step = renew(&mut driver, "site", now);
    assert!(has(&step, "site", "attempt.began"), "{:?}", kinds(&step, "site"));
    BREAKS.set(None);
    now = after(now, mins(1));
    let step = driver.on(Input::Time, now, 1);
    assert!(has(&step, "self", "incident.resolved"), "{:?}", kinds(&step, "self"));
}
