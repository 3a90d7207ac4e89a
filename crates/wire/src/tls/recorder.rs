//! A handshake by rustls that accepts and records whatever is served.
//!
//! The verifier of each connection is its own: it keeps the chain, and whether the signature that
//! proves possession of the key holds, and refuses nothing. The resolver of client certificates is
//! its own too: it has none, but learns that one was asked for.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use perennial_core::words::Variant;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, PeerMisbehaved, SignatureScheme, SupportedCipherSuite,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ClientCertificate, Secs, Served, TlsError, TlsVersion, Way};
use crate::x509::Chain;

/// How long a staple may be, in bytes.
const MAX_STAPLE: usize = 64 * 1024;

/// How long a server of TLS 1.3 that asked for a client certificate may take to refuse us. Its
/// refusal comes after the handshake is complete on our side (RFC 8446 section 4.4.2.4).
const VERDICT_WITHIN: Duration = Duration::from_millis(500);

/// A handshake that showed no chain.
pub(super) struct Failed {
    pub(super) error: TlsError,
    /// Whether a plain ClientHello of old may show one.
    pub(super) is_old: bool,
}

impl Failed {
    const fn finally(error: TlsError) -> Self {
        Self { error, is_old: false }
    }
}

pub(super) async fn handshake(
    stream: TcpStream,
    name: ServerName<'static>,
    variant: Option<Variant>,
    timeout: Duration,
) -> Result<Served, Failed> {
    let provider = variant.map_or_else(provider, provider_for);
    let recorder = Arc::new(Recorder { provider, variant, seen: Mutex::default() });
    let config = config(&recorder).map_err(|error| {
        Failed::finally(TlsError::Refused(format!("rustls cannot be set up: {error}")))
    })?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let ended = match time::timeout(timeout, connecting).await {
        Ok(Ok(mut stream)) => {
            let version = stream.get_ref().1.protocol_version();
            let version = version.map_or(TlsVersion::TLS_1_2, |v| TlsVersion(v.into()));
            let refusal = refusal(&mut stream, &recorder).await;
            Ended { version: Some(version), error: refusal, timed_out: false }
        }
        Ok(Err(error)) => Ended { version: None, error: Some(error), timed_out: false },
        Err(_) => Ended { version: None, error: None, timed_out: true },
    };
    let seen = recorder.seen.lock().map(|mut seen| std::mem::take(&mut *seen)).unwrap_or_default();
    match seen.chain {
        Some(chain) => served(chain, seen.rest, &ended).map_err(Failed::finally),
        None => Err(failed(&ended, timeout)),
    }
}

/// How a handshake ended.
struct Ended {
    /// The version, if the handshake completed.
    version: Option<TlsVersion>,
    error: Option<io::Error>,
    timed_out: bool,
}

/// Waits for the refusal that may follow a request for a client certificate.
async fn refusal(stream: &mut TlsStream<TcpStream>, recorder: &Recorder) -> Option<io::Error> {
    let asked = recorder.seen.lock().is_ok_and(|seen| seen.rest.asked);
    if !asked {
        return None;
    }
    let mut byte = [0; 1];
    match time::timeout(VERDICT_WITHIN, stream.read(&mut byte)).await {
        Ok(Err(error)) if tls_error(&error).is_some() => Some(error),
        _ => None,
    }
}

fn served(
    certificates: Vec<CertificateDer<'static>>,
    rest: Rest,
    ended: &Ended,
) -> Result<Served, TlsError> {
    let chain = Chain::from_der(certificates)
        .map_err(|error| TlsError::Refused(format!("the chain cannot be taken: {error}")))?;
    let alert = ended.error.as_ref().and_then(tls_error).and_then(|error| match error {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    });
    let client_certificate = match (rest.asked, alert) {
        (_, Some(AlertDescription::CertificateRequired))
        | (true, Some(AlertDescription::HandshakeFailure | AlertDescription::BadCertificate)) => {
            ClientCertificate::Demanded
        }
        (true, _) => ClientCertificate::Asked,
        (false, _) => ClientCertificate::NotAsked,
    };
    let ended_by = match (&ended.error, ended.timed_out) {
        (Some(error), _) => Some(describe(error)),
        (None, true) => Some("the server stopped answering in mid-handshake".to_owned()),
        (None, false) => None,
    };
    Ok(Served {
        chain,
        version: ended.version.unwrap_or(rest.version),
        ocsp_staple: rest.ocsp_staple,
        client_certificate,
        holds_key: rest.holds_key,
        way: Way::Handshake,
        ended_by,
    })
}

/// Says why there is no chain, and whether the server is merely old.
fn failed(ended: &Ended, timeout: Duration) -> Failed {
    let Some(io_error) = &ended.error else {
        let text = format!("connected, but no TLS answer within {}", Secs(timeout));
        return Failed::finally(TlsError::NoTls(text));
    };
    let Some(error) = tls_error(io_error) else {
        let text = match io_error.kind() {
            io::ErrorKind::UnexpectedEof => "the connection was closed without a TLS answer".into(),
            io::ErrorKind::ConnectionReset => {
                "the connection was reset without a TLS answer".into()
            }
            _ => crate::net::describe(io_error),
        };
        return Failed::finally(TlsError::NoTls(text));
    };
    match error {
        Error::InvalidMessage(_) => {
            Failed::finally(TlsError::NoTls("the answer is not TLS".to_owned()))
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            Failed::finally(TlsError::UnknownName)
        }
        _ => Failed { error: TlsError::Refused(describe(io_error)), is_old: is_old(error) },
    }
}

