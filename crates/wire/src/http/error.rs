//! What can go wrong between a request and its answer, and whether the request was sent.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// An exchange that gave no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    /// Whether the request can have reached the other side.
    pub sent: Sent,
    /// What went wrong.
    pub cause: Cause,
    text: String,
}

/// Whether a request can have reached the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// No: there was no connection to send it on.
    No,
    /// Perhaps.
    Perhaps,
    /// Yes, and this status was answered; the body was lost or refused.
    Answered(u16),
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The address or the request is malformed, or plain text is not allowed.
    Request,
    /// The host's name could not be resolved.
    Resolve,
    /// There is no way from here to there.
    NoRoute,
    /// Nobody took the connection.
    Connect,
    /// The TLS handshake failed; the certificate is not accepted, say.
    Tls,
    /// It took too long.
    TimedOut,
    /// The answer is larger than allowed.
    TooLarge,
    /// The connection broke, or what was said is no HTTP.
    Broken,
}

impl Error {
    /// Reads an error that came before an answer's head.
    pub(super) fn before_head(error: &reqwest::Error) -> Self {
        let cause = cause_of(error);
        // The library wraps everything up to the finished TLS handshake as a connect error, and
        // `connect_within` ends before `answer_within`, so other time-outs come after sending.
        let never_sent = error.is_connect() || error.is_builder();
        let sent = if never_sent { Sent::No } else { Sent::Perhaps };
        Self { sent, cause, text: told(error) }
    }

    /// Reads an error that came after the head.
    pub(super) fn in_body(status: u16, error: &reqwest::Error) -> Self {
        let cause = if error.is_timeout() { Cause::TimedOut } else { Cause::Broken };
        Self { sent: Sent::Answered(status), cause, text: told(error) }
    }

    pub(super) fn too_large(status: u16, limit: usize) -> Self {
        let text = format!("the answer is larger than {limit} bytes");
        Self { sent: Sent::Answered(status), cause: Cause::TooLarge, text }
    }

    pub(super) fn timed_out(within: Duration) -> Self {
        let text = format!("no answer within {} s", within.as_secs());
        Self { sent: Sent::Perhaps, cause: Cause::TimedOut, text }
    }
}

fn cause_of(error: &reqwest::Error) -> Cause {
    if error.is_builder() {
        return Cause::Request;
    }
    if error.is_dns() {
        return Cause::Resolve;
    }
    let mut source: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = source {
        if let Some(cause) = cause_of_source(inner) {
            return cause;
        }
        source = inner.source();
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, _) => Cause::TimedOut,
        (false, true) => Cause::Connect,
        (false, false) => Cause::Broken,
    }
}

fn cause_of_source(inner: &(dyn StdError + 'static)) -> Option<Cause> {
    if inner.is::<rustls::Error>() {
        return Some(Cause::Tls);
    }
    let io = inner.downcast_ref::<io::Error>()?;
    // An I/O error hides from `source` what it wraps; the libraries wrap twice.
    match io.get_ref() {
        Some(wrapped) => cause_of_source(wrapped).or_else(|| cause_of_kind(io.kind())),
        None => cause_of_kind(io.kind()),
    }
}

const fn cause_of_kind(kind: io::ErrorKind) -> Option<Cause> {
    match kind {
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => Some(Cause::NoRoute),
        _ => None,
    }
}

/// Writes an error with the server's name, and without the rest of the address: paths and queries
/// hold secrets at some services.
fn told(error: &reqwest::Error) -> String {
    let server = error.url().map(|url| url.origin().ascii_serialization());
    // The outermost text says only that it was sending, and repeats the whole address.
    let inner = error.source().map_or_else(|| "the request is malformed".to_owned(), chain);
    match server {
        Some(server) => format!("{server}: {inner}"),
        None => inner,
    }
}

/// Writes a chain of errors as one text, outermost first, leaving out what only repeats.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.ends_with(&more) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {more}");
        }
        source = inner.source();
    }
    text
}
