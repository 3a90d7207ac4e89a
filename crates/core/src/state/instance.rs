//! What is known of this instance itself.

use alloc::boxed::Box;
use alloc::vec::Vec;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::History;
use crate::event::Event;
use crate::words::{Failure, Name};

/// This instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its version and incidents.
    pub history: History,
    /// When it started last.
    pub started_at: Option<Timestamp>,
    /// Why the newest declaration was refused, if it was; the last good one stays.
    pub refused: Option<Box<str>>,
    /// Certificates that the newest declaration drops, waiting for a person; empty if none.
    pub held: Vec<Name>,
    /// What this instance stands on that fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Failure>,
}

impl Instance {
    /// Takes in an event.
    pub fn fold(&mut self, version: u64, at: Timestamp, event: &Event) {
        self.history.fold(version, at, event);
        match event {
            Event::InstanceStarted(_) => self.started_at = Some(at),
            Event::IntentRefused(refused) => self.refused = Some(refused.message.clone()),
            Event::IntentAccepted(_) => {
                self.refused = None;
                self.held = Vec::new();
            }
            Event::IntentHeld(held) => {
                self.refused = None;
                self.held.clone_from(&held.missing);
            }
            Event::InstanceTroubled(now) => self.troubles.clone_from(&now.troubles),
            _ => {}
        }
    }
}
