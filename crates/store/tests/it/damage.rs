//! Damaged files: named, typed, with advice, never a panic and never a wrong answer.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use perennial_core::words::{BundleId, Fingerprint, Slot};
use perennial_store::{
    FileVault, Journal, SqliteJournal, Store, StoreError, Trouble, Unseal, Vault,
};

use crate::{fill, on_disk};

/// Opens and reads everything, as a start does.
fn start(path: &Path) -> Result<usize, StoreError> {
    let mut count = 0;
    SqliteJournal::open(path)?.read_all(&mut |_| count += 1)?;
    Ok(count)
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_told_as_damaged() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    fs::write(&path, "not a database at all, but long enough to be looked at ".repeat(100))
        .unwrap();
    let error = start(&path).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Corrupt(_)), "{error:?}");
    assert_eq!(error.path, path);
    assert!(error.advice().contains("backup"), "{}", error.advice());
}

#[test]
fn a_damaged_journal_is_told_as_damaged_wherever_it_is() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    fill(&mut SqliteJournal::open(&path).unwrap(), 9);
    fill_wide(&path);
    let good = fs::read(&path).unwrap();
    let whole = start(&path).unwrap();
    let mut damaged = 0;
    for page in 0..good.len() / PAGE {
        fs::write(&path, &good).unwrap();
        overwrite(&path, (page * PAGE) as u64, &[0xff; PAGE]);
        match start(&path) {
            // A page of an index or of the archive is not read at start.
            Ok(count) => assert_eq!(count, whole, "page {page}"),
            Err(error) => {
                damaged += 1;
                assert!(matches!(*error.trouble, Trouble::Corrupt(_)), "page {page}: {error:?}");
            }
        }
        fs::remove_file(path.with_extension("db-wal")).ok();
        fs::remove_file(path.with_extension("db-shm")).ok();
    }
    assert!(damaged > 5, "{damaged}");
}

const PAGE: usize = 4096;

/// Makes the table span several pages, and folds the log into the file.
fn fill_wide(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "UPDATE record SET body = '\"' || hex(zeroblob(1500)) || '\"';
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
}

#[test]
fn a_truncated_journal_is_told_as_damaged() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    fill(&mut SqliteJournal::open(&path).unwrap(), 9);
    fill_wide(&path);
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length / 2).unwrap();
    let error = start(&path).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Corrupt(_)), "{error:?}");
}

#[test]
fn damaged_sealed_files_are_told_apart_and_replaced_where_that_loses_nothing() {
    let store = on_disk();
    let folder = store.folder.path();
    let vault = FileVault::open(folder, &Unseal::Own).unwrap();
    let (slot, leaf) = (Slot("a".into()), Fingerprint([0xab; 32]));
    vault.put_key(&slot, b"key").unwrap();
    vault.put_chain(leaf, b"chain").unwrap();
    let (key, chain) = (folder.join("keys/a"), folder.join("chains/ab").join(leaf.to_string()));

    let good = fs::read(&key).unwrap();
    overwrite(&key, good.len() as u64 - 1, &[good[good.len() - 1] ^ 1]);
    let error = vault.key(&slot).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Corrupt(_)), "{error:?}");
    assert_eq!(error.path, key);

    fs::write(&key, &good[..good.len() - 20]).unwrap();
    let error = vault.key(&slot).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Truncated { .. }), "{error:?}");
    vault.put_key(&slot, b"other").unwrap_err();

    fs::write(&key, b"").unwrap();
    let error = vault.key(&slot).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Truncated { found: 0, .. }), "{error:?}");

    fs::copy(&chain, &key).unwrap();
    let error = vault.key(&slot).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Misplaced { .. }), "{error:?}");

    fs::write(&chain, b"damaged, and longer than a header of a sealed file").unwrap();
    vault.chain(leaf).unwrap_err();
    vault.put_chain(leaf, b"chain").unwrap();
    assert_eq!(vault.chain(leaf).unwrap().unwrap(), b"chain");
}

#[test]
fn a_file_larger_than_any_of_ours_is_not_read_whole() {
    let store = on_disk();
    let vault = FileVault::open(store.folder.path(), &Unseal::Own).unwrap();
    let id = BundleId([0xab; 32]);
    let place = store.folder.path().join("bundles/ab");
    fs::create_dir(&place).unwrap();
    let file = fs::File::create(place.join(id.to_string())).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = vault.bundle(id).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Corrupt(_)), "{error:?}");
}
