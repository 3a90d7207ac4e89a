//! Nonces, kept until they are used.
//!
//! Each answer of the CA brings a fresh one, so that in steady work no exchange is spent on asking
//! for one. The pool is small and forgets: a CA forgets too (Boulder after some minutes of traffic),
//! and a stale nonce costs an exchange, not a failure.
//!
//! Source: RFC 8555 section 6.5.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use perennial_wire::http::Response;

/// The nonces of one CA.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<(String, Timestamp)>>);

impl Pool {
    /// Takes the youngest nonce, unless it is stale; then all are, and are dropped.
    pub(super) fn take(&self, now: Timestamp) -> Option<String> {
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (nonce, at) = nonces.pop()?;
        let age = now.duration_since(at);
        if age > FRESH_FOR || age.is_negative() {
            nonces.clear();
            return None;
        }
        Some(nonce)
    }

    /// Keeps the nonce of an answer, if it brought one.
    pub(super) fn keep(&self, nonce: Option<String>, now: Timestamp) {
        let Some(nonce) = nonce else { return };
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= MOST {
            nonces.remove(0);
        }
        nonces.push((nonce, now));
    }
}

/// Returns the nonce that an answer brings.
///
/// What is not base64url is refused, as the RFC demands: it would go into a signed header.
//= https://www.rfc-editor.org/rfc/rfc8555#section-6.5.1
pub(super) fn of_answer(answer: &Response) -> Option<String> {
    let nonce = answer.header("replay-nonce")?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let valid = !nonce.is_empty() && nonce.len() <= MAX_LENGTH && nonce.bytes().all(fits);
    valid.then(|| nonce.to_owned())
}

/// How many nonces are kept: about as many as requests are under way to one CA.
const MOST: usize = 32;

/// How long a nonce counts as fresh.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(5);

/// How long a nonce may be, in octets.
const MAX_LENGTH: usize = 512;

#[cfg(test)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_youngest_goes_first_and_stale_ones_go_all_at_once() {
        let pool = Pool::default();
        pool.keep(Some("old".to_owned()), at("2026-11-21T12:00:00Z"));
        pool.keep(Some("young".to_owned()), at("2026-11-21T12:04:00Z"));
        pool.keep(None, at("2026-11-21T12:04:00Z"));
        assert_eq!(pool.take(at("2026-11-21T12:05:00Z")).as_deref(), Some("young"));
        assert_eq!(pool.take(at("2026-11-21T12:05:01Z")), None);
        assert_eq!(pool.take(at("2026-11-21T12:00:00Z")), None);
    }

    #[test]
    fn the_pool_is_bounded() {
        let pool = Pool::default();
        let now = at("2026-11-21T12:00:00Z");
        (0..100).for_each(|n| pool.keep(Some(n.to_string()), now));
        let taken: Vec<_> = std::iter::from_fn(|| pool.take(now)).collect();
        assert_eq!((taken.len(), taken[0].as_str()), (MOST, "99"));
    }

    #[test]
    fn what_is_no_nonce_is_not_used() {
        let long = "a".repeat(1000);
        for value in ["", "a b", "a\"b", "a=", "é", &long] {
            assert_eq!(of_answer(&answer(200, &[("replay-nonce", value)], "")), None, "{value}");
        }
        let good = answer(200, &[("replay-nonce", " Ab-_9 ")], "");
        assert_eq!(of_answer(&good).as_deref(), Some("Ab-_9"));
    }
}
