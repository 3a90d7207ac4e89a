//! What the first release wrote opens for ever: the journal's layout, sealed files, bundles.
//!
//! The files in `tests/golden` are never edited, only added to. `journal-1.sql` is what `sqlite3
//! journal.db .dump` showed, with its two pragmas; `vault-1.txt` holds files in hexadecimal.

use std::fs;
use std::path::Path;

use perennial_core::words::{BundleId, Fingerprint, Slot};
use perennial_store::jsonl::export_jsonl;
use perennial_store::{FileVault, Journal, SqliteJournal, Store, Unseal, Vault};

use crate::{batch, on_disk};

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read_to_string(path).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_journal_of_the_first_layout_is_read_and_written() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    let first = rusqlite::Connection::open(&path).unwrap();
    first.execute_batch(&golden("journal-1.sql")).unwrap();
    drop(first);
    let mut journal = SqliteJournal::open(&path).unwrap();
    let mut lines = Vec::new();
    export_jsonl(&journal, &mut lines).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap(), golden("journal-1.jsonl"));
    let epoch = journal.acquire_epoch().unwrap();
    assert_eq!(epoch, 3);
    let last = journal.last_version(&crate::www()).unwrap();
    journal.append(&batch(1, [last + 1], epoch), epoch).unwrap();
    journal.archive(100).unwrap();
}

#[test]
fn a_vault_of_the_first_layout_opens() {
    let store = on_disk();
    let folder = store.folder.path();
    for line in golden("vault-1.txt").lines() {
        let (name, content) = line.split_once(' ').unwrap();
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, unhex(content)).unwrap();
    }
    let vault = FileVault::open(folder, &Unseal::Own).unwrap();
    let slots = vault.keys().unwrap();
    let long = format!("certificate/{}/1", "long".repeat(60));
    assert_eq!(slots, [Slot("account/ca".into()), Slot(long.into())]);
    for slot in &slots {
        assert_eq!(&**vault.key(slot).unwrap().unwrap(), slot.0.as_bytes());
    }
    let leaf = Fingerprint([0xab; 32]);
    assert_eq!(vault.chains().unwrap(), [leaf]);
    assert_eq!(vault.chain(leaf).unwrap().unwrap(), b"chain");
    let id = "22fc2bdb97a1fd5b927b0bce8eaeb4a9f946841ed9e5396333f87c846eab0256";
    let id = BundleId::try_from(id.to_owned()).unwrap();
    assert_eq!(vault.bundles().unwrap(), [id]);
    let bundle = vault.bundle(id).unwrap().unwrap();
    assert_eq!(
        (&*bundle.leaf_pem, &*bundle.chain_pem, &**bundle.key_pem),
        ("leaf", "chain", "key")
    );
}
