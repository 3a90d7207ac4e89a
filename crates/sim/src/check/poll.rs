//! Whether a CA is asked again no sooner than it wants to be.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{ActKind, Ask, AskKind, Reply};
use perennial_core::record::Stream;
use perennial_core::words::{OrderFacts, after};

use super::Checks;

/// How long a CA's word on what is on its way is kept at the most: an order has minutes, and a CA that
/// names tomorrow is asked sooner.
const POLL_AT_MOST: SignedDuration = SignedDuration::from_mins(1);

/// How long its word on renewal information is.
const SUGGESTION_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

impl Checks {
    /// Forgets when CAs want to be asked again: the process may not know it any more.
    pub fn forget_named(&mut self) {
        self.named.clear();
    }

    /// Looks at a question that reaches a CA.
    pub fn ask(&mut self, ask: &Ask, now: Timestamp) {
        if most(&ask.kind).is_none() {
            return;
        }
        let not_before = self.named.get(&key(&ask.stream, &ask.kind)).copied();
        if let Some(not_before) = not_before.filter(|at| now < *at) {
            let text = format!("{:?} is asked before {not_before}", ask.kind);
            self.violate(now, text);
        }
    }

    /// Notes when a CA wants to be asked again, once the process has heard it.
    pub fn hear(&mut self, ask: &Ask, reply: &Reply, now: Timestamp) {
        let Some(most) = most(&ask.kind) else { return };
        let retry_at = match reply {
            Reply::Order(facts) => facts.retry_at,
            Reply::Authorization(facts) => facts.retry_at,
            Reply::RenewalInfo(facts) => facts.retry_at,
            _ => None,
        };
        self.named.retain(|_, at| *at > now);
        if let Some(retry_at) = retry_at {
            let key = key(&ask.stream, &ask.kind);
            self.named.insert(key, retry_at.min(after(now, most)));
        }
    }

    /// Notes when a CA wants to be asked for an order, as its answer to an act said.
    pub fn hear_act(&mut self, stream: &Stream, act: &ActKind, facts: &OrderFacts, now: Timestamp) {
        let (ActKind::NewOrder { account, .. } | ActKind::Finalize { account, .. }) = act else {
            return;
        };
        if let Some(retry_at) = facts.retry_at {
            let kind = AskKind::Order { account: account.clone(), order: facts.url.clone() };
            self.named.insert(key(stream, &kind), retry_at.min(after(now, POLL_AT_MOST)));
        }
    }
}

fn key(stream: &Stream, kind: &AskKind) -> String {
    format!("{stream} {kind:?}")
}

const fn most(kind: &AskKind) -> Option<SignedDuration> {
    match kind {
        AskKind::Order { .. } | AskKind::Authorization { .. } => Some(POLL_AT_MOST),
        AskKind::RenewalInfo { .. } => Some(SUGGESTION_AT_MOST),
        AskKind::Directory { .. }
        | AskKind::Account { .. }
        | AskKind::Chain { .. }
        | AskKind::Locate { .. }
        | AskKind::Look { .. }
        | AskKind::Inspect { .. }
        | AskKind::Probe { .. } => None,
    }
}
