//! The daemon as a process of its own, and the command line beside it, as people run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use perennial_core::driver::Loader;
use perennial_core::state::State;
use perennial_store::{Found, Journal as _, Store};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

/// A daemon; it dies with this value.
pub(crate) struct Process {
    child: Child,
    config: PathBuf,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// How long is waited for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a command that reads this configuration.
pub(crate) fn command(config: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perennial"));
    command.args(args).arg("--config").arg(config);
    command.env_remove("NOTIFY_SOCKET").env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Folds the journal in a store as it is on disk.
pub(crate) fn fold(store: &Path) -> Option<Loader> {
    let journal = Store::open_journal(store).ok()?;
    let mut loader = Loader::new();
    let mut fold = |found: Found| match found {
        Found::Entry(entry) => loader.record(&entry.record),
        Found::Unreadable(unreadable) => loader.unreadable(None, &unreadable.why),
    };
    journal.read_all(&mut fold).ok()?;
    Some(loader)
}

impl Process {
    /// Starts a daemon whose store is `store` beside the configuration, and waits until it answers.
    pub(crate) async fn start(config: &Path) -> Self {
        Self::spawn(config, command(config, &["run"])).await
    }

    /// As [`Process::start`], by a command of the test's own.
    pub(crate) async fn spawn(config: &Path, command: Command) -> Self {
        let log = config.with_file_name("log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = tokio::process::Command::from(command);
        command.stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
        let mut own = Self { child: command.spawn().unwrap(), config: config.to_path_buf() };
        let socket = config.with_file_name("store/control.sock");
        let deadline = Instant::now() + PATIENCE;
        while !perennial::control::is_answered(&socket) {
            let ended = own.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}\n{}", own.log());
            sleep(Duration::from_millis(20)).await;
        }
        own
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.expect("it runs"), signal).unwrap();
    }

    /// Kills it, as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().await.unwrap();
    }

    /// Waits until it has died by itself.
    pub(crate) async fn until_dead(mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(!ended.expect("it dies").unwrap().success(), "{}", self.log());
    }

    /// Ends it, as a service manager would.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.expect("it ends").unwrap().success(), "{}", self.log());
    }

    /// Runs a command beside it.
    pub(crate) async fn run(&self, args: &[&str]) -> Ended {
        let mut command = tokio::process::Command::from(command(&self.config, args));
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let Output { status, stdout, stderr } = output.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Waits until the journal says something.
    pub(crate) async fn until<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let loader = fold(&self.config.with_file_name("store"));
            if let Some(found) = loader.as_ref().and_then(|loader| look(loader.state())) {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what}:\n{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns how many records of a kind the journal has.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let journal = Store::open_journal(&self.config.with_file_name("store")).unwrap();
        let records = journal.tail(0, 100_000).unwrap().into_iter().filter_map(Found::record);
        records.filter(|record| &*record.kind == kind).count()
    }

    /// Returns what it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.config.with_file_name("log")).unwrap_or_default()
    }
}
