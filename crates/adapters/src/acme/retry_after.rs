//! When to come back: the `Retry-After` of an answer.
//!
//! ```text
//! now + seconds                      Retry-After: 120
//! now + (moment - their clock)       Retry-After: Fri, 31 Dec 1999 23:59:59 GMT, with a Date
//! moment                             the same, without a Date
//! ```
//!
//! A moment is measured against the CA's own `Date`, so that a clock that runs elsewhere than ours
//! does no harm. What comes out is clamped by [`Clamp`]: a CA that says "in a hundred years", or
//! "at once", is not followed to the letter.
//!
//! Source: RFC 9110 section 10.2.3, RFC 8555 sections 6.6, 7.5.1 and 8.2.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use perennial_core::words::after;
use perennial_wire::http::Response;

/// Between which waits a `Retry-After` is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clamp {
    least: SignedDuration,
    most: SignedDuration,
}

impl Clamp {
    /// For polling orders and authorizations. ZeroSSL has asked for a day.
    pub(super) const POLL: Self =
        Self { least: SignedDuration::from_secs(1), most: SignedDuration::from_hours(24) };
    /// For renewal information: RFC 9773 section 4.3.2.
    //= https://www.rfc-editor.org/rfc/rfc9773#section-4.3.2
    pub(super) const RENEWAL_INFO: Self =
        Self { least: SignedDuration::from_secs(60), most: SignedDuration::from_hours(24) };
    /// For refusals. The longest limit known counts over 7 days.
    pub(super) const REFUSAL: Self =
        Self { least: SignedDuration::from_secs(1), most: SignedDuration::from_hours(8 * 24) };

    /// For a CA that is down: nobody is kept away for longer by a page that promises nothing sooner.
    pub(super) const BUSY: Self =
        Self { least: SignedDuration::from_secs(1), most: SignedDuration::from_hours(1) };

    /// Moves a moment into the allowed span from now.
    pub(super) fn apply(self, moment: Timestamp, now: Timestamp) -> Timestamp {
        moment.clamp(after(now, self.least), after(now, self.most))
    }
}

/// Returns when an answer asks to come back, clamped.
pub(super) fn retry_at(answer: &Response, now: Timestamp, clamp: Clamp) -> Option<Timestamp> {
    let value = answer.header("retry-after")?;
    let moment = match seconds(value) {
        Some(span) => after(now, span),
        None => {
            let moment = http_date(value)?;
            match answer.header("date").and_then(http_date) {
                Some(their_now) => after(now, moment.duration_since(their_now)),
                None => moment,
            }
        }
    };
    Some(clamp.apply(moment, now))
}

/// Reads a number of seconds; one that no clock can hold counts as the largest.
fn seconds(value: &str) -> Option<SignedDuration> {
    let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| SignedDuration::from_secs(value.parse().unwrap_or(i64::MAX)))
}

/// Reads an HTTP date in its three forms (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let clock = FORMS.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    Some(clock.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |moment| moment.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn read(headers: &[(&str, &str)], clamp: Clamp) -> Option<String> {
        let now = NOW.parse().unwrap();
        retry_at(&answer(429, headers, ""), now, clamp).map(|at| at.to_string())
    }

    #[test]
    fn seconds_and_the_three_forms_of_dates_are_read() {
        let forms = [
            "120",
            " 120 ",
            "Sat, 21 Nov 2026 12:02:00 GMT",
            "Saturday, 21-Nov-26 12:02:00 GMT",
            "Sat Nov 21 12:02:00 2026",
        ];
        for form in forms {
            let read = read(&[("retry-after", form)], Clamp::POLL);
            assert_eq!(read.as_deref(), Some("2026-11-21T12:02:00Z"), "{form}");
        }
    }

    #[test]
    fn a_moment_is_measured_against_the_clock_of_who_says_it() {
        let headers = [
            ("retry-after", "Mon, 01 Jan 2001 00:02:00 GMT"),
            ("date", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ];
        assert_eq!(read(&headers, Clamp::POLL).as_deref(), Some("2026-11-21T12:02:00Z"));
    }

    #[test]
    fn what_is_absurd_is_clamped() {
        let table = [
            ("0", Clamp::POLL, "2026-11-21T12:00:01Z"),
            ("0", Clamp::RENEWAL_INFO, "2026-11-21T12:01:00Z"),
            ("99999999999999999999", Clamp::POLL, "2026-11-22T12:00:00Z"),
            ("18446744073709551615", Clamp::POLL, "2026-11-22T12:00:00Z"),
            ("99999999", Clamp::REFUSAL, "2026-11-29T12:00:00Z"),
            ("Mon, 01 Jan 2001 00:00:00 GMT", Clamp::POLL, "2026-11-21T12:00:01Z"),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Clamp::POLL, "2026-11-22T12:00:00Z"),
            ("-5", Clamp::POLL, ""),
            ("soon", Clamp::POLL, ""),
            ("", Clamp::POLL, ""),
        ];
        for (value, clamp, expected) in table {
            let read = read(&[("retry-after", value)], clamp);
            assert_eq!(read.as_deref().unwrap_or_default(), expected, "{value}");
        }
    }

    #[test]
    fn without_the_header_there_is_no_moment() {
        assert_eq!(read(&[], Clamp::POLL), None);
    }
}
