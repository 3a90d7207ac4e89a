//! From HTTP requests to the model's: paths, signatures, payloads.

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request};
use perennial_core::words::{AriCertId, Identifier, Problem, Url};
use perennial_sim::model::ca::{CaRequest, NewAccount, NewOrder, problem};
use serde::Deserialize;
use serde_json::Value;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::State;
use super::csr::{self, GoodCsr};
use super::jose::{Jwk, Jws, check_binding, decode, malformed};

/// What a request asks for.
pub(super) enum Asked {
    /// Of the model.
    Model {
        request: Box<CaRequest>,
        /// A key to remember once the model has agreed to it.
        key: Option<Jwk>,
        /// The key to be certified.
        csr: Option<GoodCsr>,
    },
    /// A nonce alone.
    Nonce { head: bool },
}

impl Asked {
    fn model(request: CaRequest) -> Self {
        Self::Model { request: Box::new(request), key: None, csr: None }
    }
}

#[derive(Deserialize)]
struct AccountPayload {
    #[serde(default, rename = "termsOfServiceAgreed")]
    agreed: bool,
    #[serde(default, rename = "onlyReturnExisting")]
    only_existing: bool,
    #[serde(rename = "externalAccountBinding")]
    binding: Option<Value>,
    status: Option<String>,
}

#[derive(Deserialize)]
struct OrderPayload {
    identifiers: Vec<IdentifierPayload>,
    profile: Option<Box<str>>,
    replaces: Option<AriCertId>,
    #[serde(rename = "notBefore")]
    not_before: Option<Value>,
    #[serde(rename = "notAfter")]
    not_after: Option<Value>,
}

