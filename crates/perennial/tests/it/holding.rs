//! Leaves that would break clients, on real peers: held, shown, and let pass.

use perennial::run::Event;
use perennial_core::driver::Input;
use perennial_core::finding::Code;
use perennial_core::words::{Fingerprint, KeyId};
use perennial_peers::{Bind, DnsOptions, Zone};

use crate::running::{Running, certificate_of};
use crate::world::{SHOP, WWW_BY_LISTENER, World, any_name, rfc2136};

/// Returns the leaf that every address of a certificate's first endpoint shows.
async fn shown(daemon: &Running, certificate: &'static str) -> Option<Fingerprint> {
    let look = move |driver: &perennial_core::driver::Driver, _| {
        let endpoint = certificate_of(driver, &certificate.into())?.endpoints.first()?.clone();
        endpoint.shown.ok()?.first()?.leaf()
    };
    daemon.look(look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_no_pin_fits_waits_for_a_person() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let first = daemon.until_seen("www", 1).await;
    world.write(&format!("{WWW_BY_LISTENER}pins = [\"{}\"]\n", first.key.pin()));
    daemon.reload();
    let key: KeyId = first.key;
    daemon
        .until("the pin is declared", move |driver, _| {
            let www = certificate_of(driver, &"www".into())?;
            www.spec.pins.contains(&key).then_some(())
        })
        .await;

    daemon.renew("www");
    let held = daemon.until_found(Code::LeafPinsUnmet).await;
    assert_eq!(&*held.subject, "web");
    let next = daemon
        .look(|driver, _| certificate_of(driver, &"www".into()).unwrap().leaf.clone().unwrap())
        .await;
    assert!(held.evidence.contains(&next.facts.key.pin()), "{}", held.evidence);
    daemon.until_idle().await;
    assert_eq!(shown(&daemon, "www").await, Some(first.fingerprint));
    assert!(daemon.count("act.started", "\"stage\"") > 1, "it is staged all the same");

    let confirm = Input::Confirm { certificate: "www".into() };
    daemon.events.send(Event::Input(confirm)).unwrap();
    let second = daemon.until_seen("www", 2).await;
    assert_eq!(second.key, next.facts.key);
    daemon.until_gone(Code::LeafPinsUnmet).await;
    assert_eq!(daemon.orders(), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_for_the_served_key_holds_the_next_until_its_own_is_published() {
    let zone = Zone::new("shop.test", "@ A 127.0.0.1\nwww A 127.0.0.1").signed();
    let bind = Bind::start(DnsOptions::serving([zone])).await.unwrap();
    let world = World::new(bind.addr(), &["shop.test", "*.shop.test"]).await;
    let config = world.write(&(rfc2136(bind.addr()) + SHOP));
    let mut daemon = Running::start(&config).await;
    let first = daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    daemon.stop().await;
    let (host, port) = ("www.shop.test", world.https.number());
    let publish = |key: KeyId| format!("update add _{port}._tcp.{host} 1 TLSA 3 1 1 {key}");
    bind.update("shop.test", &publish(first.key)).await.unwrap();

    // Looked at anew after a start.
    let mut daemon = Running::start(&config).await;
    daemon
        .until("the record is known", |driver, _| {
            let shop = certificate_of(driver, &"shop".into())?;
            shop.endpoints.iter().any(|endpoint| endpoint.tlsa.is_some()).then_some(())
        })
        .await;
    daemon.renew("shop");
    let held = daemon.until_found(Code::LeafTlsaUnmet).await;
    let next = daemon
        .look(|driver, _| certificate_of(driver, &"shop".into()).unwrap().leaf.clone().unwrap())
        .await;
    let advised = format!("_{port}._tcp.{host}. IN TLSA 3 1 1 {}", next.facts.key);
    assert!(held.evidence.contains(&advised), "{}", held.evidence);
    assert_eq!(shown(&daemon, "shop").await, Some(first.fingerprint));

    bind.update("shop.test", &publish(next.facts.key)).await.unwrap();
    let second = daemon.until_seen("shop", 2).await;
    assert_eq!(second.key, next.facts.key);
    daemon.until_gone(Code::LeafTlsaUnmet).await;
    daemon.stop().await;
}
