//! dns-01 and dns-account-01 on real name servers: BIND and Knot with TSIG, delegated names, a program.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use perennial_core::driver::Driver;
use perennial_core::event::PlaceFound;
use perennial_core::finding::Code;
use perennial_core::words::Identifier;
use perennial_peers::{Bind, DnsOptions, Knot, Program, TsigKey, Zone, dig};

use crate::running::Running;
use crate::world::{Plan, SHOP, World, assert_no_txt, rfc2136, zone};

const SHOP_NAMES: &[&str] = &["shop.test", "*.shop.test"];

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_apex_are_proven_on_bind_and_seen_at_a_concrete_host() {
    let bind = Bind::start(zone("shop.test")).await.unwrap();
    let world = World::new(bind.addr(), SHOP_NAMES).await;
    let mut daemon = Running::start(&world.write(&(rfc2136(bind.addr()) + SHOP))).await;
    let leaf = daemon.until_seen("shop", 1).await;
    assert_eq!(
        leaf.identifiers.iter().map(Identifier::as_str).collect::<Vec<_>>(),
        ["*.shop.test", "shop.test"]
    );
    daemon.until_idle().await;
    assert_no_txt(bind.addr(), "_acme-challenge.shop.test").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_apex_are_proven_on_knot() {
    let knot = Knot::start(zone("shop.test")).await.unwrap();
    let world = World::new(knot.addr(), SHOP_NAMES).await;
    let mut daemon = Running::start(&world.write(&(rfc2136(knot.addr()) + SHOP))).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    assert_no_txt(knot.addr(), "_acme-challenge.shop.test").await;
    daemon.stop().await;
}

/// The zone of a shop whose challenges live in another zone.
fn delegating() -> Zone {
    let records = "@ A 127.0.0.1\nwww A 127.0.0.1\n\
                   _acme-challenge CNAME shop.acme.test.";
    Zone::new("shop.test", records)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_delegated_to_another_zone_of_the_server_is_written_there() {
    let acme = Zone::new("acme.test", "");
    let bind = Bind::start(DnsOptions::serving([delegating(), acme])).await.unwrap();
    let world = World::new(bind.addr(), SHOP_NAMES).await;
    let mut daemon = Running::start(&world.write(&(rfc2136(bind.addr()) + SHOP))).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    assert!(daemon.count("place.found", "\"shop.acme.test\"") > 0, "{}", daemon.journal());
    assert_no_txt(bind.addr(), "shop.acme.test").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_delegated_to_another_server_is_written_there() {
    let knot = DnsOptions::serving([Zone::new("acme.test", "")]);
    let knot = Knot::start(knot).await.unwrap();
    let options = DnsOptions::serving([delegating()]).forwarding("acme.test", knot.addr());
    // Two resolvers, since BIND remembers for a second that we asked before the answer was there.
    let bind = Bind::start(options.clone()).await.unwrap();
    let ours = Bind::start(options).await.unwrap();
    let mut world = World::new(bind.addr(), SHOP_NAMES).await;
    world.resolver = ours.addr();
    let mut daemon = Running::start(&world.write(&(rfc2136(knot.addr()) + SHOP))).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    assert_no_txt(knot.addr(), "shop.acme.test").await;
    daemon.stop().await;
}

/// Returns the solver for dns-account-01 by signed updates of one server.
fn of_account(server: SocketAddr) -> String {
    rfc2136(server).replace("dns-01", "dns-account-01")
}

/// Returns the names that were written to, without repetition.
fn written(daemon: &mut Running) -> Vec<String> {
    let place = |record: &perennial_core::record::Record| {
        let found: PlaceFound = serde_json::from_str(&record.body).ok()?;
        Some(found.place.record.into_string())
    };
    let found = daemon.records().iter().filter(|record| &*record.kind == "place.found");
    let mut names: Vec<String> = found.filter_map(place).collect();
    names.sort();
    names.dedup();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_apex_are_proven_at_a_name_of_the_account() {
    let knot = Knot::start(zone("shop.test")).await.unwrap();
    let world = World::new(knot.addr(), SHOP_NAMES).await;
    let mut daemon = Running::start(&world.write(&(of_account(knot.addr()) + SHOP))).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    let names = written(&mut daemon);
    let [name] = names.as_slice() else { panic!("{names:?}") };
    let label = name.strip_suffix("._acme-challenge.shop.test").unwrap();
    assert_eq!((label.len(), &label[..1]), (17, "_"), "{label}");
    assert_no_txt(knot.addr(), name).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_account_is_followed_to_another_zone() {
    let records = "@ A 127.0.0.1\nwww A 127.0.0.1\n*._acme-challenge CNAME shop.acme.test.";
    let zones = [Zone::new("shop.test", records), Zone::new("acme.test", "")];
    let bind = Bind::start(DnsOptions::serving(zones)).await.unwrap();
    let world = World::new(bind.addr(), SHOP_NAMES).await;
    let mut daemon = Running::start(&world.write(&(of_account(bind.addr()) + SHOP))).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    assert_eq!(written(&mut daemon), ["shop.acme.test"]);
    assert_no_txt(bind.addr(), "shop.acme.test").await;
    daemon.stop().await;
}

/// Returns the solver for dns-persist-01 by signed updates of one server.
fn standing(server: SocketAddr) -> String {
    rfc2136(server).replace("dns-01", "dns-persist-01")
}

/// Returns the values of standing records, as `dig` writes them.
async fn records(server: SocketAddr) -> Vec<String> {
    dig(server, "_validation-persist.shop.test", "TXT").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_stays_proves_a_wildcard_again_and_again_until_its_solver_goes() {
    let text = "@ A 127.0.0.1\nwww A 127.0.0.1\n_validation-persist TXT \"of somebody else\"";
    let options = DnsOptions::serving([Zone::new("shop.test", text)]);
    let knot = Knot::start(options).await.unwrap();
    let mut plan = Plan::new(knot.addr(), SHOP_NAMES);
    plan.pebble.authz_reuse_percent = 0;
    let world = World::of(plan).await;
    let config = world.write(&(standing(knot.addr()) + SHOP));
    let mut daemon = Running::start(&config).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    let up = records(knot.addr()).await;
    let ours = up.iter().filter(|text| text.starts_with("\"pebble.letsencrypt.org; accounturi="));
    let ours: Vec<_> = ours.filter(|text| text.ends_with("; policy=wildcard\"")).collect();
    assert_eq!((ours.len(), up.len()), (1, 2), "{up:?}");

    daemon.renew("shop");
    daemon.until_seen("shop", 2).await;
    daemon.until_idle().await;
    assert_eq!(daemon.count("act.started", "\"present\""), 1, "it is put up once");
    assert_eq!(records(knot.addr()).await, up);

    // The solver answers otherwise now, and the record goes; the other one stays.
    world.write(&(rfc2136(knot.addr()) + SHOP));
    daemon.reload();
    let is_gone = |driver: &Driver, _| {
        let mut all = driver.state().certificates();
        all.all(|(_, _, own)| own.standing.is_empty() && own.owed.is_empty()).then_some(())
    };
    daemon.until("end of the record", is_gone).await;
    assert_eq!(records(knot.addr()).await, ["\"of somebody else\""]);
    daemon.stop().await;
}

/// A solver that writes nothing.
const BY_HAND: &str = "[solver.hand]\ndns-persist-01 = \"by-hand\"\nvisible_within = \"5s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_person_puts_up_is_told_looked_at_and_enough() {
    let knot = Knot::start(zone("shop.test")).await.unwrap();
    let world = World::new(knot.addr(), SHOP_NAMES).await;
    let nameservers = format!("nameservers = [\"{}\"]\n", knot.addr());
    let config = world.write(&format!("{BY_HAND}{nameservers}{SHOP}"));
    let mut daemon = Running::start(&config).await;
    let told = daemon.until_found(Code::DnsAnswerInvisible).await.evidence.into_string();
    let (_, record) = told.split_once("by hand: ").unwrap();
    let (name, rest) = record.split_once(". TXT \"").unwrap();
    let (value, _) = rest.split_once('"').unwrap();
    assert_eq!(name, "_validation-persist.shop.test");
    // Further parameters, and other white space, are the person's.
    let value = format!("{}; note=ours", value.replace("; ", " ;"));
    knot.update("shop.test", &format!("add {name} 60 TXT \"{value}\"")).await.unwrap();
    daemon.renew("shop");
    daemon.until_seen("shop", 1).await;
    daemon.stop().await;
}

/// Returns a solver for dns-01 by a program that updates a server.
pub(crate) fn program(world: &World, bind: &Bind, first: &str) -> String {
    format!("[solver.hook]\n{}", exec(world.folder.path(), bind.addr(), first))
}

/// Writes a program in the convention of lego's `exec` into a folder, which updates a server with
/// `nsupdate`, and returns what a solver says of it. `first` are commands to run before a record is
/// put up.
pub(crate) fn exec(folder: &Path, server: SocketAddr, first: &str) -> String {
    let TsigKey { name, secret } = TsigKey::known();
    let first = first.replace("@DIR@", &folder.display().to_string());
    let script = format!(
        "#!/bin/sh\nset -eu\ncase $1 in\n\
         present) {first}\n change=\"update add $2 1 TXT $3\" ;;\n\
         cleanup) change=\"update delete $2 TXT $3\" ;;\nesac\n\
         printf 'server %s %s\\n%s\\nsend\\n' {ip} {port} \"$change\" |\n\
         {nsupdate} -y \"hmac-sha256:{name}:$SECRET\"\n",
        ip = server.ip(),
        port = server.port(),
        nsupdate = Program::NSUPDATE.locate().unwrap().display(),
    );
    let path = folder.join("hook");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(folder.join("secret"), format!("{secret}\n")).unwrap();
    format!(
        "dns-01 = \"exec\"\nprogram = \"@DIR@/hook\"\n\
         env = {{ SECRET = \"file:@DIR@/secret\" }}\nnameservers = [\"{server}\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_legos_convention_proves_a_wildcard() {
    let bind = Bind::start(zone("shop.test")).await.unwrap();
    let world = World::new(bind.addr(), SHOP_NAMES).await;
    let mut daemon = Running::start(&world.write(&(program(&world, &bind, ":") + SHOP))).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    assert_no_txt(bind.addr(), "_acme-challenge.shop.test").await;
    daemon.stop().await;
}
