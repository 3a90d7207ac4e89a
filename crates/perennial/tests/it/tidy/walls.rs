//! The walls between the rooms (STYLE "Walls"), as far as no compiler and no cargo-deny keeps them.

use super::source::{is_word, line_of, name_at, words_at};
use super::{File, complains, none, tree};

/// Which of our crates each may build on. `perennial-peers` is for tests alone.
const OURS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("sim", &["core"]),
    ("config", &["core"]),
    ("wire", &["core"]),
    ("store", &["core"]),
    ("adapters", &["core", "wire"]),
    ("sandbox", &["core", "sim", "wire"]),
    ("peers", &[]),
    ("fuzz", &["adapters", "config", "core", "store", "wire"]),
    ("perennial", &["adapters", "config", "core", "sandbox", "sim", "store", "wire"]),
];

/// All that the crates without a world may take from elsewhere.
const BARE: &[(&str, &[&str])] = &[
    ("core", &["jiff", "serde", "serde_json"]),
    ("sim", &["base64", "jiff", "serde", "serde_json"]),
];

/// Crates that open the world, and who may.
const WORLDLY: &[(&str, &[&str])] = &[
    ("tokio", &["adapters", "peers", "perennial", "sandbox", "wire"]),
    ("axum", &["adapters", "perennial", "sandbox"]),
    ("reqwest", &["adapters", "peers", "wire"]),
    ("rusqlite", &["store"]),
    ("anyhow", &["perennial"]),
];

/// The only file that reads the time.
const CLOCK: &str = "crates/perennial/src/clock.rs";

/// A line that names a dependency.
struct Dependency<'a> {
    line: usize,
    name: &'a str,
    for_tests: bool,
    reason: Option<&'a str>,
}

/// Reads the dependencies of a manifest.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    for (at, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section.ends_with("dependencies") && line.starts_with(is_word) {
            let (declared, reason) = match line.split_once('#') {
                Some((declared, reason)) => (declared, Some(reason.trim())),
                None => (line, None),
            };
            let name = declared.split(['=', '.', ' ']).next().unwrap_or_default();
            let for_tests = section.ends_with("dev-dependencies");
            found.push(Dependency { line: at + 1, name, for_tests, reason });
        }
    }
    found
}

/// Complains about dependencies that break a wall or give no reason.
fn manifests(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree {
        let Some(room) =
            file.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/Cargo.toml"))
        else {
            continue;
        };
        let Some(allowed) = of(OURS, room) else {
            complaints.push(file.complain(1, "a crate that the table of walls does not know"));
            continue;
        };
        for dependency in dependencies(&file.text) {
            if dependency.reason.is_none_or(str::is_empty) {
                let what = format!("`{}` has no comment saying why", dependency.name);
                complaints.push(file.complain(dependency.line, what));
            }
            if let Some(what) = breaks(room, allowed, &dependency) {
                complaints.push(file.complain(dependency.line, what));
            }
        }
    }
    complaints
}

/// Returns which wall a dependency breaks.
fn breaks(room: &str, allowed: &[&str], dependency: &Dependency<'_>) -> Option<String> {
    let name = dependency.name;
    if let Some(ours) = name.strip_prefix("perennial-") {
        let fine = allowed.contains(&ours) || (ours == "peers" && dependency.for_tests);
        return (!fine).then(|| format!("{room} may not build on {ours}"));
    }
    if dependency.for_tests {
        return None;
    }
    if of(BARE, room).is_some_and(|fine| !fine.contains(&name)) {
        return Some(format!("{room} may not build on {name}"));
    }
    let who = of(WORLDLY, name)?;
    (!who.contains(&room)).then(|| format!("only {} may build on {name}", who.join(", ")))
}

fn of<'a>(table: &[(&str, &'a [&'a str])], key: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(name, _)| *name == key).map(|(_, values)| *values)
}

/// Complains about a core that could reach the standard library.
fn core_is_bare(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust() && file.is_in("crates/core/src")) {
        let code = file.code();
        if file.path == "crates/core/src/lib.rs" && !code.contains("#![no_std]") {
            complaints.push(file.complain(1, "no `#![no_std]`"));
        }
        for at in words_at(&code, "std").filter(|at| code[at + 3..].starts_with("::")) {
            complaints.push(file.complain(line_of(&code, at), "core has no std"));
        }
    }
    complaints
}

/// Complains about what would make two runs of one seed differ.
fn sim_is_deterministic(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust() && file.is_in("crates/sim/src")) {
        let code = file.code();
        for word in ["SystemTime", "Instant", "HashMap", "HashSet", "thread"] {
            for at in words_at(&code, word) {
                let what = format!("`{word}` in sim: every run of a seed must be the same");
                complaints.push(file.complain(line_of(&code, at), what));
            }
        }
    }
    complaints
}

/// Complains about a room of `adapters` that reaches into its neighbour.
fn rooms_are_apart(tree: &[File]) -> Vec<String> {
    let home = "crates/adapters/src/";
    let room_of = |file: &File| {
        let below = file.path.strip_prefix(home)?;
        let (room, _) = below.split_once('/').or_else(|| below.split_once('.'))?;
        (room != "lib").then(|| room.to_owned())
    };
    let rooms: Vec<String> = tree.iter().filter_map(room_of).collect();
    let mut complaints = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust()) {
        let Some(own) = room_of(file) else { continue };
        let code = file.code();
        for at in words_at(&code, "crate").filter(|at| code[at + 5..].starts_with("::")) {
            let rest = &code[at + 7..];
            let named: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list
                    .split(['}', ';'])
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(name_at)
                    .collect(),
                None => vec![name_at(rest)],
            };
            for other in named.into_iter().filter(|&name| name != own) {
                if rooms.iter().any(|room| room == other) {
                    let what = format!("{own} reaches into {other}; what they share is in wire");
                    complaints.push(file.complain(line_of(&code, at), what));
                }
            }
        }
    }
    complaints
}

