//! A daemon in this process, among real peers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use perennial::clock::Time;
use perennial::run::{
    Boundaries, Daemon, Draws, Event, Look, Reload, RunError, Start, Surroundings,
};
use perennial_core::driver::{Driver, Input};
use perennial_core::record::Record;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A daemon that runs in this process, with everything it writes in a folder of its own.
pub(crate) struct Running {
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) records: UnboundedReceiver<Record>,
    pub(crate) reload: UnboundedSender<Reload>,
    task: JoinHandle<Result<(), RunError>>,
    seen: Vec<Record>,
}

/// How long is waited for anything.
const PATIENCE: Duration = Duration::from_secs(60);

impl Running {
    /// Starts a daemon with the configuration at `config`.
    pub(crate) async fn start(config: &Path) -> Self {
        let (followers, records) = unbounded_channel();
        let start = Start {
            config: config.to_path_buf(),
            store: config.with_file_name("store"),
            time: Time::real(),
            draws: Draws::seeded(7),
            surroundings: Surroundings::default(),
            pulse: Box::new(|| ()),
            boundaries: Boundaries::default(),
        };
        let daemon = Daemon::prepare(start, Some(followers)).await.expect("the daemon prepares");
        let events = daemon.events();
        let (reload, reloads) = unbounded_channel();
        let task = tokio::spawn(daemon.run(reloads));
        Self { events, records, reload, task, seen: Vec::new() }
    }

    /// Waits until the driver's state is as wanted.
    pub(crate) async fn until<T: Send + 'static>(
        &mut self,
        what: &str,
        look: impl Fn(&Driver, Timestamp) -> Option<T> + Clone + Send + 'static,
    ) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.look(look.clone()).await {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "no {what}:\n{}", self.journal());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Looks at the driver's state.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Driver, Timestamp) -> T + Send + 'static,
    ) -> T {
        let (tell, told) = oneshot::channel();
        let look = Look::new(move |driver, now| {
            let _ = tell.send(look(driver, now));
        });
        self.events.send(Event::Look(look)).expect("the loop runs");
        told.await.expect("the loop answers")
    }

    /// Asks for a renewal.
    pub(crate) fn renew(&self, certificate: &str) {
        let input = Input::Renew { certificate: certificate.into() };
        self.events.send(Event::Input(input)).expect("the loop runs");
    }

    /// Returns the journal so far, a line each.
    pub(crate) fn journal(&mut self) -> String {
        while let Ok(record) = self.records.try_recv() {
            self.seen.push(record);
        }
        let line =
            |r: &Record| format!("{} {}#{} {} {}", r.at, r.stream, r.version, r.kind, r.body);
        self.seen.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Ends the daemon as a signal would.
    pub(crate) async fn stop(self) {
        let _ = self.events.send(Event::Stop);
        self.task.await.expect("the daemon ends").expect("it ends well");
    }
}

/// Writes a configuration into a folder.
pub(crate) fn configure(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("perennial.toml");
    std::fs::write(&path, text).expect("write the configuration");
    path
}
