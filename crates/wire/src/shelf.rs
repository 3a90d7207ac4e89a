//! The shelf: how the hands reach keys, chains and bundles without knowing the store.

use perennial_core::words::{BundleId, Fingerprint, Slot};
use zeroize::Zeroizing;

/// Keys, chains and bundles, as adapters need them. The binary puts the store behind it.
///
/// Calls are short and blocking (a file or a row); adapters may call them from async code.
pub trait Shelf: Send + Sync {
    /// Returns the PKCS#8 DER of the key in a slot.
    ///
    /// # Errors
    ///
    /// Returns why there is none: never made, unreadable, or sealed under another secret.
    fn key(&self, slot: &Slot) -> Result<Zeroizing<Vec<u8>>, ShelfError>;

    /// Makes a fetched chain durable (PEM, leaf first) under its leaf's fingerprint.
    ///
    /// # Errors
    ///
    /// Returns why it could not be written.
    fn keep_chain(&self, leaf: Fingerprint, pem: &[u8]) -> Result<(), ShelfError>;

    /// Returns a bundle.
    ///
    /// # Errors
    ///
    /// Returns why there is none.
    fn bundle(&self, id: BundleId) -> Result<Bundle, ShelfError>;
}

/// Leaf, chain and key, installed as one value.
#[derive(Debug)]
pub struct Bundle {
    /// The leaf in PEM.
    pub leaf_pem: String,
    /// The rest of the chain in PEM, in order, without the leaf.
    pub chain_pem: String,
    /// The key in PKCS#8 PEM.
    pub key_pem: Zeroizing<String>,
}

/// Why the shelf could not serve.
#[derive(Debug, thiserror::Error)]
#[error("{attempted}: {cause}")]
pub struct ShelfError {
    /// What was attempted on what.
    pub attempted: String,
    /// Why it failed.
    pub cause: String,
}
