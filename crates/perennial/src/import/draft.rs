//! The configuration that goes on with what a tree holds.
//!
//! Servers keep reading the paths they know: each leaf gets a target whose files are those, so that no
//! server's configuration changes; where certbot edits a server's configuration itself, that server's
//! own recipe is used. Commands that ran after a renewal become the target's `reload`. A way of proving
//! control that cannot be told from the tree leaves its certificate as a comment: it is declared, and
//! imported again, once a person has said how.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_adapters::foreign::{Directory, Lineage, Proof, Tool, Tree};
use perennial_config::{KnownIssuer, known_issuers};
use perennial_core::words::KeyKind;

use crate::draft::{Draft, Section};

/// Where targets keep their bundles; the paths that servers know become links into it.
const LIVE: &str = "/var/lib/perennial/live";

/// Writes the configuration for a tree.
#[must_use]
pub fn draft(tool: Tool, from: &str, tree: &Tree) -> Draft {
    let mut draft = Draft::new();
    let mut contact: Vec<&str> =
        tree.accounts.iter().flat_map(|own| &own.contact).map(String::as_str).collect();
    contact.sort_unstable();
    contact.dedup();
    let name = tool.as_str();
    let mut head = Section::new("", "")
        .comment(format!(
            "Made from {name}'s tree in {from}. Look at it, then have {name}'s accounts,"
        ))
        .comment(format!("keys and leaves taken over: perennial import {name}"))
        .comment("Every key: docs/configuration.md. What it would do: perennial plan");
    if !contact.is_empty() {
        head = head.key("contact", &*contact);
    }
    let agreed = format!("as you told {name}; the CAs' terms of service");
    draft.add(head.explained("agree_terms", true, &agreed));
    let mut issuers = BTreeMap::new();
    for lineage in &tree.lineages {
        let Some(directory) = lineage.directory.as_ref() else { continue };
        issuers.entry(directory.url()).or_insert_with(|| issuer(&mut draft, directory));
    }
    for lineage in &tree.lineages {
        let issuer = lineage.directory.as_ref().and_then(|own| issuers.get(&own.url()));
        certificate(&mut draft, tool, lineage, issuer);
    }
    draft
}

fn known(directory: &Directory) -> Option<&'static KnownIssuer> {
    known_issuers().iter().find(|known| directory.is(known.directory))
}

/// Declares a CA, and returns the issuer's name.
fn issuer(draft: &mut Draft, directory: &Directory) -> String {
    let (name, section) = match known(directory) {
        Some(known) => (known.name.to_owned(), Section::new("issuer", known.name)),
        None => {
            let url = directory.url();
            let host = url.split('/').nth(2).unwrap_or("ca");
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            let name = draft.free_name("issuer", host);
            let section = Section::new("issuer", name.clone()).key("directory", url);
            let section = match directory {
                Directory::Url(_) => section,
                Directory::Host(_) => {
                    section.comment("The path is a guess: it is written nowhere.")
                }
            };
            (name, section)
        }
    };
    let section = if known(directory).is_some_and(|known| known.needs_eab) {
        let file = |end: &str| format!("file:/etc/perennial/{name}.{end}");
        section
            .comment(
                "For new accounts this CA wants an external account binding. Yours is there, and",
            )
            .comment("goes on; put the binding into these files all the same, should it be lost.")
            .key("eab", &[("kid", file("kid")), ("key", file("key"))])
    } else {
        section
    };
    draft.add(section);
    name
}

fn certificate(draft: &mut Draft, tool: Tool, lineage: &Lineage, issuer: Option<&String>) {
    let name = draft.free_name("certificate", &lineage.name);
    let names: Vec<String> = lineage.facts.identifiers.iter().map(ToString::to_string).collect();
    let mut section = Section::new("certificate", name.clone());
    let solvers = solvers(draft, lineage, &names);
    let is_known = solvers.is_some();
    if !is_known {
        section = section
            .comment(format!(
                "{} proved it with {}, which cannot be told",
                tool.as_str(),
                lineage.proof
            ))
            .comment(
                "from its files. Declare a solver (perennial help solvers), take the hashes away,",
            )
            .comment(format!("and import again: perennial import {}", tool.as_str()));
    }
    section = section.key("names", &*names);
    if let Some(issuer) = issuer {
        section = section.key("issuers", &[issuer.as_str()][..]);
    }
    section = section.key("solvers", &*solvers.unwrap_or_else(|| vec![String::from("...")]));
    let target = target(draft, tool, lineage, &name, &names, is_known);
    section = section.key("targets", &[target.as_str()][..]);
    if let Some(key) = declared_key(lineage) {
        section = section.explained("key", key, "as it is now");
    }
    if lineage.reuses_key {
        section = section.explained("rotation", "reuse", "as it was told to");
    }
    draft.add(if is_known { section } else { section.as_comment() });
}

