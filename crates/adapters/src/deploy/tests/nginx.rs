//! The nginx recipe against a real nginx.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_core::action::{Fact, Outcome};
use perennial_core::words::{Blame, FailureKind, Fingerprint, Identifier, Name, Variant};
use perennial_peers::{Nginx, NginxOptions, Port, Program, Server, Wrk, WrkOptions};

use super::super::{AccessSettings, Covers, NginxSettings, TargetSettings, Targets};
use super::world::{World, activate, failure, inspect, stage, validate, www};

pub(super) fn settings(world: &World, nginx: &Nginx) -> NginxSettings {
    let names = ["example.org", "www.example.org"];
    let names = names.map(|name| Identifier::new(name).unwrap());
    let covers = Covers { identifiers: names.into(), variant: Variant::Ecdsa };
    NginxSettings {
        former: std::collections::BTreeMap::new(),
        config: nginx.dir().to_owned(),
        binary: Program::NGINX.locate().unwrap(),
        prefix: Some(nginx.dir().to_owned()),
        dir: world.path("live"),
        access: AccessSettings::default(),
        take_over: false,
        certificates: BTreeMap::from([(www(), covers)]),
        limit: Duration::from_secs(20),
    }
}

fn targets(world: &World, nginx: &Nginx) -> Targets {
    world.targets(TargetSettings::Nginx(settings(world, nginx)))
}

/// Writes the files that somebody else put there.
pub(super) fn foreign(world: &World, number: u8) -> (PathBuf, PathBuf) {
    let chain = world.write(&format!("etc/{number}.pem"), &world.bundles.fullchain(number));
    let key = world.write(&format!("etc/{number}.key"), world.bundles.key(number));
    (chain, key)
}

pub(super) fn server(names: &[&str], at: SocketAddr, (chain, key): (&Path, &Path)) -> Server {
    Server::named(names).https(at).cert(chain, key)
}

pub(super) async fn start(servers: Vec<Server>) -> Nginx {
    Nginx::start(NginxOptions { servers, raw: String::new() }).await.unwrap()
}

/// Waits until the server shows a leaf to fresh connections.
async fn assert_serves(at: SocketAddr, name: &str, leaf: Fingerprint) {
    let shown = async || {
        let served = served(at, name).await;
        (served == Some(leaf)).then_some(())
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while shown().await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{name} at {at} does not show {leaf}"));
}

/// Asks by openssl, so that nothing of ours judges what is shown.
async fn served(at: SocketAddr, name: &str) -> Option<Fingerprint> {
    let mut command = tokio::process::Command::new("openssl");
    command.args(["s_client", "-connect", &at.to_string(), "-servername", name]);
    let output = command.stdin(std::process::Stdio::null()).output().await;
    let output = output.expect("openssl is needed: apt-get install openssl");
    perennial_wire::x509::Chain::from_pem(&output.stdout).ok().map(|chain| chain.fingerprint())
}

#[tokio::test]
async fn what_points_at_our_folder_is_renewed_by_stage_check_and_activate() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (chain, key) = foreign(&world, 4);
    let current = world.path("live/www/current");
    let ours = (current.join("fullchain.pem"), current.join("privkey.pem"));
    // nginx cannot start before there is something in our folder.
    let mut nginx = start(vec![server(&["other.org"], port.v4(), (&chain, &key))]).await;
    let targets = targets(&world, &nginx);
    world.deploy(&targets, 1).await;
    let servers = vec![
        server(&["other.org"], port.v4(), (&chain, &key)),
        server(&["example.org", "www.example.org"], port.v4(), (&ours.0, &ours.1)),
    ];
    nginx.configure(&NginxOptions { servers, raw: String::new() }).unwrap();
    nginx.reload().await.unwrap();
    assert_serves(port.v4(), "www.example.org", world.bundles.leaf(1)).await;
    assert!(inspect(&targets).await.ours);

    assert_eq!(targets.perform(&stage(2)).await, Outcome::Done(Fact::Staged));
    assert_eq!(targets.perform(&validate(2)).await, Outcome::Done(Fact::Validated));
    assert_eq!(targets.perform(&activate(2, false)).await, Outcome::Done(Fact::Activated));
    assert_serves(port.v4(), "www.example.org", world.bundles.leaf(2)).await;
    assert_serves(port.v4(), "other.org", world.bundles.leaf(4)).await;
    assert!(!world.path("live/www/.staging-trial").exists());
}

#[tokio::test]
async fn twenty_switches_under_load_fail_no_request() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (chain, key) = foreign(&world, 4);
    let nginx = start(vec![server(&["example.org"], port.v4(), (&chain, &key))]).await;
    let targets = targets(&world, &nginx);
    let load = Wrk::start(&WrkOptions::of_handshakes(&format!("https://{}/", port.v4()))).unwrap();
    for switch in 0..20 {
        let number = 1 + switch % 3;
        assert_eq!(targets.perform(&stage(number)).await, Outcome::Done(Fact::Staged));
        assert_eq!(targets.perform(&activate(number, true)).await, Outcome::Done(Fact::Activated));
        assert_serves(port.v4(), "example.org", world.bundles.leaf(number)).await;
    }
    let report = load.stop().await.unwrap();
    assert!(report.requests > 100, "{report:?}");
    assert_eq!(report.failures(), 0, "{report:?}");
}

