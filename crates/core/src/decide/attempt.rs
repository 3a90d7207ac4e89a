//! One step of a running attempt: key, order, authorizations, finalize, chain, bundle.
//!
//! The CA's words are obeyed where they are clear, and doubted where an answer was lost: then is
//! asked first and acted again. Every stage has a deadline far below the CA's own; what outlives it
//! is dropped and begun anew (law 4).
//!
//! Complications, and how each is met:
//! - The key must be durable before the CA hears of it, and a resumed order must use the same one:
//!   its slot was chosen when the attempt began, and making it comes first.
//! - An order whose URL was lost cannot be asked for: it is ordered again, without `replaces`, and
//!   a CA that reuses orders (Boulder does) gives back the same one.
//! - The order's own `error` is often empty when a validation failed: the authorizations are looked
//!   at before an invalid order is judged, so that the name at fault is known.
//! - A CA counts failed validations for each name, whichever certificates share it: one that it
//!   refused lately is not ordered again before its time, and the attempt ends with what it said.
//! - A passing failure (503, no connection) does not end the attempt: authorizations that were
//!   earned would be lost. The act is tried again, at growing distances, until the stage's deadline.

use alloc::format;
use alloc::string::String;

use jiff::{SignedDuration, Timestamp};

use super::{Context, Decision, Lane, Want, authorize, chain, gate, retry};
use crate::action::{AccountRef, ActKind, AskKind};
use crate::event::{AttemptEnded, ChainChosen, Event};
use crate::state::{AUTHORIZED_WITHIN, Certificate, Ordered, Running, Stage};
use crate::words::time::after;
use crate::words::{Blame, Failure, FailureKind, Identifier, Name, OrderStatus, blame_problem};

/// How long one exchange with a CA may take.
pub(super) const EXCHANGE_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// How long making a key, or writing a bundle, may take.
const LOCAL_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// How often the CA is asked about something that is on its way, unless it names a moment.
pub(super) const POLL_EVERY: SignedDuration = SignedDuration::from_secs(2);

/// How long an attempt may wait to be admitted by its issuer.
const ADMITTED_WITHIN: SignedDuration = SignedDuration::from_hours(12);

/// How long a CA may take to issue.
const ISSUED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// How long an issued chain is asked for: the CA keeps it, and another order would cost.
const FETCHED_WITHIN: SignedDuration = SignedDuration::from_hours(6);

/// How long an attempt may last in all: the sum of the others, and an hour for the bundle.
const DONE_WITHIN: SignedDuration = SignedDuration::from_hours(20);

/// How many authorizations a CA may want for each name. One is usual; RFC 8555 section 7.1.3 leaves
/// it to the CA, and what is far from it is no policy.
const AUTHORIZATIONS_FOR_A_NAME: usize = 2;

/// How often what a CA says of an order may be new, for each of its authorizations and for the order
/// itself. A handful is usual, a dozen or two where it cannot be told of an answer; a CA that goes
/// back and forth must not fill the journal until the order's deadlines.
const TURNS_EACH: usize = 32;

/// How long is waited for the authorizations of a dead order to say which name it was.
const BLAMED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// Takes the attempt one step further.
pub(super) fn advance(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    running: &Running,
    decision: &mut Decision,
) {
    if let Some(trouble) = &running.trouble {
        if !is_passing(trouble.failure.kind) {
            return end(cx, name, decision, trouble.failure.clone());
        }
        let retry_at = retry::within_attempt_at(trouble.at, trouble.failures);
        let deadline = deadline_of(running);
        if cx.now < retry_at && cx.now < deadline {
            return decision.wake(retry_at.min(deadline));
        }
    }
    let deadline = deadline_of(running);
    if deadline <= cx.now {
        return end(cx, name, decision, overdue(running));
    }
    decision.wake(deadline);
    if running.key.is_none() {
        return make_key(certificate, running, decision);
    }
    match &running.stage {
        Stage::Unordered { doubted } => {
            order(cx, name, certificate, running, *doubted, decision);
        }
        Stage::Ordered(ordered) => {
            // Without an account nothing can be said; the issuer's own decision sees to that.
            let issuer = cx.state.issuers.get(&running.plan.issuer);
            let account = issuer.and_then(|issuer| issuer.account_ref(&running.plan.issuer));
            if let Some(account) = account {
                let step = Step { cx, name, certificate, running, ordered, account };
                step.advance(decision);
            }
        }
        Stage::Fetched(leaf) => match gate(certificate, running, leaf, cx.now) {
            Err(failure) => end(cx, name, decision, failure),
            Ok(()) => {
                let kept = running.alternate.unwrap_or(leaf.fingerprint);
                keep(certificate, running, kept, decision);
            }
        },
    }
}

