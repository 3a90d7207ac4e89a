//! What a look at one address comes to, for the clients of several trust stores.
//!
//! A chain is put before every store, now and at the moments at which it could break:
//! - What clients of one store accept is not broken: the first store that accepts it, in the order
//!   of [`Stores`], gives the state. A store that refuses all the same is told with its cause, since
//!   the clients that use it fail today.
//! - Where all refuse, the first that knows the issuer counts before those that do not: its verdict
//!   says what is to be mended.
//! - What is served ends when no path to the first accepting store's roots is left, although the leaf
//!   may go on. Paths are built as clients build them, from all that came: an expired certificate
//!   that no path needs shortens nothing. Another accepting store whose paths end sooner is told.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{Identifier, LeafFacts, Refusal, SightState, after};
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::judge::path;
use super::{ClientCertificate, Roots, Served, TlsError, TlsVersion, Verdict, Way, judge_chain};
use crate::x509::{Chain, not_after};

/// The trust stores that chains are judged by, the one that counts first in front. Cheap to clone.
///
/// Invariant: there is at least one.
#[derive(Clone, Debug)]
pub struct Stores(Arc<[Roots]>);

impl Stores {
    /// Those that clients of public names have: Mozilla's and, unless it has none (a bare
    /// container), this machine's own.
    #[must_use]
    pub fn usual() -> Self {
        let mozilla = Self::only(Roots::mozilla());
        match Roots::native() {
            Ok(native) => mozilla.with(native),
            Err(_) => mozilla,
        }
    }

    /// This one alone.
    #[must_use]
    pub fn only(roots: Roots) -> Self {
        Self(Arc::new([roots]))
    }

    /// These stores, and this one after them.
    #[must_use]
    pub fn with(&self, last: Roots) -> Self {
        Self(self.iter().cloned().chain([last]).collect())
    }

    /// Adds roots to every store: those of a private CA, which its clients trust beside whatever
    /// they trust otherwise.
    #[must_use]
    pub fn and(&self, roots: &Roots) -> Self {
        Self(self.iter().map(|own| own.clone().and(roots)).collect())
    }

    /// Returns each.
    pub fn iter(&self) -> impl Iterator<Item = &Roots> {
        self.0.iter()
    }
}

/// What a look at one address comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The state.
    pub state: SightState,
    /// The leaf served, whenever one was that can be read.
    pub leaf: Option<LeafFacts>,
    /// What went wrong, in words, where something did.
    pub cause: Option<String>,
    /// Which stores refuse a chain that another one accepts, and why.
    pub refused_by: Vec<Refusal>,
    /// Why it could not be looked up whether the leaf is revoked, where that was tried in vain.
    pub revocation_unknown: Option<String>,
}

impl Judgement {
    /// Returns what went wrong, and that it is not known whether the leaf is revoked, in words.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let unknown = self.revocation_unknown.iter();
        let unknown =
            unknown.map(|cause| format!("whether it is revoked could not be looked at: {cause}"));
        self.cause.iter().cloned().chain(unknown).collect()
    }

    /// Returns everything that is to be said, in words.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let refused = self.refused_by.iter().map(|Refusal { store, cause }| {
            format!("clients with the roots of {store} refuse it: {cause}")
        });
        self.causes().into_iter().chain(refused).collect()
    }
}

