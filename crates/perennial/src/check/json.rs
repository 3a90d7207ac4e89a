//! A report as JSON for programs. Fields are only ever added; `schema` counts what is not additive.

use perennial_adapters::discover::{
    AddressFacts, CaaFacts, ChallengeFacts, Facts, HttpFacts, HttpTrouble, Unknown, ZoneFacts,
};
use perennial_core::words::LeafFacts;
use serde_json::{Value, json};

use super::report::{Finding, Outcome, Report, Runway};

/// Writes all hosts as one document.
pub(super) fn text(all: &[(Facts, Report)]) -> serde_json::Result<String> {
    let worst = all.iter().map(|(_, report)| report.outcome).max().unwrap_or(Outcome::Fine);
    let hosts: Vec<Value> = all.iter().map(|(facts, report)| host(facts, report)).collect();
    serde_json::to_string_pretty(&json!({
        "schema": 1,
        "outcome": outcome(worst),
        "hosts": hosts,
    }))
}

fn host(facts: &Facts, report: &Report) -> Value {
    json!({
        "subject": report.subject,
        "host": facts.host.as_str(),
        "port": facts.port,
        "protocol": facts.protocol.as_str(),
        "at": facts.at.to_string(),
        "outcome": outcome(report.outcome),
        "runway_secs": runway(report.runway),
        "exists": facts.exists,
        "aliases": facts.aliases,
        "address_problems": facts.address_problems,
        "addresses": facts.addresses.iter().map(address).collect::<Vec<_>>(),
        "stores": facts.stores.iter().map(|seen| json!({
            "store": seen.store,
            "state": seen.state,
        })).collect::<Vec<_>>(),
        "validated": facts.validated.as_str(),
        "zone": facts.zone.as_ref().map(|found| either(found, zone)),
        "caa": facts.caa.as_ref().map(|found| either(found, caa)),
        "challenge": facts.challenge.as_ref().map(|found| either(found, challenge)),
        "http": facts.http.iter().map(http).collect::<Vec<_>>(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fine => "fine",
        Outcome::Findings => "findings",
        Outcome::CouldNot => "could-not",
    }
}

/// Zero where clients are refused already; null where no leaf was seen.
fn runway(runway: Runway) -> Option<i64> {
    match runway {
        Runway::Left(left) => Some(left.as_secs().max(0)),
        Runway::Lapsed { .. } => Some(0),
        Runway::Unknown => None,
    }
}

fn either<T>(found: &Result<T, Unknown>, write: impl Fn(&T) -> Value) -> Value {
    match found {
        Ok(found) => write(found),
        Err(unknown) => json!({ "error": unknown.cause, "ours": unknown.is_ours }),
    }
}

fn address(seen: &AddressFacts) -> Value {
    json!({
        "address": seen.address.ip().to_string(),
        "port": seen.address.port(),
        "state": seen.state,
        "cause": seen.cause,
        "tls": seen.version.map(|version| version.to_string()),
        "asks_for_client_certificate": seen.asks_for_client_certificate,
        "leaf": seen.leaf.as_ref().map(leaf),
    })
}

fn leaf(leaf: &LeafFacts) -> Value {
    json!({
        "fingerprint": leaf.fingerprint.to_string(),
        "key": leaf.key.to_string(),
        "names": leaf.identifiers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "issued_by": leaf.issued_by,
        "not_before": leaf.validity.not_before.to_string(),
        "not_after": leaf.validity.not_after.to_string(),
        "chain_not_after": leaf.chain_not_after.to_string(),
        "chain_in_order": leaf.chain_in_order,
        "ari_id": leaf.ari_id.as_ref().map(|id| &*id.0),
    })
}

fn zone(zone: &ZoneFacts) -> Value {
    json!({
        "apex": zone.apex,
        "operators": zone.operators(),
        "servers": zone.servers.iter().map(|server| json!({
            "name": server.name,
            "operator": server.operator.map(|operator| operator.name),
            "answering": server.answering.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "failing": server.failing.iter().map(|(address, cause)| json!({
                "address": address.to_string(),
                "cause": cause,
            })).collect::<Vec<_>>(),
            "out_of_reach": server.out_of_reach.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "problem": server.problem,
        })).collect::<Vec<_>>(),
    })
}

fn caa(caa: &CaaFacts) -> Value {
    json!({
        "found_at": caa.found_at,
        "aliases": caa.aliases,
        "records": caa.records.iter().map(|record| json!({
            "critical": record.critical,
            "tag": record.tag,
            "value": record.value,
        })).collect::<Vec<_>>(),
    })
}

fn challenge(challenge: &ChallengeFacts) -> Value {
    json!({
        "name": challenge.name,
        "aliases": challenge.aliases,
        "texts": challenge.texts,
        "zone": challenge.zone,
        "delegated_to": challenge.delegated_to,
    })
}

fn http(seen: &HttpFacts) -> Value {
    let (status, location, error) = match &seen.answer {
        Ok(answer) => (Some(answer.status), answer.location.clone(), None),
        Err(
            HttpTrouble::NoRoute(cause)
            | HttpTrouble::Unreachable(cause)
            | HttpTrouble::NotHttp(cause),
        ) => (None, None, Some(cause.clone())),
    };
    let address = seen.address.ip().to_string();
    json!({ "address": address, "status": status, "location": location, "error": error })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code,
        "subject": finding.subject,
        "evidence": finding.evidence,
        "advice": finding.advice,
    })
}
