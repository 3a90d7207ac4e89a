//! Acts and facts in words.

use perennial_core::action::{ActKind, Fact};
use perennial_core::words::{AccountStatus, ChallengeStatus, Identifier, OrderStatus};

/// How many names are listed before the rest is counted.
const LISTED: usize = 3;

/// Lists names: the first few, and how many more there are.
pub(super) fn list(names: &[Identifier]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(Identifier::as_str).collect();
    let more = names.len().saturating_sub(LISTED);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// Returns what an act does: "order example.org at letsencrypt".
pub(super) fn act(kind: &ActKind) -> String {
    match kind {
        ActKind::MakeKey { slot, .. } => format!("make the key {slot}"),
        ActKind::DropKey { slot } => format!("remove the spare key {slot}"),
        ActKind::NewAccount { issuer, .. } => format!("register our account at {issuer}"),
        ActKind::NewOrder { account, identifiers, .. } => {
            format!("order {} at {}", list(identifiers), account.issuer)
        }
        ActKind::Present { answer } => {
            format!("put up the {} answer for {}", answer.kind.as_str(), answer.identifier)
        }
        ActKind::Respond { account, kind, .. } => {
            format!("tell {} that a {} answer is up", account.issuer, kind.as_str())
        }
        ActKind::Withdraw { answer } => {
            format!("take down the {} answer for {}", answer.kind.as_str(), answer.identifier)
        }
        ActKind::Finalize { account, identifiers, .. } => {
            format!("ask {} to issue for {}", account.issuer, list(identifiers))
        }
        ActKind::ChangeKey { account, .. } => {
            format!("give our account at {} another key", account.issuer)
        }
        ActKind::EndAccount { account } => format!("end our account at {}", account.issuer),
        ActKind::Revoke { issuer, reason, .. } => {
            format!("have a leaf revoked by {issuer} ({reason})")
        }
        ActKind::KeepBundle { .. } => String::from("keep leaf, chain and key in the store"),
        ActKind::Stage { target, .. } => format!("stage the new leaf at {target}"),
        ActKind::Validate { target, .. } => format!("check what is staged at {target}"),
        ActKind::Activate { target, .. } => format!("install the new leaf at {target}"),
        ActKind::PutBack { target, .. } => format!("put the leaf before it back at {target}"),
    }
}

/// Returns what came of an act; `act` is what it did, where that is known.
pub(super) fn fact(fact: &Fact, act: Option<&str>) -> String {
    let done = |otherwise: &str| act.map_or_else(|| String::from(otherwise), past);
    match fact {
        Fact::Key(_) => done("made a key"),
        Fact::KeyDropped => done("removed a spare key"),
        Fact::Account(facts) => match facts.status {
            AccountStatus::Valid => format!("our account is {}", facts.url),
            AccountStatus::Deactivated | AccountStatus::Revoked | AccountStatus::Unknown => {
                format!("our account {} cannot be used", facts.url)
            }
        },
        Fact::Order(facts) => format!("the order is {}: {}", order(facts.status), facts.url),
        Fact::Presented => done("put up an answer"),
        Fact::Responded(facts) => match facts.status {
            ChallengeStatus::Valid => String::from("the CA has seen the answer"),
            ChallengeStatus::Invalid => String::from("the CA did not accept the answer"),
            ChallengeStatus::Pending | ChallengeStatus::Processing | ChallengeStatus::Unknown => {
                String::from("the CA will look at the answer")
            }
        },
        Fact::Withdrawn => done("took down an answer"),
        Fact::KeyChanged => done("gave our account another key"),
        Fact::Revoked => done("had a leaf revoked"),
        Fact::Kept(_) => String::from("kept the new leaf with its chain and key"),
        Fact::Staged => done("staged the new leaf"),
        Fact::Validated => done("checked what is staged"),
        Fact::Activated => done("installed the new leaf"),
        Fact::PutBack => done("put the leaf before it back"),
    }
}

/// Returns an order's status in words.
pub(super) const fn order(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "pending: names are to be proven",
        OrderStatus::Ready => "ready: every name is proven",
        OrderStatus::Processing => "processing: the CA is issuing",
        OrderStatus::Valid => "valid: the certificate is issued",
        OrderStatus::Invalid => "invalid",
        OrderStatus::Unknown => "in a state that is not known",
    }
}

/// Turns "install the leaf" into "installed the leaf".
fn past(act: &str) -> String {
    let (verb, rest) = act.split_once(' ').unwrap_or((act, ""));
    let verb = match verb {
        "make" => "made",
        "remove" => "removed",
        "register" => "registered",
        "order" => "ordered",
        "tell" => "told",
        "take" => "took",
        "ask" => "asked",
        "keep" => "kept",
        "stage" => "staged",
        "have" => "had",
        "give" => "gave",
        "end" => "ended",
        "check" => "checked",
        "install" => "installed",
        other => other,
    };
    format!("{verb} {rest}")
}
