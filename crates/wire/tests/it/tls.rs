//! Handshakes with real servers: OpenSSL's in every form of the past and present.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use perennial_core::words::{Identifier, Variant};
use perennial_peers::{Port, until};
use perennial_wire::tls::{
    ClientCertificate, Manner, Served, TlsError, TlsVersion, Way, handshake, handshake_as,
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const WAIT: Duration = Duration::from_secs(5);

struct OpenSsl {
    at: SocketAddr,
    child: Child,
    _port: Port,
    _dir: TempDir,
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn openssl(algorithm: &'static rcgen::SignatureAlgorithm, args: &[&str]) -> OpenSsl {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate =
        CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let path = dir.path().join("both.pem");
    std::fs::write(&path, format!("{}{}", certificate.pem(), key.serialize_pem())).unwrap();
    let port = Port::free().unwrap();
    let at = port.v4();
    let child = Command::new("openssl")
        .current_dir(dir.path())
        .args(["s_server", "-quiet", "-accept", &at.to_string()])
        .args(["-cert", "both.pem", "-cert2", "both.pem", "-key2", "both.pem"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("openssl: {error}; install it: apt-get install openssl"));
    let server = OpenSsl { at, child, _port: port, _dir: dir };
    until("openssl listens", Duration::from_secs(20), async || {
        tokio::net::TcpStream::connect(at).await.ok()
    })
    .await
    .unwrap();
    server
}

async fn meet(at: SocketAddr) -> Result<Served, TlsError> {
    handshake(at, &Identifier::new("a.test").unwrap(), WAIT).await
}

#[tokio::test]
async fn servers_of_today_are_met_by_a_whole_handshake() {
    let server = openssl(&PKCS_ECDSA_P256_SHA256, &[]).await;
    let served = meet(server.at).await.unwrap();
    assert_eq!(served.version, TlsVersion::TLS_1_3);
    assert_eq!(served.way, Way::Handshake);
    assert_eq!(served.holds_key, Some(true));
    assert_eq!(served.client_certificate, ClientCertificate::NotAsked);
    assert_eq!(served.ended_by, None);
    let again = meet(server.at).await.unwrap();
    assert_eq!(again, served, "each handshake is fresh and shows the same");

    let server = openssl(&PKCS_RSA_SHA256, &["-tls1_2"]).await;
    let served = meet(server.at).await.unwrap();
    assert_eq!((served.version, served.holds_key), (TlsVersion::TLS_1_2, Some(true)));
}

#[tokio::test]
async fn a_server_with_a_leaf_of_each_variant_shows_each_to_its_clients() {
    let name = Identifier::new("a.test").unwrap();
    let kind = async |server: &OpenSsl, variant| {
        let served = {
            let manner = Manner { variant: Some(variant), ..Manner::default() };
            handshake_as(manner, server.at, &name, WAIT).await?
        };
        let traits = served.chain.facts().unwrap().traits.unwrap();
        Ok::<_, TlsError>((traits.key_kind.variant(), served.version, served.holds_key))
    };
    let dir = tempfile::tempdir().unwrap();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let leaf = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    let path = dir.path().join("rsa.pem");
    let text = format!("{}{}", leaf.self_signed(&rsa).unwrap().pem(), rsa.serialize_pem());
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    for (version, expected) in [("-tls1_2", TlsVersion::TLS_1_2), ("-tls1_3", TlsVersion::TLS_1_3)]
    {
        let both =
            openssl(&PKCS_ECDSA_P256_SHA256, &[version, "-dcert", path, "-dkey", path]).await;
        for variant in [Variant::Ecdsa, Variant::Rsa] {
            let shown = kind(&both, variant).await.unwrap();
            assert_eq!(shown, (Some(variant), expected, Some(true)), "{version}");
        }
        let one = openssl(&PKCS_ECDSA_P256_SHA256, &[version]).await;
        let error = kind(&one, Variant::Rsa).await.unwrap_err().to_string();
        assert!(error.starts_with("clients that take RSA alone are shown no leaf"), "{error}");
    }
}

#[tokio::test]
async fn servers_of_the_past_show_their_chain_all_the_same() {
    let cases: [(&str, &[&str], &str); 4] = [
        ("TLS 1.0 only", &["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "TLS 1.0"),
        ("TLS 1.1 only", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "TLS 1.1"),
        ("RSA key exchange only", &["-tls1_2", "-cipher", "AES128-SHA"], "TLS 1.2"),
        ("CBC only", &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"], "TLS 1.2"),
    ];
    for (case, args, version) in cases {
        let server = openssl(&PKCS_RSA_SHA256, args).await;
        let served = meet(server.at).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(
            (served.version.to_string().as_str(), served.way),
            (version, Way::Legacy),
            "{case}"
        );
        let facts = served.chain.facts().unwrap();
        assert!(facts.covers(&Identifier::new("a.test").unwrap()), "{case}");
    }
}

#[tokio::test]
async fn asking_for_a_client_certificate_and_demanding_one_are_told_apart() {
    for (args, expected) in [
        (["-verify", "1", "-tls1_3"], ClientCertificate::Asked),
        (["-Verify", "1", "-tls1_3"], ClientCertificate::Demanded),
        (["-verify", "1", "-tls1_2"], ClientCertificate::Asked),
        (["-Verify", "1", "-tls1_2"], ClientCertificate::Demanded),
    ] {
        let server = openssl(&PKCS_ECDSA_P256_SHA256, &args).await;
        let served = meet(server.at).await.unwrap_or_else(|error| panic!("{args:?}: {error}"));
        assert_eq!(served.client_certificate, expected, "{args:?}: {:?}", served.ended_by);
    }
}

#[tokio::test]
async fn a_server_without_this_name_says_so() {
    // With this switch OpenSSL sends a fatal alert where the name differs from that of -servername.
    let server =
        openssl(&PKCS_ECDSA_P256_SHA256, &["-servername", "b.test", "-servername_fatal"]).await;
    let met = meet(server.at).await;
    assert_eq!(met.unwrap_err(), TlsError::UnknownName);
}

/// A server that answers whatever comes with `reply`, or says nothing, or hangs up.
async fn no_tls(reply: Option<&'static [u8]>, keep: bool) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        if let Some(reply) = reply {
            let _ = stream.write_all(reply).await;
        }
        if keep {
            let _ = stream.read_exact(&mut [0; 65_536]).await;
        }
    });
    at
}

#[tokio::test]
async fn what_is_no_tls_is_told_apart_from_what_cannot_be_reached() {
    let http = no_tls(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"), false).await;
    assert_eq!(meet(http).await.unwrap_err(), TlsError::NoTls("the answer is not TLS".into()));
    let hangs_up = no_tls(None, false).await;
    assert!(matches!(meet(hangs_up).await, Err(TlsError::NoTls(_))));
    let silent = no_tls(None, true).await;
    let name = Identifier::new("a.test").unwrap();
    let error = handshake(silent, &name, Duration::from_millis(200)).await.unwrap_err();
    let text = "connected, but no TLS answer within 0.2 s";
    assert_eq!(error, TlsError::NoTls(text.into()));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(meet(closed).await.unwrap_err(), TlsError::Unreachable("connection refused".into()));
    let nowhere: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
    let error = handshake(nowhere, &name, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, TlsError::NoRoute(_) | TlsError::Unreachable(_)), "{error}");
    let wildcard = Identifier::new("*.a.test").unwrap();
    assert!(matches!(handshake(closed, &wildcard, WAIT).await, Err(TlsError::Name(_))));
}

/// What a hostile server may send: nothing of it is believed, and none of it takes long.
#[tokio::test]
async fn hostile_answers_end_in_time() {
    let name = Identifier::new("a.test").unwrap();
    let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
    let huge_record: &[u8] = &[22, 3, 3, 0xff, 0xff, 2];
    let huge_message: &[u8] = &[22, 3, 3, 0, 4, 11, 0xff, 0xff, 0xff];
    let no_hello: &[u8] = &[22, 3, 3, 0, 4, 14, 0, 0, 0];
    let empty: &[u8] = &[22, 3, 3, 0, 0];
    for reply in [alert, huge_record, huge_message, no_hello, empty, &[0; 5], &[0xff; 4096]] {
        let wait = Duration::from_millis(500);
        let reply: &'static [u8] = reply.to_vec().leak();
        let at = no_tls(Some(reply), true).await;
        let met = tokio::time::timeout(Duration::from_secs(3), handshake(at, &name, wait)).await;
        assert!(met.expect("it ends by itself").is_err(), "{reply:?}");
    }
}
