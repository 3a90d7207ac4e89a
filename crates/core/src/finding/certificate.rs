//! Findings about a certificate: its attempts, its targets, what it owes.
//!
//! Nothing is said that cannot be shown: each finding carries its evidence, and is gone as soon as
//! the state no longer shows it. A running attempt keeps the finding of the failure before it until
//! a leaf is kept, so that trying again does not look like healing.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jiff::Timestamp;

use super::{COURSE, Code, Finding, Severity};
use crate::decide::{
    Context, Decision, Runway, due, ends_at, held_until, holds_newer, may_write, put_back_until,
};
use crate::state::{Attempt, Certificate, Deployment, Found, Laggard, LastFailure, Trouble};
use crate::words::{Answer, Blame, ChallengeKind, Failure, FailureKind, Identifier, Permille};

/// Judges a certificate.
pub fn of_certificate(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    attempts(cx, certificate, decision);
    hindrance(cx, certificate, decision);
    held(cx, certificate, decision);
    decision.findings.extend(other_chain(certificate));
    for ledger in &certificate.targets {
        target(cx, certificate, ledger, decision);
    }
    super::hold::of_deployments(cx, certificate, decision);
    super::endpoint::of_endpoints(cx, certificate, decision);
    super::foreign::of_certificate(cx, certificate, decision);
    super::doubt::of_certificate(cx, certificate, decision);
    super::revoke::of_revocations(cx, certificate, decision);
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
    for laggard in certificate.laggards.iter().filter(|laggard| cx.now < laggard.until()) {
        decision.wake(laggard.until());
        decision.findings.push(lagging(laggard));
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

/// Says that the newest leaf's chain ends at another root than is declared.
fn other_chain(certificate: &Certificate) -> Option<Finding> {
    let wanted = certificate.spec.chain.as_deref()?;
    let leaf = certificate.leaf.as_deref().filter(|leaf| leaf.bundle.is_some())?;
    let traits = leaf.facts.traits.as_deref().filter(|_| !ends_at(&leaf.facts, wanted))?;
    Some(Finding {
        code: Code::LeafOtherChain,
        subject: Box::default(),
        severity: Severity::Notice,
        blame: leaf.issuer.clone().map(Blame::Issuer),
        evidence: format!(
            "the chain of leaf {} ends at `{}`, and none that ends at `{wanted}` was offered and \
             trusted when it was issued",
            leaf.number, traits.root
        )
        .into(),
    })
}

/// Says which servers did not show an answer of which the CA was told all the same.
fn lagging(laggard: &Laggard) -> Finding {
    let Laggard { record, zone, servers, others, at } = laggard;
    let named: Vec<String> = servers.iter().take(NAMED).map(ToString::to_string).collect();
    let more = servers.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Finding {
        code: Code::DnsServerLags,
        subject: record.clone(),
        severity: Severity::Notice,
        blame: Some(Blame::Zone(zone.clone())),
        evidence: format!(
            "{}{more} did not show it when it was waited for no longer, {at}; {others} did, so the \
             CA was told all the same",
            named.join(", ")
        )
        .into(),
    }
}

/// Returns where an answer is: what a person would look for.
fn place_of(answer: &Answer) -> Box<str> {
    match (&answer.place, &answer.kind) {
        (Some(place), _) if answer.standing.is_some() => place.record.clone(),
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
    if let (Some(place), Some(standing)) = (&answer.place, &answer.standing) {
        let record = &place.record;
        return format!("solver {solver} could not take down {record}. TXT \"{standing}\"");
    }
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
pub(super) fn by_margin(
    cx: &Context<'_>,
    certificate: &Certificate,
    decision: &mut Decision,
) -> Severity {
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
        evidence: format!("{failure}{COURSE}{times} failed {at}, the first one since {since})")
            .into(),
    });
}

/// Leaves that came too often hold back the next one.
fn held(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    let is_due =
        matches!(certificate.attempt, Attempt::Resting(_)) && due(certificate).at <= cx.now;
    let until = held_until(certificate).filter(|until| is_due && *until > cx.now);
    let Some(until) = until else { return };
    let severity = by_margin(cx, certificate, decision);
    let count = certificate.issued.len();
    decision.findings.push(Finding {
        code: Code::IssuanceHeld,
        subject: Box::default(),
        severity,
        blame: Some(Blame::Ourselves),
        evidence: format!(
            "{count} leaves were issued in a week that no schedule asked for, or that came to \
             nothing; the next one for the same names waits until {until}"
        )
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
        (Blame::Issuer(_), FailureKind::RateLimited { .. }) => Code::CaFailing,
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
        let waiting = names(certificate);
        if let Some(until) = put_back_until(certificate, ledger) {
            let evidence = format!(
                "with the newest leaf of {waiting} it served worse than before: {}; the bundle before \
                 it was made active again at {}, and the newest is tried again at {until}",
                trouble.failure.cause, trouble.at
            );
            let severity = severity.max(Severity::Warning);
            say(Code::TargetRolledBack, severity, evidence.into(), decision);
        } else {
            let evidence = format!("{}; the newest leaf of {waiting} waits for it", told(trouble));
            say(Code::TargetFailing, severity, evidence.into(), decision);
        }
    }
    if !ledger.remarks().is_empty() {
        let evidence = ledger.remarks().join("; ");
        say(Code::TargetNotServed, Severity::Notice, evidence.into(), decision);
    }
    if !ledger.leftovers().is_empty() {
        let evidence = ledger.leftovers().join("; ");
        say(Code::TargetLeftovers, Severity::Notice, evidence.into(), decision);
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

/// Returns the names of a certificate, the first few of many.
fn names(certificate: &Certificate) -> String {
    let all = &certificate.spec.identifiers;
    let first: Vec<&str> = all.iter().take(NAMED).map(Identifier::as_str).collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// How many names, or servers, a finding lists.
const NAMED: usize = 5;

fn told(trouble: &Trouble) -> Box<str> {
    let Trouble { failure, at, failures, since } = trouble;
    format!("{failure}{COURSE}{failures} failed {at}, the first one since {since})").into()
}
