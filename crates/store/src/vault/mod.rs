//! Keys, chains and bundles: bytes that records name.
//!
//! Bytes become durable before the record that names them, and a name never stands for two
//! different keys. Keys lie under slots chosen beforehand and are made once: putting a key into a
//! taken slot gives back the one that is there, so that an act repeated after a crash ends up with
//! the same key. Chains lie under their leaf's fingerprint, bundles under the SHA-256 of their own
//! bytes; both may be put again and again.
//!
//! Everything can be listed, so that what no record names any more can be found and dropped.

mod bundle;
mod files;
mod seal;
mod secret;
mod slot_name;

use perennial_core::words::{BundleId, Fingerprint, Slot};
use zeroize::Zeroizing;

pub use self::bundle::{Bundle, join_bundle};
pub use self::files::FileVault;
pub use self::secret::{Secret, SecretState, Unseal};
use crate::error::StoreError;

/// Keeps keys, chains and bundles. See the module's prose for what an implementation promises.
///
/// Calls block for as long as a file is written and synced.
pub trait Vault: Send + Sync {
    /// Puts a key (PKCS#8 DER) into a slot and returns what the slot holds afterwards: this key,
    /// or the one that was there before.
    ///
    /// # Errors
    ///
    /// Returns why it is not durable; nothing is in the slot then that was not there before.
    fn put_key(&self, slot: &Slot, pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// Returns the key in a slot.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read.
    fn key(&self, slot: &Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Removes the key in a slot; an empty slot is fine.
    ///
    /// # Errors
    ///
    /// Returns why it may still be there.
    fn drop_key(&self, slot: &Slot) -> Result<(), StoreError>;

    /// Returns the slots that hold keys, sorted.
    ///
    /// # Errors
    ///
    /// Returns why they cannot be listed.
    fn keys(&self) -> Result<Vec<Slot>, StoreError>;

    /// Keeps a chain (PEM, leaf first) under its leaf's fingerprint, replacing an earlier one.
    ///
    /// # Errors
    ///
    /// Returns why it is not durable.
    fn put_chain(&self, leaf: Fingerprint, pem: &[u8]) -> Result<(), StoreError>;

    /// Returns a chain.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read.
    fn chain(&self, leaf: Fingerprint) -> Result<Option<Vec<u8>>, StoreError>;

    /// Removes a chain; an absent one is fine.
    ///
    /// # Errors
    ///
    /// Returns why it may still be there.
    fn drop_chain(&self, leaf: Fingerprint) -> Result<(), StoreError>;

    /// Returns the leaves whose chains are kept, sorted.
    ///
    /// # Errors
    ///
    /// Returns why they cannot be listed.
    fn chains(&self) -> Result<Vec<Fingerprint>, StoreError>;

    /// Keeps a bundle and returns its id.
    ///
    /// # Errors
    ///
    /// Returns why it is not durable.
    fn put_bundle(&self, bundle: &Bundle) -> Result<BundleId, StoreError>;

    /// Returns a bundle.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read.
    fn bundle(&self, id: BundleId) -> Result<Option<Bundle>, StoreError>;

    /// Removes a bundle; an absent one is fine.
    ///
    /// # Errors
    ///
    /// Returns why it may still be there.
    fn drop_bundle(&self, id: BundleId) -> Result<(), StoreError>;

    /// Returns the bundles that are kept, sorted.
    ///
    /// # Errors
    ///
    /// Returns why they cannot be listed.
    fn bundles(&self) -> Result<Vec<BundleId>, StoreError>;
}
