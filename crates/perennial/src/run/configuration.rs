//! The operator's file over time: what it says, whether it changed, and the last good one.
//!
//! What was taken on is copied into the store, texts and places, so that a file that is broken at
//! the next start, perhaps by the very deployment that restarted us, does not keep certificates from
//! being renewed. Secrets may be written in it, so the copy is sealed like a key; in plain lies only
//! where the secret is that opens the store.
//!
//! Beside it are kept the *former* configurations that are still needed: a certificate that is in the
//! file no more is renewed all the same (law 8), and so is one whose removal is held for a person.
//! The issuers, solvers and targets that went with it have their addresses and credentials in a
//! former file alone. A former one is kept for as long as it has something that is needed and that no
//! newer one has, so there are never more of them than of such things.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use perennial_config::{
    Loaded, Message, Settings, Source, StoreSettings, gather, render, understand,
};
use perennial_core::intent::Intent;
use perennial_core::state::{Attempt, State};
use perennial_core::words::Name;
use perennial_store::FileVault;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The operator's file or folder.
#[derive(Clone, Debug)]
pub struct Configuration {
    path: PathBuf,
    seen: Stamp,
    /// What is in force: the newest that could be used.
    good: Vec<Source>,
    /// Earlier ones, the newest first: those that are needed, once [`Configuration::complete`] said
    /// which.
    former: Vec<Vec<Source>>,
    /// Why the copy in the store is not what it should be, if it is not.
    unkept: Option<String>,
    /// Why what an earlier run kept there could not be read: former configurations that were still
    /// needed are lost.
    lost: Option<String>,
}

/// What the file says at the start, while the store is not open yet.
#[derive(Debug)]
pub(super) struct Opening {
    path: PathBuf,
    seen: Stamp,
    read: Result<(Vec<Source>, Loaded), Vec<Message>>,
    /// Which store is to be opened, and how.
    pub(super) store: StoreSettings,
}

/// What is in force after starting.
#[derive(Debug)]
pub(super) struct Declared {
    /// What is wanted.
    pub(super) intent: Intent,
    /// What adapters need.
    pub(super) settings: Settings,
    /// Why the newest file was not used, if it was not.
    pub(super) refused: Option<String>,
}

/// A configuration that cannot be used while none is kept: every message.
#[derive(Debug)]
pub struct Unusable(Vec<Message>);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(&self.0))
    }
}

/// What tells whether files changed: each file's path, length and time of change.
type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// What lies in plain: how to open the store, should the file not say it any more.
#[derive(Serialize, Deserialize)]
struct Pointer {
    #[serde(default)]
    unseal: Option<PathBuf>,
}

/// The last good configuration, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    sources: Vec<KeptSource>,
    /// Earlier ones that are still needed, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<Vec<KeptSource>>,
}

#[derive(Serialize, Deserialize)]
struct KeptSource {
    name: String,
    folder: PathBuf,
    text: String,
}

/// The name of the pointer in the store's folder.
const POINTER: &str = "last-good-configuration.json";

impl Opening {
    /// Reads the file. Where it cannot be used, the store in the folder `store` is to be asked what
    /// was kept; if there is none, the file's mistakes are all there is.
    pub(super) fn read(path: &Path, store: &Path) -> Result<Self, Unusable> {
        let (path, seen) = (path.to_path_buf(), stamp(path));
        match load(&path) {
            Ok((sources, loaded)) => {
                let store = loaded.settings.store.clone();
                Ok(Self { path, seen, read: Ok((sources, loaded)), store })
            }
            Err(messages) => {
                let Some(unseal) = pointer(store) else { return Err(Unusable(messages)) };
                let store = StoreSettings { dir: store.to_path_buf(), unseal };
                Ok(Self { path, seen, read: Err(messages), store })
            }
        }
    }

