//! lego: the real one, run against a Pebble, for the files it leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{temp_dir, write};
use crate::process::run;
use crate::{Error, Pebble, Program};

/// A lego with a tree of its own, shaped like `.lego`.
#[derive(Debug)]
pub struct Lego {
    program: PathBuf,
    dir: TempDir,
}

impl Lego {
    /// Makes an empty tree.
    ///
    /// # Errors
    ///
    /// When lego is not installed.
    pub fn new() -> Result<Self, Error> {
        let program = Program::LEGO.locate()?;
        Ok(Self { program, dir: temp_dir("lego")? })
    }

    /// Issues a certificate by http-01, with answers below a folder that a web server serves.
    ///
    /// # Errors
    ///
    /// With what lego said, when it does not get one.
    pub async fn issue(&self, ca: &Pebble, names: &[&str], webroot: &Path) -> Result<(), Error> {
        let root = self.dir.path().join("ca.pem");
        write(&root, ca.ca_root_pem())?;
        let mut command = Command::new(&self.program);
        command
            .args(["--accept-tos", "--email", "ops@example.test"])
            .args(["--server", &ca.directory_url()])
            .arg("--path")
            .arg(self.tree())
            .args(["--http", "--http.webroot"])
            .arg(webroot)
            .env("LEGO_CA_CERTIFICATES", &root);
        for name in names {
            command.args(["--domains", name]);
        }
        command.arg("run");
        run("lego", command, ISSUE_WITHIN).await?;
        Ok(())
    }

    /// Returns the tree that stands for `.lego`.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.dir.path().join("lego")
    }
}

/// How long lego may take: it waits seconds between its questions.
const ISSUE_WITHIN: Duration = Duration::from_secs(120);
