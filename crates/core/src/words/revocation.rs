//! Why a leaf is revoked.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A reason that a subscriber may give.
///
/// Source: RFC 5280 section 5.3.1; CA/Browser Forum Baseline Requirements section 7.2.2 names these
/// as the ones that subscribers choose among.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// None is given.
    #[default]
    Unspecified,
    /// Others know the key, or may.
    KeyCompromise,
    /// The names are somebody else's now, or the organisation's name changed.
    AffiliationChanged,
    /// Another leaf has taken its place.
    Superseded,
    /// The names are not used any more.
    CessationOfOperation,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// Returns the code; absent where none is to be sent (RFC 5280 section 5.3.1).
    #[must_use]
    pub const fn code(self) -> Option<u8> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(1),
            Self::AffiliationChanged => Some(3),
            Self::Superseded => Some(4),
            Self::CessationOfOperation => Some(5),
        }
    }

    /// Returns the reason as people write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
