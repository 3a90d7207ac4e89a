//! Reads what servers say of the files they use. Pure, but for Apache's own files, of which its
//! program says only where they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A leaf and a key that a server reads, and for which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// The file of the leaf and its chain.
    pub(super) leaf: PathBuf,
    /// The file of the key.
    pub(super) key: PathBuf,
    /// For which names; nothing where the configuration does not say.
    pub(super) names: Vec<String>,
}

impl Use {
    fn new(root: &Path, leaf: &str, key: &str, names: &[String]) -> Self {
        Self { leaf: root.join(leaf), key: root.join(key), names: names.to_vec() }
    }

    /// Returns both paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        [self.leaf.as_path(), self.key.as_path()].into_iter()
    }

    /// Names it, for people.
    pub(super) fn told(&self) -> &str {
        self.names.first().map_or("another name", String::as_str)
    }
}

/// Lines of `name = value`. Of `smtpd_tls_chain_files`, a key and the chain that belongs to it come
/// in this order, in one file or in two; where it is set, the others do not count.
pub(super) fn postfix(answers: &[String], root: &Path) -> Result<Vec<Use>, String> {
    let values: BTreeMap<&str, &str> = answers.iter().flat_map(|text| settings(text)).collect();
    let value = |name: &str| values.get(name).copied().unwrap_or_default();
    let chain: Vec<&str> = value("smtpd_tls_chain_files")
        .split(|c: char| c == ',' || c.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    if let [one] = chain[..] {
        return Ok(vec![Use::new(root, one, one, &[])]);
    }
    if !chain.is_empty() {
        let (pairs, rest) = chain.as_chunks();
        if !rest.is_empty() {
            let reason = "`smtpd_tls_chain_files` names an odd number of files: keys and chains in \
                          turn are understood";
            return Err(reason.to_owned());
        }
        return Ok(pairs.iter().map(|[key, leaf]| Use::new(root, leaf, key, &[])).collect());
    }
    let mut uses = Vec::new();
    for (leaf, key) in [
        ("smtpd_tls_cert_file", "smtpd_tls_key_file"),
        ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"),
    ] {
        let (leaf, key) = (value(leaf), value(key));
        let key = if key.is_empty() { leaf } else { key };
        if !leaf.is_empty() && leaf != "none" {
            uses.push(Use::new(root, leaf, key, &[]));
        }
    }
    Ok(uses)
}

/// Two answers of one line each.
pub(super) fn postgresql(answers: &[String], root: &Path) -> Result<Vec<Use>, String> {
    let [leaf, key] = answers else { return Err("there is an answer too few".to_owned()) };
    let (leaf, key) = (leaf.trim(), key.trim());
    Ok(if leaf.is_empty() || key.is_empty() {
        Vec::new()
    } else {
        vec![Use::new(root, leaf, key, &[])]
    })
}

/// Settings in nested blocks, of which `local_name` says for which names: `ssl_cert = </path` up to
/// Dovecot 2.3, `ssl_server_cert_file = /path` from 2.4 on.
pub(super) fn dovecot(answers: &[String], root: &Path) -> Result<Vec<Use>, String> {
    #[derive(Default)]
    struct Block {
        names: Vec<String>,
        leaf: Option<String>,
        key: Option<String>,
    }
    let mut open: Vec<Block> = vec![Block::default()];
    let mut uses = Vec::new();
    let mut close = |block: Block| {
        if let (Some(leaf), Some(key)) = (block.leaf, block.key) {
            uses.push(Use::new(root, &leaf, &key, &block.names));
        }
    };
    for line in answers.iter().flat_map(|text| text.lines()) {
        let line = line.trim();
        if let Some(head) = line.strip_suffix('{') {
            let names = head.trim().strip_prefix("local_name ").map(|names| {
                let names = names.trim().trim_matches('"').split_ascii_whitespace();
                names.map(str::to_ascii_lowercase).collect()
            });
            open.push(Block { names: names.unwrap_or_default(), ..Block::default() });
        } else if line == "}" {
            let Some(block) = open.pop() else { return Err("a block ends too often".to_owned()) };
            close(block);
        } else if let (Some((name, value)), Some(block)) = (line.split_once('='), open.last_mut()) {
            let value = value.trim().trim_start_matches('<').to_owned();
            match name.trim() {
                _ if !value.starts_with('/') => {}
                "ssl_cert" | "ssl_server_cert_file" => block.leaf = Some(value),
                "ssl_key" | "ssl_server_key_file" => block.key = Some(value),
                _ => {}
            }
        }
    }
    open.into_iter().for_each(close);
    Ok(uses)
}

/// Caddy's own JSON: files with tags, and policies that choose tags by server name.
pub(super) fn caddy(answers: &[String], root: &Path) -> Result<Vec<Use>, String> {
    let text = answers.first().map_or("", String::as_str);
    let config: Value = serde_json::from_str(text)
        .map_err(|error| format!("`caddy adapt` did not answer in JSON: {error}"))?;
    let list = |value: &Value, at: &str| -> Vec<Value> {
        value.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let texts = |value: &Value, at: &str| -> Vec<String> {
        list(value, at).iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let servers = config.pointer("/apps/http/servers").and_then(Value::as_object);
    let policies = servers.into_iter().flatten();
    let policies = policies.flat_map(|(_, server)| list(server, "/tls_connection_policies"));
    let policies: Vec<(Vec<String>, Vec<String>)> = policies
        .map(|policy| {
            let tags = texts(&policy, "/certificate_selection/any_tag");
            (tags, texts(&policy, "/match/sni"))
        })
        .collect();
    let mut uses = Vec::new();
    for file in list(&config, "/apps/tls/certificates/load_files") {
        let path = |name| file.get(name).and_then(Value::as_str);
        let (Some(leaf), Some(key)) = (path("certificate"), path("key")) else { continue };
        let tags = texts(&file, "/tags");
        let chosen = policies.iter().filter(|(any, _)| any.iter().any(|tag| tags.contains(tag)));
        let names: Vec<String> = chosen.flat_map(|(_, names)| names.clone()).collect();
        uses.push(Use::new(root, leaf, key, &names));
    }
    Ok(uses)
}

/// `(*) /path` and `(12) /path`: the files of Apache's configuration, main file first.
pub(super) fn apache(answers: &[String], root: &Path) -> Result<Vec<Use>, String> {
    let said = answers.first().map_or("", String::as_str);
    let files = said.lines().filter_map(|line| {
        let (number, path) = line.trim().split_once(") ")?;
        number.starts_with('(').then(|| PathBuf::from(path))
    });
    let mut uses = Vec::new();
    let mut server_root = root.to_owned();
    for path in files.take(MAX_FILES) {
        let mut text = String::new();
        let read =
            fs::File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        read.map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        hosts(&text, &mut server_root, &mut uses);
    }
    Ok(uses)
}

/// Reads the virtual hosts of one file of Apache's.
fn hosts(text: &str, root: &mut PathBuf, uses: &mut Vec<Use>) {
    let mut host = Host::default();
    for line in text.replace("\\\n", " ").lines() {
        let words = words(line);
        let Some((directive, arguments)) = words.split_first() else { continue };
        let first = arguments.first().map(String::as_str).unwrap_or_default();
        match directive.to_ascii_lowercase().as_str() {
            "serverroot" => *root = PathBuf::from(first),
            "<virtualhost" => uses.extend(std::mem::take(&mut host).uses(root)),
            "</virtualhost>" => uses.extend(std::mem::take(&mut host).uses(root)),
            "servername" => host.names.push(bare(first)),
            "serveralias" => host.names.extend(arguments.iter().map(|name| bare(name))),
            "sslcertificatefile" => host.leaves.push(first.to_owned()),
            "sslcertificatekeyfile" => host.keys.push(first.to_owned()),
            _ => {}
        }
    }
    uses.extend(host.uses(root));
}

/// One virtual host, or what stands outside of all.
#[derive(Default)]
struct Host {
    names: Vec<String>,
    leaves: Vec<String>,
    keys: Vec<String>,
}

impl Host {
    /// Variables and stores of keys are not understood; what they name is left alone.
    fn uses(self, root: &Path) -> Vec<Use> {
        let keys = if self.keys.is_empty() { &self.leaves } else { &self.keys };
        let pairs = self.leaves.iter().zip(keys);
        let is_plain = |path: &str| !path.contains("${") && !path.contains("pkcs11:");
        let pairs = pairs.filter(|(leaf, key)| is_plain(leaf) && is_plain(key));
        pairs.map(|(leaf, key)| Use::new(root, leaf, key, &self.names)).collect()
    }
}

/// Splits a line of Apache's into words; quotes hold one together, a comment is none.
fn words(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.starts_with('#') {
        return Vec::new();
    }
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, c) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A server's name without scheme and port.
fn bare(name: &str) -> String {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    name.split(':').next().unwrap_or(name).to_ascii_lowercase()
}

/// Reads lines of `name = value`.
fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

/// How many files of one configuration are read.
const MAX_FILES: usize = 1_000;

/// How much of each.
const MAX_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(uses: Result<Vec<Use>, String>) -> Vec<String> {
        let line = |used: Use| {
            let (leaf, key) = (used.leaf.display(), used.key.display());
            format!("{leaf} {key} [{}]", used.names.join(" "))
        };
        uses.unwrap().into_iter().map(line).collect()
    }

    fn said(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    const ROOT: &str = "/etc/x";

    #[test]
    fn postfix_reads_keys_and_chains_in_turn_or_else_single_files() {
        let of = |text: &str| postfix(&said(text), Path::new(ROOT));
        let chain = "smtpd_tls_chain_files = /a.key, /a.pem\n  /b.key /b.pem\n";
        assert_eq!(told(of(&chain.replace("\n  ", " "))), ["/a.pem /a.key []", "/b.pem /b.key []"]);
        assert_eq!(
            told(of("smtpd_tls_chain_files = both.pem")),
            ["/etc/x/both.pem /etc/x/both.pem []"]
        );
        let single = "smtpd_tls_chain_files =\nsmtpd_tls_cert_file = /a.pem\nsmtpd_tls_key_file = \
                      /a.key\nsmtpd_tls_eccert_file = /b.pem\nsmtpd_tls_eckey_file =\n";
        assert_eq!(told(of(single)), ["/a.pem /a.key []", "/b.pem /b.pem []"]);
        assert_eq!(told(of("smtpd_tls_cert_file = none\n")), [""; 0]);
        assert!(of("smtpd_tls_chain_files = a b c").unwrap_err().contains("an odd number"));
    }

    #[test]
    fn dovecot_says_names_where_it_has_them() {
        let old = "protocols = imap\nssl_cert = </a.pem\nssl_key = </a.key\nlocal_name mail.test {\n  \
                   ssl_cert = </b.pem\n  ssl_key = </b.key\n}\nssl_dh = # hidden\n";
        let expected = ["/b.pem /b.key [mail.test]", "/a.pem /a.key []"];
        assert_eq!(told(dovecot(&said(old), Path::new(ROOT))), expected);
        let new = "ssl_server_cert_file = /a.pem\nssl_server_key_file = /a.key\n";
        assert_eq!(told(dovecot(&said(new), Path::new(ROOT))), ["/a.pem /a.key []"]);
        assert_eq!(told(dovecot(&said("ssl = no"), Path::new(ROOT))), [""; 0]);
        assert!(dovecot(&said("}\n}\n"), Path::new(ROOT)).is_err());
    }

    #[test]
    fn caddy_chooses_by_tags() {
        let text = r#"{"apps":{"http":{"servers":{"srv0":{"tls_connection_policies":[
            {"match":{"sni":["a.test"]},"certificate_selection":{"any_tag":["cert0"]}},{}]}}},
            "tls":{"certificates":{"load_files":[
            {"certificate":"/a.pem","key":"/a.key","tags":["cert0"]},
            {"certificate":"b.pem","key":"b.key"}]}}}}"#;
        let uses = caddy(&said(text), Path::new(ROOT));
        assert_eq!(told(uses), ["/a.pem /a.key [a.test]", "/etc/x/b.pem /etc/x/b.key []"]);
        assert_eq!(told(caddy(&said("{}"), Path::new(ROOT))), [""; 0]);
        assert!(caddy(&said("no"), Path::new(ROOT)).is_err());
    }

    #[test]
    fn apache_reads_virtual_hosts_with_their_names() {
        let text = "ServerRoot \"/srv\"\n<VirtualHost *:443>\n  ServerName https://A.test:443\n  \
                    ServerAlias b.test \\\n c.test\n  SSLCertificateFile a.pem # not a comment\n  \
                    SSLCertificateKeyFile '/a b.key'\n</VirtualHost>\n<VirtualHost *:444>\n\
                    # SSLCertificateFile x\n SSLCertificateFile ${X}/a.pem\n</VirtualHost>\n\
                    SSLCertificateFile /both.pem\n";
        let mut uses = Vec::new();
        hosts(text, &mut PathBuf::from(ROOT), &mut uses);
        let expected = ["/srv/a.pem /a b.key [a.test b.test c.test]", "/both.pem /both.pem []"];
        assert_eq!(told(Ok(uses)), expected);
        let gone = apache(&said("Included:\n  (*) /nonexistent/x\n"), Path::new(ROOT));
        assert!(gone.unwrap_err().starts_with("`/nonexistent/x` cannot be read"));
    }

    #[test]
    fn postgresql_starts_from_its_data() {
        let answers = ["server.crt\n".to_owned(), "/k.key\n".to_owned()];
        assert_eq!(told(postgresql(&answers, Path::new("/data"))), ["/data/server.crt /k.key []"]);
        let empty = ["\n".to_owned(), "\n".to_owned()];
        assert_eq!(told(postgresql(&empty, Path::new("/data"))), [""; 0]);
    }
}
