//! A clock that was ahead and is set back: whatever counts from what it showed is put right.
//!
//! Of the journal's moments each stream that has some takes a record ([`crate::state`]); what the
//! driver itself holds (wakes, marks of questions, lanes that are shut) is moved here, and everybody
//! is decided on again.

use alloc::vec::Vec;

use jiff::SignedDuration;

use super::{Driver, Subject, Work};
use crate::event::{ClockPutRight, Event};
use crate::state::SetBack;
use crate::words::time::after;

/// How far a clock may step back without being put right: what waits for so little waits that much
/// longer. Clocks that are kept right step by less.
const STEP_AT_MOST: SignedDuration = SignedDuration::from_mins(1);

impl Driver {
    /// Notes what the clock shows, and puts right what was recorded if it was ahead.
    pub(super) fn watch_clock(&mut self, work: &mut Work) {
        if self.latest <= after(work.now, STEP_AT_MOST) {
            self.latest = self.latest.max(work.now);
            return;
        }
        let back = SetBack { was: self.latest, now: work.now };
        self.latest = work.now;
        for stream in self.state.ahead(back) {
            self.append(work, &stream, Event::ClockPutRight(ClockPutRight { was: back.was }));
        }
        for act in self.sealed.iter_mut().flat_map(|(_, acts)| acts) {
            back.deadline(&mut act.deadline_at);
        }
        self.asks.put_right(back);
        self.lanes.put_right();
        self.broken.clear();
        let issuers: Vec<_> = self.state.issuers.keys().cloned().collect();
        for name in issuers {
            work.dirty.insert(Subject::Issuer(self.issuers.number(&name)));
        }
        work.dirty.insert(Subject::Instance);
        self.wake_all(work);
    }
}
