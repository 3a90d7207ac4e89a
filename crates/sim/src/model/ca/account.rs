//! Accounts: one for each key.

use perennial_core::words::{AccountFacts, AccountStatus, Url};

use super::Ca;
use super::message::{CaFact, NewAccount};
use super::problem::{Answered, Refusal, good, malformed, problem, unauthorized};

pub(super) type AccountId = u64;

/// What is known of an account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) thumbprint: Box<str>,
    status: AccountStatus,
}

impl Ca {
    pub(super) fn new_account(&mut self, new: &NewAccount) -> Answered {
        let known = self.accounts.iter().find(|(_, account)| account.thumbprint == new.thumbprint);
        if let Some((id, account)) = known {
            if account.status != AccountStatus::Valid {
                return Err(unauthorized("Account is deactivated").into());
            }
            return Ok(good(200, CaFact::Account(self.account_facts(*id, account.status))));
        }
        if new.only_existing {
            let detail = "No account exists with the provided key";
            return Err(problem(400, "accountDoesNotExist", detail).into());
        }
        if self.config.terms && !new.agreed {
            return Err(malformed("must agree to terms of service").into());
        }
        self.bind(new)?;
        let id = self.next_id();
        let status = AccountStatus::Valid;
        self.accounts.insert(id, Account { thumbprint: new.thumbprint.clone(), status });
        Ok(good(201, CaFact::Account(self.account_facts(id, status))))
    }

    /// Checks the external account binding and uses it up.
    ///
    /// Source: RFC 8555 section 7.3.4.
    fn bind(&mut self, new: &NewAccount) -> Result<(), Refusal> {
        if self.config.external_accounts.is_empty() {
            return Ok(());
        }
        let Some(kid) = &new.eab else {
            let detail = "External account binding is required";
            return Err(problem(403, "externalAccountRequired", detail).into());
        };
        if !self.config.external_accounts.contains(kid) {
            return Err(unauthorized("The external account is unknown").into());
        }
        if !self.bound.insert(kid.clone()) && self.config.eab_single_use {
            return Err(unauthorized("The external account is bound already").into());
        }
        Ok(())
    }

    pub(super) fn account(&mut self, url: &Url, deactivate: bool) -> Answered {
        let id = self.signer(url)?;
        let status = if deactivate { AccountStatus::Deactivated } else { AccountStatus::Valid };
        if let Some(account) = self.accounts.get_mut(&id) {
            account.status = status;
        }
        Ok(good(200, CaFact::Account(self.account_facts(id, status))))
    }

    pub(super) fn key_change(&mut self, url: &Url, thumbprint: &str) -> Answered {
        let id = self.signer(url)?;
        if self.accounts.values().any(|account| &*account.thumbprint == thumbprint) {
            return Err(problem(409, "conflict", "New key is in use by another account").into());
        }
        if let Some(account) = self.accounts.get_mut(&id) {
            account.thumbprint = thumbprint.into();
        }
        Ok(good(200, CaFact::Done))
    }

    /// Returns the account that signed a request.
    pub(super) fn signer(&self, url: &Url) -> Result<AccountId, Refusal> {
        let id = self.id_in(url, "acct").and_then(|id| id.parse().ok());
        let found = id.and_then(|id: AccountId| Some((id, self.accounts.get(&id)?)));
        match found {
            None => {
                let detail = format!("Account \"{url}\" not found");
                Err(problem(400, "accountDoesNotExist", detail).into())
            }
            Some((_, account)) if account.status != AccountStatus::Valid => {
                let detail = "Account is not valid, has status \"deactivated\"";
                Err(unauthorized(detail).into())
            }
            Some((id, _)) => Ok(id),
        }
    }

    /// Returns the thumbprint of an account's key: which key must have signed its requests.
    #[must_use]
    pub fn thumbprint(&self, account: &Url) -> Option<&str> {
        let id: AccountId = self.id_in(account, "acct")?.parse().ok()?;
        self.accounts.get(&id).map(|account| &*account.thumbprint)
    }

    fn account_facts(&self, id: AccountId, status: AccountStatus) -> AccountFacts {
        AccountFacts { url: self.account_url(id), status }
    }

    pub(super) fn account_url(&self, id: AccountId) -> Url {
        self.url("acct", &id.to_string())
    }
}
