//! One attempt to renew: from the first act to a kept bundle, or to a failure.
//!
//! ```text
//! Resting ──attempt.began──▶ Unordered ──NewOrder──▶ Ordered ──valid──▶ Fetched ──KeepBundle──▶ Resting
//!    ▲                            │                     │                  │
//!    └────────────attempt.ended───┴─────────────────────┴──────────────────┘
//! ```
//!
//! Each state holds only what is true in it. What the CA said last is kept as it said it; what to
//! do about it is `decide`'s.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::chain::Offered;
use super::deployment::Trouble;
use crate::action::{ActKind, Fact, Outcome};
use crate::event::{AttemptBegan, Ended, Event};
use crate::words::time::after;
use crate::words::{
    Answer, AuthorizationFacts, AuthorizationStatus, Blame, ChallengeStatus, Failure, FailureKind,
    Fingerprint, KeyFacts, LeafFacts, OrderFacts, OrderStatus, Permille, Place, Showing, Url,
};

/// Whether an attempt runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    /// None does.
    Resting(Rest),
    /// One does.
    Running(Box<Running>),
}

/// Between two attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// How many attempts in a row failed.
    pub failures: u16,
    /// Why the last one did.
    pub last: Option<Box<LastFailure>>,
}

/// Why and when the last attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// Why.
    pub failure: Failure,
    /// When it ended.
    pub at: Timestamp,
    /// The share of the retry delay that chance adds.
    pub jitter: Permille,
    /// Since when attempts fail.
    pub since: Timestamp,
}

/// An attempt that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Every choice that was made for it.
    pub plan: AttemptBegan,
    /// When it began.
    pub began_at: Timestamp,
    /// How many attempts in a row failed before, and why the last did.
    pub before: Rest,
    /// The key, once it is durable.
    pub key: Option<KeyFacts>,
    /// How far it is.
    pub stage: Stage,
    /// What is wrong, if something is.
    pub trouble: Option<Box<Trouble>>,
    /// The profile under which the CA says it issues, where that is another than the one ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odd_profile: Option<Box<str>>,
    /// What the store has the fetched chain under, where that is an alternate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate: Option<Fingerprint>,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The CA knows of nothing, or of an order whose URL was lost.
    Unordered {
        /// Whether a `NewOrder` may have taken effect. It is sent again without `replaces`, which
        /// Boulder refuses while the lost order lives (standards.md 2.5).
        doubted: bool,
    },
    /// There is an order.
    Ordered(Box<Ordered>),
    /// The chain is in the store.
    Fetched(Arc<LeafFacts>),
}

/// An order as the CA showed it last, and its authorizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// What the CA said last.
    pub facts: OrderFacts,
    /// When it first had this status.
    pub since: Timestamp,
    /// Its authorizations.
    pub authorizations: Vec<Authorization>,
    /// Whether a `Finalize` was sent whose outcome is not known: ask before sending again.
    pub finalize_doubted: bool,
    /// How often something that the CA says of it was new.
    #[serde(default)]
    pub turns: u16,
    /// When the CA wants to be asked for it again, as whatever it answered last said: an answer to an
    /// act counts as one to a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_at: Option<Timestamp>,
    /// The chains that were fetched so far, where one of several is to be chosen: the CA's first
    /// one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<Offered>,
}

/// How often is asked at the rarest about something that is on its way: a CA that names tomorrow is
/// asked sooner.
pub(crate) const POLLED_AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// One authorization of the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// Its URL.
    pub url: Url,
    /// What the CA said last.
    pub facts: Option<AuthorizationFacts>,
    /// Where its DNS answer goes, once found.
    pub place: Option<Place>,
    /// Our answer.
    pub answer: AnswerState,
    /// Whether we were restarted after the CA was told: it may have looked while the answer was
    /// down.
    #[serde(default)]
    pub interrupted: bool,
}

