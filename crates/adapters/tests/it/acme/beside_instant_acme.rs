//! The same orders and authorizations of the same CA, read by another client: both must see the
//! same.

use std::fmt::Debug;

use instant_acme::{Account, AuthorizationState, OrderState};
use perennial_core::action::AccountRef;
use perennial_core::words::{AuthorizationFacts, KeyAlgorithm, OrderFacts};
use perennial_wire::shelf::Shelf as _;

use super::world::World;

/// Signs in as the same account with the other client.
async fn sign_in(world: &World, account: &AccountRef) -> Account {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root.pem");
    std::fs::write(&root, world.pebble.ca_root_pem()).unwrap();
    let key = world.shelf.key(&account.key).unwrap();
    Account::builder_with_root(root)
        .unwrap()
        .from_parts(account.url.to_string(), key.as_slice().into(), world.pebble.directory_url())
        .await
        .unwrap()
}

/// Both clients' enums have the same names for the same things.
fn word(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn assert_same_order(ours: &OrderFacts, theirs: &OrderState) {
    assert_eq!(word(ours.status), word(theirs.status));
    let mut urls: Vec<&str> = ours.authorizations.iter().map(|url| &*url.0).collect();
    let mut their_urls: Vec<&str> = theirs.authorizations.iter().map(|a| a.url.as_str()).collect();
    // Pebble shuffles them.
    urls.sort_unstable();
    their_urls.sort_unstable();
    assert_eq!(urls, their_urls);
    assert_eq!(ours.finalize.as_ref().map(ToString::to_string).as_ref(), Some(&theirs.finalize));
    assert_eq!(ours.certificate.as_ref().map(ToString::to_string), theirs.certificate);
    assert_eq!(ours.error.is_some(), theirs.error.is_some());
}

fn assert_same_authorization(ours: &AuthorizationFacts, theirs: &AuthorizationState) {
    assert_eq!(word(ours.status), word(theirs.status));
    let shown = theirs.identifier();
    assert_eq!(ours.wildcard, theirs.wildcard);
    let text =
        if ours.wildcard { format!("*.{}", ours.identifier) } else { ours.identifier.to_string() };
    assert_eq!(text, shown.to_string());
    let mut challenges: Vec<_> = ours
        .challenges
        .iter()
        .map(|c| {
            (&*c.url.0, c.token.as_deref().unwrap_or_default(), word(c.status), c.error.is_some())
        })
        .collect();
    let mut their_challenges: Vec<_> = theirs
        .challenges
        .iter()
        .map(|c| (c.url.as_str(), c.token.as_str(), word(c.status), c.error.is_some()))
        .collect();
    challenges.sort();
    their_challenges.sort();
    assert_eq!(challenges, their_challenges);
}

async fn assert_both_read_the_same(world: &World, account: &AccountRef, order: &OrderFacts) {
    let theirs = sign_in(world, account).await;
    let ours = world.look_at(account, &order.url).await;
    let mut their_order = theirs.order(order.url.to_string()).await.unwrap();
    assert_same_order(&ours, their_order.state());
    let mut authorizations = their_order.authorizations();
    while let Some(theirs) = authorizations.next().await {
        let theirs = theirs.unwrap();
        let ours = world.authorization(account, &theirs.url().into()).await;
        assert_same_authorization(&ours, &theirs);
    }
}

#[tokio::test]
async fn both_clients_read_the_same_of_an_order_in_every_state() {
    // The other client gives up after three refused nonces; ours is tried with them elsewhere.
    let world = World::start(|options| options.nonce_reject_percent = 0).await;
    let account = world.account().await;
    let names = ["*.a.test", "a.test", "127.0.0.1"];
    let pending = world.order(&account, &names, "default", None).await;
    assert_both_read_the_same(&world, &account, &pending).await;

    // A wildcard cannot be proven by http-01: the order without it goes on to be issued.
    let order = world.order(&account, &names[1..], "default", None).await;
    world.prove(&account, &order).await;
    assert_both_read_the_same(&world, &account, &order).await;
    let key = world.shelf.make("leaf", KeyAlgorithm::EcdsaP256);
    world.collect(&account, &order, &names[1..], &key).await;
    assert_both_read_the_same(&world, &account, &order).await;

    let doomed = world.order(&account, &["doomed.test"], "default", None).await;
    let authorization = world.authorization(&account, &doomed.authorizations[0]).await;
    world.respond(&account, &authorization).await;
    world.decided(&account, &authorization.url).await;
    assert_both_read_the_same(&world, &account, &doomed).await;
}

#[tokio::test]
async fn both_clients_know_the_key_by_the_same_thumbprint() {
    let world = World::start(|options| options.nonce_reject_percent = 0).await;
    let account = world.account().await;
    let theirs = sign_in(&world, &account).await;
    assert_eq!(theirs.key_thumbprint(), &*world.shelf.pair(&account.key).facts().thumbprint);
}
