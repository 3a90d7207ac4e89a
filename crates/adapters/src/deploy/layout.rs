//! Where the bundles of one certificate lie at a target, and how one of them becomes the active
//! one.
//!
//! ```text
//! <dir>/<certificate>/
//!   4f0c6b2e9d1a7788/     a bundle, named by the first 16 digits of its id
//!     cert.pem chain.pem fullchain.pem privkey.pem      (certbot's names)
//!   91d3c0aa5b6e2f10/     the next one, staged
//!   current -> 4f0c6b2e9d1a7788        what servers are pointed at
//!   previous -> ...                    what to go back to
//!   .staging-*, .removing-*            half made or half removed, cleared by the next stage
//! ```
//!
//! A directory gets its name only when it is whole and durable, and its files are never changed
//! afterwards. Key, leaf and chain become active as one value because they lie in one directory and
//! `current` changes by one rename. In every directory, at every moment, the leaf is there before
//! its key and goes after it.
//!
//! Where a certificate was renamed, `current` of its former folder leads to `current` of the new
//! one ([`super::former`]), until the former name is declared again.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use perennial_core::words::{BundleId, Name};
use perennial_wire::shelf::Bundle;
use zeroize::Zeroizing;

use super::access::{Access, Accesses};
use super::former;
use super::step::{Step, relink};
use super::trouble::Trouble;
use super::walk;

/// One of the files of a bundle, in the order in which they are written: the key last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum File {
    /// The leaf and its chain.
    Fullchain,
    /// The leaf.
    Cert,
    /// The chain without the leaf.
    Chain,
    /// The key.
    Key,
    /// Leaf, chain and key, for servers that read one file.
    Combined,
}

impl File {
    /// Returns its name, which is certbot's, so that people recognise it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fullchain => "fullchain.pem",
            Self::Cert => "cert.pem",
            Self::Chain => "chain.pem",
            Self::Key => "privkey.pem",
            Self::Combined => "combined.pem",
        }
    }
}

/// A file of a bundle with its bytes and its access.
pub(super) struct Content {
    pub(super) file: File,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) access: Access,
}

/// The files of every bundle, in the order of writing.
pub(super) const USUAL: &[File] = &[File::Fullchain, File::Cert, File::Chain, File::Key];

/// Those of one whose server reads one file.
pub(super) const WITH_COMBINED: &[File] =
    &[File::Fullchain, File::Cert, File::Chain, File::Key, File::Combined];

/// Returns these files of a bundle, in the order of writing.
pub(super) fn contents(bundle: &Bundle, accesses: Accesses, files: &[File]) -> Vec<Content> {
    let public = |file, text: &str| Content {
        file,
        bytes: Zeroizing::new(text.as_bytes().to_vec()),
        access: accesses.chain,
    };
    let leaf = terminated(&bundle.leaf_pem);
    let content = |file: &File| match file {
        File::Fullchain => public(File::Fullchain, &format!("{leaf}{}", bundle.chain_pem)),
        File::Cert => public(File::Cert, &leaf),
        File::Chain => public(File::Chain, &bundle.chain_pem),
        File::Key => {
            Content { file: File::Key, bytes: secret(&[&bundle.key_pem]), access: accesses.key }
        }
        File::Combined => Content {
            file: File::Combined,
            bytes: secret(&[&leaf, &terminated(&bundle.chain_pem), &bundle.key_pem]),
            access: accesses.key,
        },
    };
    files.iter().map(content).collect()
}

/// Joins texts of which one is secret, without leaving a copy behind.
fn secret(parts: &[&str]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn terminated(pem: &str) -> String {
    let end = if pem.ends_with('\n') { "" } else { "\n" };
    format!("{pem}{end}")
}

/// What a link of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pointed {
    /// There is none.
    Nowhere,
    /// To a directory of this folder.
    At(String),
    /// To `current` of the folder beside it that has this name: the certificate was renamed.
    Led(String),
    /// There is something, but no link of ours.
    Elsewhere,
}

/// The folder of one certificate at one target.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) folder: PathBuf,
    /// The folder it had under the name by which it was declared before, if it was renamed. Servers
    /// may still read there: its `current` is made to lead to ours.
    pub(super) former: Option<PathBuf>,
    /// The files of each bundle.
    pub(super) files: &'static [File],
}

