//! Which names a CA is validating just now, and for which certificate; and which names an answer is up
//! for beside which no other can be.
//!
//! Made of the running attempts, and only in memory: so that of many certificates that share a name
//! one asks first, and the others hear what the CA said (see `decide/authorize.rs`).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::CertificateId;
use super::attempt::{AnswerState, Attempt, Stage};
use super::certificate::Certificate;
use crate::action::ActKind;
use crate::event::Event;
use crate::words::time::after;
use crate::words::{AuthorizationStatus, Identifier, Name};

/// How long a CA may take to validate once it was told.
pub(crate) const VALIDATED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// How long an order may take from its creation to `ready`.
pub(crate) const AUTHORIZED_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// A name, and what of it there is one at a time.
type Place = (Identifier, Sole);

/// What there is one at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sole {
    /// A validation by an issuer.
    Validation(Name),
    /// An answer that a place can show one of.
    Answer,
}

/// Names that are being validated.
#[derive(Clone, Debug, Default)]
pub(super) struct Validating {
    /// Each with the moment from which on nobody waits for it.
    all: BTreeMap<(Place, CertificateId), Timestamp>,
    of: BTreeMap<CertificateId, Vec<Place>>,
}

impl Validating {
    /// Takes in how a certificate stands after an event that may have changed it.
    pub(super) fn note(&mut self, id: CertificateId, certificate: &Certificate) {
        for place in self.of.remove(&id).unwrap_or_default() {
            self.all.remove(&(place, id));
        }
        let now: Vec<(Place, Timestamp)> = places(certificate);
        if now.is_empty() {
            return;
        }
        self.of.insert(id, now.iter().map(|(place, _)| place.clone()).collect());
        self.all.extend(now.into_iter().map(|(place, until)| ((place, id), until)));
    }

    /// Returns whether it is another certificate that has this of a name.
    pub(super) fn is_elsewhere(
        &self,
        sole: Sole,
        identifier: &Identifier,
        own: &dyn Fn(CertificateId) -> bool,
        now: Timestamp,
    ) -> bool {
        let place = (identifier.clone(), sole);
        let first = (place.clone(), CertificateId(0));
        let last = (place, CertificateId(u32::MAX));
        self.all.range(first..=last).any(|((_, id), until)| !own(*id) && now < *until)
    }
}

/// Returns whether an event may change what is being validated.
pub(super) const fn may_change(event: &Event) -> bool {
    match event {
        Event::Started(started) => {
            matches!(started.act, ActKind::Respond { .. } | ActKind::Present { .. })
        }
        Event::Ended(_)
        | Event::AuthorizationSeen(_)
        | Event::AttemptEnded(_)
        | Event::AnswersDoubted(_)
        | Event::ClockPutRight(_)
        | Event::Checkpoint(_) => true,
        _ => false,
    }
}

fn places(certificate: &Certificate) -> Vec<(Place, Timestamp)> {
    let Attempt::Running(running) = &certificate.attempt else { return Vec::new() };
    let Stage::Ordered(ordered) = &running.stage else { return Vec::new() };
    let mut found = Vec::new();
    for authorization in &ordered.authorizations {
        let Some(facts) = &authorization.facts else { continue };
        if facts.status != AuthorizationStatus::Pending {
            continue;
        }
        let until = match authorization.answer {
            AnswerState::Responded { at, .. } => Some(after(at, VALIDATED_WITHIN)),
            _ => certificate.history.acting.iter().find_map(|acting| match &acting.act {
                ActKind::Respond { challenge, .. } if authorization.has(challenge) => {
                    Some(acting.deadline_at)
                }
                _ => None,
            }),
        };
        let place = (facts.identifier.clone(), Sole::Validation(running.plan.issuer.clone()));
        found.extend(until.map(|until| (place, until)));
        // Owed from the moment at which it was to be put up.
        let is_up = certificate.owed.iter().any(|owed| {
            owed.answer.kind.shows_one_at_a_time() && authorization.is_answered_by(&owed.answer)
        });
        if is_up {
            let until = after(ordered.since, AUTHORIZED_WITHIN);
            found.push(((facts.identifier.clone(), Sole::Answer), until));
        }
    }
    found
}