/// How far our answer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerState {
    /// Not up.
    Absent,
    /// Up, and waited for on the authoritative servers.
    Presented {
        /// Since when.
        at: Timestamp,
        /// What they showed last.
        showing: Option<Showing>,
    },
    /// It was up when the process ended. One in DNS stays, one that a listener of ours shows does
    /// not: the CA is asked how far it is, and the answer is put up again if it is still needed.
    Doubted,
    /// Seen, or waited for long enough: the CA is to be told.
    Awaited,
    /// The CA was told, or may have been.
    Responded {
        /// When.
        at: Timestamp,
        /// Whether it is unknown if the CA was told.
        doubted: bool,
    },
}

impl Attempt {
    /// Returns whether the last attempt failed for something of the certificate's own: a name, its
    /// zone or its solver. Only such take from the share of a budget that is kept for the doomed.
    #[must_use]
    pub fn is_doomed(&self) -> bool {
        let last = match self {
            Self::Resting(rest) => rest.last.as_deref(),
            Self::Running(running) => running.before.last.as_deref(),
        };
        last.is_some_and(|last| {
            matches!(last.failure.blame, Blame::Name(_) | Blame::Zone(_) | Blame::Solver(_))
        })
    }

    /// Returns how many attempts in a row failed.
    #[must_use]
    pub const fn failures(&self) -> u16 {
        match self {
            Self::Resting(rest) => rest.failures,
            Self::Running(running) => running.before.failures,
        }
    }

    /// Takes in an event of the attempt.
    pub(super) fn fold(&mut self, at: Timestamp, event: &Event) {
        match (&mut *self, event) {
            (Self::Resting(rest), Event::AttemptBegan(plan)) => {
                *self = Self::Running(Box::new(Running {
                    plan: (**plan).clone(),
                    began_at: at,
                    before: core::mem::take(rest),
                    key: None,
                    stage: Stage::Unordered { doubted: false },
                    trouble: None,
                    odd_profile: None,
                    alternate: None,
                }));
            }
            (Self::Running(running), Event::AttemptEnded(ended)) => {
                let before = core::mem::take(&mut running.before);
                let since = before.last.map_or(running.began_at, |last| last.since);
                let last =
                    LastFailure { failure: ended.failure.clone(), at, jitter: ended.jitter, since };
                let failures = before.failures.saturating_add(1);
                *self = Self::Resting(Rest { failures, last: Some(Box::new(last)) });
            }
            (Self::Running(running), _) => running.fold(at, event),
            (Self::Resting(_), _) => {}
        }
    }

    /// Takes in the end of an act.
    pub(super) fn conclude(&mut self, at: Timestamp, act: &ActKind, end: &Ended) {
        if let Self::Running(running) = self {
            running.conclude(at, act, end);
        }
    }
}

