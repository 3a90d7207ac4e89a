//! What a CA can do: external accounts, profiles, suggestions, forgetting everything, being away.

use std::time::Duration;

use jiff::SignedDuration;
use perennial_core::action::ActKind;
use perennial_core::driver::Driver;
use perennial_core::finding::Code;
use perennial_core::words::{Blame, Name};
use perennial_peers::{Authority, Bind, Eab};

use crate::naming::program;
use crate::running::Running;
use crate::world::{Plan, SHOP, WWW_BY_LISTENER, World, any_name, zone};

/// Plans a world whose Pebble wants external accounts and knows one.
fn with_eab(dns: std::net::SocketAddr) -> Plan {
    let mut plan = Plan::new(dns, &["www.example.test"]);
    plan.pebble.eab_required = true;
    let mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".into();
    plan.pebble.eab = vec![Eab { kid: "kid-1".into(), mac_key }];
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_bound_to_the_declared_external_account() {
    let dns = any_name().await;
    let plan = with_eab(dns.addr());
    let key = plan.pebble.eab[0].mac_key.clone();
    let mut world = World::of(plan).await;
    std::fs::write(world.path("eab.key"), key).unwrap();
    world.issuer += "\neab = { kid = \"kid-1\", key = \"file:@DIR@/eab.key\" }";
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    daemon.until_seen("www", 1).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_external_key_is_told_in_the_cas_own_words() {
    let dns = any_name().await;
    let mut world = World::of(with_eab(dns.addr())).await;
    std::fs::write(world.path("eab.key"), "bm90IHRoZSBrZXkgdGhhdCB0aGUgQ0Ega25vd3M").unwrap();
    world.issuer += "\neab = { kid = \"kid-1\", key = \"file:@DIR@/eab.key\" }";
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let incident = daemon.until_found(Code::AccountRefused).await;
    assert_eq!(incident.blame, Some(Blame::Account(Name::new("pebble"))));
    assert!(
        incident.evidence.contains("external account binding JWS verification error"),
        "{incident:?}"
    );
    assert_eq!(daemon.orders(), 0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ordered_profile_is_what_is_served() {
    let dns = any_name().await;
    let mut plan = Plan::new(dns.addr(), &["www.example.test"]);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    plan.pebble.profiles = vec![("classic".into(), days(90)), ("shortlived".into(), days(6))];
    let mut world = World::of(plan).await;
    world.issuer += "\nprofile = \"shortlived\"";
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let leaf = daemon.until_seen("www", 1).await;
    assert_eq!(leaf.validity.lifetime().as_hours() / 24, 5, "six days but a second");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suggestion_moved_into_the_past_renews_and_names_what_is_replaced() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(WWW_BY_LISTENER);
    let mut daemon = Running::start(&config).await;
    let first = daemon.until_seen("www", 1).await;
    daemon.until_idle().await;
    daemon.stop().await;
    let window = r#"{"suggestedWindow":{"start":"2020-01-01T00:00:00Z","end":"2020-01-02T00:00:00Z"},"explanationURL":"https://ca.test/why"}"#;
    let leaf = std::fs::read_to_string(world.path("live/www/current/cert.pem")).unwrap();
    world.pebble.set_renewal_info(&leaf, window).await.unwrap();
    // It is asked at a start, and otherwise when the CA's Retry-After says so: six hours.
    let mut daemon = Running::start(&config).await;
    let second = daemon.until_seen("www", 2).await;
    assert_ne!(first.fingerprint, second.fingerprint);
    let replaced = format!("\"replaces\":\"{}\"", first.ari_id.unwrap().0);
    assert_eq!(daemon.count("attempt.began", "\"reason\":\"suggested\""), 1);
    // Pebble repeats in its order what it took on as replaced.
    let of_pebble = daemon.records().iter().any(|record| {
        record.kind.starts_with("act.ended")
            && record.body.contains("\"order\"")
            && record.body.contains(&replaced)
    });
    assert!(of_pebble, "{}", daemon.journal());
    daemon.until_idle().await;
    assert_eq!(daemon.orders(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_forgets_everything_in_mid_order_gets_the_same_key_and_a_new_order() {
    let bind = Bind::start(zone("shop.test")).await.unwrap();
    let mut world = World::new(bind.addr(), &["shop.test", "*.shop.test"]).await;
    // A program that waits until it is told holds the order where it is.
    let hold = "while test ! -e @DIR@/gate; do sleep 0.05; done";
    let config = world.write(&(program(&world, &bind, hold) + SHOP));
    let mut daemon = Running::start(&config).await;
    daemon.until("answer under way", |driver, _| presenting(driver)).await;
    let key = daemon.look(|driver, _| thumbprint(driver)).await;
    world.pebble.restart().await.unwrap();
    world.trust().await;
    daemon.reload();
    std::fs::write(world.path("gate"), "").unwrap();
    daemon.until_seen("shop", 1).await;
    let changed = daemon.until_found(Code::AccountChanged).await;
    assert!(changed.evidence.contains("/my-account/"), "{changed:?}");
    assert_eq!(daemon.look(|driver, _| thumbprint(driver)).await, key, "the same key");
    let [ended, began] = ["attempt.ended", "attempt.began"]
        .map(|kind| daemon.records().iter().rfind(|r| &*r.kind == kind).unwrap().at);
    assert!(began.duration_since(ended) < SignedDuration::from_secs(5), "begun anew at once");
    assert_eq!((daemon.count("act.started", "\"new-account\""), daemon.orders()), (2, 2));
    assert_eq!(world.orders(), 1, "the new Pebble knows one order");
    daemon.until_gone(Code::EndpointUntrusted).await;
    daemon.stop().await;
}

fn thumbprint(driver: &Driver) -> Option<String> {
    Some(driver.state().issuers.get(&Name::new("pebble"))?.thumbprint()?.to_owned())
}

/// Tells whether an answer is being put up.
fn presenting(driver: &Driver) -> Option<()> {
    let is_present = |act: &ActKind| matches!(act, ActKind::Present { .. });
    driver.state().certificates().any(|(_, _, c)| c.history.is_acting(is_present)).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_away_at_the_start_is_found_when_it_returns() {
    let dns = any_name().await;
    let mut world = World::new(dns.addr(), &["www.example.test"]).await;
    world.pebble.stop();
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let incident = daemon.until_found(Code::CaFailing).await;
    assert_eq!(incident.blame, Some(Blame::Issuer(Name::new("pebble"))));
    world.pebble.restart().await.unwrap();
    daemon.until_seen("www", 1).await;
    daemon.until_gone(Code::CaFailing).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_under_another_root_is_told() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let other = Authority::new("another root").unwrap();
    std::fs::write(world.path("roots.pem"), other.pem()).unwrap();
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let incident = daemon.until_found(Code::CaFailing).await;
    assert!(incident.evidence.contains("UnknownIssuer"), "{incident:?}");
    assert_eq!(world.pebble.log().matches("accounts in memory").count(), 0);
    daemon.stop().await;
}
