//! Findings about an issuer: its API, our account there.

use alloc::format;
use alloc::string::ToString;

use super::{Code, Finding, Severity};
use crate::decide::{Context, Decision};
use crate::state::{Account, Issuer};
use crate::words::{Blame, FailureKind, Name};

/// Judges an issuer.
pub fn of_issuer(cx: &Context<'_>, name: &Name, issuer: &Issuer, decision: &mut Decision) {
    if let Some(failure) = &issuer.health.last
        && (issuer.health.failures > 0 || issuer.health.is_limited(cx.now))
    {
        let code = match (&failure.blame, failure.kind) {
            // It is down, and says until when.
            (Blame::Issuer(_), FailureKind::RateLimited { .. }) => Code::CaFailing,
            (_, FailureKind::RateLimited { .. }) => Code::CaRateLimited,
            (Blame::Ourselves, _) => Code::OurselvesFailing,
            (_, FailureKind::Refused | FailureKind::Unauthorized | FailureKind::Gone) => {
                Code::CaRefuses
            }
            _ => Code::CaFailing,
        };
        decision.findings.push(Finding {
            code,
            subject: name.as_str().into(),
            severity: if issuer.health.is_open(cx.now) {
                Severity::Notice
            } else {
                Severity::Warning
            },
            blame: Some(failure.blame.clone()),
            evidence: failure.to_string().into(),
        });
    }
    super::doubt::of_issuer(cx, name, issuer, decision);
    // Making the key is ours; what the CA does is told above and below.
    if let Some(trouble) = issuer.trouble.as_deref().filter(|t| t.failure.blame == Blame::Ourselves)
        && trouble.failures > 1
    {
        decision.findings.push(Finding {
            code: Code::OurselvesFailing,
            subject: format!("the account key of {name}").into(),
            severity: Severity::Warning,
            blame: Some(Blame::Ourselves),
            evidence: trouble.failure.to_string().into(),
        });
    }
    if let Some(at) = issuer.ended.filter(|_| issuer.declared) {
        decision.findings.push(Finding {
            code: Code::AccountRefused,
            subject: name.as_str().into(),
            severity: Severity::Warning,
            blame: Some(Blame::Account(name.clone())),
            evidence: format!(
                "a person ended the account at {at}, and nothing is ordered there any more; without \
                 the issuer in the file, and then with it again, another account is made"
            )
            .into(),
        });
    }
    match &issuer.account {
        Account::Refused { failure, failures, .. } => decision.findings.push(Finding {
            code: Code::AccountRefused,
            subject: name.as_str().into(),
            severity: if *failures > 2 { Severity::Critical } else { Severity::Warning },
            blame: Some(Blame::Account(name.clone())),
            evidence: failure.to_string().into(),
        }),
        Account::Ready { url, former: Some(former), .. } => decision.findings.push(Finding {
            code: Code::AccountChanged,
            subject: name.as_str().into(),
            severity: Severity::Warning,
            blame: Some(Blame::Account(name.clone())),
            evidence: format!("the account is {url} now, and was {former}").into(),
        }),
        Account::Absent | Account::Keyed { .. } | Account::Ready { .. } => {}
    }
}
