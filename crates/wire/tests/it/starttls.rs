//! TLS that begins after a few words in the clear: at real servers, and at those that mean ill.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use perennial_core::words::{Identifier, Protocol};
use perennial_peers::{Authority, Daemon, Port, TlsFiles};
use perennial_wire::tls::{Served, TlsError, handshake_by};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Generous, for a machine that does other things: nothing here waits that long when all is well.
const WAIT: Duration = Duration::from_secs(30);

fn name() -> Identifier {
    Identifier::new("mail.test").unwrap()
}

/// Writes a leaf for the name where servers of other users can read it.
fn files(dir: &Path) -> TlsFiles {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let issued = Authority::new("test root").unwrap().issue(&["mail.test"]).unwrap();
    let tls = TlsFiles { chain: dir.join("chain.pem"), key: dir.join("key.pem") };
    std::fs::write(&tls.chain, issued.cert_pem).unwrap();
    std::fs::write(&tls.key, issued.key_pem).unwrap();
    tls
}

async fn meet(protocol: Protocol, at: SocketAddr) -> Result<Served, TlsError> {
    handshake_by(protocol, at, &name(), WAIT).await
}

/// Asserts that a whole handshake shows the leaf.
async fn shows_its_leaf(protocol: Protocol, at: SocketAddr, log: impl Fn() -> String) {
    let served =
        meet(protocol, at).await.unwrap_or_else(|e| panic!("{protocol:?}: {e}\n{}", log()));
    assert!(served.chain.facts().unwrap().covers(&name()), "{protocol:?}");
    assert_eq!((served.holds_key, served.ended_by), (Some(true), None), "{protocol:?}");
}

#[tokio::test]
async fn postfix_is_met_over_smtp() {
    let dir = tempfile::tempdir().unwrap();
    let port = Port::free().unwrap();
    let server = Daemon::postfix(port.v4(), &files(dir.path())).await.unwrap();
    shows_its_leaf(Protocol::Smtp, port.v4(), || server.log()).await;
    let met = meet(Protocol::Tls, port.v4()).await;
    assert_eq!(met.unwrap_err(), TlsError::NoTls("the answer is not TLS".into()));
}

#[tokio::test]
async fn dovecot_is_met_over_imap_and_pop3() {
    let dir = tempfile::tempdir().unwrap();
    let (imap, pop3) = (Port::free().unwrap(), Port::free().unwrap());
    let server = Daemon::dovecot(imap.v4(), pop3.v4(), &files(dir.path())).await.unwrap();
    shows_its_leaf(Protocol::Imap, imap.v4(), || server.log()).await;
    shows_its_leaf(Protocol::Pop3, pop3.v4(), || server.log()).await;
    // Who expects another protocol is told what is spoken there.
    let met = meet(Protocol::Pop3, imap.v4()).await.unwrap_err().to_string();
    assert!(met.starts_with("what answers is not POP3: it said `* OK ["), "{met}");
}

#[tokio::test]
async fn slapd_is_met_over_ldap_and_says_when_it_has_no_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (with, without) = (Port::free().unwrap(), Port::free().unwrap());
    let server = Daemon::slapd(with.v4(), Some(&files(dir.path()))).await.unwrap();
    shows_its_leaf(Protocol::Ldap, with.v4(), || server.log()).await;
    let _bare = Daemon::slapd(without.v4(), None).await.unwrap();
    let met = meet(Protocol::Ldap, without.v4()).await.unwrap_err().to_string();
    let expected = "the server speaks LDAP, and refused to begin TLS: `protocolError \
                    unsupported extended operation`";
    assert_eq!(met, expected);
}

#[tokio::test]
async fn postgresql_is_met_over_its_own_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let tls = files(dir.path());
    Daemon::give_to_postgresql(&tls.key).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&tls.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let port = Port::free().unwrap();
    let server = Daemon::postgresql(port.v4(), &tls).await.unwrap();
    shows_its_leaf(Protocol::Postgresql, port.v4(), || server.log()).await;
}

#[tokio::test]
async fn vsftpd_is_met_over_ftp() {
    let dir = tempfile::tempdir().unwrap();
    let port = Port::free().unwrap();
    let server = Daemon::vsftpd(port.v4(), &files(dir.path())).await.unwrap();
    shows_its_leaf(Protocol::Ftp, port.v4(), || server.log()).await;
}

