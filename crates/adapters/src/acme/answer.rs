//! What a CA answers: from an HTTP answer and the time to facts.
//!
//! Read tolerantly, for that is how CAs are written: unknown statuses and challenge types are kept
//! as such, members may be missing, addresses may be relative. Refused is only what cannot be acted
//! upon: an account or an order whose address was not told, an authorization for nobody.
//!
//! Pure: no function here does anything but read. Each error is a text that says what was missing.
//!
//! Source: RFC 8555 sections 7.1.2 to 7.1.6, 7.3, 7.4, 7.5; RFC 9773 section 4.2.

use jiff::Timestamp;
use perennial_core::words::{
    AccountFacts, AccountStatus, AriCertId, AuthorizationFacts, AuthorizationStatus,
    ChallengeFacts, ChallengeKind, ChallengeStatus, Identifier, OrderFacts, OrderStatus, Persist,
    RenewalInfoFacts, SuggestedWindow, Url,
};
use perennial_wire::http::Response;
use serde_json::Value;

use super::retry_after::{Clamp, retry_at};
use super::{json, problem};

/// Why an answer says nothing that can be used.
pub(super) type Unreadable = String;

/// Reads the answer to a new account.
///
/// Its address is what matters, and stands in the header; CAs that find an old account for the key
/// have been seen to send no body.
pub(super) fn account(answer: &Response) -> Result<AccountFacts, Unreadable> {
    Ok(AccountFacts { url: location(answer)?, status: account_status(answer) })
}

/// Reads how an account stands.
pub(super) fn account_status(answer: &Response) -> AccountStatus {
    let value = json::object(&answer.body).unwrap_or_default();
    match json::text(&value, "status") {
        None | Some("valid") => AccountStatus::Valid,
        Some("deactivated") => AccountStatus::Deactivated,
        Some("revoked") => AccountStatus::Revoked,
        Some(_) => AccountStatus::Unknown,
    }
}

/// Reads the answer to a new order: its address stands in the header.
pub(super) fn new_order(answer: &Response, now: Timestamp) -> Result<OrderFacts, Unreadable> {
    order(answer, location(answer)?, now)
}

/// Reads an order whose address is known.
pub(super) fn order(answer: &Response, url: Url, now: Timestamp) -> Result<OrderFacts, Unreadable> {
    let value = json::object(&answer.body)?;
    if json::entries(&value, "authorizations").count() > MAX_AUTHORIZATIONS {
        return Err(format!("the order has more than {MAX_AUTHORIZATIONS} authorizations"));
    }
    let authorizations = json::entries(&value, "authorizations").filter_map(Value::as_str);
    Ok(OrderFacts {
        url,
        status: order_status(json::text(&value, "status").ok_or("the order has no status")?),
        identifiers: json::entries(&value, "identifiers").filter_map(problem::identifier).collect(),
        authorizations: authorizations.filter_map(|text| json::address(answer, text)).collect(),
        finalize: json::url(answer, &value, "finalize"),
        certificate: json::url(answer, &value, "certificate"),
        expires: json::instant(&value, "expires"),
        replaces: json::text(&value, "replaces").map(|id| AriCertId(json::tame(id, MAX_CERT_ID))),
        profile: json::text(&value, "profile").map(|name| json::tame(name, MAX_PROFILE)),
        error: value.get("error").and_then(problem::of_value),
        retry_at: retry_at(answer, now, Clamp::POLL),
    })
}

/// How long a profile's name may be.
const MAX_PROFILE: usize = 100;

/// How many authorizations an order may have: no CA takes more than 100 names.
const MAX_AUTHORIZATIONS: usize = 200;

fn order_status(text: &str) -> OrderStatus {
    match text {
        "pending" => OrderStatus::Pending,
        "ready" => OrderStatus::Ready,
        "processing" => OrderStatus::Processing,
        "valid" => OrderStatus::Valid,
        "invalid" => OrderStatus::Invalid,
        _ => OrderStatus::Unknown,
    }
}

/// Reads an authorization.
pub(super) fn authorization(
    answer: &Response,
    url: Url,
    now: Timestamp,
) -> Result<AuthorizationFacts, Unreadable> {
    let value = json::object(&answer.body)?;
    let named = value.get("identifier").and_then(problem::identifier);
    let named = named.ok_or("the authorization names no identifier")?;
    let said = value.get("wildcard").and_then(Value::as_bool).unwrap_or(false);
    let challenges = json::entries(&value, "challenges")
        .filter_map(|entry| challenge_of(answer, entry, None, None).ok());
    let status = json::text(&value, "status").ok_or("the authorization has no status")?;
    Ok(AuthorizationFacts {
        url,
        wildcard: said || named.is_wildcard(),
        identifier: Identifier::new(named.base()).map_err(|error| error.to_string())?,
        status: authorization_status(status),
        expires: json::instant(&value, "expires"),
        challenges: challenges.take(MAX_CHALLENGES).collect(),
        retry_at: retry_at(answer, now, Clamp::POLL),
    })
}

