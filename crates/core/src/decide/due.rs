//! Whether a certificate is to be renewed now, and why.
//!
//! First comes what is missing: no valid leaf, names that the leaf lacks, a target that has
//! nothing and that nothing we hold could fill. Then a person's wish, also that the leaf be revoked,
//! and a leaf that is revoked.
//! Then the CA's suggestion or the schedule. After a failed attempt the retry table speaks as well.
//!
//! Complications, and how each is met:
//! - An adopted leaf has no bundle, so it cannot be put on a target that lacks one: the target is
//!   uncovered, and renewal is due.
//! - Where no target may be written (all hold files of somebody else, and `take_over` was not
//!   declared), a new leaf could go nowhere: nothing is ordered, and a finding says what to
//!   declare.
//! - A CA may suggest a moment in the leaf's first third, as it does when it must revoke. That is
//!   followed once; if the successor's suggestion is as early, the schedule is used instead, so
//!   that a confused CA cannot make us order for ever.
//! - Leaves may come to nothing (a full disk, a leaf that fails the gate), and declarations may go
//!   back and forth: two such leaves for the same names in a week hold back the third, which is a
//!   finding; only the reserve overrules this.
//!
//! What this does not do: look at names one by one. All names of a certificate are renewed
//! together.

use jiff::{SignedDuration, Timestamp};

use super::{Context, Decision, Runway, renew_at, retry};
use crate::event::{AttemptBegan, Event, Reason};
use crate::state::{
    Certificate, Deployment, Found, ISSUED_LATELY, Issuer, Leaf, Rest, State, set_of,
};
use crate::words::time::after;
use crate::words::{Name, Permille, RevocationReason, Validity};

/// When renewal is due, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Returns when renewal of a certificate is due, whatever became of the last attempt.
#[must_use]
pub fn due(certificate: &Certificate) -> Due {
    let Some(leaf) = &certificate.leaf else {
        return Due { at: certificate.declared_at, reason: Reason::Uncovered };
    };
    if let Some(at) = certificate.uncovered_since(leaf) {
        return Due { at, reason: Reason::NamesChanged };
    }
    if let Some(revoking) = certificate.revoking_newest() {
        let is_urgent = revoking.at_once || revoking.reason == RevocationReason::KeyCompromise;
        let reason = if is_urgent { Reason::Revoked } else { Reason::Requested };
        return Due { at: revoking.since, reason };
    }
    if let Some(at) = certificate.requested_at {
        return Due { at, reason: Reason::Requested };
    }
    let planned = planned(certificate, leaf);
    if let Some(revoked) = revoked(certificate, leaf) {
        return Due { at: revoked.at.min(planned.at), ..revoked };
    }
    match lying_elsewhere(certificate, leaf) {
        Some(elsewhere) if elsewhere.at < planned.at => elsewhere,
        _ => planned,
    }
}

fn planned(certificate: &Certificate, leaf: &Leaf) -> Due {
    let validity =
        Validity { not_before: leaf.facts.validity.not_before, not_after: leaf.facts.ends_at() };
    let before = certificate.spec.renew_before;
    let suggestion = certificate.suggestion.as_ref().map(|s| (s.window, s.spread));
    let early = validity.elapsed_at(FIRST_THIRD_PERCENT);
    let usable = suggestion.filter(|(window, spread)| !leaf.is_early || window.at(*spread) > early);
    let reason = if usable.is_some() { Reason::Suggested } else { Reason::Scheduled };
    Due { at: renew_at(validity, usable, before), reason }
}

/// A leaf that an endpoint shows to be revoked is due at once. If it replaced a revoked one itself,
/// something is wrong that a third leaf does not mend, and each costs the CA an order.
fn revoked(certificate: &Certificate, leaf: &Leaf) -> Option<Due> {
    let since = certificate.revoked_since()?;
    let earliest =
        if leaf.replaced_revoked { after(leaf.since, REVOKED_AGAIN_AFTER) } else { leaf.since };
    Some(Due { at: since.max(earliest), reason: Reason::Revoked })
}

/// How long a leaf that replaced a revoked one is kept, though it is revoked as well.
const REVOKED_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(6);

/// A suggestion in this first share of a leaf's life replaces it, but not its successor too.
pub(crate) const FIRST_THIRD_PERCENT: u8 = 33;

/// Returns when a target that does not have the adopted leaf is due. A leaf of ours has a bundle
/// and is simply deployed.
fn lying_elsewhere(certificate: &Certificate, leaf: &Leaf) -> Option<Due> {
    if leaf.bundle.is_some() {
        return None;
    }
    let dues = certificate.targets.iter().filter_map(|ledger| match &ledger.found {
        Found::Unlooked | Found::Unlookable(_) => None,
        Found::Nothing { .. } => Some(Due { at: leaf.since, reason: Reason::TargetUncovered }),
        Found::Leaf { facts, .. } if certificate.covers_all(facts) => {
            let at = renew_at(facts.validity, None, certificate.spec.renew_before);
            Some(Due { at, reason: Reason::Scheduled })
        }
        Found::Leaf { .. } => Some(Due { at: leaf.since, reason: Reason::TargetUncovered }),
    });
    dues.min_by_key(|due| due.at)
}

/// How many leaves may be issued beyond the schedule, or in vain, for the same names in a week. Let's
/// Encrypt issues five for an exact set of names; the rest is for people, and for what is planned.
const BEYOND_SCHEDULE: usize = 2;

/// How far apart they are in the reserve, where a limit of our own must not cause a lapse.
const IN_RESERVE_EVERY: SignedDuration = SignedDuration::from_hours(12);

