//! Codes that no story tells of: for each what is found, and that it is told by this code.

use jiff::SignedDuration;
use perennial_core::action::{ActKind, Outcome};
use perennial_core::driver::{Driver, Input, Loader};
use perennial_core::event::{Event, Started};
use perennial_core::finding::Code;
use perennial_core::words::{
    Blame, Failure, FailureKind, KeyId, KeyKind, LeafFacts, Name, SightState, after,
};

use crate::hold::{Story, begin, days, leaf, nothing, records, renewed, traits};
use crate::shop::{Shop, failure};

#[track_caller]
fn assert_told(codes: &[&str], code: Code) {
    assert!(codes.contains(&code.as_str()), "{code:?} is not among {codes:?}");
}

#[test]
fn what_an_address_shows_has_a_code() {
    let cases = [
        (SightState::NotYetValid, Code::EndpointNotYetValid),
        (SightState::NameMismatch, Code::EndpointNameMismatch),
        (SightState::Untrusted, Code::EndpointUntrusted),
        (SightState::IncompleteChain, Code::EndpointIncompleteChain),
        (SightState::NoTls, Code::EndpointNoTls),
        (SightState::ClientCertificateDemanded, Code::EndpointClientCertificate),
        (SightState::Unreachable, Code::EndpointUnreachable),
        (SightState::Expired, Code::EndpointExpired),
        (SightState::Revoked, Code::EndpointRevoked),
    ];
    for (state, code) in cases {
        let mut story = Story::new(nothing);
        story.keeps(&leaf(1, 0), 1, |_| {});
        story.lies(Some(&leaf(1, 0)));
        story.serves(state, Some(&leaf(1, 0)), None);
        story.now = after(begin(), days(1));
        assert_told(&story.codes(), code);
    }
}

#[test]
fn what_this_instance_stands_on_and_fails_is_told_until_it_works() {
    let trouble = |blame, attempted: &str| Failure {
        kind: FailureKind::Transient,
        blame,
        attempted: attempted.into(),
        cause: "no".into(),
        problem: None,
    };
    let solver = trouble(Blame::Solver(Name::new("http")), "listen");
    let troubles = vec![solver, trouble(Blame::Ourselves, "archive")];
    let (mut driver, _) = Loader::new().start("test", 1, begin(), 1);
    let told = |driver: &Driver| -> Vec<(Code, Box<str>)> {
        let open = &driver.state().instance.history.incidents;
        open.iter().map(|incident| (incident.code, incident.subject.clone())).collect()
    };
    let step = driver.on(Input::Troubled { troubles: troubles.clone() }, begin(), 1);
    assert!(!step.append.records.is_empty());
    let both = [(Code::SolverFailing, "http".into()), (Code::OurselvesFailing, "archive".into())];
    assert_eq!(told(&driver), both);
    let again = driver.on(Input::Troubled { troubles }, begin(), 1);
    assert!(again.append.records.is_empty(), "it is no news");
    let _ = driver.on(Input::Troubled { troubles: Vec::new() }, begin(), 1);
    assert_eq!(told(&driver), []);
}

#[test]
fn bundles_of_the_past_that_stay_at_a_target_are_told() {
    let mut story = Story::new(nothing);
    story.keeps(&leaf(1, 0), 1, |_| {});
    story
        .lies_with(Some(&leaf(1, 0)), |installed| installed.leftovers = ["`/x/old`".into()].into());
    assert_told(&story.codes(), Code::TargetLeftovers);
    story.lies(Some(&leaf(1, 0)));
    assert!(!story.codes().contains(&Code::TargetLeftovers.as_str()));
}

#[test]
fn a_certificate_that_nobody_looks_at_is_told() {
    assert_told(&Story::new(|spec| spec.endpoints = [].into()).codes(), Code::EndpointNone);
}

#[test]
fn what_speaks_against_a_leaf_has_a_code() {
    let rsa = |leaf: &mut LeafFacts| traits(leaf).key_kind = KeyKind::Rsa { bits: 2048 };
    assert_told(&renewed(nothing, rsa, nothing).codes(), Code::LeafKeyKindChanged);
    let pinned = renewed(|spec| spec.pins = [KeyId([101; 32])].into(), nothing, nothing);
    assert_told(&pinned.codes(), Code::LeafPinsUnmet);
    let mut story = renewed(nothing, nothing, nothing);
    story.serves(SightState::Ok, Some(&leaf(1, 0)), Some(records(&[101])));
    assert_told(&story.codes(), Code::LeafTlsaUnmet);
    let mut story = renewed(nothing, nothing, nothing);
    story.keeps(&leaf(2, 60), 2, |leaf| leaf.odd_profile = Some("other".into()));
    assert_told(&story.codes(), Code::LeafOtherProfile);
}

#[test]
fn a_newer_leaf_of_somebody_else_is_told() {
    let mut story = Story::new(nothing);
    story.keeps(&leaf(1, 0), 1, |_| {});
    story.now = after(begin(), days(2));
    story.lies(Some(&leaf(9, 1)));
    assert_told(&story.codes(), Code::TargetNewerLeaf);
}

/// Lets each act of a kind fail, and returns the codes of what is found then.
fn failing(is_it: fn(&ActKind) -> bool, failure: &Failure) -> Vec<&'static str> {
    let mut shop = Shop::acting(is_it);
    for _ in 0..3 {
        shop.end(Outcome::Failed(failure.clone()));
        let wanted = shop.settle().wants.into_iter().find_map(|want| want.act.filter(is_it));
        let Some(act) = wanted else { break };
        let deadline_at = after(shop.now, SignedDuration::from_mins(1));
        shop.tell(&Event::Started(Started { act, deadline_at }));
    }
    let findings = [shop.decide().findings, shop.decide_issuer().findings].concat();
    findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn what_fails_at_the_ca_has_a_code() {
    let is_order: fn(&ActKind) -> bool = |act| matches!(act, ActKind::NewOrder { .. });
    let ca = || Blame::Issuer(Name::new("ca"));
    let until = after(begin(), days(4000));
    let limited = |blame| failure(FailureKind::RateLimited { until }, blame);
    let account = Blame::Account(Name::new("ca"));
    assert_told(&failing(is_order, &limited(account)), Code::CaRateLimited);
    // It is down, and says until when.
    assert_told(&failing(is_order, &limited(ca())), Code::CaFailing);
    assert_told(&failing(is_order, &failure(FailureKind::Refused, ca())), Code::CaRefuses);
    let own = failure(FailureKind::Refused, Blame::Ourselves);
    assert_told(&failing(is_order, &own), Code::OurselvesFailing);
}

#[test]
fn a_zone_that_refuses_our_updates_has_a_code() {
    let is_answer: fn(&ActKind) -> bool = |act| matches!(act, ActKind::Present { .. });
    let refused = failure(FailureKind::Unauthorized, Blame::Zone("shop.test".into()));
    assert_told(&failing(is_answer, &refused), Code::DnsUpdateRefused);
}
