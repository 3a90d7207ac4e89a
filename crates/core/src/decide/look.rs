//! Looking: at targets and endpoints, first of all and again and again.
//!
//! Nothing is decided on a certificate before everything declared for it was looked at once, or
//! could not be within a minute: an empty or restored store begins by observing, and valid leaves
//! that already cover the names are adopted with their own schedule.
//!
//! Afterwards how often is looked depends on what is expected to change: every second or so after
//! an activation, every few minutes while something is wrong, once an hour otherwise. Each endpoint
//! and each target has its own pace: an activation hastens only the looks that may show it, and a
//! dead address is asked after without its neighbours.
//!
//! A target at which an old leaf turns up long after the newest was brought there may have come back
//! with old files (a restored machine, say): its store is looked at soon, and if it is so, it is
//! behind and catches up.

use jiff::{SignedDuration, Timestamp};

use super::{Context, Decision, Ties, is_other};
use crate::action::AskKind;
use crate::event::Event;
use crate::intent::{EndpointSpec, Serves};
use crate::state::{Certificate, DeployStep, Deployment, EndpointState, Found};
use crate::words::time::after;
use crate::words::{LeafFacts, Name, SightState};

/// How long the first look may hold back everything else.
const FIRST_LOOK_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// How long a look at one endpoint or target may take.
pub const LOOK_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// How often is looked when all is well.
const WHEN_WELL: SignedDuration = SignedDuration::from_hours(1);

/// How often is looked when something is wrong.
const WHEN_WRONG: SignedDuration = SignedDuration::from_mins(5);

/// How often is looked when a record of other people's making is waited for.
const WHEN_AWAITED: SignedDuration = SignedDuration::from_secs(30);

/// How often a target's own store is looked at.
const AT_TARGETS: SignedDuration = SignedDuration::from_hours(6);

/// How often is looked at endpoints by the time since a target was activated.
const AFTER_ACTIVATION: &[(SignedDuration, SignedDuration)] = &[
    (SignedDuration::from_secs(30), SignedDuration::from_secs(1)),
    (SignedDuration::from_mins(5), SignedDuration::from_secs(10)),
    (SignedDuration::from_hours(1), SignedDuration::from_mins(1)),
];

/// Asks what targets hold and what endpoints serve.
pub(super) fn decide(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    decision: &mut Decision,
) {
    let ties = Ties::of(cx.state, certificate);
    for (place, ledger) in certificate.targets.iter().enumerate() {
        let every = inspect_every(cx, certificate, &ties, place, ledger);
        let (target, certificate) = (ledger.target.clone(), name.clone());
        decision.ask(AskKind::Inspect { target, certificate }, LOOK_WITHIN, every);
    }
    for (spec, endpoint) in certificate.spec.endpoints.iter().zip(&certificate.endpoints) {
        let every = probe_every(cx, certificate, &ties, spec, endpoint);
        decision.ask(AskKind::Probe { endpoint: spec.clone() }, LOOK_WITHIN, every);
    }
}

fn inspect_every(
    cx: &Context<'_>,
    certificate: &Certificate,
    ties: &Ties<'_>,
    place: usize,
    ledger: &Deployment,
) -> SignedDuration {
    match ledger.found {
        Found::Unlooked => SignedDuration::ZERO,
        // The first leaf has come since: what lies there is what the next one is compared with.
        Found::Nothing { .. } if ledger.active().is_some() => SignedDuration::ZERO,
        Found::Unlookable(_) => WHEN_WRONG,
        Found::Nothing { .. } | Found::Leaf { .. } => {
            let newest = certificate.leaf.as_deref();
            let told = newest.filter(|leaf| cx.was_told(ledger, leaf));
            match told {
                Some(leaf) if ties.lags(place, leaf) => WHEN_WRONG,
                _ => AT_TARGETS,
            }
        }
    }
}