    /// Takes the file if it can be used, and the last good one kept in the store if not.
    pub(super) fn finish(self, vault: &FileVault) -> Result<(Configuration, Declared), Unusable> {
        let Self { path, seen, read, .. } = self;
        let kept = kept(vault);
        match read {
            Ok((good, Loaded { intent, settings, warnings, .. })) => {
                let former = Vec::new();
                let mut own = Configuration { path, seen, good, former, unkept: None, lost: None };
                match kept {
                    Ok(None) => {}
                    Ok(Some((newest, former))) => {
                        own.former = former;
                        own.supersede(newest);
                    }
                    Err(why) => own.lost = Some(format!("what was kept cannot be read: {why}")),
                }
                warn(&warnings);
                Ok((own, Declared { intent, settings, refused: None }))
            }
            Err(messages) => {
                let kept = kept.unwrap_or_else(|why| {
                    // The process ends with the file's mistakes; this says why nothing stands in.
                    tracing::error!("the last good configuration cannot be read: {why}");
                    None
                });
                let Some((good, former)) = kept else { return Err(Unusable(messages)) };
                let Ok(Loaded { intent, settings, .. }) = understand(&good) else {
                    return Err(Unusable(messages));
                };
                let refused = Some(summary(&messages));
                let own = Configuration { path, seen, good, former, unkept: None, lost: None };
                Ok((own, Declared { intent, settings, refused }))
            }
        }
    }
}

/// Logs what is allowed and unwise in a configuration that is taken on. No failure: `plan` shows it
/// too.
pub(super) fn warn(warnings: &[Message]) {
    for Message { file, line, column, text, hint, .. } in warnings {
        tracing::warn!(hint, "{file}:{line}:{column}: {text}");
    }
}

impl Configuration {
    /// Reads the file again. What it says is in force only after [`Configuration::take_on`].
    pub(super) fn read_again(&mut self) -> Result<Newest, String> {
        self.seen = stamp(&self.path);
        let (sources, loaded) = load(&self.path).map_err(|messages| summary(&messages))?;
        Ok(Newest { sources, loaded })
    }

    /// Returns whether the files are not what they were when they were read last.
    pub(super) fn has_changed(&self) -> bool {
        stamp(&self.path) != self.seen
    }

    /// Puts what was read in force; what was until now may still be needed.
    pub(super) fn take_on(&mut self, sources: Vec<Source>) {
        let before = std::mem::replace(&mut self.good, sources);
        self.supersede(before);
    }

    fn supersede(&mut self, before: Vec<Source>) {
        if before != self.good {
            self.former.insert(0, before);
        }
    }

    /// Completes settings by what is needed and only former configurations have, and forgets those
    /// that have nothing of it.
    pub(super) fn complete(&mut self, settings: &mut Settings, needed: &Means) {
        self.former.retain(|sources| {
            // One that is not understood any more (an older release's) can give nothing.
            understand(sources).is_ok_and(|former| needed.take(settings, former.settings))
        });
    }

    /// Keeps what is in force, and what is still needed of former ones, in the store.
    pub(super) fn keep(&mut self, vault: &FileVault, store: &StoreSettings) {
        let kept = Kept::of(&self.good, &self.former);
        // Secrets may be in it; it is wiped once it is sealed.
        let text = serde_json::to_vec(&kept).map(Zeroizing::new);
        let sealed = text.map_err(|error| error.to_string()).and_then(|text| {
            vault.put_configuration(&text).map_err(|error| format!("{error}: {}", error.advice()))
        });
        let written = sealed.and_then(|()| point(store).map_err(|error| error.to_string()));
        self.unkept = written.err();
    }

    /// Returns why the store's copy is not what it should be, if it is not.
    pub(super) fn unkept(&self) -> Option<&str> {
        self.unkept.as_deref().or(self.lost.as_deref())
    }
}

/// What the file says now, not in force yet.
#[derive(Debug)]
pub(super) struct Newest {
    /// Its texts.
    pub(super) sources: Vec<Source>,
    /// What they mean.
    pub(super) loaded: Loaded,
}

/// The issuers, solvers and targets that certificates need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Means {
    issuers: BTreeSet<Name>,
    solvers: BTreeSet<Name>,
    targets: BTreeSet<Name>,
}

