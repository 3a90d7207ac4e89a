//! Boundaries: the places between writing and doing where a crash may come, and a switch for tests
//! that makes the process kill itself at one of them.
//!
//! Each act passes four: before its `act.started` is handed to the journal, after that is durable
//! and before anything is done, after the effect and before anybody is told, and after its outcome
//! is durable. They are counted from 1 in the order in which they are passed; a test enumerates them
//! by running the daemon with `PERENNIAL_KILL_AT` = 1, 2, 3, ... until one run passes unkilled. Two
//! acts that are in flight together may pass theirs in either order, so that a count alone can miss
//! one: `PERENNIAL_KILL_AT` = `Started of Present` names the first of its kind. Nothing here does
//! anything unless that variable is set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perennial_core::action::{ActId, ActKind};
use perennial_core::event::{Decoded, Event};
use perennial_core::record::Record;
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
    kill_at: Option<Box<str>>,
    passed: Arc<AtomicU64>,
    /// What each act does that was started and has not ended.
    kinds: BTreeMap<ActId, &'static str>,
}

/// The variable that says at which boundary to die.
const VARIABLE: &str = "PERENNIAL_KILL_AT";

/// What an act does that an earlier process started.
const INTERRUPTED: &str = "an interrupted act";

impl Boundaries {
    /// Takes the number or the name from the environment; without one nothing ever happens.
    #[must_use]
    pub fn of_environment() -> Self {
        Self { kill_at: std::env::var(VARIABLE).ok().map(Into::into), ..Self::default() }
    }

    /// Notes records that are about to be handed to the journal, and passes the boundary before each
    /// start among them. Returns what each act does that they end.
    pub(super) fn hand_over(&mut self, records: &[Record]) -> Vec<&'static str> {
        let mut ends = Vec::new();
        if self.kill_at.is_none() {
            return ends;
        }
        for record in records {
            let Decoded::Event(event) = Event::decode(&record.kind, &record.body) else { continue };
            let id = |version| ActId { stream: record.stream.clone(), version };
            match *event {
                Event::Started(started) => {
                    let kind = kind_of(&started.act);
                    self.pass(Boundary::BeforeStarted, kind);
                    self.kinds.insert(id(record.version), kind);
                }
                Event::Ended(ended) => {
                    ends.push(self.kinds.remove(&id(ended.of)).unwrap_or(INTERRUPTED));
                }
                _ => {}
            }
        }
        ends
    }

    /// Notes that an act of a kind passes a boundary. Does not return if it is the one.
    pub(super) fn pass(&self, boundary: Boundary, kind: &str) {
        let Some(kill_at) = self.kill_at.as_deref() else { return };
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let name = format!("{boundary:?} of {kind}");
        if kill_at == number.to_string() || kill_at == name {
            tracing::warn!("killed at boundary {number}: {name}");
            // A signal that cannot be caught: as if the machine had lost its power.
            let _ = kill_process(getpid(), Signal::KILL);
            std::process::abort();
        }
    }
}

/// Returns the name of what an act does.
pub(super) const fn kind_of(act: &ActKind) -> &'static str {
    match act {
        ActKind::MakeKey { .. } => "MakeKey",
        ActKind::DropKey { .. } => "DropKey",
        ActKind::NewAccount { .. } => "NewAccount",
        ActKind::NewOrder { .. } => "NewOrder",
        ActKind::Present { .. } => "Present",
        ActKind::Respond { .. } => "Respond",
        ActKind::Withdraw { .. } => "Withdraw",
        ActKind::Finalize { .. } => "Finalize",
        ActKind::ChangeKey { .. } => "ChangeKey",
        ActKind::EndAccount { .. } => "EndAccount",
        ActKind::Revoke { .. } => "Revoke",
        ActKind::KeepBundle { .. } => "KeepBundle",
        ActKind::Stage { .. } => "Stage",
        ActKind::Validate { .. } => "Validate",
        ActKind::Activate { .. } => "Activate",
        ActKind::PutBack { .. } => "PutBack",
    }
}
