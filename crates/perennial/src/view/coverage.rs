//! Which name is covered at which target, until when, and how that is known.

use std::fmt::Write as _;

use jiff::Timestamp;
use perennial_core::decide::{Cell, Lack, Proof};
use perennial_core::words::{Name, SightState};
use serde::{Deserialize, Serialize};

use super::{Paint, safe, span};

/// How one name stands at one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRow {
    /// Which name.
    pub name: String,
    /// Which target; absent for addresses that belong to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
    /// How it stands, in a word.
    pub state: Standing,
    /// Until when something valid is there, as far as is known.
    pub until: Option<Timestamp>,
    /// The SHA-256 of the leaf that ends first there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<String>,
    /// At how many addresses something valid was seen.
    pub addresses_seen: usize,
    /// Of how many that can be looked at from here.
    pub addresses: usize,
    /// Why it is not covered, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a name stands, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Handshakes showed something valid.
    Seen,
    /// A leaf for it lies in the target's store; nobody sees what is served.
    Found,
    /// Nothing is known.
    Unknown,
    /// It is not covered.
    Uncovered,
}

impl CoverageRow {
    pub(super) fn of(cell: &Cell<'_>) -> Self {
        let (state, addresses_seen, addresses, why) = match cell.proof {
            Proof::Seen { shown, of } => (Standing::Seen, shown, of, None),
            Proof::Found => (Standing::Found, 0, 0, None),
            Proof::Unknown => (Standing::Unknown, 0, 0, None),
            Proof::Uncovered(lack) => (Standing::Uncovered, 0, 0, Some(why(lack))),
        };
        Self {
            name: cell.identifier.to_string(),
            target: cell.target.cloned(),
            state,
            until: cell.until,
            leaf: cell.leaf.map(|leaf| leaf.to_string()),
            addresses_seen,
            addresses,
            why,
        }
    }

    fn left(&self, now: Timestamp) -> String {
        match (self.state, self.until) {
            (Standing::Uncovered | Standing::Unknown, _) | (_, None) => String::from("-"),
            (_, Some(until)) if until <= now => String::from("lapsed"),
            (_, Some(until)) => span(until.duration_since(now)),
        }
    }

    fn words(&self) -> String {
        match self.state {
            Standing::Seen => {
                format!("seen at {} of {} addresses", self.addresses_seen, self.addresses)
            }
            Standing::Found => String::from("found in its store; nobody sees what is served"),
            Standing::Unknown => String::from("not known: nothing could be looked at"),
            Standing::Uncovered => {
                format!("not covered: {}", self.why.as_deref().unwrap_or_default())
            }
        }
    }
}

fn why(lack: Lack) -> String {
    match lack {
        Lack::Served(address, state) => format!("{address} {}", shows(state)),
        Lack::NotForIt => String::from("the leaf there is not for this name"),
        Lack::Nothing => String::from("no leaf with its key lies there"),
    }
}

const fn shows(state: SightState) -> &'static str {
    match state {
        SightState::Ok => "shows a valid leaf",
        SightState::Expired => "shows an expired leaf",
        SightState::NotYetValid => "shows a leaf that is not valid yet",
        SightState::NameMismatch => "shows a leaf for other names",
        SightState::Untrusted => "shows a leaf that nobody trusts",
        SightState::IncompleteChain => "shows a leaf without its chain",
        SightState::Revoked => "shows a revoked leaf",
        SightState::Unreachable => "cannot be reached",
        SightState::NoTls => "speaks no TLS",
        SightState::ClientCertificateDemanded => "demands a client certificate",
        SightState::CannotLook => "cannot be looked at from here",
    }
}

/// Writes the table: each name at each target.
pub(super) fn table(text: &mut String, rows: &[CoverageRow], now: Timestamp, paint: Paint) {
    let target = |row: &CoverageRow| {
        row.target.as_ref().map_or_else(|| String::from("elsewhere"), ToString::to_string)
    };
    let widest = |of: &dyn Fn(&CoverageRow) -> usize, least: usize| {
        rows.iter().map(of).max().unwrap_or_default().max(least)
    };
    let names = widest(&|row| row.name.len(), "name".len());
    let targets = widest(&|row| target(row).len(), "target".len());
    let lefts = widest(&|row| row.left(now).len(), "covered".len());
    let head = format!(
        "  {:>lefts$}  {:<names$}  {:<targets$}  how that is known",
        "covered", "name", "target"
    );
    let _ = writeln!(text, "\n{}", paint.faint(&head));
    for row in rows {
        let left = format!("{:>lefts$}", row.left(now));
        let (name, at, words) = (&row.name, target(row), row.words());
        let _ = writeln!(text, "  {left}  {name:<names$}  {at:<targets$}  {}", safe(&words));
    }
}
