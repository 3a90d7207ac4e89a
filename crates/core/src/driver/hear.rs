//! Hearing replies: what is new becomes a record, what is not moves a mark at most.
//!
//! Replies may come late, twice or out of order; one that fits nothing any more is dropped. And
//! what acts and asks say of a shared thing (an issuer) goes into that thing's own stream, in the
//! same batch, so that only what depends on it waits.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::{Driver, Subject, Work};
use crate::action::{AccountRef, ActKind, AskKind, Outcome, Reply};
use crate::decide::{is_needed, is_passing, newly_seen, refused, suffices};
use crate::event::{
    AccountHolderSeen, AccountLost, AnswerAwaited, AnswerShown, ChainOffered, Empty, EndpointSeen,
    Event, PlaceFound, RenewalInfoSeen, TargetInspected, ValidationFailed, ValidationPassed,
};
use crate::intent::{EndpointSpec, IssuerKind};
use crate::record::{Stream, StreamKind};
use crate::state::{
    AnswerState, Attempt, Authorization, Certificate, CertificateId, Ordered, Running, Stage, State,
};
use crate::words::time::after;
use crate::words::{
    Answer, AuthorizationStatus, Blame, ChainFacts, Failure, FailureKind, Identifier, Name,
    Showing, Sight, Url,
};

/// How often it is recorded that nothing changed.
const CYCLE: SignedDuration = SignedDuration::from_hours(24);

impl Driver {
    /// Takes in a reply.
    pub(super) fn hear(&mut self, work: &mut Work, stream: &Stream, ask: &AskKind, reply: Reply) {
        let Some(subject) = self.subject_of(stream) else { return };
        let failed = matches!(reply, Reply::Failed(_));
        let not_before = retry_at(&reply);
        match self.asks.answered(work.now, subject, ask, not_before, failed) {
            // What tells nothing new changes no decision, and nearly all answers are of this kind.
            // One that does tell becomes a record, and its subject is decided on all the same.
            Some(again) => self.wakes.postpone(subject, again, work.now),
            None => {
                work.dirty.insert(subject);
            }
        }
        self.blame_asked(work, ask, &reply);
        match subject {
            Subject::Instance => {}
            Subject::Issuer(_) => self.hear_of_issuer(work, stream, ask, reply),
            Subject::Certificate(id) => {
                let Some(certificate) = self.state.certificate(id) else { return };
                for event in news(work, &self.state, certificate, &stream.name, ask, reply) {
                    let verdict = self.verdict(id, &event);
                    self.append(work, stream, event);
                    if let Some((issuer, verdict)) = verdict {
                        let stream = Stream::new(StreamKind::Issuer, issuer);
                        self.append(work, &stream, verdict);
                    }
                }
            }
        }
    }

    fn hear_of_issuer(&mut self, work: &mut Work, stream: &Stream, ask: &AskKind, reply: Reply) {
        let Some(issuer) = self.state.issuers.get(&stream.name) else { return };
        match (ask, reply) {
            (_, Reply::Directory(facts)) if issuer.directory.as_ref() != Some(&facts) => {
                self.append(work, stream, Event::DirectorySeen(facts));
                // Whether renewal information can be asked for is known only now.
                self.wake_all(work);
            }
            (AskKind::Account { key, .. }, Reply::Account(found)) if issuer.changing.is_some() => {
                let url = found.map(|facts| facts.url);
                let seen = AccountHolderSeen { key: key.clone(), url };
                self.append(work, stream, Event::AccountHolderSeen(seen));
            }
            _ => {}
        }
    }

