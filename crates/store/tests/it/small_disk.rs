//! Full and read-only file systems: real ones, mounted in a mount namespace of their own.
//!
//! The tests start themselves again under `unshare --mount`, where a small tmpfs is mounted that
//! ends with the child. Where neither root nor user namespaces are had (a container without them),
//! the tests fail and say so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use perennial_core::words::{Fingerprint, Slot};
use perennial_store::{
    AppendError, FileVault, Journal, Options, SqliteJournal, Store, StoreError, Trouble, Unseal,
    Vault,
};

use crate::{batch, versions};

const DISK: &str = "PERENNIAL_STORE_TEST_DISK";

/// Returns the small disk in the child; in the parent runs the child and returns nothing.
fn on_small_disk(test: &str) -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(DISK) {
        return Some(PathBuf::from(disk));
    }
    let disk = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" && exec "$@""#;
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .arg(disk.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("small_disk::{test}"), "--nocapture"])
        .env(DISK, disk.path())
        .output()
        .expect("unshare is needed: apt-get install util-linux");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        out.contains("running 1 test"),
        "a small disk cannot be mounted; user namespaces are needed, in a container: \
         --security-opt seccomp=unconfined, or --privileged; on Ubuntu: \
         sysctl kernel.apparmor_restrict_unprivileged_userns=0\n{err}"
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "the child ran the test: {out}");
    None
}

/// Takes up room until none is left.
fn fill_up(disk: &Path) -> PathBuf {
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 2 << 20]).unwrap_err();
    ballast
}

fn remount(disk: &Path, mode: &str) {
    let options = format!("remount,{mode}");
    let done = Command::new("mount").args(["-o", &options]).arg(disk).status();
    assert!(done.expect("mount is needed: apt-get install mount").success());
}

fn is_full(error: &StoreError) -> bool {
    matches!(*error.trouble, Trouble::Full)
}

#[test]
fn a_full_disk_is_told_and_once_there_is_room_everything_receipted_is_there() {
    let name = "a_full_disk_is_told_and_once_there_is_room_everything_receipted_is_there";
    let Some(disk) = on_small_disk(name) else { return };
    let folder = disk.join("store");
    let mut store = Store::open(&folder, &Options::default()).unwrap();
    let epoch = store.journal.acquire_epoch().unwrap();
    let mut last = 0;
    let error = loop {
        match store.journal.append(&batch(last + 1, [last + 1], epoch), epoch) {
            Ok(_) => last += 1,
            Err(error) => break error,
        }
        // The disk fills up in the middle of the log's growth, not at its start.
        if last == 20 {
            fill_up(&disk);
        }
    };
    let AppendError::Store(error) = error else { panic!("{error:?}") };
    assert!(is_full(&error), "{error:?}");
    assert_eq!(error.path, Store::journal_path(&folder));
    assert!(error.advice().contains("df -h"), "{}", error.advice());
    assert!(last >= 20);
    assert_eq!(versions(&store.journal), (1..=last).collect::<Vec<_>>());

    fs::remove_file(disk.join("ballast")).unwrap();
    store.journal.append(&batch(last + 1, [last + 1], epoch), epoch).unwrap();
    drop(store);
    let store = Store::open(&folder, &Options::default()).unwrap();
    assert_eq!(versions(&store.journal), (1..=last + 1).collect::<Vec<_>>());
}

#[test]
fn a_key_that_finds_no_room_leaves_nothing_behind() {
    let Some(disk) = on_small_disk("a_key_that_finds_no_room_leaves_nothing_behind") else {
        return;
    };
    let folder = disk.join("store");
    fs::create_dir(&folder).unwrap();
    let vault = FileVault::open(&folder, &Unseal::Own).unwrap();
    let ballast = fill_up(&disk);
    let slot = Slot("account/ca".into());
    assert!(is_full(&vault.put_key(&slot, &[1; 9000]).unwrap_err()));
    assert!(is_full(&vault.put_chain(Fingerprint([1; 32]), &[1; 9000]).unwrap_err()));
    assert!(vault.key(&slot).unwrap().is_none());
    assert!(vault.keys().unwrap().is_empty() && vault.chains().unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.join("tmp")).unwrap().count(), 0);

    fs::remove_file(ballast).unwrap();
    assert_eq!(&**vault.put_key(&slot, b"key").unwrap(), b"key");
}

#[test]
fn a_store_that_finds_no_room_at_all_says_so() {
    let Some(disk) = on_small_disk("a_store_that_finds_no_room_at_all_says_so") else { return };
    fill_up(&disk);
    let error = Store::open(&disk.join("store"), &Options::default()).unwrap_err();
    assert!(is_full(&error), "{error:?}");
}

#[test]
fn a_read_only_disk_can_be_read_and_says_that_it_cannot_be_written() {
    let name = "a_read_only_disk_can_be_read_and_says_that_it_cannot_be_written";
    let Some(disk) = on_small_disk(name) else { return };
    let folder = disk.join("store");
    let mut store = Store::open(&folder, &Options::default()).unwrap();
    crate::fill(&mut store.journal, 3);
    drop(store);
    remount(&disk, "ro");
    assert_eq!(versions(&Store::open_journal(&folder).unwrap()), [1, 2, 3]);
    let error = Store::open(&folder, &Options::default()).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::ReadOnly), "{error:?}");
    let error = SqliteJournal::open(&Store::journal_path(&folder)).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::ReadOnly), "{error:?}");
    remount(&disk, "rw");
    Store::open(&folder, &Options::default()).unwrap();
}
