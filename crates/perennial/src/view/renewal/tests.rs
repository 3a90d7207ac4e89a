//! A life of the first release's records, watched record by record.

use perennial_core::action::{ActKind, Outcome};
use perennial_core::event::{AttemptEnded, Decoded, Ended as ActEnded, Event};
use perennial_core::record::{Stream, StreamKind};
use perennial_core::words::{Blame, FailureKind, Permille};

use super::*;

const LIFE: &str = include_str!("../../../../core/tests/golden/0.1/life.jsonl");

/// A certificate that is watched while its life is folded.
struct Watched {
    state: State,
    name: Name,
    since: Since,
    now: Timestamp,
}

impl Watched {
    fn new(name: &str) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Self { state: State::default(), name: Name::new(name), since: Since::default(), now }
    }

    fn fold(&mut self, stream: &Stream, event: &Event) {
        let version = self.state.version(stream) + 1;
        self.state.fold(stream, version, self.now, event).unwrap();
    }

    fn fold_own(&mut self, event: &Event) {
        self.fold(&Stream::new(StreamKind::Certificate, self.name.clone()), event);
    }

    /// Lives until `enough`, and returns the lines in which it stood, each once.
    fn live(&mut self, enough: impl Fn(&Self) -> bool) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for record in LIFE.lines() {
            let record: serde_json::Value = serde_json::from_str(record).unwrap();
            let stream = Stream::try_from(record["stream"].as_str().unwrap().to_owned()).unwrap();
            self.now = record["at"].as_str().unwrap().parse().unwrap();
            let kind = record["kind"].as_str().unwrap();
            let Decoded::Event(event) = Event::decode(kind, &record["body"].to_string()) else {
                panic!("{kind} is not known");
            };
            self.fold(&stream, &event);
            if self.certificate().is_none() {
                continue;
            }
            let line = self.progress().line();
            if lines.last() != Some(&line) {
                lines.push(line);
            }
            if enough(self) {
                break;
            }
        }
        lines
    }

    fn certificate(&self) -> Option<&Certificate> {
        self.state.certificate(self.state.id(&self.name)?)
    }

    fn progress(&self) -> Progress {
        let certificate = self.certificate().unwrap();
        Progress::of(&self.state, &self.name, certificate, self.since, self.now)
    }

    fn block(&self, width: usize) -> String {
        self.progress().block(SignedDuration::from_secs(12), width, Paint::Plain).join("\n")
    }

    fn verdict(&self) -> Option<Verdict> {
        let certificate = self.certificate().unwrap();
        Verdict::of(&self.state, &self.name, certificate, self.since, self.now)
    }

    fn told(&self) -> String {
        self.verdict().unwrap().render(SignedDuration::from_secs(12), self.now)
    }
}

fn is_told(watched: &Watched) -> bool {
    let Some(Attempt::Running(running)) = watched.certificate().map(|c| &c.attempt) else {
        return false;
    };
    matches!(&running.stage, Stage::Ordered(ordered)
        if ordered.authorizations.iter().any(|a| matches!(a.answer, AnswerState::Responded { .. })))
}

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        blame: Blame::Name(perennial_core::words::Identifier::new("site.test").unwrap()),
        attempted: "prove site.test".into(),
        cause: "unauthorized: another answer was there".into(),
        problem: None,
    }
}

#[test]
fn every_step_of_a_life_is_told_until_the_leaf_is_seen() {
    let mut site = Watched::new("site");
    let lines = site.live(|site| site.verdict().is_some());
    let expected = [
        "account: looking at what is there first",
        "account: waiting to begin",
        "account: its key is being made",
        "account: being registered",
        "order: being made",
        "names: 0 of 2 proven",
        "names: 1 of 2 proven",
        "names: 2 of 2 proven",
        "issue: the CA is asked to issue",
        "issue: the CA is issuing",
        "issue: issued, being fetched",
        "issue: issued, being kept",
        "web1: being staged",
        "web1: staged",
        "web1: validated",
        "seen: 0 of 2 addresses",
        "done",
    ];
    assert_eq!(lines, expected);
    let verdict = site.verdict().unwrap();
    assert_eq!((verdict.ended, verdict.leaf, verdict.is_well()), (Ended::Seen, Some(1), true));
    let end = "site: leaf 1, until 2026-03-31 23:00 UTC, seen at 2 of 2 addresses (after 12 s)";
    assert_eq!(site.told(), end);
}

