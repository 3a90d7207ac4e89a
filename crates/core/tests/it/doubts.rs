//! Chains that are fine, and of which something is in doubt all the same.

use jiff::SignedDuration;
use perennial_core::finding::{Code, Finding};
use perennial_core::words::{Blame, Doubts, Refusal};

use crate::hold::{Story, leaf, nothing};

fn unknown(cause: &str) -> Doubts {
    Doubts { revocation: Some(cause.into()), ..Doubts::default() }
}

fn refused_by(stores: &[&str]) -> Doubts {
    let refusal = |store: &&str| Refusal { store: (*store).into(), cause: "no path".into() };
    Doubts { refused_by: stores.iter().map(refusal).collect(), ..Doubts::default() }
}

fn found(story: &Story, code: Code) -> Vec<Finding> {
    let findings = story.decide().findings.into_iter();
    findings.filter(|finding| finding.code == code).collect()
}

/// A certificate whose leaf is served; who issued it is as told.
fn served(is_ours: bool) -> Story {
    let mut story = Story::new(nothing);
    story.keeps(&leaf(1, 0), 1, |leaf| {
        if !is_ours {
            leaf.issuer = None;
        }
    });
    story.lies(Some(&leaf(1, 0)));
    story
}

#[test]
fn a_list_that_cannot_be_had_is_said_after_a_day_and_not_if_it_could_be_had_between() {
    let hour = SignedDuration::from_hours(1);
    let code = Code::EndpointRevocationUnknown;
    let mut story = served(false);
    story.doubts(&leaf(1, 0), &unknown("no connection"));
    let said_at = story.now + 24 * hour;
    assert_eq!(found(&story, code), []);
    assert!(story.decide().wake_at.is_some_and(|wake| wake <= said_at));
    // Other words for the same do not begin anew.
    story.now += 12 * hour;
    story.doubts(&leaf(1, 0), &unknown("HTTP status 503"));
    story.restarts();
    story.now = said_at - hour;
    assert_eq!(found(&story, code), []);
    story.now = said_at;
    let [said] = &*found(&story, code) else { panic!("it is not said") };
    assert!(said.evidence.contains("since 2026-01-01T00:00:00Z"), "{}", said.evidence);
    assert!(said.evidence.ends_with(": no connection"), "{}", said.evidence);
    story.doubts(&leaf(1, 0), &Doubts::default());
    assert_eq!(found(&story, code), []);
    story.doubts(&leaf(1, 0), &unknown("no connection"));
    story.now += 23 * hour;
    assert_eq!(found(&story, code), []);
}

#[test]
fn a_list_of_an_issuer_of_ours_is_not_said_of_each_certificate() {
    let mut story = served(true);
    story.doubts(&leaf(1, 0), &unknown("no connection"));
    story.now += SignedDuration::from_hours(48);
    assert_eq!(found(&story, Code::EndpointRevocationUnknown), []);
}

#[test]
fn each_store_that_refuses_what_another_accepts_is_said_at_once_with_since_when() {
    let mut story = served(true);
    story.doubts(&leaf(1, 0), &refused_by(&["Mozilla"]));
    story.now += SignedDuration::from_hours(5);
    story.restarts();
    story.doubts(&leaf(1, 0), &refused_by(&["Mozilla", "this machine"]));
    let said = found(&story, Code::EndpointStoreRefuses);
    let subjects: Vec<&str> = said.iter().map(|finding| &*finding.subject).collect();
    assert_eq!(subjects, ["Mozilla", "this machine"]);
    let expected = "clients with the roots of Mozilla refuse since 2026-01-01T00:00:00Z what others \
                    accept at site.test:443 [192.0.2.1:443]: no path";
    assert_eq!(&*said[0].evidence, expected);
    assert!(said[1].evidence.contains("since 2026-01-01T05:00:00Z"), "{}", said[1].evidence);
    assert_eq!(said[0].blame, Some(Blame::Endpoint("site.test:443".into())));
    story.doubts(&leaf(1, 0), &Doubts::default());
    assert_eq!(found(&story, Code::EndpointStoreRefuses), []);
}
