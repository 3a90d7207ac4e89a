//! The vault's promises.

use std::path::Path;

use perennial_core::words::{BundleId, Fingerprint, Slot};
use zeroize::Zeroizing;

use super::{Backend, Check};
use crate::error::Trouble;
use crate::vault::{Bundle, Vault, join_bundle};

pub(super) fn checks<B: Backend>() -> Vec<Check<B>> {
    vec![
        an_empty_vault_is_empty,
        a_key_is_made_once_per_slot,
        two_makers_of_one_key_end_up_with_the_same,
        slots_of_every_shape_are_kept_apart,
        a_dropped_key_is_gone_and_its_slot_free,
        a_chain_is_replaced_by_a_later_one,
        a_bundle_is_known_by_its_content,
        chain_and_key_are_joined_again_to_the_same_bundle,
        joining_what_is_missing_says_what,
        nothing_secret_lies_open,
    ]
}

fn slot(text: &str) -> Slot {
    Slot(text.into())
}

fn bundle(key: &str) -> Bundle {
    Bundle {
        leaf_pem: "leaf".to_owned(),
        chain_pem: String::new(),
        key_pem: Zeroizing::new(key.to_owned()),
    }
}

fn an_empty_vault_is_empty<B: Backend>(backend: &B) {
    let vault = backend.vault();
    assert!(vault.keys().expect("a list").is_empty());
    assert!(vault.chains().expect("a list").is_empty());
    assert!(vault.bundles().expect("a list").is_empty());
    assert!(vault.key(&slot("a/b")).expect("no key").is_none());
    assert!(vault.chain(Fingerprint([1; 32])).expect("no chain").is_none());
    assert!(vault.bundle(BundleId([1; 32])).expect("no bundle").is_none());
    vault.drop_key(&slot("a/b")).expect("an empty slot is fine");
    vault.drop_chain(Fingerprint([1; 32])).expect("an absent chain is fine");
    vault.drop_bundle(BundleId([1; 32])).expect("an absent bundle is fine");
}

fn a_key_is_made_once_per_slot<B: Backend>(backend: &B) {
    let vault = backend.vault();
    let made = vault.put_key(&slot("account/ca"), b"first").expect("a key");
    assert_eq!(&**made, b"first");
    let again = backend.vault().put_key(&slot("account/ca"), b"second").expect("the key");
    assert_eq!(&**again, b"first");
    let kept = backend.vault().key(&slot("account/ca")).expect("readable").expect("a key");
    assert_eq!(&**kept, b"first");
}

fn two_makers_of_one_key_end_up_with_the_same<B: Backend>(backend: &B) {
    let vaults: Vec<B::Vault> = (0..4).map(|_| backend.vault()).collect();
    let got = std::thread::scope(|scope| {
        let makers: Vec<_> = vaults
            .iter()
            .zip(0_u8..)
            .map(|(vault, own)| {
                scope.spawn(move || vault.put_key(&slot("certificate/www/1"), &[own; 40]))
            })
            .collect();
        let joined = makers.into_iter().map(|maker| maker.join().expect("no panic"));
        joined.map(|key| key.expect("a key").to_vec()).collect::<Vec<_>>()
    });
    assert!(got.iter().all(|key| *key == got[0]), "{got:?}");
}

fn slots_of_every_shape_are_kept_apart<B: Backend>(backend: &B) {
    let vault = backend.vault();
    let long = format!("certificate/{}", "x".repeat(500));
    let longer = format!("certificate/{}", "x".repeat(501));
    let shapes =
        ["", ".", "..", "../keys/a", "a", "A", "a/b", "a%2fb", "a~b", "ü", "a b\n", &long, &longer];
    for shape in shapes {
        vault.put_key(&slot(shape), shape.as_bytes()).expect("a key");
    }
    for shape in shapes {
        let key = backend.vault().key(&slot(shape)).expect("readable").expect("a key");
        assert_eq!(&**key, shape.as_bytes(), "{shape:?}");
    }
    let mut expected = shapes.map(slot);
    expected.sort();
    assert_eq!(vault.keys().expect("a list"), expected);
}

