//! Small steps on a file system.
//!
//! Everything this room writes is first planned as a list of steps, each of which is one change
//! that a crash either leaves undone or done (writing a file may also be left half done). So a test
//! can stop after every step, look at what lies there, and go on from it.
//!
//! Each is done by a handle of the directory it happens in ([`super::walk`]), and by one name that
//! is not followed, so that a link that somebody puts in the way leads nothing elsewhere.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, fchmod, fsync, linkat, mkdirat, openat, readlinkat,
    renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::access::Access;
use super::layout::MAX_FILE_LEN;
use super::trouble::Trouble;
use super::walk;

/// One change to the file system.
#[derive(Debug)]
pub(super) enum Step {
    /// Makes a directory; one that is there is fine.
    MakeDir(PathBuf),
    /// Writes a new file with owner and mode, and makes its bytes durable.
    Write {
        /// Where; a half written file left by a crash is begun anew.
        path: PathBuf,
        /// What.
        bytes: Zeroizing<Vec<u8>>,
        /// Whose, and for whom to read.
        access: Access,
    },
    /// Makes a symbolic link; one that is there is replaced, so only names nobody reads are used.
    Symlink {
        /// What it says.
        to: PathBuf,
        /// Where it is.
        at: PathBuf,
    },
    /// Gives a file or link a second name.
    HardLink {
        /// The name it has.
        from: PathBuf,
        /// The name it gets.
        to: PathBuf,
    },
    /// Renames, replacing a file or link that has the name already.
    Rename {
        /// From.
        from: PathBuf,
        /// To.
        to: PathBuf,
    },
    /// Exchanges two directories, in one moment where the file system can.
    Exchange(PathBuf, PathBuf),
    /// Makes the names in a directory durable.
    SyncDir(PathBuf),
    /// Removes a file or link; one that is gone is fine.
    Remove(PathBuf),
    /// Removes an empty directory; one that is gone is fine.
    RemoveDir(PathBuf),
}

impl Step {
    /// Does it.
    pub(super) fn perform(&self) -> Result<(), Trouble> {
        let done = match self {
            Self::MakeDir(path) => make_dir(path),
            Self::Write { path, bytes, access } => write(path, bytes, *access),
            Self::Symlink { to, at } => link(to, at),
            Self::HardLink { from, to } => put_aside(from, to),
            Self::Rename { from, to } => rename(from, to),
            Self::Exchange(one, other) => exchange(one, other),
            Self::SyncDir(path) => sync_dir(path),
            Self::Remove(path) => remove(path, AtFlags::empty()),
            Self::RemoveDir(path) => remove(path, AtFlags::REMOVEDIR),
        };
        done.map_err(|source| Trouble::disk(self.attempted(), self.path(), source))
    }

    const fn attempted(&self) -> &'static str {
        match self {
            Self::MakeDir(_) => "make directory",
            Self::Write { .. } => "write",
            Self::Symlink { .. } => "make the link",
            Self::HardLink { .. } => "put aside",
            Self::Rename { .. } => "rename",
            Self::Exchange(..) => "exchange",
            Self::SyncDir(_) => "make durable",
            Self::Remove(_) | Self::RemoveDir(_) => "remove",
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::MakeDir(path)
            | Self::Write { path, .. }
            | Self::Symlink { at: path, .. }
            | Self::HardLink { from: path, .. }
            | Self::Rename { from: path, .. }
            | Self::Exchange(_, path)
            | Self::SyncDir(path)
            | Self::Remove(path)
            | Self::RemoveDir(path) => path,
        }
    }
}

/// Does steps in order, up to the first that fails.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// After how many steps the power is cut, the next one being left half done.
    #[cfg(test)]
    pub(super) power_for: Option<usize>,
    /// How many steps were done.
    #[cfg(test)]
    pub(super) done: usize,
}

impl Writer {
    pub(super) fn run(&mut self, steps: &[Step]) -> Result<(), Trouble> {
        for step in steps {
            #[cfg(test)]
            self.cut(step)?;
            step.perform()?;
        }
        Ok(())
    }

    #[cfg(test)]
    fn cut(&mut self, step: &Step) -> Result<(), Trouble> {
        if self.power_for == Some(self.done) {
            if let Step::Write { path, bytes, .. } = step {
                fs::write(path, bytes.get(..bytes.len() / 2).unwrap_or_default()).unwrap();
            }
            return Err(Trouble::disk("cut", step.path(), io::ErrorKind::Interrupted.into()));
        }
        self.done += 1;
        Ok(())
    }
}

