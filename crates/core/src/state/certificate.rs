//! What is known of a certificate: its leaf, its attempt, its targets, its endpoints, what is owed.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Rest, Stage};
use super::deployment::{DeployStep, Deployment, Found, Overruled};
use super::endpoint::{AddressState, EndpointState};
use super::few::Few;
use super::history::History;
use super::issued::{self, Issued};
use super::laggard::{self, Laggard};
use super::revoking::Revoking;
use crate::action::{ActKind, Fact, Outcome};
use crate::event::{Ended, EndpointSeen, Event, LeafImported, Reason, RenewalInfoSeen};
use crate::intent::{CertificateSpec, KeyRotation, Serves};
use crate::words::{
    Answer, AriCertId, BundleId, Fingerprint, Identifier, KeyId, LeafFacts, Name, Permille,
    SightState, Slot, SuggestedWindow, Url,
};

/// A declared certificate; it lives through all its renewals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its version, acts and incidents.
    pub history: History,
    /// What the operator declared.
    pub spec: Box<CertificateSpec>,
    /// When it was first declared.
    pub declared_at: Timestamp,
    /// Since when it is in the operator's file no more. It is renewed all the same (law 8).
    pub undeclared_at: Option<Timestamp>,
    /// The leaf that the targets are to have.
    pub leaf: Option<Box<Leaf>>,
    /// How many leaves were kept; also numbers the key slots.
    pub leaves: u32,
    /// What the CA suggests for the leaf.
    pub suggestion: Option<Suggestion>,
    /// Whether an attempt runs.
    pub attempt: Attempt,
    /// One ledger for each target, in the order of the declaration. Checkpoints have them and the
    /// endpoints beside the rest ([`super::compact`]); only those of shape 1 have them here.
    #[serde(default, skip_serializing)]
    pub targets: Box<[Deployment]>,
    /// What each endpoint showed last, in the order of the declaration.
    #[serde(default, skip_serializing)]
    pub endpoints: Box<[EndpointState]>,
    /// Answers to be withdrawn: owed from the moment their `Present` was started.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub owed: Few<Owed>,
    /// Answers that stay up for validations to come: records of dns-persist-01.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub standing: Few<Answer>,
    /// Until when what is looked at regularly is known not to have changed.
    pub seen_through: Option<Timestamp>,
    /// The name under which the certificate goes on; this one does nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<Name>,
    /// Names that were added to the declaration later and that the leaf does not have yet.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub late: Few<Late>,
    /// Leaves that were issued lately beyond the schedule, or in vain.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub issued: Few<Issued>,
    /// When a person asked for a renewal that has not come yet.
    pub requested_at: Option<Timestamp>,
    /// How often a key that was to be reused was given up, since its leaf was revoked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rekeyed: u32,
    /// Key slots that no attempt and no leaf needs any more.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub spent_keys: Few<SpentKey>,
    /// The leaves that are served, or lie at a target, and are not `leaf`: what it is compared with
    /// before it takes their place.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub predecessors: Few<Predecessor>,
    /// Servers that did not show an answer when the CA was told of it all the same.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub laggards: Few<Laggard>,
    /// The number of the leaf that a person confirmed, whatever speaks against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<u32>,
    /// Leaves that a person wants revoked.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub revoking: Few<Revoking>,
    /// Keys that others know, or may: none is used again.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub compromised: Few<KeyId>,
}

/// A leaf that is met and is not the newest one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    /// What it says of itself.
    pub facts: Arc<LeafFacts>,
    /// Who issued it, where it was one of ours.
    pub issuer: Option<Name>,
    /// What its CA suggests for it, as far as that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Box<Suggestion>>,
    /// Since when its CA wants it gone: after its renewal the window was moved, to where it has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurried_at: Option<Timestamp>,
}

