//! Key pairs: made, read, told apart, and used.
//!
//! A key exists as PKCS#8 DER (RFC 5958) at rest, and as a [`KeyPair`] while it works. Making one
//! gives the bytes and not the pair, because the caller must make them durable before anything
//! else happens to the key: a key that signed a request and then was lost in a crash is an account
//! or a leaf lost.
//!
//! One pair serves both uses, account key and certificate key, because both need the same three
//! things: a name ([`KeyId`], the SHA-256 of the public key), a JWK thumbprint, and signatures. The
//! signatures differ: JWS wants `r || s` (RFC 7518 section 3.4) where PKCS#10 wants DER (RFC 3279),
//! so a pair of an elliptic curve keeps one signer for each.
//!
//! Ed25519 signs for accounts at CAs of one's own; those of the public web refuse it. Deliberately
//! absent: P-521, which they refuse too.

mod csr;
mod foreign;
mod jwk;

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use perennial_core::words::{KeyAlgorithm, KeyFacts, KeyId};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

pub use jwk::Jwk;

use crate::digest::sha256;

/// A private key at work, with its public half.
///
/// The private parts live in the cryptographic library's memory, which clears them when dropped.
pub struct KeyPair {
    signer: Signer,
    id: KeyId,
    jwk: Jwk,
}

enum Signer {
    Ecdsa { curve: Curve, jws: EcdsaKeyPair, csr: EcdsaKeyPair },
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// The curves that CAs take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

impl Curve {
    const fn jws_signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }

    const fn csr_signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }
}

impl KeyPair {
    /// Makes a key and returns it as PKCS#8 DER, to be made durable before it is used.
    ///
    /// Blocks: RSA takes from tens of milliseconds to seconds.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::Library`] if the cryptographic library has no randomness or memory.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => generate_ecdsa(Curve::P256),
            KeyAlgorithm::EcdsaP384 => generate_ecdsa(Curve::P384),
            KeyAlgorithm::Ed25519 => generate_ed25519(),
            KeyAlgorithm::Rsa2048 => generate_rsa(aws_lc_rs::rsa::KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => generate_rsa(aws_lc_rs::rsa::KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => generate_rsa(aws_lc_rs::rsa::KeySize::Rsa4096),
        }
    }