impl Layout {
    /// Finds the folder of a certificate below the target's directory.
    pub(super) fn new(dir: &Path, certificate: &Name) -> Result<Self, Trouble> {
        if !dir.is_absolute() {
            return Err(Trouble::Relative(dir.to_owned()));
        }
        if !is_folder(certificate.as_str()) {
            return Err(Trouble::Name(certificate.clone()));
        }
        Ok(Self { folder: dir.join(certificate.as_str()), former: None, files: USUAL })
    }

    /// Returns the name of a bundle's directory.
    pub(super) fn version(id: BundleId) -> String {
        id.to_string().chars().take(VERSION_LEN).collect()
    }

    /// Returns the path of a file through a link or directory of this folder.
    pub(super) fn file(&self, through: &str, file: File) -> PathBuf {
        self.folder.join(through).join(file.name())
    }

    /// Returns what a link of this folder says.
    pub(super) fn pointed(&self, link: &str) -> Result<Pointed, Trouble> {
        let path = self.folder.join(link);
        let to = match walk::lies(&path) {
            Ok(walk::Lies::Link(to)) => to,
            Ok(walk::Lies::Directory | walk::Lies::File) => return Ok(Pointed::Elsewhere),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pointed::Nowhere),
            Err(error) => return Err(Trouble::disk("look at", &path, error)),
        };
        if let Some(name) = former::led(&to) {
            return Ok(Pointed::Led(name));
        }
        let name =
            to.to_str().filter(|name| is_version(name) || is_before(name) || *name == CURRENT);
        Ok(name.map_or(Pointed::Elsewhere, |name| Pointed::At(name.to_owned())))
    }

    /// Returns where a file lies that is read through a link of this folder, `current` or a door: no
    /// link is on the way there.
    pub(super) fn active(&self, through: &str, file: File) -> Result<Option<PathBuf>, Trouble> {
        let first = self.pointed(through)?;
        let last = match first {
            Pointed::At(name) if name == CURRENT && through != CURRENT => self.pointed(CURRENT)?,
            first => first,
        };
        Ok(match last {
            Pointed::At(name) if name != CURRENT => Some(self.file(&name, file)),
            Pointed::At(_) | Pointed::Led(_) | Pointed::Nowhere | Pointed::Elsewhere => None,
        })
    }

    /// Returns the names in the folder; none if there is no folder.
    pub(super) fn names(&self) -> Result<Vec<String>, Trouble> {
        names(&self.folder)
    }

    /// Plans to make a bundle lie in the folder, for nobody to see yet.
    ///
    /// Nothing is planned for a bundle that lies there already with the right bytes, owner and
    /// mode.
    pub(super) fn plan_stage(
        &self,
        id: BundleId,
        files: Vec<Content>,
    ) -> Result<Vec<Step>, Trouble> {
        let mut steps = self.plan_folder();
        steps.extend(self.plan_clear()?);
        steps.extend(self.plan_place(&Self::version(id), files)?);
        Ok(steps)
    }

    /// Plans to make a directory of this folder hold exactly these files, whole or not at all.
    pub(super) fn plan_place(&self, name: &str, files: Vec<Content>) -> Result<Vec<Step>, Trouble> {
        let path = self.folder.join(name);
        if holds(&path, &files)? {
            return Ok(Vec::new());
        }
        let staging = self.folder.join(format!("{STAGING}{name}"));
        let mut steps = vec![Step::MakeDir(staging.clone())];
        steps.extend(files.into_iter().map(|Content { file, bytes, access }| Step::Write {
            path: staging.join(file.name()),
            bytes,
            access,
        }));
        steps.push(Step::SyncDir(staging.clone()));
        if fs::symlink_metadata(&path).is_err() {
            steps.push(Step::Rename { from: staging, to: path });
            steps.push(Step::SyncDir(self.folder.clone()));
            return Ok(steps);
        }
        // Somebody changed what lies there, or owner and mode are declared differently now: the
        // whole directory is exchanged in one moment, in case it is the active one.
        steps.push(Step::Exchange(staging.clone(), path.clone()));
        steps.push(Step::SyncDir(self.folder.clone()));
        let replaced = names(&path)?.iter().map(|name| staging.join(name)).collect();
        steps.extend(plan_remove(&staging, replaced));
        Ok(steps)
    }

    /// Plans to make a directory the active one, and the one before it the previous.
    pub(super) fn plan_switch(&self, to: &str) -> Result<Vec<Step>, Trouble> {
        let mut steps = Vec::new();
        match self.pointed(CURRENT)? {
            Pointed::At(now) if now == to => return Ok(steps),
            Pointed::At(now) => {
                steps.extend(relink(Path::new(&now), &self.folder.join(PREVIOUS)));
            }
            Pointed::Led(_) => steps.extend(self.plan_return(to)?),
            Pointed::Nowhere => {}
            Pointed::Elsewhere => return Err(Trouble::InTheWay(self.folder.join(CURRENT))),
        }
        steps.extend(relink(Path::new(to), &self.folder.join(CURRENT)));
        steps.push(Step::SyncDir(self.folder.clone()));
        Ok(steps)
    }

    /// Plans to remove the bundles older than the previous one, and what was taken over before it.
    pub(super) fn plan_retire(&self) -> Result<Vec<Step>, Trouble> {
        let mut steps = Vec::new();
        for name in self.retired()? {
            let removing = self.folder.join(format!("{REMOVING}{name}"));
            let files = self::names(&self.folder.join(&name))?;
            let files = files.iter().map(|file| removing.join(file)).collect();
            steps.push(Step::Rename { from: self.folder.join(name), to: removing.clone() });
            steps.extend(plan_remove(&removing, files));
        }
        if !steps.is_empty() {
            steps.push(Step::SyncDir(self.folder.clone()));
        }
        // Last, since one that cannot be removed ends it.
        steps.extend(self.plan_drop(REMOVING)?);
        Ok(steps)
    }

    /// Says where bundles of the past lie, which an activation should have removed: those not yet
    /// touched, and those whose removal broke off.
    pub(super) fn of_the_past(&self) -> Result<Vec<String>, Trouble> {
        let mut found = self.retired()?;
        found.extend(self.names()?.into_iter().filter(|name| name.starts_with(REMOVING)));
        let place = |name| format!("`{}`", self.folder.join::<String>(name).display());
        Ok(found.into_iter().map(place).collect())
    }

    /// Returns the names of what is older than the previous bundle.
    fn retired(&self) -> Result<Vec<String>, Trouble> {
        let Pointed::At(previous) = self.pointed(PREVIOUS)? else { return Ok(Vec::new()) };
        let mut kept = vec![previous.clone()];
        let names = self.names()?;
        for link in names.iter().filter(|name| *name == CURRENT || is_door(name)) {
            if let Pointed::At(name) = self.pointed(link)? {
                kept.push(name);
            }
        }
        let previous_at = self.written_at(&previous)?;
        let mut retired = Vec::new();
        for name in names.into_iter().filter(|name| !kept.contains(name)) {
            let is_old =
                is_before(&name) || (is_version(&name) && self.written_at(&name)? < previous_at);
            if is_old && is_own_directory(&self.folder.join(&name))? {
                retired.push(name);
            }
        }
        Ok(retired)
    }

    /// Plans to remove what a crash left half made. What it left half removed is in nobody's way,
    /// and waits until a new bundle is active: that must not fail for it.
    fn plan_clear(&self) -> Result<Vec<Step>, Trouble> {
        self.plan_drop(STAGING)
    }

    /// Plans to remove everything whose name begins so.
    fn plan_drop(&self, prefix: &str) -> Result<Vec<Step>, Trouble> {
        let mut steps = Vec::new();
        for name in self.names()? {
            if name.starts_with(prefix) {
                let path = self.folder.join(name);
                if is_own_directory(&path)? {
                    let files = names(&path)?.iter().map(|file| path.join(file)).collect();
                    steps.extend(plan_remove(&path, files));
                } else {
                    steps.push(Step::Remove(path));
                }
            }
        }
        Ok(steps)
    }

    /// Plans to make the folder and whatever of the way to it is missing.
    fn plan_folder(&self) -> Vec<Step> {
        let mut missing: Vec<&Path> =
            self.folder.ancestors().take_while(|path| !path.is_dir()).collect();
        missing.reverse();
        let make = |path: &Path| {
            let parent = path.parent().map(|parent| Step::SyncDir(parent.to_owned()));
            [Some(Step::MakeDir(path.to_owned())), parent].into_iter().flatten()
        };
        missing.into_iter().flat_map(make).collect()
    }

    fn written_at(&self, name: &str) -> Result<SystemTime, Trouble> {
        let path = self.folder.join(name);
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
        modified.map_err(|error| Trouble::disk("look at", &path, error))
    }
}

