//! Findings about leaves that are to be revoked.

use alloc::format;

use super::{COURSE, Code, Finding, Severity};
use crate::decide::{Context, Decision, is_replaced};
use crate::state::{Certificate, Revoking};
use crate::words::time::after;
use crate::words::{Blame, RevocationReason};

use jiff::SignedDuration;

/// After what time a leaf that is to be revoked is more than news: half of what a CA has.
const LONG: SignedDuration = SignedDuration::from_hours(12);

/// Judges the revocations that are owed.
pub(super) fn of_revocations(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    for own in &certificate.revoking {
        let long_at = after(own.since, LONG);
        if long_at > cx.now {
            decision.wake(long_at);
        }
        let finding = owed(certificate, own, long_at <= cx.now);
        decision.findings.push(finding);
    }
}

fn owed(certificate: &Certificate, own: &Revoking, is_long: bool) -> Finding {
    let Revoking { number, reason, since, .. } = own;
    let course = match &own.trouble {
        Some(trouble) => {
            format!("{}{COURSE}{} failed {})", trouble.failure, trouble.failures, trouble.at)
        }
        None if is_replaced(certificate, own) || own.at_once => "the CA is being told".into(),
        None => "its replacement has not been seen everywhere yet".into(),
    };
    let failing = own.trouble.as_ref().is_some_and(|trouble| trouble.failures > 1);
    let severity = match (is_long || failing, reason) {
        (true, RevocationReason::KeyCompromise) => Severity::Critical,
        (true, _) => Severity::Warning,
        (false, _) => Severity::Notice,
    };
    Finding {
        code: Code::RevocationOwed,
        subject: format!("leaf {number}").into(),
        severity,
        blame: own.trouble.as_ref().map_or_else(
            || Some(Blame::Issuer(own.issuer.clone())),
            |trouble| Some(trouble.failure.blame.clone()),
        ),
        evidence: format!("leaf {number} is to be revoked ({reason}) since {since}: {course}")
            .into(),
    }
}
