//! Another key for our account, and its end.
//!
//! ```text
//! requested ──MakeKey──▶ keyed ──ChangeKey──▶ the account has the next key
//!                          ▲          │ no clear answer
//!                          └──── which key has the account? ──▶ the next one, or the present one
//! ```
//!
//! The next key is durable under a slot of its own before the CA hears of it. Whatever comes back but
//! a plain yes, the CA is asked which of the two keys has the account before anything else is signed.
//! The key that has it not in the end is removed.

use alloc::boxed::Box;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::issuer::{Account, Issuer, account_slot};
use crate::action::{ActKind, Fact, Outcome};
use crate::event::AccountHolderSeen;
use crate::words::{FailureKind, KeyFacts, Name, Slot};

/// A change of our account's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Since when it is wanted.
    pub since: Timestamp,
    /// The next key, once it is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyFacts>,
    /// What is not known.
    #[serde(default)]
    pub doubt: Unsure,
    /// Whether the CA refused.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub refused: bool,
}

/// What is not known of a change of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsure {
    /// The present key has the account.
    #[default]
    None,
    /// Whether the next key has it.
    Next,
    /// Whether the present key still has it: the next one has not.
    Present,
}

impl Issuer {
    /// Returns the slot of our account's key.
    #[must_use]
    pub fn slot(&self, name: &Name) -> Slot {
        slot_of(name, self.key_number)
    }

    /// Returns the slot of the key after it.
    #[must_use]
    pub fn next_slot(&self, name: &Name) -> Slot {
        slot_of(name, self.key_number.saturating_add(1))
    }

    /// Returns the slot of a key that our account has no more, or never came to have.
    #[must_use]
    pub fn spent_slot(&self, name: &Name) -> Option<Slot> {
        self.spent_key.map(|number| slot_of(name, number))
    }

    pub(super) fn want_key(&mut self, at: Timestamp) {
        if matches!(self.account, Account::Ready { .. }) && self.changing.is_none() {
            let change = KeyChange { since: at, key: None, doubt: Unsure::None, refused: false };
            self.changing = Some(Box::new(change));
        }
    }

    /// Takes in the end of an act of the change, or of the account's end.
    pub(super) fn conclude_key(&mut self, at: Timestamp, act: &ActKind, outcome: &Outcome) {
        match (act, outcome) {
            (ActKind::MakeKey { .. }, Outcome::Done(Fact::Key(key))) => {
                if let Some(change) = &mut self.changing {
                    change.key = Some(key.clone());
                }
            }
            (ActKind::DropKey { .. }, Outcome::Done(_)) => self.spent_key = None,
            (ActKind::ChangeKey { .. }, Outcome::Done(_)) => self.take_next_key(),
            (ActKind::ChangeKey { .. }, Outcome::Failed(failure)) => {
                self.doubt_key(is_no(failure.kind));
            }
            (ActKind::ChangeKey { .. }, Outcome::Unknown) => self.doubt_key(false),
            (ActKind::EndAccount { .. }, Outcome::Done(_)) => self.end(at),
            (ActKind::EndAccount { .. }, Outcome::Failed(failure)) => match failure.kind {
                // After a lost answer: what has ended, or is not known, may not speak.
                FailureKind::Unauthorized | FailureKind::AccountUnknown => self.end(at),
                kind if is_no(kind) => self.ending = false,
                _ => {}
            },
            _ => {}
        }
    }

    fn doubt_key(&mut self, refused: bool) {
        if let Some(change) = &mut self.changing {
            change.doubt = Unsure::Next;
            change.refused |= refused;
        }
    }

    fn take_next_key(&mut self) {
        let Some(KeyChange { key: Some(next), .. }) = self.changing.take().map(|change| *change)
        else {
            return;
        };
        if let Account::Ready { key, .. } = &mut self.account {
            *key = next;
        }
        self.spent_key = Some(self.key_number);
        self.key_number = self.key_number.saturating_add(1);
    }

    /// Gives a change up; the key that was made for it is not used for another one.
    pub(super) fn drop_change(&mut self) {
        if self.changing.take().is_some_and(|change| change.key.is_some()) {
            self.spent_key = Some(self.key_number.saturating_add(1));
        }
    }

    const fn end(&mut self, at: Timestamp) {
        self.ended = Some(at);
        self.ending = false;
    }

    pub(super) fn see_holder(&mut self, seen: &AccountHolderSeen) {
        let Account::Ready { url, .. } = &self.account else { return };
        let is_next = number_of(&seen.key) == self.key_number.saturating_add(1);
        let has_it = seen.url.as_ref() == Some(url);
        let Some(change) = &mut self.changing else { return };
        match (change.doubt, is_next, has_it) {
            (Unsure::Next, true, true) => self.take_next_key(),
            (Unsure::Next, true, false) => change.doubt = Unsure::Present,
            // Neither has it: the account is gone, which whoever uses it next is told.
            (Unsure::Present, false, false) => self.drop_change(),
            (Unsure::Present, false, true) if change.refused => self.drop_change(),
            (Unsure::Present, false, true) => change.doubt = Unsure::None,
            (Unsure::None | Unsure::Next | Unsure::Present, ..) => {}
        }
    }
}

fn slot_of(name: &Name, number: u32) -> Slot {
    match number {
        0 => account_slot(name),
        number => Slot(alloc::format!("account/{name}/{number}").into()),
    }
}

/// Returns the number of the key in a slot: the first one's name ends in none.
fn number_of(slot: &Slot) -> u32 {
    let mut parts = slot.0.splitn(3, '/').skip(2);
    parts.next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Returns whether the CA heard what was wanted, and will not have it.
const fn is_no(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Refused
        | FailureKind::Unauthorized
        | FailureKind::AccountUnknown
        | FailureKind::Gone
        | FailureKind::AlreadyReplaced => true,
        FailureKind::Transient | FailureKind::RateLimited { .. } | FailureKind::Unknown => false,
    }
}
