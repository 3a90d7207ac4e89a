//! Lanes: queues of acts that share something, and who goes first.
//!
//! A certificate never takes from what is shared: it wants. Each lane admits its waiters in the
//! order (reserve reached, lapse, id), one for each free place or token, never by a broadcast.

use core::cmp::Ordering;

use jiff::Timestamp;

use super::{Context, Runway};
use crate::action::ActKind;
use crate::state::{Certificate, CertificateId};
use crate::words::Name;

/// A queue of acts that share something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Our own processor and disk: keys, bundles.
    Local,
    /// New orders at an issuer: its budget.
    Orders(Name),
    /// Everything else said to an issuer.
    Issuer(Name),
    /// A solver.
    Solver(Name),
    /// A target: one act at a time.
    Target(Name),
}

impl Lane {
    /// Returns the lane in which an act is performed.
    #[must_use]
    pub fn of(act: &ActKind) -> Self {
        match act {
            ActKind::MakeKey { .. } | ActKind::DropKey { .. } | ActKind::KeepBundle { .. } => {
                Self::Local
            }
            ActKind::NewAccount { issuer, .. } | ActKind::Revoke { issuer, .. } => {
                Self::Issuer(issuer.clone())
            }
            ActKind::NewOrder { account, .. } => Self::Orders(account.issuer.clone()),
            ActKind::Respond { account, .. }
            | ActKind::Finalize { account, .. }
            | ActKind::ChangeKey { account, .. }
            | ActKind::EndAccount { account } => Self::Issuer(account.issuer.clone()),
            ActKind::Present { answer } | ActKind::Withdraw { answer } => {
                Self::Solver(answer.solver.clone())
            }
            ActKind::Stage { target, .. }
            | ActKind::Validate { target, .. }
            | ActKind::Activate { target, .. }
            | ActKind::PutBack { target, .. } => Self::Target(target.clone()),
        }
    }

    /// Returns how many acts may be in flight at once.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        match self {
            Self::Local => 8,
            Self::Orders(_) => 16,
            Self::Issuer(_) => 32,
            Self::Solver(_) => 16,
            Self::Target(_) => 1,
        }
    }
}

/// How urgent a waiter is; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urgency {
    /// Whether its reserve has begun.
    pub in_reserve: bool,
    /// When it lapses.
    pub lapse_at: Timestamp,
    /// Who it is.
    pub id: CertificateId,
}

impl Urgency {
    /// Returns how urgent a certificate is now.
    #[must_use]
    pub fn of(cx: &Context<'_>, id: CertificateId, certificate: &Certificate) -> Self {
        let runway = Runway::of(certificate);
        Self { in_reserve: runway.is_in_reserve(cx.now), lapse_at: runway.lapse_at, id }
    }
}

impl Ord for Urgency {
    fn cmp(&self, other: &Self) -> Ordering {
        let first = other.in_reserve.cmp(&self.in_reserve);
        first.then(self.lapse_at.cmp(&other.lapse_at)).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Urgency {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
