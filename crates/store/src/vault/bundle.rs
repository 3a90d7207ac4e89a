//! Bundles: leaf, chain and key as one value, with one canonical form in bytes.

use std::path::Path;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perennial_core::words::{BundleId, Fingerprint, Slot};
use zeroize::Zeroizing;

use super::Vault;
use crate::error::{StoreError, Trouble};

/// Leaf, chain and key, installed as one value.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The leaf in PEM.
    pub leaf_pem: String,
    /// The rest of the chain in PEM, in order, without the leaf.
    pub chain_pem: String,
    /// The key in PKCS#8 PEM.
    pub key_pem: Zeroizing<String>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Bundle {
    /// Returns the SHA-256 of the canonical bytes.
    #[must_use]
    pub fn id(&self) -> BundleId {
        id_of(&self.to_bytes())
    }

    /// Returns the canonical bytes: a first line, then each part with its length in front.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let parts = [self.leaf_pem.as_bytes(), self.chain_pem.as_bytes(), self.key_pem.as_bytes()];
        let length = parts.iter().map(|part| part.len() + LENGTH_BYTES).sum::<usize>();
        // Reserved at once: growing would leave a copy of the key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAGIC.len() + length));
        bytes.extend_from_slice(MAGIC);
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// Reads the canonical bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<LENGTH_BYTES>()?;
            let (part, after) =
                after.split_at_checked(u64::from_be_bytes(*length).try_into().ok()?)?;
            rest = after;
            std::str::from_utf8(part).ok().map(str::to_owned)
        };
        let bundle =
            Self { leaf_pem: part()?, chain_pem: part()?, key_pem: Zeroizing::new(part()?) };
        rest.is_empty().then_some(bundle)
    }
}

pub(super) fn id_of(canonical: &[u8]) -> BundleId {
    let mut id = [0; 32];
    let digest = digest::digest(&digest::SHA256, canonical);
    id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    BundleId(id)
}

/// Joins a kept chain and the key of a slot to a kept bundle. Repeating it gives the same bundle.
///
/// # Errors
///
/// Returns [`Trouble::Absent`] if chain or key is missing, or why the bundle is not durable.
pub fn join_bundle(
    vault: &dyn Vault,
    leaf: Fingerprint,
    key: &Slot,
) -> Result<BundleId, StoreError> {
    let absent = |what, name: String| StoreError::new(what, Path::new(&name), Trouble::Absent);
    let chain = vault.chain(leaf)?;
    let chain = chain.ok_or_else(|| absent("join the chain of", leaf.to_string()))?;
    let pkcs8 = vault.key(key)?;
    let pkcs8 = pkcs8.ok_or_else(|| absent("join the key of slot", key.to_string()))?;
    let (leaf_pem, chain_pem) = split_chain(&chain).ok_or_else(|| {
        let why = Trouble::Corrupt("no certificate in PEM".to_owned());
        StoreError::new("join the chain of", Path::new(&leaf.to_string()), why)
    })?;
    vault.put_bundle(&Bundle { leaf_pem, chain_pem, key_pem: key_pem(&pkcs8) })
}

/// Parts a chain after its first certificate.
fn split_chain(pem: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(pem).ok()?;
    let end = text.find(PEM_END)? + PEM_END.len();
    let (leaf, rest) = text.split_at_checked(end)?;
    let leaf = leaf.get(leaf.find(PEM_BEGIN)?..)?;
    Some((format!("{leaf}\n"), rest.trim_start().to_owned()))
}

/// Writes a key as PEM.
///
/// Source: RFC 7468 section 10.
fn key_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(vec![0; pkcs8.len().div_ceil(3) * 4]);
    let length = STANDARD.encode_slice(pkcs8, &mut encoded).unwrap_or(0);
    let lines = encoded.get(..length).unwrap_or_default().chunks(64);
    let size = length + lines.len() + KEY_BEGIN.len() + KEY_END.len();
    let mut pem = Zeroizing::new(String::with_capacity(size));
    pem.push_str(KEY_BEGIN);
    for line in lines {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str(KEY_END);
    pem
}

const MAGIC: &[u8] = b"perennial bundle 1\n";
const LENGTH_BYTES: usize = 8;
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";
const KEY_BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
const KEY_END: &str = "-----END PRIVATE KEY-----\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let key_pem = Zeroizing::new("key".to_owned());
        Bundle { leaf_pem: "leaf".to_owned(), chain_pem: "chain".to_owned(), key_pem }
    }

    #[test]
    fn a_bundle_survives_its_bytes() {
        let bytes = bundle().to_bytes();
        assert_eq!(Bundle::from_bytes(&bytes), Some(bundle()));
        assert_eq!(bytes.capacity(), bytes.len(), "no copy of the key was left by growing");
    }

    #[test]
    fn the_id_of_a_bundle_is_fixed_for_ever() {
        let expected = "22fc2bdb97a1fd5b927b0bce8eaeb4a9f946841ed9e5396333f87c846eab0256";
        assert_eq!(bundle().id().to_string(), expected);
    }

    #[test]
    fn bytes_cut_or_extended_anywhere_are_no_bundle() {
        let bytes = bundle().to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(Bundle::from_bytes(&bytes[..end]), None, "{end}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(Bundle::from_bytes(&longer), None);
    }

    #[test]
    fn moving_a_byte_from_one_part_to_the_next_is_another_bundle() {
        let mut other = bundle();
        other.leaf_pem = "lea".to_owned();
        other.chain_pem = "fchain".to_owned();
        assert_ne!(other.id(), bundle().id());
    }

    #[test]
    fn a_chain_is_parted_after_the_leaf() {
        let one = format!("{PEM_BEGIN}\nAAAA\n{PEM_END}\n");
        let two = format!("{PEM_BEGIN}\nBBBB\n{PEM_END}\n");
        let chain = format!("a comment\n{one}\n{two}");
        assert_eq!(split_chain(chain.as_bytes()), Some((one.clone(), two)));
        assert_eq!(split_chain(one.as_bytes()), Some((one, String::new())));
        assert_eq!(split_chain(b"nothing"), None);
    }

    #[test]
    fn a_key_is_written_as_rfc_7468_has_it() {
        let pem = key_pem(&[0xab; 50]);
        let lines: Vec<&str> = pem.lines().collect();
        assert_eq!(lines.first(), Some(&"-----BEGIN PRIVATE KEY-----"));
        assert_eq!(lines.last(), Some(&"-----END PRIVATE KEY-----"));
        assert_eq!(lines[1].len(), 64);
        assert_eq!(STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap(), [0xab; 50]);
    }
}