impl Running {
    fn fold(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::AttemptTroubled(failure) => self.note(at, failure),
            Event::OrderSeen(facts) => {
                self.see_order(at, facts);
                self.turn();
            }
            Event::AuthorizationSeen(facts) => {
                // A CA that was not to be told, and still waits to be, has not come further: the next
                // try keeps its distance.
                let known = self.authorization(&facts.url);
                let is_stuck = known.is_some_and(|known| known.is_still_untold(facts));
                // What another name's solver is in goes on, however well the CA answers.
                if self.is_troubled_by_ca() && !is_stuck {
                    self.trouble = None;
                }
                if let Some(authorization) = self.authorization(&facts.url) {
                    authorization.see((**facts).clone());
                }
                self.turn();
            }
            Event::PlaceFound(found) => {
                self.trouble = None;
                if let Some(authorization) = self.authorization(&found.authorization) {
                    authorization.place = Some(found.place.clone());
                }
            }
            Event::AnswerShown(shown) => {
                if let Some(authorization) = self.authorization(&shown.authorization)
                    && let AnswerState::Presented { showing, .. } = &mut authorization.answer
                {
                    *showing = Some(shown.showing.clone());
                }
            }
            Event::AnswerAwaited(awaited) => {
                if let Some(authorization) = self.authorization(&awaited.authorization) {
                    authorization.answer = AnswerState::Awaited;
                }
            }
            Event::AnswersDoubted(_) => {
                if let Stage::Ordered(order) = &mut self.stage {
                    order.authorizations.iter_mut().for_each(Authorization::doubt);
                }
            }
            Event::ChainSeen(facts) => {
                self.trouble = None;
                self.stage = Stage::Fetched(facts.clone());
            }
            Event::ChainOffered(offered) => {
                self.trouble = None;
                if let Stage::Ordered(order) = &mut self.stage {
                    order.chains.push(Offered::new(at, offered));
                }
            }
            Event::ChainChosen(chosen) => self.choose(&chosen.certificate),
            _ => {}
        }
    }

    fn choose(&mut self, certificate: &Url) {
        let Stage::Ordered(order) = &mut self.stage else { return };
        let chosen = order.chains.iter().find(|own| own.certificate == *certificate);
        let Some(facts) = chosen.and_then(|own| own.facts.as_ref()) else { return };
        self.alternate = (facts.kept != facts.leaf.fingerprint).then_some(facts.kept);
        self.stage = Stage::Fetched(Arc::clone(&facts.leaf));
    }

    /// Returns whether the CA has issued a leaf in it.
    #[must_use]
    pub fn is_issued(&self) -> bool {
        match &self.stage {
            Stage::Unordered { .. } => false,
            Stage::Ordered(ordered) => ordered.facts.status == OrderStatus::Valid,
            Stage::Fetched(_) => true,
        }
    }

    /// Returns whether what is wrong could be shown to be over by the CA's answering.
    #[must_use]
    pub fn is_troubled_by_ca(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| match trouble.failure.blame {
            Blame::Issuer(_) | Blame::Account(_) | Blame::Ourselves => true,
            Blame::Name(_)
            | Blame::Zone(_)
            | Blame::Solver(_)
            | Blame::Target(_)
            | Blame::Endpoint(_) => false,
        })
    }

    fn see_order(&mut self, at: Timestamp, facts: &OrderFacts) {
        // An order that still waits for the CSR whose sending failed has not come further: the next
        // try keeps its distance.
        let is_stuck = matches!(
            &self.stage,
            Stage::Ordered(order) if order.finalize_doubted && order.facts.status == facts.status
        );
        if !is_stuck {
            self.trouble = None;
        }
        if let (Some(ordered), Some(told)) = (&self.plan.profile, &facts.profile) {
            self.odd_profile = (ordered != told).then(|| told.clone());
        }
        match &mut self.stage {
            Stage::Unordered { .. } => {
                self.stage = Stage::Ordered(Box::new(Ordered::new(at, facts)));
            }
            Stage::Ordered(order) => order.see(at, facts),
            Stage::Fetched(_) => {}
        }
    }

    const fn turn(&mut self) {
        if let Stage::Ordered(order) = &mut self.stage {
            order.turns = order.turns.saturating_add(1);
        }
    }

    fn authorization(&mut self, url: &Url) -> Option<&mut Authorization> {
        let Stage::Ordered(order) = &mut self.stage else { return None };
        order.authorizations.iter_mut().find(|authorization| authorization.url == *url)
    }

    fn conclude(&mut self, at: Timestamp, act: &ActKind, end: &Ended) {
        let outcome = &end.outcome;
        if !is_of_attempt(act) {
            return;
        }
        // What went wrong is over once anything goes right; what goes wrong is noted, and what is
        // worth trying again is decided elsewhere.
        match outcome {
            Outcome::Done(_) => self.trouble = None,
            Outcome::Unknown => {
                let before = self.trouble.take();
                let trouble = Trouble::unknown(before.as_deref(), at, act, end.interrupted);
                self.trouble = Some(Box::new(trouble));
            }
            Outcome::Failed(failure) => self.note(at, failure),
        }
        match act {
            ActKind::MakeKey { .. } => {
                if let Outcome::Done(Fact::Key(key)) = outcome {
                    self.key = Some(key.clone());
                }
            }
            ActKind::NewOrder { replaces, .. } => {
                self.conclude_order(at, replaces.is_some(), outcome);
            }
            ActKind::Present { answer } => {
                if matches!(outcome, Outcome::Done(_)) {
                    self.presented(at, answer);
                }
            }
            ActKind::Respond { challenge, .. } => self.conclude_respond(at, challenge, outcome),
            ActKind::Finalize { .. } => self.conclude_finalize(at, outcome),
            _ => {}
        }
    }

    fn note(&mut self, at: Timestamp, failure: &Failure) {
        let before = self.trouble.take();
        self.trouble = Some(Box::new(Trouble::again(before.as_deref(), at, failure)));
    }

    fn conclude_order(&mut self, at: Timestamp, replacing: bool, outcome: &Outcome) {
        match outcome {
            Outcome::Done(Fact::Order(facts)) => self.see_order(at, facts),
            Outcome::Failed(failure) if failure.kind == FailureKind::Unknown => self.doubt_order(),
            Outcome::Unknown => self.doubt_order(),
            Outcome::Failed(failure)
                if replacing && (is_no(failure.kind) || is_stumble(failure)) =>
            {
                // `replaces` is a courtesy. A CA that has lost the predecessor, counts it as another
                // account's or as replaced already refuses the order for it (RFC 9773 section 5):
                // the order is made again without, and only then is a refusal one.
                self.plan.replaces = None;
                self.trouble = None;
            }
            Outcome::Done(_) | Outcome::Failed(_) => {}
        }
    }

    /// The CA may know of an order of which we do not. What is doubted while there is one already
    /// belongs to an attempt before, given up only now, and says nothing of this one's.
    const fn doubt_order(&mut self) {
        if let Stage::Unordered { doubted } = &mut self.stage {
            *doubted = true;
        }
    }

    fn conclude_respond(&mut self, at: Timestamp, challenge: &Url, outcome: &Outcome) {
        let Stage::Ordered(order) = &mut self.stage else { return };
        let Some(authorization) =
            order.authorizations.iter_mut().find(|authorization| authorization.has(challenge))
        else {
            return;
        };
        match outcome {
            Outcome::Done(_) => {
                authorization.answer = AnswerState::Responded { at, doubted: false };
            }
            Outcome::Unknown => {
                authorization.answer = AnswerState::Responded { at, doubted: true };
            }
            // A 503 may come from a front that hides what the CA did: it is asked first.
            Outcome::Failed(failure) if !is_no(failure.kind) => {
                authorization.answer = AnswerState::Responded { at, doubted: true };
            }
            Outcome::Failed(_) => {}
        }
    }

    fn conclude_finalize(&mut self, at: Timestamp, outcome: &Outcome) {
        let Stage::Ordered(order) = &mut self.stage else { return };
        match outcome {
            Outcome::Done(Fact::Order(facts)) => {
                order.finalize_doubted = false;
                order.see(at, facts);
            }
            Outcome::Unknown => order.finalize_doubted = true,
            // As for responding: what the CA did is asked first.
            Outcome::Failed(failure) if !is_no(failure.kind) => order.finalize_doubted = true,
            Outcome::Done(_) | Outcome::Failed(_) => {}
        }
    }

    /// A record that stays may answer for a name and its wildcard at once.
    fn presented(&mut self, at: Timestamp, answer: &Answer) {
        let Stage::Ordered(order) = &mut self.stage else { return };
        let all = order.authorizations.iter_mut();
        for authorization in all.filter(|authorization| authorization.is_answered_by(answer)) {
            if answer.standing.is_none() || authorization.answer == AnswerState::Absent {
                authorization.answer = AnswerState::Presented { at, showing: None };
            }
        }
    }
}

