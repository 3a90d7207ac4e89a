//! Ways to directories that others may change while we go there.
//!
//! We may be root, and the folder of a target somebody else's, who can put a link in the place of
//! anything on the way at any moment. So a way is gone step by step with a handle of each
//! directory, and whatever is done is done by the last handle and one name: nothing that is swapped
//! afterwards leads it elsewhere.
//!
//! A link is followed only where nobody but root and us could have put it: as long as every
//! directory on the way belongs to one of us and others may not write to it, or it is one like
//! `/tmp` where each may change what is his own alone. Behind the first directory of which that is
//! not true, no link is followed any more.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

/// How many links are followed on one way; the kernel's own bound.
const MAX_LINKS: usize = 40;

/// Enough of a handle to go on from, also where one may pass and not list.
#[cfg(target_os = "linux")]
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW);

/// Nothing waits for whoever might write into a pipe, and nothing that was swapped for a link is read.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const LIST: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How many names one directory may have: a target's has a handful.
const MAX_NAMES: usize = 10_000;

/// Opens the directory in which the last name of a path is, and returns that name.
pub(super) fn parent(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let (parent, name) = path.parent().zip(path.file_name()).ok_or(Errno::INVAL)?;
    Ok((directory(parent)?, name))
}

/// Looks whether the way to a directory could be gone to write there, as far as there is one yet.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match directory(path) {
        Err(error) if !is_planted(&error) => Ok(()),
        other => other.map(drop),
    }
}

/// Opens a directory.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    let mut way = Way::new(path)?;
    while let Some(name) = way.ahead.pop_front() {
        way.step(path, &name)?;
    }
    Ok(way.at)
}

