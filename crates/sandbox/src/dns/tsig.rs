//! Who may update: signatures of requests, and of their answers.
//!
//! Source: RFC 8945.

use std::collections::BTreeMap;
use std::fmt;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{TSigResponseContext, TSigner};
use jiff::Timestamp;

use super::wire::{name_of, text_of};
use crate::error::SandboxError;

/// A key that may update every zone.
#[derive(Clone)]
pub struct TsigKey {
    /// Its name.
    pub name: String,
    /// Its secret, for `hmac-sha256`.
    pub secret: Vec<u8>,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TsigKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How far clocks may be apart, in seconds.
const FUDGE: u16 = 300;

/// The keys by name.
pub(super) struct Keys(BTreeMap<Box<str>, TSigner>);

/// What came of looking at a request's signature.
pub(super) enum Signed {
    /// By a key of ours; the answer is signed likewise.
    Well(TSigResponseContext),
    /// Wrongly; the answer says so with NOTAUTH.
    Badly(TSigResponseContext),
    /// Not at all.
    Not,
}

impl Keys {
    pub(super) fn new(keys: &[TsigKey]) -> Result<Self, SandboxError> {
        let signer = |key: &TsigKey| {
            let failed =
                |cause: &str| SandboxError::new(format!("use TSIG key {}", key.name), &cause);
            let name = name_of(&key.name).ok_or_else(|| failed("its name is no DNS name"))?;
            let text = text_of(&name);
            TSigner::new(key.secret.clone(), TsigAlgorithm::HmacSha256, name, FUDGE)
                .map(|signer| (text, signer))
                .map_err(|error| failed(&error.to_string()))
        };
        keys.iter().map(signer).collect::<Result<_, _>>().map(Self)
    }

    /// Looks at a request's signature.
    pub(super) fn check(&self, message: &Message, bytes: &[u8], wall: Timestamp) -> Signed {
        let Some(signature) = message.signature() else { return Signed::Not };
        let id = message.metadata.id;
        let now = u64::try_from(wall.as_second()).unwrap_or(0);
        let Some(signer) = self.0.get(&text_of(&signature.name)) else {
            return Signed::Badly(TSigResponseContext::unknown_key(
                id,
                now,
                signature.name.clone(),
            ));
        };
        let bad = || Signed::Badly(TSigResponseContext::bad_signature(id, now, signer.clone()));
        // A time before its own fudge is nonsense that the library would subtract from.
        if signature.data.time < u64::from(signature.data.fudge) {
            return bad();
        }
        let Ok((mac, _, valid)) = signer.verify_message_byte(bytes, None, true) else {
            return bad();
        };
        let late = (!valid.contains(&now)).then_some(TsigError::BadTime);
        let in_time = late.is_none();
        let context = TSigResponseContext::new(id, now, signer.clone(), mac, late);
        if in_time { Signed::Well(context) } else { Signed::Badly(context) }
    }
}
