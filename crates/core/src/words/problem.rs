//! Whom a problem document blames, and what kind of failure it is.
//!
//! ```text
//! type, HTTP status, subproblems, text ──▶ (kind, blame)
//! ```
//!
//! The type decides where it can. Three things stand only in the text, and are read from it: which
//! name is meant, when to come back, and which limit was hit. Boulder, for one, sends subproblems
//! only when two or more names fail; a single one is named in the text alone. Types unknown here,
//! or of other families, fall back on the HTTP status, as RFC 8555 section 6.7 wants.
//!
//! The texts are Boulder's and Pebble's (sources: boulder `ratelimits/limiter.go`, `ra/ra.go`,
//! `wfe2/wfe.go`, `bdns/problem.go`; pebble `wfe/wfe.go`). Other CAs word them differently; what is
//! not recognised is blamed by type alone, which is coarser but not wrong.
//!
//! Deliberately absent: any judgement over several problems. That one CA fails for a thousand names
//! at once is a pattern, and seeing it is `decide`'s.

use alloc::vec::Vec;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Blame, FailureKind, Identifier, Name, Problem};

/// Which limit a `rateLimited` problem speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// The account is paused for some names until a person lifts it; it never heals by itself.
    Paused,
    /// Too many leaves for, or failed authorizations of, this name.
    Name(Identifier),
    /// Too many leaves for exactly this set of names.
    ExactSet,
    /// Too many new accounts from where we are.
    Registrations,
    /// Anything else, counted per account as far as is known.
    Account,
}

/// Returns what kind of failure a problem is, and the one thing at fault.
///
/// `identifier` is the one being validated, if the problem is the error of a challenge; none, if
/// the problem answers a request. `issuer` is who says it.
///
/// A `rateLimited` that names no moment is `Transient` here: whoever holds the answer's Retry-After
/// knows better.
#[must_use]
pub fn blame_problem(
    problem: &Problem,
    identifier: Option<&Identifier>,
    issuer: &Name,
) -> (FailureKind, Blame) {
    let account = || Blame::Account(issuer.clone());
    if let Some(limit) = problem.rate_limit() {
        return limited(&limit, problem.until(), identifier, issuer);
    }
    match &*problem.kind {
        "serverInternal" | "badNonce" => (FailureKind::Transient, Blame::Issuer(issuer.clone())),
        "dns" if is_their_resolver(&problem.detail) => {
            (FailureKind::Transient, Blame::Issuer(issuer.clone()))
        }
        "accountDoesNotExist" => (FailureKind::AccountUnknown, account()),
        "alreadyReplaced" => (FailureKind::AlreadyReplaced, Blame::Ourselves),
        _ => match identifier {
            Some(identifier) => (FailureKind::Refused, Blame::Name(identifier.clone())),
            None => blame_refused_request(problem, issuer),
        },
    }
}

fn limited(
    limit: &RateLimit,
    until: Option<Timestamp>,
    identifier: Option<&Identifier>,
    issuer: &Name,
) -> (FailureKind, Blame) {
    let kind = until.map_or(FailureKind::Transient, |until| FailureKind::RateLimited { until });
    match limit {
        RateLimit::Paused => (FailureKind::Unauthorized, Blame::Account(issuer.clone())),
        RateLimit::Name(name) => (kind, Blame::Name(name.clone())),
        RateLimit::ExactSet => (kind, identifier.cloned().map_or(Blame::Ourselves, Blame::Name)),
        RateLimit::Registrations => (kind, Blame::Ourselves),
        RateLimit::Account => (kind, Blame::Account(issuer.clone())),
    }
}

/// Blames a problem that answers a request of ours.
fn blame_refused_request(problem: &Problem, issuer: &Name) -> (FailureKind, Blame) {
    let account = || (FailureKind::Unauthorized, Blame::Account(issuer.clone()));
    match &*problem.kind {
        "externalAccountRequired" | "userActionRequired" => account(),
        "orderNotReady" => (FailureKind::Transient, Blame::Ourselves),
        "malformed" if is_gone(problem) => (FailureKind::Gone, Blame::Ourselves),
        "malformed" if has_moved_on(&problem.detail) => (FailureKind::Transient, Blame::Ourselves),
        "unauthorized" if has_expired(&problem.detail) => (FailureKind::Gone, Blame::Ourselves),
        // What is not authorized is the CSR, for it names other names than the order does.
        "unauthorized" if problem.detail.contains("CSR") => {
            (FailureKind::Refused, Blame::Ourselves)
        }
        "unauthorized" if !problem.is_about_names() => account(),
        _ if problem.is_about_names() => {
            let name = problem.named().into_iter().next();
            (FailureKind::Refused, name.map_or(Blame::Ourselves, Blame::Name))
        }
        "malformed"
        | "conflict"
        | "badCSR"
        | "badPublicKey"
        | "badSignatureAlgorithm"
        | "badRevocationReason"
        | "alreadyRevoked"
        | "invalidContact"
        | "unsupportedContact"
        | "invalidProfile" => (FailureKind::Refused, Blame::Ourselves),
        _ => blame_status(problem.status, issuer),
    }
}

