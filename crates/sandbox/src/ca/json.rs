//! Answers as JSON.
//!
//! Source: RFC 8555 section 7.1, RFC 9773 section 4.2, draft-ietf-acme-profiles, RFC 9457.

use jiff::Timestamp;
use perennial_core::words::{
    AuthorizationFacts, ChallengeFacts, DirectoryFacts, Identifier, OrderFacts, Problem,
    RenewalInfoFacts,
};
use perennial_sim::model::ca::CaConfig;
use serde_json::{Map, Value, json};

use super::jose::ALGORITHMS;

/// Writes an instant without fractions, as CAs do.
fn instant(at: Timestamp) -> Value {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string().into()
}

fn identifier(identifier: &Identifier) -> Value {
    let kind = if identifier.is_ip() { "ip" } else { "dns" };
    json!({ "type": kind, "value": identifier.as_str() })
}

/// Leaves out members that say nothing.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let said = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}

pub(super) fn directory(facts: &DirectoryFacts, config: &CaConfig) -> Value {
    let base = &config.base;
    let url = |path: &str| Some(Value::from(format!("{base}/{path}")));
    let profiles: Map<String, Value> = facts
        .profiles
        .iter()
        .filter_map(|name| {
            let description = config.profiles.get(name)?.description.to_string();
            Some((name.to_string(), description.into()))
        })
        .collect();
    let meta = object([
        ("termsOfService", facts.terms.as_ref().map(|url| url.to_string().into())),
        ("externalAccountRequired", facts.needs_eab.then(|| true.into())),
        ("caaIdentities", Some(json!(facts.caa_identities))),
        ("profiles", (!profiles.is_empty()).then_some(Value::Object(profiles))),
    ]);
    object([
        ("newNonce", url("new-nonce")),
        ("newAccount", url("new-account")),
        ("newOrder", url("new-order")),
        ("revokeCert", url("revoke-cert")),
        ("keyChange", url("key-change")),
        ("renewalInfo", url("renewal-info").filter(|_| facts.has_renewal_info)),
        // Clients must pass over what they do not know (Let's Encrypt adds such a member too).
        ("rFzJ0_x4Qs8", Some("https://example.org/why-is-this-here".into())),
        ("meta", Some(meta)),
    ])
}

pub(super) fn order(facts: &OrderFacts, profile: Option<&str>) -> Value {
    object([
        ("status", Some(json!(facts.status))),
        ("expires", facts.expires.map(instant)),
        ("profile", profile.map(Value::from)),
        ("identifiers", Some(facts.identifiers.iter().map(identifier).collect())),
        ("authorizations", Some(json!(facts.authorizations))),
        ("finalize", facts.finalize.as_ref().map(|url| json!(url))),
        ("certificate", facts.certificate.as_ref().map(|url| json!(url))),
        ("replaces", facts.replaces.as_ref().map(|leaf| json!(leaf))),
        ("error", facts.error.as_ref().map(problem)),
    ])
}

pub(super) fn authorization(facts: &AuthorizationFacts) -> Value {
    object([
        ("status", Some(json!(facts.status))),
        ("expires", facts.expires.map(instant)),
        ("identifier", Some(identifier(&facts.identifier))),
        ("wildcard", facts.wildcard.then(|| true.into())),
        ("challenges", Some(facts.challenges.iter().map(challenge).collect())),
    ])
}

pub(super) fn challenge(facts: &ChallengeFacts) -> Value {
    object([
        ("type", Some(facts.kind.as_str().into())),
        ("url", Some(json!(facts.url))),
        ("status", Some(json!(facts.status))),
        ("token", facts.token.as_ref().map(|token| json!(token))),
        ("issuer-domain-names", facts.persist.as_ref().map(|own| json!(own.issuers))),
        ("accounturi", facts.persist.as_ref().map(|own| json!(own.account_uri))),
        ("error", facts.error.as_ref().map(problem)),
    ])
}

pub(super) fn renewal_info(facts: &RenewalInfoFacts) -> Value {
    let window = json!({
        "start": instant(facts.window.start),
        "end": instant(facts.window.end),
    });
    object([
        ("suggestedWindow", Some(window)),
        ("explanationURL", facts.explanation.as_ref().map(|url| json!(url))),
    ])
}

fn type_of(kind: &str) -> Value {
    if kind.contains(':') {
        kind.into()
    } else {
        format!("urn:ietf:params:acme:error:{kind}").into()
    }
}

pub(super) fn problem(found: &Problem) -> Value {
    let subproblems: Vec<Value> = found
        .subproblems
        .iter()
        .map(|sub| {
            object([
                ("type", Some(type_of(&sub.kind))),
                ("detail", Some(json!(sub.detail))),
                ("identifier", sub.identifier.as_ref().map(identifier)),
            ])
        })
        .collect();
    //= https://www.rfc-editor.org/rfc/rfc8555#section-6.2
    let algorithms = &*found.kind == "badSignatureAlgorithm";
    object([
        ("type", Some(type_of(&found.kind))),
        ("detail", Some(json!(found.detail))),
        ("status", Some(found.status.into())),
        ("subproblems", (!subproblems.is_empty()).then(|| subproblems.into())),
        ("algorithms", algorithms.then(|| json!(ALGORITHMS))),
    ])
}
