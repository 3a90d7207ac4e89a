//! Runway: the time left before a lapse if nothing more succeeds.
//!
//! Everything that grows more urgent is steered by shares of the margin, the time from the planned
//! renewal to the lapse, so that 6-day and 398-day leaves are treated alike. The last quarter of
//! the margin is the reserve: there preferences are overruled and means are widened.
//!
//! A certificate that never had a leaf has nothing to lose yet: it is given a day from its
//! declaration, so that a new name's first failures do not wake anybody at once. So is a name that
//! was added later, from the moment in which it was.

use jiff::{SignedDuration, Timestamp};

use crate::intent::Serves;
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

/// Returns until when what an address serves is of use.
fn ends_at(endpoint: &EndpointState, address: &AddressState) -> Option<Timestamp> {
    let revoked = endpoint.since.filter(|_| address.state == SightState::Revoked);
    address.ends_at().into_iter().chain(revoked).min()
}

impl Runway {
    /// Returns how long a certificate has: to the earliest end of its leaf and of what lies at its
    /// targets and is served at its endpoints. What is revoked has ended.
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
            Found::Leaf { facts, .. } if ledger.active().is_none() => Some(facts.ends_at()),
            _ => None,
        });
        let ours = certificate.spec.endpoints.iter().zip(&certificate.endpoints);
        let ours = ours.filter(|(spec, _)| spec.serves == Serves::Ours);
        let served =
            ours.filter_map(|(_, endpoint)| Some((endpoint, endpoint.shown.as_ref().ok()?)));
        let served = served.flat_map(|(endpoint, addresses)| {
            addresses.iter().filter_map(|address| ends_at(endpoint, address))
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