fn probe_every(
    cx: &Context<'_>,
    certificate: &Certificate,
    ties: &Ties<'_>,
    spec: &EndpointSpec,
    endpoint: &EndpointState,
) -> SignedDuration {
    let ledgers = certificate.targets.iter().enumerate();
    let activated = ledgers.filter_map(|(place, ledger)| match ledger.step {
        DeployStep::Activated { at, .. } if ties.may_show(place, spec, endpoint) => Some(at),
        _ => put_back_at(ledger).filter(|_| ties.may_show(place, spec, endpoint)),
    });
    // A leaf that was installed and not seen yet is looked for, however well the old one looks.
    let newest: Option<Timestamp> = activated.max();
    let settling = newest.and_then(|at| {
        let gone = cx.now.duration_since(at);
        AFTER_ACTIVATION.iter().find(|(until, _)| gone < *until).map(|(_, every)| *every)
    });
    let is_waiting = newest.is_some();
    let is_behind = spec.serves == Serves::Ours && is_behind(certificate, endpoint);
    let is_well = is_well(endpoint) && !is_behind;
    let usual = if is_well && !is_waiting { WHEN_WELL } else { WHEN_WRONG };
    // What it waits for is published by people, who look at the clock.
    let usual = if super::hold::awaits_records(cx, certificate) { WHEN_AWAITED } else { usual };
    settling.map_or(usual, |every| every.min(usual))
}

/// Returns when a target's newest leaf was taken back, if it was.
fn put_back_at(ledger: &Deployment) -> Option<Timestamp> {
    ledger.trouble.as_deref().filter(|_| ledger.put_back > 0).map(|trouble| trouble.at)
}

fn is_well(endpoint: &EndpointState) -> bool {
    endpoint.shown.as_ref().is_ok_and(|addresses| {
        !addresses.is_empty() && addresses.iter().all(|a| a.state == SightState::Ok)
    })
}

/// Returns whether an endpoint shows an old leaf although some target was told of the newest.
fn is_behind(certificate: &Certificate, endpoint: &EndpointState) -> bool {
    let Some(leaf) = certificate.leaf.as_deref().filter(|leaf| leaf.bundle.is_some()) else {
        return false;
    };
    let mut shown = endpoint.shown.iter().flatten();
    certificate.targets.iter().any(|ledger| ledger.active() == Some(leaf.number))
        && shown.any(|shown| is_other(shown, leaf.facts.fingerprint))
}

/// Returns whether the first look is over; wakes at its deadline if not.
pub(super) fn is_over(
    cx: &Context<'_>,
    certificate: &Certificate,
    decision: &mut Decision,
) -> bool {
    let deadline = after(certificate.declared_at, FIRST_LOOK_WITHIN);
    if certificate.is_looked_at() || deadline <= cx.now {
        return true;
    }
    decision.wake(deadline);
    false
}

/// Returns whether an endpoint that serves this leaf shows that clients refuse it: a placeholder
/// that somebody signed himself is no cover, however long it is valid.
fn is_refused_by_clients(certificate: &Certificate, leaf: &LeafFacts) -> bool {
    let shown = certificate.endpoints.iter().filter_map(|endpoint| endpoint.shown.as_ref().ok());
    shown.flatten().any(|address| {
        address.leaf() == Some(leaf.fingerprint)
            && matches!(
                address.state,
                SightState::Untrusted | SightState::IncompleteChain | SightState::Revoked
            )
    })
}

/// Returns the adoption of the best leaf that lies at a target, where we hold none: valid, for all
/// the names, beside its key, and not refused by clients where it is served.
///
/// Where we hold one that came from a backup, a leaf that was issued after it was got later, by
/// ourselves before the restore or by somebody else: it is taken on, and never replaced by ours.
pub(super) fn adopt(cx: &Context<'_>, certificate: &Certificate) -> Option<Event> {
    let own = certificate.leaf.as_deref();
    if own.is_some_and(|own| !cx.state.instance.was_restored_since(own.since)) {
        return None;
    }
    let issued_at = |facts: &LeafFacts| facts.validity.not_before;
    let lying = certificate.targets.iter().filter_map(|ledger| match &ledger.found {
        Found::Leaf { facts, key_matches: true, .. } => Some(facts),
        _ => None,
    });
    let fits = |facts: &LeafFacts| {
        facts.validity.contains(cx.now)
            && facts.ends_at() > cx.now
            && facts.for_servers
            && certificate.covers_all(facts)
            && !certificate.is_compromised(facts.key)
            && !is_refused_by_clients(certificate, facts)
            && own.is_none_or(|own| issued_at(&own.facts) < issued_at(facts))
    };
    let best = lying.filter(|facts| fits(facts)).max_by_key(|facts| facts.ends_at())?;
    Some(Event::LeafAdopted(best.clone()))
}
