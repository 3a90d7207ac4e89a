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
    /// When the store was restored from a backup, if it ever was: the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Box<Restored>>,
}

/// A restore from a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// How this instance is called since.
    pub id: Box<str>,
    /// When.
    pub at: Timestamp,
    /// When the backup was made.
    pub backed_up_at: Timestamp,
    /// When a person let it go on; until then it only looks.
    pub resumed_at: Option<Timestamp>,
}

impl Instance {
    /// Returns the restore after which nobody has resumed yet: until somebody does, nothing is done.
    #[must_use]
    pub fn waits_to_resume(&self) -> Option<&Restored> {
        self.restored.as_deref().filter(|restored| restored.resumed_at.is_none())
    }

    /// Returns whether what was known at a moment may be older than what lies at targets: it came
    /// from a backup.
    #[must_use]
    pub fn was_restored_since(&self, at: Timestamp) -> bool {
        self.restored.as_ref().is_some_and(|restored| at <= restored.at)
    }

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
            Event::InstanceRestored(restored) => {
                self.restored = Some(Box::new(Restored {
                    id: restored.id.clone(),
                    at,
                    backed_up_at: restored.backed_up_at,
                    resumed_at: None,
                }));
            }
            Event::InstanceResumed(_) => {
                if let Some(restored) = &mut self.restored {
                    restored.resumed_at = Some(at);
                }
            }
            Event::InstanceTroubled(now) => self.troubles.clone_from(&now.troubles),
            _ => {}
        }
    }
}
