//! Words: names that say nothing, words that do not belong here, places only one machine has.

use super::source::{is_word, line_of, name_at, words_at};
use super::{File, complains, none, tree};

/// Ends of type names that say nothing about the type.
const EMPTY_ENDS: [&str; 6] = ["Manager", "Handler", "Helper", "Util", "Utils", "Service"];

/// Words that do not belong in the tree, as whole words in any case.
const FOREIGN: [&str; 6] = ["session", "sessions", "assistant", "assistants", "helper", "helpers"];

/// Where a foreign word is another trade's term.
const TERMS: [&str; 5] =
    ["session-keyfile", "session ticket", "session id", "session to resume", "tls session"];

/// What only one machine has, or what a package client is set up with; joined here, so that this
/// list does not complain about itself.
const PLACES: [[&str; 2]; 13] = [
    ["/wor", "k/"],
    ["/roo", "t/"],
    ["bash_", "jobs"],
    ["crates", ".io"],
    ["pypi", ".org"],
    ["proxy.golang", ".org"],
    ["deb.debian", ".org"],
    ["npmjs", ".org"],
    ["repo.maven", ".apache"],
    ["index", "-url"],
    ["GOPROXY", "="],
    ["--regis", "try"],
    ["replace", "-with"],
];

/// Complains about names that say nothing.
fn names(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust()) {
        let code = file.code();
        for keyword in ["struct", "enum", "trait", "type", "union"] {
            for at in words_at(&code, keyword) {
                let name = name_at(&code[at + keyword.len()..]);
                if EMPTY_ENDS.iter().any(|end| name.ends_with(end)) {
                    let what = format!("`{name}` says nothing about what it is");
                    complaints.push(file.complain(line_of(&code, at), what));
                }
            }
        }
        for at in words_at(&code, "fn") {
            let name = name_at(&code[at + 2..]);
            if name.starts_with("get_") {
                complaints
                    .push(file.complain(line_of(&code, at), format!("`{name}`: drop `get_`")));
            }
        }
    }
    complaints
}

/// Complains about foreign words, places, and debts without a number.
fn belongs(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.iter().filter(|file| !is_exempt(&file.path)) {
        for (at, line) in file.text.lines().enumerate() {
            let mut complain = |what: String| complaints.push(file.complain(at + 1, what));
            let mut lower = line.to_lowercase();
            for term in TERMS {
                lower = lower.replace(term, "");
            }
            for word in FOREIGN.iter().filter(|word| words_at(&lower, word).next().is_some()) {
                complain(format!("`{word}` does not belong here"));
            }
            for place in PLACES.map(|halves| halves.concat()) {
                let found = line.match_indices(&place);
                let begins = |at: usize| !line[..at].ends_with(|c| is_word(c) || "./-".contains(c));
                if found.into_iter().any(|(at, _)| !place.starts_with('/') || begins(at)) {
                    complain(format!("`{place}` is of one machine or registry"));
                }
            }
            if words_at(line, "TODO").next().is_some() && !line.contains('#') {
                complain("a debt without an issue's number".into());
            }
        }
    }
    complaints
}

/// The lock names the registry by itself; these lists name what they forbid.
fn is_exempt(path: &str) -> bool {
    path.ends_with("Cargo.lock") || path.starts_with("crates/perennial/tests/it/tidy/")
}

/// Complains about lints that are switched off and tests that are not run.
fn switched_off(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust()) {
        let code = file.code();
        for (what, instead) in
            [("[allow(", "`expect` with a reason"), ("[ignore", "run it, or remove it")]
        {
            for (at, _) in code.match_indices(what) {
                let complaint = format!("`{what}`: {instead}");
                complaints.push(file.complain(line_of(&code, at), complaint));
            }
        }
    }
    complaints
}

#[test]
fn every_word_belongs() {
    let tree = tree();
    none(&names(&tree));
    none(&belongs(&tree));
    none(&switched_off(&tree));
}

#[test]
fn empty_names_are_complained_about() {
    let text = "// struct AManager\nstruct OrderManager;\npub enum Handler {}\nfn get_order() {}\nfn forget_it() {}\nstruct ServiceName;\n";
    complains(&names(&[File::new("a.rs", text)]), &["a.rs:2", "a.rs:3", "a.rs:4"]);
}

#[test]
fn foreign_words_and_places_are_complained_about() {
    let (home, registry) = (PLACES[1].concat(), PLACES[3].concat());
    let text = format!(
        "one session\nno session to resume\nA Helper\nhelper_less\ncd {home}x\na{home}x\n\
         {registry}\nTODO later\nTODO(#7) later\n"
    );
    let found = belongs(&[File::new("a.md", &text), File::new("Cargo.lock", &registry)]);
    complains(&found, &["a.md:1", "a.md:3", "a.md:5", "a.md:7", "a.md:8"]);
}

#[test]
fn a_lint_switched_off_is_complained_about() {
    let text =
        "#![allow(dead_code)]\n#[expect(dead_code, reason = \"x\")]\n// #[allow(x)]\n#[ignore]\n";
    complains(&switched_off(&[File::new("a.rs", text)]), &["a.rs:1", "a.rs:4"]);
}
