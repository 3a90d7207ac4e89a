//! What every stream's state has in common: its version, its acts in flight, its incidents.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::few::Few;
use crate::action::ActKind;
use crate::event::Event;
use crate::finding::{self, Incident};

/// The common part of a stream's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The version of the newest record folded; 0 before the first.
    pub version: u64,
    /// Acts that were started and have not ended.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub acting: Few<Acting>,
    /// Findings that are open.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub incidents: Few<Incident>,
}

/// An act in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acting {
    /// The version of its `act.started`.
    pub version: u64,
    /// What it does.
    pub act: ActKind,
    /// What outlives this is `Unknown`.
    pub deadline_at: Timestamp,
}

impl History {
    /// Takes in the common part of an event; returns the act that it ends, if it ends one.
    pub(super) fn fold(&mut self, version: u64, at: Timestamp, event: &Event) -> Option<ActKind> {
        self.version = version;
        match event {
            Event::Started(started) => {
                let act = started.act.clone();
                self.acting.push(Acting { version, act, deadline_at: started.deadline_at });
                None
            }
            Event::Ended(ended) => {
                self.acting.take_first(|acting| acting.version == ended.of).map(|acting| acting.act)
            }
            other => {
                finding::fold(&mut self.incidents, other, at);
                None
            }
        }
    }

    /// Returns whether an act of this kind is in flight.
    pub fn is_acting(&self, is_it: impl Fn(&ActKind) -> bool) -> bool {
        self.acting.iter().any(|acting| is_it(&acting.act))
    }
}
