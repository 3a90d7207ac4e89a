//! Authorizations: locate, present, wait until seen, respond, poll.
//!
//! ```text
//! Absent ──Present──▶ Presented ──every server shows it, or the deadline──▶ Awaited ──Respond──▶ Responded
//!    ▲                                                                                             │
//!    └── the CA still waits ── Doubted ◀── the process ended, from any state in which it was up ───┘
//! ```
//!
//! An answer in DNS is awaited on every authoritative server *that answers*, until a deadline; then,
//! if at least one shows it, the CA is told all the same: waiting for a dead server for ever is how
//! certificates lapse (law 4). If none shows it, telling the CA would only burn a failed validation.
//!
//! Which solver answers for which name is the intent's; whether the CA offers its challenge is seen
//! here.
//!
//! Where a place can show one answer for a name at a time (tls-alpn-01), a second certificate for the
//! name waits until the first one's answer is not needed any more.
//!
//! A record of dns-persist-01 stays up: an attempt that finds it where it was put looks whether it is
//! shown everywhere, and writes nothing.
//!
//! A validation that fails after we were restarted while the CA may have looked is our own fault, not
//! the name's: it is tried again at once.

use alloc::boxed::Box;
use alloc::format;

use jiff::SignedDuration;

use super::attempt::{EXCHANGE_WITHIN, POLL_EVERY, Step};
use super::{Context, Decision, Lane, retry};
use crate::action::{ActKind, AskKind};
use crate::event::{AnswerAwaited, Event};
use crate::intent::SolverSpec;
use crate::state::{AnswerState, Authorization, Certificate, VALIDATED_WITHIN};
use crate::words::time::after;
use crate::words::{
    Answer, AuthorizationFacts, AuthorizationStatus, Blame, ChallengeFacts, ChallengeKind, Failure,
    FailureKind, Identifier, Name, Problem, blame_problem,
};

/// How long putting up or taking down an answer may take.
pub(super) const PRESENT_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// How long a look at the authoritative servers may take.
pub(super) const LOOK_WITHIN: SignedDuration = SignedDuration::from_secs(20);

/// How long a certificate that was to tell the CA, or to put up its answer, at once waits until it looks
/// whether it still may.
const TURN_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// Works on every authorization of a pending order.
pub(super) fn advance(step: &Step<'_>, decision: &mut Decision) {
    let mut all_valid = true;
    for authorization in &step.ordered.authorizations {
        if let Some(failure) = failure_of(authorization, &step.account.issuer) {
            return step.end(decision, failure);
        }
        let Some(facts) = &authorization.facts else {
            all_valid = false;
            ask(step, authorization, decision);
            continue;
        };
        if facts.status == AuthorizationStatus::Valid {
            continue;
        }
        all_valid = false;
        match choose(step, facts) {
            Err(failure) => return step.end(decision, failure),
            Ok(chosen) => answer(step, authorization, facts, &chosen, decision),
        }
        if !decision.events.is_empty() {
            return;
        }
    }
    if all_valid {
        step.ask_order(decision);
    }
}

/// Asks for the authorizations of which it is not known how they ended; returns whether any.
pub(super) fn ask_unsettled(step: &Step<'_>, decision: &mut Decision) -> bool {
    let unsettled =
        |a: &&Authorization| matches!(a.status(), None | Some(AuthorizationStatus::Pending));
    let mut any = false;
    for authorization in step.ordered.authorizations.iter().filter(unsettled) {
        any = true;
        ask(step, authorization, decision);
    }
    any
}

fn ask(step: &Step<'_>, authorization: &Authorization, decision: &mut Decision) {
    let authorization = authorization.url.clone();
    let kind = AskKind::Authorization { account: step.account.clone(), authorization };
    decision.ask(kind, EXCHANGE_WITHIN, POLL_EVERY);
}

/// Returns why an authorization failed, if it did.
pub(super) fn failure_of(authorization: &Authorization, issuer: &Name) -> Option<Failure> {
    let facts = authorization.facts.as_ref()?;
    match facts.status {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid => None,
        AuthorizationStatus::Invalid if authorization.interrupted => Some(interrupted(facts)),
        AuthorizationStatus::Invalid => Some(refused(facts, issuer)),
        AuthorizationStatus::Deactivated
        | AuthorizationStatus::Expired
        | AuthorizationStatus::Revoked
        | AuthorizationStatus::Unknown => Some(Failure {
            kind: FailureKind::Gone,
            blame: Blame::Issuer(issuer.clone()),
            attempted: format!("validate {}", facts.identifier).into(),
            cause: format!("the authorization is {:?}", facts.status).to_lowercase().into(),
            problem: None,
        }),
    }
}

