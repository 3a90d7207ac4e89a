//! From what the file says to what is meant: names resolved, defaults filled in, mistakes named.
//!
//! ```text
//! raw ──issuers, solvers, targets──▶ what may be referred to ──certificates──▶ Intent + Settings
//! ```
//!
//! Nothing stops at the first mistake: a section that is wrong still counts as declared, so that one
//! slip is one message. Whether it can be used is asked once, at the end.

mod address;
mod certificate;
mod clash;
mod endpoint;
mod issuer;
mod name;
mod site;
mod solver;
mod target;
mod variant;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use perennial_core::intent::Intent;
use perennial_core::words::Name;

use crate::message::{Level, Message, Report};
use crate::near::suggest;
use crate::raw::{Named, RawFile, value};
use crate::settings::{Settings, StoreSettings};
use crate::source::{Source, Sources, Span, Spanned};
use crate::{Loaded, tree};

pub use name::identifier;

/// Reads texts that were gathered before. Pure: the same sources give the same result.
///
/// # Errors
///
/// Returns every mistake that was found, in the order of files and lines.
pub fn understand(sources: &[Source]) -> Result<Loaded, Vec<Message>> {
    let mut report = Report::default();
    let meant = tree::parse(sources, &mut report).map(|entries| {
        let raw = RawFile::read_entries(&entries, &mut report);
        Meaning { sources, report: &mut report }.of(&raw)
    });
    match meant {
        Some((intent, settings)) if !report.has_errors() => {
            let warnings = report.messages(sources, Level::Warning);
            let files = sources.iter().map(|source| PathBuf::from(&source.name)).collect();
            Ok(Loaded { intent, settings, warnings, files })
        }
        _ => Err(report.messages(sources, Level::Error)),
    }
}

/// The way from raw to intent: where mistakes go, and where paths start.
struct Meaning<'a> {
    sources: &'a Sources,
    report: &'a mut Report,
}

/// Where everything is kept unless told otherwise.
const STORE_DIR: &str = "/var/lib/perennial";

/// The longest path that a Unix socket can have on Linux, without the closing zero.
const SOCKET_PATH_LIMIT: usize = 107;