    /// Returns what a validation's end tells of the name to every certificate that shares it, before
    /// it is recorded. Only of public CAs: others do not count.
    fn verdict(&self, id: CertificateId, event: &Event) -> Option<(Name, Event)> {
        let Event::AuthorizationSeen(facts) = event else { return None };
        let Attempt::Running(running) = &self.state.certificate(id)?.attempt else { return None };
        let Stage::Ordered(ordered) = &running.stage else { return None };
        let known = ordered.authorizations.iter().find(|known| known.url == facts.url)?;
        let issuer = &running.plan.issuer;
        let state = self.state.issuers.get(issuer)?;
        if state.spec.kind != IssuerKind::Public || known.status() == Some(facts.status) {
            return None;
        }
        let identifier = facts.identifier.clone();
        let verdict = match facts.status {
            AuthorizationStatus::Valid => {
                let was_failing = state.failing.iter().any(|known| known.identifier == identifier);
                was_failing.then_some(Event::ValidationPassed(ValidationPassed { identifier }))
            }
            AuthorizationStatus::Invalid if !known.interrupted => {
                let failure = refused(facts, issuer);
                let is_names = matches!(
                    (failure.kind, &failure.blame),
                    (FailureKind::Refused, Blame::Name(_))
                );
                let failed = ValidationFailed { identifier, failure };
                is_names.then(|| Event::ValidationFailed(Box::new(failed)))
            }
            _ => None,
        };
        Some((issuer.clone(), verdict?))
    }

    pub(super) fn subject_of(&self, stream: &Stream) -> Option<Subject> {
        match stream.kind {
            StreamKind::Instance => Some(Subject::Instance),
            StreamKind::Issuer => self.issuers.find(&stream.name).map(Subject::Issuer),
            StreamKind::Certificate => self.state.id(&stream.name).map(Subject::Certificate),
            StreamKind::Solver | StreamKind::Target => None,
        }
    }

    /// Tells an issuer's stream what an ask showed of it.
    fn blame_asked(&mut self, work: &mut Work, ask: &AskKind, reply: &Reply) {
        let (issuer, account) = match ask {
            AskKind::Directory { issuer }
            | AskKind::Account { issuer, .. }
            | AskKind::RenewalInfo { issuer, .. } => (issuer, None),
            AskKind::Order { account, .. }
            | AskKind::Authorization { account, .. }
            | AskKind::Chain { account, .. } => (&account.issuer, Some(account)),
            AskKind::Locate { .. }
            | AskKind::Look { .. }
            | AskKind::Inspect { .. }
            | AskKind::Probe { .. } => return,
        };
        match reply {
            // Renewal information is a courtesy of its own: its limits say nothing of the rest.
            Reply::Failed(_) if matches!(ask, AskKind::RenewalInfo { .. }) => {}
            // Without a directory nothing else is ever asked there: whatever is wrong is told.
            Reply::Failed(failure) if is_unheard(ask, failure.kind) => {
                let stream = Stream::new(StreamKind::Issuer, issuer.clone());
                self.append(work, &stream, Event::Blamed(failure.clone()));
            }
            Reply::Failed(failure) => self.blame(work, issuer, account, failure),
            _ if matches!(ask, AskKind::RenewalInfo { .. }) => {}
            _ => self.clear(work, issuer),
        }
    }

    /// Tells an issuer's stream what an act showed of it.
    pub(super) fn blame_shared(&mut self, work: &mut Work, act: &ActKind, outcome: &Outcome) {
        let (issuer, account) = match act {
            ActKind::NewAccount { issuer, .. } => (issuer, None),
            ActKind::Revoke { issuer, account, .. } => (issuer, account.as_ref()),
            ActKind::NewOrder { account, .. }
            | ActKind::Respond { account, .. }
            | ActKind::ChangeKey { account, .. }
            | ActKind::EndAccount { account }
            | ActKind::Finalize { account, .. } => (&account.issuer, Some(account)),
            _ => return,
        };
        match outcome {
            Outcome::Done(_) => self.clear(work, issuer),
            Outcome::Failed(failure) => self.blame(work, issuer, account, failure),
            Outcome::Unknown => {
                let failure = Failure {
                    kind: FailureKind::Unknown,
                    blame: Blame::Issuer(issuer.clone()),
                    attempted: format!("get an answer from {issuer}").into(),
                    cause: "the answer was lost or did not come in time".into(),
                    problem: None,
                };
                self.blame(work, issuer, account, &failure);
            }
        }
    }