/// The CA looked for an answer that went down with us.
fn interrupted(facts: &AuthorizationFacts) -> Failure {
    let problem = problem_of(facts);
    let told = problem.map_or("it does not say why", |problem| &problem.detail);
    Failure {
        kind: FailureKind::Gone,
        blame: Blame::Ourselves,
        attempted: format!("validate {}", facts.identifier).into(),
        cause: format!("we were restarted while the CA looked for the answer: {told}").into(),
        problem: problem.cloned().map(Box::new),
    }
}

fn problem_of(facts: &AuthorizationFacts) -> Option<&Problem> {
    facts.challenges.iter().find_map(|challenge| challenge.error.as_ref())
}

/// Returns what a CA that refused a name said.
pub(crate) fn refused(facts: &AuthorizationFacts, issuer: &Name) -> Failure {
    let attempted = format!("validate {}", facts.identifier).into();
    let problem = problem_of(facts);
    let Some(problem) = problem else {
        return Failure {
            kind: FailureKind::Refused,
            blame: Blame::Name(facts.identifier.clone()),
            attempted,
            cause: "the CA says the authorization is invalid and not why".into(),
            problem: None,
        };
    };
    let (kind, blame) = blame_problem(problem, Some(&facts.identifier), issuer);
    let cause = format!("{}: {}", problem.kind, problem.detail).into();
    Failure { kind, blame, attempted, cause, problem: Some(Box::new(problem.clone())) }
}

/// The challenge that will be answered, and by whom.
struct Chosen<'a> {
    solver: &'a Name,
    spec: &'a SolverSpec,
    challenge: &'a ChallengeFacts,
}

fn choose<'a>(step: &'a Step<'a>, facts: &'a AuthorizationFacts) -> Result<Chosen<'a>, Failure> {
    let wanted = if facts.wildcard {
        Identifier::new(&format!("*.{}", facts.identifier)).unwrap_or(facts.identifier.clone())
    } else {
        facts.identifier.clone()
    };
    let unanswerable = |cause: alloc::string::String| Failure {
        kind: FailureKind::Refused,
        blame: Blame::Ourselves,
        attempted: format!("choose a challenge for {wanted}").into(),
        cause: cause.into(),
        problem: None,
    };
    let solver = step.cx.solver_for(&step.certificate.spec, &wanted);
    let Some((solver, spec)) = solver else {
        return Err(unanswerable("no declared solver can answer for this name".into()));
    };
    let offered = facts.challenges.iter().find(|challenge| challenge.kind == spec.kind);
    let Some(challenge) = offered else {
        let kinds = facts.challenges.iter().map(|challenge| challenge.kind.as_str());
        let kinds: alloc::vec::Vec<&str> = kinds.collect();
        return Err(unanswerable(format!(
            "solver {solver} answers {}, and the CA offers only {}",
            spec.kind.as_str(),
            kinds.join(", ")
        )));
    };
    Ok(Chosen { solver, spec, challenge })
}

fn answer(
    step: &Step<'_>,
    authorization: &Authorization,
    facts: &AuthorizationFacts,
    chosen: &Chosen<'_>,
    decision: &mut Decision,
) {
    match &authorization.answer {
        AnswerState::Absent => present(step, authorization, facts, chosen, decision),
        AnswerState::Presented { .. } if !chosen.spec.follows_cname => {
            decision.events.push(awaited(authorization));
        }
        AnswerState::Presented { at, showing } => {
            let deadline = after(*at, chosen.spec.visible_within);
            let showing = showing.as_ref();
            let everywhere = showing.is_some_and(|s| !s.showing.is_empty() && s.lagging.is_empty());
            let somewhere = showing.is_some_and(|s| !s.showing.is_empty());
            if everywhere || (deadline <= step.cx.now && somewhere) {
                decision.events.push(awaited(authorization));
            } else if deadline <= step.cx.now {
                let answer = made(step, authorization, facts, chosen);
                step.end(decision, invisible(authorization, facts, chosen, answer.as_ref()));
            } else if let Some(answer) = made(step, authorization, facts, chosen) {
                decision.wake(deadline);
                decision.ask(AskKind::Look { answer }, LOOK_WITHIN, POLL_EVERY);
            }
        }
        AnswerState::Doubted => ask(step, authorization, decision),
        AnswerState::Awaited => respond(step, facts, chosen, decision),
        AnswerState::Responded { at, .. } => {
            let deadline = after(*at, VALIDATED_WITHIN);
            if deadline <= step.cx.now {
                return step.end(decision, step.nonsense("the CA did not finish validating"));
            }
            decision.wake(deadline);
            ask(step, authorization, decision);
        }
    }
}

