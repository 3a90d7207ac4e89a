//! Sealed files: a header in the clear, bound to its content, and AES-256-GCM.
//!
//! ```text
//! "PRNLSEAL" | layout u8 | kind u8 | secret id [8] | name length u16 | name | nonce [12] | sealed
//! ```
//!
//! Everything before the nonce is authenticated with the content, so that a file put under another
//! name or into another folder does not open. The secret's id tells "sealed under another secret"
//! from "damaged".

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::{Zeroize, Zeroizing};

use super::secret::SecretId;
use crate::error::Trouble;

/// What a sealed file holds. The numbers stand in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Key = 1,
    Chain = 2,
    Bundle = 3,
    Configuration = 4,
}

impl Kind {
    /// Returns the name of the folder.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Chain => "chains",
            Self::Bundle => "bundles",
            Self::Configuration => "configuration",
        }
    }
}

/// A file's header, read without opening the seal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'f> {
    kind: u8,
    secret: SecretId,
    pub(super) name: &'f str,
    length: usize,
}

impl Header<'_> {
    /// Returns what the file was sealed as, for messages.
    fn describe(&self) -> String {
        let kind = match self.kind {
            1 => "key",
            2 => "chain",
            3 => "bundle",
            4 => "configuration",
            _ => "something unknown",
        };
        format!("{kind} `{}`", self.name)
    }
}

/// Seals content under a kind and a name.
pub(super) fn seal(
    key: &RandomizedNonceKey,
    secret: SecretId,
    kind: Kind,
    name: &str,
    content: &[u8],
) -> Result<Vec<u8>, Trouble> {
    let header = header(secret, kind, name)?;
    // Reserved at once: growing would leave the plain content behind.
    let mut sealed = Zeroizing::new(Vec::with_capacity(content.len() + TAG_LENGTH));
    sealed.extend_from_slice(content);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(&header), &mut *sealed)
        .map_err(|error| Trouble::Engine(Box::new(error)))?;
    Ok([&header[..], nonce.as_ref(), &sealed[..]].concat())
}

/// Opens a file's bytes, sealed under a kind and a name.
pub(super) fn open(
    key: &RandomizedNonceKey,
    secret: SecretId,
    kind: Kind,
    name: &str,
    mut file: Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let read = read_header(&file)?;
    let length = read.length;
    if (read.kind, read.name) != (kind as u8, name) {
        return Err(Trouble::Misplaced { found: read.describe() }.into());
    }
    if read.secret != secret {
        return Err(OpenError::OtherSecret);
    }
    let needed = length + NONCE_LEN + TAG_LENGTH;
    if file.len() < needed {
        return Err(Trouble::Truncated { found: file.len(), needed }.into());
    }
    let broken = || Trouble::Corrupt("the seal is broken".to_owned());
    let (header, rest) = file.split_at_mut_checked(length).ok_or_else(broken)?;
    let (nonce, sealed) = rest.split_at_mut_checked(NONCE_LEN).ok_or_else(broken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
    let plain = key.open_in_place(nonce, Aad::from(&*header), sealed).map_err(|_| broken())?;
    let content = Zeroizing::new(plain.to_vec());
    file.zeroize();
    Ok(content)
}

/// Why a file does not open.
#[derive(Debug)]
pub(super) enum OpenError {
    /// It was sealed under another secret.
    OtherSecret,
    /// Something else.
    Trouble(Trouble),
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn header(secret: SecretId, kind: Kind, name: &str) -> Result<Vec<u8>, Trouble> {
    let length = u16::try_from(name.len())
        .map_err(|_| Trouble::Engine("a name of more than 65535 bytes".into()))?;
    Ok([&MAGIC[..], &[LAYOUT, kind as u8], &secret, &length.to_be_bytes(), name.as_bytes()]
        .concat())
}

/// Reads a header.
pub(super) fn read_header(file: &[u8]) -> Result<Header<'_>, Trouble> {
    let ends_early = || Trouble::Truncated { found: file.len(), needed: FIXED_LENGTH };
    let (magic, rest) = file.split_first_chunk::<8>().ok_or_else(ends_early)?;
    if magic != MAGIC {
        return Err(Trouble::Corrupt("it does not begin like a sealed file".to_owned()));
    }
    let ([layout, kind], rest) = rest.split_first_chunk::<2>().ok_or_else(ends_early)?;
    if *layout != LAYOUT {
        return Err(Trouble::Newer { found: i64::from(*layout), known: i64::from(LAYOUT) });
    }
    let (secret, rest) = rest.split_first_chunk::<8>().ok_or_else(ends_early)?;
    let (name_length, rest) = rest.split_first_chunk::<2>().ok_or_else(ends_early)?;
    let name_length = usize::from(u16::from_be_bytes(*name_length));
    let length = FIXED_LENGTH + name_length;
    let name =
        rest.get(..name_length).ok_or(Trouble::Truncated { found: file.len(), needed: length })?;
    let name = std::str::from_utf8(name)
        .map_err(|_| Trouble::Corrupt("the name in its header is not UTF-8".to_owned()))?;
    Ok(Header { kind: *kind, secret: *secret, name, length })
}

const MAGIC: &[u8; 8] = b"PRNLSEAL";
const LAYOUT: u8 = 1;
const FIXED_LENGTH: usize = 8 + 1 + 1 + 8 + 2;
const TAG_LENGTH: usize = 16;

/// The longest header there is: more need not be read to learn a file's name.
pub(super) const HEADER_LIMIT: u64 = FIXED_LENGTH as u64 + u16::MAX as u64;

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::AES_256_GCM;

    use super::*;

    const SECRET: SecretId = *b"secretid";

    fn key() -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, &[7; 32]).unwrap()
    }

    fn sealed() -> Vec<u8> {
        seal(&key(), SECRET, Kind::Key, "account/ca", b"content").unwrap()
    }

    #[test]
    fn what_was_sealed_opens_under_its_kind_and_name_alone() {
        let open = |kind, name| open(&key(), SECRET, kind, name, sealed());
        assert_eq!(&**open(Kind::Key, "account/ca").unwrap(), b"content");
        for (kind, name) in [(Kind::Bundle, "account/ca"), (Kind::Key, "account/cb")] {
            let error = open(kind, name).unwrap_err();
            let OpenError::Trouble(Trouble::Misplaced { found }) = error else {
                panic!("{error:?}")
            };
            assert_eq!(found, "key `account/ca`");
        }
    }

    #[test]
    fn the_content_is_not_in_the_file_and_no_two_seals_are_alike() {
        assert!(!sealed().windows(7).any(|bytes| bytes == b"content"));
        assert_ne!(sealed(), sealed());
    }

    #[test]
    fn another_secret_is_told_from_damage() {
        let error = open(&key(), *b"otherone", Kind::Key, "account/ca", sealed()).unwrap_err();
        assert!(matches!(error, OpenError::OtherSecret));
    }

    #[test]
    fn no_file_with_a_flipped_bit_opens() {
        let good = sealed();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key(), SECRET, Kind::Key, "account/ca", bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn no_file_cut_short_opens() {
        let good = sealed();
        for end in 0..good.len() {
            let cut = good[..end].to_vec();
            assert!(open(&key(), SECRET, Kind::Key, "account/ca", cut).is_err(), "{end} bytes");
        }
    }
}
