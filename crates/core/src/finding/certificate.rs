//! Findings about a certificate: its attempts, its targets, its endpoints, what it owes.
//!
//! Nothing is said that cannot be shown: each finding carries its evidence, and is gone as soon as
//! the state no longer shows it. A running attempt keeps the finding of the failure before it until
//! a leaf is kept, so that trying again does not look like healing.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use jiff::{SignedDuration, Timestamp};

use super::{Code, Finding, Severity};
use crate::decide::{Context, Decision, Runway, holds_newer, may_write};
use crate::intent::Serves;
use crate::state::{
    AddressState, Attempt, Certificate, DeployStep, Deployment, Found, LastFailure, Trouble,
};
use crate::words::time::after;
use crate::words::{Answer, Blame, ChallengeKind, Failure, FailureKind, Permille, SightState};

/// Judges a certificate.
pub fn of_certificate(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    attempts(cx, certificate, decision);
    hindrance(cx, certificate, decision);
    for ledger in &certificate.targets {
        target(cx, certificate, ledger, decision);
    }
    endpoints(cx, certificate, decision);
    for owed in certificate.owed.iter().filter(|owed| owed.is_failing()) {
        let severity = if owed.is_hopeless() { Severity::Warning } else { Severity::Notice };
        decision.findings.push(Finding {
            code: Code::WithdrawalFailing,
            subject: place_of(&owed.answer),
            severity,
            blame: Some(Blame::Solver(owed.answer.solver.clone())),
            evidence: left_up(&owed.answer).into(),
        });
    }
    if let Some(since) = certificate.undeclared_at {
        decision.findings.push(Finding {
            code: Code::CertificateUndeclared,
            subject: Box::default(),
            severity: Severity::Notice,
            blame: None,
            evidence: format!("not in the configuration since {since}").into(),
        });
    }
}

/// Returns where an answer is: what a person would look for.
fn place_of(answer: &Answer) -> Box<str> {
    match (&answer.place, &answer.kind) {
        (Some(place), _) => format!("{} {}", place.record, answer.token).into(),
        (None, ChallengeKind::Http01) => {
            format!("{}/.well-known/acme-challenge/{}", answer.identifier, answer.token).into()
        }
        (None, _) => format!("{} {}", answer.identifier, answer.token).into(),
    }
}

/// Returns what is left up, with all that is needed to remove it by hand.
fn left_up(answer: &Answer) -> String {
    let Answer { solver, token, thumbprint, .. } = answer;
    let what = match (&answer.place, &answer.kind) {
        (Some(place), _) => format!(
            "the TXT record `{}` in zone {} whose value is the digest of {token}.{thumbprint}",
            place.record, place.zone
        ),
        (None, ChallengeKind::Http01) => format!(
            "/.well-known/acme-challenge/{token} of {} with the text {token}.{thumbprint}",
            answer.identifier
        ),
        (None, kind) => format!("the {} answer for {}", kind.as_str(), answer.identifier),
    };
    format!("solver {solver} could not take down {what}")
}

/// Returns the severity by the share of the margin that is used up, and wakes for the next.
fn by_margin(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) -> Severity {
    let runway = Runway::of(certificate);
    let steps = [
        (Severity::Emergency, Permille::new(750)),
        (Severity::Critical, Permille::new(500)),
        (Severity::Warning, Permille::new(250)),
    ];
    let mut next: Option<Timestamp> = None;
    for (severity, share) in steps {
        let at = runway.used_at(share);
        if at <= cx.now {
            if let Some(next) = next {
                decision.wake(next);
            }
            return severity;
        }
        next = Some(at);
    }
    if let Some(next) = next {
        decision.wake(next);
    }
    Severity::Notice
}

fn attempts(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    let last = match &certificate.attempt {
        Attempt::Resting(rest) => rest.last.as_deref(),
        Attempt::Running(running) => running.before.last.as_deref(),
    };
    let Some(LastFailure { failure, at, since, .. }) = last else { return };
    let severity = by_margin(cx, certificate, decision);
    let times = certificate.attempt.failures();
    decision.findings.push(Finding {
        code: code_of(failure),
        subject: subject_of(&failure.blame),
        severity,
        blame: Some(failure.blame.clone()),
        evidence: format!("{failure} (attempt {times} failed {at}, the first one since {since})")
            .into(),
    });
}

