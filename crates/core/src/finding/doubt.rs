//! Findings about chains that are fine, and of which something is in doubt all the same.
//!
//! Whether a leaf is revoked is known from the list that its CA publishes. Where that cannot be had
//! for hours, nothing is wrong yet: lists count for days, and clients keep theirs. After a day a
//! revocation would go unseen for too long, and that is said.
//!
//! Complications, and how each is met:
//! - A list is its issuer's, and so is the finding: one for an issuer, not one for each certificate.
//!   Certificates are many and an issuer does not know its own, so one of them bears witness, on
//!   record in the issuer's stream: the finding lasts for as long as that one shows it. Only when
//!   all have looked again may another one take its place.
//! - Who issued an adopted leaf is not known: there it is said of the certificate.
//! - A trust store refuses a chain as long as the chain or the store stays what it is, so that is
//!   said at once: the clients that use the store fail today. It is one finding for each store.
//!
//! What this does not do: hold anything back, or count a doubt against the runway. Nothing is known
//! to be wrong.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use jiff::{SignedDuration, Timestamp};

use super::{Code, Finding, Severity};
use crate::decide::{Context, Decision, ours};
use crate::event::RevocationUnknown;
use crate::intent::EndpointSpec;
use crate::state::{AddressState, Certificate, Doubt, Issuer};
use crate::words::time::after;
use crate::words::{Blame, Name, SightState};

/// How long it is not known whether leaves are revoked before that is said. Lists count for about a
/// week, and a CA has a day to publish that it revoked (BR 4.9.7).
const UNKNOWN_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

/// How long after a witness has gone another one is heard: every certificate has looked again by then,
/// and a list that has come back is not found missing by one that has not.
const NEXT_WITNESS_AFTER: SignedDuration = SignedDuration::from_hours(2);

/// Judges what is in doubt at the endpoints of a certificate.
pub(super) fn of_certificate(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    let mut stores: BTreeMap<&str, Refused<'_>> = BTreeMap::new();
    for (spec, shown) in in_doubt(certificate) {
        let Some(doubts) = &shown.doubts else { continue };
        if let Some(unknown) = &doubts.revocation {
            // Then the issuer is told, or this certificate.
            let due = said_at(unknown);
            if cx.now < due {
                decision.wake(due);
            }
        }
        for refuses in &doubts.refused_by {
            let refused = stores.entry(&refuses.store);
            let refused = refused.or_insert_with(|| Refused::new(spec, shown, &refuses.doubt));
            refused.addresses += 1;
        }
    }
    if let Some(unknown) = unlisted(certificate, None).filter(|unknown| said_at(unknown) <= cx.now)
    {
        decision.findings.push(unknown_of(unknown, "", None, "an endpoint"));
    }
    decision.findings.extend(stores.into_iter().map(|(store, refused)| refused.by(store)));
}

/// A chain that a store refuses, as its first address shows it.
struct Refused<'a> {
    spec: &'a EndpointSpec,
    shown: &'a AddressState,
    doubt: &'a Doubt,
    addresses: usize,
}

impl<'a> Refused<'a> {
    const fn new(spec: &'a EndpointSpec, shown: &'a AddressState, doubt: &'a Doubt) -> Self {
        Self { spec, shown, doubt, addresses: 0 }
    }

    fn by(self, store: &str) -> Finding {
        let Self { spec, shown, doubt: Doubt { since, cause }, addresses } = self;
        let more = match addresses {
            0 | 1 => String::new(),
            count => format!(" and at {} more addresses", count - 1),
        };
        let place = spec.to_string();
        Finding {
            code: Code::EndpointStoreRefuses,
            subject: store.into(),
            severity: Severity::Warning,
            blame: Some(Blame::Endpoint(place.as_str().into())),
            evidence: format!(
                "clients with the roots of {store} refuse since {since} what others accept at \
                 {place} [{}]{more}: {cause}",
                shown.address
            )
            .into(),
        }
    }
}

/// Judges whether an issuer's list of the revoked can be had, by its witness.
pub(super) fn of_issuer(cx: &Context<'_>, name: &Name, issuer: &Issuer, decision: &mut Decision) {
    let Some(witness) = &issuer.unlisted else { return };
    let Some(unknown) = testimony(cx, witness, name) else { return };
    let blame = Some(Blame::Issuer(name.clone()));
    decision.findings.push(unknown_of(unknown, name.as_str(), blame, witness.as_str()));
}

fn unknown_of(unknown: &Doubt, subject: &str, blame: Option<Blame>, shown_by: &str) -> Finding {
    let Doubt { since, cause } = unknown;
    Finding {
        code: Code::EndpointRevocationUnknown,
        subject: subject.into(),
        severity: Severity::Warning,
        blame,
        evidence: format!(
            "whether leaves are revoked cannot be looked up since {since}, as {shown_by} shows: \
             {cause}"
        )
        .into(),
    }
}

/// Returns what a certificate has to say of an issuer's list of the revoked: that it cannot be had, if
/// nobody else does, or that it shows that no more.
pub(crate) fn witness(
    cx: &Context<'_>,
    (own, certificate): (&Name, &Certificate),
    (name, issuer): (&Name, &Issuer),
) -> Option<RevocationUnknown> {
    let shows = unlisted(certificate, Some(name)).is_some_and(|own| said_at(own) <= cx.now);
    let is_free = || issuer.relisted_at.is_none_or(|at| after(at, NEXT_WITNESS_AFTER) <= cx.now);
    match &issuer.unlisted {
        None if shows && is_free() => Some(RevocationUnknown { certificate: Some(own.clone()) }),
        Some(witness) if witness == own && !shows => Some(RevocationUnknown { certificate: None }),
        _ => None,
    }
}

/// Returns what a witness shows of an issuer's list for long enough to be said.
fn testimony<'a>(cx: &Context<'a>, witness: &Name, issuer: &Name) -> Option<&'a Doubt> {
    let witness = cx.state.certificate(cx.state.id(witness)?)?;
    unlisted(witness, Some(issuer)).filter(|unknown| said_at(unknown) <= cx.now)
}

/// Returns since when it is not known whether leaves of an issuer are revoked that a certificate's
/// endpoints serve: the first of such doubts.
fn unlisted<'a>(certificate: &'a Certificate, issuer: Option<&Name>) -> Option<&'a Doubt> {
    let is_its = |shown: &&AddressState| {
        shown.leaf().is_some_and(|leaf| certificate.issuer_of(leaf) == issuer)
    };
    if certificate.renamed_to.is_some() {
        // It is looked at under its new name.
        return None;
    }
    let shown = in_doubt(certificate).map(|(_, shown)| shown).filter(is_its);
    let unknown = shown.filter_map(|shown| shown.doubts.as_ref()?.revocation.as_ref());
    unknown.min_by_key(|unknown| unknown.since)
}

/// Returns the addresses that serve a chain which is fine, and of which something is in doubt.
fn in_doubt(certificate: &Certificate) -> impl Iterator<Item = (&EndpointSpec, &AddressState)> {
    let all = ours(certificate).flat_map(|(spec, endpoint)| {
        let shown = endpoint.shown.iter().flatten();
        shown.map(move |shown| (spec, shown))
    });
    all.filter(|(_, shown)| shown.doubts.is_some() && certificate.state_at(shown) == SightState::Ok)
}

fn said_at(unknown: &Doubt) -> Timestamp {
    after(unknown.since, UNKNOWN_AT_MOST)
}
