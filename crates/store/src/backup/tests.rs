//! Backups, taken and put back; the age format against the real program.

use std::process::Command;

use perennial_core::record::{Batch, Record, Stream};
use perennial_core::words::{BundleId, Fingerprint, Slot};

use super::*;
use crate::vault::Bundle;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(version: u64, epoch: u64) -> Record {
    let stream = Stream::instance();
    Record {
        version,
        at: at("2026-01-01T00:00:00Z"),
        kind: "intent.accepted".into(),
        schema: 1,
        must_understand: false,
        shard: stream.shard(),
        epoch,
        body: "{\"certificates\":1}".into(),
        stream,
    }
}

/// A name that needs more than a tar header's hundred bytes.
fn long_slot() -> Slot {
    Slot(format!("certificate/{}/1", "long-".repeat(25)).into())
}

/// Makes a store with something of every kind in it, and returns its bundle.
fn filled(folder: &Path, options: &Options) -> BundleId {
    let Store { mut journal, vault, lock: _lock } = Store::open(folder, options).unwrap();
    let epoch = journal.acquire_epoch().unwrap();
    let records = vec![record(1, epoch), record(2, epoch)];
    journal.append(&Batch { number: 1, records }, epoch).unwrap();
    vault.put_key(&Slot("account/ca".into()), b"account key").unwrap();
    vault.put_key(&long_slot(), b"key").unwrap();
    vault.put_chain(Fingerprint([1; 32]), b"chain").unwrap();
    vault.put_configuration(b"configuration").unwrap();
    let key_pem = Zeroizing::new("key".to_owned());
    vault
        .put_bundle(&Bundle { leaf_pem: "leaf".into(), chain_pem: "chain".into(), key_pem })
        .unwrap()
}

/// Asserts that a restored store has what [`filled`] put into the one that was backed up, and the mark.
fn is_whole(folder: &Path, options: &Options, bundle: BundleId) {
    let Store { journal, vault, lock: _lock } = Store::open(folder, options).unwrap();
    assert_eq!(&**vault.key(&Slot("account/ca".into())).unwrap().unwrap(), b"account key");
    assert_eq!(&**vault.key(&long_slot()).unwrap().unwrap(), b"key");
    assert_eq!(vault.chain(Fingerprint([1; 32])).unwrap().unwrap(), b"chain");
    assert_eq!(vault.bundle(bundle).unwrap().unwrap().leaf_pem, "leaf");
    assert_eq!(&**vault.configuration().unwrap().unwrap(), b"configuration");
    let records: Vec<_> =
        journal.tail(0, 10).unwrap().into_iter().filter_map(Found::record).collect();
    let kinds: Vec<&str> = records.iter().map(|record| &*record.kind).collect();
    assert_eq!(kinds, ["intent.accepted", "intent.accepted", "instance.restored"]);
    assert!(records[2].epoch > records[1].epoch && records[2].body.contains("\"id\":\"new\""));
}

/// What `age-keygen` makes, when it is installed.
fn keygen() -> (Recipient, String) {
    let hint = "age-keygen not found\n\nhint: apt-get install age (or scripts/peers)";
    let made = Command::new("age-keygen").output().expect(hint);
    let text = String::from_utf8(made.stdout).unwrap();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    (recipient.parse().unwrap(), text)
}

const NOW: &str = "2026-02-01T00:00:00Z";

