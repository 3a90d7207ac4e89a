//! A client for the peers' own ports: bounded in time, trusting what it is told and nothing else.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::Error;

/// Makes a client that trusts the roots in `ca_pem` alone (none: plain HTTP, or nothing).
pub(crate) fn client(ca_pem: &str) -> Result<reqwest::Client, Error> {
    build(builder(ca_pem)?)
}

/// Makes a client of what [`builder`] began.
pub(crate) fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|cause| failed(&cause))
}

fn failed(cause: &dyn std::fmt::Display) -> Error {
    Error::failed("making an HTTP client", cause)
}

/// Begins a client that trusts the roots in `ca_pem` alone.
pub(crate) fn builder(ca_pem: &str) -> Result<reqwest::ClientBuilder, Error> {
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(root.map_err(|cause| failed(&cause))?).map_err(|cause| failed(&cause))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| failed(&cause))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .user_agent("perennial-peers") // RFC 8555 6.1 demands one, and Pebble insists
        .timeout(Duration::from_secs(10))
        .tls_backend_preconfigured(tls))
}

/// Returns an answer's body, or an error when the status is not one of success.
pub(crate) async fn body(
    what: &str,
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<String, Error> {
    let answer = answer.map_err(|error| Error::chain(what, &error))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| Error::chain(what, &error))?;
    if status.is_success() {
        Ok(text)
    } else {
        Err(Error::failed(what, format!("{status} {text}")))
    }
}
