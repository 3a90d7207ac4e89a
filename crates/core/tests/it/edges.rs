//! Addresses that say less than they seem to: edges with somebody else's leaf, and addresses that
//! several servers share.

use jiff::SignedDuration;
use perennial_core::action::{Fact, Outcome};
use perennial_core::finding::{Code, Severity};
use perennial_core::intent::Serves;
use perennial_core::words::{Sample, SightState, after};

use crate::hold::{Story, begin, days, leaf, nothing, renewed};

fn found(story: &Story, code: Code) -> Vec<(Severity, Box<str>)> {
    let all = story.decide().findings.into_iter().filter(|finding| finding.code == code);
    all.map(|finding| (finding.severity, finding.evidence)).collect()
}

/// Ours is leaf 1, and an edge before it serves leaf 9, of 90 days.
fn behind_an_edge() -> Story {
    let mut story = Story::new(|spec| spec.endpoints[0].serves = Serves::Foreign);
    story.keeps(&leaf(1, 0), 1, |_| {});
    story.lies(Some(&leaf(1, 0)));
    story.serves(SightState::Ok, Some(&leaf(9, 0)), None);
    story
}

#[test]
fn an_edge_is_not_compared_with_ours_and_its_lapse_is_told_before_it_comes() {
    let mut story = behind_an_edge();
    assert_eq!(found(&story, Code::TargetNotReloaded), []);
    let hours = |story: &Story| {
        let asks = story.decide().asks;
        asks.iter().map(|ask| ask.every).min().unwrap() >= SignedDuration::from_hours(1)
    };
    assert!(hours(&story), "all is well there");
    for (day, severity) in
        [(75, None), (77, Some(Severity::Warning)), (88, Some(Severity::Critical))]
    {
        story.now = after(begin(), days(day));
        let told: Vec<Severity> =
            found(&story, Code::EndpointForeignEnds).into_iter().map(|(told, _)| told).collect();
        assert_eq!(told, severity.into_iter().collect::<Vec<_>>(), "day {day}");
    }
    assert_eq!(found(&story, Code::EndpointExpired).len(), 0);
    story.now = after(begin(), days(90));
    assert_eq!(found(&story, Code::EndpointExpired).len(), 1, "without another look");
    story.now = after(begin(), days(80));
    story.serves(SightState::Expired, Some(&leaf(9, 0)), None);
    let told = found(&story, Code::EndpointExpired);
    assert_eq!(told[0].0, Severity::Emergency);
    assert!(told[0].1.starts_with("somebody else's leaf is meant to be served here"), "{told:?}");
}

#[test]
fn what_clients_refuse_at_an_edge_is_told_as_anywhere() {
    for (state, code) in [
        (SightState::NameMismatch, Code::EndpointNameMismatch),
        (SightState::Untrusted, Code::EndpointUntrusted),
        (SightState::Unreachable, Code::EndpointUnreachable),
        (SightState::NoTls, Code::EndpointNoTls),
    ] {
        let mut story = behind_an_edge();
        story.serves(state, None, None);
        assert_eq!(found(&story, code).len(), 1, "{state:?}");
    }
}

#[test]
fn an_old_leaf_on_one_of_several_servers_at_an_address_is_told_with_how_many_showed_it() {
    let mut story = renewed(|spec| spec.endpoints[0].shared = true, nothing, nothing);
    story.does(&Outcome::Done(Fact::Staged));
    story.does(&Outcome::Done(Fact::Activated));
    let (old, new) = (leaf(1, 0), leaf(2, 60));
    let sample = |shown| Some(Sample { shown, of: 8 });
    story.samples(&[(&old, sample(2)), (&new, sample(6))]);
    story.now = after(story.now, SignedDuration::from_mins(5));
    let told = found(&story, Code::TargetNotReloaded);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].1.starts_with("by 2 of 8 fresh connections it serves a leaf until"),
        "{told:?}"
    );
    story.restarts();
    assert_eq!(found(&story, Code::TargetNotReloaded), told);
    story.samples(&[(&new, sample(8))]);
    assert_eq!(found(&story, Code::TargetNotReloaded), []);
}
