//! A peer's process: started with its output in a log, ended with all its workers.
//!
//! Each peer leads a process group, so that ending it ends its workers too (nginx's would outlive a
//! killed master). On Linux it is started through `setpriv --pdeathsig`, so that it also ends when
//! the test is killed. That signal is tied to the *thread* that started the peer, so all peers are
//! started by one thread that lives as long as the test's process.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::{Error, until};

/// A running peer. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    peer: &'static str,
    child: Mutex<Child>,
    pid: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts a program, with its output appended to the log.
    pub(crate) fn start(peer: &'static str, command: Command, log: &Path) -> Result<Self, Error> {
        let failed = |cause: std::io::Error| Error::failed(format!("starting {peer}"), cause);
        let out = File::options().create(true).append(true).open(log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut command = ending_with_us(command);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = spawn(command).map_err(failed)?;
        let pid = Pid::from_child(&child);
        Ok(Self { peer, child: Mutex::new(child), pid, log: log.to_owned() })
    }

    /// Waits until `look` succeeds; fails early when the peer ends first, always with the log.
    pub(crate) async fn ready<T, Look, Looking>(&self, mut look: Look) -> Result<T, Error>
    where
        Look: FnMut() -> Looking,
        Looking: Future<Output = Result<T, Error>>,
    {
        let last = Mutex::new(String::from("was not asked yet"));
        let asked = until("ready", READY_WITHIN, || {
            let looking = look();
            let last = &last;
            async move {
                if let Some(status) = self.ended() {
                    return Some(Err(status));
                }
                match looking.await {
                    Ok(seen) => Some(Ok(seen)),
                    Err(error) => {
                        if let Ok(mut last) = last.lock() {
                            *last = error.to_string();
                        }
                        None
                    }
                }
            }
        });
        match asked.await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(status)) => Err(self.failed(&format!("ended at once: {status}"))),
            Err(_) => Err(self.failed(&last.into_inner().unwrap_or_default())),
        }
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn end(&self, within: Duration) -> Result<ExitStatus, Error> {
        until(&format!("{} has ended", self.peer), within, async || self.ended()).await
    }

    /// Asks the peer to end, and gives it a moment to see its workers off; what is left is killed.
    /// A killed master is gone before its workers are, and they still hold its sockets then.
    pub(crate) fn end_gently(self) {
        if self.signal(Signal::TERM).is_ok() {
            for _ in 0..200 {
                if self.ended().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Returns how the process ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().ok()?.try_wait().ok().flatten()
    }

    /// Sends a signal to the peer itself, not to its workers.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        if self.ended().is_some() {
            return Err(Error::failed(format!("signalling {}", self.peer), "it has ended"));
        }
        rustix::process::kill_process(self.pid, signal)
            .map_err(|cause| Error::failed(format!("signalling {}", self.peer), cause))
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Returns the end of what the peer wrote.
    pub(crate) fn log(&self) -> String {
        tail(&self.log)
    }

    /// Makes an error with the log in it.
    pub(crate) fn failed(&self, cause: &str) -> Error {
        Error::Start { peer: self.peer.to_owned(), cause: cause.to_owned(), log: self.log() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}--- end of log ---", self.peer, self.log());
        }
        if let Ok(child) = self.child.get_mut() {
            // While the child is not reaped, neither its id nor its group's can be another's.
            if let Ok(None) = child.try_wait() {
                let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
                let _ = child.wait();
            }
        }
    }
}

/// Runs a command to its end and returns what it wrote, both streams together. Another exit code
/// than 0 is an error.
pub(crate) async fn run(what: &str, command: Command, within: Duration) -> Result<String, Error> {
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let output = tokio::time::timeout(within, command.output())
        .await
        .map_err(|_| Error::Late {
            what: format!("{what} has ended"),
            after_secs: within.as_secs(),
        })?
        .map_err(|cause| Error::failed(what, cause))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        Ok(text)
    } else {
        Err(Error::failed(what, format!("{}: {text}", output.status)))
    }
}

/// Connects, to see whether somebody listens.
pub(crate) async fn listens(addr: SocketAddr) -> Result<(), Error> {
    tokio::net::TcpStream::connect(addr)
        .await
        .map(drop)
        .map_err(|cause| Error::failed(format!("connecting to {addr}"), cause))
}

/// How long a peer may take to answer; starting is quick, but machines are busy.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// How much of a log is shown.
const TAIL_BYTES: usize = 16 * 1024;

/// Wraps a command so that it leads a group of its own and ends when this process does.
fn ending_with_us(command: Command) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = match setpriv() {
        None => command,
        Some(setpriv) => {
            let mut wrapped = Command::new(setpriv);
            wrapped.args(["--pdeathsig", "TERM", "--"]);
            wrapped.arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => wrapped.env(name, value),
                    None => wrapped.env_remove(name),
                };
            }
            if let Some(dir) = command.get_current_dir() {
                wrapped.current_dir(dir);
            }
            wrapped
        }
    };
    command.process_group(0);
    command
}

/// Where util-linux's `setpriv` is; where there is none, a killed test leaves its peers running.
fn setpriv() -> Option<&'static str> {
    ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| Path::new(path).exists())
}

/// Starts a command on the one thread that lives as long as the process.
fn spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, started) = mpsc::channel();
    let gone = || std::io::Error::other("the thread that starts peers has ended");
    starter.lock().map_err(|_| gone())?.send((command, answer)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// Returns the end of a file as text, ending in a line break unless empty.
fn tail(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut bytes);
    }
    let from = bytes.len().saturating_sub(TAIL_BYTES);
    let mut text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