/// A leaf that covers the certificate's names, kept by us or adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Which of this certificate's leaves it is, from 1.
    pub number: u32,
    /// What it says of itself.
    pub facts: Arc<LeafFacts>,
    /// The bundle in the store; an adopted leaf has none.
    pub bundle: Option<BundleId>,
    /// Who issued it; unknown of an adopted one.
    pub issuer: Option<Name>,
    /// Since when it is the one.
    pub since: Timestamp,
    /// Whether it replaced one in its first third because the CA suggested so.
    #[serde(default)]
    pub is_early: bool,
    /// Whether it replaced a revoked one.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub replaced_revoked: bool,
    /// When it was first seen to be revoked. That is never taken back: a list that cannot be had later
    /// proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// When the reserve of the leaf that it replaced begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve_at: Option<Timestamp>,
    /// Whether the CA asked for it clearly before the schedule.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub hurried: bool,
    /// The profile under which the CA says it was issued, where that is another than the one ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odd_profile: Option<Box<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What the CA suggests for the leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// When to renew.
    pub window: SuggestedWindow,
    /// Our place in the window.
    pub spread: Permille,
    /// A page for people.
    pub explanation: Option<Url>,
}

/// A challenge answer to be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Which.
    pub answer: Answer,
    /// How often withdrawing it failed.
    pub failures: u16,
    /// When it failed last.
    pub failed_at: Option<Timestamp>,
}

/// A name that was added later and is not covered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Which.
    pub identifier: Identifier,
    /// Since when it is declared.
    pub since: Timestamp,
}

/// A key slot to be emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentKey {
    /// Which.
    pub slot: Slot,
    /// How often emptying it failed.
    pub failures: u16,
    /// When it failed last.
    pub failed_at: Option<Timestamp>,
}

impl Predecessor {
    fn met(facts: &Arc<LeafFacts>) -> Self {
        Self { facts: Arc::clone(facts), issuer: None, suggestion: None, hurried_at: None }
    }

    fn is(&self, leaf: &AriCertId) -> bool {
        self.facts.ari_id.as_ref() == Some(leaf)
    }

    /// Takes in what its CA suggests. Its window has usually passed, since it was renewed by that; only
    /// one that was moved since says something, and no more than that if it is moved ahead again.
    fn hear(&mut self, at: Timestamp, suggestion: Suggestion) {
        let window = suggestion.window;
        let has_moved = self.suggestion.as_ref().is_some_and(|before| before.window != window);
        if window.end > at {
            self.hurried_at = None;
        } else if has_moved {
            self.hurried_at.get_or_insert(at);
        }
        self.suggestion = Some(Box::new(suggestion));
    }
}

impl Owed {
    /// How often withdrawing is tried at short distances: with the table's two hours at the end,
    /// about two days. From then on it is tried once a day, and a person may say that it is enough.
    pub const TRIES: u16 = 28;

    /// Returns whether it has failed often enough to be told of.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failures >= 3
    }

    /// Returns whether there is little hope: a person may end it.
    #[must_use]
    pub const fn is_hopeless(&self) -> bool {
        self.failures >= Self::TRIES
    }
}

impl Certificate {
    /// Makes the state of a newly declared certificate.
    #[must_use]
    pub fn new(spec: Box<CertificateSpec>, at: Timestamp) -> Self {
        let mut certificate = Self {
            history: History::default(),
            targets: Box::default(),
            endpoints: Box::default(),
            spec,
            declared_at: at,
            undeclared_at: None,
            leaf: None,
            leaves: 0,
            suggestion: None,
            attempt: Attempt::Resting(Rest::default()),
            owed: Few::new(),
            standing: Few::new(),
            seen_through: None,
            renamed_to: None,
            late: Few::new(),
            issued: Few::new(),
            requested_at: None,
            rekeyed: 0,
            spent_keys: Few::new(),
            predecessors: Few::new(),
            laggards: Few::new(),
            confirmed: None,
            revoking: Few::new(),
            compromised: Few::new(),
        };
        certificate.align(&[], &[]);
        certificate
    }

    /// Returns the slot of the key for the next leaf. The key of a revoked leaf is not used again,
    /// whatever was declared: it may be known to others. Nor is one of another kind than is declared
    /// now.
    #[must_use]
    pub fn next_slot(&self, name: &Name) -> Slot {
        match self.spec.rotation {
            KeyRotation::Rotate => {
                let number = self.leaves.saturating_add(1);
                Slot(alloc::format!("certificate/{name}/{number}").into())
            }
            KeyRotation::Reuse => {
                let newest = self.leaf.as_ref();
                let is_compromised = newest.is_some_and(|leaf| self.is_compromised(leaf.facts.key));
                let is_spent = is_compromised
                    || self.revoked_since().is_some()
                    || self.has_other_kind_of_key();
                reused_slot(name, self.rekeyed.saturating_add(u32::from(is_spent)))
            }
        }
    }

