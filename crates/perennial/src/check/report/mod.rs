//! From facts to rows and findings. Pure: no clock, no network.
//!
//! A row says what was seen; a finding is what somebody should do something about. What cannot be
//! known from here (no way by IPv6, say) is shown and is no finding. A way of renewing that would
//! fail is a finding only if it shows somebody's mistake, or if no way is left: nobody needs them
//! all.

mod address;
mod authority;
mod renewal;

use jiff::{SignedDuration, Timestamp};
use perennial_adapters::discover::Facts;
use perennial_core::words::{LeafFacts, SightState};

use crate::cli::Ending;

/// What is said of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// `host:port`.
    pub(super) subject: String,
    /// How long nothing need succeed until something lapses.
    pub(super) runway: Runway,
    /// What was seen, line by line.
    pub(super) rows: Vec<Row>,
    /// What to do something about.
    pub(super) findings: Vec<Finding>,
    /// How it ended.
    pub(super) outcome: Outcome,
}

/// Time left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runway {
    /// So long until the first leaf or chain that is served ends.
    Left(SignedDuration),
    /// Clients are refused already, at so many addresses of so many.
    Lapsed {
        /// How many addresses serve nothing that clients accept.
        at: usize,
        /// How many could be looked at.
        of: usize,
    },
    /// No leaf was seen.
    Unknown,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// What it is about: an address, or a word.
    pub(super) label: String,
    /// How it stands.
    pub(super) mark: Mark,
    /// What was seen.
    pub(super) text: String,
}

/// How a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// An address that is fine.
    Fine,
    /// An address that is not.
    Wrong,
    /// An address that could not be looked at from here.
    Unseen,
    /// A line about something else.
    Plain,
}

/// Something to do something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Its stable code.
    pub(super) code: &'static str,
    /// What it is about: an address, a name, a zone.
    pub(super) subject: String,
    /// What was seen.
    pub(super) evidence: String,
    /// What to do next.
    pub(super) advice: String,
}

/// How a look ended, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// All is fine.
    Fine,
    /// There are findings.
    Findings,
    /// Nothing could be looked at.
    CouldNot,
}

impl Outcome {
    pub(super) const fn ending(self) -> Ending {
        match self {
            Self::Fine => Ending::Fine,
            Self::Findings => Ending::Findings,
            Self::CouldNot => Ending::CouldNot,
        }
    }
}

/// Judges a host.
pub(super) fn judge(facts: &Facts) -> Report {
    let subject = subject(facts);
    let mut paper = Paper::default();
    if facts.addresses.is_empty() {
        nowhere(facts, &mut paper);
    } else {
        address::judge(facts, &mut paper);
    }
    // Of a name that does not exist there is nothing more to say, and nothing if nobody answers us.
    let deaf = facts.addresses.is_empty()
        && matches!(&facts.challenge, Some(Err(unknown)) if unknown.is_ours);
    if facts.exists && !deaf {
        renewal::judge(facts, &mut paper);
        authority::judge(facts, &mut paper);
    }
    let seen = facts.addresses.iter().any(|seen| seen.state != SightState::CannotLook);
    let outcome = match (seen, paper.findings.is_empty()) {
        (false, _) => Outcome::CouldNot,
        (true, false) => Outcome::Findings,
        (true, true) => Outcome::Fine,
    };
    let Paper { rows, findings } = paper;
    Report { subject, runway: runway(facts), rows, findings, outcome }
}

/// Rows and findings being written.
#[derive(Debug, Default)]
struct Paper {
    rows: Vec<Row>,
    findings: Vec<Finding>,
}

impl Paper {
    fn row(&mut self, label: &str, text: impl Into<String>) {
        let (label, text) = (label.to_owned(), text.into());
        self.rows.push(Row { label, mark: Mark::Plain, text });
    }

    fn find(
        &mut self,
        code: &'static str,
        subject: &str,
        evidence: &str,
        advice: impl Into<String>,
    ) {
        let (subject, evidence) = (subject.to_owned(), evidence.to_owned());
        self.findings.push(Finding { code, subject, evidence, advice: advice.into() });
    }
}

fn subject(facts: &Facts) -> String {
    if facts.host.as_str().contains(':') {
        format!("[{}]:{}", facts.host, facts.port)
    } else {
        format!("{}:{}", facts.host, facts.port)
    }
}

fn nowhere(facts: &Facts, paper: &mut Paper) {
    let text = if !facts.address_problems.is_empty() {
        format!("cannot be looked up: {}", facts.address_problems.join("; "))
    } else if facts.exists {
        "the name has no address".to_owned()
    } else {
        "the name does not exist in DNS".to_owned()
    };
    paper.row("address", text);
}

/// States in which clients are refused.
const fn is_lapsed(state: SightState) -> bool {
    match state {
        SightState::Expired
        | SightState::NotYetValid
        | SightState::NameMismatch
        | SightState::Untrusted
        | SightState::IncompleteChain
        | SightState::Revoked
        | SightState::NoTls => true,
        SightState::Ok
        | SightState::Unreachable
        | SightState::ClientCertificateDemanded
        | SightState::CannotLook => false,
    }
}

fn runway(facts: &Facts) -> Runway {
    let looked = facts.addresses.iter().filter(|seen| seen.state != SightState::CannotLook);
    let lapsed = facts.addresses.iter().filter(|seen| is_lapsed(seen.state)).count();
    if lapsed > 0 {
        return Runway::Lapsed { at: lapsed, of: looked.count() };
    }
    let ends = facts.addresses.iter().filter_map(|seen| seen.leaf.as_ref()).map(LeafFacts::ends_at);
    ends.min().map_or(Runway::Unknown, |end| Runway::Left(end.duration_since(facts.at)))
}

/// Writes a span as people say it: `23 d`, `41 h`, `12 min`.
pub(super) fn span(span: SignedDuration) -> String {
    let hours = span.as_hours();
    match hours {
        48.. => format!("{} d", hours / 24),
        2..48 => format!("{hours} h"),
        _ => format!("{} min", span.as_mins().max(0)),
    }
}

/// Writes a moment as people read it.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Takes from a stranger's text what could move a terminal's cursor.
fn readable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Joins words as people do: `a, b and c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
