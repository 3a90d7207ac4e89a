//! What is shown: plain views of the state, and how they look as text.
//!
//! A view is made by a pure function of state and time, serialises for `--json`, and is turned into
//! text by another. Whoever has the state (the daemon, or the command line after folding the
//! journal) makes the same view. Texts of CAs, DNS and files are made safe for terminals here.

mod act;
mod coverage;
mod journal;
mod paint;
mod plan;
mod renewal;
mod status;
mod words;

#[cfg(test)]
mod tests;

pub use coverage::{CoverageRow, Standing};
pub use journal::{Line, Timeline, Weight};
pub use paint::Paint;
pub use plan::{Change, ChangeKind, PlanStep, PlanView, When};
pub use renewal::{Cause, Ended, Progress, Since, Verdict};
pub use status::{
    CertificateRow, FindingRow, IssuerRow, LeafRow, Source, StatusView, Totals, state_of,
};
pub use words::{ago, moment, safe, shorten, span};