/// A running attempt that is hindered again and again says so before it is given up. What is the
/// issuer's fault is said once, of the issuer.
fn hindrance(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    let Attempt::Running(running) = &certificate.attempt else { return };
    let Some(trouble) = running.trouble.as_deref().filter(|trouble| trouble.failures > 1) else {
        return;
    };
    let blame = &trouble.failure.blame;
    let (code, subject) = (code_of(&trouble.failure), subject_of(blame));
    let is_said = decision.findings.iter().any(|f| f.code == code && f.subject == subject);
    if is_said || matches!(blame, Blame::Issuer(_) | Blame::Account(_)) {
        return;
    }
    let severity = by_margin(cx, certificate, decision);
    let (blame, evidence) = (Some(blame.clone()), told(trouble));
    decision.findings.push(Finding { code, subject, severity, blame, evidence });
}

/// Returns the code of a failed attempt.
pub(super) fn code_of(failure: &Failure) -> Code {
    let problem = failure.problem.as_ref().map(|problem| &*problem.kind);
    match (&failure.blame, failure.kind) {
        (_, FailureKind::RateLimited { .. }) => Code::CaRateLimited,
        (_, FailureKind::Gone | FailureKind::AccountUnknown | FailureKind::AlreadyReplaced) => {
            Code::OrderGone
        }
        (Blame::Name(_), _) if problem == Some("caa") => Code::CaaForbidsIssuer,
        (Blame::Name(_), _) if problem == Some("dns") => Code::DnsLookupFailed,
        (Blame::Name(_), _) => Code::NameValidationFailed,
        (Blame::Zone(_), FailureKind::Unauthorized) => Code::DnsUpdateRefused,
        (Blame::Zone(_), _) => Code::DnsAnswerInvisible,
        (Blame::Solver(_), _) => Code::SolverFailing,
        (Blame::Issuer(_), FailureKind::Refused) => Code::CaRefuses,
        (Blame::Issuer(_), _) => Code::CaFailing,
        (Blame::Account(_), _) => Code::AccountRefused,
        (Blame::Target(_), _) => Code::TargetFailing,
        (Blame::Endpoint(_), _) => Code::EndpointUnreachable,
        (Blame::Ourselves, _) => Code::OurselvesFailing,
    }
}

fn subject_of(blame: &Blame) -> Box<str> {
    match blame {
        Blame::Name(name) => name.as_str().into(),
        Blame::Zone(text) | Blame::Endpoint(text) => text.clone(),
        Blame::Solver(name) | Blame::Issuer(name) | Blame::Account(name) | Blame::Target(name) => {
            name.as_str().into()
        }
        Blame::Ourselves => Box::default(),
    }
}

fn target(
    cx: &Context<'_>,
    certificate: &Certificate,
    ledger: &Deployment,
    decision: &mut Decision,
) {
    let say = |code, severity, evidence: Box<str>, decision: &mut Decision| {
        let blame = Some(Blame::Target(ledger.target.clone()));
        let subject = ledger.target.as_str().into();
        decision.findings.push(Finding { code, subject, severity, blame, evidence });
    };
    // One outcome that is not known, as after a restart, is no trouble yet.
    let told_of =
        |trouble: &&Trouble| trouble.failure.kind != FailureKind::Unknown || trouble.failures > 1;
    if let Some(trouble) = ledger.trouble.as_deref().filter(told_of) {
        let severity = by_margin(cx, certificate, decision);
        say(Code::TargetFailing, severity, told(trouble), decision);
    }
    match &ledger.found {
        Found::Unlookable(failure) => {
            say(Code::TargetUnreadable, Severity::Notice, failure.to_string().into(), decision);
        }
        Found::Leaf { ours: false, facts, .. } if !may_write(cx.state, ledger) => {
            let severity = by_margin(cx, certificate, decision);
            let text = format!("a leaf until {} that Perennial did not write", facts.ends_at());
            say(Code::TargetNotOurs, severity, text.into(), decision);
        }
        Found::Nothing { ours: false } if !may_write(cx.state, ledger) => {
            let severity = by_margin(cx, certificate, decision);
            let text = "files that Perennial did not write, and no readable leaf";
            say(Code::TargetNotOurs, severity, text.into(), decision);
        }
        Found::Leaf { facts, .. } => {
            let newer = certificate.leaf.as_ref().is_some_and(|leaf| {
                leaf.bundle.is_some() && holds_newer(cx, certificate, ledger, leaf)
            });
            if newer {
                let text = format!("a leaf from {}", facts.validity.not_before);
                say(Code::TargetNewerLeaf, Severity::Warning, text.into(), decision);
            }
        }
        Found::Unlooked | Found::Nothing { .. } => {}
    }
}

fn told(trouble: &Trouble) -> Box<str> {
    let Trouble { failure, at, failures, since } = trouble;
    format!("{failure} (try {failures} failed {at}, the first one since {since})").into()
}

