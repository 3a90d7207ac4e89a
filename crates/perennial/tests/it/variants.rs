//! One declared certificate with two keys: a leaf for each variant at one nginx, each seen as its own
//! clients meet it.

use std::path::{Path, PathBuf};

use perennial_core::driver::Driver;
use perennial_core::finding::Code;
use perennial_core::words::{LeafFacts, Name, Variant};
use perennial_peers::{Nginx, NginxOptions, Server, Wrk, WrkOptions};

use crate::running::{Running, certificate_of};
use crate::world::{WWW_BY_LISTENER, World, any_name};

fn variant(leaf: &LeafFacts) -> Option<Variant> {
    leaf.traits.as_ref()?.key_kind.variant()
}

fn files(world: &World, certificate: &str) -> (PathBuf, PathBuf) {
    let current = world.path("live").join(certificate).join("current");
    (current.join("fullchain.pem"), current.join("privkey.pem"))
}

/// A server block with two pairs of files.
fn of_two(world: &World, (cert, key): (&Path, &Path)) -> Server {
    let (chain, own_key) = files(world, "www-rsa");
    let (chain, own_key) = (chain.display(), own_key.display());
    let raw = format!("    ssl_certificate {chain};\n    ssl_certificate_key {own_key};\n");
    Server { raw, ..Server::named(&["www.example.test"]).cert(cert, key) }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_are_two_leaves_at_one_server_and_one_that_is_stale_is_named_with_its_variant() {
    let dns = any_name().await;
    let mut world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = WWW_BY_LISTENER
        .replace("[\"127.0.0.1:@HTTP@\"]", "[\"127.0.0.1:@HTTP@\", \"127.0.0.2:@HTTP@\"]")
        + "key = [\"ecdsa-p256\", \"rsa-2048\"]\n";
    let mut daemon = Running::start(&world.write(&config)).await;
    let ecdsa = daemon.until_seen("www", 1).await;
    assert_eq!(variant(&ecdsa), Some(Variant::Ecdsa));
    // Its server block has one pair: who takes RSA alone is shown nothing, and is told of.
    let blind = daemon.until_found(Code::EndpointNoTls).await;
    assert!(blind.subject.contains("(RSA)"), "{blind:?}");
    let (chain, key) = (world.path("old.pem"), world.path("old.key"));
    let server = of_two(&world, (&chain, &key)).https(world.https.v4());
    world.nginx.configure(&NginxOptions { servers: vec![server], raw: String::new() }).unwrap();
    world.nginx.reload().await.unwrap();
    let rsa = daemon.until_seen("www-rsa", 1).await;
    assert_eq!(variant(&rsa), Some(Variant::Rsa));
    assert_eq!(rsa.identifiers, ecdsa.identifiers);
    daemon.until_gone(Code::EndpointNoTls).await;
    daemon.until_idle().await;

    let url = format!("https://{}/", world.https.v4());
    let load = Wrk::start(&WrkOptions { connections: 2, ..WrkOptions::of_handshakes(&url) });
    let load = load.unwrap();
    for name in ["www", "www-rsa"] {
        daemon.renew(name);
        daemon.until_seen(name, 2).await;
    }
    let report = load.stop().await.unwrap();
    assert!(report.requests > 10, "{report:?}");
    assert_eq!(report.failures(), 0, "{report:?}");

    // Another nginx serves both at a second address, and nobody will reload it.
    let (chain, key) = files(&world, "www");
    let server = of_two(&world, (&chain, &key)).https(world.https.on(2));
    let options = NginxOptions { servers: vec![server], raw: String::new() };
    let second = Nginx::start(options).await.unwrap();
    let addresses = ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    dns.add_a("www.example.test", &addresses).await.unwrap();
    daemon.renew("www-rsa");
    let incident = daemon.until_found(Code::TargetNotReloaded).await;
    let place = format!("www.example.test:{}", world.https.number());
    assert_eq!(*incident.subject, *format!("{place} (RSA) [{}]", world.https.on(2)));
    let is_fine = |driver: &Driver, _: jiff::Timestamp| {
        certificate_of(driver, &Name::new("www")).map(|c| c.history.incidents.is_empty())
    };
    assert_eq!(daemon.look(move |driver, now| is_fine(driver, now)).await, Some(true));
    second.reload().await.unwrap();
    daemon.until_gone(Code::TargetNotReloaded).await;
    daemon.until_seen("www-rsa", 3).await;
    daemon.stop().await;
}
