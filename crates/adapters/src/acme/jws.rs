//! Signed requests: JWS in the flattened JSON form.
//!
//! ```text
//! protected = {alg, nonce, url, kid | jwk}      base64url each; signature over "protected.payload"
//! payload   = JSON, or empty for POST-as-GET
//! ```
//!
//! Pure: the same key, nonce, address and payload give the same request (but for ECDSA's random).
//!
//! Source: RFC 8555 sections 6.2 to 6.5 and 7.3.4, RFC 7515.

use perennial_core::words::Url;
use perennial_wire::key::{Jwk, KeyError, KeyPair, base64url};
use perennial_wire::mac::MacKey;
use serde::Serialize;

/// Who signs, as the CA knows them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signer<'a> {
    /// Somebody without an account: the public key goes along.
    Stranger,
    /// An account, by its URL.
    Account(&'a Url),
}

#[derive(Serialize)]
struct Protected<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<&'a Jwk>,
}

/// A signed request or binding.
#[derive(Debug, Serialize)]
pub(super) struct Jws {
    protected: String,
    payload: String,
    signature: String,
}

/// Signs a request.
///
/// # Errors
///
/// Returns why the key cannot sign.
pub(super) fn sign(
    key: &KeyPair,
    signer: Signer<'_>,
    nonce: &str,
    url: &Url,
    payload: &str,
) -> Result<Vec<u8>, KeyError> {
    let (kid, jwk) = match signer {
        Signer::Stranger => (None, Some(key.jwk())),
        Signer::Account(url) => (Some(&*url.0), None),
    };
    let protected =
        Protected { alg: key.jws_algorithm(), nonce: Some(nonce), url: &url.0, kid, jwk };
    let jws = seal(&protected, payload.as_bytes(), |input| key.sign_jws(input))?;
    Ok(json(&jws).into_bytes())
}

/// Signs as the next key of an account: without a nonce, which the request around it has.
///
/// # Errors
///
/// Returns why the key cannot sign.
//= https://www.rfc-editor.org/rfc/rfc8555#section-7.3.5
pub(super) fn agree(key: &KeyPair, url: &Url, payload: &str) -> Result<Jws, KeyError> {
    let protected = Protected {
        alg: key.jws_algorithm(),
        nonce: None,
        url: &url.0,
        kid: None,
        jwk: Some(key.jwk()),
    };
    seal(&protected, payload.as_bytes(), |input| key.sign_jws(input))
}

/// Binds an account key to an account that the CA knows by other means.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4
pub(super) fn bind(key: &KeyPair, mac: &MacKey, kid: &str, new_account: &Url) -> Jws {
    let protected = Protected {
        alg: mac.algorithm().as_str(),
        nonce: None,
        url: &new_account.0,
        kid: Some(kid),
        jwk: None,
    };
    let signed: Result<_, std::convert::Infallible> =
        seal(&protected, json(key.jwk()).as_bytes(), |input| Ok(mac.sign(input)));
    match signed {
        Ok(jws) => jws,
    }
}

fn seal<E>(
    protected: &Protected<'_>,
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Jws, E> {
    let protected = base64url(json(protected).as_bytes());
    let payload = base64url(payload);
    let signature = sign(format!("{protected}.{payload}").as_bytes())?;
    Ok(Jws { protected, payload, signature: base64url(&signature) })
}

/// Writes one of our own shapes as JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    // Our shapes have text keys and no fallible parts, so that writing them cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use perennial_core::words::KeyAlgorithm;
    use perennial_wire::mac::MacAlgorithm;
    use serde_json::{Value, json};
    use zeroize::Zeroizing;

    use super::*;

    fn key() -> KeyPair {
        KeyPair::from_pkcs8(&KeyPair::generate(KeyAlgorithm::EcdsaP256).unwrap()).unwrap()
    }

    fn decode(part: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part.as_str().unwrap()).unwrap()
    }

    fn decode_json(part: &Value) -> Value {
        serde_json::from_slice(&decode(part)).unwrap()
    }

    #[test]
    fn a_strangers_request_carries_the_key_and_an_accounts_its_url() {
        let (key, url, account) =
            (key(), Url::from("https://ca.test/new"), Url::from("https://ca.test/acct/1"));
        let read = |signer| -> Value {
            serde_json::from_slice(&sign(&key, signer, "n0", &url, r#"{"a":1}"#).unwrap()).unwrap()
        };
        let stranger = read(Signer::Stranger);
        let head = json!({"alg":"ES256","nonce":"n0","url":"https://ca.test/new","jwk":key.jwk()});
        assert_eq!(decode_json(&stranger["protected"]), head);
        assert_eq!(decode_json(&stranger["payload"]), json!({"a":1}));
        assert_eq!(decode(&stranger["signature"]).len(), 64);

        let known = decode_json(&read(Signer::Account(&account))["protected"]);
        let head = json!({"alg":"ES256","nonce":"n0","url":"https://ca.test/new",
            "kid":"https://ca.test/acct/1"});
        assert_eq!(known, head);
    }

    #[test]
    fn post_as_get_has_an_empty_payload_and_not_the_payload_null() {
        let url = Url::from("https://ca.test/order/1");
        let bytes = sign(&key(), Signer::Account(&url), "n0", &url, "").unwrap();
        let jws: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(jws["payload"], "");
    }

    #[test]
    fn a_binding_holds_the_key_and_no_nonce() {
        let key = key();
        let mac = MacKey::new(MacAlgorithm::Hs384, Zeroizing::new(vec![7; 32]));
        let jws = bind(&key, &mac, "kid-1", &Url::from("https://ca.test/new"));
        let jws = serde_json::to_value(jws).unwrap();
        let head = json!({"alg":"HS384","url":"https://ca.test/new","kid":"kid-1"});
        assert_eq!(decode_json(&jws["protected"]), head);
        assert_eq!(decode_json(&jws["payload"]), json!(key.jwk()));
        assert_eq!(decode(&jws["signature"]).len(), 48);
    }
}
