//! nginx, and load on it.

use std::path::Path;
use std::time::Duration;

use perennial_peers::{
    Authority, Minted, Nginx, NginxOptions, Port, Server, Wrk, WrkOptions, until,
};

fn put(dir: &Path, cert: &Minted) {
    std::fs::write(dir.join("cert.pem"), &cert.cert_pem).unwrap();
    std::fs::write(dir.join("key.pem"), &cert.key_pem).unwrap();
}

/// A client that trusts one root and finds a name at an address.
fn client(root: &Authority, name: &str, at: std::net::SocketAddr) -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(root.pem().as_bytes()).unwrap()])
        .resolve(name, at)
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

#[tokio::test]
async fn nginx_serves_tls_on_many_addresses_and_challenges_from_its_webroot() {
    let dir = tempfile::tempdir().unwrap();
    let root = Authority::new("test root").unwrap();
    put(dir.path(), &root.issue(&["shop.test"]).unwrap());
    let challenges = dir.path().join(".well-known/acme-challenge");
    std::fs::create_dir_all(&challenges).unwrap();
    std::fs::write(challenges.join("token"), "token.thumbprint").unwrap();
    let (http, https) = (Port::free().unwrap(), Port::free().unwrap());
    let server = Server::named(&["shop.test"])
        .http(http.v4())
        .https(https.v4())
        .https(https.on(7))
        .https(https.v6())
        .cert(dir.path().join("cert.pem"), dir.path().join("key.pem"))
        .webroot(dir.path());
    let nginx = Nginx::start(NginxOptions { servers: vec![server], ..NginxOptions::default() })
        .await
        .unwrap();

    let url = format!("https://shop.test:{}/", https.number());
    for at in [https.v4(), https.on(7), https.v6()] {
        let answer = client(&root, "shop.test", at).get(&url).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "ok", "at {at}");
    }
    let token = format!("http://shop.test:{}/.well-known/acme-challenge/token", http.number());
    let answer = client(&root, "shop.test", http.v4()).get(token).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "token.thumbprint");
    assert_eq!(
        std::fs::read_to_string(nginx.pid_path()).unwrap().trim(),
        nginx.pid().unwrap().to_string()
    );
}

#[tokio::test]
async fn a_reload_under_load_changes_the_certificate_and_fails_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old root").unwrap(), Authority::new("new root").unwrap());
    put(dir.path(), &old.issue(&["shop.test"]).unwrap());
    let https = Port::free().unwrap();
    let server = Server::named(&[])
        .https(https.v4())
        .cert(dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let nginx = Nginx::start(NginxOptions { servers: vec![server], ..NginxOptions::default() })
        .await
        .unwrap();
    let load = Wrk::start(&WrkOptions::of_handshakes(&format!("https://{}/", https.v4()))).unwrap();

    put(dir.path(), &new.issue(&["shop.test"]).unwrap());
    nginx.reload().await.unwrap();
    let url = format!("https://shop.test:{}/", https.number());
    let client = client(&new, "shop.test", https.v4());
    until("the new certificate is served", Duration::from_secs(20), async || {
        client.get(&url).send().await.ok().map(drop)
    })
    .await
    .unwrap();

    let report = load.stop().await.unwrap();
    assert!(report.requests > 0, "{report:?}");
    assert_eq!(report.failures(), 0, "{report:?}");
}

#[tokio::test]
async fn a_bad_configuration_is_refused_and_the_old_one_goes_on() {
    let http = Port::free().unwrap();
    let good = NginxOptions {
        servers: vec![Server::named(&["shop.test"]).http(http.v4())],
        ..NginxOptions::default()
    };
    let mut nginx = Nginx::start(good.clone()).await.unwrap();
    let mut bad = good;
    bad.raw = "no_such_directive on;".into();
    nginx.configure(&bad).unwrap();
    let error = nginx.reload().await.unwrap_err().to_string();
    assert!(error.contains("no_such_directive"), "{error}");
    assert!(tokio::net::TcpStream::connect(http.v4()).await.is_ok());

    nginx.stop();
    assert!(tokio::net::TcpStream::connect(http.v4()).await.is_err());
    let error = nginx.restart().await.unwrap_err().to_string();
    assert!(error.contains("no_such_directive"), "{error}");
}

#[tokio::test]
async fn load_on_nothing_is_all_failures() {
    let nobody = Port::free().unwrap();
    let mut options = WrkOptions::of_handshakes(&format!("https://{}/", nobody.v4()));
    options.lasts = Duration::from_secs(1);
    let error = Wrk::start(&options).unwrap().finish().await.unwrap_err().to_string();
    assert!(error.contains("unable to connect"), "{error}");
}
