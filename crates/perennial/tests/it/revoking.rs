//! A person has a leaf revoked, on a real CA: its replacement is served before the CA hears of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perennial_core::state::{Certificate, State};
use perennial_core::words::{KeyId, LeafFacts, Name};
use perennial_peers::Pebble;

use crate::process::Process;
use crate::world::{WWW_BY_LISTENER, World, any_name};

fn certificate(state: &State) -> Option<&Certificate> {
    state.certificate(state.id(&Name::new("www"))?)
}

/// Waits until a leaf was kept, and returns it.
async fn leaf(daemon: &Process, number: u32) -> LeafFacts {
    let look = |state: &State| {
        let leaf = certificate(state)?.leaf.as_ref().filter(|leaf| leaf.number == number)?;
        Some((*leaf.facts).clone())
    };
    daemon.until("leaf", look).await
}

/// Waits until nothing is to be revoked, and returns the keys that are never used again.
async fn revoked(daemon: &Process) -> Vec<KeyId> {
    let look = |state: &State| {
        let known = certificate(state)?;
        known.revoking.is_empty().then(|| known.compromised.to_vec())
    };
    daemon.until("revocation", look).await
}

/// Returns what Pebble says of a leaf.
async fn status(pebble: &Pebble, leaf: &LeafFacts) -> String {
    let (_, serial) = leaf.ari_id.as_ref().unwrap().0.split_once('.').unwrap();
    let serial = URL_SAFE_NO_PAD.decode(serial).unwrap();
    let hex: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.trim_start_matches("00");
    let url = format!("{}/cert-status-by-serial/{hex}", pebble.management_url());
    let answer = pebble.client().get(url).send().await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["Status"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_leaf_is_replaced_and_seen_and_then_revoked() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(&format!("{WWW_BY_LISTENER}rotation = \"reuse\"\n"));
    let daemon = Process::start(&config).await;
    let first = leaf(&daemon, 1).await;
    assert_eq!(status(&world.pebble, &first).await, "Valid");
    let asked = daemon.run(&["revoke", "www", "--reason", "key-compromise"]).await;
    assert_eq!((asked.code, asked.err.as_str()), (Some(0), ""), "{}", asked.out);
    assert!(asked.out.starts_with("leaf 1 of www is revoked (key-compromise) as soon as"));
    let second = leaf(&daemon, 2).await;
    assert_ne!(first.key, second.key, "a compromised key is not reused");
    assert_eq!(revoked(&daemon).await, [first.key]);
    assert_eq!(status(&world.pebble, &first).await, "Revoked");
    assert_eq!(status(&world.pebble, &second).await, "Valid");
    let told = daemon.run(&["journal", "www", "--all", "--lines", "0"]).await.out;
    let place = |text: &str| told.find(text).unwrap_or_else(|| panic!("no `{text}`:\n{told}"));
    assert!(place("wants leaf 1 revoked (key-compromise)") < place("had a leaf revoked"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_revoked_is_said_with_what_to_do() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let daemon = Process::start(&world.write(WWW_BY_LISTENER)).await;
    let unknown = daemon.run(&["revoke", "shop"]).await;
    assert_eq!(unknown.code, Some(3));
    assert!(unknown.err.starts_with("no certificate `shop` is declared\n\nhint: "));
    let first = leaf(&daemon, 1).await;
    let asked = daemon.run(&["revoke", "www", "--now"]).await;
    assert_eq!((asked.code, asked.err.as_str()), (Some(0), ""), "{}", asked.out);
    leaf(&daemon, 2).await;
    assert_eq!(revoked(&daemon).await, []);
    assert_eq!(status(&world.pebble, &first).await, "Revoked");
    daemon.stop().await;
}