/// Complains about readers of the time besides the one. Tokio's `Instant` measures waits only; tests
/// against real peers live in the peers' time.
fn one_file_reads_the_time(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust() && file.path.contains("/src/")) {
        if file.path == CLOCK || file.path.ends_with("tests.rs") {
            continue;
        }
        let code = file.code();
        for what in ["SystemTime::now", "Timestamp::now", "Zoned::now", "std::time::Instant"] {
            for at in words_at(&code, what) {
                let complaint = format!("`{what}`: only the binary's clock.rs reads the time");
                complaints.push(file.complain(line_of(&code, at), complaint));
            }
        }
    }
    complaints
}

#[test]
fn the_walls_stand() {
    let tree = tree();
    assert!(tree.iter().any(|file| file.path == CLOCK));
    none(&manifests(&tree));
    none(&core_is_bare(&tree));
    none(&sim_is_deterministic(&tree));
    none(&rooms_are_apart(&tree));
    none(&one_file_reads_the_time(&tree));
}

#[test]
fn a_dependency_through_a_wall_is_complained_about() {
    let manifest = |room: &str, text: &str| {
        manifests(&[File::new(&format!("crates/{room}/Cargo.toml"), text)])
    };
    let at = |line: &str| format!("crates/{line}");
    let core = "[dependencies]\njiff = \"0\" # time\ntokio = \"1\" # why not\n";
    complains(&manifest("core", core), &[&at("core/Cargo.toml:3")]);
    let sim = "[dependencies]\nperennial-wire.workspace = true # no\n";
    complains(&manifest("sim", sim), &[&at("sim/Cargo.toml:2")]);
    let peers = "[dependencies]\nperennial-peers = {} # no\n\n[dev-dependencies]\nperennial-peers = {} # yes\n";
    complains(&manifest("wire", peers), &[&at("wire/Cargo.toml:2")]);
    let sql = "[target.'cfg(unix)'.dependencies]\nrusqlite = {} # no\n";
    complains(&manifest("adapters", sql), &[&at("adapters/Cargo.toml:2")]);
    complains(&manifest("attic", "[package]\n"), &[&at("attic/Cargo.toml:1")]);
}

#[test]
fn a_dependency_without_a_reason_is_complained_about() {
    let text = "[package]\nname = \"x\"\n[dependencies]\nserde = \"1\" # shapes\njiff = \"0\"\nserde_json = \"1\" #\n";
    let found = manifests(&[File::new("crates/config/Cargo.toml", text)]);
    complains(&found, &["crates/config/Cargo.toml:5", "crates/config/Cargo.toml:6"]);
}

#[test]
fn a_core_with_std_is_complained_about() {
    let bad = [
        File::new("crates/core/src/lib.rs", "//! #![no_std]\nuse std::fs;\n"),
        File::new(
            "crates/core/src/a.rs",
            "// std::fs\nuse core::fmt;\nfn f() { ::std::process::exit(0) }\n",
        ),
        File::new("crates/wire/src/a.rs", "use std::fs;\n"),
    ];
    let lines = ["crates/core/src/lib.rs:1", "crates/core/src/lib.rs:2", "crates/core/src/a.rs:3"];
    complains(&core_is_bare(&bad), &lines);
}

#[test]
fn a_sim_with_a_hash_map_is_complained_about() {
    let text = "use std::collections::{BTreeMap, HashMap};\n// HashSet\nuse std::thread;\n";
    let found = sim_is_deterministic(&[File::new("crates/sim/src/a.rs", text)]);
    complains(&found, &["crates/sim/src/a.rs:1", "crates/sim/src/a.rs:3"]);
}

#[test]
fn a_room_that_imports_its_neighbour_is_complained_about() {
    let bad = [
        File::new("crates/adapters/src/lib.rs", "pub mod acme;\npub mod dns;\npub mod probe;\n"),
        File::new(
            "crates/adapters/src/acme/mod.rs",
            "use crate::acme::order;\nuse crate::dns::x;\n",
        ),
        File::new("crates/adapters/src/dns/mod.rs", "use crate::{probe::x, acme};\n"),
        File::new("crates/adapters/src/probe.rs", "fn f() { crate::acme::g() }\n"),
    ];
    let lines = [
        "crates/adapters/src/acme/mod.rs:2",
        "crates/adapters/src/dns/mod.rs:1",
        "crates/adapters/src/dns/mod.rs:1",
        "crates/adapters/src/probe.rs:1",
    ];
    complains(&rooms_are_apart(&bad), &lines);
}

#[test]
fn a_second_reader_of_the_time_is_complained_about() {
    let text = "// SystemTime::now\nfn f() { jiff::Timestamp::now() }\n";
    let bad = [File::new("crates/wire/src/a.rs", text), File::new(CLOCK, text)];
    complains(&one_file_reads_the_time(&bad), &["crates/wire/src/a.rs:2"]);
}
