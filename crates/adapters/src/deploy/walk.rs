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
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

/// How many links are followed on one way; the kernel's own bound.
const MAX_LINKS: usize = 40;

/// Enough of a handle to go on from, also where one may pass and not list.
#[cfg(target_os = "linux")]
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW);

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
    if !path.is_absolute() {
        return Err(Errno::INVAL.into());
    }
    let mut at = root()?;
    let mut ahead: VecDeque<OsString> = names(path).collect();
    let (mut is_vouched, mut links) = (true, 0);
    while let Some(name) = ahead.pop_front() {
        is_vouched = is_vouched && vouched(&at, &name)?;
        match openat(&at, &name, PASS | OFlags::CLOEXEC, Mode::empty()) {
            Ok(next) => at = next,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let to = link(&at, &name)?;
                links += 1;
                if !is_vouched {
                    return Err(planted(path, &name));
                }
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                if to.is_absolute() {
                    at = root()?;
                }
                for name in names(&to).rev() {
                    ahead.push_front(name);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at)
}

fn root() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/", PASS | OFlags::CLOEXEC, Mode::empty())?)
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
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

fn is_planted(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Planted>)
}

#[cfg(test)]
mod tests {
    use std::fs;
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