    /// Reads a key from PKCS#8 DER: ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 bits or more.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::NotAKey`] for anything else.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        for curve in [Curve::P256, Curve::P384] {
            let Ok(jws) = EcdsaKeyPair::from_pkcs8(curve.jws_signing(), der) else { continue };
            let csr = EcdsaKeyPair::from_pkcs8(curve.csr_signing(), der)
                .map_err(|_| KeyError::Library("reading the key a second time"))?;
            let jwk = Jwk::of_point(curve, jws.public_key().as_ref())?;
            let id = key_id(jws.public_key())?;
            return Ok(Self { signer: Signer::Ecdsa { curve, jws, csr }, id, jwk });
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let jwk = Jwk::of_ed25519(pair.public_key().as_ref());
            let id = key_id(pair.public_key())?;
            return Ok(Self { signer: Signer::Ed25519(pair), id, jwk });
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| KeyError::NotAKey)?;
        let jwk = Jwk::of_rsa(pair.public_key().as_ref())?;
        let id = key_id(pair.public_key())?;
        Ok(Self { signer: Signer::Rsa(pair), id, jwk })
    }

    /// Reads a key from PKCS#8 in PEM, as [`to_pem`] writes it.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::NotAKey`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|_| KeyError::NotAKey)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// Returns which key this is.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Returns what core learns of a key.
    #[must_use]
    pub fn facts(&self) -> KeyFacts {
        KeyFacts { id: self.id, thumbprint: self.jwk.thumbprint().into() }
    }

    /// Returns the public key as a JWK.
    #[must_use]
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Returns the `alg` of this key's JWS signatures: `ES256`, `ES384`, `EdDSA` or `RS256`.
    ///
    /// Source: RFC 7518 section 3.1, RFC 8037 section 3.1; RFC 8555 section 6.2 excludes the others.
    #[must_use]
    pub const fn jws_algorithm(&self) -> &'static str {
        match self.signer {
            Signer::Ecdsa { curve: Curve::P256, .. } => "ES256",
            Signer::Ecdsa { curve: Curve::P384, .. } => "ES384",
            Signer::Ed25519(_) => "EdDSA",
            Signer::Rsa(_) => "RS256",
        }
    }

    /// Signs a JWS signing input, in the form that JWS wants.
    ///
    /// Source: RFC 7518 sections 3.3 and 3.4, RFC 8037 section 3.1.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::Library`] if the cryptographic library refuses.
    pub fn sign_jws(&self, signing_input: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.signer {
            Signer::Ecdsa { jws, .. } => sign_ecdsa(jws, signing_input),
            Signer::Ed25519(pair) => sign_ed25519(pair, signing_input),
            Signer::Rsa(pair) => sign_rsa(pair, signing_input),
        }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Writes PKCS#8 DER as the PEM text that servers read.
///
/// Source: RFC 7468 section 10.
#[must_use]
pub fn to_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    const LABEL: &str = "PRIVATE KEY";
    // The right capacity at once: growing would leave copies of the key in freed memory.
    let encoded_len = pkcs8.len().div_ceil(3) * 4;
    let mut encoded = Zeroizing::new(String::with_capacity(encoded_len));
    STANDARD.encode_string(pkcs8, &mut encoded);
    let mut pem = Zeroizing::new(String::with_capacity(encoded_len + encoded_len / 64 + 64));
    pem.push_str("-----BEGIN ");
    pem.push_str(LABEL);
    pem.push_str("-----\n");
    for line in encoded.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END ");
    pem.push_str(LABEL);
    pem.push_str("-----\n");
    pem
}

/// Why a key could not be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no key that this release can use.
    #[error("not a PKCS#8 key of ECDSA P-256, ECDSA P-384, Ed25519 or RSA with at least 2048 bits")]
    NotAKey,
    /// The cryptographic library refused.
    #[error("the cryptographic library failed at {0}")]
    Library(&'static str),
    /// A name cannot be written into a CSR.
    #[error("cannot write a CSR: {0}")]
    Csr(Box<str>),
}

fn generate_ecdsa(curve: Curve) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError::Library("making an ECDSA key");
    let pair = EcdsaKeyPair::generate(curve.jws_signing()).map_err(failed)?;
    let document = pair.to_pkcs8v1().map_err(failed)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

fn generate_ed25519() -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError::Library("making an Ed25519 key");
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let document = pair.to_pkcs8v1().map_err(failed)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

fn generate_rsa(size: aws_lc_rs::rsa::KeySize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError::Library("making an RSA key");
    let pair = RsaKeyPair::generate(size).map_err(failed)?;
    let document: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

fn key_id(public: &impl AsDer<PublicKeyX509Der<'static>>) -> Result<KeyId, KeyError> {
    let spki = public.as_der().map_err(|_| KeyError::Library("writing the public key"))?;
    Ok(KeyId(sha256(spki.as_ref())))
}

fn sign_ecdsa(pair: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature = pair.sign(&SystemRandom::new(), message);
    Ok(signature.map_err(|_| KeyError::Library("signing with ECDSA"))?.as_ref().to_vec())
}

fn sign_ed25519(pair: &Ed25519KeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature =
        pair.try_sign(message).map_err(|_| KeyError::Library("signing with Ed25519"))?;
    Ok(signature.as_ref().to_vec())
}

fn sign_rsa(pair: &RsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| KeyError::Library("signing with RSA"))?;
    Ok(signature)
}

