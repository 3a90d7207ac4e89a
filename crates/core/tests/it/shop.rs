//! The certificate `shop` of the golden life, stopped at a moment and told otherwise from there.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{ActKind, Outcome};
use perennial_core::decide::{self, Context, Decision, Draw};
use perennial_core::event::{Ended, Event};
use perennial_core::record::{Stream, StreamKind};
use perennial_core::state::{Attempt, Certificate, Issuer, Ordered, Stage, State};
use perennial_core::words::{AuthorizationFacts, Blame, Failure, FailureKind, Name, after};

use crate::{event, golden};

/// The state at a moment of the golden life, and what is told after it.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) state: State,
    pub(crate) now: Timestamp,
}

impl Shop {
    /// Returns the state after the first record that `is_it` accepts. Everything about `shop` and
    /// what it shares is in it, and no other certificate.
    pub(crate) fn after(is_it: impl Fn(&Stream, &Event) -> bool) -> Self {
        let mut state = State::default();
        for record in golden("life.jsonl") {
            let stream = &record.stream;
            if stream.kind == StreamKind::Certificate && stream.name.as_str() != "shop" {
                continue;
            }
            let event = event(&record);
            state.fold(stream, record.version, record.at, &event).unwrap();
            if is_it(stream, &event) {
                return Self { state, now: record.at };
            }
        }
        panic!("the golden life has no such record");
    }

    /// Returns the state after the first act of `shop` that `is_it` accepts was started.
    pub(crate) fn acting(is_it: impl Fn(&ActKind) -> bool) -> Self {
        Self::after(|stream, event| {
            let Event::Started(started) = event else { return false };
            stream.kind == StreamKind::Certificate && is_it(&started.act)
        })
    }

    pub(crate) fn stream() -> Stream {
        Stream::new(StreamKind::Certificate, Name::new("shop"))
    }

    pub(crate) fn issuer_stream() -> Stream {
        Stream::new(StreamKind::Issuer, Name::new("ca"))
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        self.state.certificate(self.state.id(&Name::new("shop")).unwrap()).unwrap()
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.state.issuers[&Name::new("ca")]
    }

    /// Returns how the CA says that the first authorization of the order stands.
    pub(crate) fn authorization(&self) -> AuthorizationFacts {
        self.ordered().authorizations[0].facts.clone().unwrap()
    }

    pub(crate) fn ordered(&self) -> &Ordered {
        let Attempt::Running(running) = &self.certificate().attempt else { panic!("no attempt") };
        let Stage::Ordered(ordered) = &running.stage else { panic!("no order") };
        ordered
    }

    pub(crate) fn wait(&mut self, span: SignedDuration) {
        self.now = after(self.now, span);
    }

    pub(crate) fn tell(&mut self, event: &Event) {
        self.tell_to(&Self::stream(), event);
    }

    pub(crate) fn tell_to(&mut self, stream: &Stream, event: &Event) {
        let version = self.state.version(stream) + 1;
        self.state.fold(stream, version, self.now, event).unwrap();
    }

    /// Ends the one act in flight of a stream.
    pub(crate) fn end_in(&mut self, stream: &Stream, outcome: Outcome) {
        let acting = &self.state.history(stream).unwrap().acting;
        let of = acting.last().unwrap().version;
        self.tell_to(stream, &Event::Ended(Ended { of, outcome, interrupted: false }));
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.end_in(&Self::stream(), outcome);
    }

    pub(crate) fn decide(&self) -> Decision {
        decide::certificate(&self.context(), &Name::new("shop"), self.certificate())
    }

    pub(crate) fn decide_issuer(&self) -> Decision {
        decide::issuer(&self.context(), &Name::new("ca"), self.issuer())
    }

    fn context(&self) -> Context<'_> {
        Context { state: &self.state, now: self.now, draw: Draw(1) }
    }

    /// Decides and records what is chosen, until nothing is.
    pub(crate) fn settle(&mut self) -> Decision {
        for _ in 0..16 {
            let decision = self.decide();
            if decision.events.is_empty() {
                return decision;
            }
            decision.events.iter().for_each(|event| self.tell(event));
        }
        panic!("it never settles");
    }
}

/// Makes a failure.
pub(crate) fn failure(kind: FailureKind, blame: Blame) -> Failure {
    Failure { kind, blame, attempted: "try".into(), cause: "why not".into(), problem: None }
}

/// Returns the acts that a decision wants.
pub(crate) fn acts(decision: &Decision) -> Vec<&ActKind> {
    decision.wants.iter().filter_map(|want| want.act.as_ref()).collect()
}
