//! How everything stands: one row for each certificate, what lapses first on top.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use perennial_core::decide::{Runway, coverage, due};
use perennial_core::finding::{Incident, Severity};
use perennial_core::state::{
    Account, Attempt, Certificate, DeployStep, Issuer, Leaf, Quarantine, Running, Stage, State,
};
use perennial_core::words::{AuthorizationStatus, Identifier, Name, OrderStatus};
use serde::{Deserialize, Serialize};

use super::coverage::{CoverageRow, table};
use super::{Paint, ago, moment, safe, shorten, span};

/// How everything stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// When.
    pub at: Timestamp,
    /// Who says so.
    pub source: Source,
    /// When the daemon started last.
    pub started_at: Option<Timestamp>,
    /// The certificates, what lapses first on top.
    pub certificates: Vec<CertificateRow>,
    /// The issuers.
    pub issuers: Vec<IssuerRow>,
    /// What is wrong beside the certificates: the instance, its configuration, its issuers.
    pub findings: Vec<FindingRow>,
    /// How many there are of everything, also of what is not listed.
    pub totals: Totals,
    /// The certificate or name that this is about, if it is not about everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Name>,
}

/// Who says how things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The running daemon.
    Daemon,
    /// The journal; no daemon runs.
    Journal,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Certificates.
    pub certificates: usize,
    /// Findings.
    pub findings: usize,
    /// Certificates of which something needed has nothing valid.
    pub lapses: usize,
}

/// How a certificate stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRow {
    /// Which.
    pub certificate: Name,
    /// When something needed has nothing valid, if nothing more succeeds.
    pub lapse_at: Timestamp,
    /// The time left until then in seconds; negative after a lapse.
    pub runway_secs: i64,
    /// How many names are covered wherever clients meet them.
    pub names_covered: usize,
    /// How many names there are.
    pub names: usize,
    /// The leaf that targets are to have; a new certificate has none.
    pub leaf: Option<LeafRow>,
    /// When renewal is due.
    pub renew_at: Timestamp,
    /// Whether an attempt to renew runs.
    pub renewing: bool,
    /// The worst severity of its findings.
    pub severity: Option<Severity>,
    /// How it stands, in words.
    pub state: String,
    /// What is wrong.
    pub findings: Vec<FindingRow>,
    /// How each name stands at each target.
    #[serde(default)]
    pub coverage: Vec<CoverageRow>,
}

/// A leaf in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafRow {
    /// Which of the certificate's leaves it is.
    pub number: u32,
    /// Its SHA-256.
    pub fingerprint: String,
    /// The issuer's name.
    pub issued_by: String,
    /// Its last moment.
    pub not_after: Timestamp,
}

/// How an issuer stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRow {
    /// Which.
    pub issuer: Name,
    /// How it stands, in words.
    pub state: String,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRow {
    /// The stable code.
    pub code: String,
    /// What it is about.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// What shows it.
    pub evidence: String,
    /// What to do.
    pub advice: String,
}

impl FindingRow {
    fn of(incident: &Incident) -> Self {
        Self {
            code: String::from(incident.code.as_str()),
            subject: incident.subject.to_string(),
            severity: incident.severity,
            since: incident.opened_at,
            evidence: incident.evidence.to_string(),
            advice: String::from(incident.code.advice()),
        }
    }
}

