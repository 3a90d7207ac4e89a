//! What the fuzzer feeds: answers of a CA, read as every kind of answer that there is.

use jiff::Timestamp;
use perennial_core::words::{ChallengeKind, Failure, Identifier, Name, Url};
use perennial_wire::http::Response;

use super::classify::{Attempt, Step, Trouble, classify};
use super::directory::Directory;
use super::{answer, link, nonce};

/// Reads one answer in every way in which answers are read, and returns the failure that it would
/// be, were it a refusal.
#[must_use]
pub fn read(answer: &Response, issuer: &Name, name: &Identifier, now: Timestamp) -> Failure {
    let url = || Url(answer.url.as_str().into());
    let _ = Directory::read(answer);
    let _ = answer::account(answer);
    let _ = answer::new_order(answer, now);
    let _ = answer::order(answer, url(), now);
    let _ = answer::authorization(answer, url(), now);
    let _ = answer::challenge(answer, &url(), &ChallengeKind::Http01);
    let _ = answer::renewal_info(answer, now);
    let _ = nonce::of_answer(answer);
    let _ = link::links(answer, "alternate");
    let attempt = Attempt {
        issuer,
        text: "try".to_owned(),
        identifiers: std::slice::from_ref(name),
        replaces: true,
    };
    classify(&attempt, Step::NewOrder, &Trouble::Refused(Box::new(answer.clone())), now)
}
