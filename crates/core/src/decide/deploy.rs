//! Deploying: one step of one ledger for each target, none waiting for another (Coveralls).
//!
//! A target gets the newest leaf that we hold as a bundle, in three acts: staged beside the active
//! one, checked by the target's own means, activated. What fails is tried again by itself until the
//! leaf is superseded. Afterwards only handshakes count: they turn `Activated` into `Seen`. A server
//! that goes on serving another leaf is told again, at growing distances.
//!
//! Never worse (law 6): files that are not ours stay untouched unless `take_over` was declared, and
//! a leaf that is newer than ours and covers the names is never replaced by ours.
//!
//! Where a server serves worse with the newest leaf than before, the bundle before it is put back
//! ([`put_back`]).
//!
//! What is staged and checked is not activated while [`hold`] finds something that speaks against
//! it, until the reserve begins or a person confirms it.
//!
//! A key slot whose key went into a bundle is emptied here too.

use alloc::boxed::Box;

use jiff::{SignedDuration, Timestamp};

use super::hold::{self, Hold};
use super::put_back::{self, Worse};
use super::{Context, Decision, Lane, Ties, is_other, may_write, ours, retry};
use crate::action::ActKind;
use crate::event::{Event, HoldOverruled};
use crate::state::{Certificate, DeployStep, Deployment, Found, Leaf};
use crate::words::time::after;
use crate::words::{BundleId, Name};

/// How long writing to a target may take.
const STAGE_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// How long a target's own check, or its reload, may take.
const COMMAND_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// Within how long the files of a target are looked at whose server shows an old leaf.
const LOOKED_AT_WITHIN: SignedDuration = SignedDuration::from_mins(6);

/// How long dropping a key may take.
const LOCAL_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Wants the next act of each ledger.
pub(super) fn decide(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    decision: &mut Decision,
) {
    drop_spent_keys(cx, certificate, decision);
    let Some(leaf) = certificate.leaf.as_deref() else { return };
    let Some(bundle) = leaf.bundle else { return };
    for (place, ledger) in certificate.targets.iter().enumerate() {
        if take_back(cx, name, certificate, place, (leaf, bundle), decision) {
            continue;
        }
        let is_active = ledger.active() == Some(leaf.number);
        let again_at = reload_at(cx, certificate, place).filter(|_| is_active);
        if is_active && again_at.is_none() || !may_replace(cx, certificate, ledger, leaf) {
            continue;
        }
        if is_in_flight(certificate, &ledger.target) {
            continue;
        }
        let retry_at = ledger.trouble.as_deref().map(retry::target_at).max(again_at);
        let retry_at = retry_at.max(retry::put_back_until(certificate, ledger));
        if let Some(later) = retry_at.filter(|at| *at > cx.now) {
            decision.wake(later);
            continue;
        }
        if is_active {
            let (act, within) = activate(cx, name, ledger, bundle);
            decision.want(Lane::Target(ledger.target.clone()), act, within);
            continue;
        }
        let (act, within) = next_act(cx, name, ledger, leaf.number, bundle);
        if matches!(act, ActKind::Activate { .. }) {
            match hold::judge(cx, certificate, ledger, leaf) {
                Hold::None => {}
                Hold::Until { at, .. } => {
                    decision.wake(at);
                    continue;
                }
                Hold::Over(objections) => {
                    let target = ledger.target.clone();
                    let overruled = HoldOverruled { target, objections: objections.into() };
                    decision.events.push(Event::HoldOverruled(Box::new(overruled)));
                    continue;
                }
            }
        }
        decision.want(Lane::Target(ledger.target.clone()), act, within);
    }
}

/// Wants the bundle before the newest to be put back, where that is better; returns whether nothing
/// else is to be done.
fn take_back(
    cx: &Context<'_>,
    name: &Name,
    certificate: &Certificate,
    place: usize,
    newest: (&Leaf, BundleId),
    decision: &mut Decision,
) -> bool {
    let act = match put_back::judge(cx, name, certificate, place, newest) {
        Worse::No => return false,
        Worse::NotYet(at) => {
            decision.wake(at);
            return false;
        }
        Worse::Yes(act) => act,
    };
    let Some(ledger) = certificate.targets.get(place) else { return false };
    let retry_at = ledger.trouble.as_deref().map(retry::target_at);
    if is_in_flight(certificate, &ledger.target) {
        return true;
    }
    match retry_at.filter(|at| *at > cx.now) {
        Some(later) => decision.wake(later),
        None => decision.want(Lane::Target(ledger.target.clone()), act, COMMAND_WITHIN),
    }
    true
}

pub(super) fn drop_spent_keys(
    cx: &Context<'_>,
    certificate: &Certificate,
    decision: &mut Decision,
) {
    // One after the other: there is hardly ever more than one.
    let Some(spent) = certificate.spent_keys.first() else { return };
    if certificate.history.is_acting(|act| matches!(act, ActKind::DropKey { .. })) {
        return;
    }
    let due = spent.failed_at.map(|at| retry::withdrawal_at(at, spent.failures));
    match due.filter(|due| *due > cx.now) {
        Some(later) => decision.wake(later),
        None => {
            decision.want(Lane::Local, ActKind::DropKey { slot: spent.slot.clone() }, LOCAL_WITHIN);
        }
    }
}

