//! Leaves that a person wants revoked, and keys that are never used again.

use alloc::boxed::Box;
use alloc::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificate::{Certificate, Leaf};
use super::deployment::Trouble;
use crate::action::{ActKind, Outcome};
use crate::event::{Ended, RevocationRequested};
use crate::words::{BundleId, FailureKind, KeyId, LeafFacts, Name, RevocationReason};

/// A leaf that is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoking {
    /// Which of the certificate's leaves it is.
    pub number: u32,
    /// What it says of itself.
    pub facts: Arc<LeafFacts>,
    /// The leaf with its key, as the store has it.
    pub bundle: BundleId,
    /// Who issued it.
    pub issuer: Name,
    /// Why.
    pub reason: RevocationReason,
    /// Whether that does not wait until its replacement is seen.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub at_once: bool,
    /// Since when.
    pub since: Timestamp,
    /// Whether the leaf's own key asks, since the CA did not hear the account.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub by_key: bool,
    /// What went wrong, if nothing went right since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Box<Trouble>>,
}

impl Certificate {
    /// Returns the leaf that a person may have revoked: the newest one, if it is ours.
    #[must_use]
    pub fn to_revoke(&self) -> Option<(&Leaf, &Name, BundleId)> {
        let leaf = self.leaf.as_deref()?;
        Some((leaf, leaf.issuer.as_ref()?, leaf.bundle?))
    }

    /// Returns how the newest leaf is to be revoked, if it is.
    #[must_use]
    pub fn revoking_newest(&self) -> Option<&Revoking> {
        let newest = self.leaf.as_ref().filter(|_| !self.revoking.is_empty())?.number;
        self.revoking.iter().find(|own| own.number == newest)
    }

    /// Returns whether others know a key, or may: it is never used again.
    #[must_use]
    pub fn is_compromised(&self, key: KeyId) -> bool {
        self.compromised.contains(&key)
    }

    pub(super) fn begin_revoking(&mut self, at: Timestamp, asked: &RevocationRequested) {
        let RevocationRequested { leaf: number, reason, at_once } = *asked;
        if let Some(own) = self.revoking.iter_mut().find(|own| own.number == number) {
            // Asked again: a person may have mended what was in the way, or be in a hurry now.
            own.at_once |= at_once;
            own.reason = reason;
            own.trouble = None;
        } else {
            let Some((leaf, issuer, bundle)) = self.to_revoke() else { return };
            if leaf.number != number {
                return;
            }
            let (facts, issuer) = (Arc::clone(&leaf.facts), issuer.clone());
            let (since, by_key, trouble) = (at, false, None);
            self.revoking.push(Revoking {
                number,
                facts,
                bundle,
                issuer,
                reason,
                at_once,
                since,
                by_key,
                trouble,
            });
        }
        let own = self.revoking.iter().find(|own| own.number == number);
        let key =
            own.filter(|_| reason == RevocationReason::KeyCompromise).map(|own| own.facts.key);
        if let Some(key) = key.filter(|key| !self.is_compromised(*key)) {
            self.compromised.push(key);
        }
    }

    pub(super) fn settle_revocation(
        &mut self,
        at: Timestamp,
        bundle: BundleId,
        act: &ActKind,
        end: &Ended,
    ) {
        if matches!(end.outcome, Outcome::Done(_)) {
            self.revoking.retain(|own| own.bundle != bundle);
            if let Some(leaf) = self.leaf.as_mut().filter(|leaf| leaf.bundle == Some(bundle)) {
                leaf.revoked_at.get_or_insert(at);
            }
            return;
        }
        let Some(own) = self.revoking.iter_mut().find(|own| own.bundle == bundle) else { return };
        let before = own.trouble.take();
        let before = before.as_deref();
        own.trouble = match &end.outcome {
            // The account may be another one than the leaf was issued to; the key is always its own.
            Outcome::Failed(failure) if !own.by_key && is_of_account(failure.kind) => {
                own.by_key = true;
                None
            }
            Outcome::Failed(failure) => Some(Box::new(Trouble::again(before, at, failure))),
            Outcome::Unknown => Some(Box::new(Trouble::unknown(before, at, act, end.interrupted))),
            Outcome::Done(_) => None,
        };
    }
}

const fn is_of_account(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Unauthorized | FailureKind::AccountUnknown)
}
