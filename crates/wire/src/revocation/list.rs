//! One list: read, checked against a leaf's path, and brought down to what is needed.

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, Error, ExpirationPolicy,
    RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, RevocationReason,
    UnknownStatusPolicy,
};
use x509_parser::asn1_rs::{FromDer as _, Header, Integer};
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AlgorithmIdentifier, X509Name};

use super::Standing;
use super::keep::MAX_ENTRIES;
use crate::tls::{Roots, path};
use crate::x509::Chain;

/// A serial number: at most 20 octets (RFC 5280 section 4.1.2.2), with zeros in front.
type Serial = [u8; 20];

/// Who is revoked.
#[derive(Debug)]
pub(super) struct List {
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
    /// In the order of serial numbers.
    revoked: Box<[Revoked]>,
}

/// 25 octets; in a list an entry has 20 at the least.
#[derive(Clone, Copy, Debug)]
struct Revoked {
    serial: Serial,
    reason: u8,
    /// In seconds since 1970, in network order.
    since: [u8; 4],
}

impl List {
    /// Reads a list in DER that must be of the CA of this chain's leaf, signed by it, and not ended.
    ///
    /// No entry is kept of one that is not: anybody can make a long list.
    pub(super) fn read(
        der: &[u8],
        chain: &Chain,
        roots: &Roots,
        at: Timestamp,
    ) -> Result<Self, String> {
        let parse = || BorrowedCertRevocationList::from_der(der).map_err(|error| refused(&error));
        genuine(&parse()?.into(), chain, roots, at)?;
        let (this_update, next_update) =
            updates(der).ok_or("it does not say until when it counts")?;
        let list = parse()?;
        // Counted first, so that no room is taken for more than there are.
        let count = list.into_iter().count();
        if count > MAX_ENTRIES {
            return Err(format!("the list has {count} entries, and {MAX_ENTRIES} are kept"));
        }
        let mut revoked = Vec::with_capacity(count);
        for entry in &list {
            let entry = entry.map_err(|error| refused(&error))?;
            // A longer serial number than there may be is no leaf's of ours.
            let Some(serial) = padded(entry.serial_number) else { continue };
            let since = u32::try_from(entry.revocation_date.as_secs()).unwrap_or(u32::MAX);
            let reason = entry.reason_code.map_or(0, |reason| reason as u8);
            revoked.push(Revoked { serial, reason, since: since.to_be_bytes() });
        }
        revoked.sort_unstable_by_key(|entry| entry.serial);
        Ok(Self { this_update, next_update, revoked: revoked.into() })
    }

    pub(super) const fn len(&self) -> usize {
        self.revoked.len()
    }

    pub(super) fn standing(&self, chain: &Chain) -> Standing {
        let leaf = EndEntityCert::try_from(chain.leaf());
        let Some(serial) = leaf.ok().and_then(|leaf| padded(leaf.serial())) else {
            return Standing::Unknown(
                "the leaf has no serial number that could be listed".to_owned(),
            );
        };
        let found = self.revoked.binary_search_by_key(&serial, |entry| entry.serial).ok();
        match found.and_then(|place| self.revoked.get(place)) {
            None => Standing::Good,
            Some(entry) => Standing::Revoked {
                since: Timestamp::from_second(u32::from_be_bytes(entry.since).into())
                    .unwrap_or(Timestamp::MAX),
                reason: words(entry.reason),
            },
        }
    }
}

/// Returns the SPKI of who signed the leaf of a chain that leads to one of the roots.
pub(super) fn signer(chain: &Chain, roots: &Roots, at: Timestamp) -> Result<Vec<u8>, String> {
    let leaf = EndEntityCert::try_from(chain.leaf()).map_err(|error| error.to_string())?;
    let path = path(&leaf, chain.rest(), at, roots, None).map_err(|error| error.to_string())?;
    let signer = path.intermediate_certificates().next();
    Ok(signer.map_or_else(
        || path.anchor().subject_public_key_info.to_vec(),
        |signer| signer.subject_public_key_info().to_vec(),
    ))
}

/// Returns whether a list is what the leaf's issuer signed for such leaves, and has not ended.
fn genuine(
    list: &CertRevocationList<'_>,
    chain: &Chain,
    roots: &Roots,
    at: Timestamp,
) -> Result<(), String> {
    let leaf = EndEntityCert::try_from(chain.leaf()).map_err(|error| error.to_string())?;
    let lists = [list];
    let options = options(&lists).ok_or("there is no list")?;
    match path(&leaf, chain.rest(), at, roots, Some(options)) {
        Ok(_) | Err(Error::CertRevoked) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

fn options<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    let options = options
        .with_depth(RevocationCheckDepth::EndEntity)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Enforce);
    Some(options.build())
}

fn refused(error: &Error) -> String {
    match error {
        Error::UnknownRevocationStatus => "the list is not for this leaf".to_owned(),
        Error::CrlExpired { next_update, .. } => format!("the list ended at {}", Told(next_update)),
        other => format!("the list cannot be used: {other}"),
    }
}

/// Shows an instant of the TLS library as ours are shown.
struct Told<'a>(&'a UnixTime);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let second = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX).fmt(f)
    }
}

/// Reads from when and until when a list counts, which webpki checks and does not tell. Nothing else is read
/// here, since a whole list takes many times its own room.
///
/// Source: RFC 5280 section 5.1.
fn updates(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (list, _) = Header::from_der(der).ok()?;
    let (fields, _) = Header::from_der(list).ok()?;
    let (fields, _version) = Integer::from_der(fields).ok()?;
    let (fields, _signature) = AlgorithmIdentifier::from_der(fields).ok()?;
    let (fields, _issuer) = X509Name::from_der(fields).ok()?;
    let (fields, this_update) = ASN1Time::from_der(fields).ok()?;
    let (_, next_update) = ASN1Time::from_der(fields).ok()?;
    let instant = |time: ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    instant(this_update).zip(instant(next_update))
}

fn padded(serial: &[u8]) -> Option<Serial> {
    let zeros = serial.iter().take_while(|octet| **octet == 0).count();
    let digits = serial.get(zeros..)?;
    let mut padded = [0; 20];
    padded.get_mut(20_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(padded)
}

/// Says a reason in words, where it says something.
///
/// Source: RFC 5280 section 5.3.1.
fn words(reason: u8) -> Option<&'static str> {
    let reason = RevocationReason::iter().find(|own| *own as u8 == reason)?;
    Some(match reason {
        RevocationReason::KeyCompromise => "its key was compromised",
        RevocationReason::CaCompromise | RevocationReason::AaCompromise => "its CA was compromised",
        RevocationReason::AffiliationChanged => "its subject changed",
        RevocationReason::Superseded => "it was replaced",
        RevocationReason::CessationOfOperation => "its names are not the subscriber's any more",
        RevocationReason::CertificateHold => "it is on hold",
        RevocationReason::PrivilegeWithdrawn => "the CA withdrew it",
        _ => return None,
    })
}
