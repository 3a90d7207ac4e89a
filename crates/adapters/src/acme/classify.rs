//! The one function in which this room's failures are made.
//!
//! ```text
//! what was attempted, at which step, what went wrong ──▶ Failure { kind, blame, … }
//! ```
//!
//! The picture: an exchange can fail in five ways ([`Trouble`]). A refusal is judged by the problem
//! document, in core, where authorizations are judged by the same table. The others are judged
//! here. What makes it hard is that an act may have taken effect although nothing was answered:
//! then, and only then, the kind is `Unknown`. The steps before the act proper (directory, nonce)
//! never make it so.
//!
//! Complications, and how each is met:
//! - A problem may say "later" without saying when: Retry-After says, else the text, else an hour.
//! - A refused `replaces` has many types and texts (409, 404, "not found", another account's): all
//!   of them mean that the order must be made without it. A leaf issued to an account that is no
//!   more could never be renewed otherwise.
//! - A problem about names may not say which: the order's first name is blamed, so that the blame
//!   stays on what shares that name and does not spread to the whole account.
//! - A CA that is down may say until when. Whoever would begin something waits for that, but an hour
//!   at the most: maintenance pages promise much, and a CA that is back earlier is wanted earlier.
//! - 404 means "gone" only where something of ours was asked for.

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{
    Blame, Failure, FailureKind, Identifier, Name, Problem, RateLimit, Url, after, blame_problem,
    blame_status,
};
use perennial_wire::http::{self, Cause, Response, Sent};

use super::json;
use super::link;
use super::problem;
use super::retry_after::{Clamp, retry_at};

/// What an exchange was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Getting the directory.
    Directory,
    /// Getting a nonce.
    Nonce,
    /// Making or finding an account.
    NewAccount,
    /// Making an order.
    NewOrder,
    /// Telling the CA that an answer is up.
    Respond,
    /// Sending the CSR.
    Finalize,
    /// Looking at an order.
    Order,
    /// Looking at an authorization.
    Authorization,
    /// Getting a chain.
    Chain,
    /// Getting renewal information.
    RenewalInfo,
    /// Having a leaf revoked.
    Revoke,
    /// Finding the account that a key has.
    Account,
    /// Giving an account another key.
    ChangeKey,
    /// Ending an account.
    EndAccount,
}

impl Step {
    /// Returns whether this step changes something at the CA.
    const fn is_act(self) -> bool {
        matches!(
            self,
            Self::NewAccount
                | Self::NewOrder
                | Self::Respond
                | Self::Finalize
                | Self::Revoke
                | Self::ChangeKey
                | Self::EndAccount
        )
    }

    /// Returns whether nothing was begun before this step.
    const fn is_beginning(self) -> bool {
        matches!(self, Self::NewAccount | Self::NewOrder)
    }

    /// Returns whether this step asks for something that the CA once gave us.
    const fn is_about_ours(self) -> bool {
        matches!(
            self,
            Self::Respond | Self::Finalize | Self::Order | Self::Authorization | Self::Chain
        )
    }
}

/// What was attempted: the text for people, and what the blame may need.
#[derive(Clone, Debug)]
pub(super) struct Attempt<'a> {
    /// At which CA.
    pub(super) issuer: &'a Name,
    /// "create an order for a.example".
    pub(super) text: String,
    /// For which names, where it is for names.
    pub(super) identifiers: &'a [Identifier],
    /// Whether a predecessor was named.
    pub(super) replaces: bool,
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something of ours: the disk, a key, a programming error.
    Ours(String),
    /// No whole answer.
    Transport(http::Error),
    /// An answer that refuses.
    Refused(Box<Response>),
    /// An answer that says yes and cannot be read.
    Unreadable(String),
    /// The CA does not offer it.
    NotOffered(&'static str),
}

/// Makes the failure of an attempt.
///
/// The kind is `Unknown` exactly if an act may have taken effect.
pub(super) fn classify(
    attempt: &Attempt<'_>,
    step: Step,
    trouble: &Trouble,
    now: Timestamp,
) -> Failure {
    let issuer = || Blame::Issuer(attempt.issuer.clone());
    let (kind, blame, problem) = match trouble {
        Trouble::Ours(_) => (FailureKind::Transient, Blame::Ourselves, None),
        Trouble::NotOffered(_) => (FailureKind::Refused, issuer(), None),
        Trouble::Unreadable(_) if step.is_act() => (FailureKind::Unknown, issuer(), None),
        Trouble::Unreadable(_) if step == Step::RenewalInfo => {
            (FailureKind::Refused, issuer(), None)
        }
        Trouble::Unreadable(_) => (FailureKind::Transient, issuer(), None),
        Trouble::Transport(error) => {
            let (kind, blame) = lost(attempt, step, error, now);
            (kind, blame, None)
        }
        Trouble::Refused(answer) => refused(attempt, step, answer, now),
    };
    Failure {
        kind,
        blame,
        attempted: format!("{} at {}", attempt.text, attempt.issuer).into(),
        cause: cause(step, trouble, now).into(),
        problem: problem.map(Box::new),
    }
}