#[derive(Deserialize)]
struct IdentifierPayload {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

#[derive(Deserialize)]
struct FinalizePayload {
    csr: String,
}

#[derive(Deserialize)]
struct RevokePayload {
    certificate: String,
}

#[derive(Deserialize)]
struct KeyChangePayload {
    account: String,
    #[serde(rename = "oldKey")]
    old_key: Value,
}

/// Reads a request.
pub(super) fn read(state: &mut State, request: &Request<Bytes>) -> Result<Asked, Problem> {
    //= https://www.rfc-editor.org/rfc/rfc8555#section-6.1
    if request.headers().get(USER_AGENT).is_none() {
        return Err(malformed("a User-Agent header is required"));
    }
    let path = request.uri().path();
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    match path {
        "/directory" if get => return Ok(Asked::model(CaRequest::Directory)),
        "/new-nonce" if get => {
            return Ok(Asked::Nonce { head: request.method() == Method::HEAD });
        }
        _ => {}
    }
    if let Some(leaf) = path.strip_prefix("/renewal-info/").filter(|_| get) {
        let leaf = AriCertId(leaf.into());
        return Ok(Asked::model(CaRequest::RenewalInfo { leaf }));
    }
    if request.method() != Method::POST {
        return Err(problem(405, "malformed", "Method not allowed"));
    }
    let kind = request.headers().get(CONTENT_TYPE).map(hyper::header::HeaderValue::as_bytes);
    if kind != Some(b"application/jose+json") {
        let detail =
            "Invalid Content-Type header on POST. Content-Type must be \"application/jose+json\"";
        return Err(problem(415, "malformed", detail));
    }
    let jws = Jws::parse(request.body())?;
    let url = format!("{}{path}", state.ca.config.base);
    if jws.protected.url != url {
        let detail = format!(
            "JWS header parameter 'url' incorrect. Expected \"{url}\" got \"{}\"",
            jws.protected.url
        );
        return Err(malformed(detail));
    }
    let nonce = jws.protected.nonce.as_deref();
    let good_nonce = nonce.is_some_and(|nonce| state.nonces.take(nonce));
    let signer = signer(state, &jws)?;
    jws.verify(&signer.key)?;
    if !good_nonce {
        return Err(problem(400, "badNonce", "JWS has an invalid anti-replay nonce"));
    }
    match (path, signer.account) {
        ("/new-account", None) => new_account(state, &jws, signer.key, &url),
        ("/new-account", Some(_)) => Err(malformed("newAccount must be signed with a jwk")),
        ("/revoke-cert", None) => {
            let (certificate_key, serial) = revoked(&jws)?;
            if !signer.key.is_spki(&certificate_key) {
                let detail = "JWK embedded in revocation request must be the same public key as the cert to be revoked";
                return Err(problem(403, "unauthorized", detail));
            }
            let request = CaRequest::Revoke { account: None, serial };
            Ok(Asked::Model { request: Box::new(request), key: None, csr: None })
        }
        (_, None) => Err(malformed("No Key ID in JWS header")),
        (_, Some(account)) => of_account(state, &jws, &signer.key, account, path, &url),
    }
}

struct Signer {
    key: Jwk,
    account: Option<Url>,
}

/// Finds the key that must have signed a request.
///
/// Source: RFC 8555 section 6.2: either `jwk` or `kid`.
fn signer(state: &State, jws: &Jws) -> Result<Signer, Problem> {
    match (&jws.protected.jwk, &jws.protected.kid) {
        (Some(jwk), None) => Ok(Signer { key: Jwk::parse(jwk)?, account: None }),
        (None, Some(kid)) => {
            let account = Url::from(kid.as_str());
            let key = state.ca.thumbprint(&account).and_then(|thumb| state.keys.get(thumb));
            let key = key.cloned().ok_or_else(|| {
                problem(400, "accountDoesNotExist", format!("Account \"{kid}\" not found"))
            })?;
            Ok(Signer { key, account: Some(account) })
        }
        _ => Err(malformed("exactly one of jwk and kid is required in the JWS header")),
    }
}

fn new_account(state: &State, jws: &Jws, key: Jwk, url: &str) -> Result<Asked, Problem> {
    let payload: AccountPayload = jws.json()?;
    let jwk = jws.protected.jwk.as_ref().unwrap_or(&Value::Null);
    let mac_key = |kid: &str| state.mac_keys.get(kid).cloned();
    let eab = match &payload.binding {
        Some(binding) => Some(check_binding(binding, jwk, url, mac_key)?),
        None => None,
    };
    let new = NewAccount {
        thumbprint: key.thumbprint().into(),
        agreed: payload.agreed,
        only_existing: payload.only_existing,
        eab,
    };
    let request = Box::new(CaRequest::NewAccount(new));
    Ok(Asked::Model { request, key: Some(key), csr: None })
}

/// Reads a request signed by an account.
fn of_account(
    state: &State,
    jws: &Jws,
    key: &Jwk,
    account: Url,
    path: &str,
    url: &str,
) -> Result<Asked, Problem> {
    let here = || Url::from(url);
    let as_get = jws.payload.is_empty();
    let kind = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let request = match kind {
        "new-order" => CaRequest::NewOrder(new_order(jws, account)?),
        "order" if as_get => CaRequest::Order { account, order: here() },
        "authz" => {
            let deactivate = !as_get && deactivates(jws)?;
            CaRequest::Authorization { account, authorization: here(), deactivate }
        }
        "chall" if as_get => CaRequest::Challenge { account, challenge: here() },
        //= https://www.rfc-editor.org/rfc/rfc8555#section-7.5.1
        "chall" => {
            let _: serde_json::Map<String, Value> = jws.json()?;
            CaRequest::Respond { account, challenge: here() }
        }
        "finalize" => {
            let csr = csr_of(jws, key)?;
            let request = CaRequest::Finalize { account, finalize: here(), csr: csr.csr.clone() };
            return Ok(Asked::Model { request: Box::new(request), key: None, csr: Some(csr) });
        }
        "cert" if as_get => CaRequest::Certificate { account, certificate: here() },
        "acct" if here() != account => {
            return Err(problem(
                403,
                "unauthorized",
                "Request signing key did not match account key",
            ));
        }
        "acct" => CaRequest::Account { account, deactivate: !as_get && deactivates(jws)? },
        "revoke-cert" => CaRequest::Revoke { account: Some(account), serial: revoked(jws)?.1 },
        "key-change" => return key_change(state, jws, key, account, url),
        _ => return Err(problem(404, "malformed", "Page not found")),
    };
    Ok(Asked::model(request))
}

fn new_order(jws: &Jws, account: Url) -> Result<NewOrder, Problem> {
    let payload: OrderPayload = jws.json()?;
    if payload.not_before.is_some() || payload.not_after.is_some() {
        return Err(malformed("NotBefore and NotAfter are not supported"));
    }
    let identifiers = payload
        .identifiers
        .iter()
        .map(|found| {
            let identifier =
                Identifier::new(&found.value.to_ascii_lowercase()).map_err(|error| {
                    let detail = format!("Invalid identifier \"{}\": {error}", found.value);
                    problem(400, "malformed", detail)
                })?;
            match (found.kind.as_str(), identifier.is_ip()) {
                ("dns", false) | ("ip", true) => Ok(identifier),
                ("dns" | "ip", _) => Err(malformed("identifier value is not of its type")),
                _ => Err(problem(400, "unsupportedIdentifier", "type of identifier is unknown")),
            }
        })
        .collect::<Result<_, _>>()?;
    let (profile, replaces) = (payload.profile, payload.replaces);
    Ok(NewOrder { account, identifiers, profile, replaces })
}

fn deactivates(jws: &Jws) -> Result<bool, Problem> {
    let payload: AccountPayload = jws.json()?;
    match payload.status.as_deref() {
        None => Ok(false),
        Some("deactivated") => Ok(true),
        Some(_) => Err(malformed("the only status that can be asked for is \"deactivated\"")),
    }
}

fn csr_of(jws: &Jws, account_key: &Jwk) -> Result<GoodCsr, Problem> {
    let payload: FinalizePayload = jws.json()?;
    let der = decode(&payload.csr).ok_or_else(|| malformed("csr is not base64url"))?;
    let csr = csr::read(&der)?;
    //= https://www.rfc-editor.org/rfc/rfc8555#section-11.1
    if account_key.is_spki(&csr.key) {
        return Err(malformed("certificate public key must be different than account key"));
    }
    Ok(csr)
}

/// Returns the key and the serial number of a certificate to be revoked.
fn revoked(jws: &Jws) -> Result<(Vec<u8>, [u8; 16]), Problem> {
    let payload: RevokePayload = jws.json()?;
    let der = decode(&payload.certificate).ok_or_else(|| malformed("no base64url"))?;
    let (_, found) = X509Certificate::from_der(&der).map_err(|_| malformed("no certificate"))?;
    let serial = found.raw_serial().try_into();
    let serial = serial.map_err(|_| problem(404, "malformed", "No such certificate"))?;
    Ok((found.public_key().subject_public_key.data.to_vec(), serial))
}

/// Source: RFC 8555 section 7.3.5: the inner JWS is signed by the new key.
fn key_change(
    state: &State,
    jws: &Jws,
    old: &Jwk,
    account: Url,
    url: &str,
) -> Result<Asked, Problem> {
    let inner = Jws::parse(&jws.payload)?;
    let jwk = inner.protected.jwk.as_ref().ok_or_else(|| malformed("inner JWS has no jwk"))?;
    let new = Jwk::parse(jwk)?;
    inner.verify(&new)?;
    let payload: KeyChangePayload = inner.json()?;
    let names_old = Jwk::parse(&payload.old_key).is_ok_and(|named| named == *old);
    if inner.protected.url != url || *payload.account != *account.0 || !names_old {
        return Err(malformed("inner JWS names another url, account or old key"));
    }
    let thumbprint: Box<str> = new.thumbprint().into();
    if state.keys.contains_key(&thumbprint) && thumbprint == old.thumbprint().into() {
        return Err(malformed("New key is the same as the old one"));
    }
    let request = CaRequest::KeyChange { account, thumbprint };
    Ok(Asked::Model { request: Box::new(request), key: Some(new), csr: None })
}
