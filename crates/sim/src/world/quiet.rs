//! Quiet time: hours in which nothing is looked at but to hear the same as before.
//!
//! A thousand certificates are looked at 24 million times in a year, and all but a few thousand
//! looks tell nothing. Where a test does not care to live through them, the world says until when
//! nothing outside changes, and the driver passes over the looks until then
//! ([`perennial_core::driver::Driver::pass_over`]). Nothing else is shortened: what is decided is
//! decided by the same code at the same time, and a test compares both ways of living a year.

use jiff::{SignedDuration, Timestamp};
use perennial_core::driver::Input;

use super::{Faults, Outside, World};
use crate::model::ca::Ca;
use crate::model::host::Met;

impl World {
    /// Lets quiet time be passed over from now on.
    pub const fn pass_over_quiet_time(&mut self) {
        self.passes_over = true;
    }

    /// Passes over the looks until something else happens, or until `end`.
    pub(super) fn pass_over(&mut self, end: Timestamp) {
        let Some((wake, _)) = self.woken_at else { return };
        let mut happenings = self.heap.keys().map(|(at, _)| *at);
        let is_next = happenings.next() == Some(wake) && wake > self.now;
        if !is_next || !self.journal.is_settled() || self.faults != Faults::NONE {
            return;
        }
        let until = happenings.next().map_or(end, |at| at.min(end));
        if !self.outside.cas.values().all(Ca::answers_alike) {
            return;
        }
        let until = until.min(self.changes_at());
        let Some(driver) = &mut self.driver else { return };
        let takes = self.pace.usual_ask();
        if until > wake && driver.pass_over(self.now, self.changed_at, until, takes) > wake {
            self.tell(Input::Time);
        }
    }
}

impl World {
    /// Returns when what is looked at next changes by itself; notes it when it has.
    fn changes_at(&mut self) -> Timestamp {
        if let Some(at) = self.changes_at.filter(|at| *at <= self.now) {
            self.changed_at = at;
            self.changes_at = None;
        }
        *self.changes_at.get_or_insert_with(|| self.outside.changes_at(self.now))
    }
}

impl Outside {
    /// Returns when something that is served changes for clients although nobody does anything: when
    /// it begins or ends to be valid.
    fn changes_at(&self, now: Timestamp) -> Timestamp {
        let served = self.hosts.values().flat_map(|host| {
            host.addresses().filter_map(|address| match host.connect(address) {
                Met::Leaf(bundle) => Some(&bundle.leaf),
                Met::NoTls | Met::Unreachable => None,
            })
        });
        let changes = served.flat_map(|leaf| [leaf.validity.not_before, leaf.ends_at()]);
        changes.filter(|at| *at > now).fold(Timestamp::MAX, Timestamp::min)
    }
}

impl super::Pace {
    /// Returns how long an ask takes on average.
    fn usual_ask(&self) -> SignedDuration {
        let millis = i64::try_from(self.ask.as_millis()).unwrap_or(i64::MAX);
        SignedDuration::from_millis(millis.saturating_add(1) / 2)
    }
}
