//! Withdrawing answers: owed from the moment a `Present` was started, paid when nobody needs them.
//!
//! An answer is needed while its authorization is pending in a running attempt. Everything else is
//! taken down: after success, after failure, after a crash that left nobody knowing whether it ever
//! went up. Withdrawing what is not there is fine, so it is simply done. What cannot be withdrawn
//! is a finding from the third failure on, and is given up after two days, which the journal says
//! (law 4); it does not hold back the next attempt.

use super::authorize::PRESENT_WITHIN;
use super::{Context, Decision, Lane, retry};
use crate::action::ActKind;
use crate::event::Event;
use crate::state::{Attempt, Certificate, Owed, Stage};
use crate::words::{AuthorizationStatus, OrderStatus};

/// How often withdrawing is tried: with the table's two hours at the end, about two days.
const TRIES: u16 = 28;

/// Wants the withdrawals that are due.
pub(super) fn decide(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    for owed in &certificate.owed {
        if is_needed(certificate, owed) || is_in_flight(certificate, owed) {
            continue;
        }
        if owed.failures >= TRIES {
            decision.events.push(Event::WithdrawalAbandoned(owed.answer.clone()));
            return;
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

fn is_needed(certificate: &Certificate, owed: &Owed) -> bool {
    let Attempt::Running(running) = &certificate.attempt else { return false };
    let Stage::Ordered(ordered) = &running.stage else { return false };
    if matches!(ordered.facts.status, OrderStatus::Invalid | OrderStatus::Unknown) {
        return false;
    }
    ordered.authorizations.iter().any(|authorization| {
        let Some(facts) = &authorization.facts else { return false };
        let token = Some(&*owed.answer.token);
        facts.status == AuthorizationStatus::Pending
            && facts.challenges.iter().any(|challenge| challenge.token.as_deref() == token)
    })
}

fn is_in_flight(certificate: &Certificate, owed: &Owed) -> bool {
    certificate.history.is_acting(|act| match act {
        ActKind::Present { answer } | ActKind::Withdraw { answer } => *answer == owed.answer,
        _ => false,
    })
}
