//! Signing by a shared secret.
//!
//! hickory signs and checks, but an answer that refuses our signature comes unsigned (BADKEY,
//! BADSIG) or signed with the server's time beside ours (BADTIME), and hickory takes each for a
//! broken signature. So the error in the answer's TSIG record is read here first.
//!
//! Source: RFC 8945.

use std::net::SocketAddr;

use hickory_proto::dnssec::DnsSecError;
use hickory_proto::op::Message;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm as Algorithm, TsigError};

use super::error::mnemonic;
use super::{DnsError, TsigFailure, to_name};
use crate::clock::Clock;

/// By how much the clocks may differ, in seconds. Source: RFC 8945 section 10 recommends 300.
const FUDGE: u16 = 300;

/// How a shared secret signs. SHA-1 and MD5 are not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`, which every server has.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl TsigAlgorithm {
    /// Reads the algorithm's name as servers write it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "hmac-sha256" => Some(Self::HmacSha256),
            "hmac-sha384" => Some(Self::HmacSha384),
            "hmac-sha512" => Some(Self::HmacSha512),
            _ => None,
        }
    }

    const fn inner(self) -> Algorithm {
        match self {
            Self::HmacSha256 => Algorithm::HmacSha256,
            Self::HmacSha384 => Algorithm::HmacSha384,
            Self::HmacSha512 => Algorithm::HmacSha512,
        }
    }
}

/// A key shared with a server, and the clock by which it signs.
#[derive(Clone)]
pub struct Tsig {
    signer: TSigner,
    wall: Clock,
}

impl std::fmt::Debug for Tsig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tsig({})", self.signer.signer_name())
    }
}

impl Tsig {
    /// Takes a key: its name as the server knows it, its algorithm and its secret (decoded). `wall`
    /// must be the machine's clock: the server compares it with its own.
    ///
    /// # Errors
    ///
    /// Returns [`DnsError::Name`] if the name is no DNS name.
    pub fn new(
        name: &str,
        algorithm: TsigAlgorithm,
        secret: &[u8],
        wall: Clock,
    ) -> Result<Self, DnsError> {
        let key_name = to_name(name)?;
        let signer = TSigner::new(secret.to_vec(), algorithm.inner(), key_name, FUDGE)
            .map_err(|error| DnsError::Unwritable(error.to_string()))?;
        Ok(Self { signer, wall })
    }

    /// Signs a request, whose id must be set already.
    pub(super) fn sign(&self, request: &mut Message) -> Result<Signed<'_>, DnsError> {
        let now = u64::try_from(self.wall.now().as_second()).unwrap_or_default();
        let unwritable = |error: String| DnsError::Unwritable(error);
        request.finalize(&self.signer, now).map_err(|error| unwritable(error.to_string()))?;
        let mac = request.signature.as_ref().map(|record| record.data.mac.clone());
        let mac = mac.ok_or_else(|| unwritable("the signature is missing".to_owned()))?;
        Ok(Signed { tsig: self, mac })
    }
}

/// A request that was signed: what is needed to check its answer.
pub(super) struct Signed<'a> {
    tsig: &'a Tsig,
    mac: Vec<u8>,
}

impl Signed<'_> {
    /// Returns the reply if its signature holds and it has no objection to ours.
    pub(super) fn verify(
        &self,
        server: SocketAddr,
        bytes: &[u8],
        reply: Message,
    ) -> Result<Message, DnsError> {
        match self.failure(bytes, &reply) {
            None => Ok(reply),
            Some(failure) => Err(DnsError::Tsig { server, failure }),
        }
    }

    fn failure(&self, bytes: &[u8], reply: &Message) -> Option<TsigFailure> {
        let Some(record) = reply.signature.as_deref() else {
            return Some(TsigFailure::Unsigned { code: mnemonic(reply.metadata.response_code) });
        };
        // These two come unsigned, for want of a key that both have: RFC 8945 section 5.2.
        match record.data.error {
            Some(TsigError::BadKey) => return Some(TsigFailure::BadKey),
            Some(TsigError::BadSig) => return Some(TsigFailure::BadSig),
            _ => {}
        }
        let signer = &self.tsig.signer;
        let made_secs = match signer.verify_message_byte(bytes, Some(&self.mac), true) {
            Ok((_, made_secs, _)) => made_secs,
            Err(DnsSecError::TsigWrongKey) => {
                return Some(TsigFailure::Forged("it is by another key".to_owned()));
            }
            Err(error) => return Some(TsigFailure::Forged(error.to_string())),
        };
        match &record.data.error {
            None => self.check_time(made_secs),
            Some(TsigError::BadTime) => Some(TsigFailure::BadTime {
                server_secs: server_time(&record.data.other),
                fudge_secs: FUDGE,
            }),
            Some(TsigError::BadTrunc) => Some(TsigFailure::BadTrunc),
            Some(other) => Some(TsigFailure::Other(u16::from(*other))),
        }
    }

    /// Source: RFC 8945 section 5.3.
    fn check_time(&self, made_secs: u64) -> Option<TsigFailure> {
        let now = u64::try_from(self.tsig.wall.now().as_second()).unwrap_or_default();
        (now.abs_diff(made_secs) > u64::from(FUDGE))
            .then_some(TsigFailure::BadTime { server_secs: Some(made_secs), fudge_secs: FUDGE })
    }
}

/// Reads the 48 bits in which a server says what time it is. Source: RFC 8945 section 5.2.3.
fn server_time(other: &[u8]) -> Option<u64> {
    let six: [u8; 6] = other.try_into().ok()?;
    Some(six.iter().fold(0, |seconds, byte| (seconds << 8) | u64::from(*byte)))
}
