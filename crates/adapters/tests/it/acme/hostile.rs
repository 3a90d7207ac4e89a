//! A CA that misbehaves: what comes back is an outcome, in bounded time, and never more certain than
//! it can be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perennial_adapters::acme::{Client, Settings};
use perennial_core::action::{AccountRef, AskKind, Outcome, Reply};
use perennial_core::words::{KeyAlgorithm, Name, Url};
use perennial_wire::http::{self, Http, Plaintext};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::world::{ISSUER, Memory, cell, clock, new_order};

/// How the CA answers on one path.
#[derive(Clone)]
enum Habit {
    /// These bytes, then the end of the connection.
    Says(String),
    /// Nothing, and the end of the connection.
    Hangs,
    /// Nothing, for ever.
    Silent,
    /// A head, then bytes without end.
    Endless,
    /// A head, then a byte now and then.
    Drips,
}

/// A CA whose every page can have a habit.
struct BadCa {
    address: SocketAddr,
    posts: Arc<AtomicUsize>,
}

impl BadCa {
    /// Starts one that keeps to the rules for the directory and nonces unless told otherwise.
    async fn start(directory: Option<Habit>, nonce: Option<Habit>, order: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = format!("http://{address}");
        let body = format!(
            r#"{{"newNonce":"{base}/nonce","newAccount":"{base}/account","newOrder":"{base}/order"}}"#
        );
        let directory = directory.unwrap_or_else(|| says("200 OK", "", &body));
        let nonce = nonce.unwrap_or_else(|| says("200 OK", "replay-nonce: abc\r\n", ""));
        let posts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&posts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let habits = (directory.clone(), nonce.clone(), order.clone());
                let count = Arc::clone(&count);
                tokio::spawn(async move { serve(stream, habits, &count).await });
            }
        });
        Self { address, posts }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn serve(mut stream: TcpStream, habits: (Habit, Habit, Habit), posts: &AtomicUsize) {
    let request = read_request(&mut stream).await;
    let (directory, nonce, order) = habits;
    let habit = if request.starts_with("GET /directory") {
        directory
    } else if request.starts_with("HEAD /nonce") {
        nonce
    } else {
        posts.fetch_add(1, Ordering::SeqCst);
        order
    };
    match habit {
        Habit::Says(text) => drop(stream.write_all(text.as_bytes()).await),
        Habit::Hangs => {}
        Habit::Silent => std::future::pending().await,
        Habit::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 201 Created\r\n\r\n").await;
            while stream.write_all(&[b' '; 65536]).await.is_ok() {}
        }
        Habit::Drips => {
            let _ = stream.write_all(b"HTTP/1.1 201 Created\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Reads a request whole, so that closing the connection does not reset it.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.lines().next().unwrap_or_default().trim().parse().unwrap());
            if body.len() >= length {
                break;
            }
        }
        if read == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn says(status: &str, headers: &str, body: &str) -> Habit {
    let length = body.len();
    Habit::Says(format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

fn order_says(status: &str, headers: &str, body: &str) -> Option<Habit> {
    Some(says(status, headers, body))
}

/// Creates an order there, and looks at it; returns both endings as cells.
async fn meet(ca: &BadCa) -> (String, String) {
    let shelf = Arc::new(Memory::default());
    let key = shelf.make("account", KeyAlgorithm::EcdsaP256);
    let answer_within = Duration::from_millis(1500);
    let settings = http::Settings {
        connect_within: answer_within / 2,
        answer_within,
        plaintext: Plaintext::Allowed,
        ..http::Settings::default()
    };
    let http = Http::new(&settings).unwrap();
    let directory = ca.url("/directory").into();
    let settings = Settings {
        issuer: Name::new(ISSUER),
        directory,
        eab: None,
        roots: perennial_wire::tls::Roots::mozilla(),
    };
    let client = Client::new(settings, http, shelf, clock());
    let url = Url::from(&*ca.url("/account/1"));
    let account = AccountRef { issuer: Name::new(ISSUER), url, key };
    let act = new_order(&account, &["a.test"], "default", None);
    let acted = match client.perform(&act).await {
        Outcome::Failed(failure) => cell(&failure),
        Outcome::Done(_) => "Done".to_owned(),
        Outcome::Unknown => "Unknown".to_owned(),
    };
    let order = Url::from(&*ca.url("/order/1"));
    let asked = match client.ask(&AskKind::Order { account, order }).await {
        Reply::Failed(failure) => cell(&failure),
        _ => "answered".to_owned(),
    };
    (acted, asked)
}

#[tokio::test]
async fn answers_to_acts_and_asks_are_never_more_certain_than_they_can_be() {
    const ISSUER_DOWN: &str = "Transient, issuer pebble, no problem";
    const LOST: &str = "Unknown, issuer pebble, no problem";
    let location = "location: /order/1\r\n";
    let deep = format!("{{\"status\":{}", "[".repeat(10_000));
    let page = "<html><h1>Bad Gateway</h1></html>";
    let problem = r#"{"type":"urn:ietf:params:acme:error:serverInternal","detail":"x"}"#;
    let huge = format!("{{\"status\":\"pending\",\"x\":\"{}\"}}", "x".repeat(2_000_000));
    let pending = r#"{"status":"pending"}"#;
    let table: Vec<(&str, Option<Habit>, &str, &str)> = vec![
        ("hangs up", Some(Habit::Hangs), LOST, ISSUER_DOWN),
        ("is silent", Some(Habit::Silent), LOST, ISSUER_DOWN),
        ("never ends", Some(Habit::Endless), LOST, ISSUER_DOWN),
        ("drips", Some(Habit::Drips), LOST, ISSUER_DOWN),
        ("no HTTP", Some(Habit::Says("SSH-2.0-x\r\n".into())), LOST, ISSUER_DOWN),
        (
            "truncated",
            Some(Habit::Says(format!("HTTP/1.1 201 C\r\n{location}content-length: 99\r\n\r\n{{"))),
            LOST,
            ISSUER_DOWN,
        ),
        ("a page as success", order_says("200 OK", location, page), LOST, ISSUER_DOWN),
        ("deep", order_says("201 Created", location, &deep), LOST, ISSUER_DOWN),
        ("huge", order_says("201 Created", location, &huge), LOST, ISSUER_DOWN),
        ("no address", order_says("201 Created", "", pending), LOST, "answered"),
        ("plain", order_says("201 Created", location, pending), "Done", "answered"),
        (
            "odd type",
            order_says("201 Created", "content-type: image/png\r\nlocation: /order/1\r\n", pending),
            "Done",
            "answered",
        ),
        ("a page", order_says("502 Bad Gateway", "", page), ISSUER_DOWN, ISSUER_DOWN),
        ("moved", order_says("301 Moved", "location: /x\r\n", ""), ISSUER_DOWN, ISSUER_DOWN),
        (
            "truncated refusal",
            Some(Habit::Says("HTTP/1.1 403 No\r\ncontent-length: 99\r\n\r\n{".into())),
            "Unauthorized, account at pebble, no problem",
            "Unauthorized, account at pebble, no problem",
        ),
        (
            "a problem as text",
            order_says("500 Oops", "content-type: text/html\r\n", problem),
            "Transient, issuer pebble, serverInternal",
            "Transient, issuer pebble, serverInternal",
        ),
    ];
    for (what, order, acted, asked) in table {
        let ca = BadCa::start(None, None, order.unwrap()).await;
        assert_eq!(meet(&ca).await, (acted.to_owned(), asked.to_owned()), "{what}");
    }
}

#[tokio::test]
async fn before_the_act_itself_nothing_is_unknown() {
    let table = [
        ("directory hangs up", Some(Habit::Hangs), None),
        ("directory is silent", Some(Habit::Silent), None),
        ("directory is a page", Some(says("200 OK", "", "<html>login</html>")), None),
        ("directory is poor", Some(says("200 OK", "", r#"{"newNonce":"/n"}"#)), None),
        ("directory is down", Some(says("503 Busy", "retry-after: 5\r\n", "")), None),
        ("nonce hangs up", None, Some(Habit::Hangs)),
        ("nonce is silent", None, Some(Habit::Silent)),
        ("nonce is missing", None, Some(says("200 OK", "", ""))),
        ("nonce is nonsense", None, Some(says("200 OK", "replay-nonce: a b\r\n", ""))),
        ("nonce is down", None, Some(says("500 Oops", "", ""))),
    ];
    for (what, directory, nonce) in table {
        let ca = BadCa::start(directory, nonce, Habit::Hangs).await;
        let (acted, _) = meet(&ca).await;
        assert_eq!(acted, "Transient, issuer pebble, no problem", "{what}");
    }
}

#[tokio::test]
async fn nonces_that_are_always_refused_end_after_twelve_requests() {
    let body = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"stale"}"#;
    for fresh in ["replay-nonce: def\r\n", ""] {
        let ca = BadCa::start(None, None, says("400 Bad Request", fresh, body)).await;
        let expected = "Transient, issuer pebble, badNonce".to_owned();
        assert_eq!(meet(&ca).await, (expected.clone(), expected));
        assert_eq!(ca.posts.load(Ordering::SeqCst), 24, "twelve for the act, twelve for the ask");
    }
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down"}"#;
    let ca = BadCa::start(None, None, says("429 Too Many", "retry-after: 1\r\n", body)).await;
    meet(&ca).await;
    assert_eq!(ca.posts.load(Ordering::SeqCst), 2);
}
