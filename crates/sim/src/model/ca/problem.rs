//! The problem documents that the CA answers with: kinds and statuses as Boulder has them.

use jiff::SignedDuration;
use perennial_core::words::{Identifier, Problem, SubProblem};

use super::message::{CaAnswer, CaFact};

/// A refusal: the problem and how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) problem: Problem,
    pub(super) retry_after: Option<SignedDuration>,
}

pub(super) type Answered = Result<CaAnswer, Refusal>;

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, retry_after: None }
    }
}

impl From<Refusal> for CaAnswer {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.problem.status,
            retry_after: refusal.retry_after,
            body: Err(refusal.problem),
        }
    }
}

pub(super) fn good(status: u16, fact: CaFact) -> CaAnswer {
    CaAnswer { status, retry_after: None, body: Ok(fact) }
}

/// Makes a problem document; `kind` is without its URN.
#[must_use]
pub fn problem(status: u16, kind: &str, detail: impl Into<Box<str>>) -> Problem {
    Problem { kind: kind.into(), detail: detail.into(), status, subproblems: Vec::new() }
}

pub(super) fn malformed(detail: impl Into<Box<str>>) -> Problem {
    problem(400, "malformed", detail)
}

/// What is not there, or no more: Boulder's 404s are of the type `malformed`.
pub(super) fn gone(detail: impl Into<Box<str>>) -> Problem {
    problem(404, "malformed", detail)
}

pub(super) fn unauthorized(detail: impl Into<Box<str>>) -> Problem {
    problem(403, "unauthorized", detail)
}

/// Something in the CA is broken. Boulder sends `Retry-After: 60` with it.
pub(super) fn internal(detail: &str) -> Refusal {
    Refusal {
        problem: problem(500, "serverInternal", detail),
        retry_after: Some(SignedDuration::from_secs(60)),
    }
}

pub(super) fn unavailable() -> Refusal {
    Refusal {
        problem: problem(503, "serverInternal", "The service is down for maintenance"),
        retry_after: Some(SignedDuration::from_secs(120)),
    }
}

/// Names that policy forbids. With one of them there are no subproblems, as at Boulder.
pub(super) fn rejected(names: &[Identifier]) -> Option<Problem> {
    let first = names.first()?;
    let why = |name: &Identifier| {
        format!(
            "Cannot issue for \"{name}\": The ACME server refuses to issue a certificate for this \
             domain name, because it is forbidden by policy"
        )
    };
    let mut found = problem(400, "rejectedIdentifier", why(first));
    if names.len() > 1 {
        let more = names.len() - 1;
        found.detail = format!(
            "{} (and {more} more problems. Refer to sub-problems for more information.)",
            why(first)
        )
        .into();
        found.subproblems = names
            .iter()
            .map(|name| SubProblem {
                kind: "rejectedIdentifier".into(),
                detail: why(name).into(),
                identifier: Some(name.clone()),
            })
            .collect();
    }
    Some(found)
}
