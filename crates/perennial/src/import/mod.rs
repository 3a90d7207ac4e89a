//! Taking over from another tool: its accounts, its keys, its leaves.
//!
//! ```text
//! tree of the tool ──▶ no configuration yet: [`draft`] writes one, and a person looks at it
//!                  └─▶ configuration: matched with it, put into the vault, then into the journal
//! ```
//!
//! No gap: what is served is not touched; the daemon finds leaf and key in its own store, and from then
//! on renews in time. No needless order: the account is the same, so that the CA knows it and what it
//! issued, and a leaf that is good is not replaced. Nothing of the other tool is changed or stopped;
//! what ends its own renewals is told.
//!
//! A crash before the journal's batch leaves bytes in the vault that no record names, which the next
//! start drops; importing again puts them there again.

mod draft;
mod matching;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use perennial_adapters::foreign::{Lineage, Tool, Tree};
use perennial_config::Loaded;
use perennial_core::driver::{
    Import, ImportedAccount, ImportedLeaf, Left as Reason, Loader, Offline,
};
use perennial_core::record::Stream;
use perennial_core::words::Name;
use perennial_store::{Bundle, Found, Journal as _, Options, Store, StoreError, Vault};
use perennial_wire::key::to_pem;
use serde::Serialize;

pub use draft::draft;
use matching::{Matched, match_accounts, match_leaves};

use crate::clock::Time;
use crate::run::unseal;

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which tool.
    pub tool: String,
    /// Its tree.
    pub from: PathBuf,
    /// What is ours now.
    pub taken: Vec<Taken>,
    /// What is not, and why.
    pub left: Vec<Left>,
}

/// Something that is ours now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// `account` or `certificate`.
    pub what: &'static str,
    /// The issuer or the certificate.
    pub name: Name,
    /// What it was, as a person knows it.
    pub text: String,
}

/// Something that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What it is called.
    pub name: String,
    /// Why.
    pub why: String,
    /// Whether that is as it should be: it was taken over before.
    pub is_fine: bool,
}

/// Why nothing could be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store could not be opened or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal could not be written.
    #[error(transparent)]
    Append(#[from] perennial_store::AppendError),
    /// A mistake of ours.
    #[error("could not record what was imported: {0}")]
    Record(String),
}

/// Takes over what a tree holds and the configuration declares. The daemon must not run.
///
/// # Errors
///
/// Returns why nothing was taken over.
pub fn import(
    tool: Tool,
    from: &Path,
    tree: &Tree,
    loaded: &Loaded,
    time: &Time,
) -> Result<Report, ImportError> {
    let settings = &loaded.settings;
    let options = Options { unseal: unseal(&settings.store) };
    let Store { mut journal, vault, lock } = Store::open(&settings.store.dir, &options)?;
    let loader = folded(&journal)?;
    let epoch = journal.acquire_epoch()?;
    let mut offline = Offline::new(loader, epoch, time.now());
    let mut own = Importing {
        tool,
        loaded,
        vault: &vault,
        import: Import::default(),
        report: Report {
            tool: tool.as_str().to_owned(),
            from: from.to_path_buf(),
            ..Report::default()
        },
    };
    for problem in &tree.problems {
        own.leave(problem, "it cannot be read", false);
    }
    own.accounts(tree, &offline)?;
    own.leaves(tree, &offline)?;
    let Importing { import, report, .. } = own;
    if !report.taken.is_empty() {
        offline.import(&loaded.intent, import).map_err(ImportError::Record)?;
        journal.append(&offline.into_batch(), epoch)?;
    }
    drop(lock);
    Ok(report)
}

fn folded(journal: &perennial_store::SqliteJournal) -> Result<Loader, StoreError> {
    let mut loader = Loader::new();
    journal.read_all(&mut |found| match found {
        Found::Entry(entry) => loader.record(&entry.record),
        Found::Unreadable(unreadable) => {
            loader.unreadable(Stream::try_from(unreadable.stream).ok(), &unreadable.why);
        }
    })?;
    Ok(loader)
}

/// An import on its way.
struct Importing<'a> {
    tool: Tool,
    loaded: &'a Loaded,
    vault: &'a dyn Vault,
    import: Import,
    report: Report,
}

