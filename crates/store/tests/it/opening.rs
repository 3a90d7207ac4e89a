//! Opening a store: whose it is, who has it, with which secret, and who may look.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use perennial_core::words::Slot;
use perennial_store::{
    FileVault, Found, Journal, Options, SqliteJournal, Store, StoreError, Trouble, Unseal, Vault,
};
use rusqlite::Connection;

use crate::{batch, fill, on_disk, versions};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(folder, &Options::default())
}

#[test]
fn a_new_store_is_closed_to_others() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/store");
    let mut store = open(&folder).unwrap();
    store.vault.put_key(&Slot("account/ca".into()), b"key").unwrap();
    store.vault.put_chain(perennial_core::words::Fingerprint([1; 32]), b"pem").unwrap();
    fill(&mut store.journal, 1);
    let mut waiting = vec![folder];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            assert_eq!(mode(&path), 0o700, "{}", path.display());
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

#[test]
fn a_second_daemon_is_told_which_process_has_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    let own = std::process::id();
    assert!(matches!(*error.trouble, Trouble::Busy { pid } if pid == Some(own)), "{error:?}");
    assert_eq!(error.trouble.to_string(), format!("process {own} has it open"));
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn a_reader_needs_no_lock_and_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Store::open_journal(folder.path()).unwrap_err();
    assert!(matches!(*absent.trouble, Trouble::Absent), "{absent:?}");

    let mut store = open(folder.path()).unwrap();
    let epoch = fill(&mut store.journal, 3);
    let mut beside = Store::open_journal(folder.path()).unwrap();
    assert_eq!(versions(&beside), [1, 2, 3]);
    store.journal.append(&batch(4, [4], epoch), epoch).unwrap();
    assert_eq!(versions(&beside), [1, 2, 3, 4]);
    let error = beside.append(&batch(5, [5], epoch), epoch).unwrap_err();
    let perennial_store::AppendError::Store(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error.trouble, Trouble::ReadOnly), "{error:?}");

    drop((store, beside));
    assert_eq!(versions(&Store::open_journal(folder.path()).unwrap()), [1, 2, 3, 4]);
}

#[test]
fn a_newer_layout_is_refused_by_reader_and_writer() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let path = Store::journal_path(folder.path());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for error in [SqliteJournal::open(&path), SqliteJournal::open_read_only(&path)] {
        let error = error.unwrap_err();
        assert!(matches!(*error.trouble, Trouble::Newer { found: 99, known: 1 }), "{error:?}");
        assert!(error.advice().contains("later"), "{}", error.advice());
    }
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = Store::journal_path(folder.path());
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = SqliteJournal::open(&path).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::Foreign(_)), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_configuration_is_kept_sealed_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let open = || FileVault::open(folder.path(), &Unseal::Own).unwrap();
    assert!(open().configuration().unwrap().is_none());
    for text in [&b"key = \"hunter2\""[..], b"key = \"file:/etc/key\""] {
        open().put_configuration(text).unwrap();
        assert_eq!(&**open().configuration().unwrap().unwrap(), text);
        let kept = fs::read(folder.path().join("configuration/last-good")).unwrap();
        assert!(!kept.windows(7).any(|bytes| bytes == b"hunter2"));
    }
}

#[test]
fn the_journal_is_readable_with_plain_sql() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    fill(&mut SqliteJournal::open(&path).unwrap(), 2);
    let output = std::process::Command::new("sqlite3")
        .arg(&path)
        .arg("SELECT stream, version, at, kind, epoch, body FROM record")
        .output()
        .expect("sqlite3 is needed: apt-get install sqlite3");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "certificate/www|1|1970-01-01T00:00:00Z|noted|1|{\"version\":1}\n\
         certificate/www|2|1970-01-01T00:00:00Z|noted|1|{\"version\":2}\n"
    );
}

#[test]
fn a_record_that_cannot_be_read_hides_no_other() {
    let store = on_disk();
    let path = Store::journal_path(store.folder.path());
    let mut journal = SqliteJournal::open(&path).unwrap();
    fill(&mut journal, 4);
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "UPDATE record SET stream = 'newer-kind/x' WHERE version = 2;
             UPDATE record SET at = 'yesterday' WHERE version = 3;
             UPDATE record SET shard = 99999 WHERE version = 4;",
        )
        .unwrap();
    let mut all = Vec::new();
    journal.read_all(&mut |found| all.push(found)).unwrap();
    let told: Vec<String> = all
        .into_iter()
        .map(|found| match found {
            Found::Entry(entry) => format!("{}#{}", entry.record.stream, entry.record.version),
            Found::Unreadable(unreadable) => format!("{}: unreadable", unreadable.stream),
        })
        .collect();
    let www = "certificate/www: unreadable";
    assert_eq!(told, ["certificate/www#1", "newer-kind/x: unreadable", www, www]);
}

