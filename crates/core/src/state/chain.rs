//! The chains of an issued leaf, where its CA offers several.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::ChainOffered;
use crate::words::{ChainFacts, Url};

/// A chain that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Where the CA has it.
    pub certificate: Url,
    /// When it was fetched.
    pub at: Timestamp,
    /// What it is; absent where it cannot be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<ChainFacts>,
}

impl Offered {
    pub(super) fn new(at: Timestamp, offered: &ChainOffered) -> Self {
        let facts = offered.found.as_ref().ok().cloned();
        Self { certificate: offered.certificate.clone(), at, facts }
    }
}
