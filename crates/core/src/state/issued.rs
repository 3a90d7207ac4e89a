//! Leaves that were issued although no schedule asked for them, or in vain: what a CA's limits for
//! an exact set of names are spent on without gain.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::few::Few;
use crate::words::Identifier;
use crate::words::time::after;

/// A leaf that was issued beyond the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// When.
    pub at: Timestamp,
    /// For which names: FNV-1a of them, since an order's limit is by exact set.
    pub set: u64,
}

/// For how long they are remembered.
pub const ISSUED_LATELY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How many are remembered at the most; two are enough to hold back a third.
const REMEMBERED: usize = 8;

/// Returns which set of names this is; they are sorted.
#[must_use]
pub fn set_of(identifiers: &[Identifier]) -> u64 {
    let bytes = identifiers.iter().flat_map(|name| name.as_str().bytes().chain([b' ']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Remembers one more.
pub(super) fn remember(all: &mut Few<Issued>, at: Timestamp, identifiers: &[Identifier]) {
    let forgotten_at = after(at, -ISSUED_LATELY);
    let excess = (all.len() + 1).saturating_sub(REMEMBERED);
    let mut place = 0;
    all.retain(|issued| {
        place += 1;
        place > excess && issued.at > forgotten_at
    });
    all.push(Issued { at, set: set_of(identifiers) });
}