#[test]
fn an_encrypted_backup_comes_back_and_the_age_program_opens_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bundle = filled(&path("store"), &Options::default());
    let (recipient, identity) = keygen();
    let form = Form::Encrypted(vec![recipient]);
    let done = backup(&path("store"), None, &path("it.age"), &form, at(NOW)).unwrap();
    assert_eq!((done.records, done.files, done.has_secret), (2, 6, true));
    let identities = Identity::read(&identity).unwrap();
    let restored =
        restore(&path("it.age"), &identities, &path("new"), &Options::default(), "new", at(NOW));
    assert_eq!(restored.unwrap().records, 2);
    is_whole(&path("new"), &Options::default(), bundle);
    std::fs::write(path("identity"), identity).unwrap();
    let listed = Command::new("sh")
        .args(["-c", "age -d -i identity it.age | tar t"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for part in ["backup.json", "journal-000001.jsonl", "unseal.key", "keys/"] {
        assert!(listed.contains(part), "{part}\n{listed}");
    }
    assert_eq!(listed.lines().count(), 9, "{listed}");
}

#[test]
fn what_the_age_program_wrote_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (recipient, identity) = keygen();
    let _ = recipient;
    let public = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    std::fs::write(folder.path().join("plain"), vec![7; 200_000]).unwrap();
    let args = ["-r", public, "-o", "sealed", "plain"];
    assert!(Command::new("age").args(args).current_dir(folder.path()).status().unwrap().success());
    let sealed = std::fs::read(folder.path().join("sealed")).unwrap();
    let identities = Identity::read(&identity).unwrap();
    let mut plain = Vec::new();
    Decryptor::new(&identities, &sealed[..]).unwrap().read_to_end(&mut plain).unwrap();
    assert_eq!(plain, vec![7; 200_000]);
}

#[test]
fn a_plain_backup_comes_back_sealed_under_the_secret_that_is_configured_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bundle = filled(&path("store"), &Options::default());
    backup(&path("store"), None, &path("plain"), &Form::Plain, at(NOW)).unwrap();
    std::fs::write(path("other.key"), [9; 32]).unwrap();
    let other = Options { unseal: Unseal::File(path("other.key")) };
    restore(&path("plain"), &[], &path("new"), &other, "new", at(NOW)).unwrap();
    is_whole(&path("new"), &other, bundle);
    assert!(!path("new/unseal.key").exists());
    let again = restore(&path("plain"), &[], &path("new"), &other, "new", at(NOW)).unwrap_err();
    assert!(matches!(again, BackupError::InTheWay(_)), "{again}");
}

#[test]
fn an_empty_folder_is_filled_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bundle = filled(&path("store"), &Options::default());
    backup(&path("store"), None, &path("plain"), &Form::Plain, at(NOW)).unwrap();
    std::fs::create_dir(path("new")).unwrap();
    restore(&path("plain"), &[], &path("new"), &Options::default(), "new", at(NOW)).unwrap();
    is_whole(&path("new"), &Options::default(), bundle);
    assert_eq!(names(folder.path()).unwrap(), ["new", "plain", "store"]);
}

#[test]
fn what_is_no_backup_leaves_no_store_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    filled(&path("store"), &Options::default());
    std::fs::create_dir(path("empty")).unwrap();
    std::fs::write(path("text"), "something else\n").unwrap();
    backup(&path("store"), None, &path("newer"), &Form::Plain, at(NOW)).unwrap();
    std::fs::write(
        path("newer/backup.json"),
        "{\"layout\":2,\"made_at\":\"2026-01-01T00:00:00Z\"}",
    )
    .unwrap();
    backup(&path("store"), None, &path("torn"), &Form::Plain, at(NOW)).unwrap();
    std::fs::write(path("torn/journal-000001.jsonl"), "{\"stream\":").unwrap();
    let table = [
        ("empty", "it has no backup.json"),
        ("text", "does not begin like a file of age"),
        ("newer", "a newer release made it"),
        ("torn", "the journal"),
        ("absent", "absent"),
    ];
    for (from, why) in table {
        let tried = restore(&path(from), &[], &path("new"), &Options::default(), "new", at(NOW));
        let error = tried.unwrap_err().to_string();
        assert!(error.contains(why), "{from}: {error}");
        assert!(!path("new").exists() && !path("new.unpacked").exists(), "{from}");
    }
}

#[test]
fn an_archive_cannot_write_beside_its_folders() {
    for path in ["../x", "/etc/x", "keys/../../x", "keys", "other", "keys/a/b/c", "keys/..", ""] {
        assert!(!is_ours(path), "{path}");
    }
    for path in ["backup.json", "keys/a", "chains/ab/cd", "journal-000012.jsonl", "secret.id"] {
        assert!(is_ours(path), "{path}");
    }
}
