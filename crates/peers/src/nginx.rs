//! nginx, with everything it writes in a folder of its own.
//!
//! The folder is shaped like `/etc/nginx`: `nginx.conf` includes `conf.d/*.conf`, one file per
//! server block. Any 127.0.0.x and ::1 can be listened on, so that one nginx can stand for many
//! machines.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{make_dir, temp_dir, write};
use crate::process::{Process, listens, run};
use crate::{Error, Program};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    program: PathBuf,
    listens: Vec<SocketAddr>,
    process: Option<Process>,
    dir: TempDir, // after the process, whose log is in it
}

/// What nginx serves.
#[derive(Debug, Clone, Default)]
pub struct NginxOptions {
    /// Server blocks, each written to `conf.d/NN.conf`.
    pub servers: Vec<Server>,
    /// Further text for the `http` block, as nginx reads it.
    pub raw: String,
}

/// A server block.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// The names it answers to; none makes it answer to all.
    pub names: Vec<String>,
    /// Where it listens for plain HTTP.
    pub http: Vec<SocketAddr>,
    /// Where it listens for TLS.
    pub https: Vec<SocketAddr>,
    /// The certificate (chain, leaf first) and the key; needed for `https`.
    pub cert: Option<(PathBuf, PathBuf)>,
    /// Where `/.well-known/acme-challenge/` is served from.
    pub webroot: Option<PathBuf>,
    /// What every other path answers with.
    pub body: String,
    /// Further text for the block, as nginx reads it.
    pub raw: String,
}

impl Server {
    /// A server for some names, which listens nowhere yet.
    #[must_use]
    pub fn named(names: &[&str]) -> Self {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Self { names, body: "ok".into(), ..Self::default() }
    }

    /// Listens for plain HTTP, too.
    #[must_use]
    pub fn http(mut self, addr: SocketAddr) -> Self {
        self.http.push(addr);
        self
    }

    /// Listens for TLS, too.
    #[must_use]
    pub fn https(mut self, addr: SocketAddr) -> Self {
        self.https.push(addr);
        self
    }

    /// Presents a certificate.
    #[must_use]
    pub fn cert(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.cert = Some((chain.into(), key.into()));
        self
    }

    /// Serves http-01 answers from a folder (`<folder>/.well-known/acme-challenge/<token>`).
    #[must_use]
    pub fn webroot(mut self, folder: impl Into<PathBuf>) -> Self {
        self.webroot = Some(folder.into());
        self
    }

    fn block(&self) -> String {
        let mut text = String::from("server {\n");
        for addr in &self.http {
            let _ = writeln!(text, "    listen {addr};");
        }
        for addr in &self.https {
            let _ = writeln!(text, "    listen {addr} ssl;");
        }
        if !self.names.is_empty() {
            let _ = writeln!(text, "    server_name {};", self.names.join(" "));
        }
        if let Some((chain, key)) = &self.cert {
            let _ = writeln!(text, "    ssl_certificate {};", chain.display());
            let _ = writeln!(text, "    ssl_certificate_key {};", key.display());
        }
        if let Some(folder) = &self.webroot {
            let _ = writeln!(
                text,
                "    location /.well-known/acme-challenge/ {{ root {}; default_type text/plain; }}",
                folder.display()
            );
        }
        let _ = writeln!(text, "    location / {{ return 200 \"{}\"; }}", self.body);
        let _ = writeln!(text, "{}}}", self.raw);
        text
    }
}

impl Nginx {
    /// Starts nginx and waits until every address accepts connections.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses its configuration, or does not listen in time.
    pub async fn start(options: NginxOptions) -> Result<Self, Error> {
        let program = Program::NGINX.locate()?;
        let dir = temp_dir("nginx")?;
        let mut nginx = Self { program, listens: Vec::new(), dir, process: None };
        nginx.configure(&options)?;
        nginx.restart().await?;
        Ok(nginx)
    }

    /// Writes a new configuration; nginx meets it on [`Self::reload`].
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn configure(&mut self, options: &NginxOptions) -> Result<(), Error> {
        let conf_d = self.dir.path().join("conf.d");
        let _ = std::fs::remove_dir_all(&conf_d);
        make_dir(&conf_d)?;
        make_dir(&self.dir.path().join("temp"))?;
        for (at, server) in options.servers.iter().enumerate() {
            write(&conf_d.join(format!("{at:02}.conf")), server.block())?;
        }
        self.listens = options
            .servers
            .iter()
            .flat_map(|server| server.http.iter().chain(&server.https).copied())
            .collect();
        write(&self.conf_path(), main_conf(self.dir.path(), &options.raw))
    }

    /// Starts nginx again, ending it first when it runs.
    ///
    /// # Errors
    ///
    /// When it refuses its configuration or does not listen in time (with its log).
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        let mut command = self.command(&[]);
        command.args(["-g", "daemon off;"]);
        let process = Process::start("nginx", command, &self.dir.path().join("log"))?;
        for addr in &self.listens {
            process.ready(async || listens(*addr).await).await?;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends nginx with its workers: its addresses refuse connections until [`Self::restart`].
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end_gently();
        }
    }

    /// Lets nginx check its configuration (`nginx -t`).
    ///
    /// # Errors
    ///
    /// With what nginx said, when it would refuse it.
    pub async fn test(&self) -> Result<(), Error> {
        run("nginx -t", self.command(&["-t"]), COMMAND_WITHIN).await.map(drop)
    }

    /// Makes nginx read its configuration and certificates again (`nginx -s reload`). It returns at
    /// once; the new ones are served a moment later.
    ///
    /// # Errors
    ///
    /// With what nginx said, when it would refuse the configuration or does not run.
    pub async fn reload(&self) -> Result<(), Error> {
        self.test().await?;
        run("nginx -s reload", self.command(&["-s", "reload"]), COMMAND_WITHIN).await.map(drop)
    }

    /// Returns the command that checks this nginx's configuration, for a `validate =`.
    #[must_use]
    pub fn test_command(&self) -> Vec<String> {
        words(&self.command(&["-t"]))
    }

    /// Returns the command that reloads this nginx, for a `reload =`.
    #[must_use]
    pub fn reload_command(&self) -> Vec<String> {
        words(&self.command(&["-s", "reload"]))
    }

    /// Returns its folder, shaped like `/etc/nginx`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns its main configuration file.
    #[must_use]
    pub fn conf_path(&self) -> PathBuf {
        self.dir.path().join("nginx.conf")
    }

    /// Returns the file with its process id.
    #[must_use]
    pub fn pid_path(&self) -> PathBuf {
        self.dir.path().join("nginx.pid")
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

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(self.dir.path()).arg("-c").arg(self.conf_path());
        command.args(["-e", "stderr"]).args(args);
        command
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long nginx may take to check its configuration.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);

/// The main file. As root the workers stay root: the folder is its owner's alone.
fn main_conf(dir: &Path, raw: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let temp = dir.join("temp");
    let mut temps = String::new();
    for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(temps, "    {what}_temp_path {}/{what};", temp.display());
    }
    format!(
        "{user}pid {dir}/nginx.pid;\nerror_log stderr info;\nworker_processes 2;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n    access_log off;\n{temps}    \
         ssl_session_cache off;\n{raw}\n    include {dir}/conf.d/*.conf;\n}}\n",
        dir = dir.display()
    )
}

/// Returns a command as a list of words.
fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}
