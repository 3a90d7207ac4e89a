//! Bad worlds: whose fault is told, and what is left behind.

use std::net::SocketAddr;

use perennial_core::finding::Code;
use perennial_core::words::{Blame, Identifier, Name};
use perennial_peers::{Bind, Knot};
use tokio::net::TcpListener;

use crate::naming::program;
use crate::running::Running;
use crate::world::{
    Plan, SHOP, WWW_BY_LISTENER, WWW_BY_WEBROOT, World, any_name, assert_no_txt, rfc2136, zone,
};

/// A key that no server knows.
const WRONG_KEY: &str = "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc=";

/// Returns the usual solver with a wrong secret.
fn with_wrong_key(server: SocketAddr) -> String {
    let solver = rfc2136(server);
    let (before, _) = solver.split_once("key = \"").unwrap();
    format!("{before}key = \"{WRONG_KEY}\" }}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_signed_with_the_wrong_key_is_the_solvers_fault() {
    let bind = Bind::start(zone("shop.test")).await.unwrap();
    let knot = Knot::start(zone("shop.test")).await.unwrap();
    for server in [bind.addr(), knot.addr()] {
        let world = World::new(server, &["shop.test", "*.shop.test"]).await;
        let mut daemon = Running::start(&world.write(&(with_wrong_key(server) + SHOP))).await;
        let incident = daemon.until_found(Code::SolverFailing).await;
        assert_eq!(incident.blame, Some(Blame::Solver(Name::new("ns"))), "{incident:?}");
        assert!(incident.evidence.contains("BADSIG"), "{incident:?}");
        daemon.stop().await;
    }
}

/// Runs until the name is blamed and everything is withdrawn.
async fn until_name_is_blamed(world: &World, config: &str, name: &str) {
    let mut daemon = Running::start(&world.write(config)).await;
    let incident = daemon.until_found(Code::NameValidationFailed).await;
    assert_eq!(incident.blame, Some(Blame::Name(Identifier::new(name).unwrap())));
    daemon.until_idle().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_left_on_name_servers_when_the_ca_asks_elsewhere() {
    let elsewhere = Bind::start(zone("shop.test")).await.unwrap();
    let bind = Bind::start(zone("shop.test")).await.unwrap();
    let knot = Knot::start(zone("shop.test")).await.unwrap();
    for server in [bind.addr(), knot.addr()] {
        let mut world = World::new(elsewhere.addr(), &["shop.test", "*.shop.test"]).await;
        world.resolver = server;
        until_name_is_blamed(&world, &(rfc2136(server) + SHOP), "shop.test").await;
        assert_no_txt(server, "_acme-challenge.shop.test").await;
    }
    let mut world = World::new(elsewhere.addr(), &["shop.test", "*.shop.test"]).await;
    world.resolver = bind.addr();
    let hook = program(&world, &bind, ":");
    until_name_is_blamed(&world, &(hook + SHOP), "shop.test").await;
    assert_no_txt(bind.addr(), "_acme-challenge.shop.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_left_in_a_webroot_that_nobody_shows() {
    let dns = any_name().await;
    let world = World::of(Plan::new(dns.addr(), &["www.example.test"])).await;
    std::fs::create_dir(world.path("webroot")).unwrap();
    until_name_is_blamed(&world, WWW_BY_WEBROOT, "www.example.test").await;
    let left = std::fs::read_dir(world.path("webroot/.well-known/acme-challenge"));
    assert_eq!(left.map_or(0, Iterator::count), 0, "an answer is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_program_has_is_told_and_taken_once_it_is_free() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let other = TcpListener::bind(world.http.v4()).await.unwrap();
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let incident = daemon.until_found(Code::SolverFailing).await;
    assert_eq!(incident.blame, Some(Blame::Solver(Name::new("http"))));
    assert!(incident.evidence.contains("another program listens there"), "{incident:?}");
    drop(other);
    daemon.until_seen("www", 1).await;
    daemon.until_gone(Code::SolverFailing).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_zone_is_not_the_names_fault() {
    let bind = Bind::start(zone("shop.test")).await.unwrap();
    let knot = Knot::start(zone("other.test")).await.unwrap();
    let world = World::new(bind.addr(), &["shop.test", "*.shop.test"]).await;
    let mut daemon = Running::start(&world.write(&(rfc2136(knot.addr()) + SHOP))).await;
    let incident = daemon.until_found(Code::DnsAnswerInvisible).await;
    assert_eq!(incident.blame, Some(Blame::Zone("shop.test".into())), "{incident:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_read_at_the_start_holds_up_nothing_but_its_solver() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let ns = "[solver.ns]\ndns-01 = \"rfc2136\"\nserver = \"127.0.0.1:9\"\nzones = [\"shop.test\"]\n\
              tsig = { name = \"k\", key = \"file:@DIR@/late.key\" }\n\
              [certificate.shop]\nnames = [\"shop.test\"]\nendpoints = []\n";
    let mut daemon = Running::start(&world.write(&(ns.to_owned() + WWW_BY_LISTENER))).await;
    daemon.until_seen("www", 1).await;
    assert!(daemon.until_found(Code::ConfigRefused).await.evidence.contains("late.key"));
    let incident = daemon.until_found(Code::SolverFailing).await;
    assert_eq!(incident.blame, Some(Blame::Solver(Name::new("ns"))));
    // Once it is there it is taken up without being told.
    std::fs::write(world.path("late.key"), WRONG_KEY).unwrap();
    daemon.until_gone(Code::ConfigRefused).await;
    daemon.stop().await;
}