/// Says what a handshake comes to for clients that ask for `name` at `at`, each with one of the
/// `stores`. With it comes the chain and the roots that vouch for it, where some do.
///
/// A server that ends the handshake for want of a client certificate, or for reasons of its own, has
/// shown its leaf all the same; the leaf's own faults come first. A server that only asks for a
/// client certificate is fine: what it withholds is its application's matter.
#[must_use]
pub fn judge_handshake(
    met: &Result<Served, TlsError>,
    name: &Identifier,
    at: Timestamp,
    stores: &Stores,
    known: &[CertificateDer<'_>],
) -> (Judgement, Option<(Chain, Roots)>) {
    let served = match met {
        Ok(served) => served,
        Err(error) => return (without(of_error(error), error.to_string()), None),
    };
    let facts = match served.chain.facts() {
        Ok(facts) => facts,
        Err(error) => {
            let cause = format!("the chain cannot be read: {error}");
            return (without(SightState::Untrusted, cause), None);
        }
    };
    let judge = |roots| (roots, judge_chain(&served.chain, &facts, name, at, roots, known));
    let verdicts: Vec<(&Roots, Verdict)> = stores.iter().map(judge).collect();
    let (fine, wrong): (Vec<_>, Vec<_>) =
        verdicts.into_iter().partition(|(_, verdict)| verdict.state == SightState::Ok);
    match fine.split_first() {
        None => (refused(facts, wrong), None),
        Some(((first, _), others)) => {
            let others: Vec<&Roots> = others.iter().map(|(roots, _)| *roots).collect();
            let judged = accepted(served, facts, at, (first, &others), &wrong);
            (judged, Some((served.chain.clone(), (*first).clone())))
        }
    }
}

/// Returns the last moment at which the leaf of a chain that leads to these roots at `at` is good by
/// it: the leaf's own end, unless the last path ends before.
#[must_use]
pub fn lasts_until(chain: &Chain, facts: &LeafFacts, at: Timestamp, roots: &Roots) -> Timestamp {
    Ends::of(chain, facts, at).by(roots)
}

const fn without(state: SightState, cause: String) -> Judgement {
    let refused_by = Vec::new();
    Judgement { state, leaf: None, cause: Some(cause), refused_by, revocation_unknown: None }
}

/// Takes the verdict that says most where no store accepts.
fn refused(facts: LeafFacts, wrong: Vec<(&Roots, Verdict)>) -> Judgement {
    // The sort is stable: among equals the first store counts.
    let mut verdicts: Vec<Verdict> = wrong.into_iter().map(|(_, verdict)| verdict).collect();
    verdicts.sort_by_key(|verdict| verdict.state == SightState::Untrusted);
    let (state, cause) = match verdicts.into_iter().next() {
        Some(Verdict { state, cause }) => (state, cause),
        None => (SightState::CannotLook, None),
    };
    let refused_by = Vec::new();
    Judgement { state, leaf: Some(facts), cause, refused_by, revocation_unknown: None }
}

/// Judges what at least the first of the stores accepts.
fn accepted(
    served: &Served,
    mut facts: LeafFacts,
    at: Timestamp,
    (first, others): (&Roots, &[&Roots]),
    wrong: &[(&Roots, Verdict)],
) -> Judgement {
    let ends = Ends::of(&served.chain, &facts, at);
    facts.chain_not_after = ends.by(first);
    let sooner = others.iter().filter_map(|roots| {
        let ends_at = ends.by(roots);
        let name = roots.name();
        let told = || format!("the chain ends at {ends_at} for clients with the roots of {name}");
        (ends_at < facts.chain_not_after).then(told)
    });
    let (state, cause) = of_conduct(served);
    let causes: Vec<String> = cause.into_iter().chain(sooner).collect();
    let refusal = |(roots, verdict): &(&Roots, Verdict)| Refusal {
        store: roots.name().into(),
        cause: verdict.cause.as_deref().unwrap_or("for no reason that is known").into(),
    };
    Judgement {
        state,
        leaf: Some(facts),
        cause: (!causes.is_empty()).then(|| causes.join("; ")),
        refused_by: wrong.iter().map(refusal).collect(),
        revocation_unknown: None,
    }
}

/// The moments at which a chain that is fine now could break, and by which roots it does.
struct Ends<'c> {
    chain: &'c Chain,
    leaf_ends_at: Timestamp,
    /// When certificates above the leaf end before it does, the soonest first.
    candidates: Vec<Timestamp>,
}

impl<'c> Ends<'c> {
    fn of(chain: &'c Chain, facts: &LeafFacts, at: Timestamp) -> Self {
        let leaf_ends_at = facts.validity.not_after;
        // Only where one ends before the leaf is there anything to find out.
        let rest = if facts.chain_not_after < leaf_ends_at { chain.rest() } else { &[] };
        let ends = rest.iter().filter_map(|der| not_after(der).ok());
        let mut candidates: Vec<Timestamp> =
            ends.filter(|end| at <= *end && *end < leaf_ends_at).collect();
        candidates.sort_unstable();
        candidates.dedup();
        Self { chain, leaf_ends_at, candidates }
    }

    /// Returns the last moment at which the leaf is good for clients with these roots. A path breaks
    /// only when one of its certificates ends: of roots it is their names and keys that are trusted.
    fn by(&self, roots: &Roots) -> Timestamp {
        let breaks = |end: &Timestamp| {
            let next = after(*end, SignedDuration::from_secs(1));
            EndEntityCert::try_from(self.chain.leaf())
                .is_ok_and(|leaf| path(&leaf, self.chain.rest(), next, roots, None).is_err())
        };
        self.candidates.iter().copied().find(breaks).unwrap_or(self.leaf_ends_at)
    }
}

const fn of_error(error: &TlsError) -> SightState {
    match error {
        TlsError::Name(_) | TlsError::NoRoute(_) | TlsError::NoTurn => SightState::CannotLook,
        TlsError::Unreachable(_) => SightState::Unreachable,
        TlsError::NoTls(_) | TlsError::Refused(_) => SightState::NoTls,
        TlsError::UnknownName => SightState::NameMismatch,
    }
}

/// Judges how the server behaved around a chain that is fine.
fn of_conduct(served: &Served) -> (SightState, Option<String>) {
    if served.holds_key == Some(false) {
        let cause = "the server does not prove that it holds the leaf's key".to_owned();
        return (SightState::Untrusted, Some(cause));
    }
    if served.client_certificate == ClientCertificate::Demanded {
        let cause = "the server demands a client certificate".to_owned();
        return (SightState::ClientCertificateDemanded, Some(cause));
    }
    if let Some(ended_by) = &served.ended_by {
        return (SightState::NoTls, Some(format!("the handshake did not complete: {ended_by}")));
    }
    let cause = match served.way {
        Way::Handshake => None,
        Way::Legacy if served.version < TlsVersion::TLS_1_2 => {
            Some(format!("only {}, which clients refuse", served.version))
        }
        Way::Legacy => Some("only key exchanges or ciphers that clients refuse".to_owned()),
    };
    (SightState::Ok, cause)
}
