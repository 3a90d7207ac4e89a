//! The main job in the usual world: http-01 and tls-alpn-01, nginx, a renewal, a restart.

use std::time::Duration;

use perennial_core::action::ActKind;
use perennial_core::driver::Driver;
use perennial_core::event::Started;
use perennial_core::record::Record;
use perennial_core::words::SightState;

use crate::running::Running;
use crate::world::{Plan, WWW_BY_LISTENER, WWW_BY_WEBROOT, World, any_name};

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_name_is_issued_by_http_deployed_to_nginx_seen_and_renewed() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(WWW_BY_LISTENER);
    let mut daemon = Running::start(&config).await;
    let first = daemon.until_seen("www", 1).await;
    daemon.renew("www");
    let second = daemon.until_seen("www", 2).await;
    assert_ne!(first.key, second.key, "a new key for each leaf");
    daemon.until_idle().await;
    for token in tokens(&mut daemon) {
        let url = format!("http://{}/.well-known/acme-challenge/{token}", world.http.v4());
        let answer = world.pebble.client().get(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "an answer is left");
    }
    daemon.stop().await;
    // What was seen before is known after a restart, and nothing is ordered.
    let mut daemon = Running::start(&config).await;
    assert_eq!(daemon.until_seen("www", 2).await.fingerprint, second.fingerprint);
    assert_eq!(daemon.orders(), 0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_of_a_day_from_a_private_ca_are_renewed_without_an_alarm() {
    let dns = any_name().await;
    let mut plan = Plan::new(dns.addr(), &["www.example.test"]);
    plan.pebble.profiles = vec![("default".into(), Duration::from_secs(86_400))];
    let world = World::of(plan).await;
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let first = daemon.until_seen("www", 1).await;
    assert!(first.validity.lifetime().as_secs() <= 86_400);
    // What was served before us was nobody's to trust, and was told.
    let is_quiet = |driver: &Driver, _| {
        let state = driver.state();
        let mut certificates = state.certificates();
        let quiet = certificates.all(|(_, _, own)| own.history.incidents.is_empty());
        (quiet && state.issuers.values().all(|own| own.history.incidents.is_empty())).then_some(())
    };
    daemon.until("quiet", is_quiet).await;
    let told = daemon.count("incident.opened", "");
    daemon.renew("www");
    daemon.until_seen("www", 2).await;
    daemon.until_idle().await;
    assert_eq!(daemon.count("incident.opened", ""), told, "{}", daemon.journal());
    daemon.stop().await;
}

/// Returns the tokens of the answers that were put up.
fn tokens(daemon: &mut Running) -> Vec<String> {
    let token = |record: &Record| {
        let started: Started = serde_json::from_str(&record.body).ok()?;
        match started.act {
            ActKind::Present { answer } => Some(answer.token.into_string()),
            _ => None,
        }
    };
    let started = daemon.records().iter().filter(|record| &*record.kind == "act.started");
    let tokens: Vec<String> = started.filter_map(token).collect();
    assert!(!tokens.is_empty());
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webroot_that_nginx_shows_answers_http_and_is_left_empty() {
    let dns = any_name().await;
    let mut plan = Plan::new(dns.addr(), &["www.example.test"]);
    plan.webroot = true;
    let world = World::of(plan).await;
    let config = world.write(WWW_BY_WEBROOT);
    let mut daemon = Running::start(&config).await;
    daemon.until_seen("www", 1).await;
    daemon.until_idle().await;
    let left = std::fs::read_dir(world.path("webroot/.well-known/acme-challenge"));
    assert_eq!(left.map_or(0, Iterator::count), 0, "an answer is left");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_is_seen_on_every_address_of_the_name() {
    let dns = any_name().await;
    dns.add_a("www.example.test", &["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()])
        .await
        .unwrap();
    dns.add_aaaa("www.example.test", &["::1".parse().unwrap()]).await.unwrap();
    let mut plan = Plan::new(dns.addr(), &["www.example.test"]);
    plan.addresses = ["127.0.0.1", "127.0.0.2", "::1"].map(|ip| ip.parse().unwrap()).to_vec();
    let world = World::of(plan).await;
    let listen = r#"listen = ["127.0.0.1:@HTTP@", "127.0.0.2:@HTTP@", "[::1]:@HTTP@"]"#;
    let one = r#"listen = ["127.0.0.1:@HTTP@"]"#;
    let mut daemon = Running::start(&world.write(&WWW_BY_LISTENER.replace(one, listen))).await;
    let leaf = daemon.until_seen("www", 1).await.fingerprint;
    let shown = daemon.look(|driver, _| {
        let (_, _, certificate) = driver.state().certificates().next().unwrap();
        certificate.endpoints[0].shown.clone().unwrap()
    });
    let shown = shown.await;
    let mut addresses: Vec<_> = shown.iter().map(|a| a.address.ip().to_string()).collect();
    addresses.sort();
    assert_eq!(addresses, ["127.0.0.1", "127.0.0.2", "::1"]);
    assert!(shown.iter().all(|a| a.state == SightState::Ok && a.leaf() == Some(leaf)), "{shown:?}");
    daemon.stop().await;
}

/// Three certificates that share a name, proven at once by a listener that can show one answer for it.
const SHARED_BY_TLS: &str = r#"
[solver.tls]
tls-alpn-01 = "listener"
listen = ["127.0.0.1:@ALPN@"]
[certificate.www]
names = ["www.example.test"]
targets = ["web"]
endpoints = ["www.example.test:@HTTPS@"]
[certificate.a]
names = ["www.example.test", "a.example.test"]
endpoints = []
[certificate.b]
names = ["www.example.test", "b.example.test"]
endpoints = []
"#;

#[tokio::test(flavor = "multi_thread")]
async fn names_are_proven_within_tls_handshakes_one_after_the_other_where_they_are_shared() {
    let dns = any_name().await;
    let mut plan = Plan::new(dns.addr(), &["www.example.test"]);
    // Each certificate is to be validated by itself.
    plan.pebble.authz_reuse_percent = 0;
    let world = World::of(plan).await;
    let mut daemon = Running::start(&world.write(SHARED_BY_TLS)).await;
    daemon.until_seen("www", 1).await;
    daemon.until_seen("a", 1).await;
    daemon.until_seen("b", 1).await;
    daemon.until_idle().await;
    assert_eq!(daemon.orders(), 3, "no validation failed");
    daemon.stop().await;
}
