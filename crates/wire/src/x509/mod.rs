//! Reading leaves: from a chain in PEM or DER to [`LeafFacts`].
//!
//! Every byte here comes from a CA, a server or a file, and is hostile: sizes and numbers are bounded
//! before anything is parsed, texts meant for people lose their control characters, and a date that
//! the calendar cannot hold becomes the calendar's end. What a certificate says is reported, not
//! judged: judging is core's, and whether a client would accept a chain is [`crate::tls`]'s.

mod read;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use perennial_core::words::{Fingerprint, KeyId, KeyKind, LeafFacts};
pub use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::digest::sha256;

/// How many certificates a chain may have. The longest served on the public web have five.
pub const MAX_CERTIFICATES: usize = 16;

/// How long one certificate may be, in bytes. A leaf of a hundred long names has about 8 KiB.
pub const MAX_CERTIFICATE_LEN: usize = 64 * 1024;

/// How long a chain in PEM may be, in bytes, with all the text around the certificates.
pub const MAX_PEM_LEN: usize = 512 * 1024;

/// Why a chain could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// There is no certificate in it.
    #[error("there is no certificate in it")]
    Empty,
    /// A bound is passed.
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The PEM is broken.
    #[error("the PEM is broken: {0}")]
    Pem(String),
    /// A certificate is no DER that RFC 5280 allows.
    #[error("certificate {number} of the chain is malformed: {cause}")]
    Malformed {
        /// Its place in the chain, from 1.
        number: usize,
        /// What is wrong.
        cause: String,
    },
    /// Its first moment is after its last.
    #[error("certificate {number} of the chain ends before it begins")]
    Validity {
        /// Its place in the chain, from 1.
        number: usize,
    },
}

/// A chain as delivered or served: the leaf first.
///
/// Invariant: holds at least one certificate, at most [`MAX_CERTIFICATES`], each at most
/// [`MAX_CERTIFICATE_LEN`] bytes. Nothing is said about whether they parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    leaf: CertificateDer<'static>,
    rest: Vec<CertificateDer<'static>>,
}

impl Chain {
    /// Reads the certificates of a PEM text, in order; other PEM blocks and text are passed over.
    ///
    /// # Errors
    ///
    /// Returns what is broken, missing or too large.
    pub fn from_pem(pem: &[u8]) -> Result<Self, X509Error> {
        if pem.len() > MAX_PEM_LEN {
            return Err(X509Error::TooLarge { what: "the PEM text", limit: MAX_PEM_LEN });
        }
        let certificates = CertificateDer::pem_slice_iter(pem)
            .take(MAX_CERTIFICATES + 1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| X509Error::Pem(error.to_string()))?;
        Self::from_der(certificates)
    }

    /// Takes certificates in DER, the leaf first.
    ///
    /// # Errors
    ///
    /// Returns which bound is passed.
    pub fn from_der(certificates: Vec<CertificateDer<'static>>) -> Result<Self, X509Error> {
        if certificates.len() > MAX_CERTIFICATES {
            let what = "the number of certificates";
            return Err(X509Error::TooLarge { what, limit: MAX_CERTIFICATES });
        }
        if certificates.iter().any(|der| der.len() > MAX_CERTIFICATE_LEN) {
            let what = "a certificate";
            return Err(X509Error::TooLarge { what, limit: MAX_CERTIFICATE_LEN });
        }
        let mut certificates = certificates.into_iter();
        let leaf = certificates.next().ok_or(X509Error::Empty)?;
        Ok(Self { leaf, rest: certificates.collect() })
    }

    /// Returns the leaf.
    #[must_use]
    pub const fn leaf(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    /// Returns the others, in the order in which they came.
    #[must_use]
    pub fn rest(&self) -> &[CertificateDer<'static>] {
        &self.rest
    }

    /// Returns all of them, the leaf first.
    pub fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        std::iter::once(&self.leaf).chain(&self.rest)
    }

    /// Returns the leaf's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.leaf)
    }

    /// Reads what the leaf says of itself, and what holds of the chain.
    ///
    /// # Errors
    ///
    /// Returns which certificate cannot be read, and why.
    pub fn facts(&self) -> Result<LeafFacts, X509Error> {
        read::facts(self)
    }

    /// Writes the whole chain in PEM, the leaf first.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.iter().map(|der| to_pem(der)).collect()
    }

    /// Writes the leaf in PEM.
    #[must_use]
    pub fn leaf_pem(&self) -> String {
        to_pem(&self.leaf)
    }

    /// Writes the chain without the leaf in PEM; empty if the leaf came alone.
    #[must_use]
    pub fn rest_pem(&self) -> String {
        self.rest.iter().map(|der| to_pem(der)).collect()
    }
}

/// Returns SHA-256 of a certificate's DER.
#[must_use]
pub fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint(sha256(der))
}

/// Returns SHA-256 of a public key's SPKI in DER.
#[must_use]
pub fn key_id(spki: &[u8]) -> KeyId {
    KeyId(sha256(spki))
}

/// Returns what kind of key an SPKI in DER holds.
///
/// # Errors
///
/// Returns why it cannot be read.
pub fn key_kind(spki: &[u8]) -> Result<KeyKind, X509Error> {
    read::key_kind(spki)
}

/// Returns whether a leaf certifies the key with this SPKI.
///
/// # Errors
///
/// Returns why the leaf cannot be read.
pub fn key_matches(leaf_der: &[u8], spki: &[u8]) -> Result<bool, X509Error> {
    read::spki(leaf_der).map(|own| own == spki)
}

/// Returns the common name (or, without one, the organisation) of a certificate's subject, fit to
/// be shown; empty if it has neither.
///
/// # Errors
///
/// Returns why the certificate cannot be read.
pub fn subject_name(der: &[u8]) -> Result<String, X509Error> {
    read::subject_name(der)
}

/// Returns whether issuer and subject of a certificate are the same name, as with roots.
///
/// # Errors
///
/// Returns why the certificate cannot be read.
pub fn is_self_issued(der: &[u8]) -> Result<bool, X509Error> {
    read::is_self_issued(der)
}

/// Returns the last moment of a certificate.
///
/// # Errors
///
/// Returns why the certificate cannot be read.
pub fn not_after(der: &[u8]) -> Result<Timestamp, X509Error> {
    read::not_after(der)
}

/// Returns where a certificate's CA publishes the lists that it would be on if it were revoked:
/// addresses for plain HTTP, in its own order.
///
/// Source: RFC 5280 section 4.2.1.13.
///
/// # Errors
///
/// Returns why the certificate cannot be read.
pub fn crl_urls(der: &[u8]) -> Result<Vec<String>, X509Error> {
    read::crl_urls(der)
}

/// Writes one certificate in PEM (RFC 7468).
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 64);
    out.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{line}");
        rest = tail;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests;
