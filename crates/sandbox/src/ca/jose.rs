//! Signed requests: JWS, JWK and external account bindings.
//!
//! Source: RFC 7515 (flattened JSON), RFC 7517, RFC 7638, RFC 8555 sections 6.2 and 7.3.4.

use aws_lc_rs::{digest, hmac, signature};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use perennial_core::words::Problem;
use perennial_sim::model::ca::problem;
use serde::Deserialize;
use serde_json::Value;

/// A signed request whose signature has not been checked.
pub(super) struct Jws {
    pub(super) protected: Protected,
    pub(super) payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

/// The protected header.
#[derive(Debug, Deserialize)]
pub(super) struct Protected {
    pub(super) alg: String,
    pub(super) nonce: Option<String>,
    pub(super) url: String,
    pub(super) kid: Option<String>,
    pub(super) jwk: Option<Value>,
}

#[derive(Deserialize)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
}

/// The algorithms that are accepted.
pub(super) const ALGORITHMS: [&str; 4] = ["ES256", "ES384", "RS256", "EdDSA"];

pub(super) fn malformed(detail: impl Into<Box<str>>) -> Problem {
    problem(400, "malformed", detail)
}

/// Decodes base64url.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Encodes base64url.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

/// Returns base64url of a text's SHA-256: what dns-01 wants to see.
pub(super) fn digest_of(text: &str) -> String {
    encode(sha256(text.as_bytes()))
}

impl Jws {
    /// Reads a request's body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let flattened: Flattened =
            serde_json::from_slice(body).map_err(|_| malformed("Parse error reading JWS"))?;
        Self::of(&flattened)
    }

    fn of(flattened: &Flattened) -> Result<Self, Problem> {
        let bad = |what: &str| malformed(format!("Parse error reading JWS: {what}"));
        let protected = decode(&flattened.protected).ok_or_else(|| bad("protected"))?;
        let protected = serde_json::from_slice(&protected).map_err(|_| bad("protected"))?;
        let payload = decode(&flattened.payload).ok_or_else(|| bad("payload"))?;
        let signature = decode(&flattened.signature).ok_or_else(|| bad("signature"))?;
        let signed = format!("{}.{}", flattened.protected, flattened.payload);
        Ok(Self { protected, payload, signed, signature })
    }

    /// Checks the signature.
    pub(super) fn verify(&self, key: &Jwk) -> Result<(), Problem> {
        let alg = self.protected.alg.as_str();
        if !ALGORITHMS.contains(&alg) {
            let detail = format!("JWS signature header contains unsupported algorithm \"{alg}\"");
            return Err(problem(400, "badSignatureAlgorithm", detail));
        }
        if key.algorithm() != alg {
            return Err(malformed("the JWS algorithm does not fit the key"));
        }
        if key.verifies(self.signed.as_bytes(), &self.signature) {
            return Ok(());
        }
        Err(malformed("JWS verification error"))
    }

    /// Returns the payload, or nothing for a POST-as-GET.
    pub(super) fn json<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| malformed(format!("Error unmarshaling JSON: {error}")))
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Jwk {
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Ed25519(Vec<u8>),
}

impl Jwk {
    /// Reads a key.
    pub(super) fn parse(value: &Value) -> Result<Self, Problem> {
        let member = |name: &str| value.get(name).and_then(Value::as_str);
        let bytes = |name: &str| member(name).and_then(decode);
        let key = match (member("kty"), member("crv")) {
            (Some("EC"), Some("P-256")) => point(bytes("x"), bytes("y"), 32).map(Self::P256),
            (Some("EC"), Some("P-384")) => point(bytes("x"), bytes("y"), 48).map(Self::P384),
            (Some("OKP"), Some("Ed25519")) => {
                bytes("x").filter(|key| key.len() == 32).map(Self::Ed25519)
            }
            (Some("RSA"), None) => bytes("n")
                .zip(bytes("e"))
                .map(|(modulus, exponent)| Self::Rsa { modulus, exponent }),
            _ => None,
        };
        key.ok_or_else(|| problem(400, "badPublicKey", "unknown or malformed JWK"))
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Rsa { .. } => "RS256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        let simple = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            signature::UnparsedPublicKey::new(algorithm, key).verify(message, tag).is_ok()
        };
        match self {
            Self::P256(point) => simple(&signature::ECDSA_P256_SHA256_FIXED, point),
            Self::P384(point) => simple(&signature::ECDSA_P384_SHA384_FIXED, point),
            Self::Ed25519(key) => simple(&signature::ED25519, key),
            Self::Rsa { modulus: n, exponent: e } => signature::RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, tag)
                .is_ok(),
        }
    }

    /// Returns base64url of the thumbprint.
    ///
    /// Source: RFC 7638 section 3: the members in this order, without spaces.
    pub(super) fn thumbprint(&self) -> String {
        let ec = |curve: &str, point: &[u8]| {
            let coordinates = point.get(1..).unwrap_or_default();
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
        };
        digest_of(&match self {
            Self::P256(point) => ec("P-256", point),
            Self::P384(point) => ec("P-384", point),
            Self::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(exponent), encode(modulus))
            }
            Self::Ed25519(key) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(key))
            }
        })
    }

    /// Returns whether a certificate's key is this one, as X.509 writes it.
    pub(super) fn is_spki(&self, subject_public_key: &[u8]) -> bool {
        match self {
            Self::P256(key) | Self::P384(key) | Self::Ed25519(key) => key == subject_public_key,
            // Inside the DER of an RSAPublicKey the modulus stands whole.
            Self::Rsa { modulus, .. } => {
                subject_public_key.windows(modulus.len().max(1)).any(|window| window == modulus)
            }
        }
    }
}

