//! The gate: what a new leaf must be before it is kept.
//!
//! Hard conditions: it is for every name that was ordered, it certifies our key and no compromised one, it is valid now,
//! it may serve TLS, and each certificate of its chain is signed by the next. A leaf that fails one is never written anywhere.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use jiff::{SignedDuration, Timestamp};

use crate::state::{Certificate, Running};
use crate::words::time::after;
use crate::words::{Blame, Failure, FailureKind, LeafFacts};

/// How far the CA's clock may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Judges an issued leaf against what was ordered.
///
/// # Errors
///
/// Returns what is wrong with it, blaming the issuer.
pub fn gate(
    certificate: &Certificate,
    running: &Running,
    leaf: &LeafFacts,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(wrong) = what_is_wrong(certificate, running, leaf, now) else { return Ok(()) };
    Err(Failure {
        kind: FailureKind::Refused,
        blame: Blame::Issuer(running.plan.issuer.clone()),
        attempted: "accept the issued leaf".into(),
        cause: Box::from(wrong),
        problem: None,
    })
}

fn what_is_wrong(
    certificate: &Certificate,
    running: &Running,
    leaf: &LeafFacts,
    now: Timestamp,
) -> Option<String> {
    let missing = running.plan.identifiers.iter().find(|wanted| !leaf.covers(wanted));
    if let Some(missing) = missing {
        return Some(format!("it is not for `{missing}`"));
    }
    if running.key.as_ref().map(|key| key.id) != Some(leaf.key) {
        return Some("it certifies another key".to_string());
    }
    if certificate.is_compromised(leaf.key) {
        return Some("it certifies a key that others may know".to_string());
    }
    if !leaf.validity.contains(now) && !leaf.validity.contains(after(now, SKEW)) {
        let validity = leaf.validity;
        let (from, to) = (validity.not_before, validity.not_after);
        return Some(format!("it is valid from {from} to {to}, and now is {now}"));
    }
    if !leaf.for_servers {
        return Some("its key usage does not allow TLS servers".to_string());
    }
    if !leaf.chain_in_order {
        return Some("its chain is not in order: no client could follow it".to_string());
    }
    None
}
