//! TLS as a client meets it: one fresh handshake, what was served, and whether a client would
//! accept it.
//!
//! [`handshake`] connects once, resumes nothing, and records: the chain, the version, a staple, a
//! demand for a client certificate, an alert. It accepts whatever is served, since its purpose is to
//! see what is wrong; [`judge_handshake`] then says what clients of several trust stores would make of
//! it, now and until the leaf ends.
//!
//! rustls speaks TLS 1.2 and 1.3 with key exchanges of this decade. A server that offers none of
//! them is asked once more with a plain ClientHello of TLS 1.2 and older, in answer to which the chain
//! comes in the clear: enough to see what is served, without any cryptography of the past.
//!
//! Where TLS begins only after a few words in the clear, [`handshake_by`] says them first.

mod judge;
mod legacy;
mod recorder;
mod sight;
mod starttls;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use perennial_core::words::{Identifier, Protocol, Variant};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time;

use crate::x509::Chain;

pub(crate) use judge::path;
pub use judge::{Roots, RootsError, Verdict, judge_chain, leads_to_root};
#[cfg(feature = "fuzzing")]
pub use legacy::read_flight;
pub use sight::{Judgement, Stores, judge_handshake, lasts_until};

/// What one handshake showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The chain, as it came.
    pub chain: Chain,
    /// The version agreed on.
    pub version: TlsVersion,
    /// The OCSP response that came with it.
    pub ocsp_staple: Option<Vec<u8>>,
    /// Whether the server wants to know who we are.
    pub client_certificate: ClientCertificate,
    /// Whether the server proved that it holds the leaf's key; nothing if that could not be checked
    /// (an old server, or a signature that rustls does not know).
    pub holds_key: Option<bool>,
    /// How the chain was learnt.
    pub way: Way,
    /// What ended the handshake after the chain had come, if it did not complete.
    pub ended_by: Option<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsVersion(pub u16);

impl TlsVersion {
    /// TLS 1.2, below which no client of this decade goes (RFC 8996).
    pub const TLS_1_2: Self = Self(0x0303);
    /// TLS 1.3.
    pub const TLS_1_3: Self = Self(0x0304);
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0x0300 => f.write_str("SSL 3.0"),
            0x0301 => f.write_str("TLS 1.0"),
            0x0302 => f.write_str("TLS 1.1"),
            0x0303 => f.write_str("TLS 1.2"),
            0x0304 => f.write_str("TLS 1.3"),
            other => write!(f, "TLS version {other:#06x}"),
        }
    }
}

/// Whether a server wants a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// No.
    NotAsked,
    /// It asks for one, and goes on without (what it serves then is its application's matter).
    Asked,
    /// It ended the handshake for want of one.
    Demanded,
}

/// How a chain was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a whole handshake.
    Handshake,
    /// By a plain ClientHello, since the server knows only what clients of this decade refuse.
    Legacy,
}

/// Why no chain was seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The name is none that can be asked for (a wildcard).
    #[error("`{0}` cannot be asked for")]
    Name(String),
    /// This machine has no way to the address.
    #[error("there is no way from here: {0}")]
    NoRoute(String),
    /// Nothing was tried: too many other handshakes are under way here.
    #[error("too many other addresses are being looked at")]
    NoTurn,
    /// No connection.
    #[error("{0}")]
    Unreachable(String),
    /// A connection, but what answers is not TLS, or nothing answers.
    #[error("{0}")]
    NoTls(String),
    /// TLS, but the server has nothing for this name (`unrecognized_name`).
    #[error("the server does not serve this name (alert unrecognized_name)")]
    UnknownName,
    /// TLS, but no chain: the handshake was ended before.
    #[error("{0}")]
    Refused(String),
}

/// Makes one fresh handshake with one address where TLS begins at once, as [`handshake_as`].
///
/// # Errors
///
/// Returns why no chain was seen.
pub async fn handshake(
    address: SocketAddr,
    name: &Identifier,
    timeout: Duration,
) -> Result<Served, TlsError> {
    handshake_as(Manner::default(), address, name, timeout).await
}

