//! dehydrated: the real one, run against a Pebble, for how it calls its hook.
//!
//! It does not repeat what was refused for its nonce: start the Pebble it meets with
//! [`PebbleOptions::nonce_reject_percent`](crate::PebbleOptions::nonce_reject_percent) at 0.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{make_dir, temp_dir, write};
use crate::process::run;
use crate::{Error, Pebble, Program};

/// A dehydrated with a folder of its own.
#[derive(Debug)]
pub struct Dehydrated {
    program: PathBuf,
    dir: TempDir,
}

impl Dehydrated {
    /// Makes an empty folder.
    ///
    /// # Errors
    ///
    /// When dehydrated is not installed.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { program: Program::DEHYDRATED.locate()?, dir: temp_dir("dehydrated")? })
    }

    /// Issues a certificate, by a hook that sees the variables given.
    ///
    /// # Errors
    ///
    /// With what dehydrated said, when it does not get one.
    pub async fn issue(
        &self,
        ca: &Pebble,
        name: &str,
        challenge: &str,
        hook: &Path,
        env: &[(String, String)],
    ) -> Result<(), Error> {
        let (dir, root) = (self.dir.path(), self.dir.path().join("ca.pem"));
        write(&root, ca.ca_root_pem())?;
        make_dir(&dir.join("wellknown"))?;
        let config = dir.join("config");
        let (base, hook) = (dir.display(), hook.display());
        write(
            &config,
            format!(
                "CA={}\nBASEDIR={base}\nWELLKNOWN={base}/wellknown\nHOOK={hook}\n\
                 CHALLENGETYPE={challenge}\nCURL_OPTS=\"--cacert {}\"\n",
                ca.directory_url(),
                root.display()
            ),
        )?;
        let of = |words: &[&str]| {
            let mut command = Command::new(&self.program);
            command.args(words).arg("--config").arg(&config);
            command.envs(env.iter().map(|(name, value)| (name, value)));
            command
        };
        run("dehydrated --register", of(&["--register", "--accept-terms"]), ISSUE_WITHIN).await?;
        let issue = of(&["--cron", "--domain", name]);
        run("dehydrated --cron", issue, ISSUE_WITHIN).await.map(drop)
    }
}

/// How long it may take: it starts a few hundred programs.
const ISSUE_WITHIN: Duration = Duration::from_secs(120);
