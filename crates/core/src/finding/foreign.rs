//! Findings about endpoints that serve somebody else's leaf: an edge before our origin.
//!
//! Nothing of ours is renewed or deployed there, and nothing of it is our fault. But clients meet the
//! name there and nowhere else, so what they refuse is told as at our own endpoints, and a leaf that
//! nears its end is told before it lapses: whoever renews it may have forgotten.
//!
//! What this does not do: count towards the runway, which is of what we can do something about; or
//! look behind the edge, for which its origins are declared.

use alloc::format;
use alloc::string::ToString;

use jiff::{SignedDuration, Timestamp};

use super::endpoint::{say_once, unlookable, wrong};
use super::{Code, Finding, Severity};
use crate::decide::{Context, Decision};
use crate::intent::{EndpointSpec, Serves};
use crate::state::{AddressState, Certificate, Served};
use crate::words::{Blame, SightState};

/// How long before its end a foreign leaf is told of, as a share of its life and at the most: those
/// who renew by themselves have done it by then.
const TOLD: [(Severity, i64, SignedDuration); 2] = [
    (Severity::Critical, 20, SignedDuration::from_hours(3 * 24)),
    (Severity::Warning, 6, SignedDuration::from_hours(14 * 24)),
];

/// Judges what foreign endpoints of a certificate serve.
pub(super) fn of_certificate(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    let endpoints = certificate.spec.endpoints.iter().zip(&certificate.endpoints);
    for (spec, endpoint) in endpoints.filter(|(spec, _)| spec.serves == Serves::Foreign) {
        if endpoint.since.is_none() {
            continue;
        }
        match &endpoint.shown {
            Err(failure) => decision.findings.push(unlookable(spec, failure)),
            Ok(addresses) => {
                for shown in addresses {
                    address(cx, spec, shown, decision);
                }
            }
        }
    }
}

fn address(cx: &Context<'_>, spec: &EndpointSpec, shown: &AddressState, decision: &mut Decision) {
    let place = spec.to_string();
    let subject = format!("{place} [{}]", shown.address);
    let finding = |code, severity, evidence| Finding {
        code,
        subject: subject.as_str().into(),
        severity,
        blame: Some(Blame::Endpoint(place.as_str().into())),
        evidence,
    };
    // A look that is older than its leaf's end.
    let has_ended = shown.state == SightState::Ok && shown.ends_at().is_some_and(|at| at <= cx.now);
    let state = if has_ended { SightState::Expired } else { shown.state };
    if let Some((code, severity, evidence)) = wrong(state, false, shown) {
        let evidence = format!("somebody else's leaf is meant to be served here: {evidence}");
        return say_once(finding(code, severity, evidence.into()), decision);
    }
    let Some(served) = shown.served.as_deref().filter(|_| shown.state == SightState::Ok) else {
        return;
    };
    let mut next = served.ends_at;
    for (severity, share, at_most) in TOLD {
        let at = told_at(served, share, at_most);
        if at <= cx.now {
            decision.wake(next);
            let evidence = format!("somebody else's leaf ends at {}", served.ends_at);
            return say_once(
                finding(Code::EndpointForeignEnds, severity, evidence.into()),
                decision,
            );
        }
        next = at;
    }
    decision.wake(next);
}

/// Returns when a leaf is told of whose end is nearer than this share of its life.
fn told_at(served: &Served, share: i64, at_most: SignedDuration) -> Timestamp {
    let life = served.ends_at.duration_since(served.not_before);
    let before = SignedDuration::from_secs(life.as_secs() / share).min(at_most);
    crate::words::time::after(served.ends_at, -before)
}
