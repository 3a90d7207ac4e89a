//! Backups: a whole store, taken beside a running daemon, and put back elsewhere.
//!
//! ```text
//! journal-000001.jsonl ...   every record, the archive's included, in parts of some 64 MiB
//! keys/ chains/ bundles/ configuration/   sealed, as they lie in the store
//! secret.id       under which secret they are sealed
//! unseal.key      that secret: always in an encrypted backup, in a plain one where the store has it
//! backup.json     when it was made
//! ```
//!
//! These files make a folder (plain, as secret as the store itself) or a tar archive in the age format.
//! What records name is durable before they are, and may be dropped once they are not needed; so the
//! vault is copied, then the journal, then what the vault has got since. What a record names and the
//! backup lacks was dropped in between, and is made anew after a restore.
//!
//! A restore builds the new store beside its place and moves it there whole, so that a crash leaves
//! nothing that a daemon could start on by mistake. The journal's last record is then
//! `instance.restored`: until a person resumes, whoever starts on it only looks.

mod age;
mod bech32;
mod tar;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use perennial_core::driver::{Loader, Offline};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use age::{AgeError, Identity, Recipient};
use age::{Decryptor, Encryptor};

use crate::error::{AppendError, StoreError};
use crate::journal::{Found, Journal as _};
use crate::jsonl::{JsonlError, export_jsonl, import_jsonl};
use crate::sqlite::SqliteJournal;
use crate::store::{Options, Store};
use crate::vault::{FileVault, Unseal, Vault as _};

/// Why there is no backup, or no store restored from one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It could not be encrypted or opened.
    #[error(transparent)]
    Age(#[from] AgeError),
    /// The journal could not be written out or read in.
    #[error("the journal")]
    Journal(#[from] JsonlError),
    /// The store could not be read or made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mark of a restored store could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// There is something in the place where the store or the backup is to be.
    #[error("{} is there already", .0.display())]
    InTheWay(PathBuf),
    /// It is no backup.
    #[error("{} is no backup: {why}", path.display())]
    NotABackup {
        /// What was to be read.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Its records cannot be gone on from.
    #[error("its records cannot be marked as restored: {0}")]
    Unmarked(String),
}

/// Where a backup goes.
#[derive(Clone, Debug)]
pub enum Form {
    /// A file that only these can open.
    Encrypted(Vec<Recipient>),
    /// A folder as secret as the store itself.
    Plain,
}

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// How many records.
    pub records: u64,
    /// How many sealed files.
    pub files: usize,
    /// How many records could not be read, and so are not in it.
    pub unreadable: usize,
    /// Whether the secret that opens the sealed files is in it.
    pub has_secret: bool,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// When the backup was made.
    pub backed_up_at: Timestamp,
    /// How this instance is called from now on.
    pub id: String,
    /// How many records were restored, besides the mark.
    pub records: u64,
}

/// `backup.json`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    layout: u32,
    made_at: Timestamp,
}

/// How long a part of the journal is, in bytes, before the next one begins.
const PART: usize = 64 << 20;

/// The newest layout of a backup that this release knows.
const LAYOUT: u32 = 1;
const MANIFEST: &str = "backup.json";
const JOURNAL: &str = "journal-";
const LINES: &str = ".jsonl";
const SECRET: &str = "unseal.key";
const SECRET_ID: &str = "secret.id";
const FOLDERS: [&str; 4] = ["keys", "chains", "bundles", "configuration"];

/// Backs the store in a folder up, beside a running daemon or not.
///
/// `secret` is the secret's bytes where it does not lie in the store's folder.
///
/// # Errors
///
/// Returns why there is no backup; nothing is left at `to` then.
pub fn backup(
    store: &Path,
    secret: Option<&[u8]>,
    to: &Path,
    form: &Form,
    now: Timestamp,
) -> Result<BackedUp, BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::InTheWay(to.to_path_buf()));
    }
    let journal = Store::open_journal(store)?;
    let part = beside(to, "part");
    let written = match form {
        Form::Encrypted(recipients) => {
            let out = make_file(&part)?;
            let told = |cause| io_error(&part, cause);
            let out = Encryptor::new(recipients, BufWriter::new(out))?;
            let mut archive = tar::Writer::new(out);
            let mut sink = |path: &str, bytes: &[u8]| archive.add(path, bytes).map_err(told);
            let done = copy(store, &journal, secret, now, &mut sink)?;
            let out = archive.finish().and_then(Encryptor::finish).map_err(told)?;
            let file = out.into_inner().map_err(|error| told(error.into_error()))?;
            file.sync_all().map_err(told)?;
            Ok(done)
        }
        Form::Plain => {
            make_folder(&part)?;
            let mut sink = |path: &str, bytes: &[u8]| put(&part, path, bytes);
            copy(store, &journal, None, now, &mut sink)
        }
    };
    let done = written.and_then(|done| {
        fs::rename(&part, to).map_err(|cause| io_error(to, cause))?;
        Ok(done)
    });
    if done.is_err() {
        // What is half written is nobody's backup.
        let _ = fs::remove_file(&part).or_else(|_| fs::remove_dir_all(&part));
    }
    done
}