fn awaited(authorization: &Authorization) -> Event {
    Event::AnswerAwaited(AnswerAwaited { authorization: authorization.url.clone() })
}

fn present(
    step: &Step<'_>,
    authorization: &Authorization,
    facts: &AuthorizationFacts,
    chosen: &Chosen<'_>,
    decision: &mut Decision,
) {
    if chosen.spec.follows_cname && authorization.place.is_none() {
        let (solver, identifier) = (chosen.solver.clone(), facts.identifier.clone());
        let (kind, account) = (chosen.spec.kind.clone(), step.account.url.clone());
        let ask = AskKind::Locate { solver, identifier, kind, account };
        return decision.ask(ask, LOOK_WITHIN, POLL_EVERY);
    }
    let Some(answer) = made(step, authorization, facts, chosen) else {
        return step
            .end(decision, step.nonsense("the challenge does not say what would answer it"));
    };
    let (cx, base) = (step.cx, &facts.identifier);
    if answer.kind.shows_one_at_a_time() {
        if cx.state.is_answered_elsewhere(base, step.name, cx.now) {
            return decision.wake(after(cx.now, POLL_EVERY));
        }
        // Another one may be admitted first.
        decision.wake(after(cx.now, TURN_AGAIN));
    }
    // A withdrawal of the same answer, owed by an attempt before, must not overtake this.
    let is_this = |act: &ActKind| match act {
        ActKind::Present { answer: own } | ActKind::Withdraw { answer: own } => {
            *own == answer || own.is_same_record(&answer)
        }
        _ => false,
    };
    if step.certificate.history.is_acting(is_this) {
        return;
    }
    if step.certificate.standing.iter().any(|standing| standing.is_same_record(&answer)) {
        decision.ask(AskKind::Look { answer }, LOOK_WITHIN, POLL_EVERY);
    } else {
        let lane = Lane::Solver(chosen.solver.clone());
        decision.want(lane, ActKind::Present { answer }, PRESENT_WITHIN);
    }
}

/// Makes the answer; `None` where the CA says too little of the challenge, or the account has no key.
fn made(
    step: &Step<'_>,
    authorization: &Authorization,
    facts: &AuthorizationFacts,
    chosen: &Chosen<'_>,
) -> Option<Answer> {
    let issuer = step.cx.state.issuers.get(&step.account.issuer)?;
    if chosen.spec.kind == ChallengeKind::DnsPersist01 {
        return standing(step, authorization, facts, chosen, &issuer.spec.directory);
    }
    Some(Answer {
        solver: chosen.solver.clone(),
        kind: chosen.spec.kind.clone(),
        identifier: facts.identifier.clone(),
        token: chosen.challenge.token.clone()?,
        thumbprint: issuer.thumbprint()?.into(),
        place: authorization.place.clone(),
        standing: None,
    })
}

/// Makes the record that stays: one for a name and its wildcard, where the order has both.
fn standing(
    step: &Step<'_>,
    authorization: &Authorization,
    facts: &AuthorizationFacts,
    chosen: &Chosen<'_>,
    directory: &str,
) -> Option<Answer> {
    let base = facts.identifier.base();
    let mut ordered = step.running.plan.identifiers.iter();
    let wildcard = ordered.any(|own| own.is_wildcard() && own.base() == base);
    let record =
        chosen.challenge.persist.as_ref()?.record(&step.account.url, directory, wildcard)?;
    Some(Answer {
        solver: chosen.solver.clone(),
        kind: ChallengeKind::DnsPersist01,
        identifier: facts.identifier.clone(),
        token: Box::default(),
        thumbprint: Box::default(),
        place: authorization.place.clone(),
        standing: Some(Box::new(record)),
    })
}

