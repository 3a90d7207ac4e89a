//! Two leaves for the same names, one of each variant, at a real nginx.

use std::net::SocketAddr;
use std::time::Duration;

use perennial_core::action::{Fact, Outcome};
use perennial_core::words::{Fingerprint, Identifier, Name, Variant};
use perennial_peers::{Nginx, NginxOptions, Port, Server, Wrk, WrkOptions, until};
use perennial_wire::tls::{Manner, handshake_as};

use super::super::{Covers, TargetSettings, Targets};
use super::nginx::{foreign, server, settings, start};
use super::world::{World, inspect_for, www};

fn www_rsa() -> Name {
    Name::new("www-rsa")
}

/// A target that takes both certificates.
fn both(world: &World, nginx: &Nginx) -> Targets {
    let mut settings = settings(world, nginx);
    let identifiers = settings.certificates[&www()].identifiers.clone();
    let covers = Covers { identifiers, variant: Variant::Rsa };
    settings.certificates.insert(www_rsa(), covers);
    world.targets(TargetSettings::Nginx(settings))
}

/// Clients that take leaves of one variant alone.
fn of(variant: Variant) -> Manner {
    Manner { variant: Some(variant), ..Manner::default() }
}

/// Waits until clients of a variant are shown a leaf.
pub(super) async fn assert_shows(at: SocketAddr, variant: Variant, leaf: Fingerprint) {
    let name = Identifier::new("example.org").unwrap();
    let shown = async || {
        let served = handshake_as(of(variant), at, &name, Duration::from_secs(5)).await;
        served.is_ok_and(|served| served.chain.fingerprint() == leaf).then_some(())
    };
    until(&format!("{variant} clients are shown {leaf}"), Duration::from_secs(30), shown)
        .await
        .unwrap();
}

fn with_pair(server: Server, chain: &std::path::Path, key: &std::path::Path) -> Server {
    let raw = format!(
        "    ssl_certificate {};\n    ssl_certificate_key {};\n",
        chain.display(),
        key.display()
    );
    Server { raw, ..server }
}

#[tokio::test]
async fn a_block_with_two_pairs_serves_each_certificate_to_its_clients_and_drops_no_request() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (ecdsa, rsa) = (foreign(&world, 4), foreign(&world, 5));
    let block = server(&["example.org"], port.v4(), (&ecdsa.0, &ecdsa.1));
    let nginx = start(vec![with_pair(block, &rsa.0, &rsa.1)]).await;
    let targets = both(&world, &nginx);
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(4)).await;
    assert_shows(port.v4(), Variant::Rsa, world.bundles.leaf(5)).await;
    for (name, leaf) in [(www(), 4), (www_rsa(), 5)] {
        let found = inspect_for(&targets, &name).await;
        assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(leaf), "{name}");
        assert_eq!((found.ours, found.remarks.len()), (false, 0), "{name}");
    }
    let load = Wrk::start(&WrkOptions::of_handshakes(&format!("https://{}/", port.v4()))).unwrap();
    for (ecdsa, rsa) in [(1, 6), (2, 7)] {
        for (name, number) in [(www(), ecdsa), (www_rsa(), rsa)] {
            let activated = world.deploy_for(&targets, &name, number, true).await;
            assert_eq!(activated, Outcome::Done(Fact::Activated), "{name}");
        }
        assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(ecdsa)).await;
        assert_shows(port.v4(), Variant::Rsa, world.bundles.leaf(rsa)).await;
    }
    let report = load.stop().await.unwrap();
    assert!(report.requests > 10, "{report:?}");
    assert_eq!(report.failures(), 0, "{report:?}");
}

#[tokio::test]
async fn a_block_without_a_pair_for_a_variant_is_told_with_the_lines_to_add() {
    let world = World::new();
    let port = Port::free().unwrap();
    let ecdsa = foreign(&world, 4);
    let block = || server(&["example.org"], port.v4(), (&ecdsa.0, &ecdsa.1));
    let mut nginx = start(vec![block()]).await;
    let targets = both(&world, &nginx);
    for (name, number) in [(www(), 1), (www_rsa(), 6)] {
        let activated = world.deploy_for(&targets, &name, number, true).await;
        assert_eq!(activated, Outcome::Done(Fact::Activated), "{name}");
    }
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(1)).await;
    assert_eq!(inspect_for(&targets, &www()).await.remarks.len(), 0);
    let said = inspect_for(&targets, &www_rsa()).await.remarks.join("; ");
    let current = world.path("live/www-rsa/current");
    let line = format!("`ssl_certificate {};`", current.join("fullchain.pem").display());
    assert!(said.contains("has no RSA leaf") && said.contains(&line), "{said}");
    let name = Identifier::new("example.org").unwrap();
    let met = handshake_as(of(Variant::Rsa), port.v4(), &name, Duration::from_secs(5)).await;
    let refused = met.unwrap_err().to_string();
    assert!(refused.starts_with("clients that take RSA alone are shown no leaf"), "{refused}");

    let (leaf, key) = (current.join("fullchain.pem"), current.join("privkey.pem"));
    let servers = vec![with_pair(block(), &leaf, &key)];
    nginx.configure(&NginxOptions { servers, raw: String::new() }).unwrap();
    nginx.reload().await.unwrap();
    assert_shows(port.v4(), Variant::Rsa, world.bundles.leaf(6)).await;
    assert_eq!(inspect_for(&targets, &www_rsa()).await.remarks.len(), 0);
}

#[tokio::test]
async fn a_pair_of_a_variant_that_no_certificate_has_is_left_alone() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (ecdsa, rsa) = (foreign(&world, 4), foreign(&world, 5));
    let block = server(&["example.org"], port.v4(), (&ecdsa.0, &ecdsa.1));
    let nginx = start(vec![with_pair(block, &rsa.0, &rsa.1)]).await;
    let targets = world.targets(TargetSettings::Nginx(settings(&world, &nginx)));
    let activated = world.deploy_for(&targets, &www(), 1, true).await;
    assert_eq!(activated, Outcome::Done(Fact::Activated));
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(1)).await;
    assert_shows(port.v4(), Variant::Rsa, world.bundles.leaf(5)).await;
}
