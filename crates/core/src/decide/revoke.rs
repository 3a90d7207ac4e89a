//! Revoking a leaf, because a person wants it (RFC 8555 section 7.6).
//!
//! ```text
//! requested ──renewed──▶ the replacement is seen everywhere ──▶ Revoke ──▶ revoked
//!     └───────────────────────── at once ──────────────────────────┘
//! ```
//!
//! A revoked leaf that is still served is an outage, so its replacement comes first: it is ordered at
//! once, and the CA is told when fresh handshakes show it at every target and nobody shows the old
//! one. With a compromised key the replacement has another key, and that one is never used again.
//!
//! Complications, and how each is met:
//! - A server that never takes the replacement must not keep a compromised key in use: after
//!   [`COMPROMISED_AT_MOST`] the leaf is revoked all the same, and a person may have it at any time.
//! - A lost answer: the CA is asked again, and says that it is revoked already, which is as good.
//! - An account that did not order the leaf, or is not known any more, may not revoke it; its key may.
//!
//! What this does not do: revoke a leaf that has ended, or one that somebody else installed, whose
//! key we do not have.

use jiff::{SignedDuration, Timestamp};

use super::attempt::EXCHANGE_WITHIN;
use super::{Context, Decision, Lane, retry};
use crate::action::ActKind;
use crate::event::{Event, RevocationMoot};
use crate::intent::Serves;
use crate::state::{Certificate, DeployStep, Revoking};
use crate::words::RevocationReason;
use crate::words::time::after;

/// How long a leaf with a compromised key is kept for a server that does not take the next one: as
/// long as a CA has to revoke it once it is told (BR 4.9.1.1).
const COMPROMISED_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

/// Wants the revocations that are due.
pub(super) fn decide(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    for own in &certificate.revoking {
        let ends_at = own.facts.validity.not_after;
        if ends_at <= cx.now {
            decision.events.push(Event::RevocationMoot(RevocationMoot { leaf: own.number }));
            return;
        }
        decision.wake(ends_at);
        let is_it =
            |act: &ActKind| matches!(act, ActKind::Revoke { bundle, .. } if *bundle == own.bundle);
        if certificate.history.is_acting(is_it) {
            continue;
        }
        if let Some(later) = not_before(certificate, own).filter(|at| *at > cx.now) {
            decision.wake(later);
            continue;
        }
        let retry_at = own.trouble.as_deref().map(retry::target_at);
        if let Some(later) = retry_at.filter(|at| *at > cx.now) {
            decision.wake(later);
            continue;
        }
        let issuer = cx.state.issuers.get(&own.issuer).filter(|_| !own.by_key);
        let act = ActKind::Revoke {
            issuer: own.issuer.clone(),
            account: issuer.and_then(|issuer| issuer.account_ref(&own.issuer)),
            bundle: own.bundle,
            reason: own.reason,
        };
        decision.want(Lane::Issuer(own.issuer.clone()), act, EXCHANGE_WITHIN);
    }
}

/// Returns until when a leaf is left in peace, unless something changes; nothing if it is not.
fn not_before(certificate: &Certificate, own: &Revoking) -> Option<Timestamp> {
    if own.at_once || is_replaced(certificate, own) {
        return None;
    }
    Some(match own.reason {
        RevocationReason::KeyCompromise => after(own.since, COMPROMISED_AT_MOST),
        RevocationReason::Unspecified
        | RevocationReason::AffiliationChanged
        | RevocationReason::Superseded
        | RevocationReason::CessationOfOperation => own.facts.validity.not_after,
    })
}

/// Returns whether another leaf was seen at every target, and nobody shows this one.
#[must_use]
pub fn is_replaced(certificate: &Certificate, own: &Revoking) -> bool {
    let Some(newest) = certificate.leaf.as_deref().filter(|leaf| leaf.number != own.number) else {
        return false;
    };
    let ours = certificate.spec.endpoints.iter().zip(&certificate.endpoints);
    let mut ours = ours.filter(|(spec, _)| spec.serves == Serves::Ours).peekable();
    // Where nobody looks, having told the server is all that can be known.
    let is_watched = ours.peek().is_some();
    let is_there = |step: DeployStep| match step {
        DeployStep::Seen { leaf, .. } => leaf == newest.number,
        DeployStep::Activated { leaf, .. } => leaf == newest.number && !is_watched,
        DeployStep::Behind | DeployStep::Staged { .. } | DeployStep::Validated { .. } => false,
    };
    let mut shown = ours.flat_map(|(_, endpoint)| endpoint.shown.iter().flatten());
    certificate.targets.iter().all(|ledger| is_there(ledger.step))
        && !shown.any(|address| address.leaf() == Some(own.facts.fingerprint))
}
