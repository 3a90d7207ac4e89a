//! The secret that seals keys and bundles: where it comes from, and what is derived from it.
//!
//! It must be there after an unattended reboot, so it is a file: a systemd credential
//! (`LoadCredential=`, which may be encrypted to the TPM), a file on another disk, or, if nothing
//! is said, a file in the store itself. The last protects backups of single files, not a stolen
//! disk, and is told as such.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use crate::error::{StoreError, Trouble};

/// Where the secret that seals a store comes from.
#[derive(Clone, Debug, Default)]
pub enum Unseal {
    /// `unseal.key` in the store's folder, made at first use.
    #[default]
    Own,
    /// A file, such as a systemd credential. It is never made.
    File(PathBuf),
    /// The secret itself, read by the caller.
    Given {
        /// What it is called in messages: "env:PERENNIAL_UNSEAL".
        origin: String,
        /// 32 bytes, or 64 hexadecimal digits.
        secret: Zeroizing<Vec<u8>>,
    },
}

impl From<Option<PathBuf>> for Unseal {
    fn from(file: Option<PathBuf>) -> Self {
        file.map_or(Self::Own, Self::File)
    }
}

/// The secret, ready for use.
pub struct Secret {
    origin: PathBuf,
    state: SecretState,
    id: SecretId,
    prk: Prk,
}

/// What the operator should know of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretState {
    /// Whether it was made just now.
    pub made_now: bool,
    /// Whether it lies in the store beside what it seals: whoever takes the folder has both.
    pub beside_store: bool,
    /// Whether any user of the machine can read or write it, as far as its own mode goes.
    pub exposed: bool,
}

/// Tells secrets apart without telling them.
pub(super) type SecretId = [u8; 8];

/// Whether a missing secret may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMissing {
    /// Nothing is sealed yet.
    Make,
    /// Sealed files exist: another secret would not open them.
    Refuse,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Secret {
    /// Returns what the operator should know of it.
    #[must_use]
    pub const fn state(&self) -> SecretState {
        self.state
    }

    /// Returns the file it came from, or what else it is called.
    #[must_use]
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    pub(super) const fn id(&self) -> SecretId {
        self.id
    }

    /// Returns the key for sealing.
    ///
    /// Nonces are random, 96 bits: one secret is good for 2^32 seals (NIST SP 800-38D section
    /// 8.3), a million certificates renewed monthly for over a century.
    pub(super) fn sealing_key(&self) -> Result<RandomizedNonceKey, aws_lc_rs::error::Unspecified> {
        let mut key = Zeroizing::new([0; 32]);
        expand(&self.prk, b"perennial seal 1", &mut *key)?;
        RandomizedNonceKey::new(&AES_256_GCM, &*key)
    }

    /// Reads the secret of a store.
    pub(super) fn load(
        folder: &Path,
        unseal: &Unseal,
        if_missing: IfMissing,
    ) -> Result<Self, StoreError> {
        match unseal {
            Unseal::Own => Self::own(folder, if_missing),
            Unseal::File(path) => Self::read(folder, path, MadeNow::No),
            Unseal::Given { origin, secret } => {
                let state = SecretState { made_now: false, beside_store: false, exposed: false };
                Self::parse(Path::new(origin), secret, secret.len() as u64, state)
            }
        }
    }

    fn own(folder: &Path, if_missing: IfMissing) -> Result<Self, StoreError> {
        let path = folder.join("unseal.key");
        let is_there = path.try_exists().map_err(|error| StoreError::io(READ, &path, error))?;
        match (is_there, if_missing) {
            (true, _) => Self::read(folder, &path, MadeNow::No),
            (false, IfMissing::Make) => {
                make(folder, &path)?;
                Self::read(folder, &path, MadeNow::Yes)
            }
            (false, IfMissing::Refuse) => Err(StoreError::new(READ, &path, Trouble::SecretMissing)),
        }
    }

    fn read(folder: &Path, path: &Path, made_now: MadeNow) -> Result<Self, StoreError> {
        let fail = |error| StoreError::io(READ, path, error);
        let mut file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        let state = SecretState {
            made_now: made_now == MadeNow::Yes,
            beside_store: path.starts_with(folder),
            // The group's bits show the mask where access is given by ACL, as systemd does.
            exposed: metadata.mode() & 0o007 != 0,
        };
        let mut buffer = Zeroizing::new([0; READ_LIMIT]);
        let length = read_up_to(&mut file, &mut *buffer).map_err(fail)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        Self::parse(path, bytes, metadata.len(), state)
    }

    fn parse(
        origin: &Path,
        bytes: &[u8],
        found: u64,
        state: SecretState,
    ) -> Result<Self, StoreError> {
        let bytes = parse(bytes)
            .ok_or_else(|| StoreError::new(READ, origin, Trouble::SecretMalformed { found }))?;
        let prk = Salt::new(HKDF_SHA256, b"perennial").extract(&*bytes);
        let mut id = [0; 8];
        expand(&prk, b"perennial secret id", &mut id).map_err(|error| {
            StoreError::new("use the secret in", origin, Trouble::Engine(Box::new(error)))
        })?;
        Ok(Self { origin: origin.to_owned(), state, id, prk })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MadeNow {
    Yes,
    No,
}

const READ: &str = "read the secret in";

/// More than any form of a secret has, so that a longer file is seen to be none.
const READ_LIMIT: usize = 80;

/// Makes a secret. A crash inside leaves none or a whole one.
fn make(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|error| {
        StoreError::new("make the secret in", path, Trouble::Engine(Box::new(error)))
    })?;
    let unfinished = folder.join("unseal.key.new");
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(&*bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| StoreError::io("make the secret in", path, error))
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match file.read(room)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// Takes 32 bytes, raw or as hexadecimal digits with or without an end of line.
fn parse(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
        return Some(Zeroizing::new(raw));
    }
    let digits = bytes.trim_ascii_end();
    if digits.len() != 64 {
        return None;
    }
    let mut raw = Zeroizing::new([0; 32]);
    for (byte, pair) in raw.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(raw)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(prk: &Prk, label: &[u8], out: &mut [u8]) -> Result<(), aws_lc_rs::error::Unspecified> {
    prk.expand(&[label], Length(out.len()))?.fill(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_32_bytes_or_64_digits_and_nothing_else() {
        let digits = "ab".repeat(32);
        let expected = Some(Zeroizing::new([0xab; 32]));
        assert_eq!(parse(&[0xab; 32]), expected);
        assert_eq!(parse(digits.as_bytes()), expected);
        assert_eq!(parse(format!("{digits}\r\n").as_bytes()), expected);
        assert_eq!(parse(&[0xab; 31]), None);
        assert_eq!(parse(&[b'z'; 64]), None);
        assert_eq!(parse(&[b'a'; 80]), None);
        assert_eq!(parse(b""), None);
    }
}