/// Makes one after what the protocol has to be said before, as [`handshake_as`].
///
/// # Errors
///
/// Returns why no chain was seen.
pub async fn handshake_by(
    protocol: Protocol,
    address: SocketAddr,
    name: &Identifier,
    timeout: Duration,
) -> Result<Served, TlsError> {
    handshake_as(Manner { protocol, variant: None }, address, name, timeout).await
}

/// How a server is met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// What is spoken before TLS begins.
    pub protocol: Protocol,
    /// Which leaves alone are taken, if not all: a server that has one of each variant shows that one.
    /// It is not asked again as a server of the past.
    pub variant: Option<Variant>,
}

/// Makes one fresh handshake with one address, sending `name` (unless it is an IP address, for which
/// nothing is sent: RFC 6066 section 3), after what the protocol has to be said before.
///
/// `timeout` bounds connecting, and once more the handshake; what is said before, and asking a
/// server of the past again, take what both have left.
///
/// # Errors
///
/// Returns why no chain was seen.
pub async fn handshake_as(
    manner: Manner,
    address: SocketAddr,
    name: &Identifier,
    timeout: Duration,
) -> Result<Served, TlsError> {
    let server_name = ServerName::try_from(name.as_str().to_owned())
        .map_err(|_| TlsError::Name(name.to_string()))?;
    let late =
        || TlsError::Unreachable(format!("no answer within {}", Secs(timeout.saturating_mul(2))));
    let mut met = None;
    let to = To { manner, address, name };
    let asking = ask(to, server_name, timeout, &mut met);
    match time::timeout(timeout.saturating_mul(2), asking).await {
        Ok(served) => served,
        Err(_) => Err(met.unwrap_or_else(late)),
    }
}

/// Whom a handshake is with.
#[derive(Clone, Copy)]
struct To<'a> {
    manner: Manner,
    address: SocketAddr,
    name: &'a Identifier,
}

/// Asks as a client of today does, and where that shows a server of the past, as one of then.
/// `met` is what the first attempt came to: it says more than what the second one meets.
async fn ask(
    to: To<'_>,
    server_name: ServerName<'static>,
    timeout: Duration,
    met: &mut Option<TlsError>,
) -> Result<Served, TlsError> {
    let mut stream = connect(to.address, timeout).await?;
    if !to.manner.protocol.is_tls() {
        let within = Secs(timeout.saturating_mul(2));
        let text =
            format!("connected, but TLS did not begin over {} within {within}", to.manner.protocol);
        *met = Some(TlsError::NoTls(text));
        starttls::begin(&mut stream, to.manner.protocol, to.name).await?;
    }
    let (error, is_old) =
        match recorder::handshake(stream, server_name, to.manner.variant, timeout).await {
            Ok(served) => return Ok(served),
            Err(failed) => (failed.error, failed.is_old),
        };
    if let Some(variant) = to.manner.variant.filter(|_| is_old) {
        let text = format!("clients that take {variant} alone are shown no leaf: {error}");
        return Err(TlsError::Refused(text));
    }
    if !is_old {
        return Err(error);
    }
    *met = Some(error.clone());
    let Ok(mut stream) = connect(to.address, timeout).await else { return Err(error) };
    if starttls::begin(&mut stream, to.manner.protocol, to.name).await.is_err() {
        return Err(error);
    }
    legacy::hello(stream, to.name).await.ok_or(error)
}

async fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream, TlsError> {
    match time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            // Without it a handshake in several writes may wait for a delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) => Err(of_io(&error)),
        Err(_) => Err(TlsError::Unreachable(format!("no connection within {}", Secs(timeout)))),
    }
}

fn of_io(error: &io::Error) -> TlsError {
    let cause = crate::net::describe(error);
    if crate::net::no_route(error) {
        TlsError::NoRoute(cause)
    } else {
        TlsError::Unreachable(cause)
    }
}

/// Shows a duration in seconds, as people say it.
struct Secs(Duration);

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f32())
    }
}

#[cfg(test)]
mod tests;
