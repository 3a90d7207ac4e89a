//! What the tests share: a sandbox, a web server for challenge answers, clocks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{Permille, after};
use perennial_sandbox::{Sandbox, SandboxConfig};
use perennial_wire::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The machine's clock, for signatures that tools make by it.
pub(crate) fn wall() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "nsupdate signs by the machine's clock")]
    Clock::new(Timestamp::now)
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Dial(Arc<Mutex<Timestamp>>);

impl Dial {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new("2026-11-21T12:00:00Z".parse().unwrap())))
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    pub(crate) fn turn(&self, hours: i64) {
        let mut now = self.0.lock().unwrap();
        *now = after(*now, SignedDuration::from_hours(hours));
    }

    pub(crate) fn clock(&self) -> Clock {
        let dial = self.clone();
        Clock::new(move || dial.now())
    }
}

/// A sandbox on a dial, with the zone `example.test` on 127.0.0.1.
pub(crate) async fn sandbox(change: impl FnOnce(&mut SandboxConfig)) -> (Sandbox, Dial) {
    let dial = Dial::new();
    let mut config = SandboxConfig::new(dial.clock(), wall());
    change(&mut config);
    let sandbox = Sandbox::start(config).await.unwrap();
    sandbox.add_zone("example.test", &[[127, 0, 0, 1].into()]);
    // What a test is not about is not left to chance: a client that gives up after three bad nonces
    // in a row would fail one run in some dozens.
    sandbox.cas[0].with(|ca| {
        ca.config.reuse = Permille::new(0);
        ca.faults.bad_nonces = Permille::new(0);
    });
    (sandbox, dial)
}

/// Serves challenge answers by path.
#[derive(Clone, Default)]
pub(crate) struct Web(Arc<Mutex<BTreeMap<String, String>>>);

impl Web {
    /// Starts a server on a free port.
    pub(crate) async fn start() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let web = Self::default();
        let served = web.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let body = served.0.lock().unwrap().get(path).cloned();
                let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
                let body = body.unwrap_or_default();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                // A client that went away is none of ours.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (web, port)
    }

    pub(crate) fn put(&self, token: &str, body: &str) {
        let path = format!("/.well-known/acme-challenge/{token}");
        self.0.lock().unwrap().insert(path, body.to_owned());
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "waited 20 s in vain until {what}");
}
