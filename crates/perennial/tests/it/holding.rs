//! Leaves that would break clients, on real peers: held, shown, and let pass.

use perennial::run::Event;
use perennial_core::driver::Input;
use perennial_core::finding::Code;
use perennial_core::state::{Leaf, State};
use perennial_core::words::{Fingerprint, KeyId, Name};
use perennial_peers::{Bind, DnsOptions, Zone};

use crate::process::Process;
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

    let confirm = Input::Confirm { certificate: "www".into(), leaf: 2 };
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

/// Returns the newest leaf, once it has this number and its pins are told of. What is told may be of
/// the leaf before, for some minutes: that is what a person reads.
fn held(state: &State, number: u32) -> Option<Leaf> {
    let www = state.certificate(state.id(&Name::new("www"))?)?;
    let leaf = www.leaf.as_deref().filter(|leaf| leaf.number == number)?;
    let mut incidents = www.history.incidents.iter();
    incidents.any(|own| own.code == Code::LeafPinsUnmet).then(|| leaf.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_confirms_the_leaf_that_was_shown_and_is_shown_a_later_one() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let daemon = Process::start(&world.write(WWW_BY_LISTENER)).await;
    let first = daemon.run(&["renew", "www"]).await;
    assert_eq!(first.code, Some(0), "{}{}", first.out, first.err);
    let nobodys = KeyId([7; 32]);
    let own = daemon.until("leaf 1", |state| {
        let www = state.certificate(state.id(&Name::new("www"))?)?;
        www.leaf.as_ref().map(|leaf| leaf.facts.key)
    });
    let pins = format!("pins = [\"{}\", \"{}\"]\n", own.await.pin(), nobodys.pin());
    world.write(&format!("{WWW_BY_LISTENER}{pins}"));
    assert_eq!(daemon.run(&["reload"]).await.code, Some(0));
    let pinned = |state: &State| {
        let www = state.certificate(state.id(&Name::new("www"))?)?;
        www.spec.pins.contains(&nobodys).then_some(())
    };
    daemon.until("the pins declared", pinned).await;
    let nothing = daemon.run(&["confirm", "www", "--leaf", "1"]).await;
    assert!(nothing.err.starts_with("no leaf of `www` is held"), "{}", nothing.err);

    daemon.run(&["renew", "--now", "--no-wait", "www"]).await;
    let second = daemon.until("leaf 2 held", |state| held(state, 2)).await;
    let shown = daemon.run(&["confirm", "www"]).await;
    assert_eq!(shown.code, Some(3));
    assert!(shown.err.starts_with("leaf 2 of `www` is held, since"), "{}", shown.err);
    assert!(shown.err.contains(&second.facts.key.pin()), "{}", shown.err);
    let hint = "hint: if that is meant: perennial confirm www --leaf 2\n";
    assert!(shown.err.ends_with(hint), "{}", shown.err);

    daemon.run(&["renew", "--now", "--no-wait", "www"]).await;
    let third = daemon.until("leaf 3 held", |state| held(state, 3)).await;
    let late = daemon.run(&["confirm", "www", "--leaf", "2"]).await;
    assert_eq!(late.code, Some(3));
    let told = "nothing is confirmed: leaf 2 of `www` is not the newest one; leaf 3 of `www`";
    assert!(late.err.starts_with(told), "{}", late.err);
    assert!(late.err.contains(&third.facts.key.pin()), "{}", late.err);
    assert_eq!(daemon.count("leaf.confirmed"), 0);

    let confirmed = daemon.run(&["confirm", "www", "--leaf", "3"]).await;
    assert_eq!(confirmed.out, "confirmed; leaf 3 goes to web\n", "{}", confirmed.err);
    let is_gone = |state: &State| {
        let www = state.certificate(state.id(&Name::new("www"))?)?;
        let mut incidents = www.history.incidents.iter();
        incidents.all(|own| own.code != Code::LeafPinsUnmet).then_some(())
    };
    daemon.until("end of leaf.pins-unmet", is_gone).await;
    daemon.stop().await;
}
