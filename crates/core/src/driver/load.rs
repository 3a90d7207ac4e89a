//! Loading: from the journal's records to a driver.
//!
//! A record that cannot be folded quarantines its stream and never prevents starting. Acts that
//! were in flight when the last process ended have no outcome: `Unknown` is recorded for each, so
//! that the journal itself says what was not known. So it does of answers that were up: those that a
//! listener of ours showed went down with it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use jiff::Timestamp;

use super::asks::Asks;
use super::isolate::{Isolate, fold, unprotected};
use super::lanes::Lanes;
use super::wakes::Wakes;
use super::{Driver, Issuers, Step, Subject, Work};
use crate::action::Outcome;
use crate::decide::Draw;
use crate::event::{Decoded, Empty, Ended, Event, InstanceStarted};
use crate::record::{Record, Stream, StreamKind};
use crate::state::{Attempt, Authorization, Certificate, Quarantine, Stage, State};

/// Folds the journal.
#[derive(Debug)]
pub struct Loader {
    state: State,
    quarantined: Vec<Quarantine>,
    refused: BTreeSet<Stream>,
    isolate: Isolate,
    /// When the newest record was written.
    latest: Timestamp,
}

impl Default for Loader {
    fn default() -> Self {
        Self {
            state: State::default(),
            quarantined: Vec::new(),
            refused: BTreeSet::new(),
            isolate: unprotected,
            latest: Timestamp::MIN,
        }
    }
}

impl Loader {
    /// Begins with nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Protects subjects from each other's panics, in folding and in the driver's decisions.
    #[must_use]
    pub const fn isolated_by(mut self, isolate: Isolate) -> Self {
        self.isolate = isolate;
        self
    }

    /// Takes in the next record. Within a stream records come in order; a stream may begin with a
    /// checkpoint.
    pub fn record(&mut self, record: &Record) {
        if self.refused.contains(&record.stream) {
            return;
        }
        self.latest = self.latest.max(record.at);
        if let Err(cause) = self.fold(record) {
            let cause = format!("record {} of {}: {cause}", record.version, record.stream);
            self.quarantined.push((record.stream.clone(), cause.into()));
            self.refused.insert(record.stream.clone());
        }
    }

    /// Takes in that a record could not be read at all: its stream is refused, or nothing if it is
    /// not known whose it was.
    pub fn unreadable(&mut self, stream: Option<Stream>, cause: &str) {
        let stream = stream.unwrap_or_else(Stream::instance);
        if stream.kind == StreamKind::Instance || self.refused.insert(stream.clone()) {
            self.quarantined.push((stream, cause.into()));
        }
    }

    /// Returns whether every record could be folded.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.quarantined.is_empty()
    }

    fn fold(&mut self, record: &Record) -> Result<(), Box<str>> {
        let stream = &record.stream;
        let expected = self.state.version(stream) + 1;
        let is_checkpoint = &*record.kind == "checkpoint";
        if record.version != expected && !(is_checkpoint && record.version > expected) {
            return Err(format!("version {expected} was expected").into());
        }
        match Event::decode(&record.kind, &record.body) {
            Decoded::Event(event) => {
                let (version, at) = (record.version, record.at);
                let folding = |state: &mut State| match *event {
                    Event::Checkpoint(checkpoint) => state.restore(stream, version, checkpoint),
                    event => state.fold(stream, version, at, &event),
                };
                fold(self.isolate, &mut self.state, stream, folding).map_err(Into::into)
            }
            Decoded::Unknown if record.must_understand => {
                let kind = &record.kind;
                Err(format!("kind `{kind}` is not known to this release and must be").into())
            }
            Decoded::Unknown => {
                self.state.skip(stream, record.version);
                Ok(())
            }
            Decoded::Unreadable(cause) => Err(cause.into()),
        }
    }

    /// Returns what was folded, for those who only read.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Returns the streams that could not be folded, each with the cause.
    #[must_use]
    pub fn quarantined(&self) -> &[Quarantine] {
        &self.quarantined
    }

    /// Makes the driver, and its first step.
    ///
    /// `epoch` is the fencing epoch under which this process writes.
    pub fn start(self, version: &str, epoch: u64, now: Timestamp, draw: u64) -> (Driver, Step) {
        let mut driver = Driver {
            state: self.state,
            quarantined: self.quarantined,
            epoch,
            next_batch: 1,
            sealed: VecDeque::new(),
            asks: Asks::default(),
            lanes: Lanes::default(),
            wakes: Wakes::default(),
            halted: false,
            isolate: self.isolate,
            broken: BTreeMap::new(),
            issuers: Issuers::default(),
            latest: self.latest,
        };
        let mut work = Work::new(now, Draw(draw));
        driver.watch_clock(&mut work);
        let started = InstanceStarted { version: version.into() };
        driver.append(&mut work, &Stream::instance(), Event::InstanceStarted(started));
        for (stream, version) in driver.unended() {
            let outcome = Outcome::Unknown;
            let ended = Event::Ended(Ended { of: version, outcome, interrupted: true });
            driver.append(&mut work, &stream, ended);
        }
        for stream in driver.doubtful() {
            driver.append(&mut work, &stream, Event::AnswersDoubted(Empty {}));
        }
        let certificates: Vec<_> = driver.state.certificates().map(|(id, ..)| id).collect();
        for id in certificates {
            driver.wakes.set(Subject::Certificate(id), Some(now));
        }
        let issuers: Vec<_> = driver.state.issuers.keys().cloned().collect();
        for name in issuers {
            work.dirty.insert(Subject::Issuer(driver.issuers.number(&name)));
        }
        driver.settle(&mut work);
        let step = driver.finish(work, Vec::new());
        (driver, step)
    }
}

impl Driver {
    /// Returns every act that was started and has not ended.
    fn unended(&self) -> Vec<(Stream, u64)> {
        let mut acts = Vec::new();
        for (name, issuer) in &self.state.issuers {
            let stream = Stream::new(StreamKind::Issuer, name.clone());
            let versions = issuer.history.acting.iter().map(|acting| acting.version);
            acts.extend(versions.map(|version| (stream.clone(), version)));
        }
        for (_, name, certificate) in self.state.certificates() {
            if certificate.history.acting.is_empty() {
                continue;
            }
            let stream = Stream::new(StreamKind::Certificate, name.clone());
            let versions = certificate.history.acting.iter().map(|acting| acting.version);
            acts.extend(versions.map(|version| (stream.clone(), version)));
        }
        acts
    }

    /// Returns every certificate that has answers up, as far as the journal knows.
    fn doubtful(&self) -> Vec<Stream> {
        let has_answers = |certificate: &Certificate| {
            let Attempt::Running(running) = &certificate.attempt else { return false };
            let Stage::Ordered(ordered) = &running.stage else { return false };
            ordered.authorizations.iter().any(Authorization::is_doubtful)
        };
        let certificates = self.state.certificates();
        let doubtful = certificates.filter(|(_, _, certificate)| has_answers(certificate));
        doubtful.map(|(_, name, _)| Stream::new(StreamKind::Certificate, name.clone())).collect()
    }
}