/// Writes bytes as JOSE writes them: base64url without padding (RFC 7515 section 2).
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey, VerificationAlgorithm,
    };

    use super::*;

    /// Every algorithm but the slow sizes of RSA, which differ in nothing but the size.
    const ALGORITHMS: [KeyAlgorithm; 4] = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::Rsa2048,
    ];

    fn public_bytes(pair: &KeyPair) -> Vec<u8> {
        match &pair.signer {
            Signer::Ecdsa { jws, .. } => jws.public_key().as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Signer::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    #[test]
    fn a_key_read_again_is_the_same_key() {
        for algorithm in ALGORITHMS {
            let der = KeyPair::generate(algorithm).unwrap();
            let first = KeyPair::from_pkcs8(&der).unwrap();
            let second = KeyPair::from_pkcs8(&der).unwrap();
            assert_eq!(first.facts(), second.facts(), "{algorithm:?}");
        }
    }

    #[test]
    fn two_keys_are_two() {
        let make = || KeyPair::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let (a, b) = (KeyPair::from_pkcs8(&make()).unwrap(), KeyPair::from_pkcs8(&make()).unwrap());
        assert_ne!(a.id(), b.id());
        assert_ne!(a.facts().thumbprint, b.facts().thumbprint);
    }

    #[test]
    fn jws_signatures_verify_in_the_form_jws_wants() {
        let verifiers: [(&str, &'static dyn VerificationAlgorithm, usize); 4] = [
            ("ES256", &ECDSA_P256_SHA256_FIXED, 64),
            ("ES384", &ECDSA_P384_SHA384_FIXED, 96),
            ("EdDSA", &ED25519, 64),
            ("RS256", &RSA_PKCS1_2048_8192_SHA256, 256),
        ];
        for (algorithm, (name, verifier, length)) in ALGORITHMS.into_iter().zip(verifiers) {
            let pair = KeyPair::from_pkcs8(&KeyPair::generate(algorithm).unwrap()).unwrap();
            let signature = pair.sign_jws(b"signing input").unwrap();
            assert_eq!(pair.jws_algorithm(), name);
            assert_eq!(signature.len(), length, "{name}");
            UnparsedPublicKey::new(verifier, public_bytes(&pair))
                .verify(b"signing input", &signature)
                .unwrap();
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bytes in [&b""[..], b"\x30\x00", b"-----BEGIN PRIVATE KEY-----", &[0xff; 64]] {
            assert_eq!(KeyPair::from_pkcs8(bytes).unwrap_err(), KeyError::NotAKey);
        }
    }

    #[test]
    fn pem_holds_the_same_bytes_in_lines_of_64() {
        let der = KeyPair::generate(KeyAlgorithm::Rsa2048).unwrap();
        let pem = to_pem(&der);
        assert!(pem.lines().all(|line| line.len() <= 64));
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        assert_eq!(STANDARD.decode(body).unwrap(), *der);
        assert_eq!(KeyPair::from_pem(&pem).unwrap().id(), KeyPair::from_pkcs8(&der).unwrap().id());
        let parsed = rcgen::KeyPair::from_pem(&pem).unwrap();
        assert_eq!(
            KeyPair::from_pkcs8(parsed.serialized_der()).unwrap().id(),
            KeyPair::from_pkcs8(&der).unwrap().id()
        );
    }

    #[test]
    fn the_id_is_the_digest_of_the_public_key_as_certificates_carry_it() {
        use rcgen::PublicKeyData as _;
        for algorithm in ALGORITHMS {
            let pair = KeyPair::from_pkcs8(&KeyPair::generate(algorithm).unwrap()).unwrap();
            let spki = csr::CsrKey(&pair).subject_public_key_info();
            assert_eq!(KeyId(sha256(&spki)), pair.id(), "{algorithm:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let der = KeyPair::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let pair = KeyPair::from_pkcs8(&der).unwrap();
        assert_eq!(format!("{pair:?}"), format!("KeyPair {{ id: {}, .. }}", pair.id()));
    }
}
