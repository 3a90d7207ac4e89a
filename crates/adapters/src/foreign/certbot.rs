//! certbot's tree.
//!
//! `renewal/<name>.conf` is the heart of a lineage: where its files are, at which server and under
//! which account it is renewed, how, and with which hooks. It is the format of Python's `configobj`:
//! `key = value`, `[section]`, `[[subsection]]`. `live/<name>/` holds links to the newest files.
//!
//! Source: certbot's user guide ("Where are my certificates?", "Renewing certificates"), read against
//! the trees that certbot 5.8 writes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use perennial_wire::key::KeyPair;
use serde::Deserialize;

use super::read::{chain, file, folder, key, made, name, paired, text};
use super::{Account, Directory, Hooks, Lineage, Paths, Proof, Tree};

pub(super) fn read(root: &Path) -> Tree {
    let mut tree = Tree::default();
    for account in account_folders(&root.join("accounts"), 0) {
        if let Some(account) = tree.note(self::account(root, &account)) {
            tree.accounts.push(account);
        }
    }
    let common = Hooks {
        pre: programs(&root.join("renewal-hooks/pre")),
        post: programs(&root.join("renewal-hooks/post")),
        deploy: programs(&root.join("renewal-hooks/deploy")),
    };
    for conf in folder(&root.join("renewal")) {
        let Some(lineage) = name(&conf).and_then(|name| name.strip_suffix(".conf")) else {
            continue;
        };
        if let Some(lineage) = tree.note(self::lineage(root, lineage, &conf, &common)) {
            tree.lineages.push(lineage);
        }
    }
    tree
}

/// Returns the folders below `accounts` that hold a key: their paths are the server's URL, so that
/// they lie at any depth. Links are left alone: certbot links a server's newer name to its older one.
fn account_folders(below: &Path, depth: usize) -> Vec<PathBuf> {
    const DEEPEST: usize = 8;
    if below.join("private_key.json").exists() {
        return vec![below.to_path_buf()];
    }
    if depth == DEEPEST {
        return Vec::new();
    }
    let folders = folder(below).into_iter().filter(|path| path.is_dir() && !path.is_symlink());
    folders.flat_map(|path| account_folders(&path, depth + 1)).collect()
}

/// `regr.json`: the registration as the CA answered it.
#[derive(Deserialize)]
struct Registration {
    uri: String,
    #[serde(default)]
    body: Body,
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    contact: Vec<String>,
}

fn account(root: &Path, place: &Path) -> Result<Account, String> {
    let key_path = place.join("private_key.json");
    let key = made(&key_path, KeyPair::pkcs8_of_jwk(&file(&key_path)?))?;
    let path = place.join("regr.json");
    let registration: Registration = serde_json::from_slice(&file(&path)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    // The folders between are the server's URL without its scheme; the last one is the id.
    let server = place.parent().and_then(|server| server.strip_prefix(root.join("accounts")).ok());
    let server = server.and_then(Path::to_str).unwrap_or_default();
    let mail = |contact: String| contact.strip_prefix("mailto:").map(str::to_owned);
    Ok(Account {
        place: place.to_path_buf(),
        directory: Directory::Url(format!("https://{server}")),
        url: Some(registration.uri),
        contact: registration.body.contact.into_iter().filter_map(mail).collect(),
        key,
    })
}

/// Returns the programs of a folder, as certbot runs them: executable, sorted, no backup files.
fn programs(hooks: &Path) -> Vec<String> {
    let is_program = |path: &PathBuf| {
        let mode = path.metadata().map_or(0, |meta| meta.permissions().mode());
        path.is_file() && mode & 0o111 != 0
    };
    let programs = folder(hooks).into_iter().filter(is_program);
    let texts = programs.filter_map(|path| path.to_str().map(quoted));
    texts.filter(|text| !text.ends_with('~')).collect()
}

/// Writes a word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn lineage(root: &Path, name: &str, conf: &Path, common: &Hooks) -> Result<Lineage, String> {
    let conf = Conf::parse(&text(conf)?);
    let live = root.join("live").join(name);
    let path = |kind: &str| {
        let said = conf.get("", kind).map(PathBuf::from);
        said.unwrap_or_else(|| live.join(format!("{kind}.pem")))
    };
    let fullchain = path("fullchain");
    let (chain, facts) = chain(&fullchain, None)?;
    let key = key(&path("privkey"))?;
    paired(&fullchain, &facts, &key)?;
    let server = conf.renewal("server").map(|url| Directory::Url(url.to_owned()));
    let account = conf.renewal("account").zip(conf.renewal("server")).map(|(id, server)| {
        let server = server.split_once("://").map_or(server, |(_, rest)| rest);
        root.join("accounts").join(server).join(id)
    });
    let own = |key: &str| conf.renewal(key).map(str::to_owned);
    let joined = |all: &[String], own: Option<String>| all.iter().cloned().chain(own).collect();
    Ok(Lineage {
        name: name.to_owned(),
        chain,
        key,
        paths: Paths {
            fullchain: Some(fullchain),
            cert: Some(path("cert")),
            chain: Some(path("chain")),
            key: Some(path("privkey")),
        },
        directory: server,
        account,
        proof: conf.proof(&facts.identifiers.iter().map(ToString::to_string).collect::<Vec<_>>()),
        hooks: Hooks {
            pre: joined(&common.pre, own("pre_hook")),
            post: joined(&common.post, own("post_hook")),
            deploy: joined(&common.deploy, own("deploy_hook").or_else(|| own("renew_hook"))),
        },
        reuses_key: conf.renewal("reuse_key") == Some("True"),
        facts,
    })
}

