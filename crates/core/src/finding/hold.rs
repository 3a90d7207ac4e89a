//! Findings about leaves that are held back from their targets, or went there all the same.
//!
//! A held leaf is said at once, each reason by itself with what would lift it, and a warning at
//! least: unless a person looks, it goes ahead when the reserve begins. What went ahead is said
//! until somebody confirms that it was looked at, the cause is mended, or the next leaf comes.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jiff::Timestamp;

use super::certificate::by_margin;
use super::{Code, Finding, Severity};
use crate::decide::{Context, Decision, Hold, holds, unmended};
use crate::state::Certificate;
use crate::words::{Name, Objection};

/// Judges the deployments of a certificate's newest leaf.
pub(super) fn of_deployments(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    let Some(number) = certificate.leaf.as_deref().map(|leaf| leaf.number) else { return };
    for (target, hold) in holds(cx, certificate) {
        let Hold::Until { at, objections } = hold else { continue };
        decision.wake(at);
        let by_margin = by_margin(cx, certificate, decision);
        let severity = by_margin.clamp(Severity::Warning, Severity::Critical);
        let held = objections.iter().map(|objection| held(target, number, at, objection, severity));
        decision.findings.extend(held);
    }
    for ledger in &certificate.targets {
        let Some(overruled) = &ledger.overruled else { continue };
        let objections = unmended(certificate, overruled);
        let severity = objections.iter().map(harm).max();
        let Some(severity) = severity else { continue };
        let all: Vec<String> = objections.iter().map(ToString::to_string).collect();
        let at = overruled.at;
        let text = format!(
            "the reserve began, so leaf {number}, the new one, went to {} at {at} all the same: {}",
            ledger.target,
            all.join("; ")
        );
        decision.findings.push(Finding {
            code: Code::DeployOverruled,
            subject: ledger.target.as_str().into(),
            severity,
            blame: None,
            evidence: text.into(),
        });
    }
}

fn held(
    target: &Name,
    number: u32,
    until: Timestamp,
    objection: &Objection,
    severity: Severity,
) -> Finding {
    let subject = match objection {
        Objection::TlsaUnmet { owner, .. } | Objection::TlsaYoung { owner, .. } => {
            Box::from(format!("{target} {owner}"))
        }
        _ => target.as_str().into(),
    };
    // Nothing is left to be done about a record that is published.
    let is_young = matches!(objection, Objection::TlsaYoung { .. });
    Finding {
        code: code_of(objection),
        subject,
        severity: if is_young { Severity::Notice } else { severity },
        blame: None,
        evidence: format!(
            "leaf {number}, the new one, is held at {target} until {until} at the latest: \
             {objection}"
        )
        .into(),
    }
}

const fn code_of(objection: &Objection) -> Code {
    match objection {
        Objection::Untrusted => Code::LeafUntrusted,
        Objection::OtherProfile { .. } => Code::LeafOtherProfile,
        Objection::NoClientAuth => Code::LeafNoClientAuth,
        Objection::OtherKeyKind { .. } => Code::LeafKeyKindChanged,
        Objection::OtherRoot { .. } => Code::LeafRootChanged,
        Objection::PinsUnmet { .. } => Code::LeafPinsUnmet,
        Objection::TlsaUnmet { .. } | Objection::TlsaYoung { .. } => Code::LeafTlsaUnmet,
    }
}

/// How bad it is that this went ahead: some clients refuse it for certain, or only old ones may.
const fn harm(objection: &Objection) -> Severity {
    match objection {
        Objection::Untrusted
        | Objection::NoClientAuth
        | Objection::PinsUnmet { .. }
        | Objection::TlsaUnmet { .. } => Severity::Critical,
        Objection::OtherKeyKind { .. } | Objection::OtherRoot { .. } => Severity::Warning,
        Objection::OtherProfile { .. } | Objection::TlsaYoung { .. } => Severity::Notice,
    }
}