#[tokio::test]
async fn prosody_is_met_over_xmpp_by_clients_and_servers() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, servers) = (Port::free().unwrap(), Port::free().unwrap());
    let tls = files(dir.path());
    let server = Daemon::prosody("mail.test", clients.v4(), servers.v4(), &tls).await.unwrap();
    shows_its_leaf(Protocol::Xmpp, clients.v4(), || server.log()).await;
    shows_its_leaf(Protocol::XmppServer, servers.v4(), || server.log()).await;
    let other = Identifier::new("other.test").unwrap();
    let met = handshake_by(Protocol::Xmpp, clients.v4(), &other, WAIT).await.unwrap_err();
    assert_eq!(met.to_string(), "the server turns us away before TLS, with `host-unknown`");
}

/// One thing that a hostile server does.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Says this.
    Says(&'static [u8]),
    /// Hears something.
    Hears,
    /// Says this for ever.
    NeverEnds(&'static [u8]),
    /// Says nothing more, and stays.
    Stays,
}

use Does::{Hears, NeverEnds, Says, Stays};

/// A server that does these things to the first who comes, and hangs up.
async fn server(deeds: Vec<Does>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for deed in deeds {
            match deed {
                Says(words) => drop(stream.write_all(words).await),
                Hears => drop(stream.read(&mut [0; 4096]).await),
                NeverEnds(words) => while stream.write_all(words).await.is_ok() {},
                Stays => drop(stream.read_to_end(&mut Vec::new()).await),
            }
        }
    });
    at
}

async fn told(protocol: Protocol, deeds: &[Does]) -> String {
    meet(protocol, server(deeds.to_vec()).await).await.unwrap_err().to_string()
}

const EHLO: &[u8] = b"250-mail.test\r\n250 STARTTLS\r\n";

#[tokio::test]
async fn a_server_that_refuses_says_so_in_its_own_words() {
    use Protocol::{Ftp, Imap, Ldap, Pop3, Postgresql, Smtp, Xmpp};
    let stream = b"<?xml version='1.0'?><stream:stream xmlns:stream='x' id='1'>";
    let offer = b"<stream:features><starttls xmlns='y'/></stream:features>";
    let cases: &[(Protocol, &[Does], &str)] = &[
        (
            Smtp,
            &[Says(b"554 5.7.1 no service for you\r\n")],
            "the server turns us away before TLS, with `554 5.7.1 no service for you`",
        ),
        (
            Smtp,
            &[Says(b"220 hi\r\n"), Hears, Says(b"250-mail.test\r\n250 XSTARTTLS\r\n")],
            "the server speaks SMTP, and offers no TLS",
        ),
        (
            Smtp,
            &[Says(b"220 hi\r\n"), Hears, Says(EHLO), Hears, Says(b"454 4.7.0 not now\r\n")],
            "the server speaks SMTP, and refused to begin TLS: `454 4.7.0 not now`",
        ),
        (
            Smtp,
            &[Says(b"SSH-2.0-OpenSSH_9.2\r\n")],
            "what answers is not SMTP: it said `SSH-2.0-OpenSSH_9.2`",
        ),
        (Smtp, &[Says(b"220-hi\r\n220")], "the connection was closed in the middle of SMTP"),
        (
            Imap,
            &[Says(b"* PREAUTH hello\r\n")],
            "the server speaks IMAP, and refused to begin TLS: `* PREAUTH hello`",
        ),
        (
            Imap,
            &[Says(b"* OK hi\r\n"), Hears, Says(b"* CAPABILITY IMAP4rev1\r\np1 BAD what?\r\n")],
            "the server speaks IMAP, and refused to begin TLS: `p1 BAD what?`",
        ),
        (
            Pop3,
            &[Says(b"+OK hi\r\n"), Hears, Says(b"-ERR unknown command\r\n")],
            "the server speaks POP3, and refused to begin TLS: `-ERR unknown command`",
        ),
        (
            Ftp,
            &[
                Says(b"220-hi\r\n in between\r\n220 there\r\n"),
                Hears,
                Says(b"530 log in first\r\n"),
            ],
            "the server speaks FTP, and refused to begin TLS: `530 log in first`",
        ),
        (Postgresql, &[Hears, Says(b"N")], "the server speaks PostgreSQL, and offers no TLS"),
        (
            Postgresql,
            &[Hears, Says(b"E\x00\x00\x00\x17SFATAL\x00Mtoo many\x00\x00\x00")],
            "the server turns us away before TLS, with `too many`",
        ),
        (
            Ldap,
            &[Hears, Says(b"HTTP/1.1 400")],
            "what answers is not LDAP: it said `bytes that \
                                                  are no LDAP message`",
        ),
        (
            Xmpp,
            &[Hears, Says(stream), Says(b"<stream:features><bind/></stream:features>")],
            "the server speaks XMPP, and offers no TLS",
        ),
        (
            Xmpp,
            &[Hears, Says(stream), Says(offer), Hears, Says(b"<failure xmlns='z'/>")],
            "the server speaks XMPP, and refused to begin TLS: `<failure xmlns='z'/>`",
        ),
        (Xmpp, &[Hears, Says(b"220 hi\r\n")], "what answers is not XMPP: it said `220 hi`"),
    ];
    for (protocol, deeds, expected) in cases {
        assert_eq!(told(*protocol, deeds).await, *expected, "{deeds:?}");
    }
}