/// Where the files of a backup go, one by one.
type Sink<'s> = dyn FnMut(&str, &[u8]) -> Result<(), BackupError> + 's;

fn copy(
    store: &Path,
    journal: &SqliteJournal,
    secret: Option<&[u8]>,
    now: Timestamp,
    sink: &mut Sink<'_>,
) -> Result<BackedUp, BackupError> {
    let manifest = Manifest { layout: LAYOUT, made_at: now };
    let manifest = serde_json::to_vec(&manifest).unwrap_or_default();
    sink(MANIFEST, &manifest)?;
    let mut copied = BTreeSet::new();
    sealed_files(store, &mut copied, sink)?;
    let mut parts = Parts { sink: &mut *sink, buffer: Vec::new(), number: 0 };
    let exported = export_jsonl(journal, &mut parts)?;
    parts.end()?;
    sealed_files(store, &mut copied, sink)?;
    let own = read(&store.join(SECRET))?;
    let secret = own.as_ref().map(|bytes| bytes.as_slice()).or(secret);
    if let Some(secret) = secret {
        sink(SECRET, secret)?;
    }
    Ok(BackedUp {
        records: exported.records,
        unreadable: exported.unreadable.len(),
        files: copied.len(),
        has_secret: secret.is_some(),
    })
}

/// Parts lines into files of a bounded length: a journal may be longer than the memory.
struct Parts<'s, 'w> {
    sink: &'s mut Sink<'w>,
    buffer: Vec<u8>,
    number: u32,
}

