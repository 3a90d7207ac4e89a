//! The riskiest lines, each with a case that shows what it is for.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{ActKind, AskKind, Fact, Outcome};
use perennial_core::decide::due;
use perennial_core::driver::{Driver, Input, Loader, Step};
use perennial_core::event::{
    AttemptBegan, AttemptEnded, EndpointSeen, Event, Reason, Started, TargetInspected,
};
use perennial_core::intent::{Intent, KeyRotation};
use perennial_core::record::{Receipt, Stream};
use perennial_core::state::{Attempt, DeployStep, Stage, Suggestion};
use perennial_core::words::{
    AriCertId, Blame, FailureKind, Fingerprint, Handshake, Identifier, Installed, KeyId, LeafFacts,
    Name, OrderStatus, Permille, Sight, SightState, SuggestedWindow, Validity, after,
};

use crate::shop::{Shop, acts, failure};
use crate::{event, golden};

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

const fn mins(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn fails(shop: &mut Shop, kind: FailureKind, blame: Blame) {
    let ended = AttemptEnded { failure: failure(kind, blame), jitter: Permille::new(0) };
    shop.tell(&Event::AttemptEnded(Box::new(ended)));
}

fn begins(shop: &Shop) -> bool {
    shop.decide().events.iter().any(|event| matches!(event, Event::AttemptBegan(_)))
}

fn ends(shop: &Shop) -> bool {
    shop.decide().events.iter().any(|event| matches!(event, Event::AttemptEnded(_)))
}

fn wants(shop: &Shop, is_it: impl Fn(&ActKind) -> bool) -> bool {
    acts(&shop.decide()).into_iter().any(is_it)
}

/// Returns `shop` when its chain was fetched, and the leaf.
fn fetched() -> (Shop, LeafFacts) {
    let shop = Shop::after(|_, event| matches!(event, Event::ChainSeen(_)));
    let Attempt::Running(running) = &shop.certificate().attempt else { panic!("no attempt") };
    let Stage::Fetched(facts) = &running.stage else { panic!("no leaf") };
    let facts = (**facts).clone();
    (shop, facts)
}

#[test]
fn a_leaf_that_is_not_what_was_ordered_does_not_pass_the_gate() {
    let (shop, good) = fetched();
    assert!(wants(&shop, |act| matches!(act, ActKind::KeepBundle { .. })));
    let long_ago = Validity {
        not_before: after(shop.now, hours(-48)),
        not_after: after(shop.now, hours(-24)),
    };
    let other = [Identifier::new("other.test").unwrap()].into_iter().collect();
    let wrong = [
        LeafFacts { identifiers: other, ..good.clone() },
        LeafFacts { key: KeyId([7; 32]), ..good.clone() },
        LeafFacts { validity: long_ago, ..good.clone() },
        LeafFacts { for_servers: false, ..good.clone() },
        LeafFacts { chain_in_order: false, ..good },
    ];
    for facts in wrong {
        let mut shop = shop.clone();
        let told = format!("{facts:?}");
        shop.tell(&Event::ChainSeen(facts.into()));
        assert!(ends(&shop), "{told}");
    }
}

#[test]
fn an_order_whose_answer_was_lost_is_made_again_without_its_predecessor() {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::NewOrder { .. }));
    let Attempt::Running(running) = shop.certificate().attempt.clone() else { panic!("none") };
    shop.end(Outcome::Unknown);
    fails(&mut shop, FailureKind::Gone, Blame::Ourselves);
    let replaces = Some(AriCertId("aki.serial".into()));
    shop.tell(&Event::AttemptBegan(Box::new(AttemptBegan { replaces, ..running.plan.clone() })));
    let deadline_at = shop.now;
    let slot = running.plan.key;
    let make = ActKind::MakeKey { slot, algorithm: shop.certificate().spec.key };
    shop.tell(&Event::Started(Started { act: make, deadline_at }));
    shop.end(Outcome::Done(Fact::Key(running.key.unwrap())));
    let order = |shop: &Shop| acts(&shop.decide()).first().map(|act| (*act).clone()).unwrap();
    let first = order(&shop);
    assert!(matches!(&first, ActKind::NewOrder { replaces: Some(_), .. }), "{first:?}");
    shop.tell(&Event::Started(Started { act: first, deadline_at }));
    shop.end(Outcome::Unknown);
    shop.wait(mins(1));
    let second = order(&shop);
    assert!(matches!(&second, ActKind::NewOrder { replaces: None, .. }), "{second:?}");
}

