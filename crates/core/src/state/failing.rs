//! Names that failed validation at an issuer lately.
//!
//! A CA counts failed validations for each account and name, whichever certificates they were for
//! (Let's Encrypt: five an hour). So they are kept with the issuer: many certificates that share a
//! bad name are to ask for it as often as one would.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::few::Few;
use crate::words::time::after;
use crate::words::{Failure, Identifier};

/// A name that failed validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Which, as the CA validates it: without a wildcard's label.
    pub identifier: Identifier,
    /// What the CA said last.
    pub failure: Failure,
    /// When.
    pub at: Timestamp,
    /// How often in a row, the names of one order counted once.
    pub failures: u16,
}

/// How long a failure is remembered: as long as it counts among those of a day.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// `x` and `*.x` fail within moments of each other, and are one failure of one attempt.
const AT_ONCE: SignedDuration = SignedDuration::from_mins(1);

/// How many names are remembered. Where more fail at one CA, names are hardly to blame.
const MOST: usize = 1_000;

/// Notes that a name failed.
pub(super) fn note(
    all: &mut Few<Failing>,
    at: Timestamp,
    identifier: &Identifier,
    failure: &Failure,
) {
    let before = all.iter().find(|known| known.identifier == *identifier);
    let before = before.filter(|known| after(known.at, REMEMBERED_FOR) > at);
    let more = before.is_none_or(|known| after(known.at, AT_ONCE) <= at);
    let failures = before.map_or(0, |known| known.failures).saturating_add(u16::from(more));
    all.retain(|known| known.identifier != *identifier && after(known.at, REMEMBERED_FOR) > at);
    if all.len() >= MOST {
        all.take_first(|_| true);
    }
    let (identifier, failure) = (identifier.clone(), failure.clone());
    all.push(Failing { identifier, failure, at, failures });
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;
    use crate::words::{Blame, FailureKind};

    fn fail(all: &mut Few<Failing>, minutes: i64, name: &str) {
        let identifier = Identifier::new(name).unwrap();
        let failure = Failure {
            kind: FailureKind::Refused,
            blame: Blame::Name(identifier.clone()),
            attempted: "validate".into(),
            cause: "no".into(),
            problem: None,
        };
        let at = after(Timestamp::UNIX_EPOCH, SignedDuration::from_mins(minutes));
        note(all, at, &identifier, &failure);
    }

    #[test]
    fn failures_of_a_day_are_counted_and_those_of_one_attempt_once() {
        let mut all = Few::new();
        for (minutes, failures) in [(0, 1), (0, 1), (180, 2), (600, 3), (600 + 1440, 1)] {
            fail(&mut all, minutes, "bad.test");
            let known: Vec<u16> = all.iter().map(|known| known.failures).collect();
            assert_eq!(known, [failures], "after {minutes} minutes");
        }
    }

    #[test]
    fn no_more_names_are_remembered_than_names_may_be_to_blame_for() {
        let mut all = Few::new();
        (0..=1_000).for_each(|number| fail(&mut all, 0, &format!("n{number}.test")));
        assert_eq!(all.len(), MOST);
        assert!(all.iter().all(|known| known.identifier.as_str() != "n0.test"));
    }
}
