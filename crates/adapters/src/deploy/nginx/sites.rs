//! Which names an nginx serves, for who begins: names, whether over TLS, and what it shows as `/`.

use std::path::{Path, PathBuf};

use super::parse::{Directive, parse};

/// A server block, as far as a beginner's configuration needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Its names, in lower case; patterns are left out.
    pub names: Vec<String>,
    /// Whether it speaks TLS on some socket.
    pub tls: bool,
    /// Whether it answers plain HTTP on port 80.
    pub plain: bool,
    /// The folder that it shows as `/`, where it says so.
    pub root: Option<PathBuf>,
}

/// Reads the server blocks of a configuration: a folder with `nginx.conf`, or the main file.
///
/// # Errors
///
/// Returns what cannot be read, and where.
pub fn sites(config: &Path) -> Result<Vec<Site>, String> {
    let main = if config.is_dir() { config.join("nginx.conf") } else { config.to_path_buf() };
    let directives = parse(&main).map_err(|trouble| trouble.to_string())?;
    let mut sites = Vec::new();
    for http in directives.iter().filter(|directive| directive.name() == "http") {
        let servers = http.block.iter().filter(|directive| directive.name() == "server");
        sites.extend(servers.map(|server| site(http, server)));
    }
    Ok(sites)
}

fn site(http: &Directive, server: &Directive) -> Site {
    let named = |block: &Directive, name: &str| -> Vec<Vec<String>> {
        let found = block.block.iter().filter(|directive| directive.name() == name);
        found.map(|directive| directive.arguments().to_vec()).collect()
    };
    let listens = named(server, "listen");
    let is_tls = |words: &Vec<String>| words.iter().any(|word| word == "ssl" || word == "quic");
    let is_plain = |words: &Vec<String>| {
        let socket = words.first().map_or("80", String::as_str);
        let port = socket.rsplit_once(':').map_or(socket, |(_, port)| port);
        // An address alone, and an IPv6 one in brackets, mean port 80.
        let is_80 =
            port == "80" || socket.ends_with(']') || !port.bytes().all(|b| b.is_ascii_digit());
        is_80 && !is_tls(words)
    };
    let is_name = |name: &String| {
        name.contains('.') && !name.starts_with(['~', '.', '*']) && !name.contains('$')
    };
    let names = named(server, "server_name").into_iter().flatten();
    let root = named(server, "root").into_iter().chain(named(http, "root")).flatten().next();
    Site {
        names: names.map(|name| name.to_ascii_lowercase()).filter(is_name).collect(),
        tls: listens.iter().any(is_tls),
        plain: listens.is_empty() || listens.iter().any(is_plain),
        root: root.filter(|root| root.starts_with('/')).map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ports_and_roots_of_server_blocks_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let text = "events {}\nhttp {\n  root /srv/default;\n\
                    server { listen 80; listen [::]:80; server_name Shop.test www.shop.test _; root /srv/shop; }\n\
                    server { listen 443 ssl; server_name shop.test ~^x $y *.z.test; }\n\
                    server { listen 127.0.0.1:8080; server_name inner.test; }\n  server { server_name old.test; }\n}\n";
        std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let all = sites(folder.path()).unwrap();
        let told: Vec<_> = all
            .iter()
            .map(|site| (site.names.join(" "), site.tls, site.plain, site.root.clone().unwrap()))
            .collect();
        let default = PathBuf::from("/srv/default");
        assert_eq!(
            told,
            [
                ("shop.test www.shop.test".into(), false, true, "/srv/shop".into()),
                ("shop.test".into(), true, false, default.clone()),
                ("inner.test".into(), false, false, default.clone()),
                ("old.test".into(), false, true, default),
            ]
        );
    }
}