    fn blame(
        &mut self,
        work: &mut Work,
        issuer: &Name,
        account: Option<&AccountRef>,
        failure: &Failure,
    ) {
        let stream = Stream::new(StreamKind::Issuer, issuer.clone());
        if !self.state.issuers.contains_key(issuer) {
            return;
        }
        if failure.kind == FailureKind::AccountUnknown {
            // Many attempts hear of the same loss, and only the first one is news.
            let current = self.state.issuers.get(issuer).and_then(|i| i.account_ref(issuer));
            if let Some(account) = account.filter(|account| current.as_ref() == Some(account)) {
                let lost = AccountLost { url: account.url.clone() };
                self.append(work, &stream, Event::AccountLost(lost));
            }
            return;
        }
        // What is our own fault (no route, no resolver) keeps everybody from this issuer as well,
        // and must be told just as much.
        let is_shared = match &failure.blame {
            Blame::Issuer(name) | Blame::Account(name) => name == issuer,
            Blame::Ourselves => true,
            _ => false,
        };
        let closes = matches!(
            failure.kind,
            FailureKind::Transient | FailureKind::Unknown | FailureKind::RateLimited { .. }
        );
        if is_shared && closes {
            self.append(work, &stream, Event::Blamed(failure.clone()));
        }
    }

    fn clear(&mut self, work: &mut Work, issuer: &Name) {
        if self.state.issuers.get(issuer).is_some_and(|state| state.health.failures > 0) {
            let stream = Stream::new(StreamKind::Issuer, issuer.clone());
            self.append(work, &stream, Event::Cleared(Empty {}));
        }
    }
}

/// Returns whether a directory could not be read for a reason that does not pass by itself.
const fn is_unheard(ask: &AskKind, kind: FailureKind) -> bool {
    matches!(ask, AskKind::Directory { .. })
        && matches!(kind, FailureKind::Refused | FailureKind::Unauthorized | FailureKind::Gone)
}

/// Returns when the CA wants to be asked again.
fn retry_at(reply: &Reply) -> Option<Timestamp> {
    match reply {
        Reply::Order(facts) => facts.retry_at,
        Reply::Authorization(facts) => facts.retry_at,
        Reply::RenewalInfo(facts) => facts.retry_at,
        Reply::Failed(Failure { kind: FailureKind::RateLimited { until }, .. }) => Some(*until),
        _ => None,
    }
}

/// Returns what a reply tells about a certificate that was not known.
fn news(
    work: &Work,
    state: &State,
    certificate: &Certificate,
    name: &Name,
    ask: &AskKind,
    reply: Reply,
) -> Vec<Event> {
    match (ask, reply) {
        (AskKind::Probe { endpoint }, reply) => {
            let sight = match reply {
                Reply::Sight(sight) => Ok(sight),
                Reply::Failed(failure) => Err(failure),
                _ => return Vec::new(),
            };
            of_endpoint(work, state, certificate, endpoint, sight)
        }
        (AskKind::Inspect { target, .. }, reply) => {
            let found = match reply {
                Reply::Installed(installed) => Ok(installed),
                Reply::Failed(failure) => Err(failure),
                _ => return Vec::new(),
            };
            let mut ledgers = certificate.targets.iter();
            let Some(ledger) = ledgers.find(|ledger| ledger.target == *target) else {
                return Vec::new();
            };
            if ledger.shows(&found, certificate.leaf.as_deref()) {
                return seen_through(work, certificate);
            }
            let inspected = TargetInspected { target: target.clone(), found };
            Vec::from([Event::TargetInspected(inspected)])
        }
        (AskKind::RenewalInfo { leaf, .. }, Reply::RenewalInfo(facts)) => {
            if certificate.window_of(leaf) == Some(facts.window) {
                return Vec::new();
            }
            let spread = work.share(name);
            let seen = RenewalInfoSeen { leaf: leaf.clone(), facts, spread };
            Vec::from([Event::RenewalInfoSeen(seen)])
        }
        (AskKind::RenewalInfo { .. }, _) => Vec::new(),
        (AskKind::Look { answer }, Reply::Showing(showing))
            if is_gone(certificate, answer, &showing) =>
        {
            Vec::from([Event::AnswerGone(answer.clone())])
        }
        (ask, reply) => match &certificate.attempt {
            Attempt::Running(running) => of_attempt(certificate, running, ask, reply),
            Attempt::Resting(_) => Vec::new(),
        },
    }
}

