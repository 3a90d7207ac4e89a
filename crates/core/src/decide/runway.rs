//! Runway: the time left before a lapse if nothing more succeeds.
//!
//! Everything that grows more urgent is steered by shares of the margin, the time from the planned
//! renewal to the lapse, so that 6-day and 398-day leaves are treated alike. The last quarter of
//! the margin is the reserve: there preferences are overruled and means are widened.
//!
//! A certificate that never had a leaf has nothing to lose yet: it is given a day from its
//! declaration, so that a new name's first failures do not wake anybody at once. So is a name that
//! was added later, from the moment in which it was, and an address that shows clients what they
//! refuse, from the moment in which the newest leaf set out for it. Then the lapse has come.

use jiff::{SignedDuration, Timestamp};

use super::ours;
use crate::state::{AddressState, Certificate, EndpointState, Found};
use crate::words::time::after;
use crate::words::{Permille, SightState};

/// How long there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runway {
    /// When renewal was planned.
    pub planned_at: Timestamp,
    /// When something that is needed has nothing valid.
    pub lapse_at: Timestamp,
}

/// What a certificate without any leaf, and a name without one, is given from its declaration.
const FIRST_LEAF_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// How long after it is meant to be covered an address may show nothing valid before that counts as
/// a lapse: a new server's placeholder is no emergency while the first leaf is on its way.
const SERVED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Returns when an address shows nothing valid any more: the end of a valid leaf; for one that is
/// revoked since that was seen; and at once for what clients refuse, unless the newest leaf is on its
/// way there since less than a day. Nothing for what could not be looked at, which proves nothing.
pub(super) fn lapses_at(
    certificate: &Certificate,
    endpoint: &EndpointState,
    address: &AddressState,
) -> Option<Timestamp> {
    let since = endpoint.since?;
    match certificate.state_at(address) {
        SightState::Ok | SightState::Expired => address.ends_at(),
        SightState::Revoked => {
            let since = certificate.revoked_since().map_or(since, |first| first.min(since));
            Some(address.ends_at().map_or(since, |end| end.min(since)))
        }
        SightState::NotYetValid
        | SightState::NameMismatch
        | SightState::Untrusted
        | SightState::IncompleteChain
        | SightState::NoTls => Some(since.max(after(wanted_since(certificate), SERVED_WITHIN))),
        SightState::Unreachable
        | SightState::ClientCertificateDemanded
        | SightState::CannotLook => None,
    }
}

/// Returns since when the names are to be covered by what we have, or have none of yet.
fn wanted_since(certificate: &Certificate) -> Timestamp {
    let late = certificate.late.iter().map(|late| late.since);
    let leaf = certificate.leaf.iter().map(|leaf| leaf.since);
    late.chain(leaf).fold(certificate.declared_at, Timestamp::max)
}

impl Runway {
    /// Returns how long a certificate has: the least in its table of names and targets
    /// ([`mod@super::coverage`]), and no longer than the leaf that we hold, which stands in for what is
    /// not known. The table is not made for it: each of its columns is looked through once.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let planned_at = super::due(certificate).at;
        let held = match &certificate.leaf {
            Some(leaf) => {
                let late = certificate.uncovered_since(leaf);
                let wanted_by = late.map(|since| after(since, FIRST_LEAF_WITHIN));
                wanted_by.map_or(leaf.facts.ends_at(), |by| by.min(leaf.facts.ends_at()))
            }
            None => after(certificate.declared_at, FIRST_LEAF_WITHIN),
        };
        let lying = certificate.targets.iter().filter_map(|ledger| match &ledger.found {
            Found::Leaf { facts, key_matches: true, .. } if ledger.active().is_none() => {
                let mut names = certificate.spec.identifiers.iter();
                names.any(|name| facts.covers(name)).then(|| facts.ends_at())
            }
            _ => None,
        });
        let served = ours(certificate).flat_map(|(_, endpoint)| {
            let addresses = endpoint.shown.iter().flatten();
            addresses.filter_map(|address| lapses_at(certificate, endpoint, address))
        });
        let lapse_at = lying.chain(served).fold(held, Timestamp::min);
        // Where something older than our leaf is the first to end, bringing ours there is what is
        // late, and has been since we have it.
        let planned_at = match &certificate.leaf {
            Some(leaf) if lapse_at < held => planned_at.min(leaf.since),
            _ => planned_at,
        };
        Self { planned_at: planned_at.min(lapse_at), lapse_at }
    }

    /// Returns the time from the planned renewal to the lapse.
    #[must_use]
    pub fn margin(self) -> SignedDuration {
        self.lapse_at.duration_since(self.planned_at)
    }

    /// Returns the beginning of the reserve, the last quarter of the margin.
    #[must_use]
    pub fn reserve_at(self) -> Timestamp {
        after(self.planned_at, Permille::new(750).of(self.margin()))
    }

    /// Returns the moment at which `share` of the margin is used up.
    #[must_use]
    pub fn used_at(self, share: Permille) -> Timestamp {
        after(self.planned_at, share.of(self.margin()))
    }

    /// Returns whether the reserve has begun.
    #[must_use]
    pub fn is_in_reserve(self, now: Timestamp) -> bool {
        self.reserve_at() <= now
    }
}
