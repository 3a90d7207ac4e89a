//! What is owed, and to whom a failure belongs: single decisions on a life that goes otherwise.

use jiff::SignedDuration;
use perennial_core::action::{ActKind, AskKind, Fact, Outcome};
use perennial_core::decide::{Decision, due};
use perennial_core::event::{AccountLost, AttemptEnded, Empty, Ended, Event, Started};
use perennial_core::finding::{Code, Severity};
use perennial_core::state::{Account, Attempt};
use perennial_core::words::{
    AccountFacts, AccountStatus, Blame, FailureKind, Identifier, Name, Permille, Url,
};

use crate::shop::{Shop, acts, failure};

const fn is_present(act: &ActKind) -> bool {
    matches!(act, ActKind::Present { .. })
}

/// Ends the attempt, as when its order dies.
fn order_dies(shop: &mut Shop) {
    let failure = failure(FailureKind::Gone, Blame::Issuer(Name::new("ca")));
    let ended = AttemptEnded { failure, jitter: Permille::new(0) };
    shop.tell(&Event::AttemptEnded(Box::new(ended)));
}

#[test]
fn an_answer_that_nobody_knows_to_be_up_is_withdrawn_when_its_order_dies() {
    for outcome in [Outcome::Unknown, refused()] {
        let mut shop = Shop::acting(is_present);
        shop.end(outcome);
        order_dies(&mut shop);
        let decision = shop.settle();
        let withdraws = |act: &&ActKind| matches!(act, ActKind::Withdraw { .. });
        assert!(acts(&decision).iter().any(withdraws), "{:?}", decision.wants);
    }
}

fn refused() -> Outcome {
    Outcome::Failed(failure(FailureKind::Refused, Blame::Solver(Name::new("web"))))
}

/// The issuer's stream in the moment in which our account is being made.
fn registering() -> Shop {
    Shop::after(|stream, event| {
        let Event::Started(started) = event else { return false };
        *stream == Shop::issuer_stream() && matches!(started.act, ActKind::NewAccount { .. })
    })
}

#[test]
fn a_ca_that_is_down_or_busy_has_not_refused_the_account() {
    let ca = || Blame::Issuer(Name::new("ca"));
    let until = "2026-01-01T03:00:00Z".parse().unwrap();
    for kind in [FailureKind::Transient, FailureKind::RateLimited { until }] {
        let mut shop = registering();
        shop.end_in(&Shop::issuer_stream(), Outcome::Failed(failure(kind, ca())));
        assert!(matches!(shop.issuer().account, Account::Keyed { .. }), "{kind:?}");
        let decision = shop.decide_issuer();
        assert!(decision.findings.iter().all(|found| found.code != Code::AccountRefused));
        assert_eq!(acts(&decision), Vec::<&ActKind>::new(), "{kind:?}: at once");
        shop.wait(SignedDuration::from_secs(3));
        let is_again = !acts(&shop.decide_issuer()).is_empty();
        assert_eq!(is_again, kind == FailureKind::Transient);
        shop.wait(SignedDuration::from_hours(3));
        assert!(!acts(&shop.decide_issuer()).is_empty(), "{kind:?}: never again");
    }
}

#[test]
fn a_refused_account_is_said_to_be_and_what_it_was_before_is_kept() {
    let ready = |event: &Event| {
        matches!(event, Event::Ended(ended)
            if matches!(ended.outcome, Outcome::Done(Fact::Account(_))))
    };
    let mut shop = Shop::after(|stream, event| *stream == Shop::issuer_stream() && ready(event));
    let url = shop.issuer().account_ref(&Name::new("ca")).unwrap().url;
    let stream = Shop::issuer_stream();
    shop.tell_to(&stream, &Event::AccountLost(AccountLost { url: url.clone() }));
    let act = acts(&shop.decide_issuer())[0].clone();
    let deadline_at = shop.now;
    let start = Event::Started(Started { act, deadline_at });
    shop.tell_to(&stream, &start);
    let no = failure(FailureKind::Unauthorized, Blame::Account(Name::new("ca")));
    shop.end_in(&stream, Outcome::Failed(no));
    let found = shop.decide_issuer().findings;
    assert!(found.iter().any(|found| found.code == Code::AccountRefused), "{found:?}");
    shop.tell_to(&stream, &start);
    let facts =
        AccountFacts { url: Url::from("https://ca.test/acct/2"), status: AccountStatus::Valid };
    shop.end_in(&stream, Outcome::Done(Fact::Account(facts)));
    let Account::Ready { former, .. } = &shop.issuer().account else { panic!("not ready") };
    assert_eq!(*former, Some(url));
}

