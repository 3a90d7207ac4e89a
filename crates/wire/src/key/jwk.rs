//! Public keys as JSON Web Keys, and their thumbprints.
//!
//! Source: RFC 7517, RFC 7518 section 6, RFC 7638, RFC 8037 section 2.

use serde::Serialize;

use super::{Curve, KeyError, base64url};
use crate::digest::sha256;

/// A public key as a JWK with its required members only, in lexicographic order: serialised, it is
/// exactly the input of the thumbprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Jwk {
    /// A point on a curve.
    Ec {
        /// `P-256` or `P-384`.
        crv: &'static str,
        /// `EC`.
        kty: &'static str,
        /// The first coordinate.
        x: String,
        /// The second coordinate.
        y: String,
    },
    /// A key on an Edwards curve.
    Okp {
        /// `Ed25519`.
        crv: &'static str,
        /// `OKP`.
        kty: &'static str,
        /// The public key.
        x: String,
    },
    /// An RSA key.
    Rsa {
        /// The exponent.
        e: String,
        /// `RSA`.
        kty: &'static str,
        /// The modulus.
        n: String,
    },
}

impl Jwk {
    /// Makes a JWK of an uncompressed point (SEC 1 section 2.3.3).
    pub(super) fn of_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let (crv, size) = match curve {
            Curve::P256 => ("P-256", 32),
            Curve::P384 => ("P-384", 48),
        };
        let Some((4, coordinates)) = point.split_first() else {
            return Err(KeyError::Library("writing the public point"));
        };
        let (x, y) = coordinates
            .split_at_checked(size)
            .filter(|(_, y)| y.len() == size)
            .ok_or(KeyError::Library("writing the public point"))?;
        Ok(Self::Ec { crv, kty: "EC", x: base64url(x), y: base64url(y) })
    }

    /// Makes a JWK of a public key of Ed25519 (RFC 8032 section 5.1.5).
    pub(super) fn of_ed25519(public: &[u8]) -> Self {
        Self::Okp { crv: "Ed25519", kty: "OKP", x: base64url(public) }
    }

    /// Makes a JWK of an `RSAPublicKey` in DER (RFC 8017 appendix A.1.1).
    pub(super) fn of_rsa(der: &[u8]) -> Result<Self, KeyError> {
        let unreadable = KeyError::Library("writing the public modulus");
        let numbers = || {
            let (0x30, sequence, []) = tlv(der)? else { return None };
            let (0x02, n, rest) = tlv(sequence)? else { return None };
            let (0x02, e, []) = tlv(rest)? else { return None };
            Some((unsigned(n), unsigned(e)))
        };
        let (n, e) = numbers().ok_or(unreadable)?;
        Ok(Self::Rsa { e: base64url(e), kty: "RSA", n: base64url(n) })
    }

    /// Returns the thumbprint in base64url, as key authorizations contain it.
    ///
    //= https://www.rfc-editor.org/rfc/rfc7638#section-3
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // Every member is base64url or a constant, so nothing needs escaping.
        let canonical = match self {
            Self::Ec { crv, kty, x, y } => {
                format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#)
            }
            Self::Okp { crv, kty, x } => format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}"}}"#),
            Self::Rsa { e, kty, n } => format!(r#"{{"e":"{e}","kty":"{kty}","n":"{n}"}}"#),
        };
        base64url(&sha256(canonical.as_bytes()))
    }
}

/// Splits one DER element off: its tag, its content, what follows it.
fn tlv(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// Removes the zero that DER puts before a number whose first bit is set.
fn unsigned(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyPair;
    use perennial_core::words::KeyAlgorithm;

    #[test]
    fn the_example_of_rfc_7638_has_its_thumbprint() {
        // RFC 7638 section 3.1.
        let jwk = Jwk::Rsa {
            e: "AQAB".into(),
            kty: "RSA",
            n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t\
                Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-\
                65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qN\
                Lyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8aw\
                apJzKnqDKgw"
                .into(),
        };
        assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn serialised_it_is_the_input_of_the_thumbprint() {
        for algorithm in [
            KeyAlgorithm::EcdsaP256,
            KeyAlgorithm::EcdsaP384,
            KeyAlgorithm::Ed25519,
            KeyAlgorithm::Rsa2048,
        ] {
            let pair = KeyPair::from_pkcs8(&KeyPair::generate(algorithm).unwrap()).unwrap();
            let json = serde_json::to_string(pair.jwk()).unwrap();
            assert_eq!(base64url(&sha256(json.as_bytes())), pair.jwk().thumbprint());
        }
    }

    #[test]
    fn the_example_of_rfc_8037_has_its_thumbprint() {
        // RFC 8037 appendix A.3.
        let jwk = Jwk::Okp {
            crv: "Ed25519",
            kty: "OKP",
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
        };
        assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn numbers_of_a_real_key_have_their_sizes() {
        let pair = KeyPair::from_pkcs8(&KeyPair::generate(KeyAlgorithm::Rsa2048).unwrap()).unwrap();
        let Jwk::Rsa { e, n, .. } = pair.jwk() else { panic!("not RSA") };
        assert_eq!((e.as_str(), n.len()), ("AQAB", 342));
    }

    #[test]
    fn der_that_lies_about_lengths_is_refused() {
        for der in [&b""[..], b"\x30", b"\x30\x05\x02\x01", b"\x30\x84\x00\x00\x00\x01\x00"] {
            assert!(Jwk::of_rsa(der).is_err());
        }
    }
}