    /// Returns whether the key of our leaf is of another kind than the declared one.
    fn has_other_kind_of_key(&self) -> bool {
        let Some(leaf) = self.leaf.as_ref().filter(|leaf| leaf.bundle.is_some()) else {
            return false;
        };
        leaf.facts.traits.as_ref().is_some_and(|own| own.key_kind != self.spec.key.kind())
    }

    /// Returns since when the leaf is known to be revoked, if it is.
    #[must_use]
    pub fn revoked_since(&self) -> Option<Timestamp> {
        self.leaf.as_ref()?.revoked_at
    }

    /// Returns what an address shows: a leaf that was seen to be revoked stays so, also where its CA's
    /// list could not be had at the last look.
    #[must_use]
    pub fn state_at(&self, address: &AddressState) -> SightState {
        let leaf = self.leaf.as_ref().filter(|leaf| leaf.revoked_at.is_some());
        let shows = leaf.is_some_and(|leaf| address.leaf() == Some(leaf.facts.fingerprint));
        if shows && address.state == SightState::Ok { SightState::Revoked } else { address.state }
    }

    /// Returns whether everything has been looked at once: nothing is decided before.
    #[must_use]
    pub fn is_looked_at(&self) -> bool {
        self.targets.iter().all(Deployment::is_looked_at)
            && self.endpoints.iter().all(|endpoint| endpoint.since.is_some())
    }

    /// Returns who issued a leaf that is the newest or still met, where that is known.
    #[must_use]
    pub fn issuer_of(&self, leaf: Fingerprint) -> Option<&Name> {
        match self.leaf.as_deref().filter(|own| own.facts.fingerprint == leaf) {
            Some(own) => own.issuer.as_ref(),
            None => self.predecessor(leaf)?.issuer.as_ref(),
        }
    }

    /// Returns a leaf that is met and is not the newest one.
    #[must_use]
    pub fn predecessor(&self, leaf: Fingerprint) -> Option<&Predecessor> {
        self.predecessors.iter().find(|known| known.facts.fingerprint == leaf)
    }

    /// Returns whether the leaf covers every declared name.
    #[must_use]
    pub fn covers_all(&self, leaf: &LeafFacts) -> bool {
        // Nearly always the names are the very ones that were declared.
        Arc::ptr_eq(&self.spec.identifiers, &leaf.identifiers)
            || self.spec.identifiers.iter().all(|wanted| leaf.covers(wanted))
    }

    /// Returns since when a declared name is wanted that a leaf does not have, if one is: the first.
    #[must_use]
    pub fn uncovered_since(&self, leaf: &Leaf) -> Option<Timestamp> {
        if self.covers_all(&leaf.facts) {
            return None;
        }
        let uncovered = self.spec.identifiers.iter().filter(|wanted| !leaf.facts.covers(wanted));
        let since = uncovered.map(|wanted| {
            let late = self.late.iter().find(|late| late.identifier == *wanted);
            // Of what was declared from the beginning, this leaf was the first to lack it.
            late.map_or(leaf.since.max(self.declared_at), |late| late.since)
        });
        since.min()
    }

    /// Returns whether every address of every endpoint that is ours to serve shows this leaf: what
    /// made it seen at every target when the first records were written.
    fn is_shown_everywhere(&self, leaf: Fingerprint) -> bool {
        let mut any = false;
        for (spec, endpoint) in self.spec.endpoints.iter().zip(&self.endpoints) {
            if spec.serves != Serves::Ours {
                continue;
            }
            let Ok(addresses) = &endpoint.shown else { return false };
            for address in addresses {
                match address.state {
                    SightState::CannotLook => {}
                    _ if address.leaf() == Some(leaf) => any = true,
                    _ => return false,
                }
            }
        }
        any
    }

