//! Instants in eight bytes, for what the driver holds of every certificate.

use core::num::NonZeroI64;

use jiff::Timestamp;

/// An instant in nanoseconds; an absent one takes no room.
///
/// What lies beyond the year 2262 counts as its end: nothing that the driver waits for lies that
/// far ahead, and being woken then is harmless. The first nanosecond of 1970 counts as the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroI64);

impl Moment {
    pub(super) fn of(at: Timestamp) -> Self {
        let nanos = at.as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Self(NonZeroI64::new(nanos).unwrap_or(ONE))
    }

    pub(super) fn at(self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0.get())).unwrap_or(Timestamp::MAX)
    }

    /// Returns a span in nanoseconds.
    pub(super) fn nanos(span: jiff::SignedDuration) -> i64 {
        i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Returns the nanoseconds from another moment to this one.
    pub(super) const fn since(self, other: Self) -> i64 {
        self.0.get().saturating_sub(other.0.get())
    }

    pub(super) fn later(self, nanos: i64) -> Self {
        Self(NonZeroI64::new(self.0.get().saturating_add(nanos)).unwrap_or(ONE))
    }
}

const ONE: NonZeroI64 = NonZeroI64::new(1).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_instant_it_was_made_of_within_five_centuries() {
        for text in [
            "1970-01-01T00:00:00.000000001Z",
            "1800-01-01T00:00:00Z",
            "2261-12-31T23:59:59.999999999Z",
        ] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(Moment::of(at).at(), at);
        }
        assert!(Moment::of(Timestamp::MAX) > Moment::of("2262-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
