//! The operator's file: read to raw, then to intent, with messages that point.
//!
//! ```text
//! files ──gather──▶ sources ──tree──▶ raw (typed, with places) ──understand──▶ Intent + Settings
//! ```
//!
//! Only [`gather`] and [`Secret`] touch the system; everything between is a function of the texts,
//! so that drills, what-if runs and fuzzing use the same code as the daemon. Mistakes are collected
//! and told all at once, each with its place, its text and what to do. What is ambiguous is an
//! error; what is allowed and unwise is a warning.
//!
//! Deliberately absent: includes, variables and conditions. A folder of files does what includes
//! would, and what generates configuration generates TOML.

mod depth;
mod duration;
mod intent;
mod known;
mod message;
mod near;
mod provider;
mod raw;
mod schema;
mod scheme;
mod secret;
mod settings;
mod source;
mod tree;

use std::path::{Path, PathBuf};

pub use duration::{format_duration, parse_duration};
pub use intent::{identifier, understand};
pub use known::{KnownIssuer, known_issuers};
pub use message::{Level, Message};
use perennial_core::intent::Intent;
pub use provider::{Field, Holds, Need, Privacy, Provider, provider, providers, providers_page};
pub use raw::{Key, Section, sections};
pub use schema::schema;
pub use scheme::{Scheme, scheme};
pub use secret::{Secret, SecretError};
pub use settings::{
    EabSettings, ExecSettings, FilePaths, HookConvention, HostPort, IssuerSettings, Protocol,
    ProviderSettings, Rfc2136Settings, ServerKind, Settings, SolverSettings, StoreSettings,
    TargetRecipe, TargetSettings, TsigAlgorithm, TsigSettings,
};
pub use source::{Source, gather};

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What is wanted.
    pub intent: Intent,
    /// What adapters need for it.
    pub settings: Settings,
    /// What is allowed and unwise, in the order of files and lines.
    pub warnings: Vec<Message>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

/// Reads a file, or the `*.toml` of a folder in the order of their names.
///
/// # Errors
///
/// Returns every mistake that was found, in the order of files and lines.
pub fn load(path: &Path) -> Result<Loaded, Vec<Message>> {
    understand(&gather(path)?)
}

/// Shows messages one below the other, as `Display` of each, with two blank lines between.
#[must_use]
pub fn render(messages: &[Message]) -> String {
    messages.iter().map(Message::to_string).collect::<Vec<_>>().join("\n\n\n")
}