/// As in CVE-2011-0411 and CVE-2021-23222: whoever is on the way puts words behind the consent, so
/// that they are taken for what the server says under TLS.
#[tokio::test]
async fn words_put_in_behind_the_consent_are_told_and_never_taken() {
    use Protocol::{Imap, Ldap, Postgresql, Smtp, Xmpp};
    let consent = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00more";
    let features: &[u8] = b"<stream:stream><stream:features><starttls/></stream:features>";
    let cases: &[(Protocol, &[Does])] = &[
        (Smtp, &[Says(b"220 hi\r\n"), Hears, Says(EHLO), Hears, Says(b"220 go\r\nmore"), Stays]),
        (Imap, &[Says(b"* OK hi\r\n"), Hears, Says(b"p1 OK go\r\nmore"), Stays]),
        (Postgresql, &[Hears, Says(b"Smore"), Stays]),
        (Ldap, &[Hears, Says(consent), Stays]),
        (Xmpp, &[Hears, Says(features), Hears, Says(b"<proceed/>more"), Stays]),
    ];
    for (protocol, deeds) in cases {
        let expected = "after it agreed to begin TLS the server went on in the clear, with `more`: \
                        somebody on the way may have put that there";
        assert_eq!(told(*protocol, deeds).await, expected, "{deeds:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_ends_is_left() {
    use Protocol::{Ftp, Ldap, Pop3, Postgresql, Smtp, Xmpp};
    let cases: &[(Protocol, &[Does], &str)] = &[
        (Smtp, &[NeverEnds(b"220-and so on\r\n")], "what the server says in SMTP does not end"),
        (Pop3, &[NeverEnds(b"+OK and so on ")], "a line of the server's POP3 does not end"),
        (Ftp, &[NeverEnds(b"220-\r\n220-\r\n")], "what the server says in FTP does not end"),
        (Xmpp, &[NeverEnds(b"<a>")], "what the server says in XMPP does not end"),
        (Xmpp, &[NeverEnds(b"<a ")], "what the server says in XMPP does not end"),
        (
            Ldap,
            &[NeverEnds(b"\x30\x84\x00\x00\xff\xff")],
            "what answers is not LDAP: it said `a \
                                                   message that is longer than any answer to StartTLS`",
        ),
        (
            Postgresql,
            &[NeverEnds(b"E\xff\xff\xff\xff")],
            "what answers is not PostgreSQL: it said `an error of impossible length`",
        ),
    ];
    for (protocol, deeds, expected) in cases {
        assert_eq!(told(*protocol, deeds).await, *expected, "{deeds:?}");
    }
    let silent = server(vec![Says(b"220-hi\r\n"), Stays]).await;
    let wait = Duration::from_millis(100);
    let met = handshake_by(Protocol::Smtp, silent, &name(), wait).await.unwrap_err();
    let expected = "connected, but TLS did not begin over SMTP within 0.2 s";
    assert_eq!(met, TlsError::NoTls(expected.into()));
}
