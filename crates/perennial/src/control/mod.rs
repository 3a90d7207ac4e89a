//! How the command line speaks to a running daemon: over a Unix socket that only its user can open.
//!
//! A connection carries one question and one answer, a line of JSON each; both are bounded in length
//! and time. What a side does not know it refuses in words, so that command line and daemon of
//! neighbouring releases understand each other. The journal and plans are not asked for here: the
//! store may be read beside a running daemon, so there is one way to do that and not two.

mod client;
mod server;

use perennial_core::words::{Name, RevocationReason};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use client::{ControlError, ask, is_answered};
pub use server::Server;

use crate::view::StatusView;

/// A question to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Question {
    /// How everything stands.
    Status {
        /// The most certificates to list.
        limit: usize,
        /// The certificate or name to tell of; without it, everything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<Name>,
    },
    /// Renew a certificate now.
    Renew {
        /// Which.
        certificate: Name,
    },
    /// Tell how an account stands, or do something about it.
    Account {
        /// At which issuer.
        issuer: Name,
        /// What.
        wish: AccountWish,
    },
    /// Have the newest leaf of a certificate revoked.
    Revoke {
        /// Of which certificate.
        certificate: Name,
        /// Why.
        reason: RevocationReason,
        /// Whether that does not wait until its replacement is seen.
        at_once: bool,
    },
    /// Let a held leaf go to its targets.
    Confirm {
        /// Of which certificate.
        certificate: Name,
        /// The number of the leaf that the person was shown; without it, what waits is shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaf: Option<u32>,
    },
    /// Read the configuration again.
    Reload {
        /// Whether a person confirms that many certificates may go.
        confirmed: bool,
    },
    /// Let a restored store go on.
    Resume,
    /// Finish what is in flight and end.
    Stop,
}

/// What a person wants of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountWish {
    /// To know how it stands.
    Show,
    /// Another key.
    ChangeKey,
    /// Its end, unless certificates depend on it.
    End,
    /// Its end, whatever depends on it.
    EndAnyway,
}

/// The daemon's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To `Status`.
    Status {
        /// How everything stands.
        status: Box<StatusView>,
    },
    /// It is done, or under way.
    Done {
        /// What, in words.
        text: String,
    },
    /// It is not done.
    Refused {
        /// Why.
        text: String,
        /// What to do.
        hint: String,
    },
}

/// A question on its way to the run loop, with the way back.
#[derive(Debug)]
pub struct ControlRequest {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes; dropped unanswered, the asker is told that the daemon is ending.
    pub reply: oneshot::Sender<Answer>,
}

/// The longest question in bytes.
const QUESTION_LIMIT: u64 = 64 << 10;

/// The longest answer in bytes: some 20,000 certificates with findings.
const ANSWER_LIMIT: u64 = 64 << 20;

#[cfg(test)]
mod tests;