    /// Takes in an event.
    pub fn fold(&mut self, version: u64, at: Timestamp, event: &Event) {
        let ended = self.history.fold(version, at, event);
        match event {
            Event::CertificateDeclared(spec) => self.redeclare(at, spec),
            Event::Undeclared(_) => self.undeclared_at = Some(at),
            Event::Started(started) => {
                self.owe(&started.act);
                self.remember_before(&started.act);
            }
            Event::Ended(end) => {
                if let Some(act) = ended {
                    self.conclude(at, &act, end);
                }
            }
            Event::TargetInspected(inspected) => {
                let leaf = self.leaf.as_deref();
                let mut ledgers = self.targets.iter_mut();
                if let Some(ledger) = ledgers.find(|ledger| ledger.target == inspected.target) {
                    ledger.inspect(&inspected.found, leaf);
                    self.seen_through = Some(at);
                }
            }
            Event::EndpointSeen(seen) => self.see(at, seen),
            Event::SeenThrough(_) => self.seen_through = Some(at),
            Event::CertificateRenamed(renamed) => {
                self.renamed_to = Some(renamed.to.clone());
                self.undeclared_at = Some(at);
            }
            Event::LeafInherited(leaf) => {
                self.leaves = leaf.number;
                self.supersede((**leaf).clone());
            }
            Event::LeafAdopted(facts) => self.adopt(at, facts),
            Event::LeafImported(imported) => self.import(at, imported),
            Event::RenewalInfoSeen(seen) => self.hear(at, seen),
            Event::RenewalRequested(_) => self.requested_at = Some(at),
            Event::LeafConfirmed(confirmed) => self.confirm(confirmed.leaf),
            Event::RevocationRequested(asked) => self.begin_revoking(at, asked),
            Event::RevocationMoot(moot) => self.revoking.retain(|own| own.number != moot.leaf),
            Event::HoldOverruled(overruled) => {
                let mut ledgers = self.targets.iter_mut();
                if let Some(ledger) = ledgers.find(|ledger| ledger.target == overruled.target) {
                    let objections = overruled.objections.clone();
                    ledger.overruled = Some(Box::new(Overruled { at, objections }));
                }
            }
            Event::WithdrawalAbandoned(answer) | Event::AnswerGone(answer) => {
                self.owed.retain(|owed| owed.answer != *answer);
                self.standing.retain(|standing| !standing.is_same_record(answer));
            }
            Event::AnswerSpent(answer) => {
                self.standing.retain(|standing| standing != answer);
                self.owe_answer(answer);
            }
            Event::AnswerAwaited(awaited) => {
                laggard::note(&mut self.laggards, &self.attempt, &awaited.authorization, at);
                self.attempt.fold(at, event);
            }
            Event::AttemptEnded(_) => {
                self.waste(at);
                self.attempt.fold(at, event);
            }
            other => self.attempt.fold(at, other),
        }
    }

    fn redeclare(&mut self, at: Timestamp, spec: &CertificateSpec) {
        let before = core::mem::replace(&mut self.spec, Box::new(spec.clone()));
        let is_late = |own: &&Identifier| !before.identifiers.contains(own);
        let late = self.spec.identifiers.iter().filter(is_late).cloned();
        for identifier in late {
            self.late.push(Late { identifier, since: at });
        }
        self.forget_covered();
        let targets = core::mem::take(&mut self.targets);
        let endpoints = core::mem::take(&mut self.endpoints);
        let known: Vec<_> = before.endpoints.iter().cloned().zip(endpoints).collect();
        self.align(&targets, &known);
        if before.endpoints != self.spec.endpoints {
            self.targets.iter_mut().for_each(|ledger| ledger.before = None);
        }
        self.undeclared_at = None;
        self.renamed_to = None;
    }

    /// Forgets of late names those that the leaf has, and those that are not wanted any more.
    fn forget_covered(&mut self) {
        let (spec, leaf) = (&self.spec, self.leaf.as_deref());
        self.late.retain(|late| {
            spec.identifiers.contains(&late.identifier)
                && leaf.is_none_or(|leaf| !leaf.facts.covers(&late.identifier))
        });
    }

    /// Makes one ledger for each declared target and endpoint, keeping what is known of them.
    fn align(
        &mut self,
        targets: &[Deployment],
        endpoints: &[(crate::intent::EndpointSpec, EndpointState)],
    ) {
        let ledger = |name: &Name| {
            let known = targets.iter().find(|ledger| ledger.target == *name);
            known.cloned().unwrap_or_else(|| Deployment::new(name.clone()))
        };
        self.targets = self.spec.targets.iter().map(ledger).collect();
        let state = |spec: &crate::intent::EndpointSpec| {
            let known = endpoints.iter().find(|(known, _)| known == spec);
            known.map_or_else(EndpointState::unseen, |(_, state)| state.clone())
        };
        self.endpoints = self.spec.endpoints.iter().map(state).collect();
    }

