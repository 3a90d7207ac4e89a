//! The command line's side: connect, ask, read the answer. Blocking, since it has nothing else to do.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ANSWER_LIMIT, Answer, Question};

/// Why the daemon could not be asked.
#[derive(Debug)]
pub enum ControlError {
    /// Nobody listens there: no daemon runs.
    NotRunning(PathBuf),
    /// Somebody listens, or may, and could not be spoken to.
    Failed {
        /// Which socket.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// What came back is no answer.
    Nonsense {
        /// Which socket.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(path) => {
                write!(f, "no daemon is running: nobody listens at {}", path.display())
            }
            Self::Failed { path, .. } => {
                write!(f, "could not speak to the daemon at {}", path.display())
            }
            Self::Nonsense { path, cause } => {
                write!(f, "the daemon at {} answered nonsense: {cause}", path.display())
            }
        }
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed { cause, .. } => Some(cause),
            Self::NotRunning(_) | Self::Nonsense { .. } => None,
        }
    }
}

impl ControlError {
    /// Returns what to do about it: the text after `hint: `.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::NotRunning(_) => {
                String::from("start it: systemctl start perennial, or perennial run")
            }
            Self::Failed { path, cause } if cause.kind() == io::ErrorKind::PermissionDenied => {
                format!("run this as the user the daemon runs as: ls -l {}", path.display())
            }
            Self::Failed { .. } => String::from(
                "see whether it is well: journalctl -u perennial, or perennial journal",
            ),
            Self::Nonsense { .. } => {
                String::from("compare `perennial --version` with the daemon's, and restart it")
            }
        }
    }
}

/// How long the daemon may take to answer.
const WITHIN: Duration = Duration::from_secs(30);

/// Asks the daemon.
///
/// # Errors
///
/// Returns [`ControlError::NotRunning`] if nobody listens, or what went wrong.
pub fn ask(path: &Path, question: &Question) -> Result<Answer, ControlError> {
    let failed = |cause: io::Error| ControlError::Failed { path: path.to_owned(), cause };
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => {
            return Err(ControlError::NotRunning(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    stream.set_read_timeout(Some(WITHIN)).map_err(failed)?;
    stream.set_write_timeout(Some(WITHIN)).map_err(failed)?;
    let mut line = serde_json::to_string(question).map_err(io::Error::other).map_err(failed)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_LIMIT)).read_line(&mut answer).map_err(failed)?;
    let nonsense = |cause| ControlError::Nonsense { path: path.to_owned(), cause };
    if !answer.ends_with('\n') {
        return Err(nonsense(String::from("it hung up in the middle")));
    }
    serde_json::from_str(&answer).map_err(|error| nonsense(error.to_string()))
}

/// Returns whether a daemon listens, without asking it anything.
#[must_use]
pub fn is_answered(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