#[test]
fn the_secret_is_made_once_and_its_place_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let vault = FileVault::open(folder.path(), &Unseal::Own).unwrap();
    let state = vault.secret_state();
    assert!(state.made_now && state.beside_store && !state.exposed, "{state:?}");
    let secret = fs::read(folder.path().join("unseal.key")).unwrap();
    assert_eq!((secret.len(), mode(vault.secret_origin())), (32, 0o600));
    let again = FileVault::open(folder.path(), &Unseal::Own).unwrap();
    assert!(!again.secret_state().made_now);
    assert_eq!(fs::read(folder.path().join("unseal.key")).unwrap(), secret);
}

#[test]
fn a_secret_from_elsewhere_seals_and_opens() {
    let (folder, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = credentials.path().join("unseal");
    let unseal = Unseal::File(path.clone());
    let missing = FileVault::open(folder.path(), &unseal).unwrap_err();
    assert!(matches!(*missing.trouble, Trouble::Absent), "{missing:?}");
    let digits = "0123456789abcdef".repeat(4);
    fs::write(&path, format!("{digits}\n")).unwrap();
    let vault = FileVault::open(folder.path(), &unseal).unwrap();
    assert!(!vault.secret_state().beside_store && !vault.secret_state().made_now);
    vault.put_key(&Slot("a/1".into()), b"key").unwrap();
    assert!(!folder.path().join("unseal.key").exists());
    let given =
        Unseal::Given { origin: "env:UNSEAL".to_owned(), secret: digits.into_bytes().into() };
    for unseal in [unseal, given] {
        let vault = FileVault::open(folder.path(), &unseal).unwrap();
        assert_eq!(&**vault.key(&Slot("a/1".into())).unwrap().unwrap(), b"key");
    }
    let wrong = Unseal::Given { origin: "env:UNSEAL".to_owned(), secret: vec![1; 32].into() };
    let error = FileVault::open(folder.path(), &wrong).unwrap_err();
    assert!(error.trouble.to_string().contains("env:UNSEAL"), "{}", error.trouble);
}

#[test]
fn another_secret_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    FileVault::open(folder.path(), &Unseal::Own).unwrap();
    let own = folder.path().join("unseal.key");
    fs::write(&own, [7; 32]).unwrap();
    let error = FileVault::open(folder.path(), &Unseal::Own).unwrap_err();
    assert!(
        matches!(&*error.trouble, Trouble::WrongSecret { secret } if *secret == own),
        "{error:?}"
    );
    assert!(error.trouble.to_string().contains("unseal.key"), "{}", error.trouble);
}

#[test]
fn a_file_sealed_under_another_secret_names_itself_and_the_secret() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slot = Slot("a".into());
    FileVault::open(there.path(), &Unseal::Own).unwrap().put_key(&slot, b"key").unwrap();
    let vault = FileVault::open(here.path(), &Unseal::Own).unwrap();
    fs::copy(there.path().join("keys/a"), here.path().join("keys/a")).unwrap();
    let error = vault.key(&slot).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::WrongSecret { .. }), "{error:?}");
    assert_eq!(error.path, here.path().join("keys/a"));
    // A slot whose key does not open is not free: making another would lose it.
    vault.put_key(&slot, b"other").unwrap_err();
}

#[test]
fn a_lost_secret_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    FileVault::open(folder.path(), &Unseal::Own).unwrap();
    fs::remove_file(folder.path().join("unseal.key")).unwrap();
    let error = FileVault::open(folder.path(), &Unseal::Own).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::SecretMissing), "{error:?}");
    assert!(!folder.path().join("unseal.key").exists());
}

#[test]
fn a_secret_of_the_wrong_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("unseal.key"), b"short\n").unwrap();
    let error = FileVault::open(folder.path(), &Unseal::Own).unwrap_err();
    assert!(matches!(*error.trouble, Trouble::SecretMalformed { found: 6 }), "{error:?}");
}

#[test]
fn what_a_crash_left_unfinished_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    fs::write(folder.path().join("tmp/123-4"), b"half a k").unwrap();
    drop(open(folder.path()).unwrap());
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}
