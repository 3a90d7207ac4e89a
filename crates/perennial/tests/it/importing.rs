//! Going on with what other tools keep: trees made by the tools themselves, renewed by us.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use perennial_core::driver::Driver;
use perennial_core::state::Account;
use perennial_core::words::Name;
use perennial_peers::{Certbot, CertbotProof, Lego, NginxOptions, Server};

use crate::process::{Ended, command};
use crate::running::{Running, certificate_of};
use crate::world::{Plan, WWW_BY_WEBROOT, World, any_name};

/// A world whose web server shows a webroot, in which other tools get certificates.
async fn world(dns: std::net::SocketAddr) -> World {
    let mut plan = Plan::new(dns, &["www.example.test"]);
    plan.webroot = true;
    plan.pebble.nonce_reject_percent = 0; // certbot gives up at the second in a row
    World::of(plan).await
}

/// Lets nginx serve a leaf from the files of another tool.
async fn serve(world: &mut World, fullchain: &Path, key: &Path) {
    let server = Server::named(&["www.example.test"])
        .http(world.http.v4())
        .webroot(world.path("webroot"))
        .https(world.https.v4())
        .cert(fullchain, key);
    world.nginx.configure(&NginxOptions { servers: vec![server], raw: String::new() }).unwrap();
    world.nginx.restart().await.unwrap();
}

