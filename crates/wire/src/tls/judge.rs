//! What a client would make of a chain.
//!
//! Four things can be wrong, and more than one at once: the time, the name, the path, the missing of
//! certificates. The state is the first in an order of certainty: what the leaf says of itself comes
//! before what depends on a choice of roots. The cause names all of them, so that none hides another.

use std::sync::Arc;

use jiff::Timestamp;
use perennial_core::words::{Identifier, LeafFacts, SightState};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, RevocationOptions, VerifiedPath,
    anchor_from_trusted_cert,
};

use crate::x509::{Chain, MAX_PEM_LEN, is_self_issued};

/// The roots a client trusts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Roots {
    name: String,
    anchors: Arc<[TrustAnchor<'static>]>,
}

/// Why roots could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// The PEM is broken or too large.
    #[error("the PEM of the roots cannot be read: {0}")]
    Pem(String),
    /// A certificate is none that can be a root.
    #[error("certificate {number} cannot be a root: {cause}")]
    Certificate {
        /// Its place, from 1.
        number: usize,
        /// What is wrong.
        cause: String,
    },
    /// There is none.
    #[error("there is no root in it")]
    Empty,
}

impl Roots {
    /// Mozilla's, as they were when this was built.
    #[must_use]
    pub fn mozilla() -> Self {
        Self { name: "Mozilla".to_owned(), anchors: webpki_roots::TLS_SERVER_ROOTS.into() }
    }

    /// This machine's own. Roots that cannot be read are passed over: a client does the same.
    ///
    /// # Errors
    ///
    /// Returns [`RootsError::Empty`] if the machine has none.
    pub fn native() -> Result<Self, RootsError> {
        let found = rustls_native_certs::load_native_certs().certs;
        let anchors: Vec<_> = found
            .iter()
            .filter_map(|der| anchor_from_trusted_cert(der).ok().map(|anchor| anchor.to_owned()))
            .collect();
        if anchors.is_empty() {
            return Err(RootsError::Empty);
        }
        Ok(Self { name: "this machine".to_owned(), anchors: anchors.into() })
    }

    /// Those of a PEM text: a private CA's.
    ///
    /// # Errors
    ///
    /// Returns what cannot be read.
    pub fn from_pem(name: &str, pem: &[u8]) -> Result<Self, RootsError> {
        if pem.len() > MAX_ROOTS_LEN {
            return Err(RootsError::Pem(format!("it is longer than {MAX_ROOTS_LEN} bytes")));
        }
        let ders = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| RootsError::Pem(error.to_string()))?;
        let anchor = |(index, der): (usize, &CertificateDer<'_>)| {
            anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned()).map_err(|error| {
                RootsError::Certificate { number: index + 1, cause: error.to_string() }
            })
        };
        let anchors: Vec<_> = ders.iter().enumerate().map(anchor).collect::<Result<_, _>>()?;
        if anchors.is_empty() {
            return Err(RootsError::Empty);
        }
        Ok(Self { name: name.to_owned(), anchors: anchors.into() })
    }

    /// These and others together.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.anchors = self.anchors.iter().chain(&*others.anchors).cloned().collect();
        self.name = format!("{} and {}", self.name, others.name);
        self
    }

    /// Returns how many there are.
    #[must_use]
    pub fn anchors_len(&self) -> usize {
        self.anchors.len()
    }

    /// Returns whose roots these are, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// How long a file of roots may be: a whole system's bundle has about 250 KiB.
const MAX_ROOTS_LEN: usize = 8 * MAX_PEM_LEN;

/// What a client would make of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The first thing that is wrong, or `Ok`.
    pub state: SightState,
    /// Everything that is wrong, in words.
    pub cause: Option<String>,
}

