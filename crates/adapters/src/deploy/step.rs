//! Small steps on a file system.
//!
//! Everything this room writes is first planned as a list of steps, each of which is one change
//! that a crash either leaves undone or done (writing a file may also be left half done). So a test
//! can stop after every step, look at what lies there, and go on from it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::access::Access;
use super::trouble::Trouble;

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
            Self::Symlink { to, at } => {
                remove(at).and_then(|()| std::os::unix::fs::symlink(to, at))
            }
            Self::HardLink { from, to } => fs::hard_link(from, to).or_else(|_| copy(from, to)),
            Self::Rename { from, to } => fs::rename(from, to),
            Self::Exchange(one, other) => exchange(one, other),
            Self::SyncDir(path) => fs::File::open(path).and_then(|dir| dir.sync_all()),
            Self::Remove(path) => remove(path),
            Self::RemoveDir(path) => gone_is_fine(fs::remove_dir(path)),
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
    match fs::DirBuilder::new().mode(DIR_MODE).create(path) {
        // Whatever the umask says: servers of other users go through it.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(DIR_MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The mode of our directories: what is secret in them is so by its own mode.
const DIR_MODE: u32 = 0o755;

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        // Some network file systems cannot. There, for a moment, the second is missing; servers
        // read it only when they are told to.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            // The name is one of those that the next stage clears.
            let aside = one.with_extension("aside");
            fs::rename(other, &aside)?;
            fs::rename(one, other)?;
            fs::rename(&aside, one)
        }
        exchanged => exchanged.map_err(io::Error::from),
    }
}

fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    remove(path)?;
    // Nobody but us may read it until owner and mode are as declared.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    if access.uid.is_some() || access.gid.is_some() {
        std::os::unix::fs::fchown(&file, access.uid, access.gid)?;
    }
    file.set_permissions(fs::Permissions::from_mode(access.mode))?;
    file.sync_all()
}

/// Copies where a second name is not possible: some file systems have none, and the kernel may
/// refuse them for files of others.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    write(to, &Zeroizing::new(fs::read(from)?), Access::of(&metadata))
}

fn remove(path: &Path) -> io::Result<()> {
    gone_is_fine(fs::remove_file(path))
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
