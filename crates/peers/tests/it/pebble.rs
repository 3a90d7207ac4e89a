//! Pebble and its companion.

use std::net::Ipv4Addr;

use perennial_peers::{ChallTestSrv, Eab, Pebble, PebbleOptions, dig};

/// A name server of no zones is enough where nothing is validated.
async fn dns() -> ChallTestSrv {
    ChallTestSrv::start(None).await.unwrap()
}

async fn directory(ca: &Pebble) -> serde_json::Value {
    let answer = ca.client().get(ca.directory_url()).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn its_directory_answers_over_tls_with_what_was_asked_for() {
    let dns = dns().await;
    let mut options = PebbleOptions::asking(dns.addr());
    options.eab =
        vec![Eab { kid: "kid-1".into(), mac_key: "c2VjcmV0LXNlY3JldC1zZWNyZXQtMTIzNA".into() }];
    options.eab_required = true;
    options.profiles.push(("shortlived".into(), std::time::Duration::from_secs(6 * 86_400)));
    let ca = Pebble::start(options).await.unwrap();

    let directory = directory(&ca).await;
    assert!(directory["newOrder"].as_str().unwrap().starts_with("https://127.0.0.1:"));
    assert!(directory["renewalInfo"].is_string());
    assert_eq!(directory["meta"]["externalAccountRequired"], true);
    assert_eq!(directory["meta"]["profiles"]["shortlived"], "518400 s");
    assert_eq!(directory["meta"]["caaIdentities"][0], "pebble.letsencrypt.org");
}

#[tokio::test]
async fn a_restarted_pebble_keeps_its_ports_and_forgets_its_roots() {
    let dns = dns().await;
    let mut options = PebbleOptions::asking(dns.addr());
    options.alternate_roots = 1;
    let mut ca = Pebble::start(options).await.unwrap();
    let (url, root) = (ca.directory_url(), ca.issuing_root_pem(0).await.unwrap());
    assert!(root.contains("BEGIN CERTIFICATE"));
    assert_ne!(root, ca.issuing_root_pem(1).await.unwrap());

    ca.stop();
    assert!(ca.client().get(&url).send().await.is_err());

    ca.restart().await.unwrap();
    assert_eq!(ca.directory_url(), url);
    assert_ne!(ca.issuing_root_pem(0).await.unwrap(), root);
}

#[tokio::test]
async fn a_pebble_that_cannot_start_is_shown_with_its_log() {
    let dns = dns().await;
    let mut options = PebbleOptions::asking(dns.addr());
    options.eab = vec![Eab { kid: "kid-1".into(), mac_key: "not base64!".into() }];
    let error = Pebble::start(options).await.unwrap_err().to_string();
    assert!(error.starts_with("starting pebble: ended at once"), "{error}");
    assert!(error.contains("base64"), "{error}");
}

#[tokio::test]
async fn challtestsrv_answers_as_it_is_told() {
    let srv = dns().await;
    let at = srv.addr();

    srv.set_default_ipv4(Some(Ipv4Addr::new(127, 0, 0, 9))).await.unwrap();
    assert_eq!(dig(at, "unknown.test", "A").await.unwrap(), ["127.0.0.9"]);
    srv.set_default_ipv4(None).await.unwrap();
    srv.set_default_ipv6(None).await.unwrap();
    assert!(dig(at, "unknown.test", "A").await.unwrap().is_empty());

    srv.add_a("shop.test", &[Ipv4Addr::new(127, 0, 0, 3)]).await.unwrap();
    assert_eq!(dig(at, "shop.test", "A").await.unwrap(), ["127.0.0.3"]);
    srv.add_aaaa("shop.test", &["::1".parse().unwrap()]).await.unwrap();
    assert_eq!(dig(at, "shop.test", "AAAA").await.unwrap(), ["::1"]);

    srv.set_txt("_acme-challenge.shop.test", "proof").await.unwrap();
    assert_eq!(dig(at, "_acme-challenge.shop.test", "TXT").await.unwrap(), ["\"proof\""]);
    srv.clear_txt("_acme-challenge.shop.test").await.unwrap();
    assert!(dig(at, "_acme-challenge.shop.test", "TXT").await.unwrap().is_empty());

    srv.set_cname("www.shop.test", "shop.test").await.unwrap();
    assert_eq!(dig(at, "www.shop.test", "A").await.unwrap(), ["127.0.0.3", "shop.test."]);
    srv.clear_cname("www.shop.test").await.unwrap();

    srv.add_caa("shop.test", &[("issue", "ca.test")]).await.unwrap();
    assert_eq!(dig(at, "shop.test", "CAA").await.unwrap(), ["0 issue \"ca.test\""]);
    srv.clear_caa("shop.test").await.unwrap();

    srv.set_servfail("shop.test").await.unwrap();
    assert!(dig(at, "shop.test", "A").await.unwrap().is_empty());
    srv.clear_servfail("shop.test").await.unwrap();
}

#[tokio::test]
async fn challtestsrv_serves_http_01_answers() {
    let port = perennial_peers::Port::free().unwrap();
    let srv = ChallTestSrv::start(Some(port.number())).await.unwrap();
    srv.add_http01("token", "token.thumbprint").await.unwrap();
    let url = format!("http://{}/.well-known/acme-challenge/token", port.v4());
    let client = reqwest_without_tls();
    let text = client.get(&url).send().await.unwrap().text().await.unwrap();
    assert_eq!(text, "token.thumbprint");
    srv.del_http01("token").await.unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "");
}

/// A client for plain HTTP; it still wants a provider for TLS it will not speak.
fn reqwest_without_tls() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
