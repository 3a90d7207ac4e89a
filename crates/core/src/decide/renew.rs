//! When a leaf should be renewed.
//!
//! Two voices are heard: our own schedule, a fixed share of the lifetime or what the operator
//! declared, and the CA's suggestion (ARI), which replaces the schedule when one is on record. A
//! suggestion may bring renewal forward without limit, but may never push it past
//! [`RENEW_BY_PERCENT`] of the lifetime: a CA that answers nonsense must not be able to make a
//! certificate lapse.
//!
//! Where in the suggested window we go is drawn once for each window and kept in the journal, so
//! that replaying the journal decides alike, and so that looking often does not bring renewal
//! forward (the earliest of many draws would).

use jiff::{SignedDuration, Timestamp};

use crate::words::time::after;
use crate::words::{Permille, SuggestedWindow, Validity};

/// Returns the moment at which renewal becomes due.
///
/// `spread` places us inside the suggested window, in permille of its length. `before` is the
/// operator's own wish, clamped to half the lifetime.
///
//= https://www.rfc-editor.org/rfc/rfc9773#section-4.2
#[must_use]
pub fn renew_at(
    validity: Validity,
    suggested: Option<(SuggestedWindow, Permille)>,
    before: Option<SignedDuration>,
) -> Timestamp {
    let latest = validity.elapsed_at(RENEW_BY_PERCENT);
    if let Some((window, spread)) = suggested {
        return window.at(spread).min(latest);
    }
    let Some(before) = before else {
        return validity.elapsed_at(renew_at_percent(validity.lifetime()));
    };
    let half = Permille::new(500).of(validity.lifetime());
    after(validity.not_after, -before.min(half)).min(latest)
}

/// Share of the lifetime after which we renew of our own accord: a third is left for failures, and
/// half where the whole lifetime is under ten days.
const fn renew_at_percent(lifetime: SignedDuration) -> u8 {
    if lifetime.as_hours() < 240 { 50 } else { 66 }
}

/// Share of the lifetime past which no suggestion and no wish is followed.
pub const RENEW_BY_PERCENT: u8 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn days(from: &str, to: &str) -> Validity {
        Validity { not_before: at(from), not_after: at(to) }
    }

    #[test]
    fn a_third_is_left_and_half_of_a_short_life() {
        let quarter = days("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        assert_eq!(renew_at(quarter, None, None), at("2026-03-01T09:36:00Z"));
        let week = days("2026-01-01T00:00:00Z", "2026-01-07T00:00:00Z");
        assert_eq!(renew_at(week, None, None), at("2026-01-04T00:00:00Z"));
    }

    #[test]
    fn a_late_suggestion_cannot_cause_a_lapse() {
        let validity = days("2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z");
        let late =
            SuggestedWindow { start: at("2027-01-01T00:00:00Z"), end: at("2027-01-02T00:00:00Z") };
        let due = renew_at(validity, Some((late, Permille::new(500))), None);
        assert_eq!(due, at("2026-01-09T00:00:00Z"));
    }

    #[test]
    fn an_early_suggestion_is_followed_at_the_drawn_place() {
        let validity = days("2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z");
        let window =
            SuggestedWindow { start: at("2026-01-02T00:00:00Z"), end: at("2026-01-03T00:00:00Z") };
        let due = renew_at(validity, Some((window, Permille::new(250))), None);
        assert_eq!(due, at("2026-01-02T06:00:00Z"));
    }

    #[test]
    fn a_declared_wish_is_clamped_to_half_the_lifetime() {
        let validity = days("2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z");
        let wish = Some(SignedDuration::from_hours(24 * 45));
        assert_eq!(renew_at(validity, None, wish), at("2026-01-06T00:00:00Z"));
        let lazy = Some(SignedDuration::from_hours(1));
        assert_eq!(renew_at(validity, None, lazy), at("2026-01-09T00:00:00Z"));
    }
}
