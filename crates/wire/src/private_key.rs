//! Which key a file holds, whoever wrote it.

use aws_lc_rs::digest;
use perennial_core::words::KeyId;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

/// Why a key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PrivateKeyError {
    /// There is no key in the text, or it is broken.
    #[error("no private key can be read: {0}")]
    Pem(rustls::pki_types::pem::Error),
    /// A key of a kind that no server here could use, or an inconsistent one.
    #[error("the private key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The public half cannot be told.
    #[error("the private key does not tell its public half")]
    NoPublicHalf,
}

/// Returns which key a PEM text holds: PKCS#8, PKCS#1 or SEC1, without a passphrase.
///
/// # Errors
///
/// Returns why there is none.
pub fn key_id(pem: &[u8]) -> Result<KeyId, PrivateKeyError> {
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(PrivateKeyError::Pem)?;
    let key = any_supported_type(&der)?;
    let spki = key.public_key().ok_or(PrivateKeyError::NoPublicHalf)?;
    let digest = digest::digest(&digest::SHA256, &spki);
    let bytes = <[u8; 32]>::try_from(digest.as_ref()).map_err(|_| PrivateKeyError::NoPublicHalf)?;
    Ok(KeyId(bytes))
}
