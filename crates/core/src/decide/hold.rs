//! Whether a leaf that passed the gate may take the place of what is served: the soft gate.
//!
//! A leaf may be flawless and still break clients: its root is one they do not have, it lost the
//! usage with which servers prove themselves to each other, its key is of a kind that old clients
//! cannot read, or pins and TLSA records speak of another key. What is served now works. So the new
//! leaf is kept, staged and checked, and is not *activated* until somebody has looked, or until the
//! reserve begins: then a changed leaf is better than none (law 6), and what may break is said.
//!
//! ```text
//! staged, nothing speaks against it ───────────────────────────────▶ activated
//! staged, held ──confirmed by a person, or the cause is gone───────▶ activated
//!        └───────the reserve begins──▶ hold.overruled, on record ──▶ activated
//! ```
//!
//! Complications, and how each is met:
//! - Holding must never cause a lapse. The hold ends with the last quarter of the time from the new
//!   leaf's coming to the first end of what the target serves, and not later than the reserve that
//!   renewal itself had: a leaf that came late is not held as if it had come early. A leaf that the
//!   CA hurried us to replace may be revoked before it ends, and a leaf that lacks a new name keeps
//!   that from being served: half a day is counted for either.
//! - What is served may be about to be revoked, and its CA says so by moving its renewal window to
//!   where it has passed. So its window is asked for while a leaf is held, and half a day is counted
//!   from when it was moved. Nothing is ordered for that: the leaf that is held is the answer to it.
//! - Only what is valid and served now is worth keeping, at this very target. Where nothing lies, or
//!   what lies there has expired, has another's key or is refused by clients where they meet it,
//!   nothing speaks against anything, however well other targets serve. A bad address that shows
//!   something else than what lies at the target is not the target's, and changes nothing. Pins or
//!   records that do not fit what is served either are broken already, not by us.
//! - What the operator declared is wanted: a `key` that was chosen, an issuer other than the one
//!   that issued before.
//! - No order is wasted: a leaf that is held is not ordered again.
//! - What is not known (leaves of the first release, records in digests we do not read) never holds.
//!
//! What this does not do: order another leaf, or choose another issuer, in the hope of a better one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::chain::ends_at;
use super::tie::{Ties, ours};
use super::{Context, Runway};
use crate::intent::{CertificateSpec, EndpointSpec};
use crate::state::{
    Certificate, Deployment, EndpointState, Found, Leaf, Overruled, Predecessor, TlsaState,
};
use crate::words::time::after;
use crate::words::{
    Fingerprint, KeyKind, LeafFacts, Name, Objection, SightState, TlsaUsage, Traits,
};

/// Whether a leaf may be activated at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It may.
    None,
    /// It waits.
    Until {
        /// Until when, if nothing changes.
        at: Timestamp,
        /// Why.
        objections: Vec<Objection>,
    },
    /// The reserve has begun: it goes ahead, and that is put on record first.
    Over(Vec<Objection>),
}

/// How long a leaf is counted on that the CA hurried us to replace, half of what is left to a CA
/// before it must revoke (BR 4.9.1.1: 24 hours); and how long a new name may wait to be served.
const HURRIED: SignedDuration = SignedDuration::from_hours(12);

/// How long a TLSA record that was just published is waited for at most, whatever its TTL.
const YOUNG_AT_MOST: SignedDuration = SignedDuration::from_hours(48);

/// Judges one target's next activation.
pub(super) fn judge(
    cx: &Context<'_>,
    certificate: &Certificate,
    ledger: &Deployment,
    leaf: &Leaf,
) -> Hold {
    let is_decided = certificate.confirmed == Some(leaf.number) || ledger.overruled.is_some();
    // What was revoked is no cover, whatever an address still shows.
    if is_decided || leaf.replaced_revoked {
        return Hold::None;
    }
    let places = places(cx, certificate, ledger, leaf);
    let objections = objections(cx, &certificate.spec, &places, leaf);
    if objections.is_empty() {
        return Hold::None;
    }
    let until = held_until(certificate, &places, leaf);
    if until <= cx.now {
        return Hold::Over(objections);
    }
    // Caches forget by themselves.
    let young = objections.iter().filter_map(|objection| match objection {
        Objection::TlsaYoung { until, .. } => Some(*until),
        _ => None,
    });
    Hold::Until { at: young.fold(until, Timestamp::min), objections }
}