/// Judges an exchange without a whole answer.
fn lost(
    attempt: &Attempt<'_>,
    step: Step,
    error: &http::Error,
    now: Timestamp,
) -> (FailureKind, Blame) {
    let issuer = Blame::Issuer(attempt.issuer.clone());
    match error.sent {
        Sent::No => match error.cause {
            // Our resolver or our way out; if it is the CA's, other CAs will work and core sees it.
            Cause::Resolve | Cause::NoRoute => (FailureKind::Transient, Blame::Ourselves),
            Cause::Request => (FailureKind::Refused, Blame::Ourselves),
            Cause::Connect | Cause::Tls | Cause::TimedOut | Cause::TooLarge | Cause::Broken => {
                (FailureKind::Transient, issuer)
            }
        },
        // The head refused: nothing took effect, whatever the body would have said.
        Sent::Answered(status) if status >= 400 => by_status(attempt, step, status, None, now),
        Sent::Perhaps | Sent::Answered(_) if step.is_act() => (FailureKind::Unknown, issuer),
        Sent::Perhaps | Sent::Answered(_) => (FailureKind::Transient, issuer),
    }
}

/// Judges a refusal.
fn refused(
    attempt: &Attempt<'_>,
    step: Step,
    answer: &Response,
    now: Timestamp,
) -> (FailureKind, Blame, Option<Problem>) {
    let said = retry_at(answer, now, Clamp::REFUSAL);
    let Some(problem) = problem::of_answer(answer) else {
        let (kind, blame) = by_status(attempt, step, answer.status, said, now);
        return (kind, blame, None);
    };
    if attempt.replaces && step == Step::NewOrder && is_about_predecessor(&problem) {
        return (FailureKind::AlreadyReplaced, Blame::Ourselves, Some(problem));
    }
    let (kind, blame) = blame_problem(&problem, None, attempt.issuer);
    let (kind, blame) = match (kind, step) {
        (FailureKind::Gone, step) if !step.is_about_ours() => by_place(attempt),
        (kind, _) => (kind, blame),
    };
    let kind = when_limited(kind, &problem, said, now);
    let kind = when_busy(kind, step, answer.status, said, now);
    let blame = match kind {
        FailureKind::Gone => blame,
        _ => narrow(blame, &problem, attempt),
    };
    (kind, blame, Some(problem))
}

/// Judges a refusal by its status alone.
fn by_status(
    attempt: &Attempt<'_>,
    step: Step,
    status: u16,
    said: Option<Timestamp>,
    now: Timestamp,
) -> (FailureKind, Blame) {
    let (kind, blame) = blame_status(status, attempt.issuer);
    match kind {
        FailureKind::Gone if attempt.replaces && step == Step::NewOrder => {
            (FailureKind::AlreadyReplaced, Blame::Ourselves)
        }
        FailureKind::Gone if !step.is_about_ours() => by_place(attempt),
        // No problem document: whoever refuses stands before the CA and knows no accounts.
        _ if status == 429 => (FailureKind::RateLimited { until: until(said, now) }, blame),
        FailureKind::Unauthorized if !step.is_about_ours() && !step.is_act() => by_place(attempt),
        kind => (when_busy(kind, step, status, said, now), blame),
    }
}

/// Puts the moment into a CA's own trouble that it says the end of, where nothing is lost by waiting:
/// an order that was begun is gone on with as soon as it can be.
//= https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
fn when_busy(
    kind: FailureKind,
    step: Step,
    status: u16,
    said: Option<Timestamp>,
    now: Timestamp,
) -> FailureKind {
    match (kind, said) {
        (FailureKind::Transient, Some(at)) if status >= 500 && step.is_beginning() => {
            FailureKind::RateLimited { until: Clamp::BUSY.apply(at, now) }
        }
        (kind, _) => kind,
    }
}