impl Importing<'_> {
    fn leave(&mut self, name: impl Into<String>, why: impl Into<String>, is_fine: bool) {
        self.report.left.push(Left { name: name.into(), why: why.into(), is_fine });
    }

    fn accounts(&mut self, tree: &Tree, offline: &Offline) -> Result<(), ImportError> {
        let matched = match_accounts(tree, self.loaded);
        for (account, why) in matched.unmatched {
            self.leave(format!("account {}", account.place.display()), why, false);
        }
        for (issuer, account) in matched.pairs {
            let slot = match offline.place_of_account(&self.loaded.intent, &issuer) {
                Ok(slot) => slot,
                Err(reason) => {
                    let is_fine = reason == Reason::HasAccount;
                    self.leave(format!("account at {issuer}"), why(&reason), is_fine);
                    continue;
                }
            };
            let kept = self.vault.put_key(&slot, &account.key.pkcs8)?;
            if *kept != *account.key.pkcs8 {
                // A start that ended before its record was durable had made one.
                self.vault.drop_key(&slot)?;
                self.vault.put_key(&slot, &account.key.pkcs8)?;
            }
            let url = account.url.as_deref();
            self.report.taken.push(Taken {
                what: "account",
                name: issuer.clone(),
                text: url.map_or_else(|| account.directory.to_string(), str::to_owned),
            });
            let facts = account.key.pair.facts();
            let imported = ImportedAccount::new(issuer, facts, url, self.tool.as_str());
            self.import.accounts.push(imported);
        }
        Ok(())
    }

    fn leaves(&mut self, tree: &Tree, offline: &Offline) -> Result<(), ImportError> {
        let Matched { pairs, unmatched } = match_leaves(tree, self.loaded);
        for (lineage, why) in unmatched {
            self.leave(&lineage.name, why, false);
        }
        for (certificate, lineage) in pairs {
            let intent = &self.loaded.intent;
            let slot = match offline.place_of_leaf(intent, &certificate, &lineage.facts) {
                Ok(slot) => slot,
                Err(reason) => {
                    let is_fine = reason == Reason::HasLeaf;
                    self.leave(&lineage.name, why(&reason), is_fine);
                    continue;
                }
            };
            if let Some(slot) = slot {
                self.vault.put_key(&slot, &lineage.key.pkcs8)?;
            }
            let bundle = self.vault.put_bundle(&Bundle {
                leaf_pem: lineage.chain.leaf_pem(),
                chain_pem: lineage.chain.rest_pem(),
                key_pem: to_pem(&lineage.key.pkcs8),
            })?;
            let issuer = self.issuer_of(tree, &certificate, lineage);
            let facts = lineage.facts.clone();
            let until = crate::view::moment(facts.ends_at());
            let text = format!("{} of {}, until {until}", lineage.name, facts.issued_by);
            self.report.taken.push(Taken { what: "certificate", name: certificate.clone(), text });
            let from = self.tool.as_str();
            let imported = ImportedLeaf::new(certificate, facts, bundle, issuer, from);
            self.import.leaves.push(imported);
        }
        Ok(())
    }

    /// Returns the issuer whose account got this leaf, where that account is ours now: only then does
    /// the CA let the next order replace it (RFC 9773 section 5).
    fn issuer_of(&self, tree: &Tree, certificate: &Name, lineage: &Lineage) -> Option<Name> {
        let spec = self.loaded.intent.certificates.get(certificate)?;
        let account = tree.accounts.iter().find(|own| Some(&own.place) == lineage.account.as_ref());
        let key = account?.key.pair.id();
        let is_its = |own: &&ImportedAccount| own.account.key.id == key;
        let issuer = self.import.accounts.iter().find(is_its).map(|own| own.issuer.clone())?;
        spec.issuers.contains(&issuer).then_some(issuer)
    }
}

fn why(reason: &Reason) -> String {
    match reason {
        Reason::HasAccount => String::from("there is an account of ours already"),
        Reason::HasLeaf => String::from("the certificate has a leaf already"),
        Reason::Uncovered(name) => format!("the leaf is not for {name}, which is declared"),
        Reason::NotValid => String::from("the leaf is not valid now"),
        Reason::Undeclared => String::from("nothing of that name is declared"),
        Reason::Quarantined => String::from("its history cannot be read; see: perennial status"),
    }
}
