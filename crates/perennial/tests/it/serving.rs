//! What is served, and whose files it comes from: old leaves, certbot's files, taking over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use perennial_core::driver::Driver;
use perennial_core::finding::Code;
use perennial_core::state::{DeployStep, Found};
use perennial_core::words::{Blame, LeafFacts, Name};
use perennial_peers::{Certbot, CertbotProof, Nginx, NginxOptions, Server};

use crate::running::{Running, certificate_of};
use crate::world::{Plan, WWW_BY_LISTENER, WWW_BY_WEBROOT, World, any_name};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_goes_on_serving_the_old_leaf_is_named() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let (one, two) = ("[\"127.0.0.1:@HTTP@\"]", "[\"127.0.0.1:@HTTP@\", \"127.0.0.2:@HTTP@\"]");
    let mut daemon = Running::start(&world.write(&WWW_BY_LISTENER.replace(one, two))).await;
    daemon.until_seen("www", 1).await;
    // Another nginx serves the same files at a second address, and nobody will reload it.
    let current = world.path("live/www/current");
    let (chain, key) = (current.join("fullchain.pem"), current.join("privkey.pem"));
    let second = Server::named(&[]).https(world.https.on(2)).cert(chain, key);
    let options = NginxOptions { servers: vec![second], raw: String::new() };
    let second = Nginx::start(options).await.unwrap();
    dns.add_a("www.example.test", &["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()])
        .await
        .unwrap();
    daemon.renew("www");
    let incident = daemon.until_found(Code::TargetNotReloaded).await;
    let subject = format!("www.example.test:{} [{}]", world.https.number(), world.https.on(2));
    assert_eq!(&*incident.subject, subject);
    second.reload().await.unwrap();
    daemon.until_gone(Code::TargetNotReloaded).await;
    daemon.until_seen("www", 2).await;
    daemon.stop().await;
}

/// Returns the targets of `www` at which its leaf with this number was seen.
fn seen_at(driver: &Driver, number: u32) -> Option<Vec<String>> {
    let certificate = certificate_of(driver, &Name::new("www"))?;
    let is_seen = |step| matches!(step, DeployStep::Seen { leaf, .. } if leaf == number);
    let seen = certificate.targets.iter().filter(|ledger| is_seen(ledger.step));
    Some(seen.map(|ledger| ledger.target.to_string()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_of_three_that_is_down_keeps_only_itself_waiting_and_catches_up() {
    let dns = any_name().await;
    let mut world = World::new(dns.addr(), &["www.example.test"]).await;
    let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    dns.add_a("www.example.test", &addresses.map(|ip| ip.parse().unwrap())).await.unwrap();
    let all = addresses.map(|ip| format!("\"{ip}:@HTTP@\"")).join(", ");
    let mut config = WWW_BY_LISTENER
        .replace("listen = [\"127.0.0.1:@HTTP@\"]", &format!("listen = [{all}]"))
        .replace("targets = [\"web\"]", "targets = [\"web\", \"web2\", \"web3\"]");
    world.target += "\nserves_at = [\"127.0.0.1\"]";
    let mut others = Vec::new();
    for number in [2_u8, 3] {
        let (chain, key) = (format!("old{number}.pem"), format!("old{number}.key"));
        fs::copy(world.path("old.pem"), world.path(&chain)).unwrap();
        fs::copy(world.path("old.key"), world.path(&key)).unwrap();
        let server = Server::named(&["www.example.test"])
            .https(world.https.on(number))
            .cert(world.path(&chain), world.path(&key));
        let options = NginxOptions { servers: vec![server], raw: String::new() };
        let nginx = Nginx::start(options).await.unwrap();
        let (conf, prefix) = (nginx.conf_path(), nginx.dir().to_path_buf());
        config += &format!(
            "[target.web{number}]\nnginx = \"{}\"\nprefix = \"{}\"\nfiles = \"@DIR@/live{number}\"\n\
             take_over = true\nsettle = \"2s\"\nserves_at = [\"127.0.0.{number}\"]\n",
            conf.display(),
            prefix.display(),
        );
        others.push(nginx);
    }
    let mut daemon = Running::start(&world.write(&config)).await;
    daemon.until_seen("www", 1).await;
    let third = others.last_mut().unwrap();
    third.stop();
    daemon.renew("www");
    let two = ["web", "web2"];
    let both = move |driver: &Driver, _| (seen_at(driver, 2)? == two).then_some(());
    daemon.until("the two that run are done", both).await;
    let failing = daemon.until_found(Code::TargetFailing).await;
    assert_eq!(failing.blame, Some(Blame::Target(Name::new("web3"))), "{failing:?}");
    let dead = daemon.until_found(Code::EndpointUnreachable).await;
    assert!(matches!(dead.blame, Some(Blame::Endpoint(_))), "{dead:?}");
    assert!(dead.subject.contains("127.0.0.3"), "{dead:?}");
    third.restart().await.unwrap();
    daemon.until_seen("www", 2).await;
    daemon.until_gone(Code::TargetFailing).await;
    assert_eq!(daemon.orders(), 2, "catching up takes no order");
    daemon.stop().await;
}

/// A world in which certbot got a certificate and nginx serves it from certbot's files.
async fn after_certbot(dns: std::net::SocketAddr) -> (World, Certbot, PathBuf) {
    let mut plan = Plan::new(dns, &["www.example.test"]);
    plan.webroot = true;
    plan.pebble.nonce_reject_percent = 0; // certbot gives up at the second in a row
    let mut world = World::of(plan).await;
    let certbot = Certbot::new().unwrap();
    let proof = CertbotProof::Webroot(world.path("webroot"));
    let live = certbot.issue(&world.pebble, &["www.example.test"], &proof).await.unwrap();
    let server = Server::named(&["www.example.test"])
        .http(world.http.v4())
        .webroot(world.path("webroot"))
        .https(world.https.v4())
        .cert(live.join("fullchain.pem"), live.join("privkey.pem"));
    world.nginx.configure(&NginxOptions { servers: vec![server], raw: String::new() }).unwrap();
    world.nginx.restart().await.unwrap();
    (world, certbot, live)
}

#[tokio::test(flavor = "multi_thread")]
async fn certbots_certificate_is_adopted_without_an_order_and_without_touching_a_file() {
    let dns = any_name().await;
    let (mut world, certbot, live) = after_certbot(dns.addr()).await;
    world.target = "settle = \"2s\"".into();
    let trees = [certbot.dir().to_path_buf(), world.nginx.dir().join("conf.d")];
    let before = trees.each_ref().map(|folder| tree(folder));
    let mut daemon = Running::start(&world.write(WWW_BY_WEBROOT)).await;
    let adopted = daemon.until("certbot's leaf adopted", |driver, _| adopted(driver)).await;
    daemon.until_found(Code::TargetNotOurs).await;
    let suggestion =
        |driver: &Driver, _| certificate_of(driver, &Name::new("www"))?.suggestion.clone();
    daemon.until("suggestion", suggestion).await;
    assert_eq!(trees.each_ref().map(|folder| tree(folder)), before, "a file was touched");
    assert!(!world.path("live").exists(), "files of ours for nobody");
    assert_eq!((world.orders(), daemon.orders()), (1, 0), "only certbot's own order");
    // Then a person lets us take over, and asks for a renewal.
    world.target = "settle = \"2s\"\ntake_over = true".into();
    world.write(WWW_BY_WEBROOT);
    daemon.reload();
    daemon.until_gone(Code::TargetNotOurs).await;
    assert_eq!(daemon.orders(), 0, "a valid leaf is not replaced because we may");
    daemon.renew("www");
    let ours = daemon.until_seen("www", 2).await;
    assert_ne!(ours.fingerprint, adopted.fingerprint);
    assert_eq!(world.orders(), 2);
    let archived = fs::read(certbot.config_dir().join("archive/www.example.test/privkey1.pem"));
    let aside = fs::read(live.join("privkey.pem.before-perennial"));
    assert_eq!(aside.unwrap(), archived.unwrap(), "the old key is kept aside");
    daemon.stop().await;
}

/// Returns the leaf that lies at the target and was taken on as it is, if it was.
fn adopted(driver: &Driver) -> Option<LeafFacts> {
    let certificate = certificate_of(driver, &Name::new("www"))?;
    let leaf = certificate.leaf.as_deref().filter(|leaf| leaf.bundle.is_none())?;
    match &certificate.targets.first()?.found {
        Found::Leaf { facts, ours: false, .. } if *facts == leaf.facts => {
            Some((*leaf.facts).clone())
        }
        _ => None,
    }
}

/// What is known of a file: its content or where it links to, and when it changed.
type Seen = (Vec<u8>, Option<SystemTime>);

/// Returns every file and link below a folder.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            seen.insert(path, (content, meta.modified().ok()));
        }
    }
    seen
}
