//! What speaks against a leaf taking another's place.

use alloc::boxed::Box;
use core::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::KeyKind;

/// What would change for clients, to their harm, if the new leaf took the served one's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objection {
    /// The chain leads to no root that clients have.
    Untrusted,
    /// The CA issued under another profile than the one ordered.
    OtherProfile {
        /// Under which.
        told: Box<str>,
    },
    /// The served leaf may prove TLS clients too, and the new one may not.
    NoClientAuth,
    /// Another kind of key.
    OtherKeyKind {
        /// What is served.
        from: KeyKind,
        /// What would be.
        to: KeyKind,
    },
    /// The same CA, or one that cannot be told from it, under another root.
    OtherRoot {
        /// What is served.
        from: Box<str>,
        /// What would be.
        to: Box<str>,
    },
    /// None of the declared pins fits.
    PinsUnmet {
        /// The new leaf's own pin, ready to be declared.
        pin: Box<str>,
    },
    /// None of a service's TLSA records fits.
    TlsaUnmet {
        /// The name that owns them.
        owner: Box<str>,
        /// The data of a record that would.
        publish: Box<str>,
    },
    /// A TLSA record fits, but caches may still hold the records from before it was published.
    TlsaYoung {
        /// The name that owns it.
        owner: Box<str>,
        /// Until when they may.
        until: Timestamp,
    },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted => f.write_str("its chain leads to no root that clients have"),
            Self::OtherProfile { told } => {
                write!(f, "the CA issued it under the profile {told:?}, which was not ordered")
            }
            Self::NoClientAuth => f.write_str(
                "what is served may also prove a TLS client (clientAuth), and it may not: \
                 servers that present it to others would be refused",
            ),
            Self::OtherKeyKind { from, to } => {
                write!(f, "its key is {to}, and what is served has {from}")
            }
            Self::OtherRoot { from, to } => {
                write!(f, "its root is \"{to}\", and that of what is served \"{from}\"")
            }
            Self::PinsUnmet { pin } => {
                write!(f, "none of the declared `pins` is in its chain; its own is \"{pin}\"")
            }
            Self::TlsaUnmet { owner, publish } => write!(
                f,
                "no TLSA record fits it; publish beside the present ones: {owner}. IN TLSA {publish}"
            ),
            Self::TlsaYoung { owner, until } => write!(
                f,
                "the TLSA records of {owner} fit it, but caches may hold older ones until {until}"
            ),
        }
    }
}
