//! The operator's file over time: what it says, whether it changed, and the last good one.
//!
//! What was taken on is copied into the store, texts and places, so that a file that is broken at
//! the next start, perhaps by the very deployment that restarted us, does not keep certificates from
//! being renewed.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use perennial_config::{Loaded, Message, Source, gather, render, understand};
use perennial_core::intent::Intent;
use serde::{Deserialize, Serialize};

/// The operator's file or folder.
#[derive(Debug)]
pub struct Configuration {
    path: PathBuf,
    seen: Stamp,
    good: Option<Vec<Source>>,
}

/// What is in force after starting.
#[derive(Debug)]
pub(super) struct Declared {
    /// What is wanted.
    pub(super) intent: Intent,
    /// What adapters need.
    pub(super) settings: perennial_config::Settings,
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

/// The last good configuration, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    sources: Vec<KeptSource>,
}

#[derive(Serialize, Deserialize)]
struct KeptSource {
    name: String,
    folder: PathBuf,
    text: String,
}

/// The name of the copy in the store's folder.
const LAST_GOOD: &str = "last-good-configuration.json";

impl Configuration {
    /// Reads the file, or falls back to the last good one kept in `store`.
    pub(super) fn read(path: &Path, store: &Path) -> Result<(Self, Declared), Unusable> {
        let mut own = Self { path: path.to_path_buf(), seen: stamp(path), good: None };
        let messages = match own.load() {
            Ok(Loaded { intent, settings, .. }) => {
                return Ok((own, Declared { intent, settings, refused: None }));
            }
            Err(messages) => messages,
        };
        let Some(kept) = kept(store) else { return Err(Unusable(messages)) };
        match understand(&kept) {
            Ok(Loaded { intent, settings, .. }) => {
                let refused = Some(summary(&messages));
                Ok((own, Declared { intent, settings, refused }))
            }
            Err(_) => Err(Unusable(messages)),
        }
    }

    /// Reads the file again.
    pub(super) fn read_again(&mut self) -> Result<Loaded, String> {
        self.seen = stamp(&self.path);
        self.load().map_err(|messages| summary(&messages))
    }

    /// Returns whether the files are not what they were when they were read last.
    pub(super) fn has_changed(&self) -> bool {
        stamp(&self.path) != self.seen
    }

    /// Keeps what was read last in the store, if it was good.
    pub(super) fn keep(&self, store: &Path) {
        let Some(sources) = &self.good else { return };
        if let Err(error) = write_kept(store, sources) {
            tracing::warn!("the last good configuration could not be kept: {error}");
        }
    }

    fn load(&mut self) -> Result<Loaded, Vec<Message>> {
        let sources = gather(&self.path)?;
        let loaded = understand(&sources)?;
        self.good = Some(sources);
        Ok(loaded)
    }
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

fn kept(store: &Path) -> Option<Vec<Source>> {
    let text = fs::read_to_string(store.join(LAST_GOOD)).ok()?;
    let kept: Kept = serde_json::from_str(&text).ok()?;
    let source =
        |source: KeptSource| Source { name: source.name, folder: source.folder, text: source.text };
    Some(kept.sources.into_iter().map(source).collect())
}

fn write_kept(store: &Path, sources: &[Source]) -> std::io::Result<()> {
    let kept = Kept {
        sources: sources
            .iter()
            .map(|source| KeptSource {
                name: source.name.clone(),
                folder: source.folder.clone(),
                text: source.text.clone(),
            })
            .collect(),
    };
    let temporary = store.join(format!("{LAST_GOOD}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(serde_json::to_string(&kept)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, store.join(LAST_GOOD))
}
