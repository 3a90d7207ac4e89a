//! Who is to be woken when.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use jiff::Timestamp;

use super::Subject;
use super::moment::Moment;

/// Who is to be woken when: at most once each.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    by_time: BTreeSet<(Moment, Subject)>,
    /// Of the certificates, by their place in the state.
    of_certificates: Vec<Option<Moment>>,
    of_others: BTreeMap<Subject, Moment>,
}

impl Wakes {
    pub(super) fn set(&mut self, subject: Subject, at: Option<Timestamp>) {
        let at = at.map(Moment::of);
        let before = self.replace(subject, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, subject));
        }
        if let Some(at) = at {
            self.by_time.insert((at, subject));
        }
    }

    fn replace(&mut self, subject: Subject, at: Option<Moment>) -> Option<Moment> {
        if let Subject::Certificate(id) = subject {
            if at.is_some() && self.of_certificates.len() <= id.place() {
                self.of_certificates.resize(id.place() + 1, None);
            }
            let own = self.of_certificates.get_mut(id.place())?;
            return core::mem::replace(own, at);
        }
        match at {
            Some(at) => self.of_others.insert(subject, at),
            None => self.of_others.remove(&subject),
        }
    }

    pub(super) fn of(&self, subject: Subject) -> Option<Timestamp> {
        let own = match subject {
            Subject::Certificate(id) => *self.of_certificates.get(id.place())?,
            Subject::Instance | Subject::Issuer(_) => self.of_others.get(&subject).copied(),
        };
        own.map(Moment::at)
    }

    /// Moves a wake to a later moment; one that is due already stays.
    pub(super) fn postpone(&mut self, subject: Subject, at: Timestamp, now: Timestamp) {
        if self.of(subject).is_none_or(|due| due > now) {
            self.set(subject, Some(at));
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| at.at())
    }

    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Subject> {
        let (at, _) = self.by_time.first()?;
        if at.at() > now {
            return None;
        }
        let (_, subject) = self.by_time.pop_first()?;
        self.replace(subject, None);
        Some(subject)
    }

    /// Returns everybody who is to be woken before a moment.
    pub(super) fn before(&self, end: Timestamp) -> impl Iterator<Item = (Timestamp, Subject)> {
        let end = Moment::of(end);
        let before = self.by_time.iter().take_while(move |(at, _)| *at < end);
        before.map(|(at, subject)| (at.at(), *subject))
    }
}
