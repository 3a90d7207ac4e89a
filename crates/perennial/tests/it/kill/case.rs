//! One case: kill the daemon where it is told, start it again, and look at what is there.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use perennial_core::action::ActKind;
use perennial_core::driver::Loader;
use perennial_core::record::Stream;
use perennial_core::state::{AnswerState, Attempt, Authorization, Certificate, DeployStep, Stage};
use perennial_core::words::{AuthorizationStatus, Fingerprint, Identifier, SightState};
use perennial_peers::{Authority, Nginx, NginxOptions, Port, Server};
use perennial_store::{Found, Journal as _, Options, Store, Vault as _};
use perennial_wire::private_key;
use perennial_wire::tls::{Roots, Stores, handshake, judge_handshake};
use perennial_wire::x509::Chain;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::lane::{Lane, Names, WEBROOT, ZONE};
use crate::process;

/// How long a daemon may take to be killed or to finish.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked whether one has finished.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The first daemon passed fewer boundaries than it was to be killed at.
    Survived,
    /// It was killed at this boundary, `Started of NewOrder`. A later one may have passed fewer than
    /// it was to be killed at.
    Killed(String),
}

/// One case.
pub(super) struct Case {
    lane: Arc<Lane>,
    kills: Vec<String>,
    /// What repeats it.
    repeat: String,
    name: String,
    nginx: Nginx,
    https: Port,
    folder: TempDir,
}

impl Drop for Case {
    fn drop(&mut self) {
        // A case that was asked for tells its story even if all is well.
        if std::thread::panicking() || std::env::var_os(super::ONLY).is_some() {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            eprintln!(
                "killed at {:?}\nrepeat: {}\n--- journal ---\n{}\n--- log ---\n{log}",
                self.kills,
                self.repeat,
                self.journal()
            );
        }
    }
}

impl Case {
    /// Makes an empty store, and an nginx that serves somebody else's leaf.
    pub(super) async fn start(lane: Arc<Lane>, kills: Vec<String>, repeat: String) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("n{}.{ZONE}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let served = folder.path().join("served");
        std::fs::create_dir(&served).unwrap();
        let placeholder = Authority::new("somebody else").unwrap().issue(&[&name]).unwrap();
        let (cert, key) = (served.join("cert.pem"), served.join("key.pem"));
        std::fs::write(&cert, placeholder.cert_pem).unwrap();
        std::fs::write(&key, placeholder.key_pem).unwrap();
        let https = Port::free().unwrap();
        let mut server = Server::named(&[&name]).https(https.v4()).cert(&cert, &key);
        let webroot = folder.path().join(WEBROOT);
        std::fs::create_dir(&webroot).unwrap();
        if matches!(*lane.names, Names::Webroot(_)) {
            server = server.http(lane.validated.v4()).webroot(webroot);
        }
        let options = NginxOptions { servers: vec![server], raw: String::new() };
        let nginx = Nginx::start(options).await.unwrap();
        let case = Self { lane, kills, repeat, name, nginx, https, folder };
        case.configure();
        case
    }

    fn configure(&self) {
        let Lane { names, pebble, validated, roots } = &*self.lane;
        std::fs::write(self.path("roots.pem"), roots).unwrap();
        let (validated, https) = (validated.number(), self.https.number());
        let own = names.certificate(&self.name, self.folder.path(), validated, https);
        let text = format!(
            "contact = \"ops@{ZONE}\"\n[store]\ndir = \"@DIR@/store\"\n\
             [resolver]\nservers = [\"{dns}\"]\n\
             [issuer.pebble]\ndirectory = \"{directory}\"\nroots = \"@DIR@/roots.pem\"\n\
             kind = \"private\"\nagree_terms = true\n\
             [target.web]\nnginx = \"{conf}\"\nprefix = \"{prefix}\"\nfiles = \"@DIR@/live\"\n\
             take_over = true\n{own}",
            dns = names.addr(),
            directory = pebble.directory_url(),
            conf = self.nginx.conf_path().display(),
            prefix = self.nginx.dir().display(),
        );
        let text = text.replace("@DIR@", &self.folder.path().display().to_string());
        std::fs::write(self.path("perennial.toml"), text).unwrap();
    }