/// Opens a file for reading. A link in its place is followed as one on the way is; what is no file,
/// a device or a pipe, is not opened at all.
pub(super) fn file(path: &Path) -> io::Result<fs::File> {
    let mut way = Way::new(path)?;
    while let Some(name) = way.ahead.pop_front() {
        if !way.ahead.is_empty() {
            way.step(path, &name)?;
            continue;
        }
        match FileType::from_raw_mode(statat(&way.at, &name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) {
            FileType::Symlink => {
                way.is_vouched = way.is_vouched && vouched(&way.at, &name)?;
                way.follow(path, &name)?;
            }
            FileType::RegularFile => return Ok(openat(way.at, name, READ, Mode::empty())?.into()),
            FileType::Directory => return Err(Errno::ISDIR.into()),
            _ => return Err(Errno::INVAL.into()),
        }
    }
    Err(Errno::ISDIR.into())
}

/// Reads what lies at a path itself: what a link says, or that it is none.
pub(super) fn lies(path: &Path) -> io::Result<Lies> {
    let (dir, name) = parent(path)?;
    match readlinkat(&dir, name, Vec::new()) {
        Ok(to) => return Ok(Lies::Link(OsString::from_vec(to.into_bytes()).into())),
        Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let mode = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode;
    Ok(if FileType::from_raw_mode(mode) == FileType::Directory {
        Lies::Directory
    } else {
        Lies::File
    })
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    /// A link, which says this.
    Link(PathBuf),
    Directory,
    /// A file, or whatever else is no link and no directory.
    File,
}

/// Returns the names in a directory, sorted.
pub(super) fn names(path: &Path) -> io::Result<Vec<String>> {
    let dir = openat(directory(path)?, ".", LIST, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            continue;
        }
        if names.len() == MAX_NAMES {
            return Err(io::Error::other(format!("there are more than {MAX_NAMES} names in it")));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

/// A way that is being gone.
struct Way {
    at: OwnedFd,
    ahead: VecDeque<OsString>,
    /// Whether links are followed still.
    is_vouched: bool,
    links: usize,
}

impl Way {
    fn new(path: &Path) -> io::Result<Self> {
        if !path.is_absolute() {
            return Err(Errno::INVAL.into());
        }
        Ok(Self { at: root()?, ahead: names_of(path).collect(), is_vouched: true, links: 0 })
    }

    /// Goes into a directory, or on where a link leads.
    fn step(&mut self, path: &Path, name: &OsStr) -> io::Result<()> {
        self.is_vouched = self.is_vouched && vouched(&self.at, name)?;
        match openat(&self.at, name, PASS | OFlags::CLOEXEC, Mode::empty()) {
            Ok(next) => {
                self.at = next;
                Ok(())
            }
            Err(Errno::NOTDIR | Errno::LOOP) => self.follow(path, name),
            Err(error) => Err(error.into()),
        }
    }

    fn follow(&mut self, path: &Path, name: &OsStr) -> io::Result<()> {
        let to = link(&self.at, name)?;
        self.links += 1;
        if !self.is_vouched {
            return Err(planted(path, name));
        }
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        if to.is_absolute() {
            self.at = root()?;
        }
        for name in names_of(&to).rev() {
            self.ahead.push_front(name);
        }
        Ok(())
    }
}

fn root() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/", PASS | OFlags::CLOEXEC, Mode::empty())?)
}

fn names_of(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Returns what a link says; that there is no directory, if it is no link.
fn link(at: &OwnedFd, name: &OsStr) -> io::Result<PathBuf> {
    match readlinkat(at, name, Vec::new()) {
        Ok(to) => Ok(OsString::from_vec(to.into_bytes()).into()),
        Err(Errno::INVAL) => Err(Errno::NOTDIR.into()),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether nobody but root and us can have put what has this name in a directory.
fn vouched(at: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    let us = rustix::process::geteuid().as_raw();
    let is_ours = |uid: u32| uid == 0 || uid == us;
    let dir = fstat(at)?;
    let mode = Mode::from_raw_mode(dir.st_mode);
    if !is_ours(dir.st_uid) {
        return Ok(false);
    }
    if !mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Ok(true);
    }
    Ok(mode.contains(Mode::SVTX) && is_ours(statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?.st_uid))
}

/// A link that is not followed.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{name}` on the way to {path} is a link, in a directory that others may change: it is not \
     followed"
)]
struct Planted {
    name: String,
    path: String,
}

fn planted(path: &Path, name: &OsStr) -> io::Error {
    let (name, path) = (name.display().to_string(), path.display().to_string());
    io::Error::new(io::ErrorKind::PermissionDenied, Planted { name, path })
}

/// Returns whether a way was not gone for a link on it that is not followed.
pub(super) fn is_planted(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Planted>)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn same(way: &Path, place: &Path) -> bool {
        let (found, place) =
            (fstat(directory(way).unwrap()).unwrap(), fs::metadata(place).unwrap());
        (found.st_dev, found.st_ino) == (place.dev(), place.ino())
    }

    #[test]
    fn links_are_followed_where_nobody_else_could_put_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("real/deep")).unwrap();
        symlink(path("real"), path("absolute")).unwrap();
        symlink("absolute/../real", path("relative")).unwrap();
        symlink("round", path("round")).unwrap();
        assert!(same(&path("absolute/deep"), &path("real/deep")));
        assert!(same(&path("relative/deep"), &path("real/deep")));
        assert!(directory(&path("round")).is_err());
        fs::write(path("file"), "").unwrap();
        let error = directory(&path("file/deep")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert_eq!(directory(Path::new("real")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn files_are_read_through_links_that_nobody_else_could_put_and_nothing_else_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let read = |name: &str| file(&path(name)).and_then(io::read_to_string);
        fs::create_dir_all(path("archive")).unwrap();
        fs::create_dir_all(path("live")).unwrap();
        fs::write(path("archive/cert1.pem"), "leaf").unwrap();
        symlink("../archive/cert1.pem", path("live/cert.pem")).unwrap();
        symlink("round", path("live/round")).unwrap();
        symlink("../archive/gone.pem", path("live/gone.pem")).unwrap();
        rustix::fs::mkfifoat(CWD, path("live/pipe"), Mode::RUSR).unwrap();
        assert_eq!(read("live/cert.pem").unwrap(), "leaf");
        assert_eq!(read("live/gone.pem").unwrap_err().kind(), io::ErrorKind::NotFound);
        for name in ["live/round", "live/pipe", "live", "live/..", "live/cert.pem/x"] {
            assert!(read(name).is_err(), "{name}");
        }
        mode(&path("live"), 0o777);
        let error = read("live/cert.pem").unwrap_err();
        assert!(is_planted(&error), "{error}");
        assert_eq!(read("archive/cert1.pem").unwrap(), "leaf");
        assert_eq!(names(&path("live")).unwrap(), ["cert.pem", "gone.pem", "pipe", "round"]);
    }

    #[test]
    fn no_link_is_followed_in_or_behind_a_directory_that_others_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("open/own/deep")).unwrap();
        symlink("own", path("open/link")).unwrap();
        symlink("deep", path("open/own/link")).unwrap();
        for open in [0o777, 0o775] {
            mode(&path("open"), open);
            assert!(same(&path("open/own/deep"), &path("open/own/deep")));
            for way in ["open/link", "open/link/deep", "open/own/link"] {
                let error = directory(&path(way)).unwrap_err();
                assert!(error.to_string().contains("not followed"), "{way}: {error}");
            }
        }
        // As in `/tmp`: what is ours there, nobody else can replace.
        mode(&path("open"), 0o1777);
        assert!(same(&path("open/own/link"), &path("open/own/deep")));
        mode(&path("open"), 0o755);
        assert!(same(&path("open/link/link"), &path("open/own/deep")));
    }
}