/// Plans to remove a directory and its files, the key first.
fn plan_remove(path: &Path, mut files: Vec<PathBuf>) -> Vec<Step> {
    let is_key = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        name == File::Key.name() || name == File::Combined.name()
    };
    files.sort();
    files.dedup();
    files.sort_by_key(|file| !is_key(file));
    let mut steps: Vec<Step> = files.into_iter().map(Step::Remove).collect();
    steps.push(Step::RemoveDir(path.to_owned()));
    steps
}

/// Returns whether a directory holds all these files with these bytes and accesses.
fn holds(path: &Path, files: &[Content]) -> Result<bool, Trouble> {
    for content in files {
        let path = path.join(content.file.name());
        let Some((metadata, bytes)) = read(&path)? else { return Ok(false) };
        if *bytes != *content.bytes || !content.access.holds(&metadata) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file's owner and mode, and its bytes.
pub(super) type Found = (fs::Metadata, Zeroizing<Vec<u8>>);

/// Reads a file of at most [`MAX_FILE_LEN`] bytes; nothing if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Found>, Trouble> {
    let failed = |error| Trouble::disk("read", path, error);
    let file = match walk::file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_LEN {
        return Err(failed(io::Error::other("this is no file of a certificate")));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE_LEN).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some((metadata, bytes)))
}

