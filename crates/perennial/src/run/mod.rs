//! Running: the daemon, from the operator's file to the loop and back.
//!
//! | file | what it does |
//! |---|---|
//! | `shell` | the loop: carries out the driver's steps |
//! | `hands` | sends each act and ask to the adapter it belongs to |
//! | `equip` | makes the adapters of the operator's settings |
//! | `configuration` | reads the file, keeps the last good one, notices changes |
//! | `boundary` | where a crash may come, and a switch that lets tests make it come |
//! | `serve` | control socket, signals, service manager |
//! | `shelf` | the store's vault, as adapters see it |
//! | `standing` | what we stand on ourselves, and whether it holds |
//! | `draw` | chance |
//!
//! Starting takes this order: configuration, store (its lock keeps a second daemon out), epoch,
//! journal, adapters, loop. A configuration that cannot be used does not prevent starting where an
//! earlier one is kept: the last good one is in force, and a finding says so.

mod account;
mod boundary;
mod configuration;
mod confirm;
mod draw;
mod equip;
mod hands;
mod isolate;
mod revoke;
mod serve;
mod shelf;
mod shell;
mod standing;

use std::path::PathBuf;
use std::sync::Arc;

use perennial_adapters::challenge::Listener;
use perennial_config::{Settings, StoreSettings};
use perennial_core::driver::{Input, Loader, Step};
use perennial_core::intent::Intent;
use perennial_core::record::{Record, Stream};
use perennial_core::state::InUse;
use perennial_core::words::Name;
use perennial_store::{FileVault, Found, Journal as _, Options, Store, Vault, Writer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use boundary::Boundaries;
pub use configuration::{Configuration, Unusable};
use configuration::{Means, Newest, Opening, warn};
pub use draw::Draws;
pub use equip::{Surroundings, equip, unseal};
pub use hands::Hands;
pub use serve::serve;
pub use shell::{End, Event, Look, Parts, Pulse, Shell};
use standing::Standing;

use crate::clock::Time;
use crate::sd_notify::{Notifier, State};

/// Where the store is if nothing says otherwise, not even a configuration that can be read.
pub const DEFAULT_STORE: &str = "/var/lib/perennial";

/// Why the daemon could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot be used, and no earlier one is kept.
    #[error("{0}")]
    Configuration(Unusable),
    /// The store cannot be used.
    #[error("{}", told(.0))]
    Store(#[source] perennial_store::StoreError),
    /// A solver, target or issuer cannot be set up.
    #[error("set up the adapters: {0}")]
    Equip(String),
    /// The journal could not be written, so the process ends.
    #[error("write the journal: {0}")]
    Commit(#[source] perennial_store::AppendError),
    /// The journal's thread could not be started.
    #[error("start the journal's thread: {0}")]
    Thread(#[source] std::io::Error),
}

fn told(error: &perennial_store::StoreError) -> String {
    use std::error::Error as _;
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{cause}\n\nhint: {}", error.advice())
}

/// What a daemon is started with.
pub struct Start {
    /// The operator's file or folder.
    pub config: PathBuf,
    /// The store's folder, where the configuration cannot say: it is unreadable.
    pub store: PathBuf,
    /// The clocks.
    pub time: Time,
    /// Chance.
    pub draws: Draws,
    /// What surrounds the adapters: resolvers, roots, as tests and the demo set them.
    pub surroundings: Surroundings,
    /// Told at every turn of the loop.
    pub pulse: Pulse,
    /// Where tests let the process die.
    pub boundaries: Boundaries,
}

/// A daemon that is ready to run.
pub struct Daemon {
    shell: Shell,
    first: Step,
    events: UnboundedSender<Event>,
    configuration: Configuration,
    settings: Settings,
    /// The store as it was opened; another one is used from the next start on.
    store: StoreSettings,
    /// Keeps other daemons out for as long as this one lives.
    lock: perennial_store::Lock,
    surroundings: Surroundings,
    vault: Arc<FileVault>,
    time: Time,
    /// What could not be set up, if anything.
    unfit: Option<String>,
    listeners: Listeners,
    standing: Standing,
    notifier: Arc<Notifier>,
}

/// The listeners for http-01 in use, by their solvers.
type Listeners = Vec<(Name, Arc<Listener>)>;

impl Daemon {
    /// Reads, opens and loads everything. Nothing has been done to the outside yet, but that
    /// listeners are bound.
    ///
    /// # Errors
    ///
    /// Returns what is in the way, and what to do.
    pub async fn prepare(
        start: Start,
        followers: Option<UnboundedSender<Record>>,
    ) -> Result<Self, RunError> {
        let opening = Opening::read(&start.config, &start.store);
        let opening = opening.map_err(RunError::Configuration)?;
        let options = Options { unseal: equip::unseal(&opening.store) };
        let store = Store::open(&opening.store.dir, &options).map_err(RunError::Store)?;
        let Store { mut journal, vault, lock } = store;
        let place = opening.store.clone();
        let opened = opening.finish(&vault);
        let (mut configuration, declared) = opened.map_err(RunError::Configuration)?;
        let mut settings = declared.settings;
        let epoch = journal.acquire_epoch().map_err(RunError::Store)?;
        let loader = load(&journal)?;
        let own = settings.clone();
        let whole = equip::with_undeclared(&declared.intent, loader.state());
        configuration.complete(&mut settings, &Means::of(&whole, loader.state()));
        configuration.keep(&vault, &place);
        let vault = Arc::new(vault);
        if loader.is_whole() {
            sweep(&*vault, &loader.state().in_use()).map_err(RunError::Store)?;
        }
        let shared: Arc<dyn Vault> = Arc::clone(&vault) as _;
        let hands = equip(&whole, &settings, &start.surroundings, shared, &start.time).await?;
        let (events, inbox) = unbounded_channel();
        let writer = spawn_writer(journal, epoch, &events)?;
        let standing = Standing::new(writer.archive_watch());
        let mut draws = start.draws;
        let version = env!("CARGO_PKG_VERSION");
        let (driver, first) = loader.start(version, epoch, start.time.now(), draws.draw());
        let unfit = hands.unfit.first_of(&own).map(str::to_owned);
        let listeners = hands.solvers.listeners();
        announce(&events, declared.intent, declared.refused.or(unfit.clone()));
        let parts = Parts {
            driver,
            writer,
            hands: Arc::new(hands),
            time: start.time.clone(),
            draws,
            events: events.clone(),
            inbox,
            followers,
            pulse: start.pulse,
            boundaries: start.boundaries,
        };
        Ok(Self {
            shell: Shell::new(parts),
            first,
            events,
            configuration,
            settings,
            store: place,
            lock,
            surroundings: start.surroundings,
            vault,
            time: start.time,
            unfit,
            listeners,
            standing,
            notifier: Arc::new(Notifier::silent()),
        })
    }

    /// Has the service manager told when the configuration is read again.
    #[must_use]
    pub fn telling(self, notifier: Arc<Notifier>) -> Self {
        Self { notifier, ..self }
    }

    /// Returns where the loop listens: for the control socket, for signals, for tests.
    #[must_use]
    pub fn events(&self) -> UnboundedSender<Event> {
        self.events.clone()
    }

    /// Returns the settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs until told to end. `reload` is told when the file is to be read again now; it is read
    /// by itself when it changes.
    ///
    /// # Errors
    ///
    /// Returns why it ended by itself.
    pub async fn run(self, reload: UnboundedReceiver<Reload>) -> Result<(), RunError> {
        let watcher = Watcher {
            configuration: self.configuration,
            events: self.events,
            surroundings: self.surroundings,
            vault: self.vault,
            store: self.store,
            time: self.time,
            unfit: self.unfit,
            listeners: self.listeners,
            standing: self.standing,
            looks: 0,
            notifier: self.notifier,
        };
        let watching = tokio::spawn(watcher.watch(reload));
        let end = self.shell.run(self.first).await;
        watching.abort();
        drop(self.lock);
        match end {
            End::Stopped => Ok(()),
            End::CommitFailed(error) => Err(RunError::Commit(error)),
        }
    }
}

/// A wish to read the configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Whether a person confirms that many certificates may go.
    pub confirmed: bool,
}

/// Reads the configuration again when told, and when it changes.
struct Watcher {
    configuration: Configuration,
    events: UnboundedSender<Event>,
    surroundings: Surroundings,
    vault: Arc<FileVault>,
    store: StoreSettings,
    time: Time,
    /// What could not be set up the last time, such as a secret that cannot be read.
    unfit: Option<String>,
    listeners: Listeners,
    standing: Standing,
    /// How often was looked in vain since.
    looks: u32,
    notifier: Arc<Notifier>,
}

/// Why the newest file was not taken on.
struct Refused {
    why: String,
    /// Whether it was not said already.
    is_new: bool,
}

/// How often the configuration's files are looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// After how many looks is tried again what could not be set up.
const LOOKS_BEFORE_ANOTHER_TRY: u32 = 5;

impl Watcher {
    async fn watch(mut self, mut reload: UnboundedReceiver<Reload>) {
        loop {
            self.look_after().await;
            let told = tokio::time::timeout(LOOK_EVERY, reload.recv()).await;
            let confirmed = match told {
                Ok(Some(reload)) => reload.confirmed,
                // Nobody can tell any more; changes are noticed all the same.
                Ok(None) => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    if !self.configuration.has_changed() {
                        continue;
                    }
                    false
                }
                Err(_) if self.configuration.has_changed() => false,
                Err(_) => {
                    if self.tries_again() {
                        self.take_on(false).await;
                    }
                    continue;
                }
            };
            // Not told where the manager is gone: it will notice by itself.
            let _ = self.notifier.notify(&[State::Reloading]);
            let status = self.take_on(confirmed).await;
            let _ = self.notifier.notify(&[State::Ready, State::Status(&status)]);
        }
    }

    /// Has core told of what we stand on that fails, or works again.
    async fn look_after(&mut self) {
        let unkept = self.configuration.unkept();
        if let Some(news) = self.standing.look(&self.listeners, unkept).await {
            // A loop that has ended judges nothing any more.
            let _ = self.events.send(Event::Input(news));
        }
    }

    /// Returns whether it is time to try again what could not be set up: a secret may have come.
    fn tries_again(&mut self) -> bool {
        self.looks = if self.unfit.is_some() { self.looks + 1 } else { 0 };
        self.looks.checked_rem(LOOKS_BEFORE_ANOTHER_TRY) == Some(0) && self.looks > 0
    }

    /// Takes on what the files say now, or says why not. Returns how things are then, in a line.
    async fn take_on(&mut self, confirmed: bool) -> String {
        match self.try_on().await {
            Ok(intent) => {
                let _ = self.events.send(Event::Input(Input::Declared { intent, confirmed }));
                String::from("running")
            }
            Err(refused) => {
                let status = format!("running with an earlier configuration: {}", refused.why);
                if refused.is_new {
                    let message = refused.why.into();
                    let _ = self.events.send(Event::Input(Input::DeclarationRefused { message }));
                }
                status
            }
        }
    }

    async fn try_on(&mut self) -> Result<Box<Intent>, Refused> {
        let new = |why: String| Refused { why, is_new: true };
        let newest = self.configuration.read_again().map_err(new)?;
        let (hands, configuration) =
            self.equip(&newest).await.map_err(|error| new(error.to_string()))?;
        let cause = hands.unfit.first_of(&newest.loaded.settings).map(str::to_owned);
        let before = std::mem::replace(&mut self.unfit, cause.clone());
        if let Some(why) = cause {
            let is_new = before.as_ref() != Some(&why);
            return Err(Refused { why, is_new });
        }
        warn(&newest.loaded.warnings);
        self.configuration = configuration;
        self.configuration.keep(&self.vault, &self.store);
        self.listeners = hands.solvers.listeners();
        // A loop that has ended reads nothing any more.
        let _ = self.events.send(Event::Hands(Arc::new(hands)));
        Ok(Box::new(newest.loaded.intent))
    }

    /// Makes the adapters of the newest file, with what only former ones have and is still needed,
    /// and the configuration as it is once that is in force.
    async fn equip(&self, newest: &Newest) -> Result<(Hands, Configuration), RunError> {
        let (whole, needed) = self.whole(&newest.loaded.intent).await;
        let mut configuration = self.configuration.clone();
        configuration.take_on(newest.sources.clone());
        let mut settings = newest.loaded.settings.clone();
        configuration.complete(&mut settings, &needed);
        let vault: Arc<dyn Vault> = Arc::clone(&self.vault) as _;
        let hands = equip(&whole, &settings, &self.surroundings, vault, &self.time).await?;
        Ok((hands, configuration))
    }

    /// Returns what was declared together with what is kept although it is declared no more, and
    /// what all of that needs.
    async fn whole(&self, intent: &Intent) -> (Intent, Means) {
        let (tell, told) = tokio::sync::oneshot::channel();
        let declared = intent.clone();
        let look = Look::new(move |driver, _| {
            let whole = equip::with_undeclared(&declared, driver.state());
            let needed = Means::of(&whole, driver.state());
            // Whoever asked may have ended.
            let _ = tell.send((whole, needed));
        });
        let _ = self.events.send(Event::Look(look));
        // Without a loop nothing is renewed any more.
        told.await.unwrap_or_else(|_| (intent.clone(), Means::default()))
    }
}

/// Folds the journal.
fn load(journal: &perennial_store::SqliteJournal) -> Result<Loader, RunError> {
    let mut loader = Loader::new().isolated_by(isolate::isolate);
    let mut fold = |found: Found| match found {
        Found::Entry(entry) => loader.record(&entry.record),
        Found::Unreadable(unreadable) => {
            loader.unreadable(Stream::try_from(unreadable.stream).ok(), &unreadable.why);
        }
    };
    journal.read_all(&mut fold).map_err(RunError::Store)?;
    Ok(loader)
}

/// Drops keys, chains and bundles that nothing needs: a crash left them, or they are of the past.
/// Done before anything is in flight, so that nothing is dropped that is about to be named, and
/// only where every stream could be folded: a quarantined one may need what is there.
fn sweep(vault: &dyn Vault, used: &InUse) -> Result<(), perennial_store::StoreError> {
    for slot in vault.keys()?.into_iter().filter(|slot| !used.slots.contains(slot)) {
        vault.drop_key(&slot)?;
    }
    for leaf in vault.chains()?.into_iter().filter(|leaf| !used.chains.contains(leaf)) {
        vault.drop_chain(leaf)?;
    }
    for bundle in vault.bundles()?.into_iter().filter(|bundle| !used.bundles.contains(bundle)) {
        vault.drop_bundle(bundle)?;
    }
    Ok(())
}

fn spawn_writer(
    journal: perennial_store::SqliteJournal,
    epoch: u64,
    events: &UnboundedSender<Event>,
) -> Result<Writer, RunError> {
    let events = events.clone();
    let deliver = move |result| {
        // Without a loop there is nobody to tell; what is durable is durable.
        let _ = events.send(Event::Committed(result));
    };
    Writer::spawn(journal, epoch, deliver).map_err(RunError::Thread)
}

/// Tells the loop what is declared, and what could not be.
fn announce(events: &UnboundedSender<Event>, intent: Intent, refused: Option<String>) {
    let declared = Input::Declared { intent: Box::new(intent), confirmed: false };
    let refused = refused.map(|message| Input::DeclarationRefused { message: message.into() });
    for input in [Some(declared), refused].into_iter().flatten() {
        // The receiving end is held by the shell that is made next.
        let _ = events.send(Event::Input(input));
    }
}
