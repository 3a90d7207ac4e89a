//! A bounded HTTPS client, for CAs and other APIs.
//!
//! Whoever answers is taken to be hostile: the head is bounded by the HTTP library, the body by the
//! caller, connecting and the whole exchange by time. A body that passes its bound is given up at
//! once, not read to its end. Nothing is decompressed.
//!
//! An act needs one thing more than bytes: if something goes wrong, whether the request can have
//! reached the other side. [`Error::sent`] says so, and errs on the side of "perhaps".
//!
//! Redirects of a GET are followed, a few, never from TLS to plain text; redirects of a POST are
//! answers like any other, because following one would repeat an act elsewhere.
//!
//! Deliberately absent: cookies, retries, and any use of the operating system's trust store; which
//! roots count is the operator's choice and is the same on every machine.

mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

pub use error::{Cause, Error, Sent};

/// How a client connects, whom it trusts, how long it waits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whom it trusts.
    pub roots: Roots,
    /// How long finding the address, connecting and the TLS handshake may take together. Must be
    /// less than `answer_within`, so that whoever never connected is known to have sent nothing.
    pub connect_within: Duration,
    /// How long the whole exchange may take, to the body's last byte.
    pub answer_within: Duration,
    /// Whether `http://` may be spoken.
    pub plaintext: Plaintext,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            roots: Roots::Mozilla,
            connect_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(30),
            plaintext: Plaintext::Refused,
        }
    }
}

/// Whose certificates are accepted.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The roots that Mozilla trusts for servers.
    Mozilla,
    /// Mozilla's, and those in this PEM.
    MozillaAnd(Vec<u8>),
    /// Those in this PEM, and no others: a private CA.
    Only(Vec<u8>),
}

/// Whether `http://` may be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plaintext {
    /// No.
    Refused,
    /// Yes: for services on the same machine.
    Allowed,
}

/// A client. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    answer_within: Duration,
}

/// What was answered, whatever the status.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Where the answer came from, after redirects.
    pub url: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// Makes an answer of its parts, so that what reads answers can be tried without a server.
    /// Header fields that HTTP cannot hold are left out.
    #[must_use]
    pub fn of(status: u16, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let fields = headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::try_from(*name).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        Self { status, url: url.to_owned(), headers, body: body.to_vec() }
    }

    /// Returns a header field's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// Returns a header field's values, those that are text.
    pub fn header_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// Returns whether the status says that it worked.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Resolves a reference found in this answer against where the answer came from.
    ///
    /// Returns nothing for what is no web address.
    ///
    /// Source: RFC 3986 section 5.
    #[must_use]
    pub fn resolve(&self, reference: &str) -> Option<String> {
        resolve(&self.url, reference)
    }
}

/// Why a client could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The PEM of the roots has no usable certificate.
    #[error("cannot use the root certificates: {0}")]
    Roots(String),
    /// The HTTP or TLS library refused the settings.
    #[error("cannot set up HTTPS: {0}")]
    Library(String),
}

/// Tries whether the HTTP library can make a client with this machine's own trust store: libraries
/// that bring clients of their own make them so, and some end the program where it cannot.
///
/// # Errors
///
/// Returns why it cannot: a machine without any root certificates, most often.
pub fn usual_client_can_be_made() -> Result<(), SetupError> {
    let made = reqwest::Client::builder().redirect(Policy::none()).build();
    made.map(drop).map_err(|error| SetupError::Library(error::chain(&error)))
}