/// Returns whether an act is one of the attempt's own. What concerns what was there before or comes
/// after it is not.
const fn is_of_attempt(act: &ActKind) -> bool {
    match act {
        ActKind::MakeKey { .. }
        | ActKind::NewOrder { .. }
        | ActKind::Present { .. }
        | ActKind::Respond { .. }
        | ActKind::Finalize { .. }
        | ActKind::KeepBundle { .. } => true,
        ActKind::DropKey { .. }
        | ActKind::NewAccount { .. }
        | ActKind::ChangeKey { .. }
        | ActKind::EndAccount { .. }
        | ActKind::Revoke { .. }
        | ActKind::Withdraw { .. }
        | ActKind::Stage { .. }
        | ActKind::Validate { .. }
        | ActKind::Activate { .. }
        | ActKind::PutBack { .. } => false,
    }
}

/// Returns whether a failure is the answer of somebody who heard what was wanted.
const fn is_no(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Refused
        | FailureKind::Unauthorized
        | FailureKind::Gone
        | FailureKind::AlreadyReplaced => true,
        FailureKind::Transient
        | FailureKind::RateLimited { .. }
        | FailureKind::AccountUnknown
        | FailureKind::Unknown => false,
    }
}

/// Makes the failure of an act whose outcome is not known.
pub(super) fn unanswered(act: &ActKind) -> Failure {
    let (blame, attempted) = match act {
        ActKind::NewAccount { issuer, .. } => (Blame::Issuer(issuer.clone()), "register"),
        ActKind::NewOrder { account, .. } => {
            (Blame::Issuer(account.issuer.clone()), "create an order")
        }
        ActKind::Respond { account, .. } => {
            (Blame::Issuer(account.issuer.clone()), "respond to a challenge")
        }
        ActKind::Finalize { account, .. } => {
            (Blame::Issuer(account.issuer.clone()), "finalize the order")
        }
        ActKind::ChangeKey { account, .. } => {
            (Blame::Issuer(account.issuer.clone()), "change the account's key")
        }
        ActKind::EndAccount { account } => {
            (Blame::Issuer(account.issuer.clone()), "end the account")
        }
        ActKind::Revoke { issuer, .. } => (Blame::Issuer(issuer.clone()), "revoke a leaf"),
        ActKind::Present { answer } => (Blame::Solver(answer.solver.clone()), "present an answer"),
        ActKind::Withdraw { answer } => {
            (Blame::Solver(answer.solver.clone()), "withdraw an answer")
        }
        ActKind::Stage { target, .. } => (Blame::Target(target.clone()), "stage a bundle"),
        ActKind::Validate { target, .. } => (Blame::Target(target.clone()), "validate a bundle"),
        ActKind::Activate { target, .. } => (Blame::Target(target.clone()), "activate a bundle"),
        ActKind::PutBack { target, .. } => {
            (Blame::Target(target.clone()), "put the bundle before back")
        }
        ActKind::MakeKey { .. } => (Blame::Ourselves, "make a key"),
        ActKind::DropKey { .. } => (Blame::Ourselves, "drop a key"),
        ActKind::KeepBundle { .. } => (Blame::Ourselves, "keep a bundle"),
    };
    Failure {
        kind: FailureKind::Unknown,
        blame,
        attempted: attempted.into(),
        cause: "it is not known how it ended: no answer came, or this process ended first".into(),
        problem: None,
    }
}