/// Returns whether a failure may pass by itself, so that the attempt is worth going on with.
pub(crate) const fn is_passing(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Transient | FailureKind::Unknown | FailureKind::AlreadyReplaced)
}

/// Ends the attempt.
pub(super) fn end(cx: &Context<'_>, name: &Name, decision: &mut Decision, failure: Failure) {
    let jitter = cx.draw.permille(name);
    let ended = AttemptEnded { failure, jitter };
    decision.events.push(Event::AttemptEnded(alloc::boxed::Box::new(ended)));
}

fn deadline_of(running: &Running) -> Timestamp {
    let done_at = after(running.began_at, DONE_WITHIN);
    match &running.stage {
        Stage::Unordered { .. } => after(running.began_at, ADMITTED_WITHIN),
        Stage::Ordered(ordered) => {
            let within = match ordered.facts.status {
                OrderStatus::Pending => AUTHORIZED_WITHIN,
                OrderStatus::Ready | OrderStatus::Processing => ISSUED_WITHIN,
                OrderStatus::Valid => FETCHED_WITHIN,
                OrderStatus::Invalid | OrderStatus::Unknown => BLAMED_WITHIN,
            };
            after(ordered.since, within).min(done_at)
        }
        Stage::Fetched(_) => done_at,
    }
}

/// Returns the failure of a stage that took too long: the last thing that went wrong in it, or that
/// nothing came.
fn overdue(running: &Running) -> Failure {
    if let Stage::Ordered(ordered) = &running.stage
        && matches!(ordered.facts.status, OrderStatus::Invalid | OrderStatus::Unknown)
    {
        return dead(running, ordered);
    }
    if let Some(trouble) = &running.trouble {
        return trouble.failure.clone();
    }
    let waited_for = match &running.stage {
        Stage::Unordered { .. } => "the issuer to admit a new order",
        Stage::Ordered(ordered) => match ordered.facts.status {
            OrderStatus::Pending => "the order's authorizations",
            _ => "the order to be issued",
        },
        Stage::Fetched(_) => "the bundle to be kept",
    };
    Failure {
        kind: FailureKind::Unknown,
        blame: Blame::Issuer(running.plan.issuer.clone()),
        attempted: format!("wait for {waited_for}").into(),
        cause: "it took longer than is ever needed; it is dropped and begun anew".into(),
        problem: None,
    }
}

fn make_key(certificate: &Certificate, running: &Running, decision: &mut Decision) {
    let slot = running.plan.key.clone();
    if !certificate.history.is_acting(|act| matches!(act, ActKind::MakeKey { .. })) {
        let algorithm = certificate.spec.key;
        decision.want(Lane::Local, ActKind::MakeKey { slot, algorithm }, LOCAL_WITHIN);
    }
}

fn order(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    running: &Running,
    doubted: bool,
    decision: &mut Decision,
) {
    if certificate.history.is_acting(|act| matches!(act, ActKind::NewOrder { .. })) {
        return;
    }
    let plan = &running.plan;
    let mut bases = plan.identifiers.iter().map(Identifier::base);
    let refused =
        bases.find_map(|base| authorize::refused_lately(cx, certificate, &plan.issuer, base));
    if let Some(failure) = refused {
        return end(cx, name, decision, failure);
    }
    let issuer = cx.state.issuers.get(&plan.issuer);
    let account = issuer.and_then(|issuer| issuer.account_ref(&plan.issuer));
    let act = account.map(|account| ActKind::NewOrder {
        account,
        identifiers: plan.identifiers.clone(),
        profile: plan.profile.clone(),
        replaces: if doubted { None } else { plan.replaces.clone() },
    });
    let lane = Lane::Orders(plan.issuer.clone());
    decision.wants.push(Want { lane, act, within: EXCHANGE_WITHIN });
}

fn keep(
    certificate: &Certificate,
    running: &Running,
    leaf: crate::words::Fingerprint,
    decision: &mut Decision,
) {
    if !certificate.history.is_acting(|act| matches!(act, ActKind::KeepBundle { .. })) {
        let key = running.plan.key.clone();
        decision.want(Lane::Local, ActKind::KeepBundle { leaf, key }, LOCAL_WITHIN);
    }
}

/// What is known while an order is being worked on.
pub(super) struct Step<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) name: &'a Name,
    pub(super) certificate: &'a Certificate,
    pub(super) running: &'a Running,
    pub(super) ordered: &'a Ordered,
    pub(super) account: AccountRef,
}