/// Returns which targets' activations wait, until when and why.
#[must_use]
pub fn holds<'a>(cx: &Context<'_>, certificate: &'a Certificate) -> Vec<(&'a Name, Hold)> {
    let Some(leaf) = certificate.leaf.as_deref().filter(|leaf| leaf.bundle.is_some()) else {
        return Vec::new();
    };
    let behind = certificate.targets.iter().filter(|ledger| {
        ledger.active() != Some(leaf.number)
            && super::deploy::may_replace(cx, certificate, ledger, leaf)
    });
    let judged = behind.map(|ledger| (&ledger.target, judge(cx, certificate, ledger, leaf)));
    judged.filter(|(_, hold)| matches!(hold, Hold::Until { .. })).collect()
}

/// Returns the number of the newest leaf, where it waits for a person at some target or went ahead
/// without.
#[must_use]
pub fn to_confirm(cx: &Context<'_>, certificate: &Certificate) -> Option<u32> {
    let leaf = certificate.leaf.as_deref()?;
    let went_ahead = certificate.targets.iter().any(|ledger| ledger.overruled.is_some());
    (went_ahead || !holds(cx, certificate).is_empty()).then_some(leaf.number)
}

/// Returns whether a deployment waits for a TLSA record.
pub(super) fn awaits_records(cx: &Context<'_>, certificate: &Certificate) -> bool {
    // The common case first, since this is asked at every look.
    certificate.endpoints.iter().any(|endpoint| endpoint.tlsa.is_some())
        && holds(cx, certificate).iter().any(|(_, hold)| match hold {
            Hold::Until { objections, .. } => objections.iter().any(|objection| {
                matches!(objection, Objection::TlsaUnmet { .. } | Objection::TlsaYoung { .. })
            }),
            Hold::None | Hold::Over(_) => false,
        })
}

fn held_until(certificate: &Certificate, places: &[Place<'_>], leaf: &Leaf) -> Timestamp {
    let ends = places.iter().map(|place| place.facts.ends_at());
    let lapse_at = ends.fold(leaf.facts.ends_at(), Timestamp::min);
    let here = Runway { planned_at: leaf.since.min(lapse_at), lapse_at }.reserve_at();
    let reserve_at = leaf.reserve_at.map_or(here, |renewal| renewal.min(here));
    // Names that were declared since are served by nothing but the new leaf.
    let is_wider = certificate.predecessors.iter().any(|old| !certificate.covers_all(&old.facts));
    let is_urgent = leaf.is_early || leaf.hurried || is_wider;
    let urgent = is_urgent.then_some(leaf.since);
    let served = |place: &Place<'_>| certificate.predecessor(place.facts.fingerprint);
    let moved = places.iter().filter_map(|place| served(place)?.hurried_at);
    moved.chain(urgent).map(|since| after(since, HURRIED)).fold(reserve_at, Timestamp::min)
}

/// Returns what is served, each leaf once, where the newest one waits to take its place.
pub(super) fn kept<'a>(cx: &Context<'_>, certificate: &'a Certificate) -> Vec<&'a Predecessor> {
    let held = holds(cx, certificate);
    let Some(leaf) = certificate.leaf.as_deref().filter(|_| !held.is_empty()) else {
        return Vec::new();
    };
    let is_held = |ledger: &&Deployment| held.iter().any(|(target, _)| **target == ledger.target);
    let ledgers = certificate.targets.iter().filter(is_held);
    let places = ledgers.flat_map(|ledger| places(cx, certificate, ledger, leaf));
    let served: Vec<Fingerprint> = places.map(|place| place.facts.fingerprint).collect();
    let known = certificate.predecessors.iter();
    known.filter(|known| served.contains(&known.facts.fingerprint)).collect()
}

/// Something that works now and that the new leaf would take the place of.
struct Place<'a> {
    facts: &'a LeafFacts,
    issuer: Option<&'a Name>,
    /// Where it is seen; absent where it only lies at the target.
    endpoint: Option<(&'a EndpointSpec, &'a EndpointState)>,
}

