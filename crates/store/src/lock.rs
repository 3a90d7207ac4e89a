//! The lock that keeps a second daemon off a store.
//!
//! An advisory lock of the operating system on `<store>/lock`, which also holds our process number
//! for the message the other one shows. The lock ends with the process, however it ends; the file
//! stays. The journal's epoch would fence a second writer anyway; the lock makes it a clear
//! message at start instead of a halt in the middle.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{StoreError, Trouble};

/// Holds a store against other writers for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the store in a folder.
    ///
    /// # Errors
    ///
    /// Returns [`Trouble::Busy`] with the holder's process number if it is taken.
    pub fn acquire(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let fail = |error| StoreError::io("lock", &path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_pid(&mut file);
                return Err(StoreError::new("lock", &path, Trouble::Busy { pid }));
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Gives the lock up by name: closing alone would leave it with a child that another thread is
    /// just starting, which holds a copy of the descriptor until it has become its program.
    fn drop(&mut self) {
        // What cannot be given up ends with the process.
        let _ = self.file.unlock();
    }
}

/// Reads the holder's number; none if it has not written it yet.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_process_that_holds_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::acquire(folder.path()).unwrap();
        let error = Lock::acquire(folder.path()).unwrap_err();
        let own = std::process::id();
        assert!(matches!(*error.trouble, Trouble::Busy { pid } if pid == Some(own)), "{error:?}");
        assert!(error.advice().contains(&own.to_string()));
        drop(first);
        Lock::acquire(folder.path()).unwrap();
    }
}
