//! The HAProxy recipe against a real HAProxy.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use perennial_core::action::{Fact, Outcome};
use perennial_core::words::{Blame, FailureKind, Identifier, Name, Variant};
use perennial_peers::{Haproxy, HaproxyOptions, Port, Program as Peer, Wrk, WrkOptions};
use perennial_wire::program::Program;

use super::super::{AccessSettings, Covers, HaproxySettings, TargetSettings, Targets};
use super::variants::assert_shows;
use super::world::{World, activate, failure, inspect, inspect_for, stage, validate, www};

fn www_rsa() -> Name {
    Name::new("www-rsa")
}

fn settings(world: &World, haproxy: &Haproxy) -> HaproxySettings {
    let names = ["example.org", "www.example.org"];
    let identifiers = names.map(|name| Identifier::new(name).unwrap());
    let covers = |variant| Covers { identifiers: identifiers.to_vec().into(), variant };
    let certificates = [(www(), covers(Variant::Ecdsa)), (www_rsa(), covers(Variant::Rsa))];
    HaproxySettings {
        config: haproxy.conf_path(),
        binary: Peer::HAPROXY.locate().unwrap(),
        runtime: None,
        // A reload would be seen: it fails, unless a test wants one.
        reload: command(&["false"]),
        dir: world.path("live"),
        former: BTreeMap::new(),
        access: AccessSettings::default(),
        take_over: false,
        certificates: BTreeMap::from(certificates),
        limit: Duration::from_secs(20),
    }
}

fn command(argv: &[&str]) -> Program {
    let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
    Program::new(&argv, Duration::from_secs(20)).unwrap()
}

fn targets(world: &World, settings: HaproxySettings) -> Targets {
    world.targets(TargetSettings::Haproxy(settings))
}

/// Writes a file that somebody else put there: leaf, chain and key in one.
fn foreign(world: &World, number: u8) -> PathBuf {
    let text = format!("{}{}", world.bundles.fullchain(number), world.bundles.key(number));
    world.write(&format!("etc/{number}.pem"), &text)
}

fn combined(world: &World, certificate: &Name) -> PathBuf {
    world.path("live").join(certificate.as_str()).join("current/combined.pem")
}

#[tokio::test]
async fn both_variants_are_exchanged_at_run_time_under_load_and_no_request_fails() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (ecdsa, rsa) = (foreign(&world, 4), foreign(&world, 5));
    let crt = format!("crt {} crt {}", ecdsa.display(), rsa.display());
    let haproxy = Haproxy::start(&HaproxyOptions::of(port.v4(), crt)).await.unwrap();
    let targets = targets(&world, settings(&world, &haproxy));
    for (name, leaf) in [(www(), 4), (www_rsa(), 5)] {
        let found = inspect_for(&targets, &name).await;
        assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(leaf), "{name}");
        assert_eq!((found.ours, found.key_matches), (false, Some(true)), "{name}");
        assert_eq!(found.remarks.len(), 0, "{name}");
    }
    let refused = failure(world.deploy(&targets, 1).await);
    assert!(refused.cause.contains("take_over"), "{refused}");
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(4)).await;

    let load = Wrk::start(&WrkOptions::of_handshakes(&format!("https://{}/", port.v4()))).unwrap();
    for (ecdsa, rsa) in [(1, 6), (2, 7), (3, 5), (1, 6)] {
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
    assert!(inspect(&targets).await.ours);
    let aside = world.read("etc/4.pem.before-perennial");
    assert!(aside.contains(world.bundles.key(4)), "what was there is kept aside");
    // What was written is what the next start reads.
    let mut haproxy = haproxy;
    haproxy.restart().await.unwrap();
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(1)).await;
    assert_shows(port.v4(), Variant::Rsa, world.bundles.leaf(6)).await;
    world.assert_no_key_without_its_leaf("haproxy");
}

#[tokio::test]
async fn a_list_is_read_and_a_file_that_haproxy_does_not_know_yet_takes_a_reload() {
    let world = World::new();
    let port = Port::free().unwrap();
    let ecdsa = foreign(&world, 4);
    let list = world.write("etc/list", &format!("{} [alpn http/1.1] *.org\n", ecdsa.display()));
    let crt = format!("crt-list {}", list.display());
    let haproxy = Haproxy::start(&HaproxyOptions::of(port.v4(), crt)).await.unwrap();
    let mut settings = settings(&world, &haproxy);
    let reload = haproxy.reload_command();
    settings.reload = command(&reload.iter().map(String::as_str).collect::<Vec<_>>());
    let targets = targets(&world, settings);
    // `*.org` is more than the certificates are for: the file is nobody's.
    let found = inspect(&targets).await;
    assert!(found.leaf.is_none());
    let said = found.remarks.join("; ");
    let file = combined(&world, &www());
    assert!(said.contains("no `bind` line") && said.contains(file.to_str().unwrap()), "{said}");

    let line = |file: &std::path::Path| format!("{} example.org www.example.org\n", file.display());
    assert_eq!(world.deploy(&targets, 1).await, Outcome::Done(Fact::Activated));
    fs::write(&list, format!("{} *.org\n{}", ecdsa.display(), line(&file))).unwrap();
    assert_eq!(inspect(&targets).await.remarks.len(), 0);
    let said = inspect_for(&targets, &www_rsa()).await.remarks.join("; ");
    assert!(said.contains("no RSA leaf stands beside") && said.contains("line 2"), "{said}");
    assert_eq!(world.deploy(&targets, 2).await, Outcome::Done(Fact::Activated));
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(2)).await;
}

