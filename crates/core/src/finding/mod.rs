//! Findings: judgements about now, and the incidents that are their lives.
//!
//! A finding is pure: the same state and time give the same findings. An incident opens when its
//! finding first appears, changes when the severity does or when what shows it means something else,
//! and resolves when the finding is gone;
//! those three are records, so that "since when" has an answer.
//!
//! Severity follows the share of the margin that is used up, so that 6-day and 398-day leaves are
//! treated alike: a failed attempt is a notice, a warning from a quarter, critical from half,
//! an emergency from three quarters.

mod certificate;
mod code;
mod doubt;
mod endpoint;
mod foreign;
mod hold;
mod instance;
mod issuer;
mod revoke;

use alloc::boxed::Box;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use certificate::of_certificate;
pub use code::Code;
pub(crate) use doubt::witness;
pub use instance::of_instance;
pub use issuer::of_issuer;

use crate::event::{Event, IncidentChanged, IncidentOpened, IncidentResolved};
use crate::state::Few;
use crate::words::Blame;
use crate::words::time::after;

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
    /// What shows it.
    pub evidence: Box<str>,
    /// When that was told anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
}

impl Incident {
    fn is_of(&self, finding: &Finding) -> bool {
        self.code == finding.code && self.subject == finding.subject
    }
}

/// Where evidence goes on to say how often and when it was tried: what stands before is what it means.
pub(crate) const COURSE: &str = " (try ";

/// How often at the most is recorded that an incident's evidence means something else than before.
const TOLD_EVERY: SignedDuration = SignedDuration::from_mins(15);

fn meaning(evidence: &str) -> &str {
    evidence.rsplit_once(COURSE).map_or(evidence, |(meaning, _)| meaning)
}

/// Returns the records that bring the open incidents in line with the findings, and when to look
/// again, if some of it has to wait.
///
/// Severity only rises while an incident is open: a finding that flickers does not talk twice. What
/// shows it is told anew when it means something else, though not all the time.
#[must_use]
pub fn changes(
    open: &[Incident],
    findings: Vec<Finding>,
    now: Timestamp,
) -> (Vec<Event>, Option<Timestamp>) {
    let is_found = |incident: &Incident| findings.iter().any(|finding| incident.is_of(finding));
    let gone = open.iter().filter(|incident| !is_found(incident)).map(|incident| {
        let (code, subject) = (incident.code, incident.subject.clone());
        Event::IncidentResolved(IncidentResolved { code, subject })
    });
    let mut events: Vec<Event> = gone.collect();
    let mut again_at: Option<Timestamp> = None;
    let mut told: Vec<(Code, Box<str>)> = Vec::new();
    for finding in findings {
        // Two of one kind about one thing are one incident; the first tells of it.
        let is_told = told.iter().any(|(code, of)| *code == finding.code && *of == finding.subject);
        if is_told {
            continue;
        }
        told.push((finding.code, finding.subject.clone()));
        match open.iter().find(|incident| incident.is_of(&finding)) {
            None => events.push(Event::IncidentOpened(finding.into())),
            Some(incident) => match incident.change(finding, now) {
                Some(Ok(changed)) => events.push(Event::IncidentChanged(changed)),
                Some(Err(later)) => again_at = again_at.into_iter().chain([later]).min(),
                None => {}
            },
        }
    }
    (events, again_at)
}

impl From<Finding> for IncidentOpened {
    fn from(finding: Finding) -> Self {
        let Finding { code, subject, severity, blame, evidence } = finding;
        Self { code, subject, severity, blame, evidence }
    }
}

impl Incident {
    /// Returns what is to be told anew, or when, if anything is.
    fn change(
        &self,
        finding: Finding,
        now: Timestamp,
    ) -> Option<Result<IncidentChanged, Timestamp>> {
        let is_worse = self.severity < finding.severity;
        let means_other =
            meaning(&self.evidence) != meaning(&finding.evidence) || self.blame != finding.blame;
        let free_at = after(self.told_at.unwrap_or(self.opened_at), TOLD_EVERY);
        if !is_worse && !means_other {
            return None;
        }
        if !is_worse && now < free_at {
            return Some(Err(free_at));
        }
        let Finding { code, subject, severity, blame, evidence } = finding;
        let severity = severity.max(self.severity);
        let (evidence, blame) = if means_other { (Some(evidence), blame) } else { (None, None) };
        Some(Ok(IncidentChanged { code, subject, severity, evidence, blame }))
    }
}

/// Takes an incident's record into the list of open ones.
pub(crate) fn fold(open: &mut Few<Incident>, event: &Event, at: Timestamp) {
    match event {
        Event::IncidentOpened(opened) => open.push(Incident {
            code: opened.code,
            subject: opened.subject.clone(),
            severity: opened.severity,
            opened_at: at,
            told_at: None,
            blame: opened.blame.clone(),
            evidence: opened.evidence.clone(),
        }),
        Event::IncidentChanged(changed) => {
            for incident in open.iter_mut() {
                if incident.code == changed.code && incident.subject == changed.subject {
                    incident.severity = changed.severity;
                    if let Some(evidence) = &changed.evidence {
                        incident.evidence.clone_from(evidence);
                        incident.blame.clone_from(&changed.blame);
                        incident.told_at = Some(at);
                    }
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