/// Returns what speaks against a leaf at a target.
fn objections(
    cx: &Context<'_>,
    declared: &CertificateSpec,
    places: &[Place<'_>],
    leaf: &Leaf,
) -> Vec<Objection> {
    let mut all = Vec::new();
    for place in places {
        of_leaf(leaf, &mut all);
        of_traits(declared, place, leaf, &mut all);
        of_pins(declared, place.facts, &leaf.facts, &mut all);
        if let Some((spec, EndpointState { tlsa: Some(tlsa), .. })) = place.endpoint {
            of_records(cx, spec, tlsa, place.facts, leaf, &mut all);
        }
    }
    all
}

/// Returns what is served in good order where the target's leaf is met; where nothing was seen, what
/// lies at the target. Nothing where the target itself has nothing good.
fn places<'a>(
    cx: &Context<'_>,
    certificate: &'a Certificate,
    ledger: &'a Deployment,
    leaf: &Leaf,
) -> Vec<Place<'a>> {
    let known = |fingerprint| certificate.predecessor(fingerprint);
    let lives = |facts: &LeafFacts| facts.validity.contains(cx.now) && facts.ends_at() > cx.now;
    let lying = match &ledger.found {
        Found::Leaf { facts, key_matches: true, .. } if lives(facts) => Some(&**facts),
        Found::Leaf { .. } | Found::Nothing { .. } => return Vec::new(),
        Found::Unlooked | Found::Unlookable(_) => None,
    };
    let ties = Ties::of(cx.state, certificate);
    let target = certificate.targets.iter().position(|own| own.target == ledger.target);
    let mut is_seen = false;
    let mut places: Vec<Place<'a>> = Vec::new();
    for (spec, endpoint) in ours(certificate) {
        for address in endpoint.shown.iter().flatten() {
            if !target.is_some_and(|target| ties.is_at(target, spec, Some(address.address))) {
                continue;
            }
            let Some(shown) = address.leaf() else { continue };
            is_seen = true;
            let is_next = shown == leaf.facts.fingerprint;
            let is_ok = address.state == SightState::Ok;
            if !is_ok && lying.is_some_and(|lying| lying.fingerprint == shown) {
                return Vec::new();
            }
            let served = known(shown).filter(|_| is_ok && !is_next);
            if let Some(served) = served.filter(|served| lives(&served.facts)) {
                let (facts, issuer) = (&*served.facts, served.issuer.as_ref());
                places.push(Place { facts, issuer, endpoint: Some((spec, endpoint)) });
            }
        }
    }
    if let Some(facts) = lying.filter(|lying| lying.fingerprint != leaf.facts.fingerprint)
        && !is_seen
    {
        let issuer = known(facts.fingerprint).and_then(|served| served.issuer.as_ref());
        places.push(Place { facts, issuer, endpoint: None });
    }
    places
}

/// Adds an objection that was not made yet.
fn object(all: &mut Vec<Objection>, objection: Objection) {
    if !all.contains(&objection) {
        all.push(objection);
    }
}

fn of_leaf(leaf: &Leaf, all: &mut Vec<Objection>) {
    if leaf.facts.trusted == Some(false) {
        object(all, Objection::Untrusted);
    }
    if let Some(told) = &leaf.odd_profile {
        object(all, Objection::OtherProfile { told: told.clone() });
    }
}

fn of_traits(spec: &CertificateSpec, place: &Place<'_>, leaf: &Leaf, all: &mut Vec<Objection>) {
    let (Some(from), Some(to)) = (place.facts.traits.as_deref(), leaf.facts.traits.as_deref())
    else {
        return;
    };
    if from.for_clients && !to.for_clients {
        object(all, Objection::NoClientAuth);
    }
    if !is_alike(from.key_kind, to.key_kind) && !spec.key_chosen {
        object(all, Objection::OtherKeyKind { from: from.key_kind, to: to.key_kind });
    }
    // Another issuer is one that the operator declared, with its root; and so may the root itself be.
    let is_other_issuer =
        matches!((place.issuer, &leaf.issuer), (Some(from), Some(to)) if from != to);
    let is_wanted = spec.chain.as_deref().is_some_and(|wanted| ends_at(&leaf.facts, wanted));
    let is_declared = is_other_issuer || is_wanted;
    if is_other_root(from, to) && !is_declared {
        let (from, to) = (from.root.clone(), to.root.clone());
        object(all, Objection::OtherRoot { from, to });
    }
}

