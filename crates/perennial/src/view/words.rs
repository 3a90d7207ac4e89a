//! Times and texts as people read them.

use jiff::{SignedDuration, Timestamp};

/// Returns a moment in UTC, to the minute: `2026-12-14 09:12 UTC`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns a span in its largest unit: `23 d`, `5 h`, `12 min`, `40 s`. What is negative is `0 s`.
#[must_use]
pub fn span(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Returns when something is or was, seen from now: `in 8 d`, `2 h ago`, `now`.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let ahead = at.duration_since(now);
    match ahead.as_secs() {
        0 => String::from("now"),
        1.. => format!("in {}", span(ahead)),
        _ => format!("{} ago", span(-ahead)),
    }
}

/// Makes a text of others safe for a terminal: no control characters, no hidden directions, one line.
#[must_use]
pub fn safe(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Returns at most `most` characters of a text, safe for a terminal.
#[must_use]
pub fn shorten(text: &str, most: usize) -> String {
    let text = safe(text);
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        let cases = [
            (-5, "0 s"),
            (40, "40 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
            (86_400 * 58 + 5, "58 d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn texts_of_others_do_nothing_to_a_terminal() {
        assert_eq!(safe("a\u{1b}[31mb\nc\u{202e}d"), "a\u{fffd}[31mb c\u{fffd}d");
        assert_eq!(shorten("abcdefgh", 6), "abc...");
    }
}
