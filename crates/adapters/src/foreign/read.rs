//! Reading what lies in a tree, within bounds.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use perennial_core::words::LeafFacts;
use perennial_wire::key::KeyPair;
use perennial_wire::x509::Chain;
use zeroize::Zeroizing;

use super::{Key, Tree};

/// How long a file of a tree may be, in bytes: a chain, or a configuration of hundreds of names.
const LONGEST: u64 = 512 * 1024;

/// How many entries of a folder are read.
const MANY: usize = 10_000;

impl Tree {
    /// Keeps what was read, or says why it was not.
    pub(super) fn note<T>(&mut self, read: Result<T, String>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

/// Reads a file whole. A pipe or a device is refused: opening one may wait for ever.
pub(super) fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let told = |cause: &dyn std::fmt::Display| format!("{}: {cause}", path.display());
    let meta = std::fs::metadata(path).map_err(|error| told(&error))?;
    if !meta.is_file() {
        return Err(told(&"it is no file"));
    }
    // Reserved at once: growing would leave copies of a key behind.
    let length = usize::try_from(LONGEST.min(meta.len())).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    let opened = File::open(path).map_err(|error| told(&error))?;
    opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| told(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(told(&format_args!("it is longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}

/// Reads a file of text.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let bytes = file(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{}: no UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// Lists a folder, sorted by name; one that is not there is empty.
pub(super) fn folder(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.take(MANY).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Returns a path's last part, where it is text.
pub(super) fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Reads a key in PEM.
pub(super) fn key(path: &Path) -> Result<Key, String> {
    made(path, KeyPair::pkcs8_of_pem(&file(path)?))
}

/// Makes a key of what was read from a path.
pub(super) fn made(
    path: &Path,
    pkcs8: Result<Zeroizing<Vec<u8>>, perennial_wire::key::KeyError>,
) -> Result<Key, String> {
    let told = |error| format!("{}: {error}", path.display());
    let pkcs8 = pkcs8.map_err(told)?;
    let pair = KeyPair::from_pkcs8(&pkcs8).map_err(told)?;
    Ok(Key { pkcs8, pair })
}

/// Reads a chain in PEM with what its leaf says; further certificates may lie in a second file.
pub(super) fn chain(leaf: &Path, rest: Option<&Path>) -> Result<(Chain, LeafFacts), String> {
    let mut pem = file(leaf)?;
    if let Some(rest) = rest {
        pem.push(b'\n');
        pem.extend_from_slice(&file(rest)?);
    }
    let told = |error| format!("{}: {error}", leaf.display());
    let chain = Chain::from_pem(&pem).map_err(told)?;
    let facts = chain.facts().map_err(told)?;
    Ok((chain, facts))
}

/// Says that a leaf and a key do not belong together, if they do not.
pub(super) fn paired(path: &Path, facts: &LeafFacts, key: &Key) -> Result<(), String> {
    if facts.key == key.pair.id() {
        return Ok(());
    }
    Err(format!("{}: the key beside it is another one's", path.display()))
}
