//! How deep a document goes, measured before the parser builds it.
//!
//! The parser bounds brackets but not dots: `a.a.a.a = 1` makes a table for each, and a tree of a
//! million tables overflows the stack when it is taken apart. So brackets and dots outside of texts
//! are counted first, by a scanner that knows no more of TOML than where texts and comments end.

/// The deepest nesting of brackets and braces; ours need three.
const BRACKETS_LIMIT: usize = 16;

/// The most dots in one key; ours need two.
const DOTS_LIMIT: usize = 32;

/// Returns where the document becomes deeper than any configuration is.
pub(crate) fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut brackets, mut dots) = (0, 0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = after_text(bytes, at, *byte);
                continue;
            }
            b'#' => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'[' | b'{' => (brackets, dots) = (brackets + 1, 0),
            b']' | b'}' => (brackets, dots) = (brackets.saturating_sub(1), 0),
            b',' | b'=' | b'\n' => dots = 0,
            b'.' => dots += 1,
            _ => {}
        }
        if brackets > BRACKETS_LIMIT || dots > DOTS_LIMIT {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Returns the place after a text that begins here; one without end ends with its line, or with the
/// document if it is of the kind that spans lines.
fn after_text(bytes: &[u8], start: usize, quote: u8) -> usize {
    let triple = [quote; 3];
    let rest = bytes.get(start..).unwrap_or_default();
    if !rest.starts_with(&triple) {
        let mut escaped = false;
        for (offset, byte) in rest.iter().enumerate().skip(1) {
            match byte {
                b'\n' => return start + offset,
                _ if escaped => escaped = false,
                b'\\' if quote == b'"' => escaped = true,
                byte if *byte == quote => return start + offset + 1,
                _ => {}
            }
        }
        return bytes.len();
    }
    let mut at = start + 3;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(&triple) {
            return at + 3;
        }
        at += if quote == b'"' && rest.starts_with(b"\\") { 2 } else { 1 };
    }
    bytes.len()
}

fn end_of_line(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |offset| start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts_and_comments() {
        let dots = "a.".repeat(100);
        let brackets = "[".repeat(100);
        for fine in [
            format!("x = \"{dots}{brackets}\""),
            format!("x = '{dots}' # {dots}{brackets}\ny = 1"),
            format!("x = \"\"\"\n{dots}\n{brackets}\"\"\""),
            format!("x = \"\\\"{dots}\""),
            String::from("x = 1.5\n").repeat(100),
        ] {
            assert_eq!(too_deep(&fine), None, "{fine}");
        }
        for deep in [
            format!("{dots}a = 1"),
            format!("[{dots}a]"),
            format!("x = {{ y = \"\", {dots}a = 1 }}"),
            format!("x = {brackets}"),
            format!("\"a\".{dots}a = 1"),
        ] {
            assert!(too_deep(&deep).is_some(), "{deep}");
        }
    }
}