/// Whether a server says that it knows only what rustls does not: libs.md's table of 21 servers.
const fn is_old(error: &Error) -> bool {
    match error {
        Error::AlertReceived(alert) => matches!(
            alert,
            AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
        ),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon,
        )
        | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedKxGroup) => true,
        _ => false,
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn describe(error: &io::Error) -> String {
    match tls_error(error) {
        Some(Error::AlertReceived(alert)) => {
            format!("the server sent the alert {}", alert_name(*alert))
        }
        Some(error) => error.to_string(),
        None => error.to_string(),
    }
}

/// Writes an alert as RFC 8446 section 6 does: `handshake_failure`.
pub(super) fn alert_name(alert: AlertDescription) -> String {
    let camel = format!("{alert:?}");
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The provider, with key shares that fit one packet: ML-KEM's would cost every server a second one.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let made = PROVIDER.get_or_init(|| {
        let kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
    });
    Arc::clone(made)
}

/// The same, without the suites of TLS 1.2 that another kind of leaf signs.
fn provider_for(variant: Variant) -> Arc<CryptoProvider> {
    let all = provider();
    let fits = |suite: &SupportedCipherSuite| match suite {
        SupportedCipherSuite::Tls12(suite) => suite.sign.iter().any(|s| is_of(variant, *s)),
        SupportedCipherSuite::Tls13(_) => true,
    };
    let cipher_suites = all.cipher_suites.iter().copied().filter(fits).collect();
    Arc::new(CryptoProvider { cipher_suites, ..(*all).clone() })
}

/// Returns whether keys of a variant sign so.
fn is_of(variant: Variant, scheme: SignatureScheme) -> bool {
    let is_ecdsa = matches!(
        scheme,
        SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ECDSA_NISTP521_SHA512
            | SignatureScheme::ECDSA_SHA1_Legacy
    );
    match variant {
        Variant::Ecdsa => is_ecdsa,
        Variant::Rsa => {
            !is_ecdsa && !matches!(scheme, SignatureScheme::ED25519 | SignatureScheme::ED448)
        }
    }
}

fn config(recorder: &Arc<Recorder>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&recorder.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Recorder>::clone(recorder))
        .with_client_cert_resolver(Arc::<Recorder>::clone(recorder));
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Records one connection.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    /// Which leaves alone are taken, if not all.
    variant: Option<Variant>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    chain: Option<Vec<CertificateDer<'static>>>,
    rest: Rest,
}

#[derive(Debug)]
struct Rest {
    ocsp_staple: Option<Vec<u8>>,
    asked: bool,
    holds_key: Option<bool>,
    version: TlsVersion,
}

impl Default for Rest {
    fn default() -> Self {
        let version = TlsVersion::TLS_1_2;
        Self { ocsp_staple: None, asked: false, holds_key: None, version }
    }
}

impl Recorder {
    fn record(&self, change: impl FnOnce(&mut Seen)) {
        if let Ok(mut seen) = self.seen.lock() {
            change(&mut seen);
        }
    }

    /// Records whether the signature holds, where its scheme is one that can be checked.
    fn record_signature(&self, checked: &Result<HandshakeSignatureValid, Error>, of: TlsVersion) {
        let holds = match checked {
            Ok(_) => Some(true),
            Err(Error::PeerMisbehaved(_) | Error::PeerIncompatible(_)) => None,
            Err(_) => Some(false),
        };
        self.record(|seen| {
            seen.rest.holds_key = holds;
            seen.rest.version = of;
        });
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let chain = all.map(|der| der.clone().into_owned()).collect();
        let staple = (1..=MAX_STAPLE).contains(&ocsp_response.len());
        self.record(|seen| {
            seen.chain = Some(chain);
            seen.rest.ocsp_staple = staple.then(|| ocsp_response.to_vec());
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        let checked = verify_tls12_signature(message, cert, dss, schemes);
        self.record_signature(&checked, TlsVersion::TLS_1_2);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        let checked = verify_tls13_signature(message, cert, dss, schemes);
        self.record_signature(&checked, TlsVersion::TLS_1_3);
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Wider than what can be checked: a server that signs in an old way is to be seen, too.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            // rsa_pss_pss_sha256, 384 and 512: RFC 8446 section 4.2.3.
            SignatureScheme::Unknown(0x0809),
            SignatureScheme::Unknown(0x080a),
            SignatureScheme::Unknown(0x080b),
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ];
        schemes.retain(|scheme| self.variant.is_none_or(|variant| is_of(variant, *scheme)));
        schemes
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

impl ResolvesClientCert for Recorder {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.record(|seen| seen.rest.asked = true);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