/// Returns whether the leaf may go to a target: it is ours to write, and what lies there is not a
/// newer leaf for all the names.
pub(super) fn may_replace(
    cx: &Context<'_>,
    certificate: &Certificate,
    ledger: &Deployment,
    leaf: &Leaf,
) -> bool {
    // What was not looked at yet may be newer than ours.
    ledger.is_looked_at()
        && may_write(cx.state, ledger)
        && !holds_newer(cx, certificate, ledger, leaf)
}

/// Returns whether a target holds a leaf that is newer than ours, is valid now, is for all the names
/// and lies beside its key.
pub(crate) fn holds_newer(
    cx: &Context<'_>,
    certificate: &Certificate,
    ledger: &Deployment,
    leaf: &Leaf,
) -> bool {
    match &ledger.found {
        Found::Leaf { facts, key_matches: true, .. } => {
            facts.validity.not_before > leaf.facts.validity.not_before
                && facts.validity.contains(cx.now)
                && facts.ends_at() > cx.now
                && certificate.covers_all(facts)
        }
        Found::Leaf { .. } | Found::Unlooked | Found::Unlookable(_) | Found::Nothing { .. } => {
            false
        }
    }
}

impl Context<'_> {
    /// Returns when a target has settled on a leaf that it was told of.
    pub(crate) fn settled_at(&self, ledger: &Deployment, leaf: &Leaf) -> Option<Timestamp> {
        let spec = self.state.targets.get(&ledger.target).map(|target| &target.spec);
        let settle = spec.map(|spec| spec.settle).unwrap_or_default();
        match ledger.step {
            DeployStep::Activated { leaf: own, at } | DeployStep::Seen { leaf: own, at }
                if own == leaf.number =>
            {
                // What was told again had settled before.
                Some(if ledger.reloads == 0 { after(at, settle) } else { at })
            }
            _ => None,
        }
    }

    /// Returns whether a target was told of a leaf of ours so long ago that no other can be
    /// excused.
    pub(crate) fn was_told(&self, ledger: &Deployment, leaf: &Leaf) -> bool {
        leaf.bundle.is_some() && self.settled_at(ledger, leaf).is_some_and(|at| at <= self.now)
    }
}

fn is_in_flight(certificate: &Certificate, target: &Name) -> bool {
    certificate.history.is_acting(|act| match act {
        ActKind::Stage { target: t, .. }
        | ActKind::Validate { target: t, .. }
        | ActKind::Activate { target: t, .. }
        | ActKind::PutBack { target: t, .. } => t == target,
        _ => false,
    })
}

fn activate(
    cx: &Context<'_>,
    name: &Name,
    ledger: &Deployment,
    bundle: BundleId,
) -> (ActKind, SignedDuration) {
    let take_over = cx.state.targets.get(&ledger.target).is_some_and(|t| t.spec.take_over);
    let (target, certificate) = (ledger.target.clone(), name.clone());
    (ActKind::Activate { target, certificate, bundle, take_over }, COMMAND_WITHIN)
}

/// Returns when the server of the target at `place` is told again of the newest leaf: it was told, has
/// settled, and is seen to serve another one. Where several targets share addresses nobody knows
/// whose server that is, and none is told while one of them has not been told at all.
#[must_use]
pub fn reload_at(cx: &Context<'_>, certificate: &Certificate, place: usize) -> Option<Timestamp> {
    let leaf = certificate.leaf.as_deref().filter(|leaf| leaf.bundle.is_some())?;
    let ledger = certificate.targets.get(place)?;
    // Nearly always all is well.
    let mut shown = ours(certificate).flat_map(|(_, endpoint)| endpoint.shown.iter().flatten());
    if !shown.any(|shown| is_other(shown, leaf.facts.fingerprint)) {
        return None;
    }
    let ties = Ties::of(cx.state, certificate);
    let lags_since = ties.lags_since(place, leaf)?;
    let from = match ledger.step {
        DeployStep::Activated { leaf: told, at } if told == leaf.number => at,
        // Once seen, its files are looked at before its server is suspected.
        DeployStep::Seen { leaf: told, at } if told == leaf.number => {
            at.max(after(lags_since, LOOKED_AT_WITHIN))
        }
        _ => return None,
    };
    let is_told = |other: usize| {
        certificate.targets.get(other).is_some_and(|o| o.active() == Some(leaf.number))
    };
    let mut others = 0..certificate.targets.len();
    let is_clear =
        !ties.has_no_list(place) || others.all(|other| !ties.has_no_list(other) || is_told(other));
    if !is_clear {
        return None;
    }
    let settled_at = cx.settled_at(ledger, leaf)?;
    Some(retry::told_again_at(from, ledger.reloads).max(settled_at))
}

fn next_act(
    cx: &Context<'_>,
    name: &Name,
    ledger: &Deployment,
    number: u32,
    bundle: BundleId,
) -> (ActKind, SignedDuration) {
    let spec = cx.state.targets.get(&ledger.target).map(|target| &target.spec);
    let (target, certificate) = (ledger.target.clone(), name.clone());
    let validates = spec.is_some_and(|spec| spec.validates);
    match ledger.step {
        DeployStep::Staged { leaf } if leaf == number && validates => {
            (ActKind::Validate { target, certificate, bundle }, COMMAND_WITHIN)
        }
        DeployStep::Staged { leaf } | DeployStep::Validated { leaf } if leaf == number => {
            activate(cx, name, ledger, bundle)
        }
        DeployStep::Behind
        | DeployStep::Staged { .. }
        | DeployStep::Validated { .. }
        | DeployStep::Activated { .. }
        | DeployStep::Seen { .. } => (ActKind::Stage { target, certificate, bundle }, STAGE_WITHIN),
    }
}
