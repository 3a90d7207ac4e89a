//! The only reader of the machine's clock.
//!
//! Everything else is handed a [`Clock`] or a `now`. A [`Time`] has two: the *wall* clock, which is
//! the machine's, and the *logical* clock, by which certificates are judged and decisions made. They
//! are the same except in the demo, where the logical clock runs a day a second while nothing is in
//! flight, and at its natural pace while something is: deadlines of seconds keep their meaning.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use perennial_wire::clock::Clock;

/// The clocks of a running instance.
#[derive(Clone, Debug)]
pub struct Time {
    lapse: Option<Arc<Mutex<Lapse>>>,
}

/// A logical clock that may run faster than the machine's.
#[derive(Debug)]
struct Lapse {
    /// A moment of the machine's clock,
    wall: Timestamp,
    /// and what the logical clock showed then.
    logical: Timestamp,
    /// Logical seconds for each second of the machine's, while idle.
    pace: u32,
    /// Whether something is in flight, so that the pace is natural.
    busy: bool,
}

impl Time {
    /// Makes the clocks of a real instance: both are the machine's.
    #[must_use]
    pub const fn real() -> Self {
        Self { lapse: None }
    }

    /// Makes clocks of which the logical one runs `pace` times as fast while nothing is in flight.
    #[must_use]
    pub fn lapse(pace: u32) -> Self {
        let now = machine();
        let lapse = Lapse { wall: now, logical: now, pace: pace.max(1), busy: true };
        Self { lapse: Some(Arc::new(Mutex::new(lapse))) }
    }

    /// Returns the logical time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.with_lapse(|lapse| lapse.at(machine())).unwrap_or_else(machine)
    }

    /// Returns the logical clock.
    #[must_use]
    pub fn logical(&self) -> Clock {
        let own = self.clone();
        Clock::new(move || own.now())
    }

    /// Returns the machine's clock.
    #[must_use]
    pub fn wall() -> Clock {
        Clock::new(machine)
    }

    /// Notes whether something is in flight.
    pub fn set_busy(&self, busy: bool) {
        self.with_lapse(|lapse| {
            if lapse.busy != busy {
                let wall = machine();
                lapse.logical = lapse.at(wall);
                lapse.wall = wall;
                lapse.busy = busy;
            }
        });
    }

    /// Returns whether a moment is so near that the outside is meant by it: a server that reloads, a
    /// CA that validates. Such moments are waited for at the natural pace.
    #[must_use]
    pub fn is_soon(&self, at: Timestamp) -> bool {
        at.duration_since(self.now()) < SOON
    }

    /// Returns how long to sleep until the logical clock shows `at`; nothing if it does already.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Duration {
        let left = at.duration_since(self.now());
        let left = Duration::try_from(left).unwrap_or_default();
        self.with_lapse(|lapse| left / lapse.factor()).unwrap_or(left)
    }

    fn with_lapse<T>(&self, apply: impl FnOnce(&mut Lapse) -> T) -> Option<T> {
        let lapse = self.lapse.as_ref()?;
        Some(apply(&mut lapse.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What is nearer than this is waited for at the natural pace.
const SOON: SignedDuration = SignedDuration::from_secs(15);

impl Lapse {
    const fn factor(&self) -> u32 {
        if self.busy { 1 } else { self.pace }
    }

    fn at(&self, wall: Timestamp) -> Timestamp {
        let gone = wall.duration_since(self.wall).max(SignedDuration::ZERO);
        let factor = i32::try_from(self.factor()).unwrap_or(i32::MAX);
        self.logical.checked_add(gone.saturating_mul(factor)).unwrap_or(Timestamp::MAX)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
fn machine() -> Timestamp {
    // A clock beyond jiff's calendar (year 9999) counts as its end.
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lapse_runs_fast_only_while_idle_and_never_jumps_back() {
        let start = machine();
        let after = |seconds| start + SignedDuration::from_secs(seconds);
        let mut lapse = Lapse { wall: start, logical: start, pace: 86_400, busy: true };
        assert_eq!(lapse.at(after(10)), after(10));
        lapse.busy = false;
        assert_eq!(lapse.at(after(10)), after(864_000));
        assert_eq!(lapse.at(after(-10)), start);
    }

    #[test]
    fn a_real_instance_has_one_time() {
        let time = Time::real();
        let before = machine();
        assert!(before <= time.now());
        assert!(time.until(before).is_zero());
    }
}
