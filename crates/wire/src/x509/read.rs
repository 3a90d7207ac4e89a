//! From DER to facts, with x509-parser behind.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use perennial_core::words::{AriCertId, Identifier, KeyKind, LeafFacts, Link, Traits, Validity};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error as ParserError;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use super::{Chain, X509Error, fingerprint, key_id};

/// How long the address of a list may be.
const MAX_URL_LEN: usize = 2048;

/// How long a text meant for people may be, in characters.
const MAX_TEXT: usize = 120;

pub(super) fn facts(chain: &Chain) -> Result<LeafFacts, X509Error> {
    let certificates = chain
        .iter()
        .enumerate()
        .map(|(index, der)| parse(der, index + 1))
        .collect::<Result<Vec<_>, _>>()?;
    let (leaf, issuers) = certificates.split_first().ok_or(X509Error::Empty)?;
    let validity = validity(leaf, 1)?;
    let chain_not_after = issuers
        .iter()
        .map(|issuer| instant(issuer.validity().not_after))
        .fold(validity.not_after, Ord::min);
    Ok(LeafFacts {
        fingerprint: fingerprint(chain.leaf()),
        key: key_id(leaf.public_key().raw),
        identifiers: identifiers(leaf),
        validity,
        chain_not_after,
        issued_by: issued_by(leaf.issuer()).into(),
        ari_id: ari_id(leaf),
        for_servers: for_servers(leaf),
        chain_in_order: in_order(&certificates),
        traits: Some(Arc::new(traits(chain, leaf, issuers))),
        trusted: None,
    })
}

fn traits(chain: &Chain, leaf: &X509Certificate<'_>, issuers: &[X509Certificate<'_>]) -> Traits {
    let above = chain.rest().iter().zip(issuers).map(|(der, issuer)| Link {
        fingerprint: fingerprint(der),
        key: key_id(issuer.public_key().raw),
    });
    Traits {
        key_kind: key_kind_of(leaf.public_key()),
        for_clients: for_clients(leaf),
        above: above.collect(),
        root: issued_by(issuers.last().unwrap_or(leaf).issuer()).into(),
    }
}

/// Returns what kind of key an SPKI in DER holds.
pub(super) fn key_kind(spki: &[u8]) -> Result<KeyKind, X509Error> {
    let malformed = |cause: String| X509Error::Malformed { number: 1, cause };
    let (_, spki) =
        SubjectPublicKeyInfo::from_der(spki).map_err(|error| malformed(error.to_string()))?;
    Ok(key_kind_of(&spki))
}

/// Source: RFC 3279 section 2.3.1 (RSA), RFC 5480 section 2.1.1 (curves), RFC 8410 section 3.
fn key_kind_of(spki: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    let algorithm = &spki.algorithm;
    if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        return match spki.parsed() {
            Ok(PublicKey::RSA(key)) => {
                KeyKind::Rsa { bits: u16::try_from(key.key_size()).unwrap_or(u16::MAX) }
            }
            _ => KeyKind::Other,
        };
    }
    if algorithm.algorithm == OID_SIG_ED25519 {
        return KeyKind::Ed25519;
    }
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match curve {
        Some(curve) if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            if curve == OID_EC_P256 {
                KeyKind::EcdsaP256
            } else if curve == OID_NIST_EC_P384 {
                KeyKind::EcdsaP384
            } else {
                KeyKind::Other
            }
        }
        _ => KeyKind::Other,
    }
}

/// A leaf may prove a client unless its extended key usage leaves that out.
///
/// Source: RFC 5280 section 4.2.1.12.
fn for_clients(leaf: &X509Certificate<'_>) -> bool {
    match leaf.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => usage.value.any || usage.value.client_auth,
        Err(_) => false,
    }
}

pub(super) fn spki(der: &[u8]) -> Result<&[u8], X509Error> {
    parse(der, 1).map(|certificate| certificate.tbs_certificate.subject_pki.raw)
}

pub(super) fn subject_name(der: &[u8]) -> Result<String, X509Error> {
    let certificate = parse(der, 1)?;
    let subject = certificate.subject();
    Ok(common_name(subject).or_else(|| organisation(subject)).unwrap_or_default())
}

pub(super) fn is_self_issued(der: &[u8]) -> Result<bool, X509Error> {
    parse(der, 1).map(|certificate| certificate.issuer().as_raw() == certificate.subject().as_raw())
}

pub(super) fn not_after(der: &[u8]) -> Result<Timestamp, X509Error> {
    parse(der, 1).map(|certificate| instant(certificate.validity().not_after))
}

/// A list in parts by reason, or of another issuer, is none that could be read here.
pub(super) fn crl_urls(der: &[u8]) -> Result<Vec<String>, X509Error> {
    let certificate = parse(der, 1)?;
    let points =
        certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::CRLDistributionPoints(points) => Some(&points.points),
            _ => None,
        });
    let whole = points.flatten().filter(|own| own.reasons.is_none() && own.crl_issuer.is_none());
    let names = whole.filter_map(|point| match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => Some(names),
        _ => None,
    });
    let urls = names.flatten().filter_map(|name| match name {
        GeneralName::URI(url) if url.len() <= MAX_URL_LEN && is_http(url) => Some(*url),
        _ => None,
    });
    Ok(urls.map(str::to_owned).collect())
}

