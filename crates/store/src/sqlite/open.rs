//! Opening: what is there, is it ours, do we know its layout, and is it whole.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::trouble;
use crate::error::{StoreError, Trouble};

/// Marks the file as ours: "PRNL", which `file` and `sqlite3` can show.
const APPLICATION_ID: i64 = 0x5052_4e4c;

/// How a file of layout n becomes one of layout n + 1. Never edited, only added to.
const MIGRATIONS: [&str; 1] = [include_str!("layout_1.sql")];

/// How long one connection waits for another's transaction before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn for_writing(path: &Path) -> Result<Connection, StoreError> {
    // The file is made here rather than by SQLite, which would make it readable for others; the
    // log beside it inherits the mode.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::io("open", path, error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::new("open", path, trouble(error)))?;
    prepare(&mut connection).map_err(|error| StoreError::new("open", path, error))?;
    Ok(connection)
}

pub(super) fn for_reading(path: &Path) -> Result<Connection, StoreError> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(StoreError::io("open", path, error));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let first = Connection::open_with_flags(path, flags).map_err(trouble).and_then(inspected);
    let opened = match first {
        // A reader of a WAL file needs the index file beside it and cannot make one where nothing
        // can be written. If the log was folded in at the last close, the file is all there is.
        Err(Trouble::Engine(_) | Trouble::ReadOnly) if !log_of(path).exists() => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable_uri(path), flags)
                .map_err(trouble)
                .and_then(inspected)
        }
        other => other,
    };
    opened.map_err(|error| StoreError::new("open", path, error))
}

/// Checks a connection that only reads.
fn inspected(connection: Connection) -> Result<Connection, Trouble> {
    let check = || {
        connection.busy_timeout(BUSY_TIMEOUT).map_err(trouble)?;
        match layout(&connection)? {
            0 => Err(Trouble::Absent),
            _ => Ok(()),
        }
    };
    check().map_err(|error| diagnosed(&connection, error))?;
    Ok(connection)
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Writes the path as an URI. SQLite decodes `%`; `?` and `#` would end the path.
fn immutable_uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{text}?immutable=1")
}

/// Makes a connection ready for writing: the layout is brought up to date, the modes are set.
fn prepare(connection: &mut Connection) -> Result<(), Trouble> {
    let result = (|| {
        connection.busy_timeout(BUSY_TIMEOUT).map_err(trouble)?;
        let found = layout(connection)?;
        set_modes(connection)?;
        migrate(connection, found)
    })();
    result.map_err(|error| diagnosed(connection, error))
}

fn set_modes(connection: &Connection) -> Result<(), Trouble> {
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(trouble)?;
    if mode != "wal" {
        let why = format!("the file system allows no write-ahead log (mode {mode})");
        return Err(Trouble::Engine(why.into()));
    }
    connection
        .execute_batch(
            // FULL: a commit returns when the log is synced. NORMAL would lose the last commits
            // when the power fails, and with them the word that an act was started.
            "PRAGMA synchronous = FULL;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -8192;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;",
        )
        .map_err(trouble)
}

/// Returns the layout of a journal: 0 for an empty file.
fn layout(connection: &Connection) -> Result<i64, Trouble> {
    let number = |pragma| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id").map_err(trouble)?;
    let found = number("PRAGMA user_version").map_err(trouble)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(trouble)?;
    let known = known_layout();
    match (application, found) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION_ID, found) if found > known => Err(Trouble::Newer { found, known }),
        (APPLICATION_ID, found) => Ok(found),
        _ => Err(Trouble::Foreign("a database of some other program".to_owned())),
    }
}

fn known_layout() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the layout up to date in one transaction: a crash leaves the old one or the new one.
fn migrate(connection: &mut Connection, found: i64) -> Result<(), Trouble> {
    if found == known_layout() {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(trouble)?;
    // Read again under the lock: two processes may have found an empty file.
    let done = usize::try_from(layout(&transaction)?).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration).map_err(trouble)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(trouble)?;
    transaction.pragma_update(None, "user_version", known_layout()).map_err(trouble)?;
    transaction.commit().map_err(trouble)
}

/// Looks closer at a damaged file, so that the message tells what is damaged.
fn diagnosed(connection: &Connection, error: Trouble) -> Trouble {
    let Trouble::Corrupt(first) = error else { return error };
    let findings = (|| {
        let mut statement = connection.prepare("PRAGMA quick_check(3)")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        lines.collect::<Result<Vec<_>, _>>()
    })();
    match findings {
        Ok(lines) if !lines.is_empty() => {
            Trouble::Corrupt(format!("{first}: {}", lines.join("; ")))
        }
        _ => Trouble::Corrupt(first),
    }
}