#[test]
fn a_block_shows_what_is_done_what_is_being_done_and_what_is_left() {
    let mut site = Watched::new("site");
    site.live(is_told);
    let expected = "\
site  2 names at ca: no valid leaf covers them                              12 s
  ok  account
  ok  order
  >   names    0 of 2 proven
               *.site.test: the CA is looking
               site.test: the CA is told
      issue
      web1
      seen     0 of 2 addresses";
    assert_eq!(site.block(80), expected);
}

#[test]
fn a_narrow_terminal_shows_the_same_in_less_room() {
    let mut site = Watched::new("site");
    site.live(is_told);
    site.fold_own(&Event::AttemptTroubled(failure(FailureKind::Transient)));
    for width in [20, 30, 42, 200] {
        for line in site.block(width).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
    let expected = "\
site  2 names at ca: no valid lea...  12 s
  ok  account
  ok  order
  !   names    0 of 2 proven
               again in 2 s: could not
               prove site.test:
               unauthorized: another an...
               *.site.test: the CA is
               looking
               site.test: the CA is told
      issue
      web1
      seen     0 of 2 addresses";
    assert_eq!(site.block(42), expected);
}

#[test]
fn a_failure_that_may_pass_is_waited_for_and_one_that_stays_is_not() {
    let mut site = Watched::new("site");
    site.live(is_told);
    let troubled = Event::AttemptTroubled(failure(FailureKind::Transient));
    for _ in 0..3 {
        site.fold_own(&troubled);
        assert_eq!(site.verdict(), None);
    }
    site.fold_own(&troubled);
    let verdict = site.verdict().unwrap();
    assert_eq!((verdict.ended, verdict.is_well()), (Ended::Failed, false));
    assert_eq!(site.told().lines().nth(2), Some("  tried again in 60 s, by itself"));
}

#[test]
fn an_attempt_that_failed_is_told_with_its_cause_and_the_next_try() {
    let mut site = Watched::new("site");
    site.live(is_told);
    let (failure, jitter) = (failure(FailureKind::Refused), Permille::new(0));
    site.fold_own(&Event::AttemptEnded(Box::new(AttemptEnded { failure, jitter })));
    let expected = "\
site: not renewed (after 12 s)
  could not prove site.test: unauthorized: another answer was there
  tried again in 3 h, by itself

hint: what happened: perennial journal site; once it is mended: perennial renew site";
    assert_eq!(site.told(), expected);
    // Whoever begins to watch now waits for the next attempt.
    site.since = Since::of(site.certificate().unwrap());
    assert_eq!(site.verdict(), None);
}

#[test]
fn a_target_that_fails_is_told_while_the_others_serve() {
    let mut site = Watched::new("site");
    let validating = |site: &Watched| {
        let acting = &site.certificate()?.history.acting;
        acting
            .iter()
            .find(|acting| matches!(acting.act, ActKind::Validate { .. }))
            .map(|a| a.version)
    };
    site.live(|site| validating(site).is_some());
    assert_eq!(site.verdict(), None);
    let of = validating(&site).unwrap();
    let mut failure = failure(FailureKind::Transient);
    failure.blame = Blame::Target(Name::new("web1"));
    let outcome = Outcome::Failed(failure);
    site.fold_own(&Event::Ended(ActEnded { of, outcome, interrupted: false }));
    let verdict = site.verdict().unwrap();
    assert_eq!((verdict.ended, verdict.leaf), (Ended::NotEverywhere, Some(1)));
    assert_eq!(verdict.causes[0].about, "web1");
    assert_eq!(site.told().lines().nth(2), Some("  tried again in 10 s, by itself"));
}
