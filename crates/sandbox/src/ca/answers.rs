//! From the model's answers to HTTP's.

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, LINK, LOCATION, RETRY_AFTER};
use jiff::SignedDuration;
use perennial_core::words::{ChallengeFacts, Problem};
use perennial_sim::model::ca::{CaAnswer, CaFact, CaRequest, IssuedLeaf};

use super::{State, json};
use crate::http::{Answer, answer, empty};

/// Writes the model's answer to a request.
pub(super) fn write(state: &mut State, asked: &CaRequest, reply: &CaAnswer) -> Answer {
    // Boulder: nonces come with answers to signed requests, and where they are asked for.
    let signed = !matches!(asked, CaRequest::Directory | CaRequest::RenewalInfo { .. });
    let mut written = match &reply.body {
        Ok(fact) => good(state, asked, reply.status, fact),
        Err(found) => bad(state, found, reply.retry_after.is_some()),
    };
    set_retry_after(&mut written, reply.retry_after);
    finish(state, &mut written, signed);
    written
}

/// Writes a refusal that is not the model's.
pub(super) fn refusal(
    state: &mut State,
    found: &Problem,
    retry_after: Option<SignedDuration>,
) -> Answer {
    let mut written = bad(state, found, retry_after.is_some());
    set_retry_after(&mut written, retry_after);
    finish(state, &mut written, found.status != 405);
    written
}

/// Gives a nonce alone.
pub(super) fn nonce(state: &mut State, head: bool) -> Answer {
    let mut written = empty(if head { StatusCode::OK } else { StatusCode::NO_CONTENT });
    finish(state, &mut written, true);
    written
}

fn good(state: &State, asked: &CaRequest, status: u16, fact: &CaFact) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let json = |body: serde_json::Value| answer(status, "application/json", body.to_string());
    match fact {
        CaFact::Directory(facts) => json(json::directory(facts, &state.ca.config)),
        CaFact::Account(facts) => {
            let mut written = json(serde_json::json!({ "status": facts.status }));
            if matches!(asked, CaRequest::NewAccount(_)) {
                set(&mut written, LOCATION, &facts.url.0);
            }
            written
        }
        CaFact::Order(facts) => {
            let mut written = json(json::order(facts, state.ca.profile_of(&facts.url)));
            if matches!(asked, CaRequest::NewOrder(_)) {
                set(&mut written, LOCATION, &facts.url.0);
            }
            written
        }
        CaFact::Authorization(facts) => json(json::authorization(facts)),
        CaFact::Challenge(facts) => {
            let mut written = json(json::challenge(facts));
            if let Some(url) = authorization_of(facts) {
                set(&mut written, LINK, &format!("<{url}>;rel=\"up\""));
            }
            written
        }
        CaFact::Certificate(leaf) => certificate(state, leaf),
        CaFact::RenewalInfo(facts) => json(json::renewal_info(facts)),
        CaFact::Done => empty(status),
    }
}

/// Returns the authorization of a challenge, by the form of our URLs.
fn authorization_of(facts: &ChallengeFacts) -> Option<String> {
    let url = facts.url.0.replacen("/chall/", "/authz/", 1);
    url.rsplit_once('/').map(|(url, _)| url.to_owned())
}

fn certificate(state: &State, leaf: &IssuedLeaf) -> Answer {
    let chain = state.chains.get(&leaf.serial).cloned().unwrap_or_default();
    let kind = "application/pem-certificate-chain";
    answer(StatusCode::OK, kind, Bytes::copy_from_slice(chain.as_bytes()))
}

fn bad(state: &State, found: &Problem, passes: bool) -> Answer {
    let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::BAD_REQUEST);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // What is out cannot say so itself: its load balancer does, and knows no ACME.
        let page = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>\n";
        return answer(status, "text/html", page);
    }
    let mut written = answer(status, "application/problem+json", json::problem(found).to_string());
    if &*found.kind == "rateLimited" && passes {
        let help = format!("<{}/docs/rate-limits>;rel=\"help\"", state.ca.config.base);
        set(&mut written, LINK, &help);
    }
    written
}

/// Whole seconds, rounded up: a client that comes when it was told is not early.
fn set_retry_after(answer: &mut Answer, after: Option<SignedDuration>) {
    if let Some(after) = after {
        let secs = after.as_secs() + i64::from(after.subsec_nanos() > 0);
        set(answer, RETRY_AFTER, &secs.to_string());
    }
}

/// Adds what every answer carries.
fn finish(state: &mut State, answer: &mut Answer, with_nonce: bool) {
    if with_nonce {
        let nonce = state.nonces.give();
        set(answer, HeaderName::from_static("replay-nonce"), &nonce);
    }
    let index = format!("<{}/directory>;rel=\"index\"", state.ca.config.base);
    set(answer, LINK, &index);
    set(answer, CACHE_CONTROL, "no-store");
}

fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().append(name, value);
    }
}
