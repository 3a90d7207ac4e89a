//! Apache's virtual hosts, as far as a beginner's configuration needs them.

use std::path::{Path, PathBuf};

use perennial_adapters::deploy::Site;

/// How many files are read, and how long each may be in bytes.
const FILES: usize = 1_000;
const LONGEST: u64 = 1 << 20;

/// Reads the virtual hosts in the files of a folder.
pub(super) fn hosts(folder: &Path, problems: &mut Vec<String>) -> Vec<Site> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.take(FILES).map(|entry| entry.path()).collect();
    files.sort();
    files.retain(|path| path.extension().is_some_and(|end| end == "conf"));
    let mut sites = Vec::new();
    for file in files {
        let is_short = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LONGEST);
        match std::fs::read_to_string(&file) {
            Ok(text) if is_short => sites.extend(parse(&text)),
            Ok(_) => problems.push(format!("{}: it is no short file", file.display())),
            Err(error) => problems.push(format!("{}: {error}", file.display())),
        }
    }
    sites
}

fn parse(text: &str) -> Vec<Site> {
    let mut sites = Vec::new();
    let mut open: Option<Site> = None;
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> =
            line.split_whitespace().map(|word| word.trim_matches(['"', '<', '>'])).collect();
        let Some((first, rest)) = words.split_first() else { continue };
        match (first.to_ascii_lowercase().as_str(), &mut open) {
            ("virtualhost", _) => {
                let plain = rest.iter().any(|address| address.ends_with(":80"));
                open = Some(Site { plain, ..Site::default() });
            }
            ("/virtualhost", _) => sites.extend(open.take()),
            ("servername" | "serveralias", Some(site)) => {
                let names = rest.iter().map(|name| name.split(':').next().unwrap_or_default());
                let names = names.filter(|name| name.contains('.') && !name.contains(['*', '$']));
                site.names.extend(names.map(str::to_ascii_lowercase));
            }
            ("documentroot", Some(site)) => {
                site.root = rest.first().filter(|root| root.starts_with('/')).map(PathBuf::from);
            }
            ("sslengine", Some(site)) => {
                site.tls = rest.iter().any(|word| word.eq_ignore_ascii_case("on"));
            }
            _ => {}
        }
    }
    sites
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_roots_of_virtual_hosts_are_told() {
        let text = "<VirtualHost *:80>\n ServerName Shop.test\n ServerAlias www.shop.test *.shop.test\n\
                    DocumentRoot \"/srv/shop\"\n</VirtualHost>\n<VirtualHost *:443>\n ServerName shop.test:443\n\
                    SSLEngine on\n</VirtualHost>\nServerName outside.test\n";
        let all = parse(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].names, ["shop.test", "www.shop.test"]);
        assert_eq!(
            (all[0].plain, all[0].tls, all[0].root.clone()),
            (true, false, Some("/srv/shop".into()))
        );
        assert_eq!((all[1].names.join(""), all[1].tls), ("shop.test".into(), true));
    }
}