/// Returns whether an answer that could not be withdrawn, and that nobody needs any more, is shown by
/// no server: all of them answered.
fn is_gone(certificate: &Certificate, answer: &Answer, showing: &Showing) -> bool {
    let owed = certificate.owed.iter().find(|owed| owed.answer == *answer);
    let is_left = owed.is_some_and(|owed| owed.is_failing() && !is_needed(certificate, owed));
    let Showing { showing, lagging, silent } = showing;
    is_left && showing.is_empty() && silent.is_empty() && !lagging.is_empty()
}

/// Returns what a look at an endpoint tells. A look that shows nothing new is news all the same
/// where a target was told of the leaf, which was served there already, as after a crash between
/// the two.
fn of_endpoint(
    work: &Work,
    state: &State,
    certificate: &Certificate,
    endpoint: &EndpointSpec,
    sight: Result<Sight, Failure>,
) -> Vec<Event> {
    let place = certificate.spec.endpoints.iter().position(|spec| spec == endpoint);
    let Some(place) = place else { return Vec::new() };
    let is_known = certificate.endpoints.get(place).is_some_and(|known| known.shows(&sight));
    let seen_at = newly_seen(state, certificate, place, &sight);
    if is_known && seen_at.is_empty() {
        return seen_through(work, certificate);
    }
    let seen = EndpointSeen { endpoint: endpoint.clone(), sight, seen_at: Some(seen_at) };
    Vec::from([Event::EndpointSeen(seen)])
}

/// Records once in a cycle that nothing changed.
fn seen_through(work: &Work, certificate: &Certificate) -> Vec<Event> {
    let is_fresh = certificate.seen_through.is_some_and(|seen| work.now < after(seen, CYCLE));
    if is_fresh { Vec::new() } else { Vec::from([Event::SeenThrough(Empty {})]) }
}

/// Returns what a reply tells about a running attempt.
fn of_attempt(
    certificate: &Certificate,
    running: &Running,
    ask: &AskKind,
    reply: Reply,
) -> Vec<Event> {
    let Stage::Ordered(ordered) = &running.stage else { return Vec::new() };
    let troubled = running.trouble.is_some();
    match (ask, reply) {
        (AskKind::Order { order, .. }, _) if *order != ordered.facts.url => Vec::new(),
        (AskKind::Order { .. }, Reply::Order(facts)) => {
            let is_known = facts.status == ordered.facts.status
                && facts.certificate.is_some() == ordered.facts.certificate.is_some();
            if is_known && !troubled && !ordered.finalize_doubted {
                return Vec::new();
            }
            Vec::from([Event::OrderSeen(Box::new(facts))])
        }
        (AskKind::Authorization { authorization, .. }, reply) => {
            of_authorization(ordered, authorization, reply, running.is_troubled_by_ca())
        }
        (AskKind::Chain { certificate: url, alternate: false, .. }, Reply::Chain(facts)) => {
            if ordered.facts.certificate.as_ref() != Some(url) || !ordered.chains.is_empty() {
                return Vec::new();
            }
            if suffices(certificate.spec.chain.as_deref(), &facts) {
                return Vec::from([Event::ChainSeen(facts.leaf)]);
            }
            offered(url, Ok(*facts))
        }
        (AskKind::Chain { certificate: url, alternate: true, .. }, reply) => {
            of_alternate(ordered, url, reply)
        }
        (AskKind::Locate { identifier, .. }, Reply::Place(place)) => {
            let unplaced = unplaced(ordered, identifier);
            let found = unplaced.map(|authorization| {
                let authorization = authorization.url.clone();
                Event::PlaceFound(PlaceFound { authorization, place: place.clone() })
            });
            found.collect()
        }
        (AskKind::Look { answer }, Reply::Showing(showing)) => {
            let all = ordered.authorizations.iter();
            let looked = all.filter(|authorization| authorization.is_answered_by(answer));
            let mut told: Vec<Event> =
                looked.filter_map(|own| of_look(own, answer, &showing)).collect();
            // Two authorizations may have it in common.
            told.dedup();
            told
        }
        // A look that fails shows nothing; the waiting has its own deadline.
        (AskKind::Look { .. }, _) => Vec::new(),
        (_, Reply::Failed(failure)) => Vec::from([Event::AttemptTroubled(failure)]),
        _ => Vec::new(),
    }
}