impl Means {
    /// Returns what these certificates need, and what they have begun with: an order that runs at an
    /// issuer, answers that a solver has still to withdraw.
    pub(super) fn of(intent: &Intent, state: &State) -> Self {
        let mut needed = Self::default();
        for (name, spec) in &intent.certificates {
            needed.issuers.extend(spec.issuers.iter().cloned());
            needed.solvers.extend(spec.solvers.iter().cloned());
            needed.targets.extend(spec.targets.iter().cloned());
            let Some(known) = state.id(name).and_then(|id| state.certificate(id)) else { continue };
            needed.solvers.extend(known.owed.iter().map(|owed| owed.answer.solver.clone()));
            needed.solvers.extend(known.standing.iter().map(|standing| standing.solver.clone()));
            if let Attempt::Running(running) = &known.attempt {
                needed.issuers.insert(running.plan.issuer.clone());
            }
        }
        needed
    }

    /// Takes what is needed and missing from former settings; returns whether there was anything.
    fn take(&self, settings: &mut Settings, former: Settings) -> bool {
        let issuers = fill(&mut settings.issuers, former.issuers, &self.issuers);
        let solvers = fill(&mut settings.solvers, former.solvers, &self.solvers);
        let targets = fill(&mut settings.targets, former.targets, &self.targets);
        issuers || solvers || targets
    }
}

fn fill<T>(
    own: &mut BTreeMap<Name, T>,
    former: BTreeMap<Name, T>,
    needed: &BTreeSet<Name>,
) -> bool {
    let before = own.len();
    for (name, settings) in former.into_iter().filter(|(name, _)| needed.contains(name)) {
        own.entry(name).or_insert(settings);
    }
    own.len() > before
}

fn load(path: &Path) -> Result<(Vec<Source>, Loaded), Vec<Message>> {
    let sources = gather(path)?;
    let loaded = understand(&sources)?;
    Ok((sources, loaded))
}

/// Returns the first message and how many more there are, on one line.
fn summary(messages: &[Message]) -> String {
    let Some(first) = messages.first() else { return String::new() };
    let Message { file, line, column, text, .. } = first;
    let more = match messages.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("{file}:{line}:{column}: {text}{more}")
}

fn stamp(path: &Path) -> Stamp {
    let one = |path: PathBuf| {
        let meta = fs::metadata(&path).ok()?;
        Some((path, meta.len(), meta.modified().ok()))
    };
    let Ok(entries) = fs::read_dir(path) else {
        return one(path.to_path_buf()).into_iter().collect();
    };
    let mut stamps: Stamp = entries.flatten().filter_map(|entry| one(entry.path())).collect();
    stamps.sort();
    stamps
}

impl Kept {
    fn of(good: &[Source], former: &[Vec<Source>]) -> Self {
        let source = |source: &Source| KeptSource {
            name: source.name.clone(),
            folder: source.folder.clone(),
            text: source.text.clone(),
        };
        let sources = |sources: &[Source]| sources.iter().map(source).collect();
        Self { sources: sources(good), former: former.iter().map(|one| sources(one)).collect() }
    }
}

/// The last good texts, and former ones.
type Sources = (Vec<Source>, Vec<Vec<Source>>);

/// Returns the last good configuration and the former ones that were still needed.
fn kept(vault: &FileVault) -> Result<Option<Sources>, String> {
    let Some(text) = vault.configuration().map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let source =
        |source: KeptSource| Source { name: source.name, folder: source.folder, text: source.text };
    let sources = |kept: Vec<KeptSource>| kept.into_iter().map(source).collect();
    Ok(Some((sources(kept.sources), kept.former.into_iter().map(sources).collect())))
}

/// Returns where the secret is that opens the store in a folder, if a configuration is kept there.
/// Where it cannot be read, none stands in for a file that is broken, whose mistakes are told.
fn pointer(store: &Path) -> Option<Option<PathBuf>> {
    let text = fs::read_to_string(store.join(POINTER)).ok()?;
    let Pointer { unseal } = serde_json::from_str(&text).ok()?;
    Some(unseal)
}