fn run(config: &Path, args: &[&str]) -> Ended {
    let Output { status, stdout, stderr } = command(config, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Imports a tree into the store of a configuration, and returns what was said.
fn import(config: &Path, tool: &str, from: &Path) -> Ended {
    run(config, &["import", tool, "--from", from.to_str().unwrap()])
}

/// What must be true of every tool's tree once it is imported: nothing is ordered and no account is
/// made, the same leaf is installed and seen, and it is renewed under the same account.
async fn goes_on(world: &World, tool: &str, tree: &Path, url: Option<String>) {
    let config = world.write(WWW_BY_WEBROOT);
    let ended = import(&config, tool, tree);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    for part in ["account      pebble", "certificate  www", "goes on renewing by itself"] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    let again = import(&config, tool, tree);
    assert_eq!(again.code, Some(0), "{}{}", again.out, again.err);
    assert!(again.out.contains("nothing new"), "{}", again.out);
    let orders = world.orders();
    let mut daemon = Running::start(&config).await;
    let busy = import(&config, tool, tree);
    assert_eq!(busy.code, Some(3), "{}", busy.out);
    assert!(busy.err.contains("has it open"), "{}", busy.err);
    let imported = daemon.until_seen("www", 1).await;
    assert_eq!((world.orders(), daemon.orders()), (orders, 0), "nothing is ordered needlessly");
    daemon.renew("www");
    let renewed = daemon.until_seen("www", 2).await;
    assert_ne!(renewed.fingerprint, imported.fingerprint);
    assert_eq!(world.orders(), orders + 1);
    let account =
        |driver: &Driver, _| match &driver.state().issuers.get(&Name::new("pebble"))?.account {
            Account::Ready { url, former, .. } => Some((url.to_string(), former.is_none())),
            _ => None,
        };
    let (own, is_unmoved) = daemon.until("the account", account).await;
    assert!(is_unmoved && url.is_none_or(|url| url == own), "another account: {own}");
    let accounts = daemon.count("act.started", "\"new-account\"");
    assert_eq!(accounts, 0, "no account is made");
    let ari = imported.ari_id.unwrap().0;
    assert_eq!(daemon.count("attempt.began", &ari), 1, "the order replaces the imported leaf");
    let known = |driver: &Driver, _| certificate_of(driver, &Name::new("www"))?.leaf.clone();
    assert!(daemon.until("the leaf", known).await.bundle.is_some());
    daemon.stop().await;
}

/// Returns the URL of the only account in certbot's tree.
fn account_url(tree: &Path) -> String {
    let mut folders = vec![tree.join("accounts")];
    while let Some(folder) = folders.pop() {
        if let Ok(text) = fs::read_to_string(folder.join("regr.json")) {
            let regr: serde_json::Value = serde_json::from_str(&text).unwrap();
            return regr["uri"].as_str().unwrap().to_owned();
        }
        folders.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    panic!("no account in {}", tree.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn certbots_account_and_leaf_go_on_without_an_order_and_are_renewed() {
    let dns = any_name().await;
    let mut world = world(dns.addr()).await;
    let certbot = Certbot::new().unwrap();
    let proof = CertbotProof::Webroot(world.path("webroot"));
    let live = certbot.issue(&world.pebble, &["www.example.test"], &proof).await.unwrap();
    serve(&mut world, &live.join("fullchain.pem"), &live.join("privkey.pem")).await;
    let tree = certbot.config_dir();
    goes_on(&world, "certbot", &tree, Some(account_url(&tree))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn legos_account_and_leaf_go_on_without_an_order_and_are_renewed() {
    let dns = any_name().await;
    let mut world = world(dns.addr()).await;
    let lego = Lego::new().unwrap();
    lego.issue(&world.pebble, &["www.example.test"], &world.path("webroot")).await.unwrap();
    let kept = lego.tree().join("certificates");
    let files = ["crt", "key"].map(|end| kept.join(format!("www.example.test.{end}")));
    serve(&mut world, &files[0], &files[1]).await;
    goes_on(&world, "lego", &lego.tree(), None).await;
}

/// Writes a tree as acme.sh documents it, with an account and a leaf that lego got.
fn as_acme_sh(world: &World, lego: &Path) -> PathBuf {
    let tree = world.path("acme.sh");
    let directory = world.pebble.directory_url();
    let ca = tree.join("ca").join(directory.strip_prefix("https://").unwrap());
    let own = tree.join("www.example.test_ecc");
    for folder in [&ca, &own] {
        fs::create_dir_all(folder).unwrap();
    }
    let kept = |end: &str| lego.join(format!("certificates/www.example.test.{end}"));
    fs::copy(kept("crt"), own.join("fullchain.cer")).unwrap();
    fs::copy(kept("key"), own.join("www.example.test.key")).unwrap();
    let host = fs::read_dir(lego.join("accounts")).unwrap().next().unwrap().unwrap().path();
    let account = host.join("ops@example.test");
    fs::copy(account.join("keys/ops@example.test.key"), ca.join("account.key")).unwrap();
    let text = fs::read_to_string(account.join("account.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let url = json["registration"]["uri"].as_str().unwrap();
    fs::write(ca.join("ca.conf"), format!("ACCOUNT_URL='{url}'\n")).unwrap();
    let webroot = world.path("webroot");
    let conf = format!(
        "Le_Domain='www.example.test'\nLe_Alt='no'\nLe_Webroot='{}'\nLe_API='{directory}'\n\
         Le_Keylength='ec-256'\nLe_ReloadCmd='__ACME_BASE64__START_dHJ1ZQ==__ACME_BASE64__END_'\n",
        webroot.display()
    );
    fs::write(own.join("www.example.test.conf"), conf).unwrap();
    fs::write(tree.join("account.conf"), "ACCOUNT_EMAIL='ops@example.test'\n").unwrap();
    tree
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_as_acme_sh_documents_it_goes_on_without_an_order_and_is_renewed() {
    let dns = any_name().await;
    let mut world = world(dns.addr()).await;
    let lego = Lego::new().unwrap();
    lego.issue(&world.pebble, &["www.example.test"], &world.path("webroot")).await.unwrap();
    let tree = as_acme_sh(&world, &lego.tree());
    let own = tree.join("www.example.test_ecc");
    serve(&mut world, &own.join("fullchain.cer"), &own.join("www.example.test.key")).await;
    goes_on(&world, "acme.sh", &tree, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_one_is_written_that_goes_on_where_certbot_was() {
    let dns = any_name().await;
    let mut world = world(dns.addr()).await;
    let certbot = Certbot::new().unwrap();
    let proof = CertbotProof::Webroot(world.path("webroot"));
    let live = certbot.issue(&world.pebble, &["www.example.test"], &proof).await.unwrap();
    serve(&mut world, &live.join("fullchain.pem"), &live.join("privkey.pem")).await;
    let config = world.path("perennial.toml");
    let first = import(&config, "certbot", &certbot.config_dir());
    assert_eq!(first.code, Some(0), "{}{}", first.out, first.err);
    assert!(first.out.contains("nothing is taken over yet"), "{}", first.out);
    let mut text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("[certificate.\"www.example.test\"]"), "{text}");
    // What is of this test's world alone: its roots, its ports, its folders, a server to be told.
    let nginx = world.nginx.dir().join("nginx.pid");
    let reload = format!("kill -HUP $(cat {})", nginx.display());
    let dir = world.folder.path().display().to_string();
    text = text
        .replace(
            "[issuer.\"127.0.0.1\"]\n",
            &format!("[issuer.\"127.0.0.1\"]\nroots = \"{dir}/roots.pem\"\n"),
        )
        .replace("/var/lib/perennial/live", &format!("{dir}/live"))
        .replace(
            "take_over = true",
            &format!("reload = [\"sh\", \"-c\", \"{reload}\"]\ntake_over = true"),
        )
        .replace(
            "targets = [\"www.example.test\"]",
            &format!(
                "targets = [\"www.example.test\"]\nendpoints = [\"www.example.test:{}\"]",
                world.https.number()
            ),
        );
    let resolver = world.resolver;
    text =
        format!("{text}\n[store]\ndir = \"{dir}/store\"\n[resolver]\nservers = [\"{resolver}\"]\n");
    fs::write(&config, &text).unwrap();
    let plan = run(&config, &["plan"]);
    assert_eq!(plan.code, Some(0), "{}{}\n{text}", plan.out, plan.err);
    let second = import(&config, "certbot", &certbot.config_dir());
    assert_eq!(second.code, Some(0), "{}{}", second.out, second.err);
    let mut daemon = Running::start(&config).await;
    daemon.until_seen("www.example.test", 1).await;
    daemon.renew("www.example.test");
    daemon.until_seen("www.example.test", 2).await;
    assert_eq!(world.orders(), 2);
    assert!(live.join("fullchain.pem").is_symlink(), "servers read the path that they know");
    daemon.stop().await;
}