impl StatusView {
    /// Makes the view. At most `limit` certificates are listed; all are counted.
    #[must_use]
    pub fn of(
        state: &State,
        quarantined: &[Quarantine],
        source: Source,
        now: Timestamp,
        limit: usize,
    ) -> Self {
        let mut totals = Totals::default();
        let mut order: Vec<(Timestamp, &Name, &Certificate)> = Vec::new();
        for (_, name, certificate) in state.certificates() {
            if certificate.renamed_to.is_some() {
                continue;
            }
            let lapse_at = Runway::of(certificate).lapse_at;
            totals.certificates += 1;
            totals.findings += certificate.history.incidents.len();
            totals.lapses += usize::from(certificate.leaf.is_some() && lapse_at <= now);
            order.push((lapse_at, name, certificate));
        }
        order.sort_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)));
        let shown = order.into_iter().take(limit);
        let certificates =
            shown.map(|(_, name, c)| CertificateRow::of(state, name, c, now)).collect();
        let issuers: Vec<_> = state.issuers.iter().filter(|(_, issuer)| issuer.declared).collect();
        let incidents = issuers.iter().flat_map(|(_, issuer)| &issuer.history.incidents);
        let incidents = state.instance.history.incidents.iter().chain(incidents);
        let mut findings: Vec<FindingRow> = incidents.map(FindingRow::of).collect();
        findings.extend(unfolded(quarantined, &findings, now));
        totals.findings += findings.len();
        let issuers = issuers.into_iter().map(|(name, issuer)| IssuerRow {
            issuer: name.clone(),
            state: issuer_state(issuer, now),
        });
        let issuers = issuers.collect();
        let started_at = state.instance.started_at;
        Self { at: now, source, started_at, certificates, issuers, findings, totals, about: None }
    }

    /// Narrows the view to a certificate, or to those for a name, whether they were listed or not.
    #[must_use]
    pub fn about(mut self, state: &State, wanted: &Name) -> Self {
        let is_meant = |name: &Name, certificate: &Certificate| {
            let mut names = certificate.spec.identifiers.iter();
            name == wanted || names.any(|own| own.as_str() == wanted.as_str())
        };
        let meant = state.certificates().filter(|(_, name, certificate)| {
            certificate.renamed_to.is_none() && is_meant(name, certificate)
        });
        let rows = meant.map(|(_, name, c)| CertificateRow::of(state, name, c, self.at));
        self.certificates = rows.collect();
        self.certificates.sort_by_key(|row| row.lapse_at);
        self.about = Some(wanted.clone());
        self
    }

    /// Returns whether something is wrong with what this is about.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        match self.about {
            Some(_) => self.certificates.iter().any(|row| !row.findings.is_empty()),
            None => self.totals.findings > 0,
        }
    }
}

/// Returns findings for streams that could not be folded now, beside those on record.
fn unfolded(quarantined: &[Quarantine], known: &[FindingRow], now: Timestamp) -> Vec<FindingRow> {
    let code = perennial_core::finding::Code::JournalQuarantined;
    let row = |(stream, cause): &Quarantine| FindingRow {
        code: String::from(code.as_str()),
        subject: stream.to_string(),
        severity: Severity::Critical,
        since: now,
        evidence: cause.to_string(),
        advice: String::from(code.advice()),
    };
    let rows = quarantined.iter().map(row);
    rows.filter(|row| !known.iter().any(|k| k.code == row.code && k.subject == row.subject))
        .collect()
}

impl CertificateRow {
    fn of(state: &State, name: &Name, certificate: &Certificate, now: Timestamp) -> Self {
        let cells = coverage(state, certificate);
        let is_whole = |name: &&Identifier| {
            let mut own = cells.iter().filter(|cell| cell.identifier == *name).peekable();
            own.peek().is_some() && own.all(|cell| cell.is_whole(now))
        };
        let lapse_at = Runway::of(certificate).lapse_at;
        let mut findings: Vec<FindingRow> =
            certificate.history.incidents.iter().map(FindingRow::of).collect();
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.since));
        let names = &certificate.spec.identifiers;
        Self {
            certificate: name.clone(),
            lapse_at,
            runway_secs: lapse_at.duration_since(now).as_secs(),
            names_covered: names.iter().filter(is_whole).count(),
            names: names.len(),
            leaf: certificate.leaf.as_deref().map(LeafRow::of),
            renew_at: due(certificate).at,
            renewing: matches!(certificate.attempt, Attempt::Running(_)),
            severity: findings.first().map(|finding| finding.severity),
            state: state_of(certificate, &findings, now),
            findings,
            coverage: cells.iter().map(CoverageRow::of).collect(),
        }
    }

    fn runway(&self) -> String {
        match (&self.leaf, self.runway_secs) {
            (None, _) => String::from("new"),
            (Some(_), ..=0) => String::from("lapsed"),
            (Some(_), seconds) => span(SignedDuration::from_secs(seconds)),
        }
    }
}

