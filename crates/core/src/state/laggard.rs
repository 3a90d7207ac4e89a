//! Servers that did not show an answer when the CA was told of it all the same.
//!
//! It is known of the moment in which the waiting ended: afterwards the answer is taken down, and
//! nobody can see any more whether they would have shown it. So it is remembered for a day, or until
//! an answer at the same place is shown by all of them.

use alloc::boxed::Box;
use core::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::attempt::{AnswerState, Attempt, Stage};
use super::few::Few;
use crate::words::Url;
use crate::words::time::after;

/// How long it is remembered: longer than a server that is behind for a while takes, and not so long
/// that it is taken for now.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Servers that did not show an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laggard {
    /// The record.
    pub record: Box<str>,
    /// The zone that it is in.
    pub zone: Box<str>,
    /// Those that answered without it.
    pub servers: Box<[SocketAddr]>,
    /// How many showed it.
    pub others: u16,
    /// When the CA was told.
    pub at: Timestamp,
}

impl Laggard {
    /// Returns until when it is told of.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        after(self.at, REMEMBERED_FOR)
    }
}

/// Notes what was shown of an answer when waiting for it ended.
pub(super) fn note(all: &mut Few<Laggard>, attempt: &Attempt, authorization: &Url, at: Timestamp) {
    let Attempt::Running(running) = attempt else { return };
    let Stage::Ordered(ordered) = &running.stage else { return };
    let awaited = ordered.authorizations.iter().find(|known| known.url == *authorization);
    let Some(awaited) = awaited else { return };
    let AnswerState::Presented { showing: Some(showing), .. } = &awaited.answer else { return };
    let Some(place) = &awaited.place else { return };
    all.retain(|known| known.record != place.record && known.until() > at);
    if !showing.lagging.is_empty() {
        all.push(Laggard {
            record: place.record.clone(),
            zone: place.zone.clone(),
            servers: showing.lagging.as_slice().into(),
            others: u16::try_from(showing.showing.len()).unwrap_or(u16::MAX),
            at,
        });
    }
}