#[test]
fn a_ca_that_cannot_be_told_of_an_answer_is_told_at_growing_distances() {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Respond { .. }));
    let act = shop.certificate().history.acting[0].act.clone();
    let waiting = shop.authorization();
    let mut told_at = Vec::new();
    for _ in 0..8 {
        told_at.push(shop.now);
        shop.end(Outcome::Failed(failure(FailureKind::Transient, Blame::Issuer(Name::new("ca")))));
        assert!(matches!(shop.certificate().attempt, Attempt::Running(_)), "the attempt ended");
        // The CA is asked how it stands, and says that nobody told it.
        let told = |decision: &Decision| acts(decision).iter().any(|own| **own == act);
        let asks = |decision: &Decision| {
            let mut asks = decision.asks.iter();
            asks.any(|ask| matches!(ask.kind, AskKind::Authorization { .. }))
        };
        for _ in 0..600 {
            let decision = shop.settle();
            if asks(&decision) {
                shop.tell(&Event::AuthorizationSeen(Box::new(waiting.clone())));
            } else if told(&decision) {
                break;
            }
            shop.wait(SignedDuration::from_secs(1));
        }
        let deadline_at = shop.now;
        shop.tell(&Event::Started(Started { act: act.clone(), deadline_at }));
    }
    let gaps = told_at.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    let gaps: Vec<i64> = gaps.map(|gap| gap.as_secs()).collect();
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "{gaps:?}");
    assert!((60..600).contains(&gaps[6]), "{gaps:?}");
}

/// Returns `shop` when the withdrawal of its answer has failed so many times, two hours apart.
fn left_up(failures: usize) -> Shop {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Withdraw { .. }));
    order_dies(&mut shop);
    let start =
        Started { act: shop.certificate().history.acting[0].act.clone(), deadline_at: shop.now };
    for _ in 0..failures {
        shop.end(Outcome::Failed(failure(FailureKind::Transient, Blame::Solver(Name::new("web")))));
        shop.wait(SignedDuration::from_hours(2));
        shop.tell(&Event::Started(start.clone()));
    }
    shop.end(Outcome::Unknown);
    shop
}

#[test]
fn an_answer_that_cannot_be_taken_down_stays_a_finding_and_is_tried_every_day() {
    let mut shop = left_up(40);
    for _ in 0..30 {
        shop.wait(SignedDuration::from_hours(24));
        let decision = shop.settle();
        let found = decision.findings.iter().find(|found| found.code == Code::WithdrawalFailing);
        let evidence = &found.unwrap().evidence;
        assert!(evidence.contains("/.well-known/acme-challenge/"), "{evidence}");
        assert!(acts(&decision).iter().any(|act| matches!(act, ActKind::Withdraw { .. })));
    }
    shop.tell(&Event::WithdrawalAbandoned(shop.certificate().owed[0].answer.clone()));
    let found = shop.settle().findings;
    assert!(found.iter().all(|found| found.code != Code::WithdrawalFailing), "{found:?}");
}

#[test]
fn a_name_that_is_added_late_has_a_day_from_then_on() {
    let mut shop = Shop::after(|_, event| matches!(event, Event::SeenThrough(_)));
    shop.wait(SignedDuration::from_hours(24 * 40));
    let mut spec = (*shop.certificate().spec).clone();
    let late = Identifier::new("late.shop.test").unwrap();
    spec.identifiers = [late].into_iter().chain(spec.identifiers.iter().cloned()).collect();
    shop.tell(&Event::CertificateDeclared(Box::new(spec)));
    let declared_at = shop.now;
    assert_eq!(due(shop.certificate()).at, declared_at);
    shop.settle();
    order_dies(&mut shop);
    let severity = |shop: &Shop| {
        let found = shop.clone().settle().findings;
        found.iter().find(|found| found.code == Code::OrderGone).map(|found| found.severity)
    };
    assert_eq!(severity(&shop), Some(Severity::Notice));
    shop.wait(SignedDuration::from_hours(7));
    assert_eq!(severity(&shop), Some(Severity::Warning));
    shop.wait(SignedDuration::from_hours(12));
    assert_eq!(severity(&shop), Some(Severity::Emergency));
}

