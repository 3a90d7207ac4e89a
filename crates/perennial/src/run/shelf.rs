//! The store's vault as the adapters' shelf.

use std::sync::Arc;

use perennial_core::words::{BundleId, Fingerprint, Slot};
use perennial_store::{StoreError, Vault};
use perennial_wire::shelf::{Bundle, Shelf, ShelfError};
use zeroize::Zeroizing;

/// The vault, put behind [`Shelf`].
#[derive(Clone)]
pub(super) struct VaultShelf(pub(super) Arc<dyn Vault>);

impl Shelf for VaultShelf {
    fn key(&self, slot: &Slot) -> Result<Zeroizing<Vec<u8>>, ShelfError> {
        let key = self.0.key(slot).map_err(told)?;
        key.ok_or_else(|| absent(format!("read the key of slot {slot}")))
    }

    fn keep_chain(&self, leaf: Fingerprint, pem: &[u8]) -> Result<(), ShelfError> {
        self.0.put_chain(leaf, pem).map_err(told)
    }

    fn bundle(&self, id: BundleId) -> Result<Bundle, ShelfError> {
        let bundle = self.0.bundle(id).map_err(told)?;
        let bundle = bundle.ok_or_else(|| absent(format!("read the bundle {id}")))?;
        Ok(Bundle {
            leaf_pem: bundle.leaf_pem,
            chain_pem: bundle.chain_pem,
            key_pem: bundle.key_pem,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn told(error: StoreError) -> ShelfError {
    let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    ShelfError { attempted: error.to_string(), cause }
}

fn absent(attempted: String) -> ShelfError {
    ShelfError { attempted, cause: "the store has none".to_owned() }
}