    /// A withdrawal is owed from the moment a `Present` is started: after a crash nobody knows
    /// whether the answer went up.
    fn owe(&mut self, act: &ActKind) {
        let ActKind::Present { answer } = act else { return };
        if answer.standing.is_none() {
            return self.owe_answer(answer);
        }
        self.owed.retain(|owed| !owed.answer.is_same_record(answer));
        self.standing.retain(|standing| !standing.is_same_record(answer));
        self.standing.push(answer.clone());
    }

    fn owe_answer(&mut self, answer: &Answer) {
        if !self.owed.iter().any(|owed| owed.answer == *answer) {
            self.owed.push(Owed { answer: answer.clone(), failures: 0, failed_at: None });
        }
    }

    /// What is fine when a leaf begins to be activated must not be worse after it.
    fn remember_before(&mut self, act: &ActKind) {
        let ActKind::Activate { target, bundle, .. } = act else { return };
        let Some(leaf) = self.leaf.as_deref().filter(|leaf| leaf.bundle == Some(*bundle)) else {
            return;
        };
        let mut ledgers = self.targets.iter_mut();
        let Some(ledger) = ledgers.find(|ledger| ledger.target == *target) else { return };
        // One that is told again has been activated already.
        if ledger.active() != Some(leaf.number) {
            ledger.remember(&self.endpoints, leaf.facts.fingerprint);
        }
    }

    fn conclude(&mut self, at: Timestamp, act: &ActKind, end: &Ended) {
        let outcome = &end.outcome;
        match act {
            ActKind::KeepBundle { .. } => self.keep(at, outcome),
            ActKind::DropKey { slot } => self.settle_key(at, slot, end),
            ActKind::Withdraw { answer } => self.settle_withdrawal(at, answer, end),
            ActKind::Revoke { bundle, .. } => self.settle_revocation(at, *bundle, act, end),
            ActKind::Stage { target, bundle, .. }
            | ActKind::Validate { target, bundle, .. }
            | ActKind::Activate { target, bundle, .. }
            | ActKind::PutBack { target, bundle, .. } => {
                let number = self.leaf.as_ref().filter(|leaf| leaf.bundle == Some(*bundle));
                let number = number.map(|leaf| leaf.number);
                let mut ledgers = self.targets.iter_mut();
                if let Some(ledger) = ledgers.find(|ledger| ledger.target == *target) {
                    ledger.conclude(at, act, outcome, end.interrupted, number);
                }
            }
            _ => {}
        }
        self.attempt.conclude(at, act, end);
    }

    /// A kept bundle ends the attempt; the key is part of the bundle now, so its slot is spent.
    fn keep(&mut self, at: Timestamp, outcome: &Outcome) {
        let Outcome::Done(Fact::Kept(bundle)) = outcome else { return };
        let Attempt::Running(running) = &self.attempt else { return };
        let Stage::Fetched(facts) = &running.stage else { return };
        let is_early = running.plan.reason == Reason::Suggested
            && self.leaf.as_ref().is_some_and(|leaf| {
                at <= leaf.facts.validity.elapsed_at(crate::decide::FIRST_THIRD_PERCENT)
            });
        let is_planned = match running.plan.reason {
            Reason::Scheduled | Reason::Uncovered | Reason::Requested | Reason::Revoked => true,
            Reason::Suggested => !is_early,
            Reason::NamesChanged | Reason::TargetUncovered => false,
        };
        if !is_planned && self.requested_at.is_none() {
            issued::remember(&mut self.issued, at, &running.plan.identifiers);
        }
        self.leaves = self.leaves.saturating_add(1);
        let replaced_revoked =
            running.plan.reason == Reason::Revoked || self.revoked_since().is_some();
        let (reserve_at, hurried) = (running.plan.reserve_at, running.plan.hurried);
        let (facts, issuer) = (Arc::clone(facts), running.plan.issuer.clone());
        let (slot, odd_profile) = (running.plan.key.clone(), running.odd_profile.clone());
        let spent = match self.spec.rotation {
            KeyRotation::Rotate => Some(slot),
            KeyRotation::Reuse => self.rekey(&slot),
        };
        let next = Leaf {
            number: self.leaves,
            facts,
            bundle: Some(*bundle),
            issuer: Some(issuer),
            since: at,
            is_early,
            replaced_revoked,
            revoked_at: None,
            reserve_at,
            hurried,
            odd_profile,
        };
        self.supersede(next);
        if let Some(slot) = spent {
            self.spent_keys.push(SpentKey { slot, failures: 0, failed_at: None });
        }
        self.forget_covered();
        self.requested_at = None;
        self.attempt = Attempt::Resting(Rest::default());
        for ledger in &mut self.targets {
            ledger.fall_behind();
            ledger.overruled = None;
        }
    }

