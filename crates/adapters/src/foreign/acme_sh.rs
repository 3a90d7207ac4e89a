//! acme.sh's tree.
//!
//! `<name>/` and, for elliptic curves, `<name>_ecc/` each hold `<name>.conf`, a list of shell
//! assignments, beside `<name>.key`, `<name>.cer` and `fullchain.cer`. A value that a shell might
//! misread is base64 between two marks. Accounts lie below `ca/`, by the directory's URL without its
//! scheme. Where `--install-cert` copied the files to is in the `.conf`, with the command that follows.
//!
//! Source: acme.sh's wiki ("How to install", "deployhooks") and the names of its configuration's keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::read::{chain, folder, key, name, paired, text};
use super::{Account, Directory, Hooks, Lineage, Paths, Proof, Tree};

pub(super) fn read(root: &Path) -> Tree {
    let mut tree = Tree::default();
    let ca = root.join("ca");
    for place in account_folders(&ca, 0) {
        if let Some(account) = tree.note(self::account(&ca, &place)) {
            tree.accounts.push(account);
        }
    }
    for place in folder(root) {
        let Some(folder) = name(&place) else { continue };
        let domain = folder.strip_suffix("_ecc").unwrap_or(folder);
        let conf = place.join(format!("{domain}.conf"));
        // One that was never issued has a configuration and no leaf.
        if !conf.is_file() || !place.join("fullchain.cer").exists() {
            continue;
        }
        let lineage = self::lineage(&place, domain, &conf, &tree.accounts);
        if let Some(lineage) = tree.note(lineage) {
            tree.lineages.push(lineage);
        }
    }
    tree
}

fn account_folders(below: &Path, depth: usize) -> Vec<PathBuf> {
    const DEEPEST: usize = 8;
    if below.join("account.key").exists() {
        return vec![below.to_path_buf()];
    }
    if depth == DEEPEST {
        return Vec::new();
    }
    let folders = folder(below).into_iter().filter(|path| path.is_dir());
    folders.flat_map(|path| account_folders(&path, depth + 1)).collect()
}

fn account(ca: &Path, place: &Path) -> Result<Account, String> {
    let server = place.strip_prefix(ca).ok().and_then(Path::to_str).unwrap_or_default();
    let conf = place.join("ca.conf");
    let conf = if conf.exists() { Conf::parse(&text(&conf)?) } else { Conf::default() };
    Ok(Account {
        place: place.to_path_buf(),
        directory: Directory::Url(format!("https://{server}")),
        url: conf.get("ACCOUNT_URL"),
        contact: conf.get("CA_EMAIL").into_iter().collect(),
        key: key(&place.join("account.key"))?,
    })
}

fn lineage(
    place: &Path,
    domain: &str,
    conf: &Path,
    accounts: &[Account],
) -> Result<Lineage, String> {
    let conf = Conf::parse(&text(conf)?);
    let fullchain = place.join("fullchain.cer");
    let (chain, facts) = chain(&fullchain, None)?;
    let key_path = place.join(format!("{domain}.key"));
    let key = key(&key_path)?;
    paired(&fullchain, &facts, &key)?;
    let directory = conf.get("Le_API").map(Directory::Url);
    let account = accounts.iter().find(|own| directory.as_ref() == Some(&own.directory));
    // Where --install-cert put copies, servers read those; its own folder is for itself.
    let copies = Paths {
        fullchain: conf.path("Le_RealFullChainPath"),
        cert: conf.path("Le_RealCertPath"),
        chain: conf.path("Le_RealCACertPath"),
        key: conf.path("Le_RealKeyPath"),
    };
    let own = Paths {
        fullchain: Some(fullchain),
        cert: Some(place.join(format!("{domain}.cer"))),
        chain: Some(place.join("ca.cer")),
        key: Some(key_path),
    };
    let hook = |key: &str| conf.get(key).into_iter().collect::<Vec<_>>();
    let names: Vec<String> = facts.identifiers.iter().map(ToString::to_string).collect();
    Ok(Lineage {
        name: conf.get("Le_Domain").unwrap_or_else(|| domain.to_owned()),
        chain,
        key,
        paths: if copies == Paths::default() { own } else { copies },
        account: account.map(|account| account.place.clone()),
        directory,
        proof: conf.proof(&names),
        hooks: Hooks {
            pre: hook("Le_PreHook"),
            post: hook("Le_PostHook"),
            deploy: [hook("Le_RenewHook"), hook("Le_ReloadCmd")].concat(),
        },
        // It keeps a key unless it is told otherwise: that is nobody's wish.
        reuses_key: false,
        facts,
    })
}