/// Returns until when no leaf is issued because too many were, for the same names and without a
/// schedule's asking for them. What a person asks for is no such leaf, and what replaces a revoked
/// one does not wait.
#[must_use]
pub fn held_until(certificate: &Certificate) -> Option<Timestamp> {
    let is_wanted = certificate.requested_at.is_some() || certificate.revoking_newest().is_some();
    if certificate.issued.is_empty() || is_wanted {
        return None;
    }
    let set = set_of(&certificate.spec.identifiers);
    let mut newest_first = certificate.issued.iter().rev().filter(|issued| issued.set == set);
    let last = newest_first.next()?;
    let first_that_counts = newest_first.nth(BEYOND_SCHEDULE - 2)?;
    if certificate.revoked_since().is_some() {
        return None;
    }
    let reserve_at = Runway::of(certificate).reserve_at();
    let in_reserve = reserve_at.max(after(last.at, IN_RESERVE_EVERY));
    Some(after(first_that_counts.at, ISSUED_LATELY).min(in_reserve))
}

/// Begins an attempt if one is due.
pub(super) fn begin(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    rest: &Rest,
    decision: &mut Decision,
) {
    if !has_place(cx.state, certificate) {
        return;
    }
    let due = due(certificate);
    let not_before = rest.last.as_ref().map(|last| retry::attempt_at(certificate, rest, last));
    let begin_at = not_before.map_or(due.at, |retry_at| retry_at.max(due.at));
    if cx.now < begin_at {
        decision.wake(begin_at);
        return;
    }
    if let Some(until) = held_until(certificate).filter(|until| *until > cx.now) {
        return decision.wake(until);
    }
    // Withdraw what the last attempt left before the next one puts up its own.
    if !certificate.owed.is_empty() && certificate.owed.iter().all(|owed| owed.failures == 0) {
        return;
    }
    let Some((issuer_name, issuer)) = choose_issuer(cx, certificate) else { return };
    decision.events.push(Event::AttemptBegan(alloc::boxed::Box::new(AttemptBegan {
        issuer: issuer_name.clone(),
        identifiers: certificate.spec.identifiers.clone(),
        key: certificate.next_slot(name),
        profile: issuer.spec.profile.clone(),
        replaces: replaces(certificate, issuer_name, issuer),
        reason: due.reason,
        reserve_at: certificate.leaf.as_ref().map(|leaf| reserve_of(leaf, due)),
        hurried: due.reason == Reason::Suggested && is_hurried(certificate, due),
    })));
}

/// Returns when the reserve of a leaf begins that is due: what is served elsewhere has no part in it.
fn reserve_of(leaf: &Leaf, due: Due) -> Timestamp {
    let lapse_at = leaf.facts.ends_at();
    Runway { planned_at: due.at.min(lapse_at), lapse_at }.reserve_at()
}

/// The share of a lifetime by which a suggestion must come before the schedule to be a hurry. Windows
/// of normal life lie within a few hundredths of it.
const HURRY_PERCENT: u8 = 10;

fn is_hurried(certificate: &Certificate, suggested: Due) -> bool {
    let Some(leaf) = &certificate.leaf else { return false };
    let validity = leaf.facts.validity;
    let scheduled = renew_at(validity, None, None);
    let a_tenth = validity.elapsed_at(HURRY_PERCENT).duration_since(validity.not_before);
    after(suggested.at, a_tenth) < scheduled
}

/// Returns the first declared issuer that is allowed, and at which a person has not ended our account.
fn choose_issuer<'a>(
    cx: &Context<'a>,
    certificate: &'a Certificate,
) -> Option<(&'a Name, &'a Issuer)> {
    let known = |name: &'a Name| Some((name, cx.state.issuers.get(name)?));
    let mut known = certificate.spec.issuers.iter().filter_map(known);
    known.find(|(_, issuer)| issuer.ended.is_none())
}

/// Returns what the new order replaces, for CAs that take renewal information: a leaf of their own
/// for the same account (RFC 9773 section 5). An adopted leaf may be another account's.
fn replaces(
    certificate: &Certificate,
    issuer_name: &Name,
    issuer: &Issuer,
) -> Option<crate::words::AriCertId> {
    let leaf =
        certificate.leaf.as_ref().filter(|leaf| leaf.issuer.as_ref() == Some(issuer_name))?;
    let supported = issuer.directory.as_ref().is_some_and(|facts| facts.has_renewal_info);
    if supported { leaf.facts.ari_id.clone() } else { None }
}

/// Returns whether a leaf of ours may go to a target.
#[must_use]
pub fn may_write(state: &State, ledger: &Deployment) -> bool {
    let take_over = state.targets.get(&ledger.target).is_some_and(|t| t.spec.take_over);
    match &ledger.found {
        // What could not be looked at is tried: the adapter refuses files that are not ours.
        Found::Unlooked | Found::Unlookable(_) => true,
        Found::Nothing { ours } | Found::Leaf { ours, .. } => *ours || take_over,
    }
}

/// Returns whether a new leaf could go anywhere: without targets it is only kept.
#[must_use]
pub fn has_place(state: &State, certificate: &Certificate) -> bool {
    let targets = &certificate.targets;
    targets.is_empty() || targets.iter().any(|ledger| may_write(state, ledger))
}

/// Returns the share of chance that a retry delay may add.
pub(super) const fn at_most_a_quarter(jitter: Permille) -> Permille {
    Permille::new(jitter.get() / 4)
}
