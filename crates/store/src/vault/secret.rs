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

/// The secret, ready for use.
pub struct Secret {
    path: PathBuf,
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
        f.debug_struct("Secret").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Secret {
    /// Returns what the operator should know of it.
    #[must_use]
    pub const fn state(&self) -> SecretState {
        self.state
    }

    /// Returns the file it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Reads the secret of a store, from the given file or from the store's own.
    pub(super) fn load(
        folder: &Path,
        given: Option<&Path>,
        if_missing: IfMissing,
    ) -> Result<Self, StoreError> {
        let path = given.map_or_else(|| folder.join("unseal.key"), Path::to_owned);
        let fail = |error| StoreError::io("read the secret in", &path, error);
        let (mut file, made_now) = match File::open(&path) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let own = given.is_none();
                if if_missing == IfMissing::Refuse {
                    let trouble = Trouble::SecretMissing;
                    return Err(StoreError::new("read the secret in", &path, trouble));
                }
                if !own {
                    return Err(fail(error));
                }
                make(folder, &path)?;
                (File::open(&path).map_err(fail)?, true)
            }
            Err(error) => return Err(fail(error)),
        };
        let metadata = file.metadata().map_err(fail)?;
        let state = SecretState {
            made_now,
            beside_store: path.starts_with(folder),
            // The group's bits show the mask where access is given by ACL, as systemd does.
            exposed: metadata.mode() & 0o007 != 0,
        };
        let bytes = read(&mut file).map_err(fail)?.ok_or_else(|| {
            let trouble = Trouble::SecretMalformed { found: metadata.len() };
            StoreError::new("read the secret in", &path, trouble)
        })?;
        let prk = Salt::new(HKDF_SHA256, b"perennial").extract(&*bytes);
        let mut id = [0; 8];
        expand(&prk, b"perennial secret id", &mut id).map_err(|error| {
            StoreError::new("use the secret in", &path, Trouble::Engine(Box::new(error)))
        })?;
        Ok(Self { path, state, id, prk })
    }
}

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

/// Reads 32 bytes, raw or as hexadecimal digits with or without an end of line.
fn read(file: &mut File) -> std::io::Result<Option<Zeroizing<[u8; 32]>>> {
    let mut buffer = Zeroizing::new([0; 80]);
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match file.read(room)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(parse(buffer.get(..length).unwrap_or_default()))
}

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
