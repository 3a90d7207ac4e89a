//! What can go wrong with a peer.

use std::fmt;
use std::path::Path;

/// Why a peer did not do what the test asked of it.
///
/// `Debug` prints what `Display` prints, so that a test's `unwrap` shows the log line by line.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer is not installed.
    #[error(
        "`{program}` not found\n\nhint: {install}\n      (or scripts/peers, which installs every peer)"
    )]
    Missing {
        /// The program looked for.
        program: &'static str,
        /// What to type to have it.
        install: &'static str,
    },
    /// The peer ended, or was not ready in time.
    #[error("starting {peer}: {cause}\n--- log of {peer} ---\n{log}--- end of log ---")]
    Start {
        /// The peer.
        peer: String,
        /// What happened.
        cause: String,
        /// The end of what it wrote.
        log: String,
    },
    /// A condition did not come true before its deadline.
    #[error("not true after {after_secs} s: {what}")]
    Late {
        /// The condition, as a sentence.
        what: String,
        /// How long was waited.
        after_secs: u64,
    },
    /// Anything else: a file, a command's exit code, an answer from a control port.
    #[error("{attempted}: {cause}")]
    Failed {
        /// What was attempted on what.
        attempted: String,
        /// Why it failed.
        cause: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Makes an error of what was attempted and why it failed, with the causes behind the cause.
    pub(crate) fn chain(attempted: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let mut cause = error.to_string();
        let mut behind = error.source();
        while let Some(error) = behind {
            cause.push_str(": ");
            cause.push_str(&error.to_string());
            behind = error.source();
        }
        Self::Failed { attempted: attempted.into(), cause }
    }

    /// Makes an error of what was attempted and why it failed.
    #[expect(clippy::needless_pass_by_value, reason = "so that errors and texts go in alike")]
    pub(crate) fn failed(attempted: impl Into<String>, cause: impl ToString) -> Self {
        Self::Failed { attempted: attempted.into(), cause: cause.to_string() }
    }
}

/// Writes a file, with an error that names it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    std::fs::write(path, content)
        .map_err(|cause| Error::failed(format!("writing {}", path.display()), cause))
}

/// Makes a folder and those above it, with an error that names it.
pub(crate) fn make_dir(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path)
        .map_err(|cause| Error::failed(format!("making {}", path.display()), cause))
}

/// Makes a folder that goes away with the peer.
pub(crate) fn temp_dir(peer: &str) -> Result<tempfile::TempDir, Error> {
    tempfile::Builder::new()
        .prefix(&format!("peer-{peer}-"))
        .tempdir()
        .map_err(|cause| Error::failed(format!("making a folder for {peer}"), cause))
}
