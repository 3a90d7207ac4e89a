//! The client against servers that misbehave, each a few lines over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertifiedKey;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Serves every connection with a function of the stream, after the request's head was read.
async fn server<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream, String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let serve = Arc::clone(&serve);
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                serve(stream, head).await;
            });
        }
    });
    address
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0; 1];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).unwrap()
}

async fn answer(mut stream: TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
}

fn client(answer_within: Duration) -> Http {
    let connect_within = answer_within / 2;
    let plaintext = Plaintext::Allowed;
    let settings = Settings { connect_within, answer_within, plaintext, ..Settings::default() };
    Http::new(&settings).unwrap()
}

const PATIENT: Duration = Duration::from_secs(20);

async fn post(address: SocketAddr, client: &Http) -> Result<Response, Error> {
    client.post(&format!("http://{address}/"), "a/b", "c/d", b"body".to_vec(), 1000).await
}

#[tokio::test]
async fn what_never_connected_was_never_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = post(address, &client(PATIENT)).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::No, Cause::Connect), "{error}");
}

#[tokio::test]
async fn an_error_tells_the_server_and_not_the_path() {
    let url = "http://nowhere.invalid:8080/hooks/secret?token=secret";
    let error = client(PATIENT).get(url, "*/*", 10).await.unwrap_err().to_string();
    assert!(error.starts_with("http://nowhere.invalid:8080: "), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_was_never_sent_to() {
    let error = client(PATIENT).get("http://nowhere.invalid/", "*/*", 10).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::No, Cause::Resolve), "{error}");
}

#[tokio::test]
async fn what_is_no_address_was_never_sent_to() {
    for url in ["", "//", "http://", "nonsense", "ftp://x.test/"] {
        let error = client(PATIENT).get(url, "*/*", 10).await.unwrap_err();
        assert_eq!((error.sent, error.cause), (Sent::No, Cause::Request), "{url}: {error}");
    }
}

#[tokio::test]
async fn plain_text_is_refused_unless_allowed() {
    let http = Http::new(&Settings::default()).unwrap();
    let error = http.get("http://127.0.0.1:1/", "*/*", 10).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::No, Cause::Request), "{error}");
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_may_have_been_heard() {
    let address = server(|stream, _| async move { drop(stream) }).await;
    let error = post(address, &client(PATIENT)).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::Perhaps, Cause::Broken), "{error}");
}

#[tokio::test]
async fn what_is_no_http_may_have_been_heard() {
    let address = server(|stream, _| answer(stream, b"220 mail.example ESMTP\r\n")).await;
    let error = post(address, &client(PATIENT)).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::Perhaps, Cause::Broken), "{error}");
}

#[tokio::test]
async fn a_silent_server_may_have_heard_and_time_is_bounded() {
    let address = server(|stream, _| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let error = post(address, &client(Duration::from_millis(300))).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::Perhaps, Cause::TimedOut), "{error}");
}

#[tokio::test]
async fn a_truncated_body_keeps_the_status() {
    let address =
        server(|s, _| answer(s, b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{")).await;
    let error = post(address, &client(PATIENT)).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::Answered(201), Cause::Broken), "{error}");
}

#[tokio::test]
async fn an_endless_body_is_given_up_at_its_bound() {
    let address = server(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
    })
    .await;
    let error = post(address, &client(PATIENT)).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::Answered(200), Cause::TooLarge), "{error}");
}

#[tokio::test]
async fn a_body_announced_too_large_is_not_read() {
    let address =
        server(|s, _| answer(s, b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n")).await;
    let error = post(address, &client(PATIENT)).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::Answered(200), Cause::TooLarge), "{error}");
}

#[tokio::test]
async fn a_dripping_body_is_bounded_in_time_too() {
    let address = server(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n").await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let error = post(address, &client(Duration::from_millis(400))).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::Answered(200), Cause::TimedOut), "{error}");
}

#[tokio::test]
async fn a_get_follows_redirects_and_a_post_does_not() {
    let address = server(|stream, head| async move {
        if head.contains(" /new ") {
            answer(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        } else {
            let moved =
                b"HTTP/1.1 301 Moved\r\nlocation: /new\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            answer(stream, moved).await;
        }
    })
    .await;
    let http = client(PATIENT);
    let answer = http.get(&format!("http://{address}/"), "*/*", 10).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    assert_eq!(answer.url, format!("http://{address}/new"));
    assert_eq!(post(address, &http).await.unwrap().status, 301);
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let address = server(|stream, _| {
        answer(stream, b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let answer = client(PATIENT).get(&format!("http://{address}/"), "*/*", 10).await.unwrap();
    assert_eq!(answer.status, 302);
}

#[tokio::test]
async fn requests_say_who_asks_and_what_for() {
    let address = server(|stream, head| async move {
        let head = head.to_lowercase();
        let body = format!(
            "{} {} {}",
            head.contains("user-agent: perennial/"),
            head.contains("accept: c/d"),
            head.contains("content-type: a/b")
        );
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        answer(stream, text.as_bytes()).await;
    })
    .await;
    let answer = post(address, &client(PATIENT)).await.unwrap();
    assert_eq!(String::from_utf8(answer.body).unwrap(), "true true true");
}

#[tokio::test]
async fn only_declared_roots_are_trusted() {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let address = tls_server(cert.der().clone(), signing_key.serialize_der()).await;
    let url = format!("https://localhost:{}/", address.port());
    let http = |roots| Http::new(&Settings { roots, ..Settings::default() }).unwrap();

    let error = http(Roots::Mozilla).get(&url, "*/*", 10).await.unwrap_err();
    assert_eq!((error.sent, error.cause), (Sent::No, Cause::Tls), "{error}");
    for roots in [Roots::Only(cert.pem().into()), Roots::MozillaAnd(cert.pem().into())] {
        assert_eq!(http(roots).get(&url, "*/*", 10).await.unwrap().body, b"ok");
    }
}

async fn tls_server(certificate: CertificateDer<'static>, key: Vec<u8>) -> SocketAddr {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[test]
fn roots_without_a_certificate_are_refused() {
    for pem in
        [&b""[..], b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let settings = Settings { roots: Roots::Only(pem.to_vec()), ..Settings::default() };
        assert!(matches!(Http::new(&settings), Err(SetupError::Roots(_))));
    }
}

#[test]
fn references_are_resolved_and_bounded() {
    let base = "https://ca.test/acme/new-order";
    assert_eq!(resolve(base, "/order/1").as_deref(), Some("https://ca.test/order/1"));
    assert_eq!(resolve(base, "https://b.test/x").as_deref(), Some("https://b.test/x"));
    assert_eq!(resolve(base, "file:///etc/passwd"), None);
    assert_eq!(resolve(base, &format!("/{}", "x".repeat(5000))), None);
    assert_eq!(resolve(base, "http://[::"), None);
}