impl Step<'_> {
    fn advance(&self, decision: &mut Decision) {
        if let Some(cause) = self.excess() {
            return self.end(decision, self.nonsense(&cause));
        }
        match self.ordered.facts.status {
            OrderStatus::Pending => authorize::advance(self, decision),
            OrderStatus::Ready => self.finalize(decision),
            OrderStatus::Processing => self.ask_order(decision),
            OrderStatus::Valid => self.fetch(decision),
            OrderStatus::Invalid | OrderStatus::Unknown => self.bury(decision),
        }
    }

    /// Returns what of an order is beyond all measure, if something is.
    fn excess(&self) -> Option<String> {
        let names = self.running.plan.identifiers.len();
        let authorizations = self.ordered.authorizations.len();
        if authorizations > AUTHORIZATIONS_FOR_A_NAME * names {
            return Some(format!("it wants {authorizations} authorizations for {names} names"));
        }
        let turns = usize::from(self.ordered.turns);
        (turns > TURNS_EACH * (authorizations + 1))
            .then(|| format!("what the CA says of it changed {turns} times"))
    }

    pub(super) fn ask_order(&self, decision: &mut Decision) {
        if let Some(later) = self.ordered.poll_at.filter(|at| *at > self.cx.now) {
            return decision.wake(later);
        }
        let order = self.ordered.facts.url.clone();
        let kind = AskKind::Order { account: self.account.clone(), order };
        decision.ask(kind, EXCHANGE_WITHIN, POLL_EVERY);
    }

    fn finalize(&self, decision: &mut Decision) {
        let history = &self.certificate.history;
        if history.is_acting(|act| matches!(act, ActKind::Finalize { .. })) {
            return;
        }
        if self.ordered.finalize_doubted {
            return self.ask_order(decision);
        }
        let Some(finalize) = self.ordered.facts.finalize.clone() else {
            return self.end(decision, self.nonsense("the order is ready but has no finalize URL"));
        };
        let act = ActKind::Finalize {
            account: self.account.clone(),
            finalize,
            order: self.ordered.facts.url.clone(),
            identifiers: self.running.plan.identifiers.clone(),
            key: self.running.plan.key.clone(),
        };
        decision.want(Lane::Issuer(self.account.issuer.clone()), act, EXCHANGE_WITHIN);
    }

    fn fetch(&self, decision: &mut Decision) {
        let Some(certificate) = self.ordered.facts.certificate.clone() else {
            return self.ask_order(decision);
        };
        let wanted = self.certificate.spec.chain.as_deref();
        let (certificate, alternate) = match chain::next(wanted, self.ordered, self.cx.now) {
            None => (certificate, false),
            Some(chain::Next::Ask(url, until)) => {
                decision.wake(until);
                (url.clone(), true)
            }
            Some(chain::Next::Choose(url)) => {
                let certificate = url.clone();
                return decision.events.push(Event::ChainChosen(ChainChosen { certificate }));
            }
        };
        let kind = AskKind::Chain { account: self.account.clone(), certificate, alternate };
        decision.ask(kind, EXCHANGE_WITHIN, POLL_EVERY);
    }

    /// A dead order: which name was it?
    fn bury(&self, decision: &mut Decision) {
        if authorize::ask_unsettled(self, decision) {
            return;
        }
        self.end(decision, dead(self.running, self.ordered));
    }

    pub(super) fn end(&self, decision: &mut Decision, failure: Failure) {
        end(self.cx, self.name, decision, failure);
    }

    pub(super) fn nonsense(&self, cause: &str) -> Failure {
        Failure {
            kind: FailureKind::Transient,
            blame: Blame::Issuer(self.account.issuer.clone()),
            attempted: format!("work on the order {}", self.ordered.facts.url).into(),
            cause: cause.into(),
            problem: None,
        }
    }
}

/// Returns why an order is dead: the first of its authorizations that failed, else its own error.
fn dead(running: &Running, ordered: &Ordered) -> Failure {
    let issuer = &running.plan.issuer;
    let failed = ordered.authorizations.iter().find_map(|a| authorize::failure_of(a, issuer));
    if let Some(failure) = failed {
        return failure;
    }
    let attempted = format!("complete the order {}", ordered.facts.url).into();
    let Some(problem) = &ordered.facts.error else {
        return Failure {
            kind: FailureKind::Gone,
            blame: Blame::Issuer(issuer.clone()),
            attempted,
            cause: "the CA says the order is dead and not why".into(),
            problem: None,
        };
    };
    let only = match &*running.plan.identifiers {
        [only] => Some(only),
        _ => None,
    };
    let (kind, blame) = blame_problem(problem, only, issuer);
    let cause: String = format!("{}: {}", problem.kind, problem.detail);
    let problem = Some(alloc::boxed::Box::new(problem.clone()));
    Failure { kind, blame, attempted, cause: cause.into(), problem }
}