/// Who reads one length of RSA reads the others.
fn is_alike(from: KeyKind, to: KeyKind) -> bool {
    match (from, to) {
        (KeyKind::Rsa { .. }, KeyKind::Rsa { .. }) => true,
        (from, to) => from == to,
    }
}

fn is_other_root(from: &Traits, to: &Traits) -> bool {
    // A server that sends the leaf alone shows its intermediate's name only.
    from.root != to.root && from.above.is_empty() == to.above.is_empty()
}

fn of_pins(spec: &CertificateSpec, from: &LeafFacts, to: &LeafFacts, all: &mut Vec<Objection>) {
    if spec.pins.is_empty() {
        return;
    }
    if fits_pins(spec, to) == Some(false) && fits_pins(spec, from) == Some(true) {
        object(all, Objection::PinsUnmet { pin: to.key.pin().into() });
    }
}

/// Source: RFC 7469 section 2.6: one pinned key anywhere in the chain is enough.
fn fits_pins(spec: &CertificateSpec, leaf: &LeafFacts) -> Option<bool> {
    if spec.pins.contains(&leaf.key) {
        return Some(true);
    }
    let traits = leaf.traits.as_ref()?;
    Some(traits.above.iter().any(|link| spec.pins.contains(&link.key)))
}

/// Returns what went ahead and still harms: pins and records may have been mended since.
pub(crate) fn unmended(certificate: &Certificate, overruled: &Overruled) -> Vec<Objection> {
    let Some(leaf) = certificate.leaf.as_deref() else { return Vec::new() };
    let refuses = |owner: &str| {
        let mut all = certificate.spec.endpoints.iter().zip(&certificate.endpoints);
        all.any(|(spec, endpoint)| {
            let set = endpoint.tlsa.as_ref().map(|tlsa| &tlsa.set);
            owner_of(spec) == owner
                && set.is_some_and(|set| set.accepts(&leaf.facts) == Some(false))
        })
    };
    let stands = |objection: &&Objection| match objection {
        Objection::PinsUnmet { .. } => {
            !certificate.spec.pins.is_empty()
                && fits_pins(&certificate.spec, &leaf.facts) == Some(false)
        }
        Objection::TlsaUnmet { owner, .. } => refuses(owner),
        Objection::TlsaYoung { .. } => false,
        Objection::Untrusted
        | Objection::OtherProfile { .. }
        | Objection::NoClientAuth
        | Objection::OtherKeyKind { .. }
        | Objection::OtherRoot { .. } => true,
    };
    overruled.objections.iter().filter(stands).cloned().collect()
}

/// Returns the name that owns a service's TLSA records (RFC 6698 section 3).
fn owner_of(spec: &EndpointSpec) -> String {
    format!("_{}._tcp.{}", spec.port, spec.server_name)
}

fn of_records(
    cx: &Context<'_>,
    spec: &EndpointSpec,
    tlsa: &TlsaState,
    from: &LeafFacts,
    leaf: &Leaf,
    all: &mut Vec<Objection>,
) {
    let TlsaState { set, since } = tlsa;
    if set.accepts(from) != Some(true) {
        return;
    }
    let owner = || owner_of(spec).into();
    match set.accepts(&leaf.facts) {
        None => {}
        Some(false) => {
            let is_pkix = set.records.iter().any(|record| record.usage == TlsaUsage::PkixEe);
            let usage = if is_pkix { 1 } else { 3 };
            let publish = format!("{usage} 1 1 {}", leaf.facts.key).into();
            object(all, Objection::TlsaUnmet { owner: owner(), publish });
        }
        // Source: RFC 7671 section 8.1: twice the TTL, since a cache may have asked just before.
        Some(true) => {
            let twice = SignedDuration::from_secs(i64::from(set.ttl_secs).saturating_mul(2));
            let until = after(*since, twice.min(YOUNG_AT_MOST));
            // A record that fits both was there all the time: a CA's, or that of a key used again.
            let fits_both = set.records.iter().any(|record| {
                record.accepts(from) == Some(true) && record.accepts(&leaf.facts) == Some(true)
            });
            if !fits_both && cx.now < until {
                object(all, Objection::TlsaYoung { owner: owner(), until });
            }
        }
    }
}