    /// Kills, starts again, and checks.
    pub(super) async fn run(self) -> End {
        let (accounts, orders) = self.lane.made();
        let mut end = End::Survived;
        // How many orders more than one are not to be helped.
        let mut lost = 0;
        for kill_at in &self.kills {
            let status = self.live(Some(kill_at)).await;
            self.check_targets();
            self.nginx.test().await.unwrap();
            let _: Fingerprint = self.served().await.0;
            if status.signal() != Some(Signal::KILL.as_raw()) {
                assert!(status.success(), "{status}");
                break;
            }
            if end == End::Survived {
                end = End::Killed(self.killed_at());
            }
            lost += usize::from(self.has_lost_the_order());
        }
        let status = self.live(None).await;
        assert!(status.success(), "{status}");
        let leaf = self.until_served().await;
        let (accounts_after, orders_after) = self.lane.made();
        assert_eq!(accounts_after - accounts, 1, "accounts");
        let made = orders_after - orders;
        assert!((1..=1 + lost).contains(&made), "{made} orders, of which {lost} could be lost");
        self.lane.names.assert_none_left(&self.name, self.folder.path()).await;
        self.check_targets();
        self.check_store(leaf);
        end
    }

    /// Returns at which boundary the daemon says that it was killed first.
    fn killed_at(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).unwrap();
        let told = log.lines().find_map(|line| line.split_once("killed at boundary "));
        let (_, name) = told.and_then(|(_, told)| told.split_once(": ")).expect("it says where");
        name.trim_end().to_owned()
    }

    /// Returns whether the kill that just came cost an order: its URL was on its way, from the
    /// durable start of `NewOrder` to its durable end; or the CA was told to look for an answer that
    /// went down with the daemon.
    fn has_lost_the_order(&self) -> bool {
        let Some(loader) = self.fold() else { return false };
        let Some((_, _, certificate)) = loader.state().certificates().next() else { return false };
        let acting = |is: fn(&ActKind) -> bool| {
            certificate.history.acting.iter().any(|acting| is(&acting.act))
        };
        if acting(|act| matches!(act, ActKind::NewOrder { .. })) {
            return true;
        }
        let Attempt::Running(running) = &certificate.attempt else { return false };
        let Stage::Ordered(ordered) = &running.stage else { return false };
        let is_told = |authorization: &Authorization| {
            authorization.status() == Some(AuthorizationStatus::Pending)
                && (authorization.interrupted
                    || matches!(authorization.answer, AnswerState::Responded { .. }))
        };
        !self.lane.names.outlive_the_daemon()
            && (acting(|act| matches!(act, ActKind::Respond { .. }))
                || ordered.authorizations.iter().any(is_told))
    }

    /// Lets a daemon live until it is killed, or until nothing is left to be done; then it is told to
    /// end.
    async fn live(&self, kill_at: Option<&str>) -> ExitStatus {
        let before = self.starts();
        let mut daemon = self.daemon(kill_at);
        let deadline = Instant::now() + PATIENCE;
        while self.starts() == before || !self.is_done() {
            if let Some(status) = daemon.try_wait().unwrap() {
                assert!(kill_at.is_some(), "it ended by itself: {status}");
                return status;
            }
            assert!(Instant::now() < deadline, "{} is not served, or not all is done", self.name);
            sleep(BETWEEN_LOOKS).await;
        }
        if let Some(pid) = daemon.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).unwrap();
        }
        tokio::time::timeout(PATIENCE, daemon.wait()).await.expect("it ends when told").unwrap()
    }

    fn daemon(&self, kill_at: Option<&str>) -> Child {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_perennial"));
        command.arg("run").arg("--config").arg(self.path("perennial.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.env_remove("NOTIFY_SOCKET").kill_on_drop(true);
        match kill_at {
            Some(name) => command.env("PERENNIAL_KILL_AT", name),
            None => command.env_remove("PERENNIAL_KILL_AT"),
        };
        command.spawn().unwrap()
    }

    /// Returns which leaf a fresh handshake of our own shows, and what a client makes of it.
    async fn served(&self) -> (Fingerprint, SightState) {
        let name = Identifier::new(&self.name).unwrap();
        let address: SocketAddr = self.https.v4();
        let served = handshake(address, &name, Duration::from_secs(10)).await;
        let roots = Roots::from_pem("Pebble", self.lane.roots.as_bytes()).unwrap();
        let stores = Stores::only(roots);
        let now = perennial::clock::Time::real().now();
        let (judgement, _) = judge_handshake(&served, &name, now, &stores, &[]);
        (served.unwrap().chain.fingerprint(), judgement.state)
    }

    /// Waits until a client accepts what is served. nginx's old workers may take one connection more
    /// while the new ones serve already.
    async fn until_served(&self) -> Fingerprint {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (leaf, state) = self.served().await;
            if state == SightState::Ok {
                return leaf;
            }
            assert!(Instant::now() < deadline, "{} is served {state:?}", self.name);
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Folds the journal as it is on disk.
    fn fold(&self) -> Option<Loader> {
        process::fold(&self.path("store"))
    }

    /// Returns a number that changes when a daemon's start has become durable.
    fn starts(&self) -> u64 {
        self.fold().map_or(0, |loader| loader.state().version(&Stream::instance()))
    }

    /// Returns whether the certificate was seen, and nothing is in flight or owed.
    fn is_done(&self) -> bool {
        let Some(loader) = self.fold() else { return false };
        let state = loader.state();
        let rests = |certificate: &Certificate| {
            matches!(certificate.attempt, Attempt::Resting(_))
                && certificate.history.acting.is_empty()
                && certificate.owed.is_empty()
                && certificate.spent_keys.is_empty()
                && certificate.targets.iter().all(|t| matches!(t.step, DeployStep::Seen { .. }))
        };
        state.issuers.values().all(|issuer| issuer.history.acting.is_empty())
            && state.certificates().next().is_some_and(|(_, _, certificate)| rests(certificate))
    }

    /// The journal folds, and every key in the store is one that is needed.
    fn check_store(&self, served: Fingerprint) {
        let loader = self.fold().unwrap();
        assert!(loader.is_whole());
        let (_, _, certificate) = loader.state().certificates().next().unwrap();
        let leaf = certificate.leaf.as_ref().unwrap();
        assert_eq!(leaf.facts.fingerprint, served);
        let used = loader.state().in_use();
        let store = Store::open(&self.path("store"), &Options::default()).unwrap();
        let accounts = loader.state().issuers.keys().map(perennial_core::state::account_slot);
        assert_eq!(store.vault.keys().unwrap(), accounts.collect::<Vec<_>>(), "keys");
        let orphan = |bundle| !used.bundles.contains(bundle);
        assert!(!store.vault.bundles().unwrap().iter().any(orphan), "orphan bundle");
        assert_eq!(store.vault.bundles().unwrap().len(), 1);
    }

    /// Every key at the target, active or not, has its leaf beside it.
    fn check_targets(&self) {
        for folder in ["live", "served"] {
            check_keys(&self.path(folder));
        }
    }

    fn journal(&self) -> String {
        let Ok(journal) = Store::open_journal(&self.path("store")) else { return String::new() };
        let line = |found: &Found| match found {
            Found::Entry(entry) => {
                let r = &entry.record;
                format!("{} {}#{} {} {}", r.at, r.stream, r.version, r.kind, r.body)
            }
            Found::Unreadable(unreadable) => format!("unreadable: {}", unreadable.why),
        };
        let records = journal.tail(0, 10_000).unwrap_or_default();
        records.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Asserts that each file with a key has a file beside it that begins with the key's leaf.
fn check_keys(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let (mut keys, mut leaves) = (Vec::new(), Vec::new());
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            // Links to folders lead to folders that are met by themselves.
            if !path.is_symlink() {
                check_keys(&path);
            }
            continue;
        }
        let Ok(text) = std::fs::read(&path) else { panic!("{} dangles", path.display()) };
        match (private_key::key_id(&text), Chain::from_pem(&text)) {
            (Ok(key), _) => keys.push((path, key)),
            (_, Ok(chain)) => leaves.push(chain.facts().unwrap().key),
            (Err(_), Err(_)) => {}
        }
    }
    for (path, key) in keys {
        assert!(leaves.contains(&key), "{} is a key without its leaf", path.display());
    }
}
