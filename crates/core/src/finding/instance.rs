//! Findings about this instance: its configuration, its journal, what it stands on.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Code, Finding, Severity};
use crate::decide::Decision;
use crate::state::{Instance, Quarantine};
use crate::words::Blame;

/// Judges this instance.
pub fn of_instance(instance: &Instance, quarantined: &[Quarantine], decision: &mut Decision) {
    if let Some(message) = &instance.refused {
        decision.findings.push(Finding {
            code: Code::ConfigRefused,
            subject: Box::default(),
            severity: Severity::Warning,
            blame: None,
            evidence: message.clone(),
        });
    }
    if !instance.held.is_empty() {
        let shown: Vec<_> = instance.held.iter().take(5).map(|n| n.as_str().to_string()).collect();
        let count = instance.held.len();
        decision.findings.push(Finding {
            code: Code::ConfigRemovalHeld,
            subject: Box::default(),
            severity: Severity::Warning,
            blame: None,
            evidence: format!("{count} certificates are missing: {}, ...", shown.join(", ")).into(),
        });
    }
    if let Some(restored) = instance.waits_to_resume() {
        let at = restored.backed_up_at;
        decision.findings.push(Finding {
            code: Code::StoreRestored,
            subject: Box::default(),
            severity: Severity::Warning,
            blame: None,
            evidence: format!("restored from a backup of {at}; nothing is renewed or installed")
                .into(),
        });
    }
    for failure in &instance.troubles {
        let (code, subject) = match &failure.blame {
            Blame::Solver(solver) => (Code::SolverFailing, solver.as_str().into()),
            _ => (Code::OurselvesFailing, failure.attempted.clone()),
        };
        decision.findings.push(Finding {
            code,
            subject,
            severity: Severity::Warning,
            blame: Some(failure.blame.clone()),
            evidence: failure.to_string().into(),
        });
    }
    for (stream, cause) in quarantined {
        decision.findings.push(Finding {
            code: Code::JournalQuarantined,
            subject: stream.to_string().into(),
            severity: Severity::Critical,
            blame: None,
            evidence: cause.clone(),
        });
    }
}
