//! What an endpoint showed last: enough to judge by, so that equal looks compare equal.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::{
    Doubts, Failure, Fingerprint, Handshake, LeafFacts, Refusal, Sample, Sight, SightState, TlsaSet,
};

/// What an endpoint showed last. In a checkpoint its addresses name what they serve by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState<A = AddressState> {
    /// Since when it shows this; absent before the first look.
    pub since: Option<Timestamp>,
    /// One entry for each address, or why no address could be looked at.
    pub shown: Result<Box<[A]>, Box<Failure>>,
    /// The service's TLSA records, if it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlsa: Option<Box<TlsaState>>,
}

/// The TLSA records of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsaState {
    /// What they are.
    pub set: TlsaSet,
    /// Since when they are known to be these.
    pub since: Timestamp,
}

/// What one address of an endpoint showed last.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Row")]
pub struct AddressState {
    /// Which.
    pub address: SocketAddr,
    /// What was found.
    pub state: SightState,
    /// The leaf that was served, if one was. All addresses that serve it share one.
    pub served: Option<Arc<Served>>,
    /// What is in doubt of it, if something is.
    pub doubts: Option<Box<Lasting>>,
    /// How many of several connections showed this when it was new, where several servers share the
    /// address.
    pub sample: Option<Sample>,
}

/// What is in doubt of a chain that is fine, and since when. Why is kept as it was first told: other
/// words for the same are no news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// That it cannot be looked up whether the leaf is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Doubt>,
    /// That a trust store refuses it.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub refused_by: Box<[StoreRefuses]>,
}

/// A doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Since when there is.
    pub since: Timestamp,
    /// Why.
    pub cause: Box<str>,
}

/// A trust store that refuses a chain although another one accepts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRefuses {
    /// Whose roots they are.
    pub store: Box<str>,
    /// Since when it does, and why.
    pub doubt: Doubt,
}

/// A leaf that is served, as far as it matters who is not told of it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Which leaf.
    pub leaf: Fingerprint,
    /// The end of what was served.
    pub ends_at: Timestamp,
    /// When what was served was issued, to tell older from newer.
    pub not_before: Timestamp,
}

/// How checkpoints of shape 1 have it.
#[derive(Deserialize)]
struct Row {
    address: SocketAddr,
    state: SightState,
    leaf: Option<Fingerprint>,
    ends_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
}

impl From<Row> for AddressState {
    fn from(row: Row) -> Self {
        let served = row.leaf.zip(row.ends_at).zip(row.not_before);
        let served = served
            .map(|((leaf, ends_at), not_before)| Arc::new(Served { leaf, ends_at, not_before }));
        Self { address: row.address, state: row.state, served, doubts: None, sample: None }
    }
}

impl AddressState {
    /// Returns which leaf was served.
    #[must_use]
    pub fn leaf(&self) -> Option<Fingerprint> {
        self.served.as_ref().map(|served| served.leaf)
    }

    /// Returns the end of what was served.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.served.as_ref().map(|served| served.ends_at)
    }

    fn of(handshake: &Handshake, at: Timestamp, before: &[Self]) -> Self {
        let served = handshake.leaf.as_deref().map(|leaf| Arc::new(Served::of(leaf)));
        let before = before.iter().find(|known| known.address == handshake.address);
        let before = before.and_then(|known| known.doubts.as_deref());
        let doubts = handshake.doubts.as_deref();
        let doubts = doubts.map(|doubts| Box::new(Lasting::of(doubts, at, before)));
        let Handshake { address, state, sample, .. } = *handshake;
        Self { address, state, served, doubts, sample }
    }

    fn is(&self, handshake: &Handshake) -> bool {
        self.address == handshake.address
            && self.state == handshake.state
            // How many it is of them is chance, and no news.
            && self.sample.is_some() == handshake.sample.is_some()
            && self.served.as_deref().copied() == handshake.leaf.as_deref().map(Served::of)
            && match (self.doubts.as_deref(), handshake.doubts.as_deref()) {
                (None, None) => true,
                (Some(known), Some(seen)) => known.are(seen),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }
}

