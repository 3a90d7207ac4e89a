//! A directory, a shelf with a few bundles, and what can be seen from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use perennial_core::action::{ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{BundleId, Failure, Fingerprint, Installed, Name, Slot};
use perennial_wire::clock::Clock;
use perennial_wire::private_key::key_id;
use perennial_wire::program::Program;
use perennial_wire::shelf::{Bundle, Shelf, ShelfError};
use perennial_wire::x509::Chain;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use zeroize::Zeroizing;

use super::super::{AccessSettings, FilesSettings, PublicPaths, TargetSettings, Targets};

/// Bundles by the first byte of their id.
pub(super) struct Bundles(BTreeMap<u8, (String, String, String)>);

impl Bundles {
    /// Mints a bundle for each number, valid for 90 days from 2026-01-01: those from 5 on with RSA
    /// keys, and one, 9, that has expired long before.
    pub(super) fn mint() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority_pem = authority.clone().self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let mint = |number: u8| {
            let names = ["example.org".to_owned(), "www.example.org".to_owned()];
            let mut params = CertificateParams::new(names).unwrap();
            let year = if number == EXPIRED { 2020 } else { 2026 };
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 4, 1);
            let key = match number {
                FIRST_RSA..EXPIRED => KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
                _ => KeyPair::generate().unwrap(),
            };
            let leaf = params.signed_by(&key, &issuer).unwrap().pem();
            (number, (leaf, authority_pem.clone(), key.serialize_pem()))
        };
        Self([1, 2, 3, 4, FIRST_RSA, 6, 7, EXPIRED].into_iter().map(mint).collect())
    }

    pub(super) fn leaf(&self, number: u8) -> Fingerprint {
        Chain::from_pem(self.0[&number].0.as_bytes()).unwrap().fingerprint()
    }

    pub(super) fn fullchain(&self, number: u8) -> String {
        let (leaf, chain, _) = &self.0[&number];
        format!("{leaf}{chain}")
    }

    pub(super) fn key(&self, number: u8) -> &str {
        &self.0[&number].2
    }
}

impl Shelf for Bundles {
    fn key(&self, slot: &Slot) -> Result<Zeroizing<Vec<u8>>, ShelfError> {
        Err(ShelfError { attempted: format!("read {slot}"), cause: "no slots here".to_owned() })
    }

    fn keep_chain(&self, leaf: Fingerprint, _pem: &[u8]) -> Result<(), ShelfError> {
        Err(ShelfError { attempted: format!("keep {leaf}"), cause: "read only".to_owned() })
    }

    fn bundle(&self, id: BundleId) -> Result<Bundle, ShelfError> {
        let missing =
            || ShelfError { attempted: format!("read bundle {id}"), cause: "no such".to_owned() };
        let (leaf, chain, key) = self.0.get(&id.0[0]).ok_or_else(missing)?;
        Ok(Bundle {
            leaf_pem: leaf.clone(),
            chain_pem: chain.clone(),
            key_pem: Zeroizing::new(key.clone()),
        })
    }
}

/// The number of the bundle that has expired.
pub(super) const EXPIRED: u8 = 9;

/// The number of the first bundle with an RSA key.
pub(super) const FIRST_RSA: u8 = 5;

pub(super) fn id(number: u8) -> BundleId {
    let mut bytes = [0; 32];
    bytes[0] = number;
    BundleId(bytes)
}

pub(super) fn www() -> Name {
    Name::new("www")
}