/// Plans to make a link say something else in one moment: made under a name beside it, then
/// renamed.
pub(super) fn relink(to: &Path, at: &Path) -> [Step; 2] {
    let made = beside(at, "perennial-new");
    [
        Step::Symlink { to: to.to_owned(), at: made.clone() },
        Step::Rename { from: made, to: at.to_owned() },
    ]
}

/// Returns a hidden name in the same directory.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

fn make_dir(path: &Path) -> io::Result<()> {
    let (dir, name) = walk::parent(path)?;
    match mkdirat(&dir, name, DIR_MODE) {
        Ok(()) => settle_mode(openat(&dir, name, READ_DIR, Mode::empty())?),
        Err(Errno::EXIST) => walk::directory(path).map(drop),
        Err(error) => Err(error.into()),
    }
}

/// Whatever the umask says: servers of other users go through it. What is not empty is not what was
/// just made.
fn settle_mode(made: OwnedFd) -> io::Result<()> {
    let is_own =
        |entry: &rustix::fs::DirEntry| matches!(entry.file_name().to_bytes(), b"." | b"..");
    for entry in Dir::read_from(&made)? {
        if !is_own(&entry?) {
            return Err(Errno::EXIST.into());
        }
    }
    Ok(fchmod(made, DIR_MODE)?)
}

/// The mode of our directories: what is secret in them is so by its own mode.
const DIR_MODE: Mode = Mode::from_raw_mode(0o755);

const READ_DIR: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

fn sync_dir(path: &Path) -> io::Result<()> {
    Ok(fsync(openat(walk::directory(path)?, ".", READ_DIR, Mode::empty())?)?)
}

fn link(to: &Path, at: &Path) -> io::Result<()> {
    let (dir, name) = walk::parent(at)?;
    remove_at(&dir, name, AtFlags::empty())?;
    Ok(symlinkat(to, dir, name)?)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let ((from_dir, from), (to_dir, to)) = (walk::parent(from)?, walk::parent(to)?);
    Ok(renameat(from_dir, from, to_dir, to)?)
}

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let ((one_dir, one_name), (other_dir, other_name)) = (walk::parent(one)?, walk::parent(other)?);
    match renameat_with(&one_dir, one_name, &other_dir, other_name, RenameFlags::EXCHANGE) {
        // Some network file systems cannot. There, for a moment, the second is missing; servers
        // read it only when they are told to.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            // The name is one of those that the next stage clears.
            let aside = one.with_extension("aside");
            let aside = aside.file_name().unwrap_or_default();
            renameat(&other_dir, other_name, &one_dir, aside)?;
            renameat(&one_dir, one_name, &other_dir, other_name)?;
            Ok(renameat(&one_dir, aside, &one_dir, one_name)?)
        }
        exchanged => exchanged.map_err(io::Error::from),
    }
}

fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let (dir, name) = walk::parent(path)?;
    remove_at(&dir, name, AtFlags::empty())?;
    write_at(&dir, name, bytes, access)
}

fn write_at(dir: &OwnedFd, name: &OsStr, bytes: &[u8], access: Access) -> io::Result<()> {
    let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Nobody but us may read it until owner and mode are as declared.
    let mut file = fs::File::from(openat(dir, name, new, Mode::RUSR | Mode::WUSR)?);
    file.write_all(bytes)?;
    if access.uid.is_some() || access.gid.is_some() {
        std::os::unix::fs::fchown(&file, access.uid, access.gid)?;
    }
    file.set_permissions(fs::Permissions::from_mode(access.mode))?;
    file.sync_all()
}

/// Copies where a second name is not possible: some file systems have none, and the kernel may
/// refuse them for files of others.
fn put_aside(from: &Path, to: &Path) -> io::Result<()> {
    let ((from_dir, from), (to_dir, to)) = (walk::parent(from)?, walk::parent(to)?);
    if linkat(&from_dir, from, &to_dir, to, AtFlags::empty()).is_ok() {
        return Ok(());
    }
    if let Ok(says) = readlinkat(&from_dir, from, Vec::new()) {
        return Ok(symlinkat(OsStr::from_bytes(says.to_bytes()), to_dir, to)?);
    }
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(openat(from_dir, from, read, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_LEN {
        return Err(Errno::INVAL.into());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE_LEN).read_to_end(&mut bytes)?;
    write_at(&to_dir, to, &bytes, Access::of(&metadata))
}

fn remove(path: &Path, flags: AtFlags) -> io::Result<()> {
    match walk::parent(path) {
        Ok((dir, name)) => remove_at(&dir, name, flags),
        Err(error) => gone_is_fine(Err(error)),
    }
}

fn remove_at(dir: &OwnedFd, name: &OsStr, flags: AtFlags) -> io::Result<()> {
    gone_is_fine(unlinkat(dir, name, flags).map_err(io::Error::from))
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
