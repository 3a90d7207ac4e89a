//! Durations as people write them: `45d`, `90s`, `1h30m`. The unit is required.

use jiff::SignedDuration;

/// Seconds in each unit, the longest first.
const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The longest duration that means anything here: a century.
const LONGEST_SECS: i64 = 36_525 * 86_400;

/// Reads a duration: whole numbers with units, the longer before the shorter, each at most once.
///
/// # Errors
///
/// Returns what is wrong, for people.
pub fn parse_duration(text: &str) -> Result<SignedDuration, &'static str> {
    let mut seconds = 0_i64;
    let mut shorter_than = i64::MAX;
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let (_, unit) =
            *UNITS.iter().find(|(unit, _)| *unit == c).ok_or("its units are w, d, h, m and s")?;
        if digits.is_empty() {
            return Err("a unit stands without a number");
        }
        if unit >= shorter_than {
            return Err("the longer unit stands first, and each unit once");
        }
        let count: i64 = digits.parse().map_err(|_| "it is longer than a century")?;
        let part = count.checked_mul(unit).ok_or("it is longer than a century")?;
        seconds = seconds.checked_add(part).ok_or("it is longer than a century")?;
        shorter_than = unit;
        digits.clear();
    }
    if !digits.is_empty() {
        return Err("a unit is missing");
    }
    if shorter_than == i64::MAX {
        return Err("it is empty");
    }
    if seconds > LONGEST_SECS {
        return Err("it is longer than a century");
    }
    Ok(SignedDuration::from_secs(seconds))
}

/// Writes a duration so that [`parse_duration`] reads it: `1d2h`. What is below a second is left
/// out, and what is negative is nothing.
#[must_use]
pub fn format_duration(span: SignedDuration) -> String {
    let mut rest = span.as_secs().max(0);
    let mut text = String::new();
    // Weeks are read and not written: people compare lifetimes in days.
    for (unit, length) in UNITS.iter().skip(1) {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { String::from("0s") } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        for (text, seconds) in
            [("90s", 90), ("45d", 3_888_000), ("1h30m", 5_400), ("2w", 1_209_600), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["90", "", "s", "1x", "1m1h", "1h1h", "1.5h", "-1s", "99999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(seconds in 0..LONGEST_SECS) {
            let span = SignedDuration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(span)), Ok(span));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = parse_duration(&text);
        }
    }
}