/// A target named `web` below a directory of its own.
pub(super) struct World {
    dir: tempfile::TempDir,
    pub(super) bundles: Arc<Bundles>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(&Arc::new(Bundles::mint()))
    }

    pub(super) fn with(bundles: &Arc<Bundles>) -> Self {
        // In memory where there is such a place: thousands of worlds are made durable step by step.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { dir: dir.unwrap(), bundles: Arc::clone(bundles) }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(super) fn files(&self) -> FilesSettings {
        FilesSettings {
            dir: self.path("live"),
            paths: PublicPaths::default(),
            former: BTreeMap::new(),
            access: AccessSettings::default(),
            take_over: false,
            validate: None,
            reload: None,
        }
    }

    /// A script that appends its words to the file `log` and ends with the number in `exit`, or
    /// with 0 if there is none. The number is used up.
    pub(super) fn script(&self) -> Program {
        let log = self.path("log");
        let exit = self.path("exit");
        let (log, exit) = (log.display(), exit.display());
        let script = format!(
            "echo \"$@\" >> {log}; test -e {exit} || exit 0; code=$(cat {exit}); rm {exit}; \
             echo broken; exit $code"
        );
        let argv = ["sh", "-c", &script, "sh"].map(str::to_owned);
        Program::new(&argv, Duration::from_secs(20)).unwrap()
    }

    pub(super) fn targets(&self, settings: TargetSettings) -> Targets {
        let shelf: Arc<dyn Shelf> = Arc::clone(&self.bundles) as Arc<dyn Shelf>;
        let noon: Timestamp = "2026-02-01T12:00:00Z".parse().unwrap();
        let settings = BTreeMap::from([(Name::new("web"), settings)]);
        Targets::new(settings, &shelf, &Clock::new(move || noon))
    }

    /// Stages and activates a bundle.
    pub(super) async fn deploy(&self, targets: &Targets, number: u8) -> Outcome {
        let staged = targets.perform(&stage(number)).await;
        assert_eq!(staged, Outcome::Done(Fact::Staged));
        targets.perform(&activate(number, false)).await
    }

    /// Stages and activates a bundle of some certificate.
    pub(super) async fn deploy_for(
        &self,
        targets: &Targets,
        certificate: &Name,
        number: u8,
        take_over: bool,
    ) -> Outcome {
        let (target, certificate) = (Name::new("web"), certificate.clone());
        let (to, of, bundle) = (target.clone(), certificate.clone(), id(number));
        let staged = targets.perform(&ActKind::Stage { target: to, certificate: of, bundle }).await;
        assert_eq!(staged, Outcome::Done(Fact::Staged));
        targets.perform(&ActKind::Activate { target, certificate, bundle, take_over }).await
    }

    /// Panics unless every key below the directory lies beside its leaf. Half written keys do.
    pub(super) fn assert_no_key_without_its_leaf(&self, context: &str) {
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    dirs.push(entry.path());
                }
            }
            if let Ok(key) = fs::read(dir.join("privkey.pem")) {
                assert_pair(&dir.join("fullchain.pem"), &key, context);
            }
        }
    }

    /// Returns the names in the folder of the certificate.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("live/www")).unwrap().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Panics unless the leaf at a path is whole and, if the key is whole, belongs to it.
pub(super) fn assert_pair(leaf: &Path, key: &[u8], context: &str) {
    let pem =
        fs::read(leaf).unwrap_or_else(|error| panic!("{context}: {}: {error}", leaf.display()));
    let facts = Chain::from_pem(&pem).unwrap().facts().unwrap();
    if let Ok(key) = key_id(key) {
        assert_eq!(key, facts.key, "{context}: {}", leaf.display());
    }
}

pub(super) fn stage(number: u8) -> ActKind {
    ActKind::Stage { target: Name::new("web"), certificate: www(), bundle: id(number) }
}

pub(super) fn validate(number: u8) -> ActKind {
    ActKind::Validate { target: Name::new("web"), certificate: www(), bundle: id(number) }
}

pub(super) fn activate(number: u8, take_over: bool) -> ActKind {
    ActKind::Activate {
        target: Name::new("web"),
        certificate: www(),
        bundle: id(number),
        take_over,
    }
}

pub(super) async fn inspect(targets: &Targets) -> Installed {
    inspect_for(targets, &www()).await
}

pub(super) async fn inspect_for(targets: &Targets, certificate: &Name) -> Installed {
    let ask = AskKind::Inspect { target: Name::new("web"), certificate: certificate.clone() };
    match targets.ask(&ask).await {
        Reply::Installed(installed) => installed,
        other => panic!("{other:?}"),
    }
}

pub(super) fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}
