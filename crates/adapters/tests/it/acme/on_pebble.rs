//! Stories on Pebble, which validates for real and refuses 30 % of good nonces.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use perennial_adapters::acme::Eab;
use perennial_core::action::{AccountRef, ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{
    AccountStatus, AuthorizationStatus, Blame, ChallengeKind, FailureKind, Identifier,
    KeyAlgorithm, LeafFacts, Name, OrderStatus, RevocationReason, Slot, Url, blame_problem,
};
use perennial_wire::mac::MacAlgorithm;
use perennial_wire::tls::{Roots, leads_to_root};
use perennial_wire::x509::Chain;

use super::world::{
    ISSUER, Memory, World, client_of, done_account, done_order, failed, finalize, ids, new_account,
    new_order, refused,
};

#[tokio::test]
async fn a_leaf_is_issued_for_names_and_an_address_through_refused_nonces() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let names = ["a.test", "b.test", "127.0.0.1"];
    let order = world.order(&account, &names, "default", None).await;
    assert_eq!((order.status, order.authorizations.len()), (OrderStatus::Pending, 3));
    assert_eq!((order.replaces.as_ref(), order.certificate.as_ref()), (None, None));
    assert!(order.expires.is_some());

    world.prove(&account, &order).await;
    let ready = world.look_at(&account, &order.url).await;
    assert_eq!(ready.status, OrderStatus::Ready);
    let key = world.shelf.make("leaf", KeyAlgorithm::EcdsaP384);
    let leaf = world.collect(&account, &order, &names, &key).await;

    let mut wanted = ids(&names).to_vec();
    wanted.sort();
    let mut got = leaf.identifiers.to_vec();
    got.sort();
    assert_eq!(got, wanted);
    assert_eq!(leaf.key, world.shelf.pair(&key).id());
    assert!(leaf.for_servers && leaf.chain_in_order && leaf.ari_id.is_some());
    let kept = world.shelf.chain(leaf.fingerprint).unwrap();
    let kept = Chain::from_pem(kept.as_bytes()).unwrap();
    let facts = kept.facts().unwrap();
    assert_eq!(leaf.trusted, Some(false), "its root is on no public list");
    assert_eq!(LeafFacts { trusted: None, ..leaf }, facts);
    let root = world.pebble.issuing_root_pem(0).await.unwrap();
    let roots = Roots::mozilla().and(&Roots::from_pem("Pebble", root.as_bytes()).unwrap());
    assert!(leads_to_root(&kept, &facts, facts.validity.not_before, &roots));
}

#[tokio::test]
async fn the_directory_tells_what_the_ca_offers() {
    let world = World::start(|options| {
        options.profiles.push(("shortlived".into(), Duration::from_secs(6 * 86_400)));
    })
    .await;
    let ask = AskKind::Directory { issuer: Name::new(ISSUER) };
    let Reply::Directory(facts) = world.client.ask(&ask).await else { panic!("no directory") };
    assert!(facts.has_renewal_info && !facts.needs_eab && facts.terms.is_some());
    assert_eq!(*facts.profiles, ["default".into(), "shortlived".into()]);
    assert_eq!(*facts.caa_identities, ["pebble.letsencrypt.org".into()]);
}

#[tokio::test]
async fn the_same_key_finds_the_same_account() {
    let world = World::start(|_| ()).await;
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        let key = world.shelf.make(&format!("{algorithm:?}"), algorithm);
        let first = done_account(world.client.perform(&new_account(&key)).await);
        let second = done_account(world.client.perform(&new_account(&key)).await);
        assert_eq!((&first, first.status), (&second, AccountStatus::Valid));
    }
}

