//! Our account: made or found, given another key, ended.
//!
//! Source: RFC 8555 sections 7.3, 7.3.1, 7.3.5 and 7.3.6.

use perennial_core::action::AccountRef;
use perennial_core::words::{AccountFacts, Name, Slot};

use super::classify::{Step, Trouble};
use super::exchange::Stopped;
use super::jws::{self, Signer};
use super::{Client, NO_EAB, answer, problem, request};

impl Client {
    pub(super) async fn new_account(
        &self,
        issuer: &Name,
        key: &Slot,
        contact: &[Box<str>],
        eab: bool,
        agreed: bool,
    ) -> Result<AccountFacts, Stopped> {
        const STEP: Step = Step::NewAccount;
        self.must_be_ours(STEP, issuer)?;
        let key = self.key(STEP, key)?;
        let url = self.directory().await?.new_account.clone();
        let binding = match (&self.settings.eab, eab) {
            (Some(eab), true) => Some(jws::bind(&key, eab.key(), eab.kid(), &url)),
            (None, true) => return Err(Stopped::ours(STEP, NO_EAB)),
            (_, false) => None,
        };
        let payload = request::new_account(agreed, contact, binding);
        let answer = self.post(STEP, &key, Signer::Stranger, &url, &payload).await?;
        answer::account(&answer).map_err(Stopped::unreadable(STEP))
    }

    /// Asks which account a key has.
    pub(super) async fn account_of(
        &self,
        issuer: &Name,
        key: &Slot,
    ) -> Result<Option<AccountFacts>, Stopped> {
        const STEP: Step = Step::Account;
        self.must_be_ours(STEP, issuer)?;
        let key = self.key(STEP, key)?;
        let url = self.directory().await?.new_account.clone();
        let payload = request::EXISTING_ACCOUNT;
        match self.post(STEP, &key, Signer::Stranger, &url, payload).await {
            Ok(answer) => answer::account(&answer).map(Some).map_err(Stopped::unreadable(STEP)),
            Err(stopped) if has_none(&stopped) => Ok(None),
            Err(stopped) => Err(stopped),
        }
    }

    /// Gives our account another key: the next one agrees inside, the present one outside.
    pub(super) async fn change_key(
        &self,
        account: &AccountRef,
        next: &Slot,
    ) -> Result<(), Stopped> {
        const STEP: Step = Step::ChangeKey;
        let (present, next) = (self.key(STEP, &account.key)?, self.key(STEP, next)?);
        let not_offered = || Stopped::new(STEP, Trouble::NotOffered("change of keys"));
        let url = self.directory().await?.key_change.clone().ok_or_else(not_offered)?;
        let agreed = request::key_change(&account.url, present.jwk());
        let agreed = jws::agree(&next, &url, &agreed);
        let agreed = agreed.map_err(|error| Stopped::ours(STEP, error.to_string()))?;
        self.post_as(STEP, account, &url, &jws::json(&agreed)).await.map(drop)
    }

    pub(super) async fn end_account(&self, account: &AccountRef) -> Result<AccountFacts, Stopped> {
        const STEP: Step = Step::EndAccount;
        let url = account.url.clone();
        let answer = self.post_as(STEP, account, &url, request::END_ACCOUNT).await?;
        Ok(AccountFacts { url, status: answer::account_status(&answer) })
    }
}

fn has_none(stopped: &Stopped) -> bool {
    let Trouble::Refused(answer) = &stopped.trouble else { return false };
    stopped.step == Step::Account
        && problem::of_answer(answer).is_some_and(|told| &*told.kind == "accountDoesNotExist")
}
