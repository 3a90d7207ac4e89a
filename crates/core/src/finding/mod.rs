//! Findings: judgements about now, and the incidents that are their lives.
//!
//! A finding is pure: the same state and time give the same findings. An incident opens when its
//! finding first appears, changes when the severity does, and resolves when the finding is gone;
//! those three are records, so that "since when" has an answer.
//!
//! Severity follows the share of the margin that is used up, so that 6-day and 398-day leaves are
//! treated alike: a failed attempt is a notice, a warning from a quarter, critical from half,
//! an emergency from three quarters.

mod certificate;
mod code;
mod endpoint;
mod instance;
mod issuer;

use alloc::boxed::Box;
use alloc::vec::Vec;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use certificate::of_certificate;
pub use code::Code;
pub use instance::of_instance;
pub use issuer::of_issuer;

use crate::event::{Event, IncidentChanged, IncidentOpened, IncidentResolved};
use crate::state::Few;
use crate::words::Blame;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nobody is woken.
    Notice,
    /// To be looked at in working hours.
    Warning,
    /// To be looked at now.
    Critical,
    /// A lapse is near or has come.
    Emergency,
}

impl Severity {
    /// Returns the word as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Emergency => "emergency",
        }
    }
}

/// A judgement about now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which kind.
    pub code: Code,
    /// What it is about within its stream; empty for the stream itself.
    pub subject: Box<str>,
    /// How bad it is.
    pub severity: Severity,
    /// Whose fault, where that is known.
    pub blame: Option<Blame>,
    /// What shows it, for people.
    pub evidence: Box<str>,
}

/// One finding's life, while it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Which finding.
    pub code: Code,
    /// What it is about.
    pub subject: Box<str>,
    /// How bad it is.
    pub severity: Severity,
    /// Since when.
    pub opened_at: Timestamp,
    /// Whose fault.
    pub blame: Option<Blame>,
    /// What showed it.
    pub evidence: Box<str>,
}

impl Incident {
    fn is_of(&self, finding: &Finding) -> bool {
        self.code == finding.code && self.subject == finding.subject
    }
}

/// Returns the records that bring the open incidents in line with the findings.
///
/// Severity only rises while an incident is open: a finding that flickers does not talk twice.
#[must_use]
pub fn changes(open: &[Incident], findings: Vec<Finding>) -> Vec<Event> {
    let mut events = Vec::new();
    for incident in open {
        if !findings.iter().any(|finding| incident.is_of(finding)) {
            events.push(Event::IncidentResolved(IncidentResolved {
                code: incident.code,
                subject: incident.subject.clone(),
            }));
        }
    }
    for finding in findings {
        match open.iter().find(|incident| incident.is_of(&finding)) {
            None => events.push(Event::IncidentOpened(IncidentOpened {
                code: finding.code,
                subject: finding.subject,
                severity: finding.severity,
                blame: finding.blame,
                evidence: finding.evidence,
            })),
            Some(incident) if incident.severity < finding.severity => {
                events.push(Event::IncidentChanged(IncidentChanged {
                    code: finding.code,
                    subject: finding.subject,
                    severity: finding.severity,
                }));
            }
            Some(_) => {}
        }
    }
    events
}

/// Takes an incident's record into the list of open ones.
pub(crate) fn fold(open: &mut Few<Incident>, event: &Event, at: Timestamp) {
    match event {
        Event::IncidentOpened(opened) => open.push(Incident {
            code: opened.code,
            subject: opened.subject.clone(),
            severity: opened.severity,
            opened_at: at,
            blame: opened.blame.clone(),
            evidence: opened.evidence.clone(),
        }),
        Event::IncidentChanged(changed) => {
            for incident in open.iter_mut() {
                if incident.code == changed.code && incident.subject == changed.subject {
                    incident.severity = changed.severity;
                }
            }
        }
        Event::IncidentResolved(resolved) => {
            open.retain(|incident| {
                incident.code != resolved.code || incident.subject != resolved.subject
            });
        }
        _ => {}
    }
}
