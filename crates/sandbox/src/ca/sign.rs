//! The certificates above, and leaves made of what the model issued.

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::after;
use perennial_sim::model::ca::{IssuedLeaf, Serial};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

use crate::error::SandboxError;

/// A root and an intermediate, with their keys.
pub(super) struct Authority {
    /// The root, to be trusted by whoever checks leaves.
    pub(super) root_pem: String,
    /// The intermediate, sent along with leaves.
    pub(super) intermediate_pem: String,
    /// The intermediate's key identifier.
    pub(super) key_id: Vec<u8>,
    /// The name it signs with.
    pub(super) name: String,
    /// The root's name.
    pub(super) root_name: String,
    /// When the first of both ends.
    pub(super) not_after: Timestamp,
    /// Where its list of revoked leaves is.
    list_url: String,
    issuer: Issuer<'static, KeyPair>,
}

/// How long intermediates last (Let's Encrypt's: three years; longer, since a sandbox's clock may
/// run fast).
const INTERMEDIATE_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);

const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 20);

/// What roots are called.
const ROOT: &str = "Root X1";

/// What intermediates are called.
const INTERMEDIATE: &str = "YE1";

impl Authority {
    /// Makes a root and an intermediate.
    pub(super) fn new(name: &str, list_url: &str, now: Timestamp) -> Result<Self, SandboxError> {
        Self::make(name, list_url, now)
            .map_err(|error| SandboxError::new(format!("make CA {name}"), &error))
    }

    fn make(name: &str, list_url: &str, now: Timestamp) -> Result<Self, rcgen::Error> {
        let begins = after(now, SignedDuration::from_hours(-24));
        let root_key = KeyPair::generate()?;
        let root_params = authority(name, ROOT, begins, after(now, ROOT_LIFE));
        let root = root_params.self_signed(&root_key)?;
        let root_issuer = Issuer::new(root_params, root_key);
        let key = KeyPair::generate()?;
        let not_after = after(now, INTERMEDIATE_LIFE);
        let params = authority(name, INTERMEDIATE, begins, not_after);
        let intermediate = params.signed_by(&key, &root_issuer)?;
        let key_id = params.key_identifier(&key);
        let (root_pem, intermediate_pem) = (root.pem(), intermediate.pem());
        let issuer = Issuer::new(params, key);
        let list_url = list_url.to_owned();
        Ok(Self {
            root_pem,
            intermediate_pem,
            key_id,
            name: format!("{name} {INTERMEDIATE}"),
            root_name: format!("{name} {ROOT}"),
            not_after,
            list_url,
            issuer,
        })
    }

    /// Makes a leaf; returns it with the intermediate as PEM, leaf first.
    pub(super) fn sign(&self, leaf: &IssuedLeaf, spki: &[u8]) -> Result<String, rcgen::Error> {
        let names: Vec<String> = leaf.identifiers.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names)?;
        params.not_before = date(leaf.validity.not_before);
        params.not_after = date(leaf.validity.not_after);
        params.serial_number = Some(SerialNumber::from_slice(&leaf.serial));
        params.distinguished_name = DistinguishedName::new();
        // Let's Encrypt: only `classic` leaves still have a common name.
        if let Some(first) = leaf.identifiers.iter().find(|name| name.as_str().len() < 64)
            && &*leaf.profile == "classic"
        {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if leaf.for_clients {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: vec![self.list_url.clone()] }];
        let key = SubjectPublicKeyInfo::from_der(spki)?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok(format!("{}{}", leaf.pem(), self.intermediate_pem))
    }
}

impl Authority {
    /// Makes the list of these revoked leaves, each with since when.
    pub(super) fn list(
        &self,
        revoked: &[(Serial, Timestamp)],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<u8>, rcgen::Error> {
        let entry = |(serial, at): &(Serial, Timestamp)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date(*at),
            reason_code: None,
            invalidity_date: None,
        };
        let distribution_point = CrlDistributionPoint { uris: vec![self.list_url.clone()] };
        let params = CertificateRevocationListParams {
            this_update: date(now),
            next_update: date(until),
            crl_number: SerialNumber::from(u64::try_from(now.as_second()).unwrap_or_default()),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                distribution_point,
                scope: Some(CrlScope::UserCertsOnly),
            }),
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.der().to_vec())
    }
}

/// Named as Let's Encrypt names its own: who it is stands in the organization alone.
fn authority(ca: &str, name: &str, begins: Timestamp, ends: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, ca);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = date(begins);
    params.not_after = date(ends);
    params
}

/// X.509 has whole seconds; what lies outside of the library's calendar becomes its beginning.
fn date(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A root and a certificate for an API on loopback, valid for ever: clients judge it by the
/// machine's clock, which need not be the sandbox's.
pub(super) struct ApiIdentity {
    pub(super) root_pem: String,
    pub(super) chain: Vec<rustls_pki_types::CertificateDer<'static>>,
    pub(super) key: rustls_pki_types::PrivateKeyDer<'static>,
}

impl ApiIdentity {
    pub(super) fn new() -> Result<Self, SandboxError> {
        Self::make().map_err(|error| SandboxError::new("make the API's certificate", &error))
    }

    fn make() -> Result<Self, rcgen::Error> {
        let root_key = KeyPair::generate()?;
        let defaults = CertificateParams::default();
        let mut root_params =
            authority("Sandbox", "API Root", Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        (root_params.not_before, root_params.not_after) = (defaults.not_before, defaults.not_after);
        let root = root_params.self_signed(&root_key)?;
        let names = ["127.0.0.1", "::1", "localhost"].map(String::from);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Sandbox API");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &Issuer::new(root_params, root_key))?;
        let key_der = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Self { root_pem: root.pem(), chain: vec![leaf.der().clone()], key: key_der.into() })
    }
}
