//! Reading JSON that somebody else wrote: tolerant of what is missing or odd, strict about size.
//!
//! Members of the wrong type count as missing. The number of bytes is bounded by whoever fetched
//! them, the depth by the parser (128); texts and lists are bounded here.

use jiff::Timestamp;
use perennial_core::words::Url;
use perennial_wire::http::Response;
use serde_json::Value;

/// How long a text meant for people may be; what is beyond is cut off.
pub(super) const MAX_TEXT: usize = 4096;

/// How many entries of a list are read. LE's orders have at most 100 names; other CAs' a few
/// hundred.
pub(super) const MAX_ENTRIES: usize = 1000;

/// Parses an object.
///
/// # Errors
///
/// Returns what is wrong with it.
pub(super) fn object(bytes: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err("the answer is JSON, but no object".to_owned()),
        Err(error) => Err(format!("the answer is no JSON: {error}")),
    }
}

/// Returns a member that is text.
pub(super) fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member)?.as_str()
}

/// Returns a member that is an instant (RFC 3339).
pub(super) fn instant(value: &Value, member: &str) -> Option<Timestamp> {
    text(value, member)?.parse().ok()
}

/// Returns a member that is a web address, resolved against where the answer came from.
pub(super) fn url(answer: &Response, value: &Value, member: &str) -> Option<Url> {
    address(answer, text(value, member)?)
}

/// Returns a text as a web address, resolved against where the answer came from.
pub(super) fn address(answer: &Response, reference: &str) -> Option<Url> {
    answer.resolve(reference).map(|url| Url(url.into()))
}

/// Returns the entries of a member that is a list; none if it is not.
pub(super) fn entries<'v>(value: &'v Value, member: &str) -> impl Iterator<Item = &'v Value> {
    let list = value.get(member).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().take(MAX_ENTRIES)
}

/// Makes a text safe to print and to keep: no control characters, and not too long.
pub(super) fn tame(text: &str, limit: usize) -> Box<str> {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let tamed: String = text.trim().chars().take(limit).map(printable).collect();
    tamed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_refused_with_a_reason() {
        for bytes in [&b""[..], b"[]", b"null", b"<html>", b"{", &[0xff, 0xfe]] {
            assert!(object(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn absurd_depth_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(object(deep.as_bytes()).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn members_of_the_wrong_type_count_as_missing() {
        let value = object(br#"{"a":1,"b":"2026-13-01T00:00:00Z","c":{"d":1}}"#).unwrap();
        assert_eq!(text(&value, "a"), None);
        assert_eq!(instant(&value, "b"), None);
        assert_eq!(entries(&value, "c").count(), 0);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(&*tame("a\x1b[31mb\r\nc", 100), "a [31mb  c");
        assert_eq!(&*tame(&"é".repeat(10), 3), "ééé");
    }
}
