//! What servers beside nginx have in common: a folder, a process, addresses.
//!
//! Each server's own file says how it is configured and started. Where the test runs as root, the
//! servers go on as the users that their packages made; as anybody else they stay what they are.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Error;
use crate::error::temp_dir;
use crate::process::{Process, listens};

/// The files that a server presents itself with.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// A running server.
#[derive(Debug)]
pub struct Daemon {
    config: PathBuf,
    process: Process,
    dir: TempDir, // after the process, whose log is in it
}

impl Daemon {
    /// Starts a server that was configured in `dir`, and waits until every address accepts
    /// connections.
    pub(crate) async fn start(
        name: &'static str,
        home: Home,
        command: Command,
        listen: &[SocketAddr],
    ) -> Result<Self, Error> {
        let process = Process::start(name, command, &home.dir.path().join("log"))?;
        for address in listen {
            process.ready(async || listens(*address).await).await?;
        }
        Ok(Self { config: home.config, process, dir: home.dir })
    }

    /// Returns its main configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the end of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The folder of a server that does not run yet.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) config: PathBuf,
}

impl Home {
    /// Makes a folder that other users may enter, since servers go on as such.
    pub(crate) fn new(server: &str, config: &str) -> Result<Self, Error> {
        let dir = temp_dir(server)?;
        open(dir.path())?;
        let config = dir.path().join(config);
        Ok(Self { dir, config })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Lets others enter a folder.
pub(crate) fn open(dir: &Path) -> Result<(), Error> {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))
        .map_err(|cause| Error::failed(format!("opening {}", dir.display()), cause))
}

/// Makes a command run as another user, where we are root.
pub(crate) fn as_user(user: &str, program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
    command
}

/// Gives a file or folder to another user, where we are root.
pub(crate) fn give(path: &Path, user: &str) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let giving = |cause: String| Error::failed(format!("giving {} away", path.display()), cause);
    let given = Command::new("chown").arg(user).arg(path).output();
    match given {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(giving(String::from_utf8_lossy(&output.stderr).into_owned())),
        Err(error) => Err(giving(error.to_string())),
    }
}