impl Parts<'_, '_> {
    fn end(&mut self) -> Result<(), BackupError> {
        self.number += 1;
        (self.sink)(&format!("{JOURNAL}{:06}{LINES}", self.number), &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for Parts<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART && bytes.ends_with(b"\n") {
            self.end().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies the sealed files that were not copied yet.
fn sealed_files(
    store: &Path,
    copied: &mut BTreeSet<String>,
    sink: &mut Sink<'_>,
) -> Result<(), BackupError> {
    let mut paths = vec![String::from(SECRET_ID)];
    for folder in FOLDERS {
        for name in names(&store.join(folder))? {
            let path = format!("{folder}/{name}");
            if store.join(&path).is_dir() {
                let inner = names(&store.join(&path))?;
                paths.extend(inner.into_iter().map(|name| format!("{path}/{name}")));
            } else {
                paths.push(path);
            }
        }
    }
    for path in paths {
        if copied.contains(&path) {
            continue;
        }
        // One that is gone was dropped since it was listed.
        if let Some(bytes) = read(&store.join(&path))? {
            sink(&path, &bytes)?;
            copied.insert(path);
        }
    }
    Ok(())
}

/// Restores a backup as the store in a folder that is not there yet, or is empty.
///
/// # Errors
///
/// Returns why there is no store; nothing is left in its place then.
pub fn restore(
    from: &Path,
    identities: &[Identity],
    store: &Path,
    options: &Options,
    id: &str,
    now: Timestamp,
) -> Result<Restored, BackupError> {
    if names(store).is_ok_and(|names| !names.is_empty()) {
        return Err(BackupError::InTheWay(store.to_path_buf()));
    }
    let (unpacked, made) = (beside(store, "unpacked"), beside(store, "restored"));
    // What lies there already may be somebody's store.
    if let Some(taken) = [&unpacked, &made].into_iter().find(|it| it.symlink_metadata().is_ok()) {
        return Err(BackupError::InTheWay(taken.clone()));
    }
    let clear = || {
        for folder in [&unpacked, &made] {
            // What is not there needs no clearing, and what stays is in the way of the next try.
            let _ = fs::remove_dir_all(folder);
        }
    };
    let done = (|| {
        unpack(from, identities, &unpacked)?;
        let restored = build(from, &unpacked, &made, options, id, now)?;
        if let Err(cause) = fs::remove_dir(store)
            && cause.kind() != io::ErrorKind::NotFound
        {
            return Err(io_error(store, cause));
        }
        fs::rename(&made, store).map_err(|cause| io_error(store, cause))?;
        Ok(restored)
    })();
    clear();
    done
}

/// Lays a backup's files out in a folder of ours.
fn unpack(from: &Path, identities: &[Identity], to: &Path) -> Result<(), BackupError> {
    make_folder(to)?;
    if from.is_dir() {
        return sealed_files_of_plain(from, &mut |path, bytes| put(to, path, bytes));
    }
    let file = File::open(from).map_err(|cause| io_error(from, cause))?;
    let mut archive = tar::Reader::new(Decryptor::new(identities, BufReader::new(file))?);
    while let Some((path, bytes)) = archive.next().map_err(|cause| io_error(from, cause))? {
        if !is_ours(&path) {
            let why = format!("it holds `{path}`, which no backup does");
            return Err(BackupError::NotABackup { path: from.to_path_buf(), why });
        }
        put(to, &path, &bytes)?;
    }
    Ok(())
}

fn sealed_files_of_plain(from: &Path, sink: &mut Sink<'_>) -> Result<(), BackupError> {
    let others = [MANIFEST, SECRET].map(str::to_owned);
    for name in others.into_iter().chain(parts_of_journal(from)?) {
        if let Some(bytes) = read(&from.join(&name))? {
            sink(&name, &bytes)?;
        }
    }
    sealed_files(from, &mut BTreeSet::new(), sink)
}

/// Returns the parts of the journal, in order.
fn parts_of_journal(folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = names(folder)?;
    names.retain(|name| is_part(name));
    Ok(names)
}

fn is_part(name: &str) -> bool {
    name.starts_with(JOURNAL) && name.ends_with(LINES)
}

/// Returns whether a path is one that a backup has: nothing is ever written beside its folders.
fn is_ours(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let first = match parts.next() {
        Some(Component::Normal(first)) => first.to_str().unwrap_or_default(),
        _ => return false,
    };
    let rest: Vec<_> = parts.collect();
    let is_plain = rest.iter().all(|part| matches!(part, Component::Normal(_)));
    match rest.len() {
        0 => is_part(first) || [MANIFEST, SECRET, SECRET_ID].contains(&first),
        1 | 2 => is_plain && FOLDERS.contains(&first),
        _ => false,
    }
}

/// Builds a store of what was unpacked, sealed under the secret that it is to have.
fn build(
    from: &Path,
    unpacked: &Path,
    made: &Path,
    options: &Options,
    id: &str,
    now: Timestamp,
) -> Result<Restored, BackupError> {
    let not_ours = |why: String| BackupError::NotABackup { path: from.to_path_buf(), why };
    let manifest = read(&unpacked.join(MANIFEST))?;
    let manifest = manifest.ok_or_else(|| not_ours(format!("it has no {MANIFEST}")))?;
    let manifest: Manifest = serde_json::from_slice(&manifest)
        .map_err(|error| not_ours(format!("{MANIFEST}: {error}")))?;
    if manifest.layout > LAYOUT {
        let why = format!("a newer release made it (layout {})", manifest.layout);
        return Err(not_ours(why));
    }
    let source = match read(&unpacked.join(SECRET))? {
        Some(secret) => Unseal::Given { origin: String::from("the backup"), secret },
        None => options.unseal.clone(),
    };
    let old = FileVault::open(unpacked, &source)?;
    let Store { mut journal, vault, lock } = Store::open(made, options)?;
    for slot in old.keys()? {
        if let Some(key) = old.key(&slot)? {
            vault.put_key(&slot, &key)?;
        }
    }
    for leaf in old.chains()? {
        if let Some(chain) = old.chain(leaf)? {
            vault.put_chain(leaf, &chain)?;
        }
    }
    for bundle in old.bundles()? {
        if let Some(bundle) = old.bundle(bundle)? {
            vault.put_bundle(&bundle)?;
        }
    }
    if let Some(configuration) = old.configuration()? {
        vault.put_configuration(&configuration)?;
    }
    let mut lines: Box<dyn io::Read> = Box::new(io::empty());
    for part in parts_of_journal(unpacked)? {
        let part = unpacked.join(part);
        let part = File::open(&part).map_err(|cause| io_error(&part, cause))?;
        lines = Box::new(lines.chain(part));
    }
    let records = import_jsonl(&mut journal, &mut BufReader::new(lines))?;
    mark(&mut journal, id, manifest.made_at, now)?;
    drop((journal, vault, lock));
    Ok(Restored { backed_up_at: manifest.made_at, id: id.to_owned(), records })
}

/// Writes that the store was restored, as its newest record.
fn mark(
    journal: &mut SqliteJournal,
    id: &str,
    backed_up_at: Timestamp,
    now: Timestamp,
) -> Result<(), BackupError> {
    let mut loader = Loader::new();
    journal.read_all(&mut |found| {
        if let Found::Entry(entry) = found {
            loader.record(&entry.record);
        }
    })?;
    let epoch = journal.acquire_epoch()?;
    let mut offline = Offline::new(loader, epoch, now);
    offline.restored(id, backed_up_at).map_err(BackupError::Unmarked)?;
    journal.append(&offline.into_batch(), epoch)?;
    Ok(())
}

fn put(folder: &Path, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let place = folder.join(path);
    if let Some(parent) = place.parent() {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|cause| io_error(parent, cause))?;
    }
    let mut file = make_file(&place)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|cause| io_error(&place, cause))
}

fn make_file(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|cause| io_error(path, cause))
}

fn make_folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(|cause| io_error(path, cause))
}

/// Reads a file; one that is not there is nothing.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, BackupError> {
    let mut bytes = Zeroizing::new(Vec::new());
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(io_error(path, cause)),
    }
}

/// Lists a folder; one that is not there is empty.
fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(io_error(folder, cause)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|cause| io_error(folder, cause))?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

fn io_error(path: &Path, cause: io::Error) -> BackupError {
    BackupError::Io { path: path.to_path_buf(), cause }
}

/// Returns a path in the same folder, for what is not finished.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{end}"));
    path.with_file_name(name)
}
