//! Asking the CA when it would like a leaf to be renewed (ARI).
//!
//! Asked once after issuing, then at the CA's own pace, which the shell's adapter has clamped to
//! between a minute and a day; after an error every six hours. A failure to hear is never a reason
//! not to renew.
//!
//! While the newest leaf is held back from a target, the one that is served there is asked about too:
//! its CA may want it gone sooner than the hold would end ([`hold`]).
//!
//= https://www.rfc-editor.org/rfc/rfc9773#section-4.3

use jiff::SignedDuration;

use super::attempt::EXCHANGE_WITHIN;
use super::{Context, Decision, hold};
use crate::action::AskKind;
use crate::state::{Attempt, Certificate};
use crate::words::{LeafFacts, Name};

/// How often is asked where the CA names no time, and after an error.
const EVERY: SignedDuration = SignedDuration::from_hours(6);

/// Asks for renewal information where there is any to be had.
pub(super) fn decide(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    if matches!(certificate.attempt, Attempt::Running(_)) {
        return;
    }
    let Some(leaf) = certificate.leaf.as_deref() else { return };
    ask(cx, certificate, &leaf.facts, leaf.issuer.as_ref(), decision);
    for served in hold::kept(cx, certificate) {
        ask(cx, certificate, &served.facts, served.issuer.as_ref(), decision);
    }
}

fn ask(
    cx: &Context<'_>,
    certificate: &Certificate,
    leaf: &LeafFacts,
    issuer: Option<&Name>,
    decision: &mut Decision,
) {
    let Some(id) = leaf.ari_id.as_ref().filter(|_| leaf.ends_at() > cx.now) else { return };
    // Who issued an adopted leaf is not known; the first declared issuer is asked, and a CA that
    // did not issue it says so.
    let Some(issuer) = issuer.or(certificate.spec.issuers.first()) else { return };
    let directory = cx.state.issuers.get(issuer).and_then(|state| state.directory.as_ref());
    if directory.is_some_and(|facts| facts.has_renewal_info) {
        let kind = AskKind::RenewalInfo { issuer: issuer.clone(), leaf: id.clone() };
        decision.ask(kind, EXCHANGE_WITHIN, EVERY);
    }
}
