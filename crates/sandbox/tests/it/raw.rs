//! A client that sends exactly what it is told, right or wrong, and keeps whole answers.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the problem's kind without its URN.
    pub(crate) fn problem(&self) -> String {
        self.text("type").trim_start_matches("urn:ietf:params:acme:error:").to_owned()
    }
}

/// An account key.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
    }

    pub(crate) fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
    }

    /// Signs; an empty payload is a POST-as-GET.
    pub(crate) fn sign(&self, protected: &Value, payload: &str) -> Value {
        let (protected, payload) = (encode(protected.to_string()), encode(payload));
        let signed = format!("{protected}.{payload}");
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        json!({ "protected": protected, "payload": payload, "signature": encode(signature) })
    }
}

/// A client of one CA.
pub(crate) struct Raw {
    tls: TlsConnector,
    pub(crate) directory: Value,
    pub(crate) key: Key,
    pub(crate) account: String,
}

impl Raw {
    pub(crate) async fn new(directory: &str, root_pem: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(config));
        let (key, account) = (Key::new(), String::new());
        let mut raw = Self { tls, directory: Value::Null, key, account };
        raw.directory = raw.send("GET", directory, None, "").await.json();
        raw
    }

    pub(crate) fn url(&self, resource: &str) -> String {
        self.directory[resource].as_str().unwrap().to_owned()
    }

    /// Sends a request as it is; it must be answered.
    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        kind: Option<&str>,
        body: &str,
    ) -> Answer {
        self.try_send(method, url, kind, body).await.unwrap()
    }

    /// Sends a request as it is.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        url: &str,
        kind: Option<&str>,
        body: &str,
    ) -> Result<Answer, hyper::Error> {
        let uri: hyper::Uri = url.parse().unwrap();
        let (host, authority) = (uri.host().unwrap(), uri.authority().unwrap().as_str());
        let stream = TcpStream::connect(authority.replace("localhost", "127.0.0.1")).await.unwrap();
        let stream = self.tls.connect(host.to_owned().try_into().unwrap(), stream).await.unwrap();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        let running = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().unwrap().as_str())
            .header("host", authority)
            .header("user-agent", "raw/1");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let answer = sender.send_request(request).await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        running.abort();
        Ok(Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() })
    }

    pub(crate) async fn nonce(&self) -> String {
        let answer = self.send("HEAD", &self.url("newNonce"), None, "").await;
        answer.header("replay-nonce").unwrap().to_owned()
    }

    /// Posts with the account's key: by `kid` once there is an account, by `jwk` before.
    pub(crate) async fn post(&self, url: &str, payload: &str) -> Answer {
        let mut protected = json!({ "alg": "ES256", "nonce": self.nonce().await, "url": url });
        if self.account.is_empty() {
            protected["jwk"] = self.key.jwk();
        } else {
            protected["kid"] = self.account.clone().into();
        }
        self.post_signed(url, &self.key.sign(&protected, payload)).await
    }

    pub(crate) async fn post_signed(&self, url: &str, jws: &Value) -> Answer {
        self.send("POST", url, Some("application/jose+json"), &jws.to_string()).await
    }
}
