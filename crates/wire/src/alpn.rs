//! What answers tls-alpn-01: a handshake that shows a certificate made for the challenge.
//!
//! The certificate is self-signed, names one identifier, and holds the digest of the key
//! authorization in a critical extension that no client but a CA knows. It is shown to whoever
//! offers the protocol `acme-tls/1` and nothing else; nothing is said after the handshake.
//!
//! Source: RFC 8737; RFC 8738 section 6 for addresses.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use perennial_core::words::{Answer, Identifier};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ResolvesServerCertUsingSni};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::LazyConfigAcceptor;

use crate::authorization::digest;

/// The name of the protocol.
///
//= https://www.rfc-editor.org/rfc/rfc8737#section-6.2
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// What is shown for one challenge.
#[derive(Clone)]
pub struct AlpnAnswer(Arc<ServerConfig>);

impl fmt::Debug for AlpnAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlpnAnswer")
    }
}

/// Why no certificate could be made for a challenge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("make the certificate of a tls-alpn-01 answer: {0}")]
pub struct AlpnError(String);

impl AlpnAnswer {
    /// Makes the certificate of an answer, with a key of its own.
    ///
    /// # Errors
    ///
    /// Returns what a library refuses: a name that fits no certificate, or no randomness.
    ///
    //= https://www.rfc-editor.org/rfc/rfc8737#section-3
    pub fn new(answer: &Answer) -> Result<Self, AlpnError> {
        let failed = |error: &dyn fmt::Display| AlpnError(error.to_string());
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let base = answer.identifier.base();
        params.subject_alt_names = vec![match base.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(base.try_into().map_err(|e: rcgen::Error| failed(&e))?),
        }];
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest(answer))];
        let key = rcgen::KeyPair::generate().map_err(|e| failed(&e))?;
        let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key).map_err(|e| failed(&e))?;
        // Not compared with its key, since no library reads a critical extension that it does not
        // know: both were made here.
        let certified = CertifiedKey::new(vec![CertificateDer::from(certificate)], key);
        let shown = Arc::new(SingleCertAndKey::from(certified));
        Ok(Self(config(shown).map_err(|e| failed(&e))?))
    }
}

fn config(shown: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions?.with_no_client_auth().with_cert_resolver(shown);
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    // A CA comes once from each place.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Returns the server name by which a CA asks: the name itself, or for an address its name in the
/// reverse zone, in lower case.
///
//= https://www.rfc-editor.org/rfc/rfc8738#section-6
#[must_use]
pub fn asked_name(identifier: &Identifier) -> String {
    match identifier.base().parse() {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(ip)) => {
            let mut name = String::with_capacity(72);
            for byte in ip.octets().iter().rev() {
                // Writing into a text cannot fail.
                let _ = write!(name, "{:x}.{:x}.", byte & 0xf, byte >> 4);
            }
            name + "ip6.arpa"
        }
        Err(_) => identifier.base().to_owned(),
    }
}

/// Makes one handshake, with what `find` returns for the server name, and says goodbye. Whoever asks
/// for another name, or offers another protocol too, gets an alert.
///
/// Whatever goes wrong, the other side is at fault, or gone. `within` bounds all of it.
pub async fn serve<S>(stream: S, within: Duration, find: impl Fn(&str) -> Option<AlpnAnswer>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let serving = async {
        // A ClientHello is read up to the 64 KiB that one may have.
        let met = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let config = match answer_to(&met.client_hello(), find) {
            Some(AlpnAnswer(config)) => config,
            None => {
                config(Arc::new(ResolvesServerCertUsingSni::new())).map_err(io::Error::other)?
            }
        };
        met.into_stream(config).await?.shutdown().await
    };
    let _gone = tokio::time::timeout(within, serving).await;
}

/// A client that offers more than the one protocol is no CA, and may be somebody's browser.
///
//= https://www.rfc-editor.org/rfc/rfc8737#section-3
fn answer_to(
    hello: &ClientHello<'_>,
    find: impl Fn(&str) -> Option<AlpnAnswer>,
) -> Option<AlpnAnswer> {
    let mut protocols = hello.alpn()?;
    let offers_only_ours = protocols.next() == Some(ACME_TLS) && protocols.next().is_none();
    hello.server_name().filter(|_| offers_only_ours).and_then(find)
}