/// Returns whether this is a directory itself and no link to one: what a link leads to is somebody
/// else's, and is never listed in order to be removed.
fn is_own_directory(path: &Path) -> Result<bool, Trouble> {
    let metadata = fs::symlink_metadata(path);
    Ok(metadata.map_err(|error| Trouble::disk("look at", path, error))?.is_dir())
}

fn names(path: &Path) -> Result<Vec<String>, Trouble> {
    match walk::names(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|error| Trouble::disk("list", path, error)),
    }
}

/// Returns whether this can name the folder of a certificate.
pub(super) fn is_folder(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// Returns whether this is the name of a bundle's directory.
pub(super) fn is_version(name: &str) -> bool {
    name.len() == VERSION_LEN
        && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Returns whether this is the name of a directory with what was there before us.
pub(super) fn is_before(name: &str) -> bool {
    name.starts_with(BEFORE)
}

/// Returns whether this is the name of a link through which taken over paths go.
pub(super) fn is_door(name: &str) -> bool {
    name.starts_with(DOOR)
}

/// The link to the active bundle.
pub(super) const CURRENT: &str = "current";

/// The link to the bundle that was active before.
pub(super) const PREVIOUS: &str = "previous";

/// Begins the name of a directory with what was there before us.
pub(super) const BEFORE: &str = "before-";

/// Begins the name of a link through which taken over paths go.
pub(super) const DOOR: &str = "door-";

const STAGING: &str = ".staging-";
const REMOVING: &str = ".removing-";

/// How many hexadecimal digits of the bundle's id name its directory: 64 bits.
const VERSION_LEN: usize = 16;

/// How long a file of a certificate may be.
pub(super) const MAX_FILE_LEN: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_removes_a_planted_link_and_nothing_that_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path(), &Name::new("www")).unwrap();
        let elsewhere = folder.path().join("keys");
        for dir in [&layout.folder, &elsewhere] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(elsewhere.join("account"), "key").unwrap();
        let link = layout.folder.join(format!("{STAGING}x"));
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        let steps = layout.plan_clear().unwrap();
        let removed = |step: &Step| matches!(step, Step::Remove(path) if *path == link);
        assert!(steps.len() == 1 && steps.iter().all(removed), "{steps:?}");
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("fullchain.pem");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        assert!(read(&pipe).is_err());
    }
}