/// The CA has nothing where its own directory said, or where we were told its directory is.
fn by_place(attempt: &Attempt<'_>) -> (FailureKind, Blame) {
    (FailureKind::Refused, Blame::Issuer(attempt.issuer.clone()))
}

/// Puts the moment into a refusal that has one: Retry-After's, else the text's, else a guess.
fn when_limited(
    kind: FailureKind,
    problem: &Problem,
    said: Option<Timestamp>,
    now: Timestamp,
) -> FailureKind {
    match (kind, problem.rate_limit()) {
        (FailureKind::RateLimited { until: by_text }, _) => {
            let until = said.unwrap_or_else(|| Clamp::REFUSAL.apply(by_text, now));
            FailureKind::RateLimited { until }
        }
        (FailureKind::Transient, Some(_)) => FailureKind::RateLimited { until: until(said, now) },
        (FailureKind::Transient, None) if problem.status == 429 => {
            FailureKind::RateLimited { until: until(said, now) }
        }
        (kind, _) => kind,
    }
}

fn until(said: Option<Timestamp>, now: Timestamp) -> Timestamp {
    said.unwrap_or_else(|| after(now, UNTOLD))
}

/// How long a limit is respected whose end nobody told.
const UNTOLD: SignedDuration = SignedDuration::from_hours(1);

/// Blames the order's first name for what concerns names without saying which.
fn narrow(blame: Blame, problem: &Problem, attempt: &Attempt<'_>) -> Blame {
    let nameless = problem.is_about_names() || problem.rate_limit() == Some(RateLimit::ExactSet);
    match (blame, attempt.identifiers.first()) {
        (Blame::Ourselves, Some(name)) if nameless => Blame::Name(name.clone()),
        (blame, _) => blame,
    }
}

/// Returns whether a refused order is refused for the predecessor that it names.
fn is_about_predecessor(problem: &Problem) -> bool {
    if problem.rate_limit().is_some() {
        return false;
    }
    let text = problem.detail.to_ascii_lowercase();
    let speaks_of_it =
        ["replac", "certid", "cert id", "given certificate"].iter().any(|word| text.contains(word));
    match &*problem.kind {
        "alreadyReplaced" | "conflict" => true,
        "malformed" => speaks_of_it || matches!(problem.status, 404 | 409),
        "unauthorized" => speaks_of_it,
        _ => false,
    }
}

/// Writes the chain of causes.
fn cause(step: Step, trouble: &Trouble, now: Timestamp) -> String {
    let before = match step {
        Step::Directory => "fetching the directory: ",
        Step::Nonce => "fetching a nonce: ",
        _ => "",
    };
    let text = match trouble {
        Trouble::Ours(text) | Trouble::Unreadable(text) => text.clone(),
        Trouble::Transport(error) => error.to_string(),
        Trouble::NotOffered(what) => format!("the CA offers no {what}"),
        Trouble::Refused(answer) => cause_of_refusal(answer, now),
    };
    format!("{before}{text}")
}

fn cause_of_refusal(answer: &Response, now: Timestamp) -> String {
    let mut text = match problem::of_answer(answer) {
        Some(problem) => format!("{}: {}", problem.kind, problem.detail),
        None => format!("HTTP {}: {}", answer.status, snippet(answer)),
    };
    for page in pages(answer) {
        text.push_str(&format!(" (see {page})"));
    }
    if let Some(at) = retry_at(answer, now, Clamp::REFUSAL) {
        text.push_str(&format!(" (asks to come back at {at})"));
    }
    text
}

/// Returns the pages for people that a refusal points to: help with a limit, new terms, and what the
/// problem itself names (RFC 8555 section 7.3.3).
fn pages(answer: &Response) -> Vec<Url> {
    let relations = ["help", "terms-of-service"];
    let mut pages: Vec<Url> = relations.iter().flat_map(|r| link::links(answer, r)).collect();
    pages.extend(problem::instance(answer));
    pages.dedup();
    pages.truncate(MAX_PAGES);
    pages
}

/// How many pages are shown.
const MAX_PAGES: usize = 3;

/// Returns the beginning of a body that is no problem document: an HTML page, mostly.
fn snippet(answer: &Response) -> Box<str> {
    let text = String::from_utf8_lossy(answer.body.get(..MAX_SNIPPET).unwrap_or(&answer.body));
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [] => "no body".into(),
        words => json::tame(&words.join(" "), MAX_SNIPPET),
    }
}

/// How much of a page is shown.
const MAX_SNIPPET: usize = 200;

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
