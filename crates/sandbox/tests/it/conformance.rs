//! The same exchanges with the sandbox's CA and with Pebble, which others wrote: their answers must
//! have the same shape. Where they differ on purpose, the list says why.

use std::fmt::Write as _;
use std::time::Duration;

use perennial_peers::{Pebble, PebbleOptions};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::bench::{Web, sandbox};
use crate::raw::{Answer, Key, Raw, encode};

/// Steps whose answers differ on purpose.
const DIFFERENT: &[(&str, &str)] = &[
    ("new account", NO_ORDERS),
    ("the same account again", NO_ORDERS),
    ("account", NO_ORDERS),
    ("deactivate account", NO_ORDERS),
    ("no such order", "Pebble sends no body with its 404, Boulder a problem of type malformed"),
    ("look at challenge", "`up` is there whenever a challenge is shown, as at Boulder"),
    ("replace again", "Boulder refuses while the first replacement is pending, Pebble once valid"),
];

const NO_ORDERS: &str = "like Boulder's, our accounts list no orders; RFC 8555 has no `key` there";

/// What is compared of an answer: status, kind of problem, headers and members that are there.
fn shape(answer: &Answer) -> String {
    let mut shape = answer.status.to_string();
    let problem = answer.problem();
    if answer.status >= 400 {
        let _ = write!(shape, " {problem}");
    }
    for header in ["content-type", "location", "replay-nonce", "retry-after"] {
        if let Some(value) = answer.header(header) {
            // Pebble adds a charset, which JSON does not have.
            let value = value.split(';').next().filter(|_| header == "content-type");
            let value = value.unwrap_or_default();
            let _ = write!(shape, " {header}{}{value}", if value.is_empty() { "" } else { ":" });
        }
    }
    let links = answer.headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
    let mut rels: Vec<&str> = links.filter_map(|link| link.split("rel=").nth(1)).collect();
    rels.sort_unstable();
    for rel in rels {
        let _ = write!(shape, " link:{}", rel.trim_matches('"'));
    }
    if answer.status < 400
        && let Value::Object(members) = answer.json()
    {
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        let _ = write!(shape, " {{{}}}", names.join(","));
        if let Some(status) = members.get("status").and_then(Value::as_str) {
            let _ = write!(shape, " {status}");
        }
    }
    shape
}

struct Script {
    raw: Raw,
    web: Web,
    lines: Vec<(String, String)>,
}

impl Script {
    fn note(&mut self, step: &str, answer: &Answer) {
        self.lines.push((step.to_owned(), shape(answer)));
    }

    async fn post(&mut self, step: &str, url: &str, payload: &Value) -> Answer {
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        let answer = self.raw.post(url, &payload).await;
        self.note(step, &answer);
        answer
    }

    async fn new_order(&mut self, step: &str, names: &[&str], more: Value) -> Answer {
        let identifiers: Vec<Value> =
            names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let mut payload = json!({ "identifiers": identifiers, "profile": "classic" });
        if let Value::Object(more) = more {
            payload.as_object_mut().unwrap().extend(more);
        }
        let url = self.raw.url("newOrder");
        self.post(step, &url, &payload).await
    }

