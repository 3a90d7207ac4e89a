//! Bundles that are taken back, since their server serves worse with them: when, onto what, and when
//! not.

use jiff::SignedDuration;
use perennial_core::action::{ActKind, AskKind, Fact, Outcome};
use perennial_core::event::Event;
use perennial_core::finding::Code;
use perennial_core::intent::{Site, SiteHost, TargetSpec};
use perennial_core::record::StreamKind;
use perennial_core::words::{
    Blame, Failure, FailureKind, Fingerprint, LeafFacts, Name, SightState, after,
};

use crate::hold::{Story, leaf, nothing, renewed};

const HERE: &str = "192.0.2.1:443";
const THERE: &str = "192.0.2.2:443";

fn activate(story: &mut Story) {
    story.does(&Outcome::Done(Fact::Staged));
    story.does(&Outcome::Done(Fact::Activated));
}

fn wait(story: &mut Story, secs: i64) {
    story.now = after(story.now, SignedDuration::from_secs(secs));
}

fn onto(story: &Story) -> Option<Fingerprint> {
    match story.wanted() {
        Some(ActKind::PutBack { onto, .. }) => Some(onto),
        _ => None,
    }
}

fn has(story: &Story, code: Code) -> bool {
    story.decide().findings.iter().any(|finding| finding.code == code)
}

#[test]
fn what_serves_worse_for_ten_seconds_is_taken_back_told_and_tried_again_later() {
    let bad = [
        SightState::Expired,
        SightState::NotYetValid,
        SightState::NameMismatch,
        SightState::Untrusted,
        SightState::IncompleteChain,
        SightState::NoTls,
    ];
    for state in bad {
        let mut story = renewed(nothing, nothing, nothing);
        activate(&mut story);
        story.restarts();
        story.serves(state, Some(&leaf(9, 60)), None);
        assert_eq!(onto(&story), None, "{state:?}: a reload takes a moment");
        let soon = after(story.now, SignedDuration::from_secs(10));
        assert!(story.decide().wake_at.is_some_and(|at| at <= soon), "{state:?}");
        wait(&mut story, 10);
        assert_eq!(onto(&story), Some(leaf(1, 0).fingerprint), "{state:?}");
        story.does(&Outcome::Done(Fact::PutBack));
        assert!(has(&story, Code::TargetRolledBack) && !has(&story, Code::TargetFailing));
        let inspects = |ask: &AskKind| matches!(ask, AskKind::Inspect { .. });
        let asks = story.decide().asks;
        assert!(asks.iter().any(|ask| inspects(&ask.kind) && ask.every.is_zero()), "{state:?}");
        let looks = |ask: &AskKind| matches!(ask, AskKind::Probe { .. });
        let soon = SignedDuration::from_secs(1);
        let asks = story.decide().asks;
        assert!(asks.iter().any(|ask| looks(&ask.kind) && ask.every <= soon), "{state:?}");
        story.lies(Some(&leaf(1, 0)));
        story.serves(SightState::Ok, Some(&leaf(1, 0)), None);
        wait(&mut story, 29 * 60);
        assert_eq!(story.wanted(), None, "{state:?}");
        wait(&mut story, 60);
        activate(&mut story);
        story.serves(state, Some(&leaf(9, 60)), None);
        wait(&mut story, 10);
        story.does(&Outcome::Done(Fact::PutBack));
        story.lies(Some(&leaf(1, 0)));
        story.serves(SightState::Ok, Some(&leaf(1, 0)), None);
        wait(&mut story, 5 * 3600);
        assert_eq!(story.wanted(), None, "{state:?}: it is left alone for longer");
        wait(&mut story, 3600);
        assert!(matches!(story.wanted(), Some(ActKind::Stage { .. })), "{state:?}");
    }
}