fn point(store: &StoreSettings) -> std::io::Result<()> {
    let pointer = Pointer { unseal: store.unseal.clone() };
    let temporary = store.dir.join(format!("{POINTER}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(serde_json::to_string(&pointer)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, store.dir.join(POINTER))
}

#[cfg(test)]
mod tests {
    use perennial_store::Unseal;

    use super::*;

    fn vault(folder: &Path) -> FileVault {
        FileVault::open(folder, &Unseal::Own).unwrap()
    }

    fn read(path: &Path, folder: &Path) -> (Configuration, Declared) {
        Opening::read(path, folder).unwrap().finish(&vault(folder)).unwrap()
    }

    /// Writes a file that declares a solver of its own, and starts with it: returns the solvers that
    /// are known while `needed` is needed.
    fn start(folder: &Path, solver: &str, needed: &[&str]) -> (Configuration, Vec<String>) {
        let path = folder.join("perennial.toml");
        let dir = folder.display();
        let text = format!("[store]\ndir = \"{dir}\"\n[solver.{solver}]\nhttp-01 = \"listener\"\n");
        fs::write(&path, text).unwrap();
        let (mut own, Declared { mut settings, .. }) = read(&path, folder);
        own.complete(&mut settings, &needing(needed));
        own.keep(&vault(folder), &settings.store);
        (own, settings.solvers.keys().map(ToString::to_string).collect())
    }

    fn needing(solvers: &[&str]) -> Means {
        let solvers = solvers.iter().map(|name| Name::new(name)).collect();
        Means { solvers, ..Means::default() }
    }

    #[test]
    fn what_is_needed_outlives_the_file_and_what_is_not_goes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(start(folder, "a", &["a"]).1, ["a"]);
        assert_eq!(start(folder, "b", &["a", "b"]).1, ["a", "b"]);
        assert_eq!(start(folder, "c", &["a", "b", "c"]).1, ["a", "b", "c"]);
        // A start with the same file changes nothing, and one former file is kept for each.
        let (own, known) = start(folder, "c", &["a", "b", "c"]);
        assert_eq!((own.former.len(), known.len()), (2, 3));
        let (own, known) = start(folder, "c", &["a", "c"]);
        assert_eq!((own.former.len(), known), (1, vec!["a".to_owned(), "c".to_owned()]));
        assert_eq!(start(folder, "c", &["c"]).0.former.len(), 0);
        assert_eq!(start(folder, "c", &["a", "c"]).1, ["c"], "it was not needed any more");
    }

    #[test]
    fn a_copy_that_cannot_be_kept_or_read_is_told_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (mut own, _) = start(folder, "a", &["a"]);
        assert_eq!(own.unkept(), None);
        let store = StoreSettings { dir: folder.join("gone"), unseal: None };
        own.keep(&vault(folder), &store);
        assert!(own.unkept().is_some(), "there is no such folder");
        vault(folder).put_configuration(b"no JSON").unwrap();
        let (again, _) = read(&folder.join("perennial.toml"), folder);
        assert!(again.unkept().unwrap().starts_with("what was kept cannot be read"));
    }

    #[test]
    fn a_broken_file_at_start_keeps_the_former_ones_too() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        start(folder, "a", &["a"]);
        start(folder, "b", &["a", "b"]);
        let path = folder.join("perennial.toml");
        fs::write(&path, "[broken").unwrap();
        let (mut own, Declared { mut settings, refused, .. }) = read(&path, folder);
        own.complete(&mut settings, &needing(&["a", "b"]));
        assert_eq!(settings.solvers.len(), 2);
        assert!(refused.is_some());
    }

    #[test]
    fn what_the_newest_file_says_is_never_replaced_by_a_former_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        start(folder, "a", &["a"]);
        let path = folder.join("perennial.toml");
        let text = fs::read_to_string(&path).unwrap().replace("listener", "webroot");
        fs::write(&path, text + "webroot = \"/srv\"\n").unwrap();
        let (mut own, Declared { mut settings, .. }) = read(&path, folder);
        let before = settings.clone();
        own.complete(&mut settings, &needing(&["a"]));
        assert_eq!((settings, own.former.len()), (before, 0));
    }
}
