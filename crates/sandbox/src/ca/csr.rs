//! CSRs: read, and their proof of possession checked.
//!
//! Source: RFC 2986, RFC 8555 section 7.4.

use std::net::IpAddr;

use perennial_core::words::{Identifier, KeyId, Problem};
use perennial_sim::model::ca::{Csr, problem};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, Oid};
use x509_parser::prelude::FromDer as _;

use super::jose::malformed;

/// A CSR that was found good.
pub(super) struct GoodCsr {
    /// What it says.
    pub(super) csr: Csr,
    /// Its key, as SPKI in DER.
    pub(super) spki: Vec<u8>,
    /// Its key, as the bit string inside of the SPKI.
    pub(super) key: Vec<u8>,
}

fn bad(detail: impl Into<Box<str>>) -> Problem {
    problem(400, "badCSR", detail)
}

/// Reads a CSR and checks its signature.
pub(super) fn read(der: &[u8]) -> Result<GoodCsr, Problem> {
    let (rest, request) = X509CertificationRequest::from_der(der)
        .map_err(|_| malformed("Error parsing certificate request"))?;
    if !rest.is_empty() {
        return Err(malformed("Error parsing certificate request: trailing data"));
    }
    request.verify_signature().map_err(|_| bad("invalid signature on CSR"))?;
    let info = &request.certification_request_info;
    let mut identifiers = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    identifiers.push(identifier(name)?);
                }
            }
            ParsedExtension::UnsupportedExtension { oid } if is_must_staple(oid) => {
                return Err(bad("CSR contains the Must-Staple extension, which is not supported"));
            }
            _ => {}
        }
    }
    if identifiers.is_empty() {
        return Err(bad("at least one identifier in the subject alternative names is required"));
    }
    check_common_name(&info.subject, &identifiers)?;
    let spki = info.subject_pki.raw.to_vec();
    let key = info.subject_pki.subject_public_key.data.to_vec();
    let id = KeyId(perennial_wire::digest::sha256(&spki));
    let key_kind = perennial_wire::x509::key_kind(&spki)
        .map_err(|error| bad(format!("CSR contains a bad key: {error}")))?;
    Ok(GoodCsr { csr: Csr { identifiers: identifiers.into(), key: id, key_kind }, spki, key })
}

fn identifier(name: &GeneralName<'_>) -> Result<Identifier, Problem> {
    let text = match name {
        GeneralName::DNSName(name) => name.to_ascii_lowercase(),
        GeneralName::IPAddress(octets) => address(octets)?.to_string(),
        _ => return Err(bad("CSR contains names that are neither DNS names nor addresses")),
    };
    Identifier::new(&text).map_err(|error| bad(format!("CSR contains a bad name: {error}")))
}

fn address(octets: &[u8]) -> Result<IpAddr, Problem> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Ok(v4.into());
    }
    <[u8; 16]>::try_from(octets).map(IpAddr::from).map_err(|_| bad("CSR contains a bad address"))
}

/// A common name must be among the subject alternative names.
fn check_common_name(
    subject: &x509_parser::x509::X509Name<'_>,
    identifiers: &[Identifier],
) -> Result<(), Problem> {
    let names = subject.iter_by_oid(&OID_X509_COMMON_NAME).filter_map(|name| name.as_str().ok());
    for name in names {
        if !identifiers.iter().any(|identifier| identifier.as_str().eq_ignore_ascii_case(name)) {
            return Err(bad("CSR contains a common name that is not a subject alternative name"));
        }
    }
    Ok(())
}

/// RFC 7633.
fn is_must_staple(oid: &Oid<'_>) -> bool {
    oid.to_id_string() == "1.3.6.1.5.5.7.1.24"
}