/// Returns whether a CA answered, with a problem of its own making: some (Pebble 2.10.1) do so
/// where they cannot find the predecessor.
fn is_stumble(failure: &Failure) -> bool {
    failure.kind == FailureKind::Transient && failure.problem.is_some()
}

impl Ordered {
    fn new(at: Timestamp, facts: &OrderFacts) -> Self {
        let authorizations = facts.authorizations.iter().map(|url| Authorization {
            url: url.clone(),
            facts: None,
            place: None,
            answer: AnswerState::Absent,
            interrupted: false,
        });
        Self {
            facts: facts.clone(),
            since: at,
            authorizations: authorizations.collect(),
            finalize_doubted: false,
            turns: 0,
            poll_at: poll_at(at, facts),
            chains: Vec::new(),
        }
    }

    fn see(&mut self, at: Timestamp, facts: &OrderFacts) {
        // A CA that goes back and forth must not move the deadlines.
        if stage_of(facts.status) > stage_of(self.facts.status) {
            self.since = at;
        }
        self.poll_at = poll_at(at, facts);
        // An answer to `Finalize` may repeat less than the order itself said; what was learnt stays.
        let before = core::mem::replace(&mut self.facts, facts.clone());
        let now = &mut self.facts;
        now.finalize = now.finalize.take().or(before.finalize);
        now.certificate = now.certificate.take().or(before.certificate);
        if now.authorizations.is_empty() {
            now.authorizations = before.authorizations;
        }
        // The CA has told how it stands: what `Finalize` did is known now.
        self.finalize_doubted = false;
    }
}