fn a_dropped_key_is_gone_and_its_slot_free<B: Backend>(backend: &B) {
    let vault = backend.vault();
    vault.put_key(&slot("a/1"), b"old").expect("a key");
    vault.drop_key(&slot("a/1")).expect("dropped");
    vault.drop_key(&slot("a/1")).expect("dropped twice");
    assert!(backend.vault().key(&slot("a/1")).expect("readable").is_none());
    assert!(vault.keys().expect("a list").is_empty());
    assert_eq!(&**vault.put_key(&slot("a/1"), b"new").expect("a key"), b"new");
}

fn a_chain_is_replaced_by_a_later_one<B: Backend>(backend: &B) {
    let (vault, leaf) = (backend.vault(), Fingerprint([0xab; 32]));
    vault.put_chain(leaf, b"first").expect("a chain");
    vault.put_chain(leaf, b"second").expect("a chain");
    vault.put_chain(Fingerprint([0x0c; 32]), b"other").expect("a chain");
    assert_eq!(backend.vault().chain(leaf).expect("readable").expect("a chain"), b"second");
    assert_eq!(vault.chains().expect("a list"), [Fingerprint([0x0c; 32]), leaf]);
    vault.drop_chain(leaf).expect("dropped");
    assert!(vault.chain(leaf).expect("readable").is_none());
}

fn a_bundle_is_known_by_its_content<B: Backend>(backend: &B) {
    let vault = backend.vault();
    let id = vault.put_bundle(&bundle("one")).expect("a bundle");
    assert_eq!(id, bundle("one").id());
    assert_eq!(vault.put_bundle(&bundle("one")).expect("the same"), id);
    let other = vault.put_bundle(&bundle("two")).expect("a bundle");
    assert_ne!(id, other);
    let kept = backend.vault().bundle(id).expect("readable").expect("a bundle");
    assert_eq!(kept, bundle("one"));
    let mut expected = [id, other];
    expected.sort();
    assert_eq!(vault.bundles().expect("a list"), expected);
    vault.drop_bundle(id).expect("dropped");
    assert_eq!(vault.bundles().expect("a list"), [other]);
}

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
                     -----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n";

fn chain_and_key_are_joined_again_to_the_same_bundle<B: Backend>(backend: &B) {
    let (vault, leaf, key) = (backend.vault(), Fingerprint([1; 32]), slot("certificate/www/1"));
    vault.put_chain(leaf, CHAIN.as_bytes()).expect("a chain");
    vault.put_key(&key, &[1, 2, 3]).expect("a key");
    let id = join_bundle(&vault, leaf, &key).expect("a bundle");
    assert_eq!(join_bundle(&backend.vault(), leaf, &key).expect("the same"), id);
    let bundle = vault.bundle(id).expect("readable").expect("a bundle");
    assert_eq!(format!("{}{}", bundle.leaf_pem, bundle.chain_pem), CHAIN);
    let key_pem = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";
    assert_eq!(&**bundle.key_pem, key_pem);
}

fn joining_what_is_missing_says_what<B: Backend>(backend: &B) {
    let (vault, leaf, key) = (backend.vault(), Fingerprint([1; 32]), slot("certificate/www/1"));
    let error = join_bundle(&vault, leaf, &key).expect_err("no chain");
    assert!(matches!(*error.trouble, Trouble::Absent), "{error:?}");
    assert!(error.to_string().contains(&leaf.to_string()), "{error}");
    vault.put_chain(leaf, CHAIN.as_bytes()).expect("a chain");
    let error = join_bundle(&vault, leaf, &key).expect_err("no key");
    assert!(error.to_string().contains("certificate/www/1"), "{error}");
}

fn nothing_secret_lies_open<B: Backend>(backend: &B) {
    let vault = backend.vault();
    let secret = b"a very secret key that must not be found";
    vault.put_key(&slot("a/1"), secret).expect("a key");
    let text = std::str::from_utf8(secret).expect("text");
    vault.put_bundle(&bundle(text)).expect("a bundle");
    let folder = backend.folder();
    folder.iter().for_each(|folder| search(folder, secret));
}

fn search(folder: &Path, secret: &[u8]) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search(&path, secret);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} shows a key", path.display());
        }
    }
}