#[tokio::test]
async fn an_external_account_is_bound_and_a_wrong_one_is_refused() {
    // HS512 wants 64 octets (RFC 7518 section 3.2).
    let mac_key = "A".repeat(86);
    let mac_key = mac_key.as_str();
    let eab = |kid, algorithm| Eab::new(kid, mac_key, algorithm).unwrap();
    let known = perennial_peers::Eab { kid: "kid-1".into(), mac_key: mac_key.into() };
    let world = World::start_bound(
        |options| {
            options.eab = vec![known];
            options.eab_required = true;
        },
        Some(eab("kid-1", MacAlgorithm::Hs256)),
    )
    .await;
    let act = |name: &str, bound: bool| {
        let key = world.shelf.make(name, KeyAlgorithm::EcdsaP256);
        let mut act = new_account(&key);
        if let ActKind::NewAccount { eab, .. } = &mut act {
            *eab = bound;
        }
        act
    };
    done_account(world.client.perform(&act("bound", true)).await);

    let unbound = failed(world.client.perform(&act("unbound", false)).await);
    assert_eq!(unbound, "Unauthorized, account at pebble, externalAccountRequired");

    let client = |eab| client_of(&world.pebble, Arc::clone(&world.shelf), eab);
    let stranger = client(Some(eab("kid-2", MacAlgorithm::Hs256)));
    let refused = failed(stranger.perform(&act("stranger", true)).await);
    assert_eq!(refused, "Unauthorized, account at pebble, unauthorized");

    let without = failed(client(None).perform(&act("without", true)).await);
    assert_eq!(without, "Transient, ourselves, no problem");

    for algorithm in [MacAlgorithm::Hs384, MacAlgorithm::Hs512] {
        let other = client(Some(eab("kid-1", algorithm)));
        done_account(other.perform(&act(algorithm.as_str(), true)).await);
    }
}

#[tokio::test]
async fn profiles_are_honoured_and_unknown_ones_refused() {
    let world = World::start(|options| {
        options.profiles.push(("shortlived".into(), Duration::from_secs(6 * 86_400)));
    })
    .await;
    let account = world.account().await;
    let leaf = world.issue(&account, &["a.test"], "shortlived", None).await;
    // Pebble ends a second early, because both ends of a validity are inside.
    assert_eq!(leaf.validity.lifetime().as_secs(), 6 * 86_400 - 1);

    let unknown = world.client.perform(&new_order(&account, &["a.test"], "nope", None)).await;
    assert_eq!(failed(unknown), "Refused, ourselves, invalidProfile");
}

#[tokio::test]
async fn renewal_information_is_read_and_a_predecessor_is_replaced_once() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let leaf = world.issue(&account, &["a.test"], "default", None).await;
    let ari_id = leaf.ari_id.clone().unwrap();
    let ask = AskKind::RenewalInfo { issuer: Name::new(ISSUER), leaf: ari_id.clone() };
    let Reply::RenewalInfo(facts) = world.client.ask(&ask).await else { panic!("no window") };
    assert!(leaf.validity.contains(facts.window.start) && leaf.validity.contains(facts.window.end));
    assert!(facts.retry_at.is_some());

    let order = world.order(&account, &["a.test"], "default", Some(&ari_id)).await;
    assert_eq!(order.replaces.as_ref(), Some(&ari_id));
    world.prove(&account, &order).await;
    let key = world.shelf.make("second", KeyAlgorithm::EcdsaP256);
    world.collect(&account, &order, &["a.test"], &key).await;

    let again = new_order(&account, &["a.test"], "default", Some(&ari_id));
    let again = failed(world.client.perform(&again).await);
    assert_eq!(again, "AlreadyReplaced, ourselves, alreadyReplaced");
}

#[tokio::test]
async fn renewal_information_that_makes_no_sense_is_no_answer() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let leaf = world.issue(&account, &["a.test"], "default", None).await;
    let pem = world.shelf.chain(leaf.fingerprint).unwrap();
    let leaf = leaf.ari_id.unwrap();
    let ask = AskKind::RenewalInfo { issuer: Name::new(ISSUER), leaf };
    let backwards =
        r#"{"suggestedWindow":{"start":"2030-01-02T00:00:00Z","end":"2030-01-01T00:00:00Z"}}"#;
    for nonsense in ["[", "{}", "<html>", backwards] {
        world.pebble.set_renewal_info(&pem, nonsense).await.unwrap();
        let reply = refused(world.client.ask(&ask).await);
        assert_eq!(reply, "Refused, issuer pebble, no problem", "{nonsense}");
    }
    let past =
        r#"{"suggestedWindow":{"start":"2020-01-01T00:00:00Z","end":"2020-01-02T00:00:00Z"}}"#;
    world.pebble.set_renewal_info(&pem, past).await.unwrap();
    let Reply::RenewalInfo(facts) = world.client.ask(&ask).await else { panic!("no window") };
    assert_eq!(facts.window.start, "2020-01-01T00:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn a_predecessor_that_the_ca_does_not_know_is_told_apart() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let unknown = perennial_core::words::AriCertId("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".into());
    let act = new_order(&account, &["a.test"], "default", Some(&unknown));
    let outcome = failed(world.client.perform(&act).await);
    assert!(outcome.starts_with("AlreadyReplaced, ourselves"), "{outcome}");
}

