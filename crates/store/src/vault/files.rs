//! The vault of one machine: sealed files in folders under the store's.
//!
//! ```text
//! keys/<slot>   chains/ab/<fingerprint>   bundles/ab/<id>   configuration/<name>   tmp/   secret.id
//! ```
//!
//! Folders are 0700, files 0600. A file is written under `tmp/`, synced, moved to its place, and
//! its folder is synced: a crash leaves it there whole or not at all, and at most a leftover in
//! `tmp/`, which the next start empties. A key is moved by linking, which fails if the slot is
//! taken: two makers of one key end up with the same one.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::RandomizedNonceKey;
use perennial_core::words::{BundleId, Fingerprint, Slot};
use zeroize::Zeroizing;

use super::bundle::id_of;
use super::seal::{self, HEADER_LIMIT, Kind, OpenError};
use super::secret::{IfMissing, Secret, Unseal};
use super::{Bundle, SecretState, Vault, slot_name};
use crate::error::{StoreError, Trouble};

/// Keys, chains and bundles in sealed files.
#[derive(Debug)]
pub struct FileVault {
    folder: PathBuf,
    secret: Secret,
    key: RandomizedNonceKey,
}

impl FileVault {
    /// Opens the vault in a store's folder, and makes what is missing.
    ///
    /// # Errors
    ///
    /// Returns [`Trouble::WrongSecret`] or [`Trouble::SecretMissing`] if the sealed files could not
    /// be opened later, or why the folder cannot be used.
    pub fn open(folder: &Path, unseal: &Unseal) -> Result<Self, StoreError> {
        for kind in [Kind::Key, Kind::Chain, Kind::Bundle, Kind::Configuration] {
            make_private(&folder.join(kind.folder()))?;
        }
        let temporary = folder.join(TEMPORARY);
        make_private(&temporary)?;
        empty(&temporary)?;
        let secret = agreed_secret(folder, unseal)?;
        let key = secret.sealing_key().map_err(|error| {
            StoreError::new("use the secret in", secret.origin(), Trouble::Engine(Box::new(error)))
        })?;
        Ok(Self { folder: folder.to_owned(), secret, key })
    }

    /// Returns what the operator should know of the secret.
    #[must_use]
    pub const fn secret_state(&self) -> SecretState {
        self.secret.state()
    }

    /// Returns the file the secret came from, or what else it is called.
    #[must_use]
    pub fn secret_origin(&self) -> &Path {
        self.secret.origin()
    }

    /// Keeps the operator's configuration, which may have secrets in it, replacing an earlier one.
    ///
    /// # Errors
    ///
    /// Returns why it is not durable; the earlier one is still there then.
    pub fn put_configuration(&self, content: &[u8]) -> Result<(), StoreError> {
        self.put(Kind::Configuration, LAST_GOOD, content)
    }

    /// Returns the configuration that was kept.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read.
    pub fn configuration(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read(Kind::Configuration, LAST_GOOD)
    }

    /// Returns where the bytes of a name lie.
    fn place(&self, kind: Kind, name: &str) -> PathBuf {
        let folder = self.folder.join(kind.folder());
        match kind {
            Kind::Key => folder.join(slot_name::encode(name)),
            Kind::Configuration => folder.join(name),
            Kind::Chain | Kind::Bundle => folder.join(name.get(..2).unwrap_or(name)).join(name),
        }
    }

    /// Reads and opens a sealed file.
    fn read(&self, kind: Kind, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let path = self.place(kind, name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        let limit = if kind == Kind::Configuration { CONFIGURATION_LIMIT } else { FILE_LIMIT };
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| StoreError::io("read", &path, error))?;
        if bytes.len() as u64 > limit {
            let why = Trouble::Corrupt(format!("it is longer than {limit} bytes"));
            return Err(StoreError::new("read", &path, why));
        }
        let opened = seal::open(&self.key, self.secret.id(), kind, name, bytes);
        opened.map(Some).map_err(|error| {
            let trouble = match error {
                OpenError::OtherSecret => self.wrong_secret(),
                OpenError::Trouble(trouble) => trouble,
            };
            StoreError::new("unseal", &path, trouble)
        })
    }

    fn wrong_secret(&self) -> Trouble {
        Trouble::WrongSecret { secret: self.secret.origin().to_owned() }
    }

