//! When a bundle is taken back: its server serves worse with it than before.
//!
//! A target's own check sees whether a bundle can be loaded; what its server then shows to clients
//! only handshakes see. Where an address that was in good order is not any more since the newest leaf
//! was activated, the bundle before it is made active again, and the newest one is tried later.
//!
//! ```text
//! activated ──every address shows it──────────────────────────────▶ seen
//!     └──an address that was fine is not, for a while──▶ put back ──later──▶ staged, activated ...
//! ```
//!
//! Complications, and how each is met:
//! - An old leaf that is still served is no worse than before: that is `target.not-reloaded`. What
//!   counts is that an address showed a fine leaf when the act was started, and now shows something
//!   that clients refuse, or nothing.
//! - Servers take a moment to reload, so it has to last.
//! - A server that cannot be reached may be cut off from here, with everything else: then a control
//!   is needed, another address that the same look showed in good order.
//! - What would be put back must be better: not expired, and not revoked. A leaf that replaced a
//!   revoked one is never taken back.
//! - Addresses that several targets share say nothing of one of them.
//!
//! What this does not do: judge what happens after the leaf was seen everywhere. That is another
//! change, and not ours.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::{Context, Ties};
use crate::action::ActKind;
use crate::intent::{EndpointSpec, Serves};
use crate::state::{
    AddressState, Before, Certificate, DeployStep, Deployment, EndpointState, Leaf,
};
use crate::words::time::after;
use crate::words::{BundleId, Name, SightState};

/// How long an address must be worse: longer than a reload or a restart takes.
const WORSE_FOR: SignedDuration = SignedDuration::from_secs(10);

/// How many addresses are named as the reason.
const NAMED: usize = 5;

/// What is to be done about a bundle that was activated.
pub(super) enum Worse {
    /// Nothing: nothing is worse, or nothing better could be put back.
    No,
    /// To look again then.
    NotYet(Timestamp),
    /// To put the one before it back.
    Yes(ActKind),
}

/// Judges the newest leaf at the target at `place`.
pub(super) fn judge(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    place: usize,
    (leaf, bundle): (&Leaf, BundleId),
) -> Worse {
    let Some(ledger) = certificate.targets.get(place) else { return Worse::No };
    let Some(before) = ledger.before.as_deref().filter(|_| is_activated(ledger, leaf)) else {
        return Worse::No;
    };
    if !is_better(cx, certificate, before, leaf) {
        return Worse::No;
    }
    let ties = Ties::of(cx.state, certificate);
    let worse = worse(certificate, &ties, place, before);
    let Some(since) = worse.iter().map(|worse| worse.since).min() else { return Worse::No };
    if after(since, WORSE_FOR) > cx.now {
        return Worse::NotYet(after(since, WORSE_FOR));
    }
    let (target, certificate) = (ledger.target.clone(), name.clone());
    let onto = before.leaf;
    Worse::Yes(ActKind::PutBack { target, certificate, bundle, onto, because: because(&worse) })
}

const fn is_activated(ledger: &Deployment, leaf: &Leaf) -> bool {
    matches!(ledger.step, DeployStep::Activated { leaf: own, .. } if own == leaf.number)
}

/// Returns whether what lay there before is better than what is worse now.
fn is_better(cx: &Context<'_>, certificate: &Certificate, before: &Before, leaf: &Leaf) -> bool {
    let mut shown = certificate.endpoints.iter().flat_map(|own| own.shown.iter().flatten());
    let is_revoked =
        shown.any(|shown| shown.state == SightState::Revoked && shown.leaf() == Some(before.leaf));
    let known = certificate.predecessor(before.leaf);
    let is_compromised = known.is_some_and(|known| certificate.is_compromised(known.facts.key));
    before.ends_at > cx.now && !leaf.replaced_revoked && !is_revoked && !is_compromised
}

/// An address that is worse than before.
struct WorseAt<'a> {
    spec: &'a EndpointSpec,
    shown: &'a AddressState,
    since: Timestamp,
}

fn worse<'a>(
    certificate: &'a Certificate,
    ties: &Ties<'_>,
    place: usize,
    before: &Before,
) -> Vec<WorseAt<'a>> {
    let mut worse = Vec::new();
    for (number, (spec, endpoint)) in
        certificate.spec.endpoints.iter().zip(&certificate.endpoints).enumerate()
    {
        let Some(since) = endpoint.since.filter(|_| spec.serves == Serves::Ours) else { continue };
        for shown in endpoint.shown.iter().flatten() {
            let was_fine = before
                .fine
                .iter()
                .any(|fine| usize::from(fine.endpoint) == number && fine.address == shown.address);
            let is_here = ties.is_alone_at(place, spec, shown.address);
            let is_other = shown.leaf() != Some(before.leaf);
            if was_fine && is_here && is_other && is_bad(ties, place, spec, endpoint, shown) {
                worse.push(WorseAt { spec, shown, since });
            }
        }
    }
    worse
}

fn is_bad(
    ties: &Ties<'_>,
    place: usize,
    spec: &EndpointSpec,
    endpoint: &EndpointState,
    shown: &AddressState,
) -> bool {
    match shown.state {
        SightState::Expired
        | SightState::NotYetValid
        | SightState::NameMismatch
        | SightState::Untrusted
        | SightState::IncompleteChain
        | SightState::NoTls => true,
        SightState::Unreachable => endpoint.shown.iter().flatten().any(|control| {
            control.state == SightState::Ok && !ties.is_at(place, spec, Some(control.address))
        }),
        // A leaf that is revoked is renewed, and a demand for client certificates shows nothing.
        SightState::Ok
        | SightState::Revoked
        | SightState::ClientCertificateDemanded
        | SightState::CannotLook => false,
    }
}

fn because(worse: &[WorseAt<'_>]) -> Box<str> {
    let told = |worse: &WorseAt<'_>| {
        let is = match worse.shown.state {
            SightState::Expired => "serves what has expired",
            SightState::NotYetValid => "serves what is not valid yet",
            SightState::NameMismatch => "serves a leaf for other names",
            SightState::Untrusted => "serves a leaf that no trusted root vouches for",
            SightState::IncompleteChain => "serves an incomplete chain",
            SightState::Unreachable => "cannot be reached",
            _ => "shows no leaf",
        };
        format!("{} [{}] {is}", worse.spec, worse.shown.address)
    };
    let mut named: Vec<String> = worse.iter().take(NAMED).map(told).collect();
    if worse.len() > NAMED {
        named.push(format!("and {} more", worse.len() - NAMED));
    }
    named.join("; ").into()
}
