//! Passing over quiet time: looks that would tell nothing, for who knows that they would.
//!
//! The daemon never knows, and looks. A simulated world does know that nothing changes until a
//! moment of its own, and would spend nearly all of a year on hourly looks that say the same as
//! before. What is passed over is exactly that: questions put because all is well, each moved by
//! whole periods, so that what follows is asked when it would have been. Whatever else is to happen
//! (a decision of its own time, something that failed, something in flight, a first look after an
//! act) ends the quiet.

use jiff::{SignedDuration, Timestamp};

use super::Driver;

/// How far apart looks are at the least that are passed over. What is looked at more often is
/// expected to change, and how often then depends on the time.
pub(super) const PASSED_OVER_FROM: SignedDuration = SignedDuration::from_hours(1);

impl Driver {
    /// Passes over looks between `now` and `until`, while which nothing changes outside, nor has
    /// since `since` but by our own acts: each would have been answered as the last one was, `takes`
    /// after it was put. Returns the moment up to which nothing else is to
    /// happen; it is `now` where nothing could be passed over.
    ///
    /// Not passed over is that nothing changed: the mark `seen.through` moves with the next look.
    pub fn pass_over(
        &mut self,
        now: Timestamp,
        since: Timestamp,
        until: Timestamp,
        takes: SignedDuration,
    ) -> Timestamp {
        let is_busy = !self.asks.is_idle() || !self.sealed.is_empty() || self.halted;
        if is_busy || self.lanes.in_flight() > 0 {
            return now;
        }
        let mut end = until.min(self.lanes.next_wake().unwrap_or(until));
        let mut passed = alloc::vec::Vec::new();
        for (wake_at, subject) in self.wakes.before(end) {
            // They come in the order of time: who follows has nothing to say before the end.
            if wake_at >= end {
                break;
            }
            end = end.min(self.asks.quiet_until(subject, wake_at, since));
            passed.push((wake_at, subject));
        }
        if end <= now {
            return now;
        }
        for (_, subject) in passed.into_iter().filter(|(wake_at, _)| *wake_at < end) {
            let again = self.asks.pass_over(subject, end, takes);
            self.wakes.set(subject, again);
        }
        end
    }
}