#[test]
fn a_withdrawal_in_flight_is_never_overtaken_by_the_same_answer() {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Present { .. }));
    let ActKind::Present { answer } = shop.certificate().history.acting[0].act.clone() else {
        panic!("no answer")
    };
    shop.end(Outcome::Unknown);
    shop.wait(mins(1));
    assert!(wants(&shop, |act| matches!(act, ActKind::Present { .. })));
    let (act, deadline_at) = (ActKind::Withdraw { answer }, after(shop.now, mins(2)));
    shop.tell(&Event::Started(Started { act, deadline_at }));
    assert!(!wants(&shop, |act| matches!(act, ActKind::Present { .. })));
}

#[test]
fn the_next_attempt_waits_for_the_withdrawal_of_what_the_last_one_left() {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Present { .. }));
    shop.end(Outcome::Done(Fact::Presented));
    fails(&mut shop, FailureKind::Gone, Blame::Ourselves);
    shop.wait(mins(1));
    assert!(!begins(&shop));
    assert!(wants(&shop, |act| matches!(act, ActKind::Withdraw { .. })));
}

#[test]
fn in_the_reserve_the_ca_is_asked_hourly_and_no_sooner() {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::NewOrder { .. }));
    shop.end(Outcome::Unknown);
    shop.wait(hours(20));
    let name = || Blame::Name(Identifier::new("shop.test").unwrap());
    for _ in 0..3 {
        fails(&mut shop, FailureKind::Refused, name());
        shop.wait(mins(59));
        assert!(!begins(&shop), "sooner than the floor");
        shop.wait(mins(2));
        assert!(begins(&shop), "later than hourly");
        shop.decide().events.iter().for_each(|event| shop.tell(event));
    }
}

#[test]
fn an_order_that_stays_pending_is_dropped_within_the_hour() {
    let mut shop = Shop::after(|stream, event| {
        *stream == Shop::stream() && matches!(event, Event::AuthorizationSeen(_))
    });
    shop.wait(mins(29));
    assert!(!ends(&shop));
    shop.wait(mins(2));
    assert!(ends(&shop));
}

/// Tells `shop` what lies at its target.
pub(crate) fn finds(shop: &mut Shop, facts: LeafFacts, ours: bool, key_matches: bool) {
    let leaf = Some(facts.into());
    let staged = Box::default();
    let found = Ok(Installed {
        leaf,
        ours,
        staged,
        key_matches: Some(key_matches),
        remarks: Box::default(),
        leftovers: Box::default(),
    });
    let target = Name::new("web1");
    shop.tell(&Event::TargetInspected(TargetInspected { target, found }));
}

#[test]
fn a_leaf_without_its_key_is_not_adopted_and_one_with_it_is() {
    let (_, facts) = fetched();
    let adopts = |shop: &Shop| {
        shop.decide().events.iter().any(|event| matches!(event, Event::LeafAdopted(_)))
    };
    for (key_matches, is_adopted) in [(false, false), (true, true)] {
        let mut shop = Shop::after(|stream, event| {
            *stream == Shop::stream() && matches!(event, Event::EndpointSeen(_))
        });
        shop.wait(mins(1));
        finds(&mut shop, facts.clone(), true, key_matches);
        assert_eq!(adopts(&shop), is_adopted);
    }
}

#[test]
fn nothing_is_ordered_that_could_go_nowhere() {
    let (_, facts) = fetched();
    let mut shop = Shop::after(|stream, event| {
        *stream == Shop::stream() && matches!(event, Event::EndpointSeen(_))
    });
    assert!(begins(&shop));
    finds(&mut shop, facts, false, false);
    assert!(!begins(&shop));
}

#[test]
fn a_newer_leaf_stays_where_it_is_and_an_older_one_is_replaced() {
    let (_, facts) = fetched();
    let deploys = |shop: &Shop| wants(shop, |act| matches!(act, ActKind::Stage { .. }));
    for (age, is_replaced) in [(hours(-1), true), (mins(30), false)] {
        let mut shop = Shop::after(|_, event| matches!(event, Event::SeenThrough(_)));
        let not_before = after(facts.validity.not_before, age);
        let validity = Validity { not_before, ..facts.validity };
        let other = LeafFacts { fingerprint: Fingerprint([9; 32]), validity, ..facts.clone() };
        finds(&mut shop, other, true, true);
        assert_eq!(deploys(&shop), is_replaced, "{age}");
    }
}