/// Tells the CA, unless it just refused this name to another certificate, or is validating it for one:
/// of many that share a bad name, only the first is to hear so from the CA.
fn respond(
    step: &Step<'_>,
    facts: &AuthorizationFacts,
    chosen: &Chosen<'_>,
    decision: &mut Decision,
) {
    let challenge = chosen.challenge.url.clone();
    let is_this =
        |act: &ActKind| matches!(act, ActKind::Respond { challenge: c, .. } if *c == challenge);
    if step.certificate.history.is_acting(is_this) {
        return;
    }
    let account = step.account.clone();
    let (cx, issuer, own) = (step.cx, &account.issuer, &facts.identifier);
    if let Some(failure) = refused_lately(cx, step.certificate, issuer, own.base()) {
        return step.end(decision, failure);
    }
    if cx.state.is_validating_elsewhere(issuer, own, step.name, cx.now) {
        return decision.wake(after(cx.now, POLL_EVERY));
    }
    // Another one may be admitted first.
    decision.wake(after(cx.now, TURN_AGAIN));
    let lane = Lane::Issuer(account.issuer.clone());
    let kind = chosen.spec.kind.clone();
    decision.want(lane, ActKind::Respond { account, challenge, kind }, EXCHANGE_WITHIN);
}

/// Returns what the CA said of a name, without asking, if it refused it too short a while ago: CAs
/// count failed validations for each account and name, and not for each certificate.
pub(super) fn refused_lately(
    cx: &Context<'_>,
    certificate: &Certificate,
    issuer: &Name,
    base: &str,
) -> Option<Failure> {
    let failing = &cx.state.issuers.get(issuer)?.failing;
    let known = failing.iter().find(|known| known.identifier.as_str() == base)?;
    if retry::name_at(certificate, known) <= cx.now {
        return None;
    }
    let said = &known.failure;
    let cause = format!("{} (said of the same name a while ago; not asked again yet)", said.cause);
    Some(Failure { cause: cause.into(), ..said.clone() })
}

/// No authoritative server shows the answer: what was written is not what is asked.
fn invisible(
    authorization: &Authorization,
    facts: &AuthorizationFacts,
    chosen: &Chosen<'_>,
    answer: Option<&Answer>,
) -> Failure {
    let place = authorization.place.as_ref();
    let zone = place.map_or_else(|| facts.identifier.base().into(), |place| place.zone.clone());
    let record = place.map_or_else(|| "the answer".into(), |place| place.record.clone());
    Failure {
        kind: FailureKind::Refused,
        blame: Blame::Zone(zone.clone()),
        attempted: format!("see the answer for {} in DNS", facts.identifier).into(),
        cause: match answer.and_then(|answer| answer.standing.as_ref()) {
            Some(standing) if chosen.spec.by_hand => format!(
                "no authoritative server of {zone} shows the record that is to be put up by hand: \
                 {record}. TXT \"{standing}\""
            ),
            _ => format!(
                "solver {} wrote {record}, but no authoritative server of {zone} showed it within \
                 {} s",
                chosen.solver,
                chosen.spec.visible_within.as_secs()
            ),
        }
        .into(),
        problem: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Url;

    #[test]
    fn a_validation_that_failed_while_we_were_restarted_is_our_own_fault_and_tried_at_once() {
        let facts = AuthorizationFacts {
            url: Url::from("https://ca.test/authz/1"),
            identifier: Identifier::new("example.test").unwrap(),
            wildcard: false,
            status: AuthorizationStatus::Invalid,
            expires: None,
            challenges: alloc::vec::Vec::new(),
            retry_at: None,
        };
        let mut authorization = Authorization {
            url: facts.url.clone(),
            facts: Some(facts),
            place: None,
            answer: AnswerState::Doubted,
            interrupted: true,
        };
        let issuer = Name::new("ca");
        let ours = failure_of(&authorization, &issuer).unwrap();
        assert_eq!((ours.kind, ours.blame), (FailureKind::Gone, Blame::Ourselves));
        authorization.interrupted = false;
        let its = failure_of(&authorization, &issuer).unwrap();
        assert!(matches!(its.blame, Blame::Name(_)), "{its}");
    }
}