#[test]
fn what_was_no_better_before_is_not_put_back() {
    // Still the old leaf: that is a server that was not reloaded.
    let mut story = renewed(nothing, nothing, nothing);
    activate(&mut story);
    wait(&mut story, 60);
    assert_eq!(onto(&story), None);
    // An address that was bad before.
    let mut story = renewed(nothing, nothing, nothing);
    story.serves(SightState::Untrusted, Some(&leaf(1, 0)), None);
    activate(&mut story);
    story.serves(SightState::Untrusted, Some(&leaf(2, 60)), None);
    wait(&mut story, 60);
    assert_eq!(onto(&story), None);
}

#[test]
fn nothing_is_put_back_that_has_expired_or_is_revoked() {
    let worse = |old: fn(&mut LeafFacts), revoked: bool| {
        let mut story = renewed(nothing, old, nothing);
        if revoked {
            story.keeps(&leaf(3, 60), 3, |leaf| leaf.replaced_revoked = true);
        }
        activate(&mut story);
        story.serves(SightState::NoTls, None, None);
        wait(&mut story, 60);
        onto(&story)
    };
    assert!(worse(|_| {}, false).is_some());
    assert_eq!(worse(|_| {}, true), None);
    let soon = |old: &mut LeafFacts| {
        old.chain_not_after = after(old.validity.not_before, SignedDuration::from_hours(60 * 24));
        old.chain_not_after = after(old.chain_not_after, SignedDuration::from_secs(30));
    };
    assert_eq!(worse(soon, false), None);

    let mut story = renewed(nothing, nothing, nothing);
    story.shows(&[(HERE, SightState::Ok, Some(&leaf(1, 0)))]);
    activate(&mut story);
    story
        .shows(&[(HERE, SightState::NoTls, None), (THERE, SightState::Revoked, Some(&leaf(1, 0)))]);
    wait(&mut story, 60);
    assert_eq!(onto(&story), None);
}

#[test]
fn an_address_that_cannot_be_reached_is_the_leafs_fault_only_where_a_control_is_fine() {
    let alone = |story: &mut Story| {
        let host = SiteHost::Address("192.0.2.1".parse().unwrap());
        let target = TargetSpec {
            take_over: true,
            validates: false,
            settle: SignedDuration::ZERO,
            serves_at: [Site { host, port: None }].into(),
        };
        story.tell(StreamKind::Target, "web", &Event::TargetDeclared(target));
    };
    for (control, expected) in [
        (SightState::Ok, Some(leaf(1, 0).fingerprint)),
        (SightState::Unreachable, None),
        (SightState::NoTls, None),
    ] {
        let mut story = renewed(nothing, nothing, nothing);
        alone(&mut story);
        let old = Some(leaf(1, 0));
        let fine = SightState::Ok;
        story.shows(&[(HERE, fine, old.as_ref()), (THERE, fine, old.as_ref())]);
        activate(&mut story);
        let shown = old.as_ref().filter(|_| control == SightState::Ok);
        story.shows(&[(HERE, SightState::Unreachable, None), (THERE, control, shown)]);
        wait(&mut story, 10);
        assert_eq!(onto(&story), expected, "{control:?}");
    }
}

#[test]
fn putting_back_that_fails_is_tried_again_and_a_leaf_that_is_seen_is_never_taken_back() {
    let mut story = renewed(nothing, nothing, nothing);
    activate(&mut story);
    story.serves(SightState::NoTls, None, None);
    wait(&mut story, 10);
    story.does(&Outcome::Failed(Failure {
        kind: FailureKind::Transient,
        blame: Blame::Target(Name::new("web")),
        attempted: "put back what was before".into(),
        cause: "no connection".into(),
        problem: None,
    }));
    assert!(has(&story, Code::TargetFailing));
    assert_eq!(story.wanted(), None);
    wait(&mut story, 10);
    assert!(onto(&story).is_some());
    // It healed by itself meanwhile.
    story.serves(SightState::Ok, Some(&leaf(2, 60)), None);
    assert_eq!(onto(&story), None);
    story.serves(SightState::NoTls, None, None);
    wait(&mut story, 60);
    assert_eq!(onto(&story), None, "what comes after it was seen is another change");
}