#[tokio::test]
async fn a_runtime_api_that_allows_nothing_is_got_round_by_a_reload() {
    let world = World::new();
    let port = Port::free().unwrap();
    let ecdsa = foreign(&world, 4);
    let mut options = HaproxyOptions::of(port.v4(), format!("crt {}", ecdsa.display()));
    options.level = "operator";
    let haproxy = Haproxy::start(&options).await.unwrap();
    let mut settings = settings(&world, &haproxy);
    let failing = targets(&world, settings.clone());
    let refused = failure(world.deploy_for(&failing, &www(), 1, true).await);
    let because = "the configuration has no `stats socket` of `level admin`";
    assert!(refused.cause.contains(because), "{refused}");
    assert!(refused.cause.contains("the bundle before it is active again"), "{refused}");
    settings.runtime = Some(haproxy.socket());
    let refused = failure(targets(&world, settings.clone()).perform(&activate(1, true)).await);
    assert!(refused.cause.contains("`set ssl cert` was answered: "), "{refused}");

    let reload = haproxy.reload_command();
    settings.reload = command(&reload.iter().map(String::as_str).collect::<Vec<_>>());
    let targets = targets(&world, settings);
    let load = Wrk::start(&WrkOptions::of_handshakes(&format!("https://{}/", port.v4()))).unwrap();
    for number in [1, 2, 3] {
        let activated = world.deploy_for(&targets, &www(), number, true).await;
        assert_eq!(activated, Outcome::Done(Fact::Activated));
        assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(number)).await;
    }
    let report = load.stop().await.unwrap();
    assert!(report.requests > 10, "{report:?}");
    assert_eq!(report.failures(), 0, "{report:?}");
}

#[tokio::test]
async fn what_haproxy_cannot_load_is_found_before_anything_reads_it() {
    let world = World::new();
    let port = Port::free().unwrap();
    let ecdsa = foreign(&world, 4);
    let crt = format!("crt {}", ecdsa.display());
    let haproxy = Haproxy::start(&HaproxyOptions::of(port.v4(), crt)).await.unwrap();
    let targets = targets(&world, settings(&world, &haproxy));
    assert_eq!(targets.perform(&stage(1)).await, Outcome::Done(Fact::Staged));
    assert_eq!(targets.perform(&validate(1)).await, Outcome::Done(Fact::Validated));
    assert!(!world.path("live/www/.staging-trial").exists());
    let broken = format!("{}{}", world.bundles.fullchain(1), world.bundles.key(2));
    world.write("live/www/0100000000000000/combined.pem", &broken);
    let refused = failure(targets.perform(&validate(1)).await);
    let web = Blame::Target(Name::new("web"));
    assert_eq!((refused.kind, &refused.blame), (FailureKind::Refused, &web), "{refused}");
    assert!(refused.cause.contains("inconsistencies between private key"), "{refused}");
    // A configuration broken by others is found, too, and nothing is switched for good.
    assert_eq!(targets.perform(&stage(1)).await, Outcome::Done(Fact::Staged));
    let config = fs::read_to_string(haproxy.conf_path()).unwrap();
    fs::write(haproxy.conf_path(), format!("{config}  no-such-word\n")).unwrap();
    let refused = failure(targets.perform(&validate(1)).await);
    assert!(refused.cause.contains("no-such-word"), "{refused}");
    let refused = failure(targets.perform(&activate(1, true)).await);
    assert!(refused.cause.contains("the bundle before it is active again"), "{refused}");
    assert!(world.read("etc/4.pem").contains(world.bundles.key(4)));
}

#[tokio::test]
async fn files_of_a_folder_and_keys_beside_them_are_read_and_only_named_files_are_taken_over() {
    let world = World::new();
    let port = Port::free().unwrap();
    world.write("folder/4.pem", &world.bundles.fullchain(4));
    world.write("folder/4.pem.key", world.bundles.key(4));
    let crt = format!("crt {}", world.path("folder").display());
    let mut haproxy = Haproxy::start(&HaproxyOptions::of(port.v4(), crt)).await.unwrap();
    let targets = targets(&world, settings(&world, &haproxy));
    let found = inspect(&targets).await;
    assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(4));
    assert_eq!(found.key_matches, Some(true));
    let refused = failure(world.deploy_for(&targets, &www(), 1, true).await);
    assert!(refused.cause.contains("whose files are not taken over"), "{refused}");

    let named = format!("crt {}", world.path("folder/4.pem").display());
    haproxy.configure(&HaproxyOptions::of(port.v4(), named)).unwrap();
    haproxy.restart().await.unwrap();
    let activated = world.deploy_for(&targets, &www(), 1, true).await;
    assert_eq!(activated, Outcome::Done(Fact::Activated));
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(1)).await;
    assert_eq!(world.read("folder/4.pem.key"), world.bundles.key(1));
    haproxy.restart().await.unwrap();
    assert_shows(port.v4(), Variant::Ecdsa, world.bundles.leaf(1)).await;
}