impl Meaning<'_> {
    fn of(&mut self, raw: &RawFile) -> (Intent, Settings) {
        let store = self.store(raw);
        let control_socket = self.control_socket(raw, &store);
        let mut intent = Intent::default();
        let mut settings = Settings {
            store,
            control_socket,
            resolvers: Vec::new(),
            issuers: BTreeMap::new(),
            solvers: BTreeMap::new(),
            targets: BTreeMap::new(),
        };
        if let Some(servers) = raw.resolver.as_ref().and_then(|r| r.value.servers.as_ref()) {
            settings.resolvers = self.socket_addresses(&servers.value.0, 53);
        }
        let everywhere = self.everywhere(raw);
        for (name, field) in self.named("issuer", &raw.issuer) {
            if let Some((spec, own)) = self.issuer(&name, field, &everywhere) {
                intent.issuers.insert(name.clone(), spec);
                settings.issuers.insert(name, own);
            }
        }
        for (name, field) in self.named("solver", &raw.solver) {
            if let Some((spec, own)) = self.solver(&name, field) {
                intent.solvers.insert(name.clone(), spec);
                settings.solvers.insert(name, own);
            }
        }
        for (name, field) in self.named("target", &raw.target) {
            if let Some((spec, own)) = self.target(&name, field) {
                intent.targets.insert(name.clone(), spec);
                settings.targets.insert(name, own);
            }
        }
        self.certificates(raw, &mut intent);
        self.what_is_unused(raw, &intent);
        self.clashes(raw, &intent, &settings);
        self.unmet_sites(raw, &intent);
        self.shared_addresses(raw, &intent);
        (intent, settings)
    }

    fn store(&mut self, raw: &RawFile) -> StoreSettings {
        let raw = raw.store.as_ref().map(|store| &store.value);
        let dir = raw.and_then(|store| store.dir.as_ref()).map(|dir| self.path(dir));
        let unseal = raw.and_then(|store| store.unseal.as_ref()).and_then(|s| self.unseal(s));
        StoreSettings { dir: dir.unwrap_or_else(|| PathBuf::from(STORE_DIR)), unseal }
    }

    /// The store takes a file alone: it must be there after an unattended reboot.
    fn unseal(&mut self, field: &Spanned<crate::Secret>) -> Option<PathBuf> {
        if let crate::Secret::File(path) = self.secret_or_text(field) {
            return Some(path);
        }
        self.report.hide(field.span);
        let hint = "write \"file:/etc/perennial/unseal.key\", or the path of a systemd credential";
        self.report.error(field.span, "the secret that unseals the keys lies in a file", hint);
        None
    }

    fn control_socket(&mut self, raw: &RawFile, store: &StoreSettings) -> PathBuf {
        let declared = raw.control.as_ref().and_then(|control| control.value.socket.as_ref());
        let Some(field) = declared else { return store.dir.join("control.sock") };
        let path = self.path(field);
        if path.as_os_str().len() > SOCKET_PATH_LIMIT {
            let text = format!("a socket's path has at most {SOCKET_PATH_LIMIT} bytes");
            self.report.error(field.span, text, "choose a shorter one, like /run/perennial.sock");
        }
        path
    }

    /// Returns what is declared under a kind, with names that can be file names and log words.
    fn named<'r, T>(
        &mut self,
        kind: &str,
        field: &'r Option<Spanned<Named<T>>>,
    ) -> Vec<(Name, &'r Spanned<T>)> {
        let Some(field) = field else { return Vec::new() };
        let mut found = Vec::with_capacity(field.value.0.len());
        for (text, section) in &field.value.0 {
            if !is_name(text) {
                let what = format!("`{}` cannot be the name of a {kind}", text.escape_debug());
                let hint = "a name begins with a letter or digit and has at most 100 of a-z, A-Z, \
                            0-9, `.`, `-` and `_`";
                self.report.error(section.key, what, hint);
            }
            found.push((Name::new(text), section));
        }
        found
    }

    /// Resolves references to declared things; unknown and repeated ones are reported.
    fn references(
        &mut self,
        kind: &str,
        elements: &[Spanned<String>],
        declared: &Declared,
    ) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::with_capacity(elements.len());
        for element in elements {
            let text = element.value.as_str();
            if names.iter().any(|name| name.as_str() == text) {
                let what = format!("{kind} `{text}` is named twice");
                self.report.error(element.span, what, "name each once");
            } else if declared.has(text) {
                names.push(Name::new(text));
            } else {
                let hint = declared.hint(kind, text);
                self.report.error(element.span, format!("no {kind} `{text}` is declared"), hint);
            }
        }
        names
    }

    fn what_is_unused(&mut self, raw: &RawFile, intent: &Intent) {
        // A certificate with a mistake may be the one that would use it.
        if self.report.has_errors() {
            return;
        }
        let specs = || intent.certificates.values();
        let issuers: HashSet<&str> = specs().flat_map(|s| &*s.issuers).map(Name::as_str).collect();
        let targets: HashSet<&str> = specs().flat_map(|s| &*s.targets).map(Name::as_str).collect();
        let mut warn = |kind: &str, name: &str, at: Span, used: &HashSet<&str>| {
            if !used.contains(name) {
                let text = format!("{kind} `{name}` is used by no certificate");
                self.report.warn(at, text, "name it in a certificate, or remove it");
            }
        };
        for (name, section) in raw.issuer.iter().flat_map(|named| &named.value.0) {
            warn("issuer", name, section.key, &issuers);
        }
        for (name, section) in raw.target.iter().flat_map(|named| &named.value.0) {
            warn("target", name, section.key, &targets);
        }
    }

    /// Returns a path; a relative one starts from the folder of the file that holds it.
    fn path(&mut self, field: &Spanned<String>) -> PathBuf {
        if field.value.is_empty() {
            self.report.error(field.span, "the path is empty", "write an absolute path");
        }
        let folder = self.sources.get(field.span.file).map(|source| source.folder.as_path());
        folder.map_or_else(|| PathBuf::from(&field.value), |folder| folder.join(&field.value))
    }

    /// Returns a reference to a secret; one that stands in the file itself is warned of.
    fn secret(&mut self, field: &Spanned<crate::Secret>) -> crate::Secret {
        if matches!(field.value, crate::Secret::Inline(_)) {
            self.report.hide(field.span);
            let hint = "move it into a file that only Perennial may read, and write \
                        \"file:/etc/perennial/NAME\"; \"env:NAME\" works too";
            self.report.warn(field.span, "a secret stands in the configuration", hint);
        }
        self.secret_or_text(field)
    }

    /// Returns a reference to what may be a secret or may stand in the file.
    fn secret_or_text(&self, field: &Spanned<crate::Secret>) -> crate::Secret {
        let folder = self.sources.get(field.span.file).map(|source| source.folder.as_path());
        folder.map_or_else(|| field.value.clone(), |folder| field.value.clone().within(folder))
    }

    /// Returns a command: at least a program.
    fn command(&mut self, field: &Spanned<Vec<Spanned<String>>>) -> Vec<String> {
        let argv: Vec<String> = field.value.iter().map(|word| word.value.clone()).collect();
        if argv.first().is_none_or(String::is_empty) {
            let hint = "name the program first: [\"systemctl\", \"reload\", \"nginx\"]";
            self.report.error(field.span, "the command is empty", hint);
        }
        argv
    }

    /// Reports a word that is none of those known, and returns the value of one that is.
    fn word<T: Copy>(
        &mut self,
        field: &Option<Spanned<String>>,
        what: &str,
        known: &[(&str, T)],
    ) -> Option<T> {
        self.known_word(field.as_ref()?, what, known)
    }

    fn known_word<T: Copy>(
        &mut self,
        field: &Spanned<String>,
        what: &str,
        known: &[(&str, T)],
    ) -> Option<T> {
        let found = known.iter().find(|(word, _)| *word == field.value);
        if found.is_none() {
            let words = known.iter().map(|(word, _)| *word);
            let list = words.clone().collect::<Vec<_>>().join("`, `");
            let hint = suggest(&field.value, words, || format!("known: `{list}`"));
            self.report.error(field.span, format!("unknown {what} `{}`", field.value), hint);
        }
        found.map(|(_, value)| *value)
    }
}

/// The names that references may use: all that were declared, also those with mistakes.
struct Declared {
    names: HashSet<String>,
    in_order: Vec<Name>,
}

impl Declared {
    fn of<T>(field: &Option<Spanned<Named<T>>>) -> Self {
        let all = || field.iter().flat_map(|named| &named.value.0).map(|(name, _)| name);
        Self { names: all().cloned().collect(), in_order: all().map(|n| Name::new(n)).collect() }
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn hint(&self, kind: &str, wanted: &str) -> String {
        suggest(wanted, self.in_order.iter().map(Name::as_str), || {
            let some: Vec<_> = self.in_order.iter().take(SOME).map(Name::as_str).collect();
            let more = if self.in_order.len() > SOME { ", ..." } else { "" };
            if some.is_empty() {
                format!("declare it: [{kind}.{wanted}]")
            } else {
                format!("declared: {}{more}; or declare it: [{kind}.{wanted}]", some.join(", "))
            }
        })
    }
}

/// How many names a hint lists.
const SOME: usize = 10;

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.len() <= 100
        && text.chars().all(fits)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Returns whether a flag is set; absent means no.
fn flag(field: &Option<Spanned<bool>>) -> bool {
    value(field).unwrap_or_default()
}
