//! Server blocks: which names they serve, and with which files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use perennial_core::words::Identifier;

use super::parse::Directive;

/// A block that serves TLS with files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it stands.
    pub(super) file: PathBuf,
    /// On which line it begins.
    pub(super) line: usize,
    /// Its server names, as they are written.
    pub(super) names: Vec<String>,
    /// The files of leaf and key, in pairs.
    pub(super) pairs: Vec<(PathBuf, PathBuf)>,
    /// Whether it names files in a way that is not understood: by variables, from an engine, or not
    /// in pairs.
    pub(super) obscure: bool,
}

impl Block {
    /// Says which block it is.
    pub(super) fn told(&self) -> String {
        let name = self.names.first().map_or("(no name)", String::as_str);
        format!("{name} ({} line {})", self.file.display(), self.line)
    }

    /// Returns whether a certificate for these identifiers is accepted for all its names.
    ///
    /// Names that no client can ask for (`_`, the empty one) do not count; a block with no other
    /// names is covered by nothing. Regular expressions and trailing wildcards are covered by
    /// nothing.
    pub(super) fn is_covered_by(&self, identifiers: &[Identifier]) -> bool {
        let mut names = self.names.iter().filter(|name| is_asked_for(name)).peekable();
        names.peek().is_some() && names.all(|name| is_covered(name, identifiers))
    }

    /// Returns those of its names, of the ones that clients can ask for, that a certificate for these
    /// identifiers is not accepted for.
    pub(super) fn lacking(&self, identifiers: &[Identifier]) -> Vec<&str> {
        let names = self.names.iter().filter(|name| is_asked_for(name));
        names.filter(|name| !is_covered(name, identifiers)).map(String::as_str).collect()
    }

    /// Returns whether a certificate for these identifiers is accepted for one of its names.
    pub(super) fn is_partly_covered_by(&self, identifiers: &[Identifier]) -> bool {
        self.names.iter().any(|name| is_asked_for(name) && is_covered(name, identifiers))
    }
}

/// Returns the blocks that serve TLS, with the files they inherit.
pub(super) fn blocks(config: &[Directive], root: &Path) -> Vec<Block> {
    let mut found = Vec::new();
    for outer in config.iter().filter(|d| matches!(d.name(), "http" | "stream" | "mail")) {
        let servers: Vec<&Directive> = named(&outer.block, "server").collect();
        let over_tls: BTreeSet<String> =
            servers.iter().flat_map(|server| sockets(server, Sockets::Tls)).collect();
        for server in servers {
            let is_on = named(&server.block, "ssl").chain(named(&outer.block, "ssl")).next();
            let is_on = is_on.is_some_and(|ssl| ssl.arguments() == ["on"]);
            let shares = sockets(server, Sockets::All).iter().any(|it| over_tls.contains(it));
            if is_on || shares {
                found.extend(block(outer, server, root));
            }
        }
    }
    found
}

fn block(outer: &Directive, server: &Directive, root: &Path) -> Option<Block> {
    let values = |name: &str| -> Vec<String> {
        let own: Vec<&Directive> = named(&server.block, name).collect();
        let effective = if own.is_empty() { named(&outer.block, name).collect() } else { own };
        effective.into_iter().filter_map(|d| d.arguments().first().cloned()).collect()
    };
    let leaves = values("ssl_certificate");
    let keys = values("ssl_certificate_key");
    if leaves.is_empty() && keys.is_empty() {
        return None;
    }
    let is_obscure = |text: &String| text.contains('$') || is_no_file(text);
    let obscure = leaves.len() != keys.len() || leaves.iter().chain(&keys).any(is_obscure);
    let pairs =
        leaves.iter().zip(&keys).filter(|(leaf, key)| !is_obscure(leaf) && !is_obscure(key));
    let pairs = pairs.map(|(leaf, key)| (root.join(leaf), root.join(key))).collect();
    let names = named(&server.block, "server_name").flat_map(|d| d.arguments().iter().cloned());
    let names = names.map(|name| name.to_ascii_lowercase()).collect();
    Some(Block { file: server.file.to_path_buf(), line: server.line, names, pairs, obscure })
}

fn is_no_file(text: &str) -> bool {
    ["data:", "engine:", "store:"].iter().any(|prefix| text.starts_with(prefix))
}

