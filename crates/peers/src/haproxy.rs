//! HAProxy as a master with a worker, with everything it writes in a folder of its own.
//!
//! It answers every request itself, so that a test needs no server behind it. Its runtime API is at
//! [`Haproxy::socket`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::error::{temp_dir, write};
use crate::process::{Process, listens, run};
use crate::{Error, Program};

/// A running HAProxy.
#[derive(Debug)]
pub struct Haproxy {
    program: PathBuf,
    listens: Vec<SocketAddr>,
    process: Option<Process>,
    dir: TempDir, // after the process, whose log is in it
}

/// What HAProxy serves.
#[derive(Debug, Clone)]
pub struct HaproxyOptions {
    /// Each listener: where, and what stands behind `ssl` on its `bind` line (`crt /x.pem`).
    pub binds: Vec<(SocketAddr, String)>,
    /// What the runtime API allows: `admin`, `operator` or `user`.
    pub level: &'static str,
}

impl HaproxyOptions {
    /// One listener, with a runtime API that allows everything.
    #[must_use]
    pub fn of(at: SocketAddr, certificates: impl Into<String>) -> Self {
        Self { binds: vec![(at, certificates.into())], level: "admin" }
    }
}

impl Haproxy {
    /// Starts HAProxy and waits until every address accepts connections.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time.
    pub async fn start(options: &HaproxyOptions) -> Result<Self, Error> {
        let program = Program::HAPROXY.locate()?;
        let dir = temp_dir("haproxy")?;
        let mut haproxy = Self { program, listens: Vec::new(), process: None, dir };
        haproxy.configure(options)?;
        haproxy.restart().await?;
        Ok(haproxy)
    }

    /// Writes a new configuration; HAProxy meets it when it is told to reload.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn configure(&mut self, options: &HaproxyOptions) -> Result<(), Error> {
        let binds: Vec<String> =
            options.binds.iter().map(|(at, rest)| format!("  bind {at} ssl {rest}\n")).collect();
        let text = format!(
            "global\n  stats socket {socket} level {level} expose-fd listeners\n  \
             ssl-default-bind-options ssl-min-ver TLSv1.2\n  maxconn 500\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  \
             timeout server 30s\n\
             frontend web\n{binds}  http-request return status 200 content-type text/plain string ok\n",
            socket = self.socket().display(),
            level = options.level,
            binds = binds.concat(),
        );
        self.listens = options.binds.iter().map(|(at, _)| *at).collect();
        write(&self.conf_path(), text)
    }

    /// Starts HAProxy again, ending it first when it runs.
    ///
    /// # Errors
    ///
    /// When it refuses its configuration or does not listen in time (with its log).
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        let mut command = Command::new(&self.program);
        command.args(["-W", "-db", "-f"]).arg(self.conf_path());
        let process = Process::start("haproxy", command, &self.dir.path().join("log"))?;
        for addr in &self.listens {
            process.ready(async || listens(*addr).await).await?;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends HAProxy with its workers.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end_gently();
        }
    }

    /// Lets HAProxy check its configuration (`haproxy -c`).
    ///
    /// # Errors
    ///
    /// With what HAProxy said, when it would refuse it.
    pub async fn test(&self) -> Result<(), Error> {
        let mut command = Command::new(&self.program);
        command.args(["-c", "-q", "-f"]).arg(self.conf_path());
        run("haproxy -c", command, COMMAND_WITHIN).await.map(drop)
    }

    /// Makes HAProxy read its configuration and certificates again. It returns at once; the new ones
    /// are served a moment later.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn reload(&self) -> Result<(), Error> {
        let process = self.process.as_ref();
        let process =
            process.ok_or_else(|| Error::failed("reloading haproxy", "it does not run"))?;
        process.signal(Signal::USR2)
    }

    /// Returns the command that reloads this HAProxy, for a `reload =`. It fails while HAProxy does
    /// not run.
    #[must_use]
    pub fn reload_command(&self) -> Vec<String> {
        let pid = self.pid().unwrap_or_default();
        ["sh", "-c", &format!("kill -USR2 {pid}")].map(str::to_owned).to_vec()
    }

    /// Returns its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns its configuration file.
    #[must_use]
    pub fn conf_path(&self) -> PathBuf {
        self.dir.path().join("haproxy.cfg")
    }

    /// Returns the socket of its runtime API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    /// Returns the process id of its master, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Returns the end of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long HAProxy may take to check its configuration.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);