fn authorization_status(text: &str) -> AuthorizationStatus {
    match text {
        "pending" => AuthorizationStatus::Pending,
        "valid" => AuthorizationStatus::Valid,
        "invalid" => AuthorizationStatus::Invalid,
        "deactivated" => AuthorizationStatus::Deactivated,
        "expired" => AuthorizationStatus::Expired,
        "revoked" => AuthorizationStatus::Revoked,
        _ => AuthorizationStatus::Unknown,
    }
}

/// Reads the answer to a response to a challenge; what it does not repeat is known already.
pub(super) fn challenge(
    answer: &Response,
    url: &Url,
    kind: &ChallengeKind,
) -> Result<ChallengeFacts, Unreadable> {
    let value = json::object(&answer.body)?;
    challenge_of(answer, &value, Some(url), Some(kind))
}

fn challenge_of(
    answer: &Response,
    value: &Value,
    known_url: Option<&Url>,
    known_kind: Option<&ChallengeKind>,
) -> Result<ChallengeFacts, Unreadable> {
    let url = json::url(answer, value, "url").or_else(|| known_url.cloned());
    let kind = json::text(value, "type").map(challenge_kind).or_else(|| known_kind.cloned());
    Ok(ChallengeFacts {
        url: url.ok_or("the challenge has no address")?,
        kind: kind.ok_or("the challenge has no type")?,
        token: json::text(value, "token").filter(|token| is_token(token)).map(Box::from),
        persist: persist(value).map(Box::new),
        status: challenge_status(json::text(value, "status").unwrap_or("pending")),
        error: value.get("error").and_then(problem::of_value),
    })
}

/// Reads what a record that stays has to say; nothing if some of it could not stand in a record.
///
/// Source: draft-ietf-acme-dns-persist-01 section 2, as Pebble 2.10.1 has it.
fn persist(value: &Value) -> Option<Persist> {
    let issuers = value.get("issuer-domain-names")?.as_array()?;
    let issuers = issuers.iter().take(MAX_ISSUERS).map(|name| name.as_str().map(Box::from));
    let account_uri = json::text(value, "accounturi").map(Box::from);
    let persist = Persist::new(issuers.collect::<Option<_>>()?, account_uri)?;
    let is_short = persist.issuers.iter().chain(&persist.account_uri).all(|s| s.len() <= MAX_SAID);
    is_short.then_some(persist)
}

/// How many names of a CA are read: one is usual, and the first is used.
const MAX_ISSUERS: usize = 10;

/// How long each thing that a record has to say may be.
const MAX_SAID: usize = 1024;

fn challenge_kind(text: &str) -> ChallengeKind {
    match text {
        "http-01" => ChallengeKind::Http01,
        "dns-01" => ChallengeKind::Dns01,
        "tls-alpn-01" => ChallengeKind::TlsAlpn01,
        "dns-account-01" => ChallengeKind::DnsAccount01,
        "dns-persist-01" => ChallengeKind::DnsPersist01,
        other => ChallengeKind::Other(json::tame(other, MAX_KIND)),
    }
}

fn challenge_status(text: &str) -> ChallengeStatus {
    match text {
        "pending" => ChallengeStatus::Pending,
        "processing" => ChallengeStatus::Processing,
        "valid" => ChallengeStatus::Valid,
        "invalid" => ChallengeStatus::Invalid,
        _ => ChallengeStatus::Unknown,
    }
}

/// Returns whether a token is one. Tokens become file names and paths: the RFC allows base64url
/// only, and what is anything else is not used.
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.1
fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(fits)
}

/// Reads renewal information. A window that does not end after it starts is no answer.
//= https://www.rfc-editor.org/rfc/rfc9773#section-4.2
pub(super) fn renewal_info(
    answer: &Response,
    now: Timestamp,
) -> Result<RenewalInfoFacts, Unreadable> {
    let value = json::object(&answer.body)?;
    let window = value.get("suggestedWindow").ok_or("there is no suggested window")?;
    let edge = |member| {
        json::instant(window, member)
            .ok_or_else(|| format!("the suggested window has no `{member}`"))
    };
    let (start, end) = (edge("start")?, edge("end")?);
    if end <= start {
        return Err(format!("the suggested window ends at {end}, not after its start {start}"));
    }
    Ok(RenewalInfoFacts {
        window: SuggestedWindow { start, end },
        explanation: json::url(answer, &value, "explanationURL"),
        retry_at: retry_at(answer, now, Clamp::RENEWAL_INFO),
    })
}

fn location(answer: &Response) -> Result<Url, Unreadable> {
    let location = answer.header("location").ok_or("the answer has no Location")?;
    json::address(answer, location).ok_or_else(|| "the Location is no web address".to_owned())
}

/// How many challenges of an authorization are read. CAs offer up to five.
const MAX_CHALLENGES: usize = 32;

/// How long a challenge's type may be.
const MAX_KIND: usize = 64;

/// How long a token may be: it must fit a file name. Real ones have 43 octets.
const MAX_TOKEN: usize = 200;

/// How long a certificate's name in renewal information may be: two numbers of 20 octets or so.
const MAX_CERT_ID: usize = 256;

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