//= https://www.rfc-editor.org/rfc/rfc8555#section-7.4
fn poll_at(heard_at: Timestamp, facts: &OrderFacts) -> Option<Timestamp> {
    facts.retry_at.map(|named| named.min(after(heard_at, POLLED_AT_LEAST_EVERY)))
}

/// Returns how far an order has come, by what is waited for.
const fn stage_of(status: OrderStatus) -> u8 {
    match status {
        OrderStatus::Pending => 0,
        OrderStatus::Ready | OrderStatus::Processing => 1,
        OrderStatus::Valid => 2,
        OrderStatus::Invalid | OrderStatus::Unknown => 3,
    }
}

impl Authorization {
    /// Returns whether the challenge is one of its own.
    #[must_use]
    pub fn has(&self, challenge: &Url) -> bool {
        let own = self.facts.as_ref().map_or(&[][..], |facts| &facts.challenges);
        own.iter().any(|candidate| candidate.url == *challenge)
    }

    /// Returns whether an answer is one to its challenges.
    #[must_use]
    pub fn is_answered_by(&self, answer: &Answer) -> bool {
        let Some(facts) = &self.facts else { return false };
        facts.challenges.iter().any(|challenge| match &answer.standing {
            None => challenge.token.as_deref() == Some(&*answer.token),
            Some(_) => challenge.persist.is_some() && facts.identifier == answer.identifier,
        })
    }

