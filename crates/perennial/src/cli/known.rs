//! What the command line can know by itself: the configuration's settings, and the journal's state.

use std::path::PathBuf;

use anyhow::Result;
use perennial_config::Loaded;
use perennial_core::driver::Loader;
use perennial_core::record::Stream;
use perennial_store::{Found, Journal as _, SqliteJournal, Store, StoreError, Trouble};

use super::{Globals, Hinted};

/// Where daemon and store are.
pub(super) struct Settings {
    /// The daemon's socket.
    pub(super) socket: PathBuf,
    /// The store's folder.
    pub(super) store: PathBuf,
}

impl Settings {
    /// Reads them from the configuration, whose mistakes are all told.
    pub(super) fn load(globals: &Globals) -> Result<Self> {
        let loaded = load(globals)?;
        Ok(Self { socket: loaded.settings.control_socket, store: loaded.settings.store.dir })
    }
}

/// Reads the configuration.
///
/// # Errors
///
/// Returns all its mistakes as one error, each with its own hint.
pub(super) fn load(globals: &Globals) -> Result<Loaded> {
    perennial_config::load(&globals.config).map_err(|messages| {
        let count = messages.len();
        let text = perennial_config::render(&messages);
        match text.rsplit_once("\n\nhint: ") {
            Some((text, hint)) if count == 1 => Hinted::new(text, hint).into(),
            _ => Hinted::new(text, format!("{count} mistakes; docs: perennial help configuration"))
                .into(),
        }
    })
}

/// Opens the journal for reading; there may be none yet.
pub(super) fn journal(settings: &Settings) -> Result<Option<SqliteJournal>> {
    match Store::open_journal(&settings.store) {
        Ok(journal) => Ok(Some(journal)),
        Err(error) if matches!(*error.trouble, Trouble::Absent) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Folds the journal; there may be none yet.
pub(super) fn fold(settings: &Settings) -> Result<Option<Loader>> {
    let Some(journal) = journal(settings)? else { return Ok(None) };
    let mut loader = Loader::new();
    let read: Result<(), StoreError> = journal.read_all(&mut |found| match found {
        Found::Entry(entry) => loader.record(&entry.record),
        Found::Unreadable(unreadable) => {
            loader.unreadable(Stream::try_from(unreadable.stream).ok(), &unreadable.why);
        }
    });
    read?;
    Ok(Some(loader))
}