    /// Seals content and writes it beside the others, for nobody to see yet.
    fn write_temporary(
        &self,
        kind: Kind,
        name: &str,
        content: &[u8],
    ) -> Result<PathBuf, StoreError> {
        let place = self.place(kind, name);
        let sealed = seal::seal(&self.key, self.secret.id(), kind, name, content)
            .map_err(|trouble| StoreError::new("seal", &place, trouble))?;
        let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let temporary =
            self.folder.join(TEMPORARY).join(format!("{}-{number}", std::process::id()));
        let written = write_synced(&temporary, &sealed);
        written.map_err(|error| {
            // Room is short, perhaps: what is half written must not take any.
            let _ = std::fs::remove_file(&temporary);
            StoreError::io("write", &place, error)
        })?;
        Ok(temporary)
    }

    /// Makes content durable under a name, replacing what is there.
    fn put(&self, kind: Kind, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let place = self.place(kind, name);
        let temporary = self.write_temporary(kind, name, content)?;
        let moved = (|| {
            let parent = parent_made(&place)?;
            std::fs::rename(&temporary, &place)?;
            sync_folder(&parent)
        })();
        moved.map_err(|error| {
            // What is left of it is removed at the next opening.
            let _ = std::fs::remove_file(&temporary);
            StoreError::io("write", &place, error)
        })
    }

    fn remove(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        let place = self.place(kind, name);
        let fail = |error| StoreError::io("remove", &place, error);
        match std::fs::remove_file(&place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fail(error)),
        }
        place.parent().map_or(Ok(()), sync_folder).map_err(fail)
    }

    /// Lists the names of a kind that lies in folders by their first two digits.
    fn list_digests<T: TryFrom<String> + Ord>(&self, kind: Kind) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        for folder in file_names(&self.folder.join(kind.folder()))? {
            let names = file_names(&self.folder.join(kind.folder()).join(folder))?;
            all.extend(names.into_iter().filter_map(|name| T::try_from(name).ok()));
        }
        all.sort();
        Ok(all)
    }
}

impl Vault for FileVault {
    fn put_key(&self, slot: &Slot, pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        if let Some(existing) = self.key(slot)? {
            return Ok(existing);
        }
        let place = self.place(Kind::Key, &slot.0);
        let temporary = self.write_temporary(Kind::Key, &slot.0, pkcs8)?;
        let linked = std::fs::hard_link(&temporary, &place);
        // Another name of what is sealed; one that stays is removed at the next opening.
        let _ = std::fs::remove_file(&temporary);
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("write", &place, error)),
        }
        // Also where another maker was first: its key must be durable before we rely on it.
        place
            .parent()
            .map_or(Ok(()), sync_folder)
            .map_err(|error| StoreError::io("write", &place, error))?;
        // What is there is what counts, and reading it back shows that it opens.
        self.key(slot)?.ok_or_else(|| StoreError::new("read", &place, Trouble::Absent))
    }

    fn key(&self, slot: &Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read(Kind::Key, &slot.0)
    }

    fn drop_key(&self, slot: &Slot) -> Result<(), StoreError> {
        self.remove(Kind::Key, &slot.0)
    }

    fn keys(&self) -> Result<Vec<Slot>, StoreError> {
        let folder = self.folder.join(Kind::Key.folder());
        let mut slots = Vec::new();
        for name in file_names(&folder)? {
            let slot = match slot_name::decode(&name) {
                Some(slot) => slot,
                None => name_in_header(&folder.join(&name))?,
            };
            slots.push(Slot(slot.into()));
        }
        slots.sort();
        Ok(slots)
    }

    fn put_chain(&self, leaf: Fingerprint, pem: &[u8]) -> Result<(), StoreError> {
        self.put(Kind::Chain, &leaf.to_string(), pem)
    }

    fn chain(&self, leaf: Fingerprint) -> Result<Option<Vec<u8>>, StoreError> {
        // A chain is public: nothing to wipe.
        Ok(self.read(Kind::Chain, &leaf.to_string())?.map(|mut pem| std::mem::take(&mut *pem)))
    }

    fn drop_chain(&self, leaf: Fingerprint) -> Result<(), StoreError> {
        self.remove(Kind::Chain, &leaf.to_string())
    }

    fn chains(&self) -> Result<Vec<Fingerprint>, StoreError> {
        self.list_digests(Kind::Chain)
    }

    fn put_bundle(&self, bundle: &Bundle) -> Result<BundleId, StoreError> {
        let bytes = bundle.to_bytes();
        let id = id_of(&bytes);
        self.put(Kind::Bundle, &id.to_string(), &bytes)?;
        Ok(id)
    }

    fn bundle(&self, id: BundleId) -> Result<Option<Bundle>, StoreError> {
        let name = id.to_string();
        let Some(bytes) = self.read(Kind::Bundle, &name)? else { return Ok(None) };
        Bundle::from_bytes(&bytes).map(Some).ok_or_else(|| {
            let why = Trouble::Corrupt("what is sealed in it is no bundle".to_owned());
            StoreError::new("read", &self.place(Kind::Bundle, &name), why)
        })
    }

    fn drop_bundle(&self, id: BundleId) -> Result<(), StoreError> {
        self.remove(Kind::Bundle, &id.to_string())
    }

    fn bundles(&self) -> Result<Vec<BundleId>, StoreError> {
        self.list_digests(Kind::Bundle)
    }
}

