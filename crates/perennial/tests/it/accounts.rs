//! Our account on a real CA: another key, also when the process dies over it, and its end.

use perennial_core::state::{Account, Issuer, State};
use perennial_core::words::{KeyId, Name, Url};

use crate::process::{Process, command};
use crate::world::{WWW_BY_LISTENER, World, any_name};

fn issuer(state: &State) -> Option<&Issuer> {
    state.issuers.get(&Name::new("pebble"))
}

/// Waits until our account has a key of this number and nothing is to be changed.
async fn account(daemon: &Process, number: u32) -> (KeyId, Url) {
    let look = |state: &State| {
        let issuer = issuer(state)?;
        let Account::Ready { key, url, .. } = &issuer.account else { return None };
        let is_it = issuer.key_number == number && issuer.changing.is_none();
        is_it.then(|| (key.id, url.clone()))
    };
    daemon.until("account", look).await
}

async fn leaf(daemon: &Process, number: u32) {
    let look = |state: &State| {
        let certificate = state.certificate(state.id(&Name::new("www"))?)?;
        certificate.leaf.as_ref().filter(|leaf| leaf.number == number).map(|_| ())
    };
    daemon.until("leaf", look).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_gets_another_key_and_the_same_account_is_issued_to() {
    let dns = any_name().await;
    let mut world = World::new(dns.addr(), &["www.example.test"]).await;
    world.issuer.push_str("\naccount_key = \"ecdsa-p384\"");
    let daemon = Process::start(&world.write(WWW_BY_LISTENER)).await;
    leaf(&daemon, 1).await;
    let (first, url) = account(&daemon, 0).await;
    let asked = daemon.run(&["account", "rotate-key", "pebble"]).await;
    assert_eq!((asked.code, asked.err.as_str()), (Some(0), ""), "{}", asked.out);
    let (second, same) = account(&daemon, 1).await;
    assert_eq!((first == second, &same), (false, &url));
    let renewed = daemon.run(&["renew", "--now", "www"]).await;
    assert_eq!((renewed.code, renewed.err.as_str()), (Some(0), ""), "{}", renewed.out);
    let shown = daemon.run(&["account", "show", "pebble"]).await.out;
    assert!(shown.contains(&url.to_string()) && shown.contains("account/pebble/1"), "{shown}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_process_dies_over_a_change_of_keys_it_knows_which_one_holds() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(WWW_BY_LISTENER);
    let daemon = Process::start(&config).await;
    leaf(&daemon, 1).await;
    let (_, url) = account(&daemon, 0).await;
    daemon.stop().await;
    let boundaries = ["BeforeStarted", "Started", "Done", "Ended"];
    let places = ["MakeKey", "ChangeKey"].map(|act| boundaries.map(|at| format!("{at} of {act}")));
    for (number, place) in places.as_flattened().iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let mut dying = command(&config, &["run"]);
        dying.env("PERENNIAL_KILL_AT", place);
        let daemon = Process::spawn(&config, dying).await;
        // It may die before it answers.
        daemon.run(&["account", "rotate-key", "pebble"]).await;
        daemon.until_dead().await;
        let daemon = Process::start(&config).await;
        // Where the wish itself was lost with the process, it is made again.
        if place == "BeforeStarted of MakeKey" {
            daemon.run(&["account", "rotate-key", "pebble"]).await;
        }
        let (_, same) = account(&daemon, number + 1).await;
        assert_eq!(same, url, "{place}");
        let renewed = daemon.run(&["renew", "--now", "www"]).await;
        assert_eq!((renewed.code, renewed.err.as_str()), (Some(0), ""), "{place}: {}", renewed.out);
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_needed_is_ended_only_by_force() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let daemon = Process::start(&world.write(WWW_BY_LISTENER)).await;
    leaf(&daemon, 1).await;
    let refused = daemon.run(&["account", "deactivate", "pebble"]).await;
    assert_eq!(refused.code, Some(3), "{}", refused.out);
    let told = "the account at `pebble` is needed by `www`\n\nhint: give them another issuer first";
    assert!(refused.err.starts_with(told), "{}", refused.err);
    let ended = daemon.run(&["account", "deactivate", "pebble", "--force"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    daemon.until("end", |state| issuer(state)?.ended).await;
    let again = daemon.run(&["account", "rotate-key", "pebble"]).await;
    assert!(again.err.starts_with("there is no usable account at `pebble`\n\nhint: "));
    let shown = daemon.run(&["status"]).await.out;
    assert!(shown.contains("account"), "{shown}");
    daemon.stop().await;
}