#[tokio::test]
async fn a_name_that_the_ca_refuses_is_blamed() {
    let world = World::start(|options| options.blocked = vec!["blocked.test".into()]).await;
    let account = world.account().await;
    let act = new_order(&account, &["good.test", "blocked.test"], "default", None);
    let outcome = failed(world.client.perform(&act).await);
    assert_eq!(outcome, "Refused, name blocked.test, rejectedIdentifier");
}

#[tokio::test]
async fn a_failed_challenge_blames_its_name_and_spoils_the_order() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let order = world.order(&account, &["a.test"], "default", None).await;
    let url = &order.authorizations[0];
    let authorization = world.authorization(&account, url).await;
    let kinds: Vec<&str> = authorization.challenges.iter().map(|c| c.kind.as_str()).collect();
    assert!(kinds.contains(&"dns-persist-01"), "{kinds:?}");
    let tokenless = |c: &&perennial_core::words::ChallengeFacts| c.token.is_none();
    let tokenless: Vec<_> = authorization.challenges.iter().filter(tokenless).collect();
    let may_be = |kind: &ChallengeKind| {
        matches!(kind, ChallengeKind::DnsPersist01 | ChallengeKind::Other(_))
    };
    assert!(tokenless.iter().all(|c| may_be(&c.kind)), "{tokenless:?}");

    // No answer is up.
    world.respond(&account, &authorization).await;
    let decided = world.decided(&account, url).await;
    assert_eq!(decided.status, AuthorizationStatus::Invalid);
    let error = decided.challenges.iter().find_map(|c| c.error.as_ref()).unwrap();
    let verdict = blame_problem(error, Some(&decided.identifier), &Name::new(ISSUER));
    let name = Identifier::new("a.test").unwrap();
    assert_eq!(verdict, (FailureKind::Refused, Blame::Name(name)), "{error:?}");
    assert_eq!(world.look_at(&account, &order.url).await.status, OrderStatus::Invalid);
}

#[tokio::test]
async fn finalizing_too_early_or_with_other_names_is_refused() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let key = world.shelf.make("leaf", KeyAlgorithm::EcdsaP256);
    let order = world.order(&account, &["a.test", "b.test"], "default", None).await;
    let early =
        world.client.perform(&finalize(&account, &order, &["a.test", "b.test"], &key)).await;
    assert_eq!(failed(early), "Transient, ourselves, orderNotReady");

    world.prove(&account, &order).await;
    let other = world.client.perform(&finalize(&account, &order, &["a.test"], &key)).await;
    assert_eq!(failed(other), "Refused, ourselves, unauthorized");
}

#[tokio::test]
async fn a_ca_that_forgot_us_is_met_with_the_same_key() {
    let mut world = World::start(|_| ()).await;
    let account = world.account().await;
    let order = world.order(&account, &["a.test"], "default", None).await;
    world.pebble.restart().await.unwrap();

    let ask = AskKind::Order { account: account.clone(), order: order.url.clone() };
    let reply = refused(world.client.ask(&ask).await);
    assert_eq!(reply, "AccountUnknown, account at pebble, accountDoesNotExist");
    let outcome = world.client.perform(&new_order(&account, &["a.test"], "default", None)).await;
    assert_eq!(failed(outcome), "AccountUnknown, account at pebble, accountDoesNotExist");

    let again = world.account().await;
    let ask = AskKind::Order { account: again.clone(), order: order.url };
    assert!(refused(world.client.ask(&ask).await).starts_with("Gone, ourselves"));
    let ask = AskKind::Authorization {
        account: again.clone(),
        authorization: order.authorizations[0].clone(),
    };
    assert!(refused(world.client.ask(&ask).await).starts_with("Gone, ourselves"));
    world.issue(&again, &["a.test"], "default", None).await;
}