/// A renewal configuration: values by section and key.
struct Conf(BTreeMap<(String, String), String>);

impl Conf {
    fn parse(text: &str) -> Self {
        let mut section = String::new();
        let mut values = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                section = rest.trim_matches(['[', ']', ' ']).to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let place = (section.clone(), unquoted(key).to_owned());
                values.insert(place, unquoted(value).to_owned());
            }
        }
        Self(values)
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.0.get(&(section.to_owned(), key.to_owned()))?;
        Some(value.as_str()).filter(|value| !value.is_empty() && *value != "None")
    }

    fn renewal(&self, key: &str) -> Option<&str> {
        self.get("renewalparams", key)
    }

    /// Tells how control of these names is proven.
    fn proof(&self, names: &[String]) -> Proof {
        match self.renewal("authenticator").unwrap_or("an unknown authenticator") {
            "webroot" => Proof::Webroot(self.webroots(names)),
            "standalone" => {
                let port = self.renewal("http01_port").and_then(|port| port.parse().ok());
                Proof::Standalone(port.unwrap_or(80))
            }
            server @ ("nginx" | "apache") => Proof::Server(server.to_owned()),
            "manual" => match self.renewal("manual_auth_hook") {
                Some(auth) => Proof::Commands {
                    auth: auth.to_owned(),
                    cleanup: self.renewal("manual_cleanup_hook").map(str::to_owned),
                    dns: self.renewal("pref_challs").is_some_and(|all| all.contains("dns")),
                },
                None => Proof::Other(String::from("a person's own hands")),
            },
            other => match other.strip_prefix("dns-") {
                Some(provider) => Proof::Dns(provider.to_owned()),
                None => Proof::Other(other.to_owned()),
            },
        }
    }

    /// Returns each name's folder: its own in `[[webroot_map]]`, or else `webroot_path`.
    fn webroots(&self, names: &[String]) -> Vec<(String, PathBuf)> {
        let usual = self.renewal("webroot_path").map(|path| path.trim_end_matches(',').trim());
        let mut all = Vec::new();
        for name in names {
            if let Some(path) = self.get("webroot_map", name).or(usual) {
                all.push((name.clone(), PathBuf::from(path)));
            }
        }
        all
    }
}

/// Removes the spaces and one pair of quotes around a value.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = r#"
# renew_before_expiry = 30 days
version = 5.8.0
fullchain = /etc/letsencrypt/live/shop.test/fullchain.pem
# Options used in the renewal process
[renewalparams]
account = 0a1b
authenticator = webroot
webroot_path = /var/www/html,
server = https://ca.test/directory
key_type = ecdsa
deploy_hook = "systemctl reload nginx # 'now'"
reuse_key = True
[[webroot_map]]
www.shop.test = /srv/www
"#;

    #[test]
    fn a_renewal_configuration_is_read_as_certbot_reads_it() {
        let conf = Conf::parse(CONF);
        assert_eq!(conf.renewal("account"), Some("0a1b"));
        assert_eq!(conf.renewal("deploy_hook"), Some("systemctl reload nginx # 'now'"));
        assert_eq!(conf.renewal("nothing"), None);
        let names = ["shop.test", "www.shop.test"].map(str::to_owned);
        let webroots = [("shop.test", "/var/www/html"), ("www.shop.test", "/srv/www")];
        let webroots = webroots.map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        assert_eq!(conf.proof(&names), Proof::Webroot(webroots.to_vec()));
    }

    #[test]
    fn every_authenticator_is_told() {
        let proof = |lines: &str| Conf::parse(&format!("[renewalparams]\n{lines}\n")).proof(&[]);
        assert_eq!(proof("authenticator = standalone"), Proof::Standalone(80));
        assert_eq!(
            proof("authenticator = standalone\nhttp01_port = 8080"),
            Proof::Standalone(8080)
        );
        assert_eq!(proof("authenticator = nginx"), Proof::Server("nginx".into()));
        assert_eq!(proof("authenticator = dns-cloudflare"), Proof::Dns("cloudflare".into()));
        let manual = "authenticator = manual\npref_challs = dns-01,\nmanual_auth_hook = /bin/up";
        let commands = Proof::Commands { auth: "/bin/up".into(), cleanup: None, dns: true };
        assert_eq!(proof(manual), commands);
        assert_eq!(proof("authenticator = odd"), Proof::Other("odd".into()));
    }
}
