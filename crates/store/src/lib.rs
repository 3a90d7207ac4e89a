//! The store: journal, keys, chains and bundles, durable on one machine.
//!
//! ```text
//! driver ─▶ Writer (own thread, group commit) ─▶ Journal ─▶ journal.db
//! hands  ─▶ Vault (sealed, content-addressed) ─▶ keys/ chains/ bundles/
//! ```
//!
//! Two contracts, [`Journal`] and [`Vault`], and one implementation of each: [`SqliteJournal`] and
//! [`FileVault`]. What a second one must keep is written as tests in [`conformance`]. [`Store`]
//! opens both in one folder, under the lock that keeps a second daemon out.
//!
//! The store judges nothing: it keeps records in order, fences out writers of an older epoch, and
//! hands back what it was given. Deliberately absent: queries by content (the fold is the state),
//! a clock (records carry their own instants), and deleting (records move to the archive).

pub mod backup;
pub mod conformance;
mod error;
mod journal;
pub mod jsonl;
mod lock;
mod sqlite;
mod store;
mod vault;
mod writer;

pub use error::{AppendError, StoreError, Trouble};
pub use journal::{Archived, CHECKPOINT_KIND, Entry, Found, Journal, Source, Unreadable};
pub use lock::Lock;
pub use sqlite::SqliteJournal;
pub use store::{Options, Store};
pub use vault::{Bundle, FileVault, Secret, SecretState, Unseal, Vault, join_bundle};
pub use writer::{ArchiveWatch, Writer};