fn named<'a>(block: &'a [Directive], name: &'a str) -> impl Iterator<Item = &'a Directive> {
    block.iter().filter(move |directive| directive.name() == name)
}

/// Which of a block's sockets are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sockets {
    All,
    Tls,
}

/// Returns the sockets a block listens on. `ssl` on one block's `listen` holds for every block that
/// listens on the same socket.
fn sockets(server: &Directive, which: Sockets) -> Vec<String> {
    let listens = named(&server.block, "listen").map(Directive::arguments);
    let is_tls = |words: &&[String]| words.iter().any(|word| word == "ssl" || word == "quic");
    let chosen = listens.filter(|words| which == Sockets::All || is_tls(words));
    chosen.filter_map(|words| words.first()).map(|socket| normal(socket)).collect()
}

fn normal(socket: &str) -> String {
    let is_port = socket.bytes().all(|b| b.is_ascii_digit());
    let socket = if is_port { format!("*:{socket}") } else { socket.to_owned() };
    socket.strip_prefix("0.0.0.0:").map_or(socket.clone(), |port| format!("*:{port}"))
}

fn is_asked_for(name: &str) -> bool {
    !name.is_empty() && name != "_" && name != "--"
}

fn is_covered(name: &str, identifiers: &[Identifier]) -> bool {
    let covered = |text: &str| {
        // An IPv6 address stands in brackets, as in a URL.
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        Identifier::new(bare).is_ok_and(|name| identifiers.iter().any(|own| own.covers(&name)))
    };
    // `.example.org` stands for the name and everything below.
    name.strip_prefix('.')
        .map_or_else(|| covered(name), |base| covered(base) && covered(&format!("*.{base}")))
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn read(text: &str) -> Vec<Block> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, text).unwrap();
        blocks(&parse(&path).unwrap(), Path::new("/etc/nginx"))
    }

    #[test]
    fn files_are_found_with_what_is_inherited_and_relative_to_the_main_file() {
        let found = read(
            "http { ssl_certificate wild.pem; ssl_certificate_key /k/wild.key;
               server { listen 443 ssl; server_name a.example.org; }
               server { listen 0.0.0.0:443; server_name B.example.org;
                        ssl_certificate b.pem; ssl_certificate_key b.key;
                        ssl_certificate b-rsa.pem; ssl_certificate_key b-rsa.key; }
               server { listen 80; server_name c.example.org; } }",
        );
        let pair = |leaf: &str, key: &str| (PathBuf::from(leaf), PathBuf::from(key));
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].pairs, [pair("/etc/nginx/wild.pem", "/k/wild.key")]);
        assert_eq!(found[1].names, ["b.example.org"]);
        assert_eq!(
            found[1].pairs,
            [
                pair("/etc/nginx/b.pem", "/etc/nginx/b.key"),
                pair("/etc/nginx/b-rsa.pem", "/etc/nginx/b-rsa.key")
            ]
        );
    }

    #[test]
    fn variables_and_engines_are_reported_as_not_understood() {
        let found = read(
            "http {
               server { listen 443 ssl; ssl_certificate $x.pem; ssl_certificate_key $x.key; }
               server { listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key engine:e:k; }
               server { listen 443 ssl; ssl_certificate a.pem; } }",
        );
        assert!(found.iter().all(|block| block.obscure && block.pairs.is_empty()), "{found:?}");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_block_is_covered_when_all_its_names_are() {
        let identifiers: Vec<Identifier> =
            ["example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
                .into_iter()
                .map(|text| Identifier::new(text).unwrap())
                .collect();
        let table = [
            ("example.org www.example.org", true),
            (".example.org", true),
            ("*.example.org _", true),
            ("192.0.2.1 [2001:db8::1]", true),
            ("[2001:db8::2]", false),
            ("www.example.org other.org", false),
            ("a.b.example.org", false),
            ("www.example.*", false),
            ("~^w+\\.example\\.org$", false),
            ("_", false),
            ("", false),
        ];
        for (names, expected) in table {
            let names = names.split_whitespace().map(str::to_owned).collect();
            let block =
                Block { file: PathBuf::new(), line: 1, names, pairs: Vec::new(), obscure: false };
            assert_eq!(block.is_covered_by(&identifiers), expected, "{:?}", block.names);
        }
    }
}