#[tokio::test]
async fn files_of_others_are_adopted_and_taken_over_pair_by_pair() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (one, two) = (foreign(&world, 3), foreign(&world, 4));
    let servers = vec![
        server(&["example.org"], port.v4(), (&one.0, &one.1)),
        server(&["www.example.org"], port.v4(), (&two.0, &two.1)),
    ];
    let nginx = start(servers).await;
    let targets = targets(&world, &nginx);
    let found = inspect(&targets).await;
    assert_eq!((found.ours, found.key_matches), (false, Some(true)));
    assert_eq!(found.leaf.unwrap().fingerprint, world.bundles.leaf(3));

    let refused = failure(world.deploy(&targets, 1).await);
    assert!(refused.cause.contains("take_over"), "{refused}");
    assert_serves(port.v4(), "example.org", world.bundles.leaf(3)).await;

    assert_eq!(targets.perform(&activate(1, true)).await, Outcome::Done(Fact::Activated));
    for name in ["example.org", "www.example.org"] {
        assert_serves(port.v4(), name, world.bundles.leaf(1)).await;
    }
    assert_eq!(world.read("etc/3.key.before-perennial"), world.bundles.key(3));
    assert_eq!(world.deploy(&targets, 2).await, Outcome::Done(Fact::Activated));
    assert_serves(port.v4(), "www.example.org", world.bundles.leaf(2)).await;
}

#[tokio::test]
async fn what_keeps_clients_from_being_shown_it_is_told_with_file_and_line() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (chain, key) = foreign(&world, 4);
    let nginx = start(vec![server(&["other.org"], port.v4(), (&chain, &key))]).await;
    let targets = targets(&world, &nginx);
    let current = world.path("live/www/current");
    let point = format!("point its `ssl_certificate` at `{}/fullchain.pem`", current.display());
    let told = async || inspect(&targets).await.remarks.join("; ");
    let said = told().await;
    assert!(said.contains("no server block in") && said.contains(&point), "{said}");

    assert_eq!(world.deploy(&targets, 1).await, Outcome::Done(Fact::Activated));
    let conf = nginx.dir().join("conf.d/99.conf");
    let block = |names: &str, leaf: &str, key: &str| {
        let listen = port.v4();
        let text = format!(
            "\nserver {{ listen {listen} ssl; server_name {names};\n\
             ssl_certificate {leaf}; ssl_certificate_key {key}; }}\n"
        );
        fs::write(&conf, text).unwrap();
    };
    let (leaf, own_key) = (current.join("fullchain.pem"), current.join("privkey.pem"));
    let (leaf, own_key) = (leaf.to_str().unwrap(), own_key.to_str().unwrap());
    let (chain, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
    for (leaf, key) in [(chain, key), (leaf, own_key)] {
        block("example.org shop.org", leaf, key);
        let said = told().await;
        let place = format!("the server block of example.org ({} line 2)", conf.display());
        assert!(said.starts_with(&place), "{said}");
        assert!(said.contains("has the name `shop.org`, which this certificate lacks"), "{said}");
    }
    block("example.org", "$ssl_server_name.pem", own_key);
    let said = told().await;
    assert!(said.contains("line 2) names files in a way that is not understood"), "{said}");
    block("example.org", leaf, own_key);
    assert_eq!(told().await, "");
}

#[tokio::test]
async fn files_shared_with_names_that_are_not_covered_are_not_taken_over() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (chain, key) = foreign(&world, 4);
    let servers = vec![
        server(&["example.org"], port.v4(), (&chain, &key)),
        server(&["other.org"], port.v4(), (&chain, &key)),
    ];
    let nginx = start(servers).await;
    let targets = targets(&world, &nginx);
    targets.perform(&stage(1)).await;
    let refused = failure(targets.perform(&activate(1, true)).await);
    assert_eq!(refused.blame, Blame::Target(Name::new("web")));
    assert!(refused.cause.contains("also used by the server block of other.org"), "{refused}");
    assert_eq!(world.read("etc/4.pem"), world.bundles.fullchain(4));
}

#[tokio::test]
async fn a_configuration_broken_by_others_is_found_before_anything_is_switched() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (chain, key) = foreign(&world, 4);
    let nginx = start(vec![server(&["example.org"], port.v4(), (&chain, &key))]).await;
    let targets = targets(&world, &nginx);
    targets.perform(&stage(1)).await;
    fs::write(nginx.dir().join("conf.d/99.conf"), "no_such_directive on;\n").unwrap();
    let refused = failure(targets.perform(&validate(1)).await);
    assert_eq!(
        (refused.kind, &refused.blame),
        (FailureKind::Refused, &Blame::Target(Name::new("web")),)
    );
    assert!(refused.cause.contains("no_such_directive"), "{refused}");

    // Should it come to a switch all the same, it is taken back without telling the server.
    let refused = failure(targets.perform(&activate(1, true)).await);
    assert!(refused.cause.contains("the bundle before it is active again"), "{refused}");
    assert_eq!(world.read("etc/4.pem"), world.bundles.fullchain(4));
    assert_serves(port.v4(), "example.org", world.bundles.leaf(4)).await;

    fs::write(nginx.dir().join("conf.d/99.conf"), "server {\n").unwrap();
    let failed = failure(targets.perform(&activate(1, true)).await);
    assert!(failed.cause.contains("99.conf` line 1"), "{failed}");
}

#[tokio::test]
async fn a_pair_that_nginx_cannot_load_is_found_before_anything_reads_it() {
    let world = World::new();
    let port = Port::free().unwrap();
    let (chain, key) = foreign(&world, 4);
    let nginx = start(vec![server(&["other.org"], port.v4(), (&chain, &key))]).await;
    let targets = targets(&world, &nginx);
    targets.perform(&stage(1)).await;
    world.write("live/www/0100000000000000/privkey.pem", world.bundles.key(2));
    let refused = failure(targets.perform(&validate(1)).await);
    assert!(refused.cause.contains("key values mismatch"), "{refused}");
}
