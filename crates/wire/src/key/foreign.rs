//! Keys as other programs keep them, turned into the one form in which we do.
//!
//! OpenSSL, Go and Python write private keys as PKCS#8, as PKCS#1 (RSA) or as SEC1 (elliptic
//! curves), in PEM; certbot keeps its account keys as JWK. Keys under a passphrase are refused, as
//! are kinds that no CA of the public web takes.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{EcdsaKeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Curve, KeyError, KeyPair};

/// How long a key's text may be, in bytes: RSA of 16384 bits in PEM has about 13 KiB.
const LONGEST: usize = 64 * 1024;

impl KeyPair {
    /// Reads a private key in PEM (PKCS#8, PKCS#1 or SEC1) and returns it as PKCS#8 DER.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::NotAKey`] for anything that is not a key this release can use.
    pub fn pkcs8_of_pem(pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if pem.len() > LONGEST {
            return Err(KeyError::NotAKey);
        }
        match PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::NotAKey)? {
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                Self::from_pkcs8(der)?;
                Ok(Zeroizing::new(der.to_vec()))
            }
            PrivateKeyDer::Pkcs1(der) => pkcs8_of_rsa(der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(der) => pkcs8_of_sec1(der.secret_sec1_der()),
            _ => Err(KeyError::NotAKey),
        }
    }

    /// Reads a private key that is written as a JWK and returns it as PKCS#8 DER.
    ///
    /// Source: RFC 7517, RFC 7518 sections 6.2 and 6.3.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::NotAKey`] for anything that is not a key this release can use.
    pub fn pkcs8_of_jwk(json: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if json.len() > LONGEST {
            return Err(KeyError::NotAKey);
        }
        match serde_json::from_slice(json).map_err(|_| KeyError::NotAKey)? {
            PrivateJwk::Rsa(rsa) => pkcs8_of_rsa(&rsa.pkcs1()?),
            PrivateJwk::Ec { crv, x, y, d } => {
                let curve = match crv.as_str() {
                    "P-256" => Curve::P256,
                    "P-384" => Curve::P384,
                    _ => return Err(KeyError::NotAKey),
                };
                let point = [&[4][..], &decoded(&x)?, &decoded(&y)?].concat();
                let signing = curve.jws_signing();
                let secret = decoded(&d)?;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, &secret, &point);
                written(&pair.map_err(|_| KeyError::NotAKey)?)
            }
        }
    }
}

/// A private key as a JWK.
#[derive(Deserialize)]
#[serde(tag = "kty")]
enum PrivateJwk {
    #[serde(rename = "RSA")]
    Rsa(RsaJwk),
    #[serde(rename = "EC")]
    Ec { crv: String, x: Number, y: Number, d: Number },
}

/// A number in base64url.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Number(Zeroizing<String>);

impl From<String> for Number {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// The numbers of an RSA key.
#[derive(Deserialize)]
struct RsaJwk {
    n: Number,
    e: Number,
    d: Number,
    p: Number,
    q: Number,
    dp: Number,
    dq: Number,
    qi: Number,
}

impl RsaJwk {
    /// Writes it as an `RSAPrivateKey` (RFC 8017 appendix A.1.2).
    fn pkcs1(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let numbers = [&self.n, &self.e, &self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi];
        let mut content = Zeroizing::new(Vec::with_capacity(LONGEST));
        content.extend_from_slice(&[0x02, 1, 0]);
        for number in numbers {
            let number = decoded(number)?;
            let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
            let digits = number.get(first..).unwrap_or_default();
            // A number whose first bit is set would read as a negative one.
            let zero = digits.first().is_none_or(|byte| *byte & 0x80 != 0);
            content.push(0x02);
            length(&mut content, digits.len() + usize::from(zero))?;
            content.extend(zero.then_some(0));
            content.extend_from_slice(digits);
        }
        let mut der = Zeroizing::new(Vec::with_capacity(content.len() + 8));
        der.push(0x30);
        length(&mut der, content.len())?;
        der.extend_from_slice(&content);
        Ok(der)
    }
}

/// Writes a length as DER has it (X.690 section 8.1.3), for up to 64 KiB.
fn length(der: &mut Vec<u8>, length: usize) -> Result<(), KeyError> {
    let [high, low] = u16::try_from(length).map_err(|_| KeyError::NotAKey)?.to_be_bytes();
    match (high, low) {
        (0, 0..=0x7f) => der.push(low),
        (0, _) => der.extend_from_slice(&[0x81, low]),
        _ => der.extend_from_slice(&[0x82, high, low]),
    }
    Ok(())
}

fn decoded(Number(text): &Number) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = text.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| KeyError::NotAKey)
}

fn pkcs8_of_rsa(pkcs1: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let pair = RsaKeyPair::from_der(pkcs1).map_err(|_| KeyError::NotAKey)?;
    let document: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::NotAKey)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

fn pkcs8_of_sec1(sec1: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let read = |curve: Curve| EcdsaKeyPair::from_private_key_der(curve.jws_signing(), sec1).ok();
    let pair = [Curve::P256, Curve::P384].into_iter().find_map(read);
    written(&pair.ok_or(KeyError::NotAKey)?)
}

fn written(pair: &EcdsaKeyPair) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let document = pair.to_pkcs8v1().map_err(|_| KeyError::NotAKey)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use perennial_core::words::KeyAlgorithm;
    use perennial_peers::openssl;

    use super::*;
    use crate::key::to_pem;

    fn id(pkcs8: &[u8]) -> perennial_core::words::KeyId {
        KeyPair::from_pkcs8(pkcs8).unwrap().id()
    }

    #[test]
    fn keys_as_openssl_writes_them_are_the_same_keys_afterwards() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
            let own = KeyPair::generate(algorithm).unwrap();
            let pem = to_pem(&own);
            // PKCS#1 for RSA, SEC1 for elliptic curves: what openssl calls traditional.
            let traditional = openssl(&["pkey", "-traditional"], pem.as_bytes()).unwrap();
            assert!(!traditional.starts_with(b"-----BEGIN PRIVATE KEY-----"));
            for text in [pem.as_bytes(), &traditional] {
                let read = KeyPair::pkcs8_of_pem(text).unwrap();
                assert_eq!(id(&read), id(&own), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn a_jwk_of_an_elliptic_curve_is_read() {
        // RFC 7517 appendix A.2, the first key.
        let jwk = br#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;
        let read = KeyPair::pkcs8_of_jwk(jwk).unwrap();
        let pair = KeyPair::from_pkcs8(&read).unwrap();
        assert_eq!(pair.jws_algorithm(), "ES256");
        assert!(
            format!("{:?}", pair.jwk()).contains("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4")
        );
    }

    #[test]
    fn what_is_no_key_or_a_sealed_one_is_refused() {
        let sealed =
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for text in [&b""[..], b"key", sealed, &[b'-'; LONGEST + 1]] {
            assert_eq!(KeyPair::pkcs8_of_pem(text).unwrap_err(), KeyError::NotAKey);
            assert_eq!(KeyPair::pkcs8_of_jwk(text).unwrap_err(), KeyError::NotAKey);
        }
        let weak = br#"{"kty":"RSA","n":"3Q","e":"AQAB","d":"AQ","p":"AQ","q":"AQ","dp":"AQ","dq":"AQ","qi":"AQ"}"#;
        assert_eq!(KeyPair::pkcs8_of_jwk(weak).unwrap_err(), KeyError::NotAKey);
    }
}
