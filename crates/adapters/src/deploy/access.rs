//! Owners, groups and modes of the files we write.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::trouble::Trouble;

/// Who owns the files of a target, and who may read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessSettings {
    /// The owner, by name or number; ours if absent.
    pub owner: Option<String>,
    /// The group, by name or number; ours if absent.
    pub group: Option<String>,
    /// The mode of the key.
    pub key_mode: u32,
    /// The mode of the leaf and its chain.
    pub chain_mode: u32,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self { owner: None, group: None, key_mode: 0o600, chain_mode: 0o644 }
    }
}

/// Owner and mode of one file, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// The owner, if it is to be changed.
    pub(super) uid: Option<u32>,
    /// The group, if it is to be changed.
    pub(super) gid: Option<u32>,
    /// The permission bits.
    pub(super) mode: u32,
}

impl Access {
    /// Returns whether a file is so already.
    pub(super) fn holds(self, metadata: &fs::Metadata) -> bool {
        self.uid.is_none_or(|uid| uid == metadata.uid())
            && self.gid.is_none_or(|gid| gid == metadata.gid())
            && metadata.permissions().mode() & 0o7777 == self.mode
    }

    /// Returns how a file is.
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let mode = metadata.permissions().mode() & 0o7777;
        Self { uid: Some(metadata.uid()), gid: Some(metadata.gid()), mode }
    }
}

/// The accesses of chain and key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accesses {
    /// Of everything public.
    pub(super) chain: Access,
    /// Of the key.
    pub(super) key: Access,
}

impl AccessSettings {
    /// Looks names up in the machine's own lists of users and groups.
    pub(super) fn resolve(&self) -> Result<Accesses, Trouble> {
        let uid = self.owner.as_deref().map(|name| number("/etc/passwd", name)).transpose()?;
        let gid = self.group.as_deref().map(|name| number("/etc/group", name)).transpose()?;
        Ok(Accesses {
            chain: Access { uid, gid, mode: self.chain_mode },
            key: Access { uid, gid, mode: self.key_mode },
        })
    }
}

/// Finds a number in a list of the form `name:x:number:...`. Users of a directory service are not
/// in it: they are configured by number.
fn number(list: &'static str, name: &str) -> Result<u32, Trouble> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let mut text = String::new();
    let read =
        fs::File::open(list).and_then(|file| file.take(MAX_LIST_LEN).read_to_string(&mut text));
    read.map_err(|source| Trouble::disk("read", Path::new(list), source))?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    found.ok_or_else(|| Trouble::UnknownOwner { name: name.to_owned(), list })
}

/// How much of a list of users is read.
const MAX_LIST_LEN: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_by_name_and_by_number() {
        let settings = |owner: &str| AccessSettings {
            owner: Some(owner.to_owned()),
            group: Some("root".to_owned()),
            ..AccessSettings::default()
        };
        assert_eq!(settings("root").resolve().unwrap().key.uid, Some(0));
        assert_eq!(settings("4711").resolve().unwrap().chain.uid, Some(4711));
        assert!(matches!(
            settings("nobody-has-this-name").resolve(),
            Err(Trouble::UnknownOwner { .. })
        ));
    }
}
