//! LDAP: the `StartTLS` operation, a message each way in BER.
//!
//! Source: RFC 4511 sections 4.12 and 4.14.

use super::talk::Talk;
use crate::tls::TlsError;

/// `LDAPMessage { 1, ExtendedRequest { requestName 1.3.6.1.4.1.1466.20037 } }`.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const ENUMERATED: u8 = 0x0a;
const EXTENDED_RESPONSE: u8 = 0x78;

/// How long an answer may be: a code and a few words.
const MAX_ANSWER: usize = 16 * 1024;

pub(super) async fn begin(talk: &mut Talk<'_>) -> Result<(), TlsError> {
    talk.say(START_TLS).await?;
    let foreign = "bytes that are no LDAP message";
    let [tag, first] = talk.bytes(2).await?[..] else { return Err(talk.foreign(foreign)) };
    if tag != SEQUENCE {
        return Err(talk.foreign(foreign));
    }
    let length = match first {
        0x00..=0x7f => usize::from(first),
        0x81..=0x84 => number(&talk.bytes(usize::from(first & 0x0f)).await?),
        _ => return Err(talk.foreign(foreign)),
    };
    if length > MAX_ANSWER {
        return Err(talk.foreign("a message that is longer than any answer to StartTLS"));
    }
    let message = talk.bytes(length).await?;
    match answer(&message) {
        Some((0, _)) => Ok(()),
        Some((code, said)) => Err(talk.refused(&format!("{} {said}", named(code)))),
        None => Err(talk.foreign(foreign)),
    }
}

/// Reads the result of an extended response, and what the server says about it.
fn answer(message: &[u8]) -> Option<(usize, String)> {
    let mut message = message;
    let (INTEGER, _id) = element(&mut message)? else { return None };
    let (EXTENDED_RESPONSE, mut response) = element(&mut message)? else { return None };
    let (ENUMERATED, code) = element(&mut response)? else { return None };
    let (_, _matched) = element(&mut response)?;
    let (_, said) = element(&mut response)?;
    (code.len() <= 4).then(|| (number(code), String::from_utf8_lossy(said).into_owned()))
}

/// Takes an element off the front: its tag and what it holds.
fn element<'b>(bytes: &mut &'b [u8]) -> Option<(u8, &'b [u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        0x00..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (number(length), rest)
        }
        _ => return None,
    };
    let (held, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((tag, held))
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number: usize, byte| (number << 8) | usize::from(*byte))
}

/// Names a result as RFC 4511 section 4.1.9 does, as far as it may come here.
fn named(code: usize) -> String {
    let name = match code {
        1 => "operationsError",
        2 => "protocolError",
        10 => "referral",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        80 => "other",
        _ => return format!("result code {code}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_read_and_nothing_hostile_is_believed() {
        let granted = b"\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(answer(granted), Some((0, String::new())));
        let refused = b"\x02\x01\x01\x78\x0c\x0a\x01\x02\x04\x00\x04\x05no...";
        assert_eq!(answer(refused), Some((2, "no...".to_owned())));
        for length in 0..granted.len() {
            assert_eq!(answer(&granted[..length]), None, "cut at {length}");
        }
        for hostile in
            [&b"\x02\x84\xff\xff\xff\xff\x01"[..], b"\x02\x85\x00\x00\x00\x00\x01", b"\x30"]
        {
            assert_eq!(answer(hostile), None);
        }
    }

    #[test]
    fn the_request_is_a_whole_message() {
        let mut message = START_TLS;
        let (SEQUENCE, mut inner) = element(&mut message).unwrap() else { panic!() };
        assert!(message.is_empty());
        element(&mut inner).unwrap();
        let (0x77, mut request) = element(&mut inner).unwrap() else { panic!() };
        assert_eq!(element(&mut request).unwrap(), (0x80, &b"1.3.6.1.4.1.1466.20037"[..]));
        assert!(inner.is_empty() && request.is_empty());
    }
}