fn point(x: Option<Vec<u8>>, y: Option<Vec<u8>>, size: usize) -> Option<Vec<u8>> {
    let (x, y) = x.zip(y)?;
    (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}

/// Checks an external account binding; returns the external account's key id.
///
/// `mac_key` finds the key of a key id.
///
/// Source: RFC 8555 section 7.3.4.
pub(super) fn check_binding(
    binding: &Value,
    account: &Value,
    url: &str,
    mac_key: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Box<str>, Problem> {
    let bad = |what: &str| malformed(format!("externalAccountBinding: {what}"));
    let flattened: Flattened =
        Flattened::deserialize(binding).map_err(|_| bad("not a flattened JWS"))?;
    let jws = Jws::of(&flattened)?;
    let kid = jws.protected.kid.as_deref().ok_or_else(|| bad("no kid"))?;
    if jws.protected.nonce.is_some() {
        return Err(bad("a nonce is not allowed"));
    }
    if jws.protected.url != url {
        return Err(bad("its url is not newAccount's"));
    }
    if serde_json::from_slice::<Value>(&jws.payload).ok().as_ref() != Some(account) {
        return Err(bad("its payload is not the account's key"));
    }
    let algorithm = match jws.protected.alg.as_str() {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => return Err(bad("its algorithm is not HS256, HS384 or HS512")),
    };
    let refused = || problem(403, "unauthorized", "The external account binding is not valid");
    let key = mac_key(kid).ok_or_else(refused)?;
    hmac::verify(&hmac::Key::new(algorithm, &key), jws.signed.as_bytes(), &jws.signature)
        .map_err(|_| refused())?;
    Ok(kid.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_that_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t\
                 Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-\
                 65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qN\
                 Lyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa\
                 pJzKnqDKgw";
        let jwk = serde_json::json!({"kty": "RSA", "e": "AQAB", "n": n});
        let key = Jwk::parse(&jwk).ok().unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    /// Signs `payload` and checks that the key verifies it, and nothing else.
    fn check(jwk: &Value, alg: &str, sign: impl Fn(&[u8]) -> Vec<u8>) {
        let protected = serde_json::json!({ "alg": alg, "url": "https://ca.test/" }).to_string();
        let signed = format!("{}.{}", encode(protected), encode("payload"));
        let signature = encode(sign(signed.as_bytes()));
        let (protected, payload) = signed.split_once('.').unwrap();
        let jws = |payload: &str| {
            let body = serde_json::json!({
                "protected": protected, "payload": payload, "signature": signature,
            });
            Jws::parse(body.to_string().as_bytes()).ok().unwrap()
        };
        let key = Jwk::parse(jwk).ok().unwrap();
        assert!(jws(payload).verify(&key).is_ok(), "{alg}");
        assert!(jws(&encode("another")).verify(&key).is_err(), "{alg}");
    }

    #[test]
    fn each_algorithm_verifies_what_was_signed_and_nothing_else() {
        use aws_lc_rs::rand::SystemRandom;
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
            Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
        };
        let random = SystemRandom::new();
        let curves = [
            ("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            ("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        ];
        for (alg, curve, algorithm) in curves {
            let key = EcdsaKeyPair::generate(algorithm).unwrap();
            let (x, y) =
                key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
            let jwk = serde_json::json!({
                "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y),
            });
            check(&jwk, alg, |message| key.sign(&random, message).unwrap().as_ref().to_vec());
        }
        let key = Ed25519KeyPair::generate().unwrap();
        let x = encode(key.public_key());
        let jwk = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        check(&jwk, "EdDSA", |message| key.sign(message).as_ref().to_vec());
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = key.public_key();
        let number = |bytes: &[u8]| encode(bytes);
        let jwk = serde_json::json!({
            "kty": "RSA",
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
        });
        check(&jwk, "RS256", |message| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
            signature
        });
    }

    #[test]
    fn an_unknown_algorithm_is_named() {
        let body = serde_json::json!({
            "protected": encode(r#"{"alg":"HS256","url":""}"#), "payload": "", "signature": "",
        });
        let jws = Jws::parse(body.to_string().as_bytes()).ok().unwrap();
        let refused = jws.verify(&Jwk::Ed25519(vec![0; 32])).unwrap_err();
        assert_eq!(&*refused.kind, "badSignatureAlgorithm");
    }

    #[test]
    fn keys_of_other_kinds_or_sizes_are_refused() {
        let cases = [
            serde_json::json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
            serde_json::json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
            serde_json::json!({"kty": "oct", "k": "AA"}),
            serde_json::json!(null),
        ];
        for jwk in cases {
            assert_eq!(&*Jwk::parse(&jwk).err().unwrap().kind, "badPublicKey", "{jwk}");
        }
    }
}