/// Returns what an HTTP status alone says.
#[must_use]
pub fn blame_status(status: u16, issuer: &Name) -> (FailureKind, Blame) {
    match status {
        401 | 403 => (FailureKind::Unauthorized, Blame::Account(issuer.clone())),
        404 | 410 => (FailureKind::Gone, Blame::Ourselves),
        429 => (FailureKind::Transient, Blame::Account(issuer.clone())),
        400 | 405..=407 | 409 | 411..=428 | 430..=499 => (FailureKind::Refused, Blame::Ourselves),
        // 408, 5xx, and what should never have been the status of a problem.
        _ => (FailureKind::Transient, Blame::Issuer(issuer.clone())),
    }
}

impl Problem {
    /// Returns the names this problem speaks of: those of subproblems first, then those found in the
    /// text, without repetition.
    #[must_use]
    pub fn named(&self) -> Vec<Identifier> {
        let mut names: Vec<Identifier> = Vec::new();
        let of_subproblems = self.subproblems.iter().filter_map(|sub| sub.identifier.clone());
        for name in of_subproblems.chain(names_in(&self.detail)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns whether it is for reasons of some names that the CA refuses.
    #[must_use]
    pub fn is_about_names(&self) -> bool {
        let of_a_name = |kind: &str| NAME_KINDS.contains(&kind);
        match &*self.kind {
            // "Profile "shortlived" does not permit ip type identifiers": our configuration.
            "rejectedIdentifier" if self.detail.contains("does not permit") => false,
            "unauthorized" => self.detail.contains(NOT_AUTHORIZED) || self.detail.contains("CAA"),
            "compound" => self.subproblems.iter().any(|sub| of_a_name(&sub.kind)),
            kind => of_a_name(kind),
        }
    }

    /// Returns which limit was hit, if one was.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        // Boulder pauses under `rateLimited`; the link is the surer sign.
        if self.detail.contains("temporarily prevented") || self.detail.contains("/unpause?") {
            return Some(RateLimit::Paused);
        }
        if &*self.kind != "rateLimited" {
            return None;
        }
        if self.detail.contains("exact set of") {
            return Some(RateLimit::ExactSet);
        }
        if self.detail.contains("new registrations") {
            return Some(RateLimit::Registrations);
        }
        let name = self.named().into_iter().next();
        Some(name.map_or(RateLimit::Account, RateLimit::Name))
    }

    /// Returns when the text says to come back.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        let (_, text) = self.detail.split_once("retry after ")?;
        // Boulder writes `2006-01-02 15:04:05 MST`, always in UTC; older releases wrote RFC 3339.
        let clock: DateTime = text.get(..19)?.parse().ok()?;
        Some(clock.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    /// Returns the page on which a person can lift a pause.
    #[must_use]
    pub fn unpause_url(&self) -> Option<&str> {
        let words = self.detail.split_ascii_whitespace();
        words.into_iter().find(|word| word.starts_with("https://") && word.contains("/unpause?"))
    }
}

/// Types that say something of a name. Sources: RFC 8555 section 6.7, RFC 9799.
const NAME_KINDS: [&str; 9] = [
    "caa",
    "connection",
    "dns",
    "incorrectResponse",
    "onionCAARequired",
    "rejectedIdentifier",
    "tls",
    "unknownHost",
    "unsupportedIdentifier",
];

/// Boulder's words at finalize, followed by "not valid: a, b", "not found: …" or "expired: …".
const NOT_AUTHORIZED: &str = "authorizations for these identifiers";

/// Finds names in a CA's text: in quotes, after "for", and in Boulder's list at finalize.
///
/// A name must have a dot or be an address, so that quoted words like "pending" do not count.
fn names_in(text: &str) -> impl Iterator<Item = Identifier> {
    let quoted = text.split('"').skip(1).step_by(2);
    let after_for = text.split(" for ").skip(1).filter_map(|rest| rest.split(' ').next());
    let listed = text
        .split_once(NOT_AUTHORIZED)
        .and_then(|(_, rest)| rest.split_once(": "))
        .map_or("", |(_, list)| list)
        .split(", ");
    quoted.chain(after_for).chain(listed).filter_map(name_in)
}

fn name_in(word: &str) -> Option<Identifier> {
    let word = word.trim_matches(|c: char| matches!(c, '"' | '\'' | ':' | ',' | ';' | '.'));
    let name = Identifier::new(&word.to_ascii_lowercase()).ok()?;
    (name.is_ip() || name.as_str().contains('.')).then_some(name)
}

/// Boulder says so when its own resolver could not be asked or broke; a name's own servers show as
/// SERVFAIL, NXDOMAIN or a time-out.
fn is_their_resolver(detail: &str) -> bool {
    detail.contains("server failure at resolver")
        || detail.contains("DNS problem: networking error")
}

fn is_gone(problem: &Problem) -> bool {
    matches!(problem.status, 404 | 410) || problem.detail.contains("xpired")
}

fn has_expired(detail: &str) -> bool {
    let dead = |rest: &str| rest.starts_with(" expired") || rest.starts_with(" not found");
    detail.split_once(NOT_AUTHORIZED).is_some_and(|(_, rest)| dead(rest))
}

/// The challenge is no longer pending: asking how it stands shows what to do.
fn has_moved_on(detail: &str) -> bool {
    detail.contains("must be pending") || detail.contains("Cannot update challenge with status")
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
