//! What is kept of lists, for how long, and who is fetching which.
//!
//! A fetch that fails takes nothing away that a genuine list said: a revocation is not taken back (an
//! entry stays on every list until its leaf has ended; RFC 5280 section 3.3), so a leaf that was
//! listed is revoked, whatever the CA's server says now. That a leaf was *not* listed is no news
//! any more once the list is not the newest.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::after;
use tokio::sync::watch;

use super::list::List;

/// An address and the SPKI of who signs what is there, as the leaf's path has it.
pub(super) type Key = (String, Vec<u8>);

/// Why there is no newer list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It was not given: the server may be better in a moment.
    Missing(String),
    /// What was given cannot be used, and fetching it costs as much as a good one.
    Unusable(String),
}

/// What is known of one list.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The last genuine one.
    pub(super) list: Option<Arc<List>>,
    /// Why it is not the newest.
    pub(super) trouble: Option<Trouble>,
}

/// What the fetch under way comes to; nothing yet, at first.
pub(super) type Awaited = watch::Receiver<Option<Known>>;

/// One list, and the fetch of it that is under way.
#[derive(Debug, Default)]
struct Slot {
    kept: Option<Kept>,
    fetch: Option<Awaited>,
    /// That somebody waited for it in vain: nobody waits again.
    late: Option<Trouble>,
}

impl Slot {
    fn known_if_late(&self) -> Option<Known> {
        let list = self.kept.as_ref().and_then(|kept| kept.known.list.clone());
        Some(Known { list, trouble: Some(self.late.clone()?) })
    }
}

#[derive(Debug)]
struct Kept {
    from: Timestamp,
    until: Timestamp,
    known: Known,
    /// How often in a row what was given could not be used.
    unusable: usize,
}

impl Kept {
    fn is_fresh(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// Takes in what a fetch came to, after what was kept before it.
    fn after(before: Option<Self>, at: Timestamp, fetched: Result<List, Trouble>) -> Self {
        let trouble = match fetched {
            Ok(list) => {
                let until = list.next_update.min(after(at, KEPT_AT_MOST));
                let known = Known { list: Some(Arc::new(list)), trouble: None };
                return Self { from: at, until, known, unusable: 0 };
            }
            Err(trouble) => trouble,
        };
        let (list, before) = before.map_or((None, 0), |kept| (kept.known.list, kept.unusable));
        let (unusable, pause) = match trouble {
            Trouble::Missing(_) => (before, RETRY_AFTER),
            Trouble::Unusable(_) => {
                let last = PAUSES.last().copied().unwrap_or(RETRY_AFTER);
                (before.saturating_add(1), PAUSES.get(before).copied().unwrap_or(last))
            }
        };
        let list = list.filter(|list| at < remembered_until(list));
        let known = Known { list, trouble: Some(trouble) };
        Self { from: at, until: after(at, pause), known, unusable }
    }

    fn entries(&self) -> usize {
        self.known.list.as_ref().map_or(0, |list| list.len())
    }
}

/// Returns until when a list is remembered that no newer one replaces: as long again as it counted.
/// What it says of the listed stays true longer; but a CA that publishes nothing for so long does
/// not serve this address any more, and nothing is held for ever for its sake.
fn remembered_until(list: &List) -> Timestamp {
    after(list.next_update, list.next_update.duration_since(list.this_update))
}

/// What is to be done for who asks.
pub(super) enum Turn {
    /// Nothing: it is known.
    Known(Known),
    /// To wait for somebody's fetch.
    Wait(Awaited),
    /// To fetch it, and to say by this what it came to.
    Fetch(watch::Sender<Option<Known>>, Awaited),
    /// To ask again later: too many are being fetched.
    Later,
}

/// All lists.
#[derive(Debug, Default)]
pub(super) struct Lists(HashMap<Key, Slot>);

impl Lists {
    pub(super) fn turn(&mut self, key: &Key, at: Timestamp) -> Turn {
        // A sender that is gone without a word was lost with its task.
        let under_way =
            |slot: &Slot| slot.fetch.clone().filter(|fetch| fetch.has_changed().is_ok());
        let slot = self.0.get(key);
        if let Some(kept) = slot.and_then(|slot| slot.kept.as_ref()).filter(|it| it.is_fresh(at)) {
            return Turn::Known(kept.known.clone());
        }
        if let Some(fetch) = slot.and_then(under_way) {
            let late = slot.and_then(Slot::known_if_late);
            return late.map_or(Turn::Wait(fetch), Turn::Known);
        }
        if self.0.values().filter_map(under_way).count() >= MAX_FETCHES {
            return Turn::Later;
        }
        let (tell, fetch) = watch::channel(None);
        let slot = self.0.entry(key.clone()).or_default();
        (slot.fetch, slot.late) = (Some(fetch.clone()), None);
        Turn::Fetch(tell, fetch)
    }

    /// Notes that somebody waited in vain for a fetch, and returns what was known before it.
    pub(super) fn give_up(&mut self, key: &Key, cause: String) -> Known {
        let slot = self.0.entry(key.clone()).or_default();
        slot.late = Some(Trouble::Missing(cause));
        slot.known_if_late().unwrap_or_default()
    }

    /// Keeps what a fetch came to. Where there is too much, what was fetched longest ago goes.
    pub(super) fn keep(
        &mut self,
        key: &Key,
        at: Timestamp,
        fetched: Result<List, Trouble>,
    ) -> Known {
        let slot = self.0.entry(key.clone()).or_default();
        let kept = Kept::after(slot.kept.take(), at, fetched);
        let known = kept.known.clone();
        *slot = Slot { kept: Some(kept), fetch: None, late: None };
        while self.is_too_much() {
            let others = self.0.iter().filter(|(own, _)| *own != key);
            let from = |slot: &Slot| slot.kept.as_ref().map(|kept| kept.from);
            let oldest = others.filter_map(|(own, slot)| Some((from(slot)?, own))).min();
            let Some(oldest) = oldest.map(|(_, own)| own.clone()) else { break };
            self.0.remove(&oldest);
        }
        known
    }

    fn is_too_much(&self) -> bool {
        let kept = || self.0.values().filter_map(|slot| slot.kept.as_ref());
        kept().count() > MAX_LISTS || kept().map(Kept::entries).sum::<usize>() > MAX_ENTRIES
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How long a list is taken to be the newest, unless it ends before. CAs publish a revocation
/// within a day (Baseline Requirements 4.9.7); ours should not come on top of that.
const KEPT_AT_MOST: SignedDuration = SignedDuration::from_hours(6);

/// How long a list that was not given is not asked for again.
pub(super) const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// How long a list is not fetched again that could not be used, once, twice, ... in a row.
pub(super) const PAUSES: [SignedDuration; 5] = [
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(20),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(3),
    SignedDuration::from_hours(6),
];

/// How many lists are kept.
pub(super) const MAX_LISTS: usize = 2048;

/// How many revoked serial numbers are kept over all lists: 25 MiB.
pub(super) const MAX_ENTRIES: usize = 1 << 20;

/// How many fetches may be under way, most of them waiting for their turn.
const MAX_FETCHES: usize = 512;
