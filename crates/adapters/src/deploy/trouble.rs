//! What can go wrong at a target, and whose fault it is: classified here and nowhere else.

use std::io;
use std::path::{Path, PathBuf};

use perennial_core::words::{Blame, Failure, FailureKind, Name};
use perennial_wire::program::ProgramError;
use perennial_wire::shelf::ShelfError;

use super::walk;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("this room performs no such action")]
    NotOurs,
    #[error("no target has this name")]
    UnknownTarget,
    #[error("the store does not give the bundle: {0}")]
    Shelf(#[from] ShelfError),
    #[error("{what} `{}`: {source}", path.display())]
    Disk { what: &'static str, path: PathBuf, source: io::Error },
    #[error("a task was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("`{0}` cannot name a directory")]
    Name(Name),
    #[error("`{}` must be an absolute path", .0.display())]
    Relative(PathBuf),
    #[error("`{name}` is not in {list}; users of a directory service are configured by number")]
    UnknownOwner { name: String, list: &'static str },
    #[error(
        "`{}` was not written by us; `take_over = true` puts it aside and replaces it",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error("`{}` is in the way and cannot be replaced in one step; move it away", .0.display())]
    InTheWay(PathBuf),
    #[error("`{}` is not staged, or not wholly", .0.display())]
    NotStaged(PathBuf),
    #[error(
        "what was to be put back does not lie in `{}` any more, or is not valid any more", .0.display()
    )]
    NothingBefore(PathBuf),
    #[error("`{}` line {line}: {reason}", path.display())]
    Config { path: PathBuf, line: usize, reason: String },
    #[error("`{}` is also used by {other}, which this certificate does not cover", path.display())]
    Shared { path: PathBuf, other: String },
    #[error("the server's program does not say what it reads: {error}")]
    Ask { error: ProgramError },
    #[error("the check failed: {error}{}", after.as_ref().map_or("", aftermath))]
    Check { error: ProgramError, after: Option<Aftermath> },
    #[error("telling the server failed: {error}{}{}", before(refused), aftermath(after))]
    Reload { error: ProgramError, refused: Option<String>, after: Aftermath },
}

/// What was done after the server could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// The bundle before is active again, and the server was told.
    RolledBack,
    /// The bundle before is active again, but telling the server failed as well.
    RolledBackUntold,
    /// The new bundle stays: there was none before, it has expired, or nothing was switched.
    Kept,
}

/// Says what was tried before the server was told by a command.
fn before(refused: &Option<String>) -> String {
    refused.as_ref().map_or_else(String::new, |refused| format!(" (at run time: {refused})"))
}

const fn aftermath(after: &Aftermath) -> &'static str {
    match after {
        Aftermath::RolledBack => "; the bundle before it is active again",
        Aftermath::RolledBackUntold => {
            "; the bundle before it is active again, but the server could not be told of that"
        }
        Aftermath::Kept => "; the new bundle stays",
    }
}

impl Trouble {
    pub(super) const fn check(error: ProgramError) -> Self {
        Self::Check { error, after: None }
    }

    pub(super) const fn ask(error: ProgramError) -> Self {
        Self::Ask { error }
    }

    pub(super) fn disk(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Disk { what, path: path.to_owned(), source }
    }

