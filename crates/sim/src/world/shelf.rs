//! Keys, chains and bundles: what the daemon's own disk holds. What is on it survives a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_core::words::{
    BundleId, Fingerprint, KeyAlgorithm, KeyFacts, KeyId, KeyKind, LeafFacts, Slot,
};

/// A leaf with its key, as it is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Which.
    pub id: BundleId,
    /// The leaf.
    pub leaf: Arc<LeafFacts>,
    /// The key beside it.
    pub key: KeyId,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// The keys by slot.
    pub keys: BTreeMap<Slot, KeyFacts>,
    /// What kind of key each is.
    pub kinds: BTreeMap<KeyId, KeyKind>,
    /// The chains by leaf.
    pub chains: BTreeMap<Fingerprint, Arc<LeafFacts>>,
    /// The bundles.
    pub bundles: BTreeMap<BundleId, Bundle>,
    made: u64,
}

impl Shelf {
    /// Makes the key of a slot, or returns the one that is there.
    pub fn make_key(&mut self, slot: &Slot, algorithm: KeyAlgorithm) -> KeyFacts {
        if let Some(known) = self.keys.get(slot) {
            return known.clone();
        }
        self.made += 1;
        let mut digest = [0; 32];
        for (place, byte) in digest.iter_mut().zip(self.made.to_be_bytes()) {
            *place = byte;
        }
        let thumbprint = format!("thumbprint-{}", self.made).into();
        let facts = KeyFacts { id: KeyId(digest), thumbprint };
        self.kinds.insert(facts.id, algorithm.kind());
        self.keys.insert(slot.clone(), facts.clone());
        facts
    }

    /// Joins a chain and a key.
    ///
    /// # Errors
    ///
    /// Returns what is missing, or that the two do not belong together.
    pub fn keep(&mut self, leaf: Fingerprint, slot: &Slot) -> Result<BundleId, &'static str> {
        let chain = self.chains.get(&leaf).ok_or("the chain is not in the store")?;
        let key = self.keys.get(slot).ok_or("the slot has no key")?;
        if chain.key != key.id {
            return Err("the leaf certifies another key");
        }
        let mut digest = leaf.0;
        digest.reverse();
        let id = BundleId(digest);
        self.bundles.insert(id, Bundle { id, leaf: chain.clone(), key: key.id });
        Ok(id)
    }
}