impl Http {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the roots, or why the library refuses.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let mut tls = client_tls(&settings.roots)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("perennial/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_within)
            .timeout(settings.answer_within)
            .redirect(Policy::none())
            // Another room's library brings these to the build, and so to every client.
            .no_gzip()
            .no_deflate()
            .https_only(settings.plaintext == Plaintext::Refused)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_FOR)
            .build()
            .map_err(|error| SetupError::Library(error::chain(&error)))?;
        Ok(Self { client, answer_within: settings.answer_within })
    }

    /// Gets a resource of at most `limit` bytes, following a few redirects.
    ///
    /// # Errors
    ///
    /// Returns what went wrong on the way; a status of 4xx or 5xx is an answer, not an error.
    pub async fn get(&self, url: &str, accept: &str, limit: usize) -> Result<Response, Error> {
        let follow = async {
            let mut url = url.to_owned();
            for _ in 0..MAX_REDIRECTS {
                let answer = self.fetch_once(&url, accept, limit).await?;
                match redirection(&answer) {
                    Some(next) => url = next,
                    None => return Ok(answer),
                }
            }
            self.fetch_once(&url, accept, limit).await
        };
        match tokio::time::timeout(self.answer_within, follow).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::timed_out(self.answer_within)),
        }
    }

    /// Gets a resource of at most `limit` bytes from here and nowhere else: a redirect is an answer
    /// like any other.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub async fn fetch(&self, url: &str, accept: &str, limit: usize) -> Result<Response, Error> {
        self.fetch_once(url, accept, limit).await
    }

    async fn fetch_once(&self, url: &str, accept: &str, limit: usize) -> Result<Response, Error> {
        self.exchange(self.client.get(url).header(ACCEPT, accept), limit).await
    }

    /// Asks for the header fields of a resource alone.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub async fn head(&self, url: &str) -> Result<Response, Error> {
        self.exchange(self.client.head(url), 0).await
    }

    /// Sends a body and reads an answer of at most `limit` bytes. Redirects are not followed.
    ///
    /// # Errors
    ///
    /// As [`Self::get`]; see [`Error::sent`].
    pub async fn post(
        &self,
        url: &str,
        content_type: &str,
        accept: &str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Response, Error> {
        let request = self.client.post(url).header(CONTENT_TYPE, content_type);
        self.exchange(request.header(ACCEPT, accept).body(body), limit).await
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<Response, Error> {
        let mut answer = request.send().await.map_err(|e| Error::before_head(&e))?;
        let status = answer.status().as_u16();
        if answer.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Error::too_large(status, limit));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| Error::in_body(status, &e))? {
            if body.len() + chunk.len() > limit {
                return Err(Error::too_large(status, limit));
            }
            body.extend_from_slice(&chunk);
        }
        let url = answer.url().as_str().to_owned();
        Ok(Response { status, url, headers: std::mem::take(answer.headers_mut()), body })
    }
}

/// Where a GET is sent on to, if it is.
fn redirection(answer: &Response) -> Option<String> {
    if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let next = answer.resolve(answer.header(LOCATION.as_str())?)?;
    let downgrade = answer.url.starts_with("https:") && !next.starts_with("https:");
    (!downgrade).then_some(next)
}

/// Resolves a reference against a base; both ends must be web addresses of a sane length.
fn resolve(base: &str, reference: &str) -> Option<String> {
    let url = reqwest::Url::parse(base).ok()?.join(reference).ok()?;
    let fits = matches!(url.scheme(), "https" | "http") && url.as_str().len() <= MAX_URL_LEN;
    fits.then(|| url.into())
}

fn client_tls(roots: &Roots) -> Result<ClientConfig, SetupError> {
    let mut store = RootCertStore::empty();
    if matches!(roots, Roots::Mozilla | Roots::MozillaAnd(_)) {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Roots::MozillaAnd(pem) | Roots::Only(pem) = roots {
        add_roots(&mut store, pem)?;
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Library(error.to_string()))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

fn add_roots(store: &mut RootCertStore, pem: &[u8]) -> Result<(), SetupError> {
    let mut added = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| SetupError::Roots(e.to_string()))?;
        store.add(certificate).map_err(|e| SetupError::Roots(e.to_string()))?;
        added += 1;
    }
    if added == 0 {
        return Err(SetupError::Roots("there is no certificate in the PEM".to_owned()));
    }
    Ok(())
}

/// How many redirects a GET follows.
const MAX_REDIRECTS: usize = 3;

/// How long a web address may be. Boulder's longest, with a signed token, is under 2,000.
const MAX_URL_LEN: usize = 4096;

/// How many idle connections are kept for each server.
const IDLE_PER_HOST: usize = 4;

/// How long an idle connection is kept: shorter than servers usually do, so that few requests meet
/// a connection that is just being closed, which would make their outcome unknown.
const IDLE_FOR: Duration = Duration::from_secs(20);
