//! lego's tree, as its versions 4 and 5 write it.
//!
//! A leaf lies as `certificates/<name>.crt` (with its chain, unless `--no-bundle` was said), beside
//! `.key`, `.issuer.crt` and `.json`; a wildcard's star is written `_`. Accounts lie by the CA's host,
//! whose path lego does not write down: version 4 keeps the key in `keys/<mail>.key`, version 5 keeps
//! one folder for each kind of key. How names are proven, and hooks, are arguments of lego's command
//! line, and are in no file.
//!
//! Source: lego's documentation and the comments on its storage, read against lego's own trees.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::read::{chain, file, folder, key, name, paired};
use super::{Account, Directory, Hooks, Lineage, Paths, Proof, Tree};

pub(super) fn read(root: &Path) -> Tree {
    let mut tree = Tree::default();
    for host in folder(&root.join("accounts")) {
        for place in folder(&host).into_iter().flat_map(|account| account_folders(&account)) {
            if let Some(account) = tree.note(self::account(&host, &place)) {
                tree.accounts.push(account);
            }
        }
    }
    for json in folder(&root.join("certificates")) {
        let Some(stem) = name(&json).and_then(|name| name.strip_suffix(".json")) else { continue };
        let lineage = self::lineage(&json, stem, &tree.accounts);
        if let Some(lineage) = tree.note(lineage) {
            tree.lineages.push(lineage);
        }
    }
    tree
}

/// Returns the folders that hold an account: this one (version 4), or those in it (version 5).
fn account_folders(account: &Path) -> Vec<PathBuf> {
    let is_account = |place: &Path| place.join("account.json").exists();
    let inner = folder(account).into_iter().filter(|place| is_account(place));
    let own = is_account(account).then(|| account.to_path_buf());
    own.into_iter().chain(inner).collect()
}

/// `account.json`.
#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    email: String,
    registration: Option<Registration>,
}

#[derive(Deserialize)]
struct Registration {
    #[serde(alias = "location")]
    uri: Option<String>,
}

fn account(host: &Path, place: &Path) -> Result<Account, String> {
    let path = place.join("account.json");
    let kept: Kept = serde_json::from_slice(&file(&path)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let is_key = |path: &PathBuf| path.extension().is_some_and(|end| end == "key");
    let places = [place.join("keys"), place.to_path_buf()];
    let found = places.iter().flat_map(|place| folder(place)).find(is_key);
    let found = found.ok_or_else(|| format!("{}: there is no key beside it", path.display()))?;
    // lego writes the host's port with `_`, which no host's name has.
    let host = name(host).unwrap_or_default().replace('_', ":");
    Ok(Account {
        place: place.to_path_buf(),
        directory: Directory::Host(host),
        url: kept.registration.and_then(|registration| registration.uri),
        contact: Some(kept.email).filter(|mail| mail.contains('@')).into_iter().collect(),
        key: key(&found)?,
    })
}

/// `certificates/<name>.json`.
#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "certUrl", default)]
    url: String,
}

fn lineage(json: &Path, stem: &str, accounts: &[Account]) -> Result<Lineage, String> {
    let resource: Resource = serde_json::from_slice(&file(json)?)
        .map_err(|error| format!("{}: {error}", json.display()))?;
    let beside = |end: &str| json.with_file_name(format!("{stem}.{end}"));
    let (crt, issuer) = (beside("crt"), beside("issuer.crt"));
    let (mut chain, mut facts) = chain(&crt, None)?;
    let bundled = !chain.rest().is_empty();
    if !bundled && issuer.exists() {
        (chain, facts) = self::chain(&crt, Some(&issuer))?;
    }
    let key = key(&beside("key"))?;
    paired(&crt, &facts, &key)?;
    let host = super::host_of(&resource.url);
    let account = host.as_ref().and_then(|host| {
        let mut there =
            accounts.iter().filter(|own| own.directory == Directory::Host(host.clone()));
        // Which of several it was is written nowhere.
        there.next().filter(|_| there.next().is_none())
    });
    let (leaf, full) = if bundled { (None, Some(crt)) } else { (Some(crt), None) };
    Ok(Lineage {
        name: stem.replacen("_.", "*.", 1),
        chain,
        key,
        paths: Paths {
            fullchain: full,
            cert: leaf,
            chain: issuer.exists().then_some(issuer),
            key: Some(beside("key")),
        },
        account: account.map(|account| account.place.clone()),
        directory: host.map(Directory::Host),
        proof: Proof::Other(String::from("arguments of lego's command line")),
        hooks: Hooks::default(),
        reuses_key: false,
        facts,
    })
}
