//! File names for slots: readable, reversible, safe in any folder.
//!
//! Slots are text such as `certificate/www/3`. What is not plain is written `%2f`, also a leading
//! dot. A name that would be too long for a file system becomes its beginning, `~` and the SHA-256
//! of the slot; its slot then stands in the file's header alone.

use std::fmt::Write;

use aws_lc_rs::digest;

/// The longest name in bytes; file systems allow 255.
const LIMIT: usize = 200;

/// Returns the file name of a slot.
pub(super) fn encode(slot: &str) -> String {
    let mut name = String::with_capacity(slot.len() + 8);
    for (index, byte) in slot.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if plain || (byte == b'.' && index > 0) {
            name.push(char::from(byte));
        } else {
            push_hex(&mut name, "%", &[byte]);
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    if name.len() > LIMIT {
        name.truncate(LIMIT - 65);
        push_hex(&mut name, "~", digest::digest(&digest::SHA256, slot.as_bytes()).as_ref());
    }
    name
}

/// Returns the slot of a file name, or nothing if only the file's header tells.
pub(super) fn decode(name: &str) -> Option<String> {
    if name == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'~' => return None,
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
                bytes.push(u8::try_from(value).ok()?);
            }
            plain => bytes.push(plain),
        }
    }
    String::from_utf8(bytes).ok()
}

fn push_hex(name: &mut String, mark: &str, bytes: &[u8]) {
    name.push_str(mark);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_become_safe_names_and_come_back() {
        let table = [
            ("account/letsencrypt", "account%2fletsencrypt"),
            ("certificate/www/3", "certificate%2fwww%2f3"),
            ("", "%"),
            (".", "%2e"),
            ("..", "%2e."),
            ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd"),
            ("a~b%c", "a%7eb%25c"),
            ("nul\0", "nul%00"),
            ("ü", "%c3%bc"),
            ("A.b-c_d", "A.b-c_d"),
        ];
        for (slot, name) in table {
            assert_eq!(encode(slot), name, "{slot}");
            assert_eq!(decode(name).as_deref(), Some(slot), "{name}");
        }
    }

    #[test]
    fn long_slots_get_short_names_that_differ() {
        let long = |last: &str| format!("certificate/{}/{last}", "x".repeat(300));
        let (one, two) = (encode(&long("1")), encode(&long("2")));
        assert_eq!((one.len(), two.len()), (LIMIT, LIMIT));
        assert_ne!(one, two);
        assert_eq!(decode(&one), None);
    }
}
