//! What becomes of certificates when the operator's file changes.

use perennial::run::Reload;
use perennial_core::driver::Driver;
use perennial_core::finding::Code;
use perennial_core::words::{Identifier, Name, SightState};

use crate::running::{Running, certificate_of};
use crate::world::{WWW_BY_LISTENER, World, any_name};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_vanishes_from_the_file_goes_on_being_renewed() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    daemon.until_seen("www", 1).await;
    let (without, _) = WWW_BY_LISTENER.split_once("[certificate.www]").unwrap();
    let config = world.write(without);
    daemon.reload();
    daemon.until_found(Code::CertificateUndeclared).await;
    daemon.renew("www");
    daemon.until_seen("www", 2).await;
    daemon.until_idle().await;
    daemon.stop().await;
    // Nor does a restart forget it.
    let mut daemon = Running::start(&config).await;
    daemon.renew("www");
    daemon.until_seen("www", 3).await;
    let shown = daemon.look(|driver, _| {
        let certificate = certificate_of(driver, &Name::new("www")).unwrap();
        certificate.endpoints[0].shown.clone().unwrap()[0].state
    });
    assert_eq!(shown.await, SightState::Ok, "its private root is still known");
    daemon.stop().await;
}

/// Declares as many certificates, which go nowhere.
fn many(count: usize) -> String {
    let one = |n| format!("[certificate.c{n}]\nnames = [\"c{n}.test\"]\nendpoints = []\n");
    let listener = WWW_BY_LISTENER.split_once("[certificate.www]").unwrap().0;
    listener.to_owned() + &(0..count).map(one).collect::<String>()
}

fn undeclared(driver: &Driver) -> usize {
    driver.state().certificates().filter(|(_, _, c)| c.undeclared_at.is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_many_is_held_until_a_person_confirms_it() {
    let dns = any_name().await;
    let mut world = World::new(dns.addr(), &["www.example.test"]).await;
    world.pebble.stop();
    let mut daemon = Running::start(&world.write(&many(5))).await;
    let five = |driver: &Driver, _| (driver.state().certificates().count() == 5).then_some(());
    daemon.until("five certificates", five).await;
    world.write(&many(1));
    daemon.reload();
    daemon.until_found(Code::ConfigRemovalHeld).await;
    assert_eq!(daemon.look(|driver, _| undeclared(driver)).await, 0);
    daemon.reload.send(Reload { confirmed: true }).unwrap();
    daemon.until_gone(Code::ConfigRemovalHeld).await;
    assert_eq!(daemon.look(|driver, _| undeclared(driver)).await, 4);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_orders_nothing() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    let leaf = daemon.until_seen("www", 1).await;
    let renamed = WWW_BY_LISTENER.replace("[certificate.www]", "[certificate.web]\nwas = \"www\"");
    let config = world.write(&renamed);
    daemon.reload();
    assert_eq!(daemon.until_seen("web", 1).await.fingerprint, leaf.fingerprint);
    daemon.until_idle().await;
    assert_eq!(daemon.orders(), 1);
    daemon.stop().await;
    // Under its new name it is renewed as before.
    let mut daemon = Running::start(&config).await;
    daemon.renew("web");
    daemon.until_seen("web", 2).await;
    assert_eq!((daemon.orders(), world.orders()), (1, 2));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_leaves_the_last_good_one_in_force() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(WWW_BY_LISTENER);
    let mut daemon = Running::start(&config).await;
    daemon.until_seen("www", 1).await;
    std::fs::write(&config, "[broken").unwrap();
    // Without being told: the change is noticed.
    daemon.until_found(Code::ConfigRefused).await;
    daemon.renew("www");
    daemon.until_seen("www", 2).await;
    daemon.until_idle().await;
    daemon.stop().await;
    let mut daemon = Running::start(&config).await;
    daemon.until_found(Code::ConfigRefused).await;
    daemon.renew("www");
    daemon.until_seen("www", 3).await;
    world.write(WWW_BY_LISTENER);
    daemon.until_gone(Code::ConfigRefused).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_added_is_covered_by_a_new_leaf() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let mut daemon = Running::start(&world.write(WWW_BY_LISTENER)).await;
    daemon.until_seen("www", 1).await;
    let names = "names = [\"www.example.test\"";
    world.write(&WWW_BY_LISTENER.replace(names, &format!("{names}, \"api.example.test\"")));
    daemon.reload();
    let leaf = daemon.until_seen("www", 2).await;
    assert!(leaf.covers(&Identifier::new("api.example.test").unwrap()));
    assert_eq!(daemon.count("attempt.began", "\"names-changed\""), 1);
    let spec = |driver: &Driver, _| Some(certificate_of(driver, &Name::new("www"))?.leaves);
    assert_eq!(daemon.until("leaves", spec).await, 2);
    daemon.stop().await;
}
