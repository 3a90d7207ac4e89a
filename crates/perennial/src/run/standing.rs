//! What this process itself stands on, and whether it holds.
//!
//! Core hears of it, so that it is a finding with an advice, weeks before somebody would stumble: a
//! port that another program has, a store that takes no copy of the configuration, records that are
//! not moved to the archive any more.

use std::sync::Arc;

use perennial_adapters::challenge::Listener;
use perennial_core::driver::Input;
use perennial_core::words::{Blame, Failure, FailureKind, Name};
use perennial_store::ArchiveWatch;

/// What is looked after, and what was told of it.
#[derive(Debug)]
pub(super) struct Standing {
    archive: ArchiveWatch,
    told: Option<Vec<Failure>>,
}

impl Standing {
    pub(super) const fn new(archive: ArchiveWatch) -> Self {
        Self { archive, told: None }
    }

    /// Looks again, and tries to listen where that is missing. Returns what is to be told, if it is
    /// not what was told last.
    pub(super) async fn look(
        &mut self,
        listeners: &[(Name, Arc<Listener>)],
        unkept: Option<&str>,
    ) -> Option<Input> {
        let mut troubles = Vec::new();
        for (solver, listener) in listeners {
            troubles.extend(listener.start(solver).await.err());
        }
        let unkept = unkept.map(|why| ours("keep a copy of the configuration in the store", why));
        let archive = self.archive.trouble();
        let archive = archive.map(|why| ours("move old records to the archive", &why));
        troubles.extend(unkept.into_iter().chain(archive));
        if self.told.as_ref() == Some(&troubles) {
            return None;
        }
        self.told = Some(troubles.clone());
        Some(Input::Troubled { troubles })
    }
}

fn ours(attempted: &str, cause: &str) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        blame: Blame::Ourselves,
        attempted: attempted.into(),
        cause: cause.into(),
        problem: None,
    }
}