/// Says what a client with these roots would make of `chain`, asked for `name`, at the instant `at`.
///
/// `known` are certificates from elsewhere (other addresses of the same name, the store): where they
/// alone complete the path, the chain is incomplete rather than untrusted.
#[must_use]
pub fn judge_chain(
    chain: &Chain,
    facts: &LeafFacts,
    name: &Identifier,
    at: Timestamp,
    roots: &Roots,
    known: &[CertificateDer<'_>],
) -> Verdict {
    let leaf = match EndEntityCert::try_from(chain.leaf()) {
        Ok(leaf) => leaf,
        Err(error) => {
            let cause = Some(format!("clients refuse the leaf: {error}"));
            return Verdict { state: SightState::Untrusted, cause };
        }
    };
    let wrong = [
        wrong_time(facts, at),
        wrong_name(&leaf, facts, name),
        wrong_path(&leaf, chain, facts, at, roots, known),
    ];
    let wrong: Vec<(SightState, String)> = wrong.into_iter().flatten().collect();
    let state = wrong.first().map_or(SightState::Ok, |(state, _)| *state);
    let causes: Vec<&str> = wrong.iter().map(|(_, cause)| cause.as_str()).collect();
    Verdict { state, cause: (!causes.is_empty()).then(|| causes.join("; ")) }
}

/// Returns whether a chain leads to one of these roots, at a moment when its leaf is valid.
#[must_use]
pub fn leads_to_root(chain: &Chain, facts: &LeafFacts, at: Timestamp, roots: &Roots) -> bool {
    EndEntityCert::try_from(chain.leaf())
        .is_ok_and(|leaf| wrong_path(&leaf, chain, facts, at, roots, &[]).is_none())
}

fn wrong_time(facts: &LeafFacts, at: Timestamp) -> Option<(SightState, String)> {
    let validity = facts.validity;
    if at > validity.not_after {
        let cause = format!("the leaf expired at {}", validity.not_after);
        return Some((SightState::Expired, cause));
    }
    (at < validity.not_before).then(|| {
        (SightState::NotYetValid, format!("the leaf is valid from {}", validity.not_before))
    })
}

fn wrong_name(
    leaf: &EndEntityCert<'_>,
    facts: &LeafFacts,
    name: &Identifier,
) -> Option<(SightState, String)> {
    let asked = ServerName::try_from(name.as_str()).ok();
    let fits = asked.is_some_and(|asked| leaf.verify_is_valid_for_subject_name(&asked).is_ok());
    if fits {
        return None;
    }
    let names: Vec<&str> = facts.identifiers.iter().take(4).map(Identifier::as_str).collect();
    let more = facts.identifiers.len().saturating_sub(names.len());
    let cause = match (names.is_empty(), more) {
        (true, _) => "the leaf has no name at all".to_owned(),
        (false, 0) => format!("the leaf is for {}", names.join(", ")),
        (false, more) => format!("the leaf is for {} and {more} more", names.join(", ")),
    };
    Some((SightState::NameMismatch, cause))
}

fn wrong_path(
    leaf: &EndEntityCert<'_>,
    chain: &Chain,
    facts: &LeafFacts,
    at: Timestamp,
    roots: &Roots,
    known: &[CertificateDer<'_>],
) -> Option<(SightState, String)> {
    // The leaf's own dates are judged already; the path is judged at a moment when they hold.
    let at = at.clamp(facts.validity.not_before, facts.validity.not_after);
    let error = path(leaf, chain.rest(), at, roots, None).err()?;
    let issuer = &facts.issued_by;
    match error {
        Error::CertExpired { .. } => {
            Some((SightState::Expired, "a certificate of the chain has expired".to_owned()))
        }
        Error::CertNotValidYet { .. } => Some((
            SightState::NotYetValid,
            "a certificate of the chain is not valid yet".to_owned(),
        )),
        Error::UnknownIssuer if completes(leaf, chain, at, roots, known) => {
            let cause = format!("the server does not send the certificate of {issuer}");
            Some((SightState::IncompleteChain, cause))
        }
        Error::UnknownIssuer if chain.rest().is_empty() => match is_self_issued(chain.leaf()) {
            Ok(false) => {
                let cause = format!("the leaf comes alone, and {issuer} is no trusted root");
                Some((SightState::IncompleteChain, cause))
            }
            _ => Some((SightState::Untrusted, "the leaf is signed by itself".to_owned())),
        },
        Error::UnknownIssuer => {
            let cause = format!("no path to a root that {} trusts; issued by {issuer}", roots.name);
            Some((SightState::Untrusted, cause))
        }
        Error::CaUsedAsEndEntity => {
            let cause = "the leaf is a CA's own certificate".to_owned();
            Some((SightState::Untrusted, cause))
        }
        other => Some((SightState::Untrusted, format!("clients refuse the chain: {other}"))),
    }
}

fn completes(
    leaf: &EndEntityCert<'_>,
    chain: &Chain,
    at: Timestamp,
    roots: &Roots,
    known: &[CertificateDer<'_>],
) -> bool {
    if known.is_empty() {
        return false;
    }
    let served = chain.rest().iter().map(|der| CertificateDer::from(der.as_ref()));
    let known = known.iter().map(|der| CertificateDer::from(der.as_ref()));
    let all: Vec<CertificateDer<'_>> = served.chain(known).collect();
    path(leaf, &all, at, roots, None).is_ok()
}

/// Returns the path from a leaf to one of the roots that counts at an instant, and where lists are
/// given, by them.
pub(crate) fn path<'p>(
    leaf: &'p EndEntityCert<'p>,
    intermediates: &'p [CertificateDer<'p>],
    at: Timestamp,
    roots: &'p Roots,
    lists: Option<RevocationOptions<'_>>,
) -> Result<VerifiedPath<'p>, Error> {
    let since_1970 = std::time::Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &roots.anchors,
        intermediates,
        UnixTime::since_unix_epoch(since_1970),
        KeyUsage::server_auth(),
        lists,
        None,
    )
}