/// Returns the kind of key to declare, where it is not the usual one.
fn declared_key(lineage: &Lineage) -> Option<&'static str> {
    match lineage.facts.traits.as_ref()?.key_kind {
        KeyKind::EcdsaP384 => Some("ecdsa-p384"),
        KeyKind::Rsa { bits: ..=2048 } => Some("rsa-2048"),
        KeyKind::Rsa { bits: ..=3072 } => Some("rsa-3072"),
        KeyKind::Rsa { .. } => Some("rsa-4096"),
        KeyKind::EcdsaP256 | KeyKind::Ed25519 | KeyKind::Other => None,
    }
}

/// Declares what proves control of the names, and returns the solvers; none where that is not known.
fn solvers(draft: &mut Draft, lineage: &Lineage, names: &[String]) -> Option<Vec<String>> {
    match &lineage.proof {
        Proof::Standalone(port) => {
            let section = Section::new("solver", "http").key("http-01", "listener");
            let section = match port {
                80 => section,
                port => {
                    let listen = format!("0.0.0.0:{port}");
                    section.explained("listen", listen, "the CA comes to port 80")
                }
            };
            Some(vec![added(draft, "http", section)])
        }
        Proof::Webroot(folders) => {
            let all = names.iter().all(|name| folders.iter().any(|(own, _)| own == name));
            if !all || folders.is_empty() {
                return None;
            }
            let mut by_folder: BTreeMap<&PathBuf, Vec<&str>> = BTreeMap::new();
            for (name, folder) in folders {
                by_folder.entry(folder).or_default().push(name);
            }
            let is_one = by_folder.len() == 1;
            let solvers = by_folder.into_iter().map(|(folder, names)| {
                let section = Section::new("solver", "webroot")
                    .key("http-01", "webroot")
                    .key("webroot", folder.display().to_string());
                let section = if is_one { section } else { section.key("zones", &*names) };
                added(draft, "webroot", section)
            });
            Some(solvers.collect())
        }
        Proof::Server(_) | Proof::Dns(_) | Proof::Commands { .. } | Proof::Other(_) => None,
    }
}

/// Adds a section unless one says the same; returns what it is called.
fn added(draft: &mut Draft, wish: &str, section: Section) -> String {
    if let Some(known) = draft.alike(&section) {
        return known.to_owned();
    }
    let name = draft.free_name("solver", wish);
    draft.add(section.called(&name));
    name
}

/// Declares where the leaf goes, and returns the target's name.
fn target(
    draft: &mut Draft,
    tool: Tool,
    lineage: &Lineage,
    name: &str,
    names: &[String],
    is_known: bool,
) -> String {
    let copied = format!("the files are {}'s; they are copied first", tool.as_str());
    if lineage.proof == Proof::Server(String::from("nginx")) {
        let section = Section::new("target", "nginx").key("nginx", "/etc/nginx").explained(
            "take_over",
            true,
            &copied,
        );
        draft.add(if is_known { section } else { section.as_comment() });
        return String::from("nginx");
    }
    let mut section = Section::new("target", name)
        .comment("Servers go on reading the paths that they know.")
        .key("files", format!("{LIVE}/{name}"));
    let paths = &lineage.paths;
    let known = [
        ("fullchain", &paths.fullchain),
        ("cert", &paths.cert),
        ("chain", &paths.chain),
        ("key", &paths.key),
    ];
    for (key, path) in known {
        if let Some(path) = path {
            section = section.key(key, path.display().to_string());
        }
    }
    section = section.explained("take_over", true, &copied);
    section = match reload(tool, lineage, names) {
        Some(command) => section.key("reload", &*command),
        None => section
            .comment("Nobody was told of new leaves: declare the command that reloads the server.")
            .comment("reload = [\"systemctl\", \"reload\", \"nginx\"]"),
    };
    if !lineage.hooks.pre.is_empty() {
        section = section
            .comment("Not run any more, since nothing has to stop for a renewal:")
            .comment(lineage.hooks.pre.join("\n"));
    }
    draft.add(if is_known { section } else { section.as_comment() });
    name.to_owned()
}

/// Returns the command that does what the tool's hooks did after a renewal, with their environment.
fn reload(tool: Tool, lineage: &Lineage, names: &[String]) -> Option<Vec<String>> {
    let hooks: Vec<&str> =
        lineage.hooks.deploy.iter().chain(&lineage.hooks.post).map(String::as_str).collect();
    if hooks.is_empty() {
        return None;
    }
    let mut command = Vec::new();
    let folder = lineage.paths.fullchain.as_ref().and_then(|path| path.parent());
    if let (Tool::Certbot, Some(folder)) = (tool, folder) {
        command.push(String::from("env"));
        command.push(format!("RENEWED_LINEAGE={}", folder.display()));
        command.push(format!("RENEWED_DOMAINS={}", names.join(" ")));
    }
    command.extend(["sh", "-ec"].map(String::from));
    command.push(hooks.join("\n"));
    Some(command)
}
