//! Certificate signing requests.
//!
//! Source: RFC 2986; RFC 8555 section 7.4: the names are those of the order, and stand in the
//! subject alternative names. The subject stays empty: a common name is limited to 64 octets, and
//! profiles without one refuse or drop it.

use aws_lc_rs::signature::KeyPair as _;
use perennial_core::words::Identifier;
use rcgen::{CertificateParams, DistinguishedName, PublicKeyData, SanType, SigningKey};

use super::{Curve, KeyError, KeyPair, Signer, sign_ecdsa, sign_ed25519, sign_rsa};

impl KeyPair {
    /// Writes a CSR in DER for these names, signed by this key.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::Csr`] if a name cannot be written or the library refuses to sign.
    pub fn csr(&self, identifiers: &[Identifier]) -> Result<Vec<u8>, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names =
            identifiers.iter().map(alternative_name).collect::<Result<_, _>>()?;
        let request = params.serialize_request(&CsrKey(self)).map_err(|e| refused(&e))?;
        Ok(request.der().as_ref().to_vec())
    }
}

fn alternative_name(identifier: &Identifier) -> Result<SanType, KeyError> {
    let text = identifier.as_str();
    match text.parse() {
        Ok(ip) => Ok(SanType::IpAddress(ip)),
        Err(_) => text.try_into().map(SanType::DnsName).map_err(|e| refused(&e)),
    }
}

fn refused(error: &rcgen::Error) -> KeyError {
    KeyError::Csr(error.to_string().into())
}

/// Lends a key to the writer of CSRs, which would otherwise want bytes of its own.
pub(super) struct CsrKey<'a>(pub(super) &'a KeyPair);

impl PublicKeyData for CsrKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        match &self.0.signer {
            Signer::Ecdsa { csr, .. } => csr.public_key().as_ref(),
            Signer::Ed25519(pair) => pair.public_key().as_ref(),
            Signer::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match &self.0.signer {
            Signer::Ecdsa { curve: Curve::P256, .. } => &rcgen::PKCS_ECDSA_P256_SHA256,
            Signer::Ecdsa { curve: Curve::P384, .. } => &rcgen::PKCS_ECDSA_P384_SHA384,
            Signer::Ed25519(_) => &rcgen::PKCS_ED25519,
            Signer::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for CsrKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = match &self.0.signer {
            Signer::Ecdsa { csr, .. } => sign_ecdsa(csr, message),
            Signer::Ed25519(pair) => sign_ed25519(pair, message),
            Signer::Rsa(pair) => sign_rsa(pair, message),
        };
        signature.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use perennial_core::words::KeyAlgorithm;
    use x509_parser::prelude::*;

    use super::*;

    fn ids(names: &[&str]) -> Vec<Identifier> {
        names.iter().map(|name| Identifier::new(name).unwrap()).collect()
    }

    #[test]
    fn a_csr_names_exactly_what_was_asked_and_verifies() {
        let names = ["*.example.org", "192.0.2.7", "2001:db8::7", "example.org"];
        let algorithms = [
            KeyAlgorithm::EcdsaP256,
            KeyAlgorithm::EcdsaP384,
            KeyAlgorithm::Rsa2048,
            KeyAlgorithm::Rsa3072,
            KeyAlgorithm::Rsa4096,
            KeyAlgorithm::Ed25519,
        ];
        for algorithm in algorithms {
            let pair = KeyPair::from_pkcs8(&KeyPair::generate(algorithm).unwrap()).unwrap();
            let der = pair.csr(&ids(&names)).unwrap();
            let (rest, csr) = X509CertificationRequest::from_der(&der).unwrap();
            assert!(rest.is_empty());
            csr.verify_signature().unwrap();
            assert_eq!(csr.certification_request_info.subject.iter().count(), 0);
            let spki = csr.certification_request_info.subject_pki.raw;
            assert_eq!(crate::digest::sha256(spki), pair.id().0, "{algorithm:?}");
            assert_eq!(crate::x509::key_kind(spki).unwrap(), algorithm.kind());
            assert_eq!(alternative_names(&csr), names);
        }
    }

    fn alternative_names(csr: &X509CertificationRequest<'_>) -> Vec<String> {
        let names = csr.requested_extensions().unwrap().find_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        let text = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                Ok(v4) => std::net::Ipv4Addr::from(v4).to_string(),
                Err(_) => {
                    std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).unwrap()).to_string()
                }
            },
            other => panic!("unexpected {other:?}"),
        };
        names.unwrap().iter().map(text).collect()
    }
}
