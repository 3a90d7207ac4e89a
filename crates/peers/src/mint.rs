//! Certificates for the peers' own listeners, and for tests that need one no CA would issue.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::Error;

/// A certificate authority in memory.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A minted certificate with its key.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The certificate in PEM, alone.
    pub cert_pem: String,
    /// The key, PKCS#8 in PEM.
    pub key_pem: String,
}

impl Authority {
    /// Makes a root with the given common name, valid for ever by any clock a test may run.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn new(common_name: &str) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let minting = |cause| Error::failed("minting a root", cause);
        let key = KeyPair::generate().map_err(minting)?;
        let pem = params.self_signed(&key).map_err(minting)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Makes an authority below this one: an intermediate, valid for ever as well.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn below(&self, common_name: &str) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let minting = |cause| Error::failed("minting an intermediate", cause);
        let key = KeyPair::generate().map_err(minting)?;
        let pem = params.signed_by(&key, &self.issuer).map_err(minting)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Returns its own certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues for names and addresses, valid from 1975 to 4096.
    ///
    /// # Errors
    ///
    /// When a name is not one, or no key can be made.
    pub fn issue(&self, names: &[&str]) -> Result<Minted, Error> {
        self.sign(&leaf(names)?)
    }

    /// Issues for names and addresses, valid between two instants (whole seconds, after 1970).
    ///
    /// # Errors
    ///
    /// When a name is not one, or no key can be made.
    pub fn issue_between(
        &self,
        names: &[&str],
        not_before: SystemTime,
        not_after: SystemTime,
    ) -> Result<Minted, Error> {
        self.sign(&leaf_between(names, not_before, not_after)?)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Minted, Error> {
        let minting = |cause| Error::failed("minting a certificate", cause);
        let key = KeyPair::generate().map_err(minting)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(minting)?;
        Ok(Minted { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }
}

/// Makes a leaf that is signed by itself, valid between two instants.
///
/// # Errors
///
/// When a name is not one, or no key can be made.
pub fn self_signed(
    names: &[&str],
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<Minted, Error> {
    let minting = |cause| Error::failed("minting a certificate", cause);
    let key = KeyPair::generate().map_err(minting)?;
    let params = leaf_between(names, not_before, not_after)?;
    let cert = params.self_signed(&key).map_err(minting)?;
    Ok(Minted { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
}

fn leaf_between(
    names: &[&str],
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<CertificateParams, Error> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = |at: SystemTime| {
        let whole = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        epoch + Duration::from_secs(whole)
    };
    let mut params = leaf(names)?;
    params.not_before = since_epoch(not_before);
    params.not_after = since_epoch(not_after);
    Ok(params)
}

/// What every leaf has in common.
fn leaf(names: &[&str]) -> Result<CertificateParams, Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)
        .map_err(|cause| Error::failed("minting a certificate", cause))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