#[test]
fn a_ca_that_wants_authorizations_without_end_or_never_says_the_same_twice_is_left() {
    let created = |event: &Event| {
        matches!(event, Event::Ended(ended)
            if matches!(ended.outcome, Outcome::Done(Fact::Order(_))))
    };
    let shop = Shop::after(|stream, event| *stream == Shop::stream() && created(event));
    let seen = Shop::acting(|act| matches!(act, ActKind::Respond { .. })).authorization();

    let mut many = Shop::acting(|act| matches!(act, ActKind::NewOrder { .. }));
    let mut facts = shop.ordered().facts.clone();
    facts.authorizations = (0..3).map(|n| Url::from(&*format!("https://ca.test/{n}"))).collect();
    many.end(Outcome::Done(Fact::Order(facts)));
    let ends = |shop: &Shop| {
        shop.decide().events.iter().any(|event| matches!(event, Event::AttemptEnded(_)))
    };
    assert!(ends(&many));

    let mut fickle = shop;
    let mut turns = 0;
    while !ends(&fickle) {
        turns += 1;
        assert!(turns < 100, "it goes on for ever");
        let mut facts = seen.clone();
        facts.challenges[0].token = Some(format!("token-{turns}").into());
        fickle.tell(&Event::AuthorizationSeen(Box::new(facts)));
        fickle.wait(SignedDuration::from_secs(2));
    }
    assert!(turns > 40, "{turns}");
}

#[test]
fn what_the_end_of_this_process_interrupted_is_repeated_at_once_and_once_only() {
    let is_stage = |act: &ActKind| matches!(act, ActKind::Stage { .. });
    let mut shop = Shop::acting(is_stage);
    let interrupt = |shop: &mut Shop| {
        let acting = shop.certificate().history.acting.clone();
        for acting in &acting {
            let (of, outcome) = (acting.version, Outcome::Unknown);
            shop.tell(&Event::Ended(Ended { of, outcome, interrupted: true }));
        }
    };
    interrupt(&mut shop);
    let again: Vec<ActKind> = acts(&shop.settle()).into_iter().cloned().collect();
    assert!(again.iter().any(is_stage), "{again:?}");
    assert!(again.iter().any(|act| matches!(act, ActKind::DropKey { .. })), "{again:?}");
    for act in again {
        let deadline_at = shop.now;
        shop.tell(&Event::Started(Started { act, deadline_at }));
    }
    interrupt(&mut shop);
    assert_eq!(acts(&shop.settle()), Vec::<&ActKind>::new());
    shop.wait(SignedDuration::from_secs(10));
    assert_eq!(acts(&shop.settle()).len(), 2);
}

#[test]
fn a_changed_account_is_a_finding_until_a_person_confirms_it() {
    let mut shop = Shop::after(|_, event| matches!(event, Event::SeenThrough(_)));
    let stream = Shop::issuer_stream();
    let url = shop.issuer().account_ref(&Name::new("ca")).unwrap().url;
    shop.tell_to(&stream, &Event::AccountLost(AccountLost { url }));
    let act = acts(&shop.decide_issuer())[0].clone();
    shop.tell_to(&stream, &Event::Started(Started { act, deadline_at: shop.now }));
    let facts = AccountFacts { url: Url::from("https://ca.test/2"), status: AccountStatus::Valid };
    shop.end_in(&stream, Outcome::Done(Fact::Account(facts)));
    let is_found = |shop: &Shop| {
        shop.decide_issuer().findings.iter().any(|found| found.code == Code::AccountChanged)
    };
    assert!(is_found(&shop));
    shop.tell_to(&stream, &Event::AccountConfirmed(Empty {}));
    assert!(!is_found(&shop));
}
