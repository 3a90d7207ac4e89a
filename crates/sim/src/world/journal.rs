//! The durable journal: records that survive the process, with their encoded bodies, so that every
//! restart goes through reading them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use perennial_core::action::ActId;
use perennial_core::record::{Batch, Record, Stream};

/// Whether a run's records are kept after they became durable. A long run without crashes can do
/// without; nothing can be loaded again then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All of them.
    Everything,
    /// None.
    Nothing,
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    keep: Keep,
    durable: Vec<Record>,
    versions: BTreeMap<Stream, u64>,
    starts: BTreeSet<ActId>,
    written: VecDeque<Batch>,
    count: u64,
    damaged: BTreeSet<Stream>,
}

impl Journal {
    /// Makes an empty journal.
    #[must_use]
    pub const fn new(keep: Keep) -> Self {
        Self {
            keep,
            durable: Vec::new(),
            versions: BTreeMap::new(),
            starts: BTreeSet::new(),
            written: VecDeque::new(),
            count: 0,
            damaged: BTreeSet::new(),
        }
    }

    /// Takes a batch that is not durable yet.
    pub fn write(&mut self, batch: Batch) {
        self.written.push_back(batch);
    }

    /// Makes every batch up to a number durable; `seen` is shown each record.
    ///
    /// # Errors
    ///
    /// Returns the first record that does not follow on its stream's newest one, as a store with
    /// expected versions refuses it.
    pub fn commit(&mut self, through: u64, mut seen: impl FnMut(&Record)) -> Result<(), String> {
        while self.written.front().is_some_and(|batch| batch.number <= through) {
            let records = self.written.pop_front().map(|batch| batch.records).unwrap_or_default();
            for record in records {
                let newest = self.versions.entry(record.stream.clone()).or_default();
                if record.version != *newest + 1 {
                    let Record { stream, version, .. } = &record;
                    return Err(format!("{stream}#{version} follows on {newest}"));
                }
                *newest = record.version;
                seen(&record);
                self.keep(record);
            }
        }
        Ok(())
    }

    fn keep(&mut self, record: Record) {
        self.count += 1;
        if &*record.kind == "act.started" {
            let stream = record.stream.clone();
            self.starts.insert(ActId { stream, version: record.version });
        }
        if self.keep == Keep::Everything {
            self.durable.push(record);
        }
    }

    /// Makes the newest record of a stream unreadable.
    pub fn damage(&mut self, stream: &Stream) {
        if let Some(record) = self.durable.iter_mut().rfind(|record| record.stream == *stream) {
            record.body = "{".into();
            self.damaged.insert(stream.clone());
        }
    }

    /// Returns the streams with unreadable records.
    #[must_use]
    pub const fn damaged(&self) -> &BTreeSet<Stream> {
        &self.damaged
    }

    /// Loses what is not durable.
    pub fn crash(&mut self) {
        self.written.clear();
    }

    /// Returns the durable records, in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.durable
    }

    /// Returns how many records became durable.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns whether everything written is durable.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.written.is_empty()
    }

    /// Returns whether the `act.started` of an act is durable; asked once for each act.
    pub fn has_started(&mut self, act: &ActId) -> bool {
        match self.keep {
            Keep::Everything => self.starts.contains(act),
            Keep::Nothing => self.starts.remove(act),
        }
    }
}
