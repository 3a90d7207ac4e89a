//! Isolation: a panic while deciding on one subject, or folding a record of it, stops that subject, and
//! the others go on.
//!
//! Core cannot catch a panic; whoever drives it can, and hands in how. Deciding only reads, so that
//! what is left of a decision that broke off is nothing. Its subject's records are folded on as ever:
//! only decisions are held back, and made again at growing distances, for what is known changes. So it
//! is with the instance itself.
//!
//! A fold that breaks off is another matter: what it was to change may be changed by half. Its stream
//! is quarantined as one with a record that makes no sense is (`docs/decisions/0004`).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::{Driver, Subject, Work};
use crate::event::{Event, IncidentOpened};
use crate::finding::{Code, Severity};
use crate::record::Stream;
use crate::state::State;
use crate::words::Blame;
use crate::words::time::after;

/// Does some work that concerns a stream, and returns what a panic in it said.
pub type Isolate = fn(&Stream, Doing, &mut dyn FnMut()) -> Result<(), Box<str>>;

/// What is being done to a stream's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is decided on.
    Deciding,
    /// A record is folded into it.
    Folding,
}

/// Lets a panic pass: for whoever cannot catch one.
///
/// # Errors
///
/// Never.
pub(super) fn unprotected(_: &Stream, _: Doing, work: &mut dyn FnMut()) -> Result<(), Box<str>> {
    work();
    Ok(())
}

/// Folds a record, protected from its panics: what many subjects read is as before then.
///
/// # Errors
///
/// Returns why the stream cannot go on.
pub(super) fn fold(
    isolate: Isolate,
    state: &mut State,
    stream: &Stream,
    folding: impl FnOnce(&mut State) -> Result<(), String>,
) -> Result<(), String> {
    let before = state.shared(stream);
    let mut folded = Ok(());
    let mut folding = Some(folding);
    let mut work = || {
        if let Some(folding) = folding.take() {
            folded = folding(state);
        }
    };
    let Err(cause) = isolate(stream, Doing::Folding, &mut work) else { return folded };
    if let Some(before) = before {
        state.put_back(stream, before);
    }
    Err(format!("folding it broke off: {cause}"))
}

/// A subject on which deciding panicked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    failures: u16,
    retry_at: Timestamp,
}

/// When is decided again, by how often in a row it panicked.
const AGAIN: &[SignedDuration] = &[
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_mins(60),
];

impl Driver {
    /// Makes something of what is known, protected from its panics.
    pub(super) fn isolated<T>(
        &self,
        stream: &Stream,
        make: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, Box<str>> {
        let mut made = None;
        (self.isolate)(stream, Doing::Deciding, &mut || made = make())?;
        Ok(made)
    }

    /// Returns until when a subject is not decided on, if deciding panicked.
    pub(super) fn broken_until(&self, work: &Work, subject: Subject) -> Option<Timestamp> {
        let broken = self.broken.get(&subject)?;
        (work.now < broken.retry_at).then_some(broken.retry_at)
    }

    /// Notes that deciding on a subject panicked.
    pub(super) fn break_off(
        &mut self,
        work: &mut Work,
        subject: Subject,
        stream: &Stream,
        cause: Box<str>,
    ) {
        let before = self.broken.get(&subject).map_or(0, |broken| broken.failures);
        let pause = AGAIN.get(usize::from(before)).or(AGAIN.last()).copied().unwrap_or_default();
        let (failures, retry_at) = (before.saturating_add(1), after(work.now, pause));
        self.broken.insert(subject, Broken { failures, retry_at });
        self.lanes.queue(subject, None, false, Vec::new());
        self.wakes.set(subject, Some(retry_at));
        let code = Code::OurselvesPanicked;
        let open = self.state.history(stream).map_or(&[][..], |history| &history.incidents);
        if open.iter().any(|incident| incident.code == code) {
            return;
        }
        let opened = IncidentOpened {
            code,
            subject: Box::default(),
            severity: Severity::Critical,
            blame: Some(Blame::Ourselves),
            evidence: cause,
        };
        self.append(work, stream, Event::IncidentOpened(opened));
    }
}