impl LeafRow {
    fn of(leaf: &Leaf) -> Self {
        Self {
            number: leaf.number,
            fingerprint: leaf.facts.fingerprint.to_string(),
            issued_by: leaf.facts.issued_by.to_string(),
            not_after: leaf.facts.ends_at(),
        }
    }
}

/// Returns how a certificate stands, in words: what is wrong first, then what is going on.
#[must_use]
pub fn state_of(certificate: &Certificate, findings: &[FindingRow], now: Timestamp) -> String {
    let going_on = going_on(certificate, now);
    let Some(worst) = findings.first() else { return going_on };
    let subject = if worst.subject.is_empty() { &worst.code } else { &worst.subject };
    let wrong = shorten(&format!("{subject}: {}", worst.evidence), WRONG_LONGEST);
    let more = match findings.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    format!("{wrong}{more}; {going_on}")
}

/// The most characters of the first finding in a row; all of it stands below the table.
const WRONG_LONGEST: usize = 90;

fn going_on(certificate: &Certificate, now: Timestamp) -> String {
    if let Attempt::Running(running) = &certificate.attempt {
        return format!("renewing at {}: {}", running.plan.issuer, stage(running));
    }
    let Some(leaf) = certificate.leaf.as_deref() else {
        return String::from(if certificate.is_looked_at() {
            "no leaf yet"
        } else {
            "looking at what is there, before anything else"
        });
    };
    let deploying =
        certificate.targets.iter().filter(|_| leaf.bundle.is_some()).find_map(|ledger| {
            let target = &ledger.target;
            match ledger.step {
                DeployStep::Seen { leaf: at, .. } if at == leaf.number => None,
                DeployStep::Activated { leaf: at, .. } if at == leaf.number => {
                    Some(format!("installed at {target}, not seen everywhere yet"))
                }
                _ => Some(format!("to be installed at {target}")),
            }
        });
    deploying.unwrap_or_else(|| {
        let due = due(certificate).at;
        if due <= now {
            String::from("renewal is due")
        } else {
            format!("renewal {}", ago(due, now))
        }
    })
}

fn stage(running: &Running) -> String {
    match &running.stage {
        Stage::Unordered { .. } => String::from("waiting for an order"),
        Stage::Ordered(ordered) => match ordered.facts.status {
            OrderStatus::Pending => {
                let proven = ordered.authorizations.iter().filter(|authorization| {
                    let facts = authorization.facts.as_ref();
                    facts.is_some_and(|facts| facts.status == AuthorizationStatus::Valid)
                });
                let (proven, all) = (proven.count(), ordered.authorizations.len());
                format!("{proven} of {all} names proven")
            }
            OrderStatus::Ready => String::from("every name is proven"),
            OrderStatus::Processing => String::from("the CA is issuing"),
            OrderStatus::Valid => String::from("issued, to be fetched"),
            OrderStatus::Invalid | OrderStatus::Unknown => String::from("the order is dead"),
        },
        Stage::Fetched(_) => String::from("issued, to be kept"),
    }
}

fn issuer_state(issuer: &Issuer, now: Timestamp) -> String {
    if let Some(until) = issuer.health.closed_until.filter(|until| *until > now) {
        return format!("failing, asked again {}", ago(until, now));
    }
    match &issuer.account {
        Account::Absent => String::from("no account yet"),
        Account::Keyed { .. } => String::from("account to be registered"),
        Account::Refused { .. } => String::from("account refused"),
        Account::Ready { .. } if issuer.health.failures > 0 => String::from("failing"),
        Account::Ready { .. } => String::from("ok"),
    }
}

/// How many findings are written out below the table.
const FINDINGS_SHOWN: usize = 10;