fn endpoints(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    if certificate.spec.endpoints.is_empty() {
        decision.findings.push(Finding {
            code: Code::EndpointNone,
            subject: Box::default(),
            severity: Severity::Notice,
            blame: None,
            evidence: "no endpoint is declared, so nothing can be seen".into(),
        });
    }
    // Before there is a leaf nothing is served, and the missing leaf is what is said.
    let Some(leaf) = certificate.leaf.as_deref() else { return };
    let settling_until = settling_until(cx, certificate);
    for (spec, endpoint) in certificate.spec.endpoints.iter().zip(&certificate.endpoints) {
        if spec.serves != Serves::Ours || endpoint.since.is_none() {
            continue;
        }
        let place = spec.to_string();
        match &endpoint.shown {
            Err(failure) => decision.findings.push(Finding {
                code: Code::EndpointUnreachable,
                subject: place.into(),
                severity: Severity::Warning,
                blame: Some(failure.blame.clone()),
                evidence: failure.to_string().into(),
            }),
            Ok(addresses) => {
                for address in addresses {
                    let judged = judge(cx, address, leaf, settling_until);
                    let Some((code, severity, text)) = judged else { continue };
                    decision.findings.push(Finding {
                        code,
                        subject: format!("{place} [{}]", address.address).into(),
                        severity,
                        blame: Some(Blame::Endpoint(place.as_str().into())),
                        evidence: text,
                    });
                }
            }
        }
    }
    if let Some(until) = settling_until.filter(|until| *until > cx.now) {
        decision.wake(until);
    }
}

/// Returns until when an address may still show the old leaf: until then some target has been told
/// of the newest one only just now, or not at all. A target in trouble is not waited for: it has a
/// finding of its own, and must not hide what is wrong elsewhere.
fn settling_until(cx: &Context<'_>, certificate: &Certificate) -> Option<Timestamp> {
    let leaf = certificate.leaf.as_deref().filter(|leaf| leaf.bundle.is_some())?;
    let number = leaf.number;
    let settle = |ledger: &Deployment| {
        let spec = cx.state.targets.get(&ledger.target);
        spec.map(|target| target.spec.settle).unwrap_or_default()
    };
    // Who is not waited for: a target in trouble, and one that does not take our leaf at all.
    let awaited = certificate.targets.iter().filter(|ledger| {
        ledger.trouble.is_none()
            && may_write(cx.state, ledger)
            && !holds_newer(cx, certificate, ledger, leaf)
    });
    let each = awaited.map(|ledger| match ledger.step {
        DeployStep::Activated { leaf, at } | DeployStep::Seen { leaf, at } if leaf == number => {
            after(at, settle(ledger))
        }
        _ => after(leaf.since, DEPLOYED_WITHIN),
    });
    each.max()
}

/// How long a new leaf may be on its way to a target before endpoints are judged all the same.
const DEPLOYED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

fn judge(
    cx: &Context<'_>,
    address: &AddressState,
    leaf: &crate::state::Leaf,
    settling_until: Option<Timestamp>,
) -> Option<(Code, Severity, Box<str>)> {
    let ends = address.ends_at().map_or_else(|| "nothing".to_string(), |at| at.to_string());
    let serves = format!("serves a leaf until {ends}");
    let is_settling = settling_until.is_some_and(|until| cx.now < until);
    let is_newest = address.leaf() == Some(leaf.facts.fingerprint);
    let old = || {
        // With a bundle of ours active everywhere, another leaf means that nobody reloaded.
        let told = leaf.bundle.is_some() && settling_until.is_some() && !is_settling;
        (told && !is_newest)
            .then(|| (Code::TargetNotReloaded, Severity::Warning, serves.clone().into()))
    };
    let say = |code, severity| Some((code, severity, serves.clone().into()));
    match address.state {
        SightState::Ok => old(),
        SightState::CannotLook => None,
        SightState::Expired => say(Code::EndpointExpired, Severity::Emergency),
        SightState::Revoked => say(Code::EndpointRevoked, Severity::Emergency),
        // Until the leaf of ours was put there, what is wrong may be what it is about to mend.
        _ if is_settling => None,
        SightState::NotYetValid => say(Code::EndpointNotYetValid, Severity::Critical),
        SightState::NameMismatch => say(Code::EndpointNameMismatch, Severity::Critical),
        SightState::Untrusted => say(Code::EndpointUntrusted, Severity::Critical),
        SightState::IncompleteChain => say(Code::EndpointIncompleteChain, Severity::Critical),
        SightState::Unreachable => {
            Some((Code::EndpointUnreachable, Severity::Warning, "no connection".into()))
        }
        SightState::NoTls => {
            Some((Code::EndpointNoTls, Severity::Critical, "a connection, but no TLS".into()))
        }
        SightState::ClientCertificateDemanded => Some((
            Code::EndpointClientCertificate,
            Severity::Notice,
            "it demands a client certificate".into(),
        )),
    }
}
