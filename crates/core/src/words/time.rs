//! Spans of time that certificates are made of.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A share in thousandths, 0 to 1000. Draws of chance are kept in this form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permille(u16);

impl Permille {
    /// Makes a share; what is above 1000 counts as 1000.
    #[must_use]
    pub const fn new(thousandths: u16) -> Self {
        Self(if thousandths > 1000 { 1000 } else { thousandths })
    }

    /// Returns the thousandths.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns this share of a span.
    #[must_use]
    pub fn of(self, span: SignedDuration) -> SignedDuration {
        let millis = span.as_millis().saturating_mul(i128::from(self.0)) / 1000;
        SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

/// From when to when an X.509 certificate says it is valid; both ends are inside.
///
/// Invariant: `not_before <= not_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// Returns how long the whole span is.
    #[must_use]
    pub fn lifetime(self) -> SignedDuration {
        self.not_after.duration_since(self.not_before)
    }

    /// Returns the moment at which `percent` of the lifetime has gone.
    #[must_use]
    pub fn elapsed_at(self, percent: u8) -> Timestamp {
        let share = Permille::new(u16::from(percent).saturating_mul(10));
        after(self.not_before, share.of(self.lifetime()))
    }

    /// Returns whether `at` lies inside.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.not_before <= at && at <= self.not_after
    }
}

/// The CA's suggestion of when to renew.
///
/// Source: RFC 9773 section 4.2. Invariant: `start < end`; adapters refuse the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuggestedWindow {
    /// The earliest moment.
    pub start: Timestamp,
    /// The latest moment.
    pub end: Timestamp,
}

impl SuggestedWindow {
    /// Returns the moment that lies `spread` of the way from start to end.
    #[must_use]
    pub fn at(self, spread: Permille) -> Timestamp {
        after(self.start, spread.of(self.end.duration_since(self.start)))
    }
}

/// Adds a span to an instant; what lies beyond the calendar becomes its end.
#[must_use]
pub fn after(instant: Timestamp, span: SignedDuration) -> Timestamp {
    let beyond = if span.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    instant.checked_add(span).unwrap_or(beyond)
}