    /// Makes a leaf the newest one; the one before it is remembered for as long as it is met.
    fn supersede(&mut self, next: Leaf) {
        if let Some(before) = self.leaf.replace(Box::new(next)) {
            let Leaf { facts, issuer, .. } = *before;
            let suggestion = self.suggestion.take().map(Box::new);
            self.predecessors.retain(|known| known.facts.fingerprint != facts.fingerprint);
            self.predecessors.push(Predecessor { facts, issuer, suggestion, hurried_at: None });
        }
        self.forget_unmet();
    }

    /// Forgets the leaves that are neither served nor lie at a target any more, and the newest one.
    fn forget_unmet(&mut self) {
        let newest = self.leaf.as_ref().map(|leaf| leaf.facts.fingerprint);
        let ours = self.spec.endpoints.iter().zip(&self.endpoints);
        let ours = ours.filter(|(spec, _)| spec.serves == Serves::Ours);
        let shown = ours.filter_map(|(_, endpoint)| endpoint.shown.as_ref().ok());
        let shown = shown.flatten().filter_map(AddressState::leaf);
        let lying = self.targets.iter().filter_map(|ledger| match &ledger.found {
            Found::Leaf { facts, .. } => Some(facts.fingerprint),
            Found::Unlooked | Found::Unlookable(_) | Found::Nothing { .. } => None,
        });
        let met: BTreeSet<Fingerprint> = shown.chain(lying).collect();
        self.predecessors.retain(|known| {
            let own = known.facts.fingerprint;
            newest != Some(own) && met.contains(&own)
        });
    }

    /// Remembers what is served where our leaf is meant to be.
    fn meet(&mut self, seen: &EndpointSeen) {
        if let Ok(sight) = &seen.sight
            && seen.endpoint.serves == Serves::Ours
        {
            for facts in sight.handshakes.iter().filter_map(|handshake| handshake.leaf.as_ref()) {
                let own = facts.fingerprint;
                if !self.predecessors.iter().any(|known| known.facts.fingerprint == own) {
                    self.predecessors.push(Predecessor::met(facts));
                }
            }
        }
        self.forget_unmet();
    }

    fn confirm(&mut self, leaf: u32) {
        self.confirmed = Some(leaf);
        if self.leaf.as_ref().is_some_and(|own| own.number == leaf) {
            self.targets.iter_mut().for_each(|ledger| ledger.overruled = None);
        }
    }

    /// Takes note that a leaf with the key in this slot is the newest. Returns the slot that is
    /// given up for it, if one is.
    fn rekey(&mut self, slot: &Slot) -> Option<Slot> {
        let (certificate, _) = slot.0.strip_prefix("certificate/")?.rsplit_once('/')?;
        let name = Name::new(certificate);
        let [old, new] = [0, 1].map(|more| reused_slot(&name, self.rekeyed.saturating_add(more)));
        let is_new = *slot == new;
        self.rekeyed = self.rekeyed.saturating_add(u32::from(is_new));
        is_new.then_some(old)
    }

    /// An attempt ends. If a leaf was issued in it, that one came to nothing.
    fn waste(&mut self, at: Timestamp) {
        let Attempt::Running(running) = &self.attempt else { return };
        if running.is_issued() && self.requested_at.is_none() {
            issued::remember(&mut self.issued, at, &running.plan.identifiers);
        }
    }

    fn settle_key(&mut self, at: Timestamp, slot: &Slot, end: &Ended) {
        if matches!(end.outcome, Outcome::Done(_)) {
            self.spent_keys.retain(|spent| spent.slot != *slot);
        } else if let Some(spent) = self.spent_keys.iter_mut().find(|spent| spent.slot == *slot) {
            // An end of this process is no failure, unless the act seems to be the reason.
            let is_first = end.interrupted && spent.failed_at.is_none();
            spent.failures = spent.failures.saturating_add(u16::from(!is_first));
            spent.failed_at = Some(at);
        }
    }

