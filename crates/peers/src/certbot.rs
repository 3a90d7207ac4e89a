//! certbot: the real one, run against a Pebble, for the files it leaves behind.
//!
//! It gives up at the second `badNonce` in a row: start the Pebble it meets with
//! [`PebbleOptions::nonce_reject_percent`](crate::PebbleOptions::nonce_reject_percent) at 0.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{make_dir, temp_dir, write};
use crate::process::run;
use crate::{Error, Pebble, Program};

/// A certbot with a tree of its own, shaped like `/etc/letsencrypt`.
#[derive(Debug)]
pub struct Certbot {
    program: PathBuf,
    dir: TempDir,
}

/// How certbot proves control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertbotProof {
    /// http-01 by files below a folder that a web server serves.
    Webroot(PathBuf),
    /// By two shell commands, told what to do by `CERTBOT_DOMAIN` and `CERTBOT_VALIDATION`.
    Manual {
        /// Puts the record up.
        auth_hook: String,
        /// Takes it down.
        cleanup_hook: String,
        /// For which challenge: `dns-01` or `http-01`.
        challenge: String,
    },
}

impl Certbot {
    /// Makes an empty tree.
    ///
    /// # Errors
    ///
    /// When certbot is not installed.
    pub fn new() -> Result<Self, Error> {
        let program = Program::CERTBOT.locate()?;
        let dir = temp_dir("certbot")?;
        make_dir(&dir.path().join("letsencrypt"))?;
        Ok(Self { program, dir })
    }

    /// Issues a certificate and returns its folder below `live`, named after the first name.
    ///
    /// # Errors
    ///
    /// With what certbot said, when it does not get one.
    pub async fn issue(
        &self,
        ca: &Pebble,
        names: &[&str],
        proof: &CertbotProof,
    ) -> Result<PathBuf, Error> {
        let root = self.dir.path().join("ca.pem");
        write(&root, ca.ca_root_pem())?;
        let first = names.first().copied().unwrap_or_default().trim_start_matches("*.");
        let mut command = Command::new(&self.program);
        command
            .arg("certonly")
            .args(["--non-interactive", "--agree-tos", "--register-unsafely-without-email"])
            .args(["--server", &ca.directory_url(), "--cert-name", first])
            .arg("--config-dir")
            .arg(self.config_dir())
            .arg("--work-dir")
            .arg(self.dir.path().join("work"))
            .arg("--logs-dir")
            .arg(self.dir.path().join("logs"))
            .env("REQUESTS_CA_BUNDLE", &root);
        match proof {
            CertbotProof::Webroot(folder) => {
                command.arg("--webroot").arg("-w").arg(folder);
            }
            CertbotProof::Manual { auth_hook, cleanup_hook, challenge } => {
                command
                    .args(["--manual", "--preferred-challenges", challenge])
                    .args(["--manual-auth-hook", auth_hook])
                    .args(["--manual-cleanup-hook", cleanup_hook]);
            }
        }
        for name in names {
            command.args(["-d", name]);
        }
        run("certbot", command, ISSUE_WITHIN).await?;
        Ok(self.config_dir().join("live").join(first))
    }

    /// Returns the tree that stands for `/etc/letsencrypt`.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.dir.path().join("letsencrypt")
    }

    /// Returns the folder around it, with certbot's logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// How long certbot may take: it is a large Python program.
const ISSUE_WITHIN: Duration = Duration::from_secs(120);