impl Lasting {
    fn of(doubts: &Doubts, at: Timestamp, before: Option<&Self>) -> Self {
        let goes_on = |known: Option<&Doubt>, cause: &str| {
            known.cloned().unwrap_or_else(|| Doubt { since: at, cause: cause.into() })
        };
        let known = before.and_then(|before| before.revocation.as_ref());
        let revocation = doubts.revocation.as_deref().map(|cause| goes_on(known, cause));
        let refused_by = doubts.refused_by.iter().map(|Refusal { store, cause }| {
            let mut known = before.iter().flat_map(|before| &before.refused_by);
            let known = known.find(|known| known.store == *store).map(|known| &known.doubt);
            StoreRefuses { store: store.clone(), doubt: goes_on(known, cause) }
        });
        Self { revocation, refused_by: refused_by.collect() }
    }

    /// Returns whether a look tells of the same doubts.
    fn are(&self, doubts: &Doubts) -> bool {
        let known = self.refused_by.iter().map(|refuses| &refuses.store);
        self.revocation.is_some() == doubts.revocation.is_some()
            && known.eq(doubts.refused_by.iter().map(|refusal| &refusal.store))
    }

    /// Returns each doubt, to be changed.
    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Doubt> {
        let refused_by = self.refused_by.iter_mut().map(|refuses| &mut refuses.doubt);
        self.revocation.iter_mut().chain(refused_by)
    }
}

impl Served {
    fn of(leaf: &LeafFacts) -> Self {
        let (ends_at, not_before) = (leaf.ends_at(), leaf.validity.not_before);
        Self { leaf: leaf.fingerprint, ends_at, not_before }
    }
}

impl<A> EndpointState<A> {
    /// Exchanges its addresses.
    pub(super) fn naming<B, E>(
        self,
        name: impl FnMut(A) -> Result<B, E>,
    ) -> Result<EndpointState<B>, E> {
        let Self { since, shown, tlsa } = self;
        let shown = match shown {
            Ok(addresses) => Ok(addresses.into_iter().map(name).collect::<Result<_, E>>()?),
            Err(failure) => Err(failure),
        };
        Ok(EndpointState { since, shown, tlsa })
    }
}

impl EndpointState {
    pub(super) fn unseen() -> Self {
        Self { since: None, shown: Ok(Box::default()), tlsa: None }
    }

    /// Returns whether a look tells nothing that is not known.
    #[must_use]
    pub fn shows(&self, sight: &Result<Sight, Failure>) -> bool {
        let is_shown = match (&self.shown, sight) {
            (Ok(known), Ok(sight)) => {
                known.len() == sight.handshakes.len()
                    && known.iter().zip(&sight.handshakes).all(|(known, seen)| known.is(seen))
            }
            (Err(known), Err(failure)) => **known == *failure,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        let tlsa = sight.as_ref().ok().and_then(|sight| sight.tlsa.as_ref());
        self.since.is_some() && is_shown && tlsa.is_none_or(|set| self.knows(set))
    }

    /// Returns whether TLSA records are those that are known. How long a cache may keep them still
    /// differs from look to look and is no news.
    fn knows(&self, set: &TlsaSet) -> bool {
        let known = self.tlsa.as_ref().map_or(&[][..], |known| &known.set.records);
        *known == *set.records
    }

    pub(super) fn see(&mut self, at: Timestamp, sight: &Result<Sight, Failure>) {
        self.since = Some(at);
        let before = self.shown.as_deref().unwrap_or_default();
        self.shown = match sight {
            Ok(sight) => {
                let seen = sight.handshakes.iter();
                Ok(seen.map(|handshake| AddressState::of(handshake, at, before)).collect())
            }
            Err(failure) => Err(Box::new(failure.clone())),
        };
        // Where they could not be looked up, what was known stays.
        let tlsa = sight.as_ref().ok().and_then(|sight| sight.tlsa.as_ref());
        if let Some(set) = tlsa.filter(|set| !self.knows(set)) {
            let state = TlsaState { set: set.clone(), since: at };
            self.tlsa = (!set.records.is_empty()).then(|| Box::new(state));
        }
    }

    /// Keeps what several addresses serve once.
    pub(super) fn share(all: &mut [Self]) {
        let mut known: Vec<Arc<Served>> = Vec::new();
        let shown = all.iter_mut().filter_map(|endpoint| endpoint.shown.as_mut().ok());
        for own in shown.flatten().filter_map(|address| address.served.as_mut()) {
            match known.iter().find(|other| **other == *own) {
                Some(other) => *own = Arc::clone(other),
                None => known.push(Arc::clone(own)),
            }
        }
    }
}
