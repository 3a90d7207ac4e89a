//! When to try again: tables by what failed and whose fault it was.
//!
//! Delays grow with failures in a row and never exceed seven hours; chance adds up to a quarter, drawn
//! when the attempt ended and recorded. In the reserve the delays of failures that may have been
//! repaired meanwhile shrink to an hour, since asking the CA is then worth an attempt; they are
//! never shorter than the table's floor, also after a lapse.

use jiff::{SignedDuration, Timestamp};

use super::Runway;
use super::due::{at_most_a_quarter, due};
use crate::state::{Attempt, Certificate, Deployment, Failing, LastFailure, Owed, Rest, Trouble};
use crate::words::time::after;
use crate::words::{Blame, FailureKind};

const fn mins(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

const fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// Nobody refused: no connection, 5xx, an answer that did not come.
const TRANSIENT: &[SignedDuration] =
    &[mins(1), mins(2), mins(5), mins(15), mins(30), mins(60), mins(120), mins(360)];

/// A name, zone or solver fails: at most four attempts in any day, as few as a CA may be asked for a
/// name that fails without changed evidence (Let's Encrypt allows five an hour). Three hours and
/// thrice seven are a day; so the fifth comes when the first is a day old, however small chance is.
const REFUSED: &[SignedDuration] = &[mins(180), mins(420)];

/// We may not; a person has to do something.
const UNAUTHORIZED: &[SignedDuration] = &[mins(60), mins(180), mins(360)];

/// The order was gone: at once, then as if transient.
const GONE: &[SignedDuration] = &[secs(0), mins(1), mins(5), mins(15), mins(60), mins(360)];

/// The most that is waited in the reserve.
const RESERVE_AT_MOST: SignedDuration = mins(60);

/// How long a CA's word that too much was asked is taken for. Let's Encrypt's longest is 34 hours
/// (an exact set of names); an answer that names a far day must not end renewal.
const LIMITED_AT_MOST: SignedDuration = SignedDuration::from_hours(36);

/// A target that failed; its own lane, nobody else waits.
const TARGET: &[SignedDuration] = &[secs(10), mins(1), mins(5), mins(15), mins(60)];

/// A server that was told of a leaf and goes on serving another one: told again soon, since reloads
/// are lost, and rarely in the end, since one that does nothing is a person's to mend.
const RELOAD: &[SignedDuration] =
    &[secs(10), mins(1), mins(5), mins(15), mins(60), mins(60), mins(60), mins(360)];

/// A bundle that was taken back, since its server served worse with it: soon once, in case it was
/// something passing, and rarely then, since each try costs clients some seconds.
const PUT_BACK: &[SignedDuration] = &[mins(30), mins(360), mins(1440)];

/// An act within a running attempt that failed for a passing reason.
const WITHIN_ATTEMPT: &[SignedDuration] = &[secs(2), secs(10), secs(30), mins(1), mins(2)];

/// Our account that could not be made: quickly at first, since at a machine's start the network often
/// comes a little later than we do; then as rarely as an issuer in trouble is left alone.
const ACCOUNT: &[SignedDuration] =
    &[secs(2), secs(10), secs(30), mins(1), mins(2), mins(5), mins(15), mins(30)];

/// A withdrawal that failed.
const WITHDRAWAL: &[SignedDuration] = &[secs(5), mins(1), mins(5), mins(30), mins(120)];

/// How often what cannot be withdrawn is tried in the end: it costs nobody anything, and solvers are
/// mended.
const HOPELESS_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Returns the step of a table after `failures` in a row, the last one repeated. What has not failed,
/// but was interrupted, is repeated at once.
fn step(table: &[SignedDuration], failures: u16) -> SignedDuration {
    let Some(index) = usize::from(failures).checked_sub(1) else { return SignedDuration::ZERO };
    table.get(index).or(table.last()).copied().unwrap_or(SignedDuration::ZERO)
}

/// Returns when the next attempt may begin.
pub(super) fn attempt_at(certificate: &Certificate, rest: &Rest, last: &LastFailure) -> Timestamp {
    if certificate.requested_at.is_some_and(|asked| asked > last.at) {
        // A person asked after the failure: they have done something about it.
        return last.at;
    }
    let table = match (last.failure.kind, &last.failure.blame) {
        (FailureKind::RateLimited { until }, _) => {
            let until = until.min(after(last.at, LIMITED_AT_MOST));
            return after(until, at_most_a_quarter(last.jitter).of(mins(10)));
        }
        (FailureKind::Gone | FailureKind::AccountUnknown | FailureKind::AlreadyReplaced, _) => GONE,
        (FailureKind::Unauthorized, _) => UNAUTHORIZED,
        (FailureKind::Refused, _) => REFUSED,
        (FailureKind::Transient | FailureKind::Unknown, Blame::Name(_) | Blame::Zone(_)) => REFUSED,
        (FailureKind::Transient | FailureKind::Unknown, _) => TRANSIENT,
    };
    let delay = shortened(certificate, last.at, step(table, rest.failures));
    after(after(last.at, delay), at_most_a_quarter(last.jitter).of(delay))
}

/// Returns a delay that begins at a moment, shorter where it would last into the reserve.
fn shortened(certificate: &Certificate, at: Timestamp, delay: SignedDuration) -> SignedDuration {
    let at_most = delay.min(RESERVE_AT_MOST);
    if Runway::of(certificate).is_in_reserve(after(at, at_most)) { at_most } else { delay }
}

/// Returns when a CA may be asked again, for this certificate, to validate a name that it refused:
/// by the same table, but counted for the name, whichever certificates it was refused to.
pub(super) fn name_at(certificate: &Certificate, failing: &Failing) -> Timestamp {
    if certificate.requested_at.is_some_and(|asked| asked > failing.at) {
        return failing.at;
    }
    let delay = shortened(certificate, failing.at, step(REFUSED, failing.failures));
    after(failing.at, delay)
}

/// Returns when a certificate whose last attempt failed is tried again, as far as is known now.
#[must_use]
pub fn next_attempt_at(certificate: &Certificate) -> Option<Timestamp> {
    let Attempt::Resting(rest) = &certificate.attempt else { return None };
    let retry_at = attempt_at(certificate, rest, rest.last.as_deref()?);
    Some(retry_at.max(due(certificate).at))
}

/// Returns when a target may be tried again.
#[must_use]
pub fn target_at(trouble: &Trouble) -> Timestamp {
    after(trouble.at, step(TARGET, trouble.failures))
}

/// Returns when a server that was told at a moment, and `reloads` times before, may be told again.
pub(super) fn told_again_at(at: Timestamp, reloads: u16) -> Timestamp {
    after(at, step(RELOAD, reloads.saturating_add(1)))
}

/// Returns until when a bundle that was taken back is left alone.
#[must_use]
pub fn put_back_until(certificate: &Certificate, ledger: &Deployment) -> Option<Timestamp> {
    let trouble = ledger.trouble.as_deref().filter(|_| ledger.put_back > 0)?;
    let delay = shortened(certificate, trouble.at, step(PUT_BACK, ledger.put_back));
    Some(after(trouble.at, delay))
}

/// Returns when an act of a running attempt may be tried again.
#[must_use]
pub fn within_attempt_at(at: Timestamp, failures: u16) -> Timestamp {
    after(at, step(WITHIN_ATTEMPT, failures))
}

/// Returns when making our account may be tried again.
pub(super) fn account_at(trouble: &Trouble) -> Timestamp {
    let retry_at = after(trouble.at, step(ACCOUNT, trouble.failures));
    match trouble.failure.kind {
        FailureKind::RateLimited { until } => {
            retry_at.max(until.min(after(trouble.at, LIMITED_AT_MOST)))
        }
        _ => retry_at,
    }
}

/// Returns when a withdrawal may be tried again.
pub(super) fn withdrawal_at(at: Timestamp, failures: u16) -> Timestamp {
    let is_hopeless = failures >= Owed::TRIES;
    after(at, if is_hopeless { HOPELESS_EVERY } else { step(WITHDRAWAL, failures) })
}