    fn settle_withdrawal(&mut self, at: Timestamp, answer: &Answer, end: &Ended) {
        if matches!(end.outcome, Outcome::Done(_)) {
            self.owed.retain(|owed| owed.answer != *answer);
        } else if let Some(owed) = self.owed.iter_mut().find(|owed| owed.answer == *answer) {
            let is_first = end.interrupted && owed.failed_at.is_none();
            owed.failures = owed.failures.saturating_add(u16::from(!is_first));
            owed.failed_at = Some(at);
        }
    }

    fn adopt(&mut self, at: Timestamp, facts: &Arc<LeafFacts>) {
        self.take(at, facts, None, None);
    }

    /// A leaf that another tool got is ours with its key: targets may have it without an order.
    fn import(&mut self, at: Timestamp, imported: &LeafImported) {
        self.take(at, &imported.facts, Some(imported.bundle), imported.issuer.clone());
        for ledger in &mut self.targets {
            ledger.fall_behind();
        }
    }

    fn take(
        &mut self,
        at: Timestamp,
        facts: &Arc<LeafFacts>,
        bundle: Option<BundleId>,
        issuer: Option<Name>,
    ) {
        self.leaves = self.leaves.saturating_add(1);
        self.leaf = Some(Box::new(Leaf {
            number: self.leaves,
            facts: Arc::clone(facts),
            bundle,
            issuer,
            since: at,
            is_early: false,
            replaced_revoked: false,
            revoked_at: None,
            reserve_at: None,
            hurried: false,
            odd_profile: None,
        }));
        self.forget_covered();
        self.suggestion = None;
        self.forget_unmet();
    }

    fn hear(&mut self, at: Timestamp, seen: &RenewalInfoSeen) {
        let suggestion = Suggestion {
            window: seen.facts.window,
            spread: seen.spread,
            explanation: seen.facts.explanation.clone(),
        };
        if self.is_newest(&seen.leaf) {
            self.suggestion = Some(suggestion);
        } else if let Some(known) = self.predecessors.iter_mut().find(|own| own.is(&seen.leaf)) {
            known.hear(at, suggestion);
        }
    }

    fn is_newest(&self, leaf: &AriCertId) -> bool {
        self.leaf.as_ref().is_some_and(|own| own.facts.ari_id.as_ref() == Some(leaf))
    }

    /// Returns the window that a CA suggested last for a leaf that is the newest or still met.
    #[must_use]
    pub fn window_of(&self, leaf: &AriCertId) -> Option<SuggestedWindow> {
        if self.is_newest(leaf) {
            return self.suggestion.as_ref().map(|suggestion| suggestion.window);
        }
        let known = self.predecessors.iter().find(|own| own.is(leaf))?;
        known.suggestion.as_ref().map(|suggestion| suggestion.window)
    }

    fn see(&mut self, at: Timestamp, seen: &EndpointSeen) {
        let place = self.spec.endpoints.iter().position(|spec| *spec == seen.endpoint);
        let Some(endpoint) = place.and_then(|place| self.endpoints.get_mut(place)) else { return };
        endpoint.see(at, &seen.sight);
        EndpointState::share(&mut self.endpoints);
        self.seen_through = Some(at);
        self.meet(seen);
        let Some(leaf) = self.leaf.as_deref_mut() else { return };
        let handshakes = seen.sight.iter().flat_map(|sight| &sight.handshakes);
        let mut served = handshakes.filter_map(|own| Some((own.state, own.leaf.as_ref()?)));
        let is_revoked = served.any(|(state, served)| {
            state == SightState::Revoked && served.fingerprint == leaf.facts.fingerprint
        });
        if is_revoked {
            leaf.revoked_at.get_or_insert(at);
        }
        let (number, fingerprint) = (leaf.number, leaf.facts.fingerprint);
        let everywhere = seen.seen_at.is_none() && self.is_shown_everywhere(fingerprint);
        for ledger in &mut self.targets {
            let named = seen.seen_at.as_ref().is_some_and(|names| names.contains(&ledger.target));
            if let DeployStep::Activated { leaf, .. } = ledger.step
                && leaf == number
                && (everywhere || named)
            {
                ledger.step = DeployStep::Seen { leaf, at };
                ledger.before = None;
                ledger.put_back = 0;
            }
        }
    }
}

/// Returns where a key that is reused lies, after so many were given up.
fn reused_slot(name: &Name, rekeyed: u32) -> Slot {
    Slot(match rekeyed {
        0 => alloc::format!("certificate/{name}/reused").into(),
        count => alloc::format!("certificate/{name}/reused-{count}").into(),
    })
}
