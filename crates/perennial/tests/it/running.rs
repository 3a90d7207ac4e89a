//! A daemon in this process, and what can be seen of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use perennial::clock::Time;
use perennial::run::{
    Boundaries, Daemon, Draws, Event, Look, Reload, RunError, Start, Surroundings,
};
use perennial_core::driver::{Driver, Input};
use perennial_core::finding::{Code, Incident};
use perennial_core::record::Record;
use perennial_core::state::{Certificate, DeployStep};
use perennial_core::words::{LeafFacts, Name};
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

    /// Waits until a leaf with this number was seen at every endpoint, and returns what it says.
    pub(crate) async fn until_seen(&mut self, certificate: &str, number: u32) -> LeafFacts {
        let name = Name::new(certificate);
        let what = format!("leaf {number} of {certificate} seen");
        let look = move |driver: &Driver, _| seen(certificate_of(driver, &name)?, number);
        self.until(&what, look).await
    }

    /// Waits until a finding is open, and returns it.
    pub(crate) async fn until_found(&mut self, code: Code) -> Incident {
        self.until(code.as_str(), move |driver, _| incident(driver, code)).await
    }

    /// Waits until a finding is gone.
    pub(crate) async fn until_gone(&mut self, code: Code) {
        let what = format!("end of {}", code.as_str());
        self.until(&what, move |driver, _| incident(driver, code).is_none().then_some(())).await;
    }

    /// Waits until every challenge answer was withdrawn and no act is in flight.
    pub(crate) async fn until_idle(&mut self) {
        let is_idle = |driver: &Driver, _| {
            let owes = driver.state().certificates().any(|(_, _, c)| !c.owed.is_empty());
            (!owes && driver.in_flight().0 == 0).then_some(())
        };
        self.until("idleness", is_idle).await;
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

    /// Has the configuration read again, as a signal would.
    pub(crate) fn reload(&self) {
        self.reload.send(Reload { confirmed: false }).expect("the watcher runs");
    }

    /// Returns the records so far.
    pub(crate) fn records(&mut self) -> &[Record] {
        while let Ok(record) = self.records.try_recv() {
            self.seen.push(record);
        }
        &self.seen
    }

    /// Returns how many records so far contain each of these texts.
    pub(crate) fn count(&mut self, kind: &str, text: &str) -> usize {
        let is_one = |r: &&Record| &*r.kind == kind && r.body.contains(text);
        self.records().iter().filter(is_one).count()
    }

    /// Returns how many orders were sent.
    pub(crate) fn orders(&mut self) -> usize {
        self.count("act.started", "\"new-order\"")
    }

    /// Returns the journal so far, a line each.
    pub(crate) fn journal(&mut self) -> String {
        let line =
            |r: &Record| format!("{} {}#{} {} {}", r.at, r.stream, r.version, r.kind, r.body);
        self.records().iter().map(line).collect::<Vec<_>>().join("\n")
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

/// Returns a certificate's state.
pub(crate) fn certificate_of<'a>(driver: &'a Driver, name: &Name) -> Option<&'a Certificate> {
    driver.state().certificate(driver.state().id(name)?)
}

/// Returns the leaf, if it is the one with this number and was seen at every target's endpoints.
fn seen(certificate: &Certificate, number: u32) -> Option<LeafFacts> {
    let leaf = certificate.leaf.as_deref().filter(|leaf| leaf.number == number)?;
    let is_seen =
        |step: DeployStep| matches!(step, DeployStep::Seen { leaf, .. } if leaf == number);
    certificate.targets.iter().all(|t| is_seen(t.step)).then(|| (*leaf.facts).clone())
}

/// Returns an open incident with this code, wherever it is.
pub(crate) fn incident(driver: &Driver, code: Code) -> Option<Incident> {
    let state = driver.state();
    let issuers = state.issuers.values().map(|issuer| &issuer.history);
    let certificates = state.certificates().map(|(_, _, certificate)| &certificate.history);
    let mut histories = issuers.chain(certificates).chain([&state.instance.history]);
    histories.find_map(|h| h.incidents.iter().find(|incident| incident.code == code).cloned())
}
