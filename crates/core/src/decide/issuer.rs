//! What an issuer needs: its directory known, our account usable.
//!
//! The account's key is made under a slot chosen beforehand and is durable before the CA hears of
//! it; registering the same key twice finds the same account (RFC 8555 section 7.3.1), so that a
//! lost answer is cleared up by asking again. A CA that says it does not know our account is told
//! again, once, with the same key.

use jiff::SignedDuration;

use super::attempt::EXCHANGE_WITHIN;
use super::{Context, Decision, Lane, account_key, retry};
use crate::action::{ActKind, AskKind};
use crate::finding;
use crate::state::{Account, Issuer};
use crate::words::Name;

/// How often the directory is read.
const DIRECTORY_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// How often it is read while it has never been; after failures in a row at growing distances. At
/// a machine's start the network often comes a little later than we do.
const UNKNOWN_DIRECTORY_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// Decides on an issuer.
#[must_use]
pub fn issuer(cx: &Context<'_>, name: &Name, issuer: &Issuer) -> Decision {
    let mut decision = Decision::default();
    if issuer.declared {
        let known = issuer.directory.is_some();
        let every = if known { DIRECTORY_EVERY } else { UNKNOWN_DIRECTORY_EVERY };
        decision.ask(AskKind::Directory { issuer: name.clone() }, EXCHANGE_WITHIN, every);
        account(cx, name, issuer, &mut decision);
    }
    let health = &issuer.health;
    for until in health.closed_until.into_iter().chain(health.limited_until) {
        if until > cx.now {
            decision.wake(until);
        }
    }
    finding::of_issuer(cx, name, issuer, &mut decision);
    decision
}

fn account(cx: &Context<'_>, name: &Name, issuer: &Issuer, decision: &mut Decision) {
    if !issuer.history.acting.is_empty() {
        return;
    }
    let retry_at = issuer.trouble.as_deref().map(retry::account_at);
    if let Some(later) = retry_at.filter(|at| *at > cx.now) {
        return decision.wake(later);
    }
    match &issuer.account {
        Account::Ready { .. } if issuer.ended.is_some() => {}
        Account::Ready { .. } => {
            if let Some(account) = issuer.account_ref(name) {
                account_key::decide(cx, (name, issuer), account, decision);
            }
        }
        Account::Absent => {
            let (slot, algorithm) = (issuer.slot(name), issuer.spec.account_key);
            decision.want(Lane::Local, ActKind::MakeKey { slot, algorithm }, EXCHANGE_WITHIN);
        }
        Account::Keyed { .. } => register(name, issuer, decision),
        Account::Refused { retry_at, .. } if *retry_at > cx.now => decision.wake(*retry_at),
        Account::Refused { .. } => register(name, issuer, decision),
    }
}

fn register(name: &Name, issuer: &Issuer, decision: &mut Decision) {
    if issuer.directory.is_none() {
        return;
    }
    let act = ActKind::NewAccount {
        issuer: name.clone(),
        key: issuer.slot(name),
        contact: issuer.spec.contact.clone(),
        eab: issuer.spec.eab,
        agreed: issuer.spec.agreed,
    };
    decision.want(Lane::Issuer(name.clone()), act, EXCHANGE_WITHIN);
}