fn is_http(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("http"))
}

fn parse(der: &[u8], number: usize) -> Result<X509Certificate<'_>, X509Error> {
    let malformed = |cause: String| X509Error::Malformed { number, cause };
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
    if rest.is_empty() {
        Ok(certificate)
    } else {
        Err(malformed(format!("{} bytes follow it", rest.len())))
    }
}

fn validity(certificate: &X509Certificate<'_>, number: usize) -> Result<Validity, X509Error> {
    let validity = Validity {
        not_before: instant(certificate.validity().not_before),
        not_after: instant(certificate.validity().not_after),
    };
    if validity.not_before <= validity.not_after {
        Ok(validity)
    } else {
        Err(X509Error::Validity { number })
    }
}

/// `99991231235959Z`, which RFC 5280 section 4.1.2.5 uses for "never", lies beyond the calendar.
fn instant(time: ASN1Time) -> Timestamp {
    let end = if time.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(time.timestamp()).unwrap_or(end)
}

fn identifiers(leaf: &X509Certificate<'_>) -> Arc<[Identifier]> {
    let Ok(Some(names)) = leaf.subject_alternative_name() else { return Arc::default() };
    let mut found: Vec<Identifier> =
        names.value.general_names.iter().filter_map(identifier).collect();
    found.sort();
    found.dedup();
    found.into()
}

fn identifier(name: &GeneralName<'_>) -> Option<Identifier> {
    match name {
        GeneralName::DNSName(text) => {
            // An address written as a dNSName is accepted by no client (RFC 6125 section 6.2.1).
            Identifier::new(&text.to_ascii_lowercase()).ok().filter(|found| !found.is_ip())
        }
        GeneralName::IPAddress(octets) => {
            let address = <[u8; 4]>::try_from(*octets)
                .map(std::net::IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*octets).map(std::net::IpAddr::from));
            Identifier::new(&address.ok()?.to_string()).ok()
        }
        _ => None,
    }
}

/// Joins organisation and common name, unless the common name says it already ("DigiCert Inc",
/// "DigiCert TLS RSA SHA256 2020 CA1").
fn issued_by(issuer: &X509Name<'_>) -> String {
    match (organisation(issuer), common_name(issuer)) {
        (Some(organisation), Some(name)) => {
            let first = organisation.split([' ', ',']).next().unwrap_or_default();
            if first.len() > 2 && name.starts_with(first) {
                name
            } else {
                format!("{organisation} {name}")
            }
        }
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => match readable(&issuer.to_string()) {
            name if name.is_empty() => "an issuer without a name".to_owned(),
            name => name,
        },
    }
}

fn organisation(name: &X509Name<'_>) -> Option<String> {
    name.iter_organization().find_map(|part| part.as_str().ok()).map(readable)
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().find_map(|part| part.as_str().ok()).map(readable)
}

/// Takes from a stranger's text what could move a terminal's cursor or fill its screen.
fn readable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !is_bidi(*c)).take(MAX_TEXT).collect()
}

/// The characters that reorder what is read (Unicode annex 9, section 2).
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Source: RFC 9773 section 4.1: the key identifier of the AKI and the serial's content octets,
/// with their leading zero if they have one.
//= https://www.rfc-editor.org/rfc/rfc9773#section-4.1
fn ari_id(leaf: &X509Certificate<'_>) -> Option<AriCertId> {
    let key_identifier =
        leaf.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(aki) => aki.key_identifier.as_ref(),
            _ => None,
        })?;
    let key_identifier = URL_SAFE_NO_PAD.encode(key_identifier.0);
    let serial = URL_SAFE_NO_PAD.encode(leaf.raw_serial());
    Some(AriCertId(format!("{key_identifier}.{serial}").into()))
}

/// A leaf may serve TLS servers if nothing in it says otherwise.
///
/// Source: RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12.
fn for_servers(leaf: &X509Certificate<'_>) -> bool {
    let extended = match leaf.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => usage.value.any || usage.value.server_auth,
        Err(_) => false,
    };
    let usage = match leaf.key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => {
            let usage = usage.value;
            usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
        }
        Err(_) => false,
    };
    extended && usage && !leaf.is_ca()
}

/// Whether each certificate is issued by the next one: by name, and by signature wherever the
/// algorithm is one that can be checked here (P-521 cannot).
fn in_order(certificates: &[X509Certificate<'_>]) -> bool {
    certificates.windows(2).all(|pair| {
        let [subject, issuer] = pair else { return false };
        subject.issuer().as_raw() == issuer.subject().as_raw()
            && match subject.verify_signature(Some(issuer.public_key())) {
                Ok(()) | Err(ParserError::SignatureUnsupportedAlgorithm) => true,
                Err(_) => false,
            }
    })
}
