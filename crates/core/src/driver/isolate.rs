//! Isolation: a panic while deciding on one subject is an incident of that subject, and the others go
//! on.
//!
//! Core cannot catch a panic; whoever drives it can, and hands in how. Deciding only reads, so that
//! what is left of a decision that broke off is nothing. Its subject's records are folded on as ever:
//! only decisions are held back, and made again at growing distances, for what is known changes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::{Driver, Subject, Work};
use crate::event::{Event, IncidentOpened};
use crate::finding::{Code, Severity};
use crate::record::Stream;
use crate::words::Blame;
use crate::words::time::after;

/// Does some work that concerns a stream, and returns what a panic in it said.
pub type Isolate = fn(&Stream, &mut dyn FnMut()) -> Result<(), Box<str>>;

/// Lets a panic pass: for whoever cannot catch one.
///
/// # Errors
///
/// Never.
pub(super) fn unprotected(_: &Stream, work: &mut dyn FnMut()) -> Result<(), Box<str>> {
    work();
    Ok(())
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
        (self.isolate)(stream, &mut || made = make())?;
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
