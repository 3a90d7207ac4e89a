//! Every mistake in `mistakes.txt`, with the whole text an operator reads.
//!
//! After a deliberate change of words: `BLESS=1 cargo test -p perennial-config`, then read the diff.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use perennial_config::{Source, render, understand};

/// Follows each case, unless its title ends in `alone)`: things to refer to.
const BASE: &str = r#"
[issuer.letsencrypt]
agree_terms = true
[solver.http]
http-01 = "listener"
[solver.ns]
dns-01 = "exec"
program = "/usr/local/bin/dns-hook"
[target.web]
nginx = "/etc/nginx"
"#;

fn outcome(title: &str, text: &str) -> String {
    let base = if title.ends_with("alone)") { "" } else { BASE };
    let source = Source {
        name: String::from("perennial.toml"),
        folder: PathBuf::from("/etc/perennial"),
        text: format!("{text}{base}"),
    };
    match understand(&[source]) {
        Ok(loaded) => render(&loaded.warnings),
        Err(messages) => render(&messages),
    }
}

#[test]
fn every_mistake_is_told_with_place_text_and_hint() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes.txt");
    let kept = std::fs::read_to_string(&path).unwrap();
    let (prose, cases) = kept.split_once("\n=== ").unwrap();
    let mut now = String::from(prose);
    let mut count = 0;
    for case in cases.split("\n=== ") {
        let (title, rest) = case.split_once('\n').unwrap();
        let text = rest.split_once("\n--- says\n").map_or(rest, |(text, _)| text);
        let told = outcome(title, &format!("{text}\n"));
        assert!(told.contains("\nhint: "), "{title}: nothing is told: {told}");
        let trimmed: Vec<&str> = told.lines().map(str::trim_end).collect();
        write!(now, "\n=== {title}\n{text}\n--- says\n{}\n", trimmed.join("\n")).unwrap();
        count += 1;
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    } else {
        assert_eq!(now, kept);
    }
    assert!(count >= 25);
}