#[test]
fn a_key_that_is_reused_is_not_dropped() {
    for (rotation, is_dropped) in [(KeyRotation::Rotate, true), (KeyRotation::Reuse, false)] {
        let mut shop = Shop::acting(|act| matches!(act, ActKind::KeepBundle { .. }));
        let spec = perennial_core::intent::CertificateSpec {
            rotation,
            ..(*shop.certificate().spec).clone()
        };
        shop.tell(&Event::CertificateDeclared(Box::new(spec)));
        shop.end(Outcome::Done(Fact::Kept(perennial_core::words::BundleId([1; 32]))));
        assert_eq!(wants(&shop, |act| matches!(act, ActKind::DropKey { .. })), is_dropped);
    }
}

#[test]
fn a_removal_of_many_certificates_waits_for_a_person() {
    let mut loader = Loader::new();
    let life = golden("life.jsonl");
    let end = life.iter().position(|record| &*record.kind == "seen.through").unwrap();
    life[..end].iter().for_each(|record| loader.record(record));
    let now = life[end].at;
    let (mut driver, _) = loader.start("test", 1, now, 1);
    let mut intent: Intent = driver.state().intent();
    let shop = intent.certificates[&Name::new("shop")].clone();
    for number in 0..4 {
        intent.certificates.insert(Name::new(&format!("more{number}")), shop.clone());
    }
    let mut declare = |intent: &Intent, confirmed| {
        let step =
            driver.on(Input::Declared { intent: Box::new(intent.clone()), confirmed }, now, 1);
        let records = step.append.records.into_iter();
        let own = records.filter(|record| record.stream == Stream::instance());
        own.map(|record| record.kind.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(declare(&intent, false), ["intent.accepted"]);
    intent.certificates.retain(|name, _| name.as_str() == "shop");
    assert_eq!(declare(&intent, false)[0], "intent.held");
    assert_eq!(declare(&intent, true)[0], "intent.accepted");
}

#[test]
fn a_confused_ca_brings_renewal_forward_once_and_not_for_the_successor_too() {
    let shop = Shop::after(|_, event| matches!(event, Event::SeenThrough(_)));
    let mut certificate = shop.certificate().clone();
    let issued_at = certificate.leaf.as_ref().unwrap().facts.validity.not_before;
    let window = SuggestedWindow { start: issued_at, end: after(issued_at, hours(1)) };
    certificate.suggestion =
        Some(Suggestion { window, spread: Permille::new(500), explanation: None });
    for (is_early, reason) in [(false, Reason::Suggested), (true, Reason::Scheduled)] {
        certificate.leaf.as_mut().unwrap().is_early = is_early;
        assert_eq!(due(&certificate).reason, reason);
    }
}

#[test]
fn a_ca_that_was_perhaps_told_is_asked_and_told_again_if_it_still_waits() {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Respond { .. }));
    let waiting = shop.authorization();
    shop.end(Outcome::Unknown);
    shop.wait(mins(1));
    assert!(!wants(&shop, |act| matches!(act, ActKind::Respond { .. })));
    shop.tell(&Event::AuthorizationSeen(Box::new(waiting)));
    assert!(wants(&shop, |act| matches!(act, ActKind::Respond { .. })));
}

/// Tells `shop` that its two addresses serve two leaves in some states.
fn shows(shop: &mut Shop, served: [(&LeafFacts, SightState); 2]) {
    let shake = |(number, (leaf, state)): (u8, (&LeafFacts, SightState))| Handshake {
        address: std::net::SocketAddr::from(([10, 0, 0, number], 443)),
        state,
        leaf: Some(leaf.clone().into()),
        cause: None,
        doubts: None,
        sample: None,
    };
    let handshakes = (1..).zip(served).map(shake).collect();
    let endpoint = shop.certificate().spec.endpoints[0].clone();
    let sight = Ok(Sight { handshakes, ..Sight::default() });
    shop.tell(&Event::EndpointSeen(EndpointSeen { endpoint, sight, seen_at: None }));
}