#[tokio::test]
async fn a_ca_that_is_down_was_never_told() {
    let mut world = World::start(|_| ()).await;
    let account = world.account().await;
    world.pebble.stop();
    // One without connections from before, on which a request may have been heard.
    let client = client_of(&world.pebble, Arc::clone(&world.shelf), None);
    let outcome = client.perform(&new_order(&account, &["a.test"], "default", None)).await;
    assert_eq!(failed(outcome), "Transient, issuer pebble, no problem");
    let ask = AskKind::Directory { issuer: Name::new(ISSUER) };
    assert_eq!(refused(client.ask(&ask).await), "Transient, issuer pebble, no problem");
}

#[tokio::test]
async fn a_key_that_is_not_there_is_our_own_fault_and_nothing_is_sent() {
    let world = World::start(|_| ()).await;
    let outcome = world.client.perform(&new_account(&Slot("nowhere".into()))).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.kind, &failure.blame), (FailureKind::Transient, &Blame::Ourselves));
    let text =
        "could not make or find the account at pebble: read the key of slot nowhere: there is none";
    assert_eq!(failure.to_string(), text);
}

#[tokio::test]
async fn an_action_for_another_issuer_or_room_is_our_own_fault() {
    let world = World::start(|_| ()).await;
    let mut account = world.account().await;
    account.issuer = Name::new("other");
    let outcome = world.client.perform(&new_order(&account, &["a.test"], "default", None)).await;
    assert_eq!(failed(outcome), "Transient, ourselves, no problem");
    let act = ActKind::DropKey { slot: Slot("account".into()) };
    assert_eq!(failed(world.client.perform(&act).await), "Transient, ourselves, no problem");
}

#[tokio::test]
async fn alternate_chains_are_fetched_beside_the_first_one_and_end_at_other_roots() {
    let world = World::start(|options| {
        options.alternate_roots = 2;
        options.chain_length = 3;
    })
    .await;
    let account = world.account().await;
    let order = world.order(&account, &["a.test"], "default", None).await;
    world.prove(&account, &order).await;
    let key = world.shelf.make("leaf", KeyAlgorithm::EcdsaP256);
    let first = world.collect_chain(&account, &order, &["a.test"], &key).await;
    assert_eq!((first.kept, first.alternates.len()), (first.leaf.fingerprint, 2));
    let mut roots = BTreeSet::from([first.leaf.traits.clone().unwrap().root.clone()]);
    for url in &first.alternates {
        let alternate = world.chain(&account, url.clone(), true).await;
        assert_eq!(alternate.leaf.fingerprint, first.leaf.fingerprint);
        assert_ne!(alternate.kept, first.kept, "it does not take the first one's place");
        roots.insert(alternate.leaf.traits.clone().unwrap().root.clone());
        let pem = world.shelf.chain(alternate.kept).unwrap();
        assert_eq!(Chain::from_pem(pem.as_bytes()).unwrap().fingerprint(), first.leaf.fingerprint);
    }
    assert_eq!(roots.len(), 3, "{roots:?}");
    let pem = world.shelf.chain(first.leaf.fingerprint).unwrap();
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 4);
}

#[tokio::test]
async fn a_leaf_is_revoked_by_its_account_or_its_key_and_once_more_is_as_good() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    for by_account in [true, false] {
        let order = world.order(&account, &["a.test"], "default", None).await;
        world.prove(&account, &order).await;
        let key = world.shelf.make(&format!("leaf {by_account}"), KeyAlgorithm::EcdsaP384);
        let leaf = world.collect(&account, &order, &["a.test"], &key).await;
        let act = ActKind::Revoke {
            issuer: Name::new(ISSUER),
            account: by_account.then(|| account.clone()),
            bundle: world.shelf.join(leaf.fingerprint, &key),
            reason: RevocationReason::KeyCompromise,
        };
        for _ in 0..2 {
            let outcome = world.client.perform(&act).await;
            assert_eq!(outcome, Outcome::Done(Fact::Revoked), "by account: {by_account}");
        }
    }
}

