//! PostgreSQL: a request of eight bytes, an answer of one.
//!
//! Source: PostgreSQL's documentation, "Frontend/Backend Protocol", on TLS by `SSLRequest`.

use super::talk::{Talk, quote};
use crate::tls::TlsError;

/// `SSLRequest`: its length, and a number that is no version of the protocol (1234.5679).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How long a message about an error may be.
const MAX_ERROR: usize = 16 * 1024;

pub(super) async fn begin(talk: &mut Talk<'_>) -> Result<(), TlsError> {
    talk.say(&SSL_REQUEST).await?;
    match talk.bytes(1).await?[..] {
        [b'S'] => Ok(()),
        [b'N'] => Err(talk.not_offered()),
        // One that is as good as full, or not up yet, says so instead.
        [b'E'] => {
            let said = error(talk).await?;
            Err(talk.turned_away(&said))
        }
        ref other => {
            let said = String::from_utf8_lossy(other);
            Err(talk.foreign(&said))
        }
    }
}

/// Reads the message of an `ErrorResponse`: fields of a letter and a text each, of which `M` is for
/// people.
async fn error(talk: &mut Talk<'_>) -> Result<String, TlsError> {
    let length = talk.bytes(4).await?.iter().fold(0, |n: usize, b| (n << 8) | usize::from(*b));
    let Some(length) = length.checked_sub(4).filter(|length| *length <= MAX_ERROR) else {
        return Err(talk.foreign("an error of impossible length"));
    };
    let fields = talk.bytes(length).await?;
    let mut fields = fields.split(|byte| *byte == 0);
    let said = fields.find_map(|field| field.strip_prefix(b"M")).unwrap_or_default();
    Ok(quote(&String::from_utf8_lossy(said)).trim_matches('`').to_owned())
}
