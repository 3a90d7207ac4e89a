//! http-01 by files that some web server serves.
//!
//! An answer is written under a hidden name and renamed, so that a server never shows half of one.
//! Directories that we make carry a mark, so that only those are removed when they fall empty:
//! memory would not survive a crash, and the web server's administrator may have made an empty one
//! on purpose.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_core::words::Answer;
use perennial_wire::authorization::key_authorization;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::trouble::Trouble;
use super::{ACME_CHALLENGE, Direction, WELL_KNOWN, token};

/// A directory that is the root of a web server.
#[derive(Clone, Debug)]
pub struct WebrootSettings {
    /// Where it is. It is not made: a root that is missing is mistyped, or not mounted.
    pub root: PathBuf,
}

#[derive(Debug)]
pub(super) struct Webroot {
    root: PathBuf,
    /// One at a time: a directory could be removed while another answer is written into it.
    writing: Arc<Mutex<()>>,
}

impl Webroot {
    pub(super) fn new(settings: WebrootSettings) -> Self {
        Self { root: settings.root, writing: Arc::default() }
    }

    pub(super) async fn perform(
        &self,
        answer: &Answer,
        direction: Direction,
    ) -> Result<(), Trouble> {
        let writing = Arc::clone(&self.writing).lock_owned().await;
        let root = self.root.clone();
        let token = token(answer)?.to_owned();
        let body = key_authorization(answer);
        let perform = move || {
            let _writing = writing;
            match direction {
                Direction::Present => present(&root, &token, &body),
                Direction::Withdraw => withdraw(&root, &token),
            }
        };
        spawn_blocking(perform).await?
    }
}

fn present(root: &Path, token: &str, body: &str) -> Result<(), Trouble> {
    let well_known = root.join(WELL_KNOWN);
    let dir = well_known.join(ACME_CHALLENGE);
    make(&well_known)?;
    make(&dir)?;
    let path = dir.join(token);
    let hidden = dir.join(format!(".{token}.perennial-new"));
    let write = || {
        // Made anew, never followed: another user may write here too and have put a link in the way.
        if let Err(error) = fs::remove_file(&hidden)
            && !is_gone(&error)
        {
            return Err(error);
        }
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(FILE_MODE).open(&hidden)?;
        // Whatever the umask says: another user's server must be able to read it.
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
        file.write_all(body.as_bytes())?;
        fs::rename(&hidden, &path)
    };
    write().map_err(|source| {
        // What is half written is of no use to anybody; the failure told is the first one.
        let _removed = fs::remove_file(&hidden);
        Trouble::disk("write", &path, source)
    })
}

fn withdraw(root: &Path, token: &str) -> Result<(), Trouble> {
    let well_known = root.join(WELL_KNOWN);
    let dir = well_known.join(ACME_CHALLENGE);
    for path in [dir.join(token), dir.join(format!(".{token}.perennial-new"))] {
        match fs::remove_file(&path) {
            Err(error) if !is_gone(&error) => return Err(Trouble::disk("remove", &path, error)),
            _ => {}
        }
    }
    unmake(&dir)?;
    unmake(&well_known)
}

/// Makes a directory that anybody may read, with our mark in it, unless it is there already.
fn make(dir: &Path) -> Result<(), Trouble> {
    match fs::DirBuilder::new().mode(DIR_MODE).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(Trouble::disk("make directory", dir, error)),
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(DIR_MODE))
        .and_then(|()| fs::File::create_new(dir.join(MARK)).map(drop))
        .map_err(|error| Trouble::disk("make directory", dir, error))
}

/// Removes a directory that we made, if nothing but our mark is in it.
fn unmake(dir: &Path) -> Result<(), Trouble> {
    let failed = |error| Trouble::disk("remove", dir, error);
    let entries = match fs::read_dir(dir) {
        Err(error) if is_gone(&error) => return Ok(()),
        other => other.map_err(failed)?,
    };
    let mut is_marked = false;
    for entry in entries {
        if entry.map_err(failed)?.file_name() != MARK {
            return Ok(());
        }
        is_marked = true;
    }
    if !is_marked {
        return Ok(());
    }
    fs::remove_file(dir.join(MARK)).map_err(failed)?;
    match fs::remove_dir(dir) {
        // Somebody else's answer came in between.
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Nothing lies where a file is in place of a directory, either.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Marks directories that we made.
const MARK: &str = ".made-by-perennial";

/// The mode of answers.
const FILE_MODE: u32 = 0o644;

/// The mode of the directories on the way to them.
const DIR_MODE: u32 = 0o755;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_somebody_planted_is_replaced_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("www");
        let dir = root.join(WELL_KNOWN).join(ACME_CHALLENGE);
        fs::create_dir_all(&dir).unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.join(".token.perennial-new")).unwrap();
        present(&root, "token", "token.thumbprint").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(dir.join("token")).unwrap(), "token.thumbprint");
    }
}
