//! The journal's contract.
//!
//! A journal is a set of streams, each a gapless run of versions from 1. One writer at a time holds
//! the current *epoch*; an append names the epoch it was made under, and one made under another is
//! refused, so that a writer that slept through its own replacement can do no harm. Appending
//! checks every record against its stream's last version: a gap or a repetition changes nothing and
//! is an error. What one append holds becomes durable together or not at all.
//!
//! Reading at startup begins at each stream's newest checkpoint. What lies before it may be moved
//! to the archive in bounded steps; it is still read by [`Journal::read_stream`] and
//! [`Journal::tail`]. A record that cannot be read is reported as [`Found::Unreadable`] in its
//! place and hides nothing else.

use std::error::Error;

use perennial_core::record::{Batch, Receipt, Record, Stream};

use crate::error::{AppendError, StoreError};

/// The kind of the record at which reading a stream may begin.
pub const CHECKPOINT_KIND: &str = "checkpoint";

/// Keeps records. See the module's prose for what an implementation promises.
pub trait Journal: Send {
    /// Takes the store over: returns an epoch higher than every earlier one, durably.
    ///
    /// From then on every append under an earlier epoch fails with [`AppendError::Fenced`].
    ///
    /// # Errors
    ///
    /// Returns why the store could not be written.
    fn acquire_epoch(&mut self) -> Result<u64, StoreError>;

    /// Appends the records of several batches in order, all of them durably or none.
    ///
    /// Each record must carry `epoch` and the version after its stream's last one. The receipt
    /// names the last batch. A crash inside leaves either all of the records or none.
    ///
    /// # Errors
    ///
    /// Returns why nothing was appended.
    fn append_all(&mut self, batches: &[Batch], epoch: u64) -> Result<Receipt, AppendError>;

    /// Appends the records of one batch, as [`Journal::append_all`] does.
    ///
    /// # Errors
    ///
    /// Returns why nothing was appended.
    fn append(&mut self, batch: &Batch, epoch: u64) -> Result<Receipt, AppendError> {
        self.append_all(std::slice::from_ref(batch), epoch)
    }

    /// Appends records of another store, with the epochs they were written under, to an empty
    /// journal: all of them or none. The epoch afterwards is at least the highest among them.
    ///
    /// A stream may begin at version 1 or with a checkpoint.
    ///
    /// # Errors
    ///
    /// Returns why nothing was restored: the journal is not empty, a record could not be read or
    /// does not follow its predecessor, or the store could not be written.
    fn restore(&mut self, records: &mut Source<'_>) -> Result<u64, AppendError>;

    /// Shows every record from each stream's newest checkpoint on.
    ///
    /// Within a stream versions ascend; streams are interleaved in the order in which the records
    /// were appended.
    ///
    /// # Errors
    ///
    /// Returns why reading stopped.
    fn read_all(&self, visit: &mut dyn FnMut(Found)) -> Result<(), StoreError>;

    /// Returns the records of one stream from a version on, the archive's included.
    ///
    /// # Errors
    ///
    /// Returns why reading stopped.
    fn read_stream(&self, stream: &Stream, from_version: u64) -> Result<Vec<Found>, StoreError>;

    /// Returns up to `limit` records that were appended after the one at `position`, in the order
    /// of appending, the archive's included. 0 begins at the beginning.
    ///
    /// # Errors
    ///
    /// Returns why reading stopped.
    fn tail(&self, position: u64, limit: usize) -> Result<Vec<Found>, StoreError>;

    /// Returns the position of the newest record, 0 if there is none.
    ///
    /// # Errors
    ///
    /// Returns why it could not be read.
    fn head(&self) -> Result<u64, StoreError>;

    /// Returns the version of a stream's newest record, 0 if there is none.
    ///
    /// # Errors
    ///
    /// Returns why it could not be read.
    fn last_version(&self, stream: &Stream) -> Result<u64, StoreError>;

    /// Moves up to `limit` records that lie before their stream's newest checkpoint to the archive.
    ///
    /// A crash inside leaves each record in exactly one of the two places.
    ///
    /// # Errors
    ///
    /// Returns why nothing was moved.
    fn archive(&mut self, limit: usize) -> Result<Archived, StoreError>;
}

/// Where records to restore come from.
pub type Source<'s> = dyn Iterator<Item = Result<Record, Box<dyn Error + Send + Sync>>> + 's;

/// A record and its place in the order of appending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place: ascending, with gaps, never used twice.
    pub position: u64,
    /// The record.
    pub record: Record,
}

/// What was found at a place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record.
    Entry(Entry),
    /// Something that this release cannot read as a record: its stream is to be quarantined.
    Unreadable(Unreadable),
}

impl Found {
    /// Returns the place in the order of appending.
    #[must_use]
    pub const fn position(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.position,
            Self::Unreadable(unreadable) => unreadable.position,
        }
    }

    /// Returns the record, if it could be read.
    #[must_use]
    pub fn record(self) -> Option<Record> {
        match self {
            Self::Entry(entry) => Some(entry.record),
            Self::Unreadable(_) => None,
        }
    }
}

/// A record that cannot be read: damaged by hand, or of a stream that only a newer release knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its place.
    pub position: u64,
    /// The stream's text, as far as it could be read.
    pub stream: String,
    /// What is wrong.
    pub why: String,
}

/// What one step of archiving did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archived {
    /// How many records were moved.
    pub moved: usize,
    /// Whether more are waiting.
    pub more: bool,
}
