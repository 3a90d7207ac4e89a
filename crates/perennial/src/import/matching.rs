//! Which of a tree's accounts and leaves belong to what is declared.
//!
//! An account belongs to an issuer with its CA's directory; of several, the one that most leaves were
//! got under. A leaf belongs to the certificate that is called like it, or else to one for just its
//! names, or else to one all of whose names it has; where the kind of key decides between two, it does.
//! Of several leaves for one certificate the one that ends last is taken.

use std::collections::BTreeSet;

use perennial_adapters::foreign::{Account, Lineage, Tree};
use perennial_config::Loaded;
use perennial_core::intent::CertificateSpec;
use perennial_core::words::{Identifier, Name};

/// What belongs together, and what to nothing.
pub(super) struct Matched<'t, T> {
    pub(super) pairs: Vec<(Name, &'t T)>,
    pub(super) unmatched: Vec<(&'t T, String)>,
}

impl<T> Default for Matched<'_, T> {
    fn default() -> Self {
        Self { pairs: Vec::new(), unmatched: Vec::new() }
    }
}

pub(super) fn match_accounts<'t>(tree: &'t Tree, loaded: &Loaded) -> Matched<'t, Account> {
    let mut matched = Matched::default();
    let uses = |account: &Account| {
        tree.lineages.iter().filter(|own| own.account.as_ref() == Some(&account.place)).count()
    };
    for (issuer, settings) in &loaded.settings.issuers {
        let mut there: Vec<_> =
            tree.accounts.iter().filter(|own| own.directory.is(&settings.directory)).collect();
        // The first of equals: sorting keeps their order.
        there.sort_by_key(|account| std::cmp::Reverse(uses(account)));
        if let Some(best) = there.first() {
            matched.pairs.push((issuer.clone(), *best));
        }
    }
    for account in &tree.accounts {
        if matched.pairs.iter().any(|(_, taken)| std::ptr::eq(*taken, account)) {
            continue;
        }
        let is_its = |own: &perennial_config::IssuerSettings| account.directory.is(&own.directory);
        let why = if loaded.settings.issuers.values().any(is_its) {
            String::from("an issuer has one account, and more leaves were got under another one")
        } else {
            format!("no issuer with the directory {} is declared", account.directory)
        };
        matched.unmatched.push((account, why));
    }
    matched
}

pub(super) fn match_leaves<'t>(tree: &'t Tree, loaded: &Loaded) -> Matched<'t, Lineage> {
    let mut matched: Matched<'t, Lineage> = Matched::default();
    for lineage in &tree.lineages {
        let Some(name) = best(lineage, loaded) else {
            let names: Vec<String> =
                lineage.facts.identifiers.iter().map(ToString::to_string).collect();
            let why = format!("no certificate is declared for {}", names.join(", "));
            matched.unmatched.push((lineage, why));
            continue;
        };
        let rival = matched.pairs.iter_mut().find(|(taken, _)| *taken == name);
        let Some((_, rival)) = rival else {
            matched.pairs.push((name, lineage));
            continue;
        };
        let other = if lineage.facts.ends_at() > rival.facts.ends_at() {
            std::mem::replace(rival, lineage)
        } else {
            lineage
        };
        matched.unmatched.push((other, format!("certificate {name} takes another leaf")));
    }
    matched
}

/// Returns the certificate that a leaf belongs to.
fn best(lineage: &Lineage, loaded: &Loaded) -> Option<Name> {
    let own: BTreeSet<&Identifier> = lineage.facts.identifiers.iter().collect();
    let score = |name: &Name, spec: &CertificateSpec| {
        let wanted: BTreeSet<&Identifier> = spec.identifiers.iter().collect();
        let covers = spec.identifiers.iter().all(|wanted| lineage.facts.covers(wanted));
        let kind = lineage.facts.traits.as_ref().map(|traits| traits.key_kind);
        let is_named = name.as_str() == lineage.name;
        covers.then(|| (wanted == own, kind == Some(spec.key.kind()), is_named, wanted.len()))
    };
    let scored = loaded.intent.certificates.iter();
    let scored = scored.filter_map(|(name, spec)| Some((score(name, spec)?, name)));
    scored.max_by_key(|(score, _)| *score).map(|(_, name)| name.clone())
}
