//! Another key for our account, or its end, because a person wants it (RFC 8555 sections 7.3.5 and
//! 7.3.6).
//!
//! Complications, and how each is met:
//! - Challenge answers contain the account key's thumbprint: one that is up when the key changes is
//!   wrong. No order is made while a change is wanted, and it waits for those that are being proven,
//!   [`PROVEN_WITHIN`] at the most.
//! - After a lost answer nobody knows which key has the account, and the wrong one is refused
//!   everything: both are asked for, the next one first, before anything else is done.
//! - A CA that cannot change keys must not hold up orders: what has not come about within
//!   [`DONE_WITHIN`], and certainly did not, is given up.

use jiff::SignedDuration;

use super::attempt::EXCHANGE_WITHIN;
use super::{Context, Decision, Lane};
use crate::action::{AccountRef, ActKind, AskKind};
use crate::event::{Empty, Event};
use crate::state::{Attempt, Issuer, KeyChange, Stage, Unsure};
use crate::words::time::after;
use crate::words::{Name, OrderStatus};

/// How long names that are being proven are waited for.
const PROVEN_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// How often is looked whether they are.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// How long a change may take.
const DONE_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// How often the CA is asked which key has the account.
const ASK_EVERY: SignedDuration = SignedDuration::from_secs(2);

/// Takes a wanted change, or the account's end, one step further. No act of the issuer is in flight.
pub(super) fn decide(
    cx: &Context<'_>,
    (name, issuer): (&Name, &Issuer),
    account: AccountRef,
    decision: &mut Decision,
) {
    if let Some(slot) = issuer.spent_slot(name) {
        return decision.want(Lane::Local, ActKind::DropKey { slot }, EXCHANGE_WITHIN);
    }
    if let Some(change) = issuer.changing.as_deref() {
        return change_key(cx, (name, issuer), change, account, decision);
    }
    if issuer.ending {
        let act = ActKind::EndAccount { account };
        decision.want(Lane::Issuer(name.clone()), act, EXCHANGE_WITHIN);
    }
}

fn change_key(
    cx: &Context<'_>,
    (name, issuer): (&Name, &Issuer),
    change: &KeyChange,
    account: AccountRef,
    decision: &mut Decision,
) {
    let asked = match change.doubt {
        Unsure::None => None,
        Unsure::Next => Some(issuer.next_slot(name)),
        Unsure::Present => Some(issuer.slot(name)),
    };
    if let Some(key) = asked {
        let kind = AskKind::Account { issuer: name.clone(), key };
        return decision.ask(kind, EXCHANGE_WITHIN, ASK_EVERY);
    }
    let until = after(change.since, DONE_WITHIN);
    if until <= cx.now {
        return decision.events.push(Event::AccountKeyDropped(Empty {}));
    }
    decision.wake(until);
    let slot = issuer.next_slot(name);
    if change.key.is_none() {
        let algorithm = issuer.spec.account_key;
        return decision.want(Lane::Local, ActKind::MakeKey { slot, algorithm }, EXCHANGE_WITHIN);
    }
    if cx.now < after(change.since, PROVEN_WITHIN) && is_proving(cx, name) {
        return decision.wake(after(cx.now, LOOK_EVERY));
    }
    let act = ActKind::ChangeKey { account, key: slot };
    decision.want(Lane::Issuer(name.clone()), act, EXCHANGE_WITHIN);
}

/// Returns whether any order at an issuer has names that are being proven.
fn is_proving(cx: &Context<'_>, name: &Name) -> bool {
    cx.state.certificates().any(|(_, _, certificate)| match &certificate.attempt {
        Attempt::Resting(_) => false,
        Attempt::Running(running) => match &running.stage {
            Stage::Unordered { .. } | Stage::Fetched(_) => false,
            Stage::Ordered(ordered) => {
                running.plan.issuer == *name && ordered.facts.status == OrderStatus::Pending
            }
        },
    })
}