    /// Returns whether its answer may be down without our having taken it down: to be asked when the
    /// process begins.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.status() == Some(AuthorizationStatus::Pending)
            && !matches!(self.answer, AnswerState::Absent | AnswerState::Doubted)
    }

    fn doubt(&mut self) {
        if self.is_doubtful() {
            self.interrupted |= matches!(self.answer, AnswerState::Responded { .. });
            self.answer = AnswerState::Doubted;
        }
    }

    /// Takes in what the CA says. Where it is not known whether the CA was told of the answer, this
    /// tells: a challenge that still waits was not. And an answer that may be down is put up again
    /// if the CA may still look for it.
    fn see(&mut self, facts: AuthorizationFacts) {
        if self.answer == AnswerState::Doubted && facts.status == AuthorizationStatus::Pending {
            self.answer = AnswerState::Absent;
        }
        if let AnswerState::Responded { at, doubted: true } = self.answer {
            self.answer = if self.is_still_untold(&facts) {
                AnswerState::Awaited
            } else {
                AnswerState::Responded { at, doubted: false }
            };
        }
        self.facts = Some(facts);
    }

    /// Returns whether it is not known if the CA was told, and what it says now shows that it was not:
    /// every challenge still waits.
    fn is_still_untold(&self, facts: &AuthorizationFacts) -> bool {
        matches!(self.answer, AnswerState::Responded { doubted: true, .. })
            && facts.challenges.iter().all(|c| c.status == ChallengeStatus::Pending)
    }

    /// Returns its status as the CA said it last.
    #[must_use]
    pub fn status(&self) -> Option<AuthorizationStatus> {
        self.facts.as_ref().map(|facts| facts.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reason;
    use crate::words::{Identifier, Name, Slot};

    fn facts(status: AuthorizationStatus) -> AuthorizationFacts {
        AuthorizationFacts {
            url: Url::from("https://ca.test/authz/1"),
            identifier: Identifier::new("example.test").unwrap(),
            wildcard: false,
            status,
            expires: None,
            challenges: Vec::new(),
            retry_at: None,
        }
    }

    fn authorization(answer: AnswerState) -> Authorization {
        let facts = facts(AuthorizationStatus::Pending);
        Authorization {
            url: facts.url.clone(),
            facts: Some(facts),
            place: None,
            answer,
            interrupted: false,
        }
    }

    fn told() -> AnswerState {
        AnswerState::Responded { at: Timestamp::UNIX_EPOCH, doubted: false }
    }

    #[test]
    fn an_answer_that_was_up_at_a_restart_is_put_up_again_if_the_ca_still_waits() {
        let up = AnswerState::Presented { at: Timestamp::UNIX_EPOCH, showing: None };
        for (answer, interrupted) in [(up, false), (AnswerState::Awaited, false), (told(), true)] {
            let mut authorization = authorization(answer);
            authorization.doubt();
            assert_eq!(authorization.answer, AnswerState::Doubted);
            authorization.see(facts(AuthorizationStatus::Pending));
            assert_eq!(authorization.answer, AnswerState::Absent);
            assert_eq!(authorization.interrupted, interrupted);
        }
    }

    #[test]
    fn an_answer_that_is_not_needed_any_more_is_not_put_up_again() {
        let mut authorization = authorization(told());
        authorization.doubt();
        authorization.see(facts(AuthorizationStatus::Valid));
        assert_eq!(authorization.answer, AnswerState::Doubted);
        authorization.doubt();
        assert!(!authorization.is_doubtful());
    }

    fn running() -> Running {
        let plan = AttemptBegan {
            issuer: Name::new("ca"),
            identifiers: Arc::new([Identifier::new("example.test").unwrap()]),
            key: Slot("certificate/x/1".into()),
            profile: None,
            replaces: None,
            reason: Reason::Uncovered,
            reserve_at: None,
            hurried: false,
        };
        Running {
            plan,
            began_at: Timestamp::UNIX_EPOCH,
            before: Rest::default(),
            key: None,
            stage: Stage::Unordered { doubted: false },
            trouble: None,
            odd_profile: None,
            alternate: None,
        }
    }

    fn troubled(blame: Blame) -> Event {
        Event::AttemptTroubled(Failure {
            kind: FailureKind::Transient,
            blame,
            attempted: "try".into(),
            cause: "why".into(),
            problem: None,
        })
    }

    #[test]
    fn the_cas_answer_ends_what_the_ca_was_blamed_for_and_not_a_solvers_trouble() {
        let name = Name::new("x");
        for (blame, left) in [(Blame::Solver(name.clone()), Some(2)), (Blame::Issuer(name), None)] {
            let mut running = running();
            let at = Timestamp::UNIX_EPOCH;
            running.fold(at, &troubled(blame.clone()));
            running.fold(at, &troubled(blame));
            let seen = Box::new(facts(AuthorizationStatus::Pending));
            running.fold(at, &Event::AuthorizationSeen(seen));
            assert_eq!(running.trouble.map(|trouble| trouble.failures), left);
        }
    }
}
