//! Issuing, deploying and seeing on real peers: Pebble validates, nginx serves.

use perennial::run::Reload;
use perennial_core::driver::Driver;
use perennial_core::state::DeployStep;
use perennial_peers::{
    Authority, ChallTestSrv, Nginx, NginxOptions, Pebble, PebbleOptions, Port, Server,
};

use crate::world::{Running, configure};

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_name_is_issued_by_http_deployed_to_nginx_and_seen() {
    let folder = tempfile::tempdir().unwrap();
    let dns = ChallTestSrv::start(None).await.unwrap();
    dns.set_default_ipv6(None).await.unwrap();
    let (http, https) = (Port::free().unwrap(), Port::free().unwrap());
    let mut options = PebbleOptions::asking(dns.addr());
    options.http_port = Some(http.number());
    let pebble = Pebble::start(options).await.unwrap();
    let issued = Authority::new("somebody else").unwrap().issue(&["www.example.test"]).unwrap();
    let (cert, key) = (folder.path().join("old.pem"), folder.path().join("old.key"));
    std::fs::write(&cert, issued.cert_pem).unwrap();
    std::fs::write(&key, issued.key_pem).unwrap();
    let server = Server::named(&["www.example.test"]).https(https.v4()).cert(&cert, &key);
    let options = NginxOptions { servers: vec![server], raw: String::new() };
    let nginx = Nginx::start(options).await.unwrap();
    let roots = folder.path().join("roots.pem");
    let root = pebble.issuing_root_pem(0).await.unwrap();
    std::fs::write(&roots, format!("{}\n{root}", pebble.ca_root_pem())).unwrap();
    let config = format!(
        r#"
contact = "ops@example.test"
[store]
dir = "{store}"
[resolver]
servers = ["{dns}"]
[issuer.pebble]
directory = "{directory}"
roots = "{roots}"
kind = "private"
agree_terms = true
[solver.web]
http-01 = "listener"
listen = ["127.0.0.1:{http}"]
[target.web]
nginx = "{conf}"
prefix = "{prefix}"
files = "{dir}"
take_over = true
[certificate.www]
names = ["www.example.test"]
issuers = ["pebble"]
targets = ["web"]
endpoints = ["www.example.test:{https}"]
"#,
        store = folder.path().join("store").display(),
        dns = dns.addr(),
        directory = pebble.directory_url(),
        roots = roots.display(),
        http = http.number(),
        conf = nginx.conf_path().display(),
        prefix = nginx.dir().display(),
        dir = folder.path().join("live").display(),
        https = https.number(),
    );
    let config = configure(folder.path(), &config);
    let mut daemon = Running::start(&config).await;
    assert_eq!(daemon.until("leaf seen at the endpoint", |driver, _| seen_leaf(driver)).await, 1);
    daemon.renew("www");
    daemon.until("second leaf seen", |driver, _| seen_leaf(driver).filter(|leaf| *leaf == 2)).await;
    std::fs::write(&config, "[broken").unwrap();
    daemon.reload.send(Reload { confirmed: false }).unwrap();
    daemon.until("refusal", |driver, _| driver.state().instance.refused.clone()).await;
    daemon.stop().await;
    // The last good configuration is in force at the next start, and the refusal is remembered.
    let mut daemon = Running::start(&config).await;
    daemon.until("refusal", |driver, _| driver.state().instance.refused.clone()).await;
    assert_eq!(daemon.look(|driver, _| seen_leaf(driver)).await, Some(2));
    daemon.stop().await;
}

/// Returns the number of the leaf that was seen at the only target's endpoints.
fn seen_leaf(driver: &Driver) -> Option<u32> {
    let (_, _, certificate) = driver.state().certificates().next()?;
    match certificate.targets.first()?.step {
        DeployStep::Seen { leaf, .. } => Some(leaf),
        _ => None,
    }
}
