//! The operator's manual knows every key.

use std::path::Path;

use perennial_config::{Source, providers, providers_page, render, sections, understand};

#[test]
fn every_key_is_in_the_manual() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let manual = std::fs::read_to_string(path).unwrap();
    for section in sections() {
        for key in section.keys {
            let row = format!("| `{}` |", key.name);
            assert!(manual.contains(&row), "no row for {} of {}", key.name, section.title);
        }
    }
}

/// `BLESS=1` writes the page anew.
#[test]
fn the_page_of_providers_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    let page = providers_page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written == page, "hint: BLESS=1 cargo test -p perennial-config the_page_of_providers");
}

#[test]
fn what_the_page_shows_of_each_provider_can_be_used() {
    for provider in providers() {
        let rest = "[issuer.letsencrypt]\nagree_terms = true\n[target.web]\nnginx = \"/n\"\n\
                    [certificate.www]\nnames = \"www.example.org\"\ntargets = \"web\"\n";
        let text = format!("{}{rest}", provider.example());
        let source = Source { name: "p.toml".into(), folder: "/etc/perennial".into(), text };
        match understand(&[source]) {
            Ok(loaded) => assert_eq!(render(&loaded.warnings), "", "{}", provider.word),
            Err(messages) => panic!("{}: {}", provider.word, render(&messages)),
        }
    }
}