    /// Polls until the status is another than these.
    async fn settle(&mut self, step: &str, url: &str, unsettled: &[&str]) -> Answer {
        for _ in 0..500 {
            let answer = self.raw.post(url, "").await;
            if !unsettled.contains(&answer.text("status").as_str()) {
                self.note(step, &answer);
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{step}: still {unsettled:?}");
    }

    async fn validate(&mut self, authorization: &str) {
        let found = self.raw.post(authorization, "").await.json();
        let challenges = found["challenges"].as_array().unwrap().clone();
        let challenge = challenges.iter().find(|found| found["type"] == "http-01").unwrap();
        let token = challenge["token"].as_str().unwrap();
        self.web.put(token, &format!("{token}.{}", self.raw.key.thumbprint()));
        let url = challenge["url"].as_str().unwrap().to_owned();
        self.post("look at challenge", &url, &Value::Null).await;
        self.post("respond", &url, &json!({})).await;
        self.settle("valid authorization", authorization, &["pending"]).await;
        self.post("respond when valid", &url, &json!({})).await;
    }

    async fn run(mut self) -> Vec<(String, String)> {
        self.accounts().await;
        self.wrong_requests().await;
        let pem = self.order().await;
        self.renewal(&pem).await;
        self.endings().await;
        self.lines
    }

    async fn accounts(&mut self) {
        let nonce = self.raw.url("newNonce");
        for method in ["HEAD", "GET"] {
            let answer = self.raw.send(method, &nonce, None, "").await;
            self.note(&format!("{method} newNonce"), &answer);
        }
        let url = self.raw.url("newAccount");
        let only = json!({ "onlyReturnExisting": true });
        self.post("account that is not there", &url, &only).await;
        let agreed = json!({ "termsOfServiceAgreed": true });
        let made = self.post("new account", &url, &agreed).await;
        self.post("the same account again", &url, &agreed).await;
        self.raw.account = made.header("location").unwrap().to_owned();
        let account = self.raw.account.clone();
        self.post("account", &account, &Value::Null).await;
    }

    async fn wrong_requests(&mut self) {
        let url = self.raw.url("newOrder");
        let (kid, nonce) = (self.raw.account.clone(), self.raw.nonce().await);
        let header = |nonce: &str, url: &str, kid: &str| json!({ "alg": "ES256", "nonce": nonce, "url": url, "kid": kid });
        let jws = self.raw.key.sign(&header("bm9uY2U", &url, &kid), "{}");
        let answer = self.raw.post_signed(&url, &jws).await;
        self.note("wrong nonce", &answer);
        let jws = Key::new().sign(&header(&nonce, &url, &kid), "{}");
        let answer = self.raw.post_signed(&url, &jws).await;
        self.note("wrong key", &answer);
        let nonce = self.raw.nonce().await;
        let jws = self.raw.key.sign(&header(&nonce, &format!("{url}x"), &kid), "{}");
        let answer = self.raw.post_signed(&url, &jws).await;
        self.note("wrong url", &answer);
        let nonce = self.raw.nonce().await;
        let jws = self.raw.key.sign(&header(&nonce, &url, &format!("{kid}999")), "{}");
        let answer = self.raw.post_signed(&url, &jws).await;
        self.note("wrong account", &answer);
        let nonce = self.raw.nonce().await;
        let jws = self.raw.key.sign(&header(&nonce, &url, &kid), "no json");
        let answer = self.raw.post_signed(&url, &jws).await;
        self.note("no json", &answer);
        let answer = self.raw.send("POST", &url, Some("application/json"), "{}").await;
        self.note("wrong content type", &answer);
        let answer = self.raw.send("POST", &url, Some("application/jose+json"), "no jws").await;
        self.note("no jws", &answer);
        let answer = self.raw.send("GET", &url, None, "").await;
        self.note("GET newOrder", &answer);
        let profile = json!({ "profile": "unheard-of" });
        self.new_order("unknown profile", &["a.example.test"], profile).await;
        self.new_order("no names", &[], Value::Null).await;
    }

    /// Walks an order to its chain.
    async fn order(&mut self) -> String {
        let made = self.new_order("new order", &["a.example.test"], Value::Null).await;
        let order = made.header("location").unwrap().to_owned();
        let authorization = made.json()["authorizations"][0].as_str().unwrap().to_owned();
        let finalize = made.text("finalize");
        self.post("order", &order, &Value::Null).await;
        self.post("no such order", &format!("{order}999"), &Value::Null).await;
        self.post("pending authorization", &authorization, &Value::Null).await;
        self.post("finalize too early", &finalize, &csr(&["a.example.test"])).await;
        self.validate(&authorization).await;
        self.settle("ready order", &order, &["pending"]).await;
        self.post("finalize without CSR", &finalize, &json!({ "csr": "AAAA" })).await;
        self.post("finalize for others", &finalize, &csr(&["b.example.test"])).await;
        self.post("finalize", &finalize, &csr(&["a.example.test"])).await;
        let valid = self.settle("valid order", &order, &["processing"]).await;
        self.post("finalize again", &finalize, &csr(&["a.example.test"])).await;
        let chain = self.post("chain", &valid.text("certificate"), &Value::Null).await;
        chain.body
    }

    async fn renewal(&mut self, pem: &str) {
        let (der, name) = renewal_name(pem);
        let base = self.raw.url("renewalInfo");
        let issuer = name.split('.').next().unwrap();
        for (step, url) in [
            ("renewal information", format!("{base}/{name}")),
            ("renewal information of an unknown leaf", format!("{base}/{issuer}.AQIDBAUG")),
            ("renewal information of nonsense", format!("{base}/nonsense")),
        ] {
            let answer = self.raw.send("GET", &url, None, "").await;
            self.note(step, &answer);
        }
        let replaces = || json!({ "replaces": name });
        self.new_order("replace", &["a.example.test"], replaces()).await;
        self.new_order("replace again", &["a.example.test"], replaces()).await;
        let url = self.raw.url("revokeCert");
        let certificate = json!({ "certificate": encode(&der) });
        self.post("revoke", &url, &certificate).await;
        self.post("revoke again", &url, &certificate).await;
    }

    async fn endings(&mut self) {
        let made = self.new_order("another order", &["c.example.test"], Value::Null).await;
        let order = made.header("location").unwrap().to_owned();
        let authorization = made.json()["authorizations"][0].as_str().unwrap().to_owned();
        let end = json!({ "status": "deactivated" });
        self.post("deactivate authorization", &authorization, &end).await;
        self.settle("order after that", &order, &["pending"]).await;
        let account = self.raw.account.clone();
        self.post("deactivate account", &account, &end).await;
        self.new_order("order after that, again", &["c.example.test"], Value::Null).await;
    }
}

fn csr(names: &[&str]) -> Value {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let key = rcgen::KeyPair::generate().unwrap();
    json!({ "csr": encode(params.serialize_request(&key).unwrap().der()) })
}

/// Returns a leaf's DER and how renewal information calls it.
fn renewal_name(pem: &str) -> (Vec<u8>, String) {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let aki = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(aki) => aki.key_identifier.clone(),
        _ => None,
    });
    let name = format!("{}.{}", encode(aki.unwrap().0), encode(leaf.raw_serial()));
    (der.to_vec(), name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_answers_as_pebble_does_but_where_boulder_does_not() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let (web, port) = Web::start().await;
    let ca = &sandbox.cas[0];
    ca.set_http_port(port);
    let pebble = Pebble::start(PebbleOptions {
        http_port: Some(port),
        profiles: vec![("classic".into(), Duration::from_secs(90 * 86_400))],
        nonce_reject_percent: 0,
        authz_reuse_percent: 0,
        ..PebbleOptions::asking(sandbox.dns.resolver())
    })
    .await
    .unwrap();
    let raw = Raw::new(&pebble.directory_url(), pebble.ca_root_pem()).await;
    let theirs = Script { raw, web: web.clone(), lines: Vec::new() }.run().await;
    let raw = Raw::new(ca.directory(), ca.api_root_pem()).await;
    let ours = Script { raw, web, lines: Vec::new() }.run().await;
    let mut report = String::new();
    for ((step, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        let known = DIFFERENT.iter().find(|(name, _)| name == step);
        if (theirs == ours) == known.is_some() {
            let reason = known.map_or("", |(_, reason)| reason);
            let _ = write!(report, "{step} {reason}\n  Pebble {theirs}\n  ours   {ours}\n");
        }
    }
    assert!(report.is_empty(), "these differ, or differ no more:\n{report}");
}