#[test]
fn a_leaf_is_seen_only_when_every_address_shows_it() {
    let (_, new) = fetched();
    let old = LeafFacts { fingerprint: Fingerprint([9; 32]), ..new.clone() };
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Activate { .. }));
    shop.end(Outcome::Done(Fact::Activated));
    let is_seen =
        |shop: &Shop| matches!(shop.certificate().targets[0].step, DeployStep::Seen { .. });
    shows(&mut shop, [(&new, SightState::Ok), (&old, SightState::Ok)]);
    assert!(!is_seen(&shop));
    shows(&mut shop, [(&new, SightState::Ok), (&new, SightState::Ok)]);
    assert!(is_seen(&shop));
}

#[test]
fn a_leaf_that_clients_refuse_is_not_adopted() {
    let (_, facts) = fetched();
    for (state, is_adopted) in [(SightState::Untrusted, false), (SightState::Ok, true)] {
        let mut shop = Shop::after(|stream, event| {
            *stream == Shop::stream() && matches!(event, Event::EndpointSeen(_))
        });
        shop.wait(mins(1));
        finds(&mut shop, facts.clone(), true, true);
        shows(&mut shop, [(&facts, state), (&facts, state)]);
        let adopts = |event: &Event| matches!(event, Event::LeafAdopted(_));
        assert_eq!(shop.decide().events.iter().any(adopts), is_adopted, "{state:?}");
    }
}

/// Returns what loading the golden life up to a record of `shop` leads to.
fn loaded(is_it: impl Fn(&Event) -> bool) -> (Driver, Step, Timestamp) {
    let mut loader = Loader::new();
    let mut now = Timestamp::UNIX_EPOCH;
    for record in golden("life.jsonl") {
        now = record.at;
        loader.record(&record);
        if record.stream == Shop::stream() && is_it(&event(&record)) {
            break;
        }
    }
    let (driver, step) = loader.start("test", 2, now, 1);
    (driver, step, now)
}

fn kinds(step: &Step) -> Vec<&str> {
    let records = step.append.records.iter();
    let own = records.filter(|record| record.stream == Shop::stream());
    own.map(|record| &*record.kind).collect()
}

#[test]
fn a_start_records_what_is_not_known_of_the_acts_and_answers_before_it() {
    let present = |event: &Event| matches!(event, Event::Started(s) if matches!(s.act, ActKind::Present { .. }));
    let (_, step, _) = loaded(present);
    let end = step.append.records.iter().find(|r| r.stream == Shop::stream()).unwrap();
    assert!(end.body.contains("unknown") && end.body.contains("interrupted"), "{}", end.body);
    let (_, step, _) = loaded(|event| matches!(event, Event::AnswerAwaited(_)));
    assert!(kinds(&step).contains(&"answers.doubted"), "{:?}", kinds(&step));
}

#[test]
fn an_act_whose_start_becomes_durable_only_after_it_was_given_up_is_not_performed() {
    let (mut driver, _, now) = loaded(|event| matches!(event, Event::SeenThrough(_)));
    let step = driver.on(Input::Renew { certificate: Name::new("shop") }, now, 1);
    assert!(kinds(&step).contains(&"act.started"), "{:?}", kinds(&step));
    let through = step.append.number;
    let late = after(now, mins(10));
    let given_up = driver.on(Input::Time, late, 1);
    assert!(kinds(&given_up).contains(&"act.ended"), "{:?}", kinds(&given_up));
    let acts = driver.on(Input::Durable(Receipt { through }), late, 1).acts;
    assert_eq!(acts, []);
}

#[test]
fn an_order_is_not_polled_before_the_moment_that_the_answer_to_finalize_named() {
    let secs = SignedDuration::from_secs;
    for (named, waited) in [(20, 20), (86_400, 60)] {
        let mut shop = Shop::acting(|act| matches!(act, ActKind::Finalize { .. }));
        let mut facts = shop.ordered().facts.clone();
        facts.status = OrderStatus::Processing;
        facts.retry_at = Some(after(shop.now, secs(named)));
        shop.end(Outcome::Done(Fact::Order(facts)));
        let polls = |shop: &Shop| {
            let asks = shop.decide().asks;
            asks.iter().any(|asking| matches!(asking.kind, AskKind::Order { .. }))
        };
        assert!(!polls(&shop));
        let poll_at = after(shop.now, secs(waited));
        assert_eq!(shop.decide().wake_at, Some(poll_at), "named: {named} s");
        shop.wait(secs(waited - 1));
        assert!(!polls(&shop));
        shop.wait(secs(1));
        assert!(polls(&shop), "named: {named} s");
    }
}
