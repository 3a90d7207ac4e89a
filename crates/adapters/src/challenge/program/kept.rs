//! What a program said and is to be told again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use perennial_core::words::Answer;
use perennial_wire::authorization::txt_value;

use super::Trouble;

/// A file that is there as long as an answer's first program said something and its second one has
/// not been told.
pub(super) struct Kept {
    folder: PathBuf,
    path: PathBuf,
}

impl Kept {
    pub(super) fn of(folder: &Path, answer: &Answer) -> Self {
        // The value is a digest of token and key: a name of its own for each answer, and no path.
        let path = folder.join(format!("said.{}", txt_value(answer)));
        Self { folder: folder.to_owned(), path }
    }

    /// Keeps what was said, without white space around it, as certbot does.
    pub(super) fn keep(&self, written: &[u8]) -> Result<(), Trouble> {
        // A variable holds no zero.
        let text = String::from_utf8_lossy(written).replace('\0', "");
        let text = text.trim();
        if text.is_empty() {
            return self.forget();
        }
        make_folder(&self.folder)?;
        let write = || {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = file.open(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| Trouble::disk("keep what the program said in", &self.path, error))
    }

    /// Returns what was kept; nothing if nothing was.
    pub(super) fn read(&self) -> Result<String, Trouble> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(Trouble::disk("read what the program said in", &self.path, error)),
        }
    }

    pub(super) fn forget(&self) -> Result<(), Trouble> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Trouble::disk("remove what the program said in", &self.path, error))
            }
            _ => Ok(()),
        }
    }
}

/// Makes the folder, for us alone: what programs save may be secret.
pub(super) fn make_folder(folder: &Path) -> Result<(), Trouble> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Trouble::disk("make the folder", folder, error))
}
