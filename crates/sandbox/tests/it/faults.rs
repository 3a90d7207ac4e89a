//! What goes wrong on the wire, met by a client that sends exactly what it is told.

use std::time::Duration;

use jiff::SignedDuration;
use perennial_core::words::{Permille, after};
use perennial_sandbox::SandboxCa;
use perennial_sandbox::model::ca::Outage;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::bench::sandbox;
use crate::raw::Raw;

/// Makes a client with an account.
async fn client(ca: &SandboxCa) -> Raw {
    let mut raw = Raw::new(ca.directory(), ca.api_root_pem()).await;
    let agreed = json!({ "termsOfServiceAgreed": true }).to_string();
    let made = raw.post(&raw.url("newAccount"), &agreed).await;
    raw.account = made.header("location").unwrap().to_owned();
    raw
}

fn order(name: &str) -> String {
    json!({ "identifiers": [{ "type": "dns", "value": name }] }).to_string()
}

#[tokio::test]
async fn an_answer_is_lost_after_the_order_was_made() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let raw = client(ca).await;
    let url = raw.url("newOrder");
    let nonce = raw.nonce().await;
    let protected = json!({ "alg": "ES256", "nonce": nonce, "url": url, "kid": raw.account });
    let jws = raw.key.sign(&protected, &order("a.example.test"));
    ca.with(|ca| ca.faults.lost_answers = Permille::new(1000));
    assert!(
        raw.try_send("POST", &url, Some("application/jose+json"), &jws.to_string()).await.is_err()
    );
    ca.with(|ca| ca.faults.lost_answers = Permille::new(0));
    // The order that was lost is given again: its number is the first.
    let again = raw.post(&url, &order("a.example.test")).await;
    let other = raw.post(&url, &order("b.example.test")).await;
    let number = |answer: &crate::raw::Answer| -> u64 {
        answer.header("location").unwrap().rsplit('/').next().unwrap().parse().unwrap()
    };
    assert!(number(&again) + 1 < number(&other), "{again:?} {other:?}");
}

#[tokio::test]
async fn a_good_nonce_is_refused_at_times_with_another_in_the_answer() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let raw = client(ca).await;
    ca.with(|ca| ca.faults.bad_nonces = Permille::new(500));
    let (url, mut nonce) = (raw.url("newOrder"), raw.nonce().await);
    let mut refused = 0;
    for _ in 0..64 {
        let protected = json!({ "alg": "ES256", "nonce": nonce, "url": url, "kid": raw.account });
        let answer =
            raw.post_signed(&url, &raw.key.sign(&protected, &order("a.example.test"))).await;
        nonce = answer.header("replay-nonce").unwrap().to_owned();
        if answer.status != 201 {
            assert_eq!((answer.status, answer.problem()), (400, "badNonce".to_owned()));
            refused += 1;
        }
    }
    assert!((10..54).contains(&refused), "{refused} of 64");
}

#[tokio::test]
async fn a_sandbox_is_unkind_from_the_start() {
    let dial = crate::bench::Dial::new();
    let config = perennial_sandbox::SandboxConfig::new(dial.clock(), crate::bench::wall());
    let sandbox = perennial_sandbox::Sandbox::start(config).await.unwrap();
    let unkind = sandbox.cas[0].with(|ca| (ca.faults.bad_nonces, ca.config.reuse));
    assert_eq!(unkind, (Permille::new(50), Permille::new(500)));
}

#[tokio::test]
async fn an_outage_answers_in_html_and_gives_no_nonces() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let raw = client(ca).await;
    ca.with(|ca| ca.faults.outage = Outage::Unavailable);
    for url in [raw.url("newNonce"), ca.directory().to_owned()] {
        let answer = raw.send("GET", &url, None, "").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("120")));
        assert_eq!(answer.header("content-type"), Some("text/html"));
        assert_eq!(answer.header("replay-nonce"), None);
    }
}

#[tokio::test]
async fn a_limit_says_when_to_come_again() {
    let (sandbox, dial) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let raw = client(ca).await;
    let until = after(dial.now(), SignedDuration::from_secs(90));
    ca.with(|ca| ca.faults.limited_until = Some(until));
    let answer = raw.post(&raw.url("newOrder"), &order("a.example.test")).await;
    assert_eq!((answer.status, answer.problem()), (429, "rateLimited".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("90"));
    dial.turn(1);
    assert_eq!(raw.post(&raw.url("newOrder"), &order("a.example.test")).await.status, 201);
}

#[tokio::test]
async fn a_slow_ca_takes_its_time() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let raw = client(ca).await;
    ca.with(|ca| ca.faults.slow = SignedDuration::from_secs(60));
    let asking = raw.send("GET", ca.directory(), None, "");
    assert!(tokio::time::timeout(Duration::from_millis(300), asking).await.is_err());
    ca.with(|ca| ca.faults.slow = SignedDuration::ZERO);
    assert_eq!(raw.send("GET", ca.directory(), None, "").await.status, 200);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let raw = client(ca).await;
    let body = "x".repeat(200 * 1024);
    let kind = Some("application/jose+json");
    let answer = raw.try_send("POST", &raw.url("newOrder"), kind, &body).await;
    // The answer may be lost when the connection closes over what was not read.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));
}

#[tokio::test]
async fn http_01_follows_redirects_but_not_for_ever() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let raw = client(ca).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    ca.set_http_port(port);
    let thumbprint = raw.key.thumbprint();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let token = path.rsplit('/').next().unwrap_or_default();
            let answer = if path.starts_with("/elsewhere/") {
                let body = format!("{token}.{thumbprint}");
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            } else {
                // For ever for one name, once for the others.
                let to = if head.contains("loop.example.test") {
                    &path
                } else {
                    &format!("http://b.example.test/elsewhere/{token}")
                };
                format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    for (name, expected) in [("a.example.test", "valid"), ("loop.example.test", "invalid")] {
        let made = raw.post(&raw.url("newOrder"), &order(name)).await.json();
        let authorization = made["authorizations"][0].as_str().unwrap().to_owned();
        let found = raw.post(&authorization, "").await.json();
        let challenge = found["challenges"][0]["url"].as_str().unwrap().to_owned();
        raw.post(&challenge, "{}").await;
        let mut status = "pending".to_owned();
        for _ in 0..500 {
            status = raw.post(&authorization, "").await.text("status");
            if status != "pending" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(status, expected, "{name}");
    }
}
