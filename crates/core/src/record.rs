//! Records: the journal's entries, readable for ever.
//!
//! A record is `{stream, version, at, kind, schema, must_understand, shard, epoch, body}`. The body
//! is JSON. Unknown kinds are kept and skipped, or refused if they must be understood; a record
//! that cannot be read quarantines its stream and nothing else.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::Name;

/// Whose history a record belongs to. Order holds within a stream; nothing depends on another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stream {
    /// What kind of thing.
    pub kind: StreamKind,
    /// Which one.
    pub name: Name,
}

/// What kind of thing has a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// This instance: starts, intents, quarantines. Its one name is `self`.
    Instance,
    /// A CA, our account there and its budgets.
    Issuer,
    /// A solver.
    Solver,
    /// A target.
    Target,
    /// A certificate.
    Certificate,
}

impl StreamKind {
    const ALL: [Self; 5] =
        [Self::Instance, Self::Issuer, Self::Solver, Self::Target, Self::Certificate];

    /// Returns the word in front of the slash.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Issuer => "issuer",
            Self::Solver => "solver",
            Self::Target => "target",
            Self::Certificate => "certificate",
        }
    }
}

impl Stream {
    /// Names a stream.
    #[must_use]
    pub const fn new(kind: StreamKind, name: Name) -> Self {
        Self { kind, name }
    }

    /// Names this instance's own stream.
    #[must_use]
    pub fn instance() -> Self {
        Self::new(StreamKind::Instance, Name::new("self"))
    }

    /// Returns the shard: FNV-1a (64 bit) of the stream's text modulo 4096, fixed for ever.
    #[must_use]
    pub fn shard(&self) -> u16 {
        let text = [self.kind.as_str(), "/", self.name.as_str()];
        let bytes = text.into_iter().flat_map(str::bytes);
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        u16::try_from(hash % u64::from(SHARDS)).unwrap_or_default()
    }
}

/// How many shards there are, fixed for ever.
pub const SHARDS: u16 = 4096;

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

impl From<Stream> for String {
    fn from(stream: Stream) -> Self {
        stream.to_string()
    }
}

impl TryFrom<String> for Stream {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let unknown = || format!("`{text}` is no stream: it is written kind/name");
        let (kind, name) = text.split_once('/').ok_or_else(unknown)?;
        let kind = StreamKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(unknown)?;
        Ok(Self::new(kind, Name::new(name)))
    }
}

/// A record as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose history.
    pub stream: Stream,
    /// Its place there, from 1, without gaps.
    pub version: u64,
    /// When it was written, by the writer's clock.
    pub at: Timestamp,
    /// What kind of event; the name of an [`crate::event::Event`] variant.
    pub kind: Box<str>,
    /// The version of the body's shape.
    pub schema: u16,
    /// Whether a reader that does not know the kind must refuse the stream.
    pub must_understand: bool,
    /// `stream.shard()`, kept so that stores can partition by it.
    pub shard: u16,
    /// The fencing epoch under which it was written.
    pub epoch: u64,
    /// The event as JSON.
    pub body: Box<str>,
}

/// Records that become durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The batch's number, from 1, in the order in which the driver made them.
    pub number: u64,
    /// The records, in order.
    pub records: alloc::vec::Vec<Record>,
}

/// What the store gives for a durable batch. Acts are released only against it.
///
/// Fencing: a store that finds another writer's epoch gives no receipt, but an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Every batch up to and including this number is durable.
    pub through: u64,
}
