//! Secrets stay where they belong: nothing that is written or told has them in it, in any spelling.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use perennial_core::finding::Code;
use perennial_peers::{Bind, Eab, TsigKey};
use perennial_store::{Options, Store, Vault as _};

use crate::process::Process;
use crate::running::Running;
use crate::world::{Plan, SHOP, World, rfc2136, zone};

/// A secret, in all spellings in which it could be found.
struct Known {
    what: String,
    spellings: Vec<Vec<u8>>,
}

impl Known {
    fn new(what: impl Into<String>, secret: &[u8]) -> Self {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut spellings = vec![secret.to_vec(), hex.to_uppercase().into(), hex.into()];
        // In Base64 a secret is spelled in three ways, by where in a longer text it begins: the
        // digits that its neighbours have a part in are left out.
        for before in 0..3 {
            let padded = [&vec![0; before][..], secret].concat();
            let whole = padded.len() / 3 * 4;
            for text in [STANDARD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                spellings.push(text[(before * 8).div_ceil(6)..whole].into());
            }
        }
        Self { what: what.into(), spellings }
    }

    /// Makes the secret of a private key: its scalar alone, which is in every form of the key.
    fn of_key(what: impl Into<String>, pkcs8: &[u8]) -> Self {
        // RFC 5915: version 1, then the scalar as an octet string.
        let at = pkcs8.windows(5).position(|bytes| bytes == [2, 1, 1, 4, 32]).expect("P-256") + 5;
        Self::new(what, &pkcs8[at..at + 32])
    }

    /// Returns whether the secret is in some bytes; line breaks within it do not hide it.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let text: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
        let is_in = |hay: &[u8], spelling: &[u8]| {
            hay.windows(spelling.len()).any(|window| window == spelling)
        };
        self.spellings.iter().any(|one| is_in(bytes, one) || is_in(&text, one))
    }
}

/// Returns every file below a folder with its content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            all.extend(files(&path));
        } else if kind.is_file() {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all
}

/// Returns the private keys that a stopped daemon has, and those it once had.
fn keys(store: &Path) -> Vec<Known> {
    let vault = Store::open(store, &Options::default()).unwrap().vault;
    let slots = vault.keys().unwrap();
    assert!(slots.iter().any(|slot| slot.0.contains("account")), "{slots:?}");
    let of = |slot| Known::of_key(format!("{slot:?}"), &vault.key(slot).unwrap().unwrap());
    slots.iter().map(of).collect()
}

fn key_of_pem(pem: &[u8]) -> Vec<u8> {
    let text: String = String::from_utf8(pem.to_vec()).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}

/// Starts a world whose name server wants signed updates and whose CA wants an external account;
/// both secrets stand in the configuration.
async fn world(bind: &Bind, eab: &Eab) -> (World, String) {
    let mut plan = Plan::new(bind.addr(), &["shop.test", "*.shop.test"]);
    plan.pebble.eab_required = true;
    plan.pebble.eab = vec![eab.clone()];
    let mut world = World::of(plan).await;
    world.issuer += &format!("\neab = {{ kid = \"{}\", key = \"{}\" }}", eab.kid, eab.mac_key);
    (world, rfc2136(bind.addr()) + SHOP)
}

fn eab() -> Eab {
    let mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".into();
    Eab { kid: "kid-1".into(), mac_key }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_store_the_log_or_an_answer() {
    let (bind, eab) = (Bind::start(zone("shop.test")).await.unwrap(), eab());
    let (world, own) = world(&bind, &eab).await;
    let config = world.write(&own);
    let daemon = Process::start(&config).await;
    let mut told = Vec::new();
    for args in [
        &["renew", "--json"][..],
        &["renew", "--now", "shop"],
        &["status", "--json"],
        &["status", "shop"],
        &["plan"],
        &["plan", "--json"],
        &["journal", "--all", "--json", "-n", "0"],
        &["reload"],
        &["confirm", "shop"],
    ] {
        let ended = daemon.run(args).await;
        told.push((format!("the output of {args:?}"), (ended.out + &ended.err).into_bytes()));
    }
    let log = std::fs::read(world.path("log")).unwrap();
    daemon.stop().await;

    let tsig = STANDARD.decode(TsigKey::known().secret).unwrap();
    let mac = URL_SAFE_NO_PAD.decode(&eab.mac_key).unwrap();
    let mut known = vec![Known::new("the TSIG secret", &tsig), Known::new("the EAB key", &mac)];
    let config = std::fs::read(&config).unwrap();
    assert!(known.iter().all(|known| known.is_in(&config)), "they would be found");
    let live: Vec<_> = files(&world.path("live"));
    let (_, live) = live.iter().find(|(path, _)| path.contains("privkey")).expect("a key");
    let leaf = Known::of_key("the leaf's key", &key_of_pem(live));
    assert!(leaf.is_in(live), "it would be found");
    known.push(leaf);
    known.extend(keys(&world.path("store")));

    told.push((String::from("the log"), log));
    told.extend(files(&world.path("store")));
    for known in &known {
        for (place, bytes) in &told {
            assert!(!known.is_in(bytes), "{} is in {place}", known.what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_last_good_file_is_still_had_when_the_newest_cannot_be_read() {
    let bind = Bind::start(zone("shop.test")).await.unwrap();
    let (world, own) = world(&bind, &eab()).await;
    let config = world.write(&own);
    let mut daemon = Running::start(&config).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    daemon.stop().await;
    std::fs::write(&config, "[broken").unwrap();
    let mut daemon = Running::start(&config).await;
    daemon.until_found(Code::ConfigRefused).await;
    daemon.renew("shop");
    daemon.until_seen("shop", 2).await;
    daemon.stop().await;
}
