//! Group commit: one thread owns the journal's writing end.
//!
//! ```text
//! loop ──submit(batch)──▶ queue ──▶ [ all that is waiting: one transaction ] ──▶ receipt ──▶ loop
//! ```
//!
//! While a commit runs, batches pile up; the next commit takes them all, in order, so that under
//! load the cost of syncing is shared and an idle store answers at once. One receipt is delivered
//! for each commit: it names the last batch, and all before it are durable too.
//!
//! A failed commit is the end: every batch of it and every later one fails, none is retried. The
//! process ends, and what is durable is where the next one begins.
//!
//! When nothing waits, records before checkpoints move to the archive, in steps short enough that
//! a batch is not kept waiting. If that fails it stops, says so through [`ArchiveWatch`],
//! and hinders nothing.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use perennial_core::record::{Batch, Receipt};

use crate::error::AppendError;
use crate::journal::Journal;

/// Appends batches on a thread of its own.
///
/// Dropping it waits until everything submitted is durable or failed.
#[derive(Debug)]
pub struct Writer {
    queue: Option<Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
    archive: ArchiveWatch,
}

/// Tells whether records before checkpoints are moved to the archive.
#[derive(Clone, Debug, Default)]
pub struct ArchiveWatch(Arc<Mutex<Option<String>>>);

impl ArchiveWatch {
    /// Returns why records are no longer moved to the archive, if they are not.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Writer {
    /// Starts the thread. `deliver` is called on it, once for each commit; it must not block.
    ///
    /// After a failure, `deliver` gets [`AppendError::Halted`] once for each further batch.
    ///
    /// # Errors
    ///
    /// Returns why the thread could not be started.
    pub fn spawn(
        journal: impl Journal + 'static,
        epoch: u64,
        deliver: impl FnMut(Result<Receipt, AppendError>) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, waiting) = channel();
        let archive = ArchiveWatch::default();
        let committer = Committer {
            journal,
            epoch,
            waiting,
            deliver,
            archiving: Archiving::Pending,
            archive: archive.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || committer.run())?;
        Ok(Self { queue: Some(queue), thread: Some(thread), archive })
    }

    /// Hands over a batch and returns at once. Its fate is told through `deliver`.
    ///
    /// The queue has no limit of its own: the driver bounds what it starts.
    pub fn submit(&self, batch: Batch) {
        if let Some(queue) = &self.queue {
            // The thread leaves only when the queue is dropped or when `deliver` panics; in the
            // latter case nobody is left to tell.
            let _ = queue.send(batch);
        }
    }

    /// Returns who tells whether records are moved to the archive, also once this is elsewhere.
    #[must_use]
    pub fn archive_watch(&self) -> ArchiveWatch {
        self.archive.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of `deliver` has been printed already.
            let _ = thread.join();
        }
    }
}

struct Committer<J, D> {
    journal: J,
    epoch: u64,
    waiting: Receiver<Batch>,
    deliver: D,
    archiving: Archiving,
    archive: ArchiveWatch,
}

/// Whether there may be something to move to the archive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Archiving {
    Pending,
    Done,
    Stopped,
}

impl<J: Journal, D: FnMut(Result<Receipt, AppendError>)> Committer<J, D> {
    fn run(mut self) {
        while let Some(first) = self.next() {
            let group = self.gather(first);
            let result = self.journal.append_all(&group, self.epoch);
            let failed = result.is_err();
            (self.deliver)(result);
            if failed {
                return self.halt();
            }
            if self.archiving == Archiving::Done {
                self.archiving = Archiving::Pending;
            }
        }
    }

    /// Waits for a batch; archives when none comes for a while.
    fn next(&mut self) -> Option<Batch> {
        while self.archiving == Archiving::Pending {
            match self.waiting.recv_timeout(ARCHIVE_AFTER) {
                Ok(batch) => return Some(batch),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.archive_step(),
            }
        }
        self.waiting.recv().ok()
    }

    /// Takes what else is waiting, up to a limit that keeps one transaction short.
    fn gather(&self, first: Batch) -> Vec<Batch> {
        let mut records = first.records.len();
        let mut group = vec![first];
        while records < GROUP_RECORDS {
            let Ok(batch) = self.waiting.try_recv() else { break };
            records += batch.records.len();
            group.push(batch);
        }
        group
    }

    /// Fails everything that still comes, until the writer is dropped.
    fn halt(&mut self) {
        while self.waiting.recv().is_ok() {
            (self.deliver)(Err(AppendError::Halted));
        }
    }

    fn archive_step(&mut self) {
        self.archiving = match self.journal.archive(ARCHIVE_STEP) {
            Ok(step) if step.more => Archiving::Pending,
            Ok(_) => Archiving::Done,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let text = format!("{error}: {}", cause.unwrap_or_default());
                *self.archive.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                Archiving::Stopped
            }
        };
    }
}

/// Records in one transaction at most (a batch is never split): about 50 ms.
const GROUP_RECORDS: usize = 4096;

/// How long nothing must have come before a step of archiving is taken.
const ARCHIVE_AFTER: Duration = Duration::from_millis(50);

/// Records moved in one step: a few milliseconds.
const ARCHIVE_STEP: usize = 256;