impl StatusView {
    /// Shows the table, then what is wrong and what to do about it, then the totals.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        if !self.certificates.is_empty() {
            self.table(&mut text, paint);
        }
        for row in self.certificates.iter().filter(|_| self.about.is_some()) {
            table(&mut text, &row.coverage, self.at, paint);
        }
        self.wrong(&mut text, paint);
        let Totals { certificates, findings, lapses } = self.totals;
        let counted = |count: usize, one: &str, many: &str| {
            format!("{count} {}", if count == 1 { one } else { many })
        };
        let mut parts = vec![
            counted(certificates, "certificate", "certificates"),
            counted(findings, "finding", "findings"),
            counted(lapses, "lapse", "lapses"),
        ];
        parts = vec![parts.join(", ")];
        let issuers = self.issuers.iter().map(|row| format!("{} {}", row.issuer, row.state));
        parts.push(issuers.collect::<Vec<_>>().join(", "));
        parts.push(match (self.source, self.started_at) {
            (Source::Journal, _) => String::from("no daemon is running"),
            (Source::Daemon, Some(at)) => format!("running since {}", moment(at)),
            (Source::Daemon, None) => String::from("running"),
        });
        parts.retain(|part| !part.is_empty());
        let _ = writeln!(text, "{}", safe(&parts.join("; ")));
        text
    }

    fn table(&self, text: &mut String, paint: Paint) {
        let widest = |of: &dyn Fn(&CertificateRow) -> usize, least: usize| {
            self.certificates.iter().map(of).max().unwrap_or_default().max(least)
        };
        let names = |row: &CertificateRow| format!("{} of {}", row.names_covered, row.names);
        let runway_width = widest(&|row| row.runway().len(), 6);
        let name_width = widest(&|row| row.certificate.as_str().len(), 11);
        let names_width = widest(&|row| names(row).len(), 5);
        let head = format!(
            "  {:>runway_width$}  {:<name_width$}  {:<names_width$}  state",
            "runway", "certificate", "names"
        );
        let _ = writeln!(text, "{}", paint.faint(&head));
        for row in &self.certificates {
            let runway = format!("{:>runway_width$}", row.runway());
            let _ = writeln!(
                text,
                "  {}  {:<name_width$}  {:<names_width$}  {}",
                paint.severity(row.severity, &runway),
                row.certificate.as_str(),
                names(row),
                safe(&row.state)
            );
        }
        let hidden = self.totals.certificates.saturating_sub(self.certificates.len());
        if hidden > 0 && self.about.is_none() {
            let _ = writeln!(text, "  and {hidden} more with a longer runway");
        }
    }

    fn wrong(&self, text: &mut String, paint: Paint) {
        let own = self.findings.iter().filter(|_| self.about.is_none());
        let own = own.map(|finding| (None, finding));
        let of_certificates = self.certificates.iter().flat_map(|row| {
            row.findings.iter().map(move |finding| (Some(&row.certificate), finding))
        });
        let all: Vec<_> = own.chain(of_certificates).collect();
        for (certificate, finding) in all.iter().take(FINDINGS_SHOWN) {
            let about = certificate.map(|name| format!(" {name}")).unwrap_or_default();
            let subject = if finding.subject.is_empty() {
                String::new()
            } else {
                format!(" {}", safe(&finding.subject))
            };
            let head = paint.severity(Some(finding.severity), finding.severity.as_str());
            let since = ago(finding.since, self.at);
            let _ = writeln!(text, "\n{head}{about} {}{subject} ({since})", finding.code);
            let _ = writeln!(text, "  {}", shorten(&finding.evidence, EVIDENCE_LONGEST));
            let _ = writeln!(text, "  hint: {}", finding.advice);
        }
        if all.len() > FINDINGS_SHOWN {
            let _ = writeln!(
                text,
                "\nand {} more findings: --json has all",
                all.len() - FINDINGS_SHOWN
            );
        }
        if !all.is_empty() {
            text.push('\n');
        }
    }
}

/// The most characters of evidence below the table; the whole is in `--json`.
const EVIDENCE_LONGEST: usize = 500;