/// A list of shell assignments.
#[derive(Default)]
struct Conf(BTreeMap<String, String>);

impl Conf {
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (key, value) = line.trim().split_once('=')?;
            Some((key.to_owned(), decoded(unquoted(value))))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).filter(|value| !value.is_empty()).cloned()
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key).map(PathBuf::from)
    }

    /// Tells how control of these names is proven. `Le_Webroot` has one entry for each name, or one
    /// for all: a folder, `no` for a server of its own, `dns_` and a provider, `nginx`, `apache`.
    fn proof(&self, names: &[String]) -> Proof {
        let said = self.get("Le_Webroot").unwrap_or_default();
        let mut ways = said.split(',').map(str::trim).filter(|way| !way.is_empty());
        let Some(first) = ways.next() else { return Proof::Other(String::from("no way at all")) };
        match first {
            "no" => {
                let port = self.get("Le_HTTPPort").and_then(|port| port.parse().ok());
                Proof::Standalone(port.unwrap_or(80))
            }
            "dns" | "dns_manual" => Proof::Other(String::from("a person's own hands")),
            "alpn" | "tls" => Proof::Other(String::from("tls-alpn-01")),
            dns if dns.starts_with("dns_") => Proof::Dns(dns.to_owned()),
            folder if folder.starts_with('/') => {
                let last = std::iter::repeat(first);
                let order: Vec<String> = self.order(names);
                let ways = std::iter::once(first).chain(ways).chain(last);
                let pairs = order.into_iter().zip(ways.map(PathBuf::from));
                Proof::Webroot(pairs.collect())
            }
            server => Proof::Server(server.trim_end_matches(':').to_owned()),
        }
    }

    /// Returns the names in the order in which they were asked for.
    fn order(&self, names: &[String]) -> Vec<String> {
        let others = self.get("Le_Alt").unwrap_or_default();
        let others = others.split(',').map(str::trim).filter(|alt| !alt.is_empty() && *alt != "no");
        let said: Vec<String> =
            self.get("Le_Domain").into_iter().chain(others.map(str::to_owned)).collect();
        if said.is_empty() { names.to_vec() } else { said }
    }
}

fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['\'', '"'] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// Takes the marks and the base64 between them away, where a value has them.
fn decoded(value: &str) -> String {
    let inner = value.strip_prefix("__ACME_BASE64__START_");
    let inner = inner.and_then(|inner| inner.strip_suffix("__ACME_BASE64__END_"));
    let bytes = inner.and_then(|inner| STANDARD.decode(inner).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.unwrap_or_else(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_quotes_and_between_marks_are_read() {
        let conf = Conf::parse(
            "Le_Domain='shop.test'\nLe_Alt='www.shop.test,api.shop.test'\n\
             Le_Webroot='/srv/shop,/srv/www'\n\
             Le_ReloadCmd='__ACME_BASE64__START_c3lzdGVtY3RsIHJlbG9hZCBuZ2lueA==__ACME_BASE64__END_'\n",
        );
        assert_eq!(conf.get("Le_ReloadCmd").as_deref(), Some("systemctl reload nginx"));
        let expected = [
            ("shop.test", "/srv/shop"),
            ("www.shop.test", "/srv/www"),
            ("api.shop.test", "/srv/shop"),
        ];
        let expected = expected.map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        assert_eq!(conf.proof(&[]), Proof::Webroot(expected.to_vec()));
    }

    #[test]
    fn every_way_is_told() {
        let proof = |way: &str| Conf::parse(&format!("Le_Webroot='{way}'\n")).proof(&[]);
        assert_eq!(proof("no"), Proof::Standalone(80));
        assert_eq!(proof("dns_cf"), Proof::Dns("dns_cf".into()));
        assert_eq!(proof("nginx:"), Proof::Server("nginx".into()));
        assert_eq!(proof("alpn"), Proof::Other("tls-alpn-01".into()));
        assert_eq!(proof(""), Proof::Other("no way at all".into()));
    }
}