/// Returns what an alternate chain tells. One that cannot be had now is asked for again, and in the
/// end done without: it is no trouble of the attempt's.
fn of_alternate(ordered: &Ordered, url: &Url, reply: Reply) -> Vec<Event> {
    let is_known = ordered.chains.iter().any(|own| own.certificate == *url);
    match reply {
        Reply::Chain(facts) if !is_known => offered(url, Ok(*facts)),
        Reply::Failed(failure) if !is_known && !is_passing(failure.kind) => {
            offered(url, Err(failure))
        }
        _ => Vec::new(),
    }
}

fn offered(url: &Url, found: Result<ChainFacts, Failure>) -> Vec<Event> {
    let certificate = url.clone();
    Vec::from([Event::ChainOffered(Box::new(ChainOffered { certificate, found }))])
}

/// Returns what a look at an answer tells of an authorization. One that was to be up before it was
/// wanted is either seen everywhere, or put up again.
fn of_look(authorization: &Authorization, answer: &Answer, showing: &Showing) -> Option<Event> {
    let url = authorization.url.clone();
    match &authorization.answer {
        AnswerState::Presented { showing: known, .. } if known.as_ref() != Some(showing) => {
            let showing = showing.clone();
            Some(Event::AnswerShown(AnswerShown { authorization: url, showing }))
        }
        AnswerState::Absent if answer.standing.is_some() => {
            let is_up = !showing.showing.is_empty() && showing.lagging.is_empty();
            Some(if is_up {
                Event::AnswerAwaited(AnswerAwaited { authorization: url })
            } else {
                Event::AnswerGone(answer.clone())
            })
        }
        AnswerState::Absent
        | AnswerState::Presented { .. }
        | AnswerState::Doubted
        | AnswerState::Awaited
        | AnswerState::Responded { .. } => None,
    }
}

fn of_authorization(ordered: &Ordered, url: &Url, reply: Reply, troubled: bool) -> Vec<Event> {
    let known = ordered.authorizations.iter().find(|authorization| authorization.url == *url);
    let Some(known) = known else { return Vec::new() };
    match reply {
        Reply::Authorization(mut facts) => {
            // The adapter reports the URL that was asked; a CA may spell it otherwise.
            facts.url = url.clone();
            let doubted = matches!(
                known.answer,
                AnswerState::Doubted | AnswerState::Responded { doubted: true, .. }
            );
            let is_known = known.facts.as_ref().is_some_and(|before| {
                before.status == facts.status && before.challenges == facts.challenges
            });
            if is_known && !doubted && !troubled {
                return Vec::new();
            }
            Vec::from([Event::AuthorizationSeen(Box::new(facts))])
        }
        Reply::Failed(failure) => Vec::from([Event::AttemptTroubled(failure)]),
        _ => Vec::new(),
    }
}

fn unplaced<'a>(
    ordered: &'a Ordered,
    identifier: &'a Identifier,
) -> impl Iterator<Item = &'a Authorization> {
    ordered.authorizations.iter().filter(move |authorization| {
        authorization.place.is_none()
            && authorization.facts.as_ref().is_some_and(|facts| facts.identifier == *identifier)
    })
}