    /// Returns whether a link is on the way that is not followed.
    pub(super) fn is_planted(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if walk::is_planted(source))
    }

    /// Says what kind of failure it is and whose fault.
    pub(super) fn classify(&self, target: &Name, attempted: &str) -> Failure {
        use FailureKind::{Gone, Refused, Transient};
        let target = || Blame::Target(target.clone());
        let (kind, blame) = match self {
            Self::NotOurs
            | Self::UnknownTarget
            | Self::Name(_)
            | Self::Relative(_)
            | Self::UnknownOwner { .. } => (Refused, Blame::Ourselves),
            Self::Shelf(_) | Self::Task(_) => (Transient, Blame::Ourselves),
            Self::Disk { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::ReadOnlyFilesystem => (Transient, Blame::Ourselves),
                io::ErrorKind::PermissionDenied => (Refused, Blame::Ourselves),
                io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::AlreadyExists => (Refused, target()),
                _ => (Transient, Blame::Ourselves),
            },
            Self::Foreign(_) | Self::InTheWay(_) | Self::Config { .. } | Self::Shared { .. } => {
                (Refused, target())
            }
            Self::NotStaged(_) | Self::NothingBefore(_) => (Gone, target()),
            Self::Ask { error } | Self::Check { error, .. } | Self::Reload { error, .. } => {
                match error {
                    ProgramError::Start { source, .. } => match source.kind() {
                        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                            (Refused, target())
                        }
                        _ => (Transient, Blame::Ourselves),
                    },
                    ProgramError::Status { .. } | ProgramError::TooMuch { .. } => {
                        (Refused, target())
                    }
                    ProgramError::TimedOut { .. } => (Transient, target()),
                }
            }
        };
        Failure {
            kind,
            blame,
            attempted: attempted.into(),
            cause: self.to_string().into(),
            problem: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_trouble_is_blamed_on_one_thing() {
        use FailureKind::{Gone, Refused, Transient};
        let disk = |kind: io::ErrorKind| Trouble::disk("write", Path::new("/x"), kind.into());
        let program = || PathBuf::from("nginx");
        let start = |kind: io::ErrorKind| {
            Trouble::check(ProgramError::Start { program: program(), source: kind.into() })
        };
        let status = ExitStatus::from_raw(256);
        let said = String::new;
        let timed_out =
            ProgramError::TimedOut { program: program(), limit: Duration::ZERO, said: said() };
        let path = || PathBuf::from("/x");
        let shelf = ShelfError { attempted: "read".to_owned(), cause: "gone".to_owned() };
        let web = || Blame::Target(Name::new("web"));
        let table = [
            (Trouble::NotOurs, Refused, Blame::Ourselves),
            (Trouble::UnknownTarget, Refused, Blame::Ourselves),
            (Trouble::Shelf(shelf), Transient, Blame::Ourselves),
            (disk(io::ErrorKind::StorageFull), Transient, Blame::Ourselves),
            (disk(io::ErrorKind::QuotaExceeded), Transient, Blame::Ourselves),
            (disk(io::ErrorKind::ReadOnlyFilesystem), Transient, Blame::Ourselves),
            (disk(io::ErrorKind::PermissionDenied), Refused, Blame::Ourselves),
            (disk(io::ErrorKind::NotFound), Refused, web()),
            (disk(io::ErrorKind::NotADirectory), Refused, web()),
            (disk(io::ErrorKind::Interrupted), Transient, Blame::Ourselves),
            (Trouble::Name(Name::new("..")), Refused, Blame::Ourselves),
            (Trouble::Relative(path()), Refused, Blame::Ourselves),
            (Trouble::Foreign(path()), Refused, web()),
            (Trouble::InTheWay(path()), Refused, web()),
            (Trouble::NotStaged(path()), Gone, web()),
            (Trouble::NothingBefore(path()), Gone, web()),
            (Trouble::Config { path: path(), line: 3, reason: said() }, Refused, web()),
            (Trouble::Shared { path: path(), other: said() }, Refused, web()),
            (start(io::ErrorKind::NotFound), Refused, web()),
            (start(io::ErrorKind::OutOfMemory), Transient, Blame::Ourselves),
            (Trouble::check(timed_out), Transient, web()),
            (
                Trouble::Ask { error: ProgramError::TooMuch { program: program(), most: 1 } },
                Refused,
                web(),
            ),
            (
                Trouble::Reload {
                    error: ProgramError::Status { program: program(), status, said: said() },
                    refused: None,
                    after: Aftermath::RolledBack,
                },
                Refused,
                web(),
            ),
        ];
        for (trouble, kind, blame) in table {
            let failure = trouble.classify(&Name::new("web"), "stage");
            assert_eq!((failure.kind, failure.blame), (kind, blame), "{trouble:?}");
        }
    }
}
