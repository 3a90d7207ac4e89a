//! Withdrawing answers: owed from the moment a `Present` was started, paid when nobody needs them.
//!
//! A record of dns-persist-01 is to stay: it is owed once the certificate has no use for it any more,
//! since the name, its solver or the account went, and then only if no other certificate has.
//!
//! An answer is needed while its authorization is pending in a running attempt. Everything else is
//! taken down: after success, after failure, after a crash that left nobody knowing whether it ever
//! went up. Withdrawing what is not there is fine, so it is simply done.
//!
//! What cannot be withdrawn is a finding from the third failure on, and stays one until it is down:
//! withdrawn by the solver, which is tried once a day in the end, or seen to be gone from DNS, or
//! given up by a person. It does not hold back the next attempt. Only where more are owed than ever
//! should be is the oldest given up without a person, so that a solver that cannot take down does
//! not make the state grow for ever.

use jiff::SignedDuration;

use super::authorize::{LOOK_WITHIN, PRESENT_WITHIN};
use super::{Context, Decision, Lane, retry};
use crate::action::{ActKind, AskKind};
use crate::event::Event;
use crate::state::{Attempt, Certificate, Owed, Stage};
use crate::words::{Answer, AuthorizationStatus, Identifier, Name, OrderStatus};

/// How many answers a certificate may owe before the oldest hopeless one is given up: more than one
/// order has names.
const OWED_AT_MOST: usize = 128;

/// How often is looked in DNS whether an answer that could not be withdrawn is still there.
const LOOK_EVERY: SignedDuration = SignedDuration::from_mins(30);

/// Wants the withdrawals that are due.
pub(super) fn decide(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    decision: &mut Decision,
) {
    let mut standing = certificate.standing.iter();
    if let Some(spent) = standing.find(|answer| is_spent(cx, certificate, answer)) {
        let answer = spent.clone();
        let is_shared = cx.state.certificates().any(|(_, other, known)| {
            let is_it = |own: &Answer| own.is_same_record(&answer) && !is_spent(cx, known, own);
            other != name && known.standing.iter().any(is_it)
        });
        let event = if is_shared { Event::AnswerGone } else { Event::AnswerSpent };
        decision.events.push(event(answer));
        return;
    }
    if certificate.owed.len() > OWED_AT_MOST
        && let Some(owed) = certificate.owed.iter().find(|owed| owed.is_hopeless())
    {
        decision.events.push(Event::WithdrawalAbandoned(owed.answer.clone()));
        return;
    }
    for owed in &certificate.owed {
        if is_needed(certificate, owed) || is_in_flight(certificate, owed) {
            continue;
        }
        if owed.is_failing() && owed.answer.place.is_some() {
            decision.ask(AskKind::Look { answer: owed.answer.clone() }, LOOK_WITHIN, LOOK_EVERY);
        }
        let due = owed.failed_at.map(|at| retry::withdrawal_at(at, owed.failures));
        match due.filter(|due| *due > cx.now) {
            Some(later) => decision.wake(later),
            None => {
                let lane = Lane::Solver(owed.answer.solver.clone());
                let act = ActKind::Withdraw { answer: owed.answer.clone() };
                decision.want(lane, act, PRESENT_WITHIN);
            }
        }
    }
}

/// Returns whether a record that stays is of no use to a certificate any more. An attempt goes on with
/// what it began with.
fn is_spent(cx: &Context<'_>, certificate: &Certificate, answer: &Answer) -> bool {
    let Some(record) = &answer.standing else { return true };
    if matches!(certificate.attempt, Attempt::Running(_)) {
        return false;
    }
    if certificate.renamed_to.is_some() {
        return true;
    }
    let spec = &*certificate.spec;
    let base = answer.identifier.base();
    let declared = || spec.identifiers.iter().filter(|own| own.base() == base);
    let is_answered = declared().any(|own| {
        let solver = cx.solver_for(spec, own);
        solver.is_some_and(|(name, spec)| *name == answer.solver && spec.kind == answer.kind)
    });
    // Where one of the accounts is not known just now, it may come to be this one again.
    let is_another = |issuer: &Name| {
        let known = cx.state.issuers.get(issuer).and_then(|known| known.account_ref(issuer));
        known.is_some_and(|account| account.url != record.account)
    };
    let newer = certificate.standing.iter().skip_while(|own| *own != answer).skip(1).any(|own| {
        let newer = own.standing.as_ref();
        own.identifier == answer.identifier
            && newer.is_some_and(|newer| newer.account == record.account)
    });
    !is_answered
        || declared().any(Identifier::is_wildcard) != record.wildcard
        || spec.issuers.iter().all(is_another)
        || newer
}

/// Returns whether an answer is still to be seen by the CA.
pub(crate) fn is_needed(certificate: &Certificate, owed: &Owed) -> bool {
    let Attempt::Running(running) = &certificate.attempt else { return false };
    let Stage::Ordered(ordered) = &running.stage else { return false };
    // What was to stay is owed only once it is of no use.
    if owed.answer.standing.is_some() {
        return false;
    }
    if matches!(ordered.facts.status, OrderStatus::Invalid | OrderStatus::Unknown) {
        return false;
    }
    ordered.authorizations.iter().any(|authorization| {
        authorization.status() == Some(AuthorizationStatus::Pending)
            && authorization.is_answered_by(&owed.answer)
    })
}

fn is_in_flight(certificate: &Certificate, owed: &Owed) -> bool {
    certificate.history.is_acting(|act| match act {
        ActKind::Present { answer } | ActKind::Withdraw { answer } => *answer == owed.answer,
        _ => false,
    })
}