#[cfg(test)]
mod tests {
    use perennial_core::words::{ChallengeKind, Name};
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
    use tokio::io::AsyncReadExt as _;
    use tokio_rustls::TlsConnector;
    use x509_parser::prelude::*;

    use super::*;

    fn id(text: &str) -> Identifier {
        Identifier::new(text).unwrap()
    }

    fn answer(identifier: &str) -> Answer {
        Answer {
            solver: Name::new("tls"),
            kind: ChallengeKind::TlsAlpn01,
            identifier: id(identifier),
            token: "token".into(),
            thumbprint: "thumbprint".into(),
            place: None,
            standing: None,
        }
    }

    #[test]
    fn a_ca_asks_for_an_address_by_its_name_in_the_reverse_zone() {
        // The examples of RFC 8738 section 6 and RFC 3596 section 2.5.
        assert_eq!(asked_name(&id("192.0.2.1")), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            asked_name(&id("4321:0:1:2:3:4:567:89ab")),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
        assert_eq!(asked_name(&id("example.org")), "example.org");
    }

    /// Takes whatever is shown, as a CA does.
    #[derive(Debug)]
    struct Anything;

    impl ServerCertVerifier for Anything {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }

    /// Asks as a CA would, and returns the certificate and whether anything was said after it.
    async fn ask(shown: &Answer, name: &str, protocols: &[&[u8]]) -> Option<(Vec<u8>, usize)> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let verifier = Arc::new(Anything);
        let mut config =
            config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let (ours, theirs) = tokio::io::duplex(4096);
        let own = AlpnAnswer::new(shown).unwrap();
        let asked = asked_name(&shown.identifier);
        let serving = tokio::spawn(serve(theirs, Duration::from_secs(60), move |name| {
            (name == asked).then(|| own.clone())
        }));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, ours).await;
        let told = match stream {
            Err(_) => None,
            Ok(mut stream) => {
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(ACME_TLS));
                let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
                let mut rest = Vec::new();
                let said = stream.read_to_end(&mut rest).await.unwrap();
                Some((certificate, said))
            }
        };
        serving.await.unwrap();
        told
    }

    #[tokio::test]
    async fn a_ca_is_shown_the_digest_in_a_critical_extension_and_is_told_nothing_more() {
        for (name, asked) in
            [("example.org", "example.org"), ("192.0.2.1", "1.2.0.192.in-addr.arpa")]
        {
            let own = answer(name);
            let (der, said) = ask(&own, asked, &[ACME_TLS]).await.unwrap();
            assert_eq!(said, 0);
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            let oid = x509_parser::oid_registry::asn1_rs::oid!(1.3.6.1.5.5.7.1.31);
            let found = certificate.get_extension_unique(&oid).unwrap().unwrap();
            assert!(found.critical);
            assert_eq!(found.value, [&[0x04, 32][..], &digest(&own)].concat());
            let names = certificate.subject_alternative_name().unwrap().unwrap();
            let expected = if own.identifier.is_ip() {
                GeneralName::IPAddress(&[192, 0, 2, 1])
            } else {
                GeneralName::DNSName(name)
            };
            assert_eq!(names.value.general_names, [expected]);
            certificate.verify_signature(None).unwrap();
        }
    }

    #[tokio::test]
    async fn nobody_else_is_shown_anything() {
        let own = answer("example.org");
        let no_protocol: &[&[u8]] = &[];
        let browser: &[&[u8]] = &[ACME_TLS, b"h2"];
        for (name, protocols) in [
            ("example.org", no_protocol),
            ("example.org", browser),
            ("example.org", &[b"h2"]),
            ("www.example.org", &[ACME_TLS]),
            ("192.0.2.1", &[ACME_TLS]),
        ] {
            assert_eq!(ask(&own, name, protocols).await, None, "{name} {protocols:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_tls_or_says_nothing_ends() {
        use tokio::io::AsyncWriteExt as _;
        let (mut ours, theirs) = tokio::io::duplex(64);
        let serving = tokio::spawn(serve(theirs, Duration::from_secs(60), |_| None));
        // Whether all of it is taken or not.
        let _ = ours.write_all(&[b'x'; 4096]).await;
        serving.await.unwrap();
        let (ours, theirs) = tokio::io::duplex(64);
        serve(theirs, Duration::from_millis(50), |_| None).await;
        drop(ours);
    }
}
