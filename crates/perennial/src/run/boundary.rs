//! Boundaries: the places between writing and doing where a crash may come, and a switch for tests
//! that makes the process kill itself at one of them.
//!
//! Each act passes four: before its `act.started` is handed to the journal, after that is durable
//! and before anything is done, after the effect and before anybody is told, and after its outcome
//! is durable. They are counted from 1 in the order in which they are passed; a test enumerates them
//! by running the daemon with `PERENNIAL_KILL_AT` = 1, 2, 3, ... until one run passes unkilled.
//! Nothing here does anything unless that variable is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// Where in an act's life a crash may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boundary {
    /// Its `act.started` is not durable yet.
    BeforeStarted,
    /// Its `act.started` is durable; nothing was done.
    Started,
    /// It took effect; nobody was told.
    Done,
    /// Its outcome is durable.
    Ended,
}

/// Counts boundaries, and kills the process at one.
#[derive(Clone, Debug, Default)]
pub struct Boundaries {
    kill_at: Option<u64>,
    passed: Arc<AtomicU64>,
}

/// The variable that says at which boundary to die.
const VARIABLE: &str = "PERENNIAL_KILL_AT";

impl Boundaries {
    /// Takes the number from the environment; without one nothing ever happens.
    #[must_use]
    pub fn of_environment() -> Self {
        let kill_at = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
        Self { kill_at, passed: Arc::default() }
    }

    /// Notes that a boundary is passed. Does not return if it is the one.
    pub(super) fn pass(&self, boundary: Boundary, what: &str) {
        let Some(kill_at) = self.kill_at else { return };
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if number == kill_at {
            tracing::warn!("killed at boundary {number}: {boundary:?} of {what}");
            // A signal that cannot be caught: as if the machine had lost its power.
            let _ = kill_process(getpid(), Signal::KILL);
            std::process::abort();
        }
    }
}