/// Loads the secret and makes sure that it is the one this store is sealed under.
fn agreed_secret(folder: &Path, unseal: &Unseal) -> Result<Secret, StoreError> {
    let mark = folder.join(SECRET_ID);
    let noted = match std::fs::read_to_string(&mark) {
        Ok(noted) => Some(noted),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(StoreError::io("read", &mark, error)),
    };
    let if_missing = if noted.is_some() { IfMissing::Refuse } else { IfMissing::Make };
    let secret = Secret::load(folder, unseal, if_missing)?;
    let own = secret.id().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match noted {
        Some(noted) if noted.trim() == own => {}
        Some(_) => {
            let trouble = Trouble::WrongSecret { secret: secret.origin().to_owned() };
            return Err(StoreError::new("open", &mark, trouble));
        }
        None => {
            let temporary = folder.join(TEMPORARY).join(SECRET_ID);
            write_synced(&temporary, format!("{own}\n").as_bytes())
                .and_then(|()| std::fs::rename(&temporary, &mark))
                .and_then(|()| sync_folder(folder))
                .map_err(|error| StoreError::io("write", &mark, error))?;
        }
    }
    Ok(secret)
}

/// Makes a folder that only we can enter; one that is there becomes so.
fn make_private(folder: &Path) -> Result<(), StoreError> {
    let make = || match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(folder, Permissions::from_mode(0o700))
        }
        other => other,
    };
    make().map_err(|error| StoreError::io("make", folder, error))
}

/// Removes what a crash left behind.
fn empty(folder: &Path) -> Result<(), StoreError> {
    for name in file_names(folder)? {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn file_names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let read = || {
        let entries = std::fs::read_dir(folder)?;
        // Names that are not UTF-8 are none of ours.
        entries
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect::<io::Result<Vec<_>>>()
    };
    read().map_err(|error| StoreError::io("list", folder, error))
}

fn name_in_header(path: &Path) -> Result<String, StoreError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADER_LIMIT).read_to_end(&mut bytes))
        .map_err(|error| StoreError::io("read", path, error))?;
    let header = seal::read_header(&bytes);
    header
        .map(|header| header.name.to_owned())
        .map_err(|trouble| StoreError::new("read", path, trouble))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the folder a file goes to, durably, and returns it.
fn parent_made(place: &Path) -> io::Result<PathBuf> {
    let parent = place.parent().unwrap_or(place).to_owned();
    match DirBuilder::new().mode(0o700).create(&parent) {
        Ok(()) => parent.parent().map_or(Ok(()), sync_folder)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    Ok(parent)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Numbers temporary files within the process; the process's number tells them from others'.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

const TEMPORARY: &str = "tmp";
const SECRET_ID: &str = "secret.id";
const LAST_GOOD: &str = "last-good";

/// The longest sealed file that is read: chains are bounded far below it.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// The longest sealed configuration that is read: a million certificates take about 150 MB.
const CONFIGURATION_LIMIT: u64 = 1024 * 1024 * 1024;
