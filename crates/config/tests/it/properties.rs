//! Any bytes are read or refused, alike each time; what is written is what is read.

use std::path::PathBuf;

use perennial_config::{Source, format_duration, load, understand};
use perennial_core::words::{Identifier, Name};
use proptest::prelude::*;

fn source(name: &str, text: String) -> Source {
    Source { name: String::from(name), folder: PathBuf::from("/etc/perennial"), text }
}

const WHOLE: &str = r#"contact = "ops@example.org"
agree_terms = true
[issuer.letsencrypt]
[issuer.google]
directory = "google-trust-services"
eab = { kid = "file:/etc/kid", key = { command = ["pass", "eab"] } }
[solver.ns]
dns-01 = "rfc2136"
server = "10.0.0.53"
tsig = { name = "perennial", key = "env:TSIG_KEY" }
zones = ["example.org"]
[target.web]
nginx = "/etc/nginx"
settle = "1h30m"
[certificate.www]
names = ["example.org", "*.example.org"]
issuers = ["letsencrypt", "google"]
targets = ["web"]
endpoints = ["example.org:443", { name = "www.example.org", connect_to = "10.0.0.1", port = 1 }]
"#;

/// A word that TOML, or we, might stumble over.
fn shard() -> impl Strategy<Value = String> {
    let words = [
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        "\"",
        "'''",
        "\n",
        ".",
        ",",
        "#",
        "\\u0000",
        "\u{feff}",
        "\t",
        "é",
        "\u{202e}",
        "a.b.c",
        "1e9",
        "-0",
        "0x",
        "1979-05-27",
        "true",
        "file:",
        "env:",
        "command:",
        "[certificate.www]",
        "names",
        "*.",
        "[::1]:",
        "99999999999999999999",
    ];
    prop_oneof![proptest::sample::select(words.to_vec()).prop_map(String::from), ".{0,8}"]
}

proptest! {
    #[test]
    fn any_text_is_understood_or_refused_alike_each_time(text in any::<String>()) {
        let sources = [source("a.toml", text)];
        prop_assert_eq!(understand(&sources), understand(&sources));
    }

    #[test]
    fn any_damage_to_a_good_file_is_told_and_shown(
        at in 0..WHOLE.len(), length in 0_usize..40, shards in prop::collection::vec(shard(), 0..4),
    ) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, shards.concat().into_bytes());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let messages = match understand(&[source("a.toml", text.clone())]) {
            Ok(loaded) => loaded.warnings,
            Err(messages) => {
                prop_assert!(!messages.is_empty());
                messages
            }
        };
        let lines = text.split('\n').count();
        for message in &messages {
            prop_assert!(message.line <= lines && !message.hint.is_empty());
            let unsafe_shown = message.to_string().contains(['\u{202e}', '\u{1b}', '\0']);
            prop_assert!(!unsafe_shown);
        }
        let places: Vec<_> = messages.iter().map(|m| (m.line, m.column)).collect();
        prop_assert!(places.is_sorted());
    }

    #[test]
    fn any_bytes_of_a_file_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, bytes).unwrap();
        let _ = load(&path);
    }

    #[test]
    fn two_files_mean_what_one_does(cut in 0_usize..7) {
        // A cut before a section, so that both halves are TOML.
        let starts: Vec<usize> = WHOLE.match_indices("\n[").map(|(at, _)| at + 1).collect();
        let (head, tail) = WHOLE.split_at(starts[cut.min(starts.len() - 1)]);
        let halves = [source("a.toml", head.into()), source("b.toml", tail.into())];
        let one = understand(&[source("a.toml", WHOLE.into())]).unwrap();
        prop_assert_eq!(understand(&halves).unwrap().intent, one.intent);
    }

    #[test]
    fn certificates_that_are_written_are_read(
        hosts in prop::collection::btree_set("[a-z][a-z0-9]{0,9}", 1..6),
        name in "[a-z][a-z0-9._-]{0,20}",
        days in 1_i64..300,
    ) {
        let span = jiff::SignedDuration::from_hours(days * 24);
        let names: Vec<String> = hosts.iter().map(|host| format!("{host}.example.org")).collect();
        let text = format!(
            "agree_terms = true\n[issuer.letsencrypt]\n[solver.h]\nhttp-01 = \"listener\"\n\
             [certificate.\"{name}\"]\nnames = {names:?}\nrenew_before = \"{}\"\n",
            format_duration(span),
        );
        let intent = understand(&[source("a.toml", text)]).unwrap().intent;
        let spec = &intent.certificates[&Name::new(&name)];
        let read: Vec<String> =
            spec.identifiers.iter().map(|id: &Identifier| id.as_str().into()).collect();
        prop_assert_eq!(read, names);
        prop_assert_eq!(spec.renew_before, Some(span));
    }
}
