//! Every kind of key, and every chain, on real peers: issued by Pebble, served by nginx, kept or
//! rotated as declared.

use std::fmt::Write as _;
use std::time::Duration;

use perennial_core::finding::Code;
use perennial_core::words::{Identifier, KeyKind, LeafFacts};
use perennial_peers::{Pebble, until};
use perennial_wire::tls::handshake;
use perennial_wire::x509::{Chain, subject_name};

use crate::running::Running;
use crate::world::{Plan, WWW_BY_LISTENER, World, any_name};

const KINDS: [(&str, &str, KeyKind); 5] = [
    ("p256.example.test", "ecdsa-p256", KeyKind::EcdsaP256),
    ("p384.example.test", "ecdsa-p384", KeyKind::EcdsaP384),
    ("r2048.example.test", "rsa-2048", KeyKind::Rsa { bits: 2048 }),
    ("r3072.example.test", "rsa-3072", KeyKind::Rsa { bits: 3072 }),
    ("r4096.example.test", "rsa-4096", KeyKind::Rsa { bits: 4096 }),
];

/// How long a handshake of the test's own may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn kind(leaf: &LeafFacts) -> KeyKind {
    leaf.traits.as_ref().unwrap().key_kind
}

/// Waits until nginx serves a leaf for a name, and returns what it says of its chain: an old worker
/// may take one connection more after a reload.
async fn served(world: &World, name: &str, leaf: &LeafFacts) -> LeafFacts {
    let name = Identifier::new(name).unwrap();
    until("the leaf is served", PATIENCE, async || {
        let served = handshake(world.https.v4(), &name, PATIENCE).await.ok()?;
        let facts = served.chain.facts().unwrap();
        (facts.fingerprint == leaf.fingerprint).then_some(facts)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_key_is_issued_served_by_nginx_and_seen() {
    let dns = any_name().await;
    let mut plan = Plan::new(dns.addr(), &KINDS.map(|(name, ..)| name));
    plan.apart = true;
    let mut world = World::of(plan).await;
    // An account key of RSA as well; those of the other kinds are tried in the adapter's own tests.
    world.issuer.push_str("\naccount_key = \"rsa-2048\"");
    let mut own =
        String::from("[solver.http]\nhttp-01 = \"listener\"\nlisten = [\"127.0.0.1:@HTTP@\"]\n");
    for (name, key, _) in KINDS {
        let lines = format!(
            "[certificate.{key}]\nnames = [\"{name}\"]\ntargets = [\"web\"]\nkey = \"{key}\"\n\
             endpoints = [\"{name}:@HTTPS@\"]\n"
        );
        write!(own, "{lines}").unwrap();
    }
    let mut daemon = Running::start(&world.write(&own)).await;
    for (name, key, expected) in KINDS {
        let leaf = daemon.until_seen(key, 1).await;
        assert_eq!(kind(&leaf), expected);
        assert_eq!(kind(&served(&world, name, &leaf).await), expected);
    }
    assert_eq!(daemon.count("act.started", "\"algorithm\":\"rsa2048\""), 2, "account and leaf");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_key_stays_through_renewals_until_another_kind_is_declared() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let reused = format!("{WWW_BY_LISTENER}rotation = \"reuse\"\n");
    let config = world.write(&reused);
    let mut daemon = Running::start(&config).await;
    let first = daemon.until_seen("www", 1).await;
    daemon.renew("www");
    let second = daemon.until_seen("www", 2).await;
    assert_ne!(first.fingerprint, second.fingerprint);
    assert_eq!(first.key, second.key);
    world.write(&format!("{reused}key = \"ecdsa-p384\"\n"));
    daemon.reload();
    daemon
        .until("the new declaration", |driver, _| {
            let (_, _, certificate) = driver.state().certificates().next()?;
            certificate.spec.key_chosen.then_some(())
        })
        .await;
    daemon.renew("www");
    let third = daemon.until_seen("www", 3).await;
    assert_eq!(kind(&third), KeyKind::EcdsaP384);
    assert_ne!(third.key, second.key);
    daemon.stop().await;
}

async fn root_name(pebble: &Pebble, index: u8) -> (String, String) {
    let pem = pebble.issuing_root_pem(index).await.unwrap();
    let name = subject_name(Chain::from_pem(pem.as_bytes()).unwrap().leaf()).unwrap();
    (name, pem)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_declared_one_of_several_chains_is_served_and_one_that_is_not_offered_is_told() {
    let dns = any_name().await;
    let mut plan = Plan::new(dns.addr(), &["www.example.test"]);
    plan.pebble.alternate_roots = 2;
    let world = World::of(plan).await;
    let (name, pem) = root_name(&world.pebble, 2).await;
    let path = world.path("roots.pem");
    let roots = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{roots}\n{pem}")).unwrap();
    let config = world.write(&format!("{WWW_BY_LISTENER}chain = \"Nobody's Root\"\n"));
    let mut daemon = Running::start(&config).await;
    let first = daemon.until_seen("www", 1).await;
    let told = daemon.until_found(Code::LeafOtherChain).await;
    assert!(told.evidence.contains("Nobody's Root"), "{}", told.evidence);
    world.write(&format!("{WWW_BY_LISTENER}chain = \"{name}\"\n"));
    daemon.reload();
    let wanted = name.clone();
    daemon
        .until("the new declaration", move |driver, _| {
            let (_, _, certificate) = driver.state().certificates().next()?;
            (certificate.spec.chain.as_deref() == Some(&wanted)).then_some(())
        })
        .await;
    daemon.renew("www");
    let second = daemon.until_seen("www", 2).await;
    let root = |leaf: &LeafFacts| leaf.traits.as_ref().unwrap().root.clone();
    assert_ne!(root(&first), root(&second));
    let served = served(&world, "www.example.test", &second).await;
    assert_eq!(&*root(&served), &*name);
    daemon.until_gone(Code::LeafOtherChain).await;
    daemon.stop().await;
}