#[tokio::test]
async fn an_account_changes_its_key_and_only_the_next_one_has_it_then() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let kinds = [KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP256];
    let mut present = account.key.clone();
    for algorithm in kinds {
        let next = world.shelf.make(&format!("{algorithm:?}"), algorithm);
        let holder = async |key: &Slot| {
            let ask = AskKind::Account { issuer: Name::new(ISSUER), key: key.clone() };
            match world.client.ask(&ask).await {
                Reply::Account(found) => found.map(|facts| facts.url),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (holder(&present).await.as_ref(), holder(&next).await),
            (Some(&account.url), None)
        );
        let now = AccountRef { key: present.clone(), ..account.clone() };
        let act = ActKind::ChangeKey { account: now, key: next.clone() };
        assert_eq!(world.client.perform(&act).await, Outcome::Done(Fact::KeyChanged));
        assert_eq!(
            (holder(&present).await, holder(&next).await.as_ref()),
            (None, Some(&account.url))
        );
        present = next;
    }
    let account = AccountRef { key: present, ..account };
    world.issue(&account, &["a.test"], "default", None).await;
    let ended =
        done_account(world.client.perform(&ActKind::EndAccount { account: account.clone() }).await);
    assert_eq!(ended.status, AccountStatus::Deactivated);
    let told =
        failed(world.client.perform(&new_order(&account, &["a.test"], "default", None)).await);
    assert_eq!(told, "Unauthorized, account at pebble, unauthorized");
}

#[tokio::test]
async fn an_account_that_never_had_the_name_may_not_revoke() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let order = world.order(&account, &["a.test"], "default", None).await;
    world.prove(&account, &order).await;
    let key = world.shelf.make("leaf", KeyAlgorithm::EcdsaP256);
    let leaf = world.collect(&account, &order, &["a.test"], &key).await;
    let other = world.shelf.make("other", KeyAlgorithm::EcdsaP256);
    let url = done_account(world.client.perform(&new_account(&other)).await).url;
    let issuer = Name::new(ISSUER);
    let act = ActKind::Revoke {
        issuer: issuer.clone(),
        account: Some(AccountRef { issuer, url, key: other }),
        bundle: world.shelf.join(leaf.fingerprint, &key),
        reason: RevocationReason::Unspecified,
    };
    let told = failed(world.client.perform(&act).await);
    assert_eq!(told, "Unauthorized, account at pebble, unauthorized");
}

#[tokio::test]
async fn a_reused_authorization_makes_an_order_ready_at_once() {
    let world = World::start(|options| options.authz_reuse_percent = 100).await;
    let account = world.account().await;
    world.issue(&account, &["a.test"], "default", None).await;
    let order = world.order(&account, &["a.test"], "default", None).await;
    let authorization = world.authorization(&account, &order.authorizations[0]).await;
    assert_eq!(authorization.status, AuthorizationStatus::Valid);
    assert_eq!(world.look_at(&account, &order.url).await.status, OrderStatus::Ready);
}

#[tokio::test]
async fn a_challenge_that_was_answered_already_says_that_things_have_moved_on() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let order = world.order(&account, &["a.test"], "default", None).await;
    let challenge = {
        let authorization = world.authorization(&account, &order.authorizations[0]).await;
        super::world::http_01(&authorization).url.clone()
    };
    world.prove(&account, &order).await;
    let act = ActKind::Respond { account, challenge, kind: ChallengeKind::Http01 };
    assert_eq!(failed(world.client.perform(&act).await), "Transient, ourselves, malformed");
}

#[tokio::test]
async fn a_url_that_nobody_gave_us_is_gone() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let base = world.pebble.directory_url().replace("/dir", "");
    let certificate = Url::from(&*format!("{base}/certZ/1234"));
    let ask = AskKind::Chain { account, certificate, alternate: false };
    assert!(refused(world.client.ask(&ask).await).starts_with("Gone, ourselves"));
}

#[tokio::test]
async fn a_hundred_signed_requests_pass_though_30_percent_of_nonces_are_refused() {
    let world = World::start(|_| ()).await;
    let shelf: &Memory = &world.shelf;
    let key = shelf.make("account", KeyAlgorithm::EcdsaP256);
    for _ in 0..100 {
        done_account(world.client.perform(&new_account(&key)).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_one_client_and_each_gets_its_own_order() {
    let world = World::start(|_| ()).await;
    let account = world.account().await;
    let client = Arc::new(client_of(&world.pebble, Arc::clone(&world.shelf), None));
    let tasks = (0..40).map(|_| {
        let (client, account) = (Arc::clone(&client), account.clone());
        let act = new_order(&account, &["a.test"], "default", None);
        tokio::spawn(async move { client.perform(&act).await })
    });
    let mut urls: Vec<String> = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        urls.push(done_order(task.await.unwrap()).url.to_string());
    }
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 40);
}
