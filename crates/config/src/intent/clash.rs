//! Things that are right alone and wrong beside each other.
//!
//! Two solvers at one address, two targets that write the same file, two certificates that were one:
//! each would work until the other one comes, and then in turns. Whatever is refused here names both
//! places. What may be meant, and only rarely is, is a warning.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use perennial_core::intent::{CertificateSpec, EndpointSpec, Intent, Serves};
use perennial_core::words::Name;

use super::Meaning;
use super::target::PLACEHOLDER;
use crate::raw::{RawFile, RawSolver, RawTarget};
use crate::settings::{FilePaths, Protocol, Settings, SolverSettings, TargetRecipe};
use crate::source::{Span, Spanned};

/// An address, the solver that listens there, where the file says so, and what it speaks.
type Listened<'a> = (SocketAddr, &'a str, Span, Protocol);

/// Something of a target that is written to, and where the file says so.
#[derive(Clone, Copy)]
struct Written<'a> {
    target: &'a str,
    key: &'static str,
    path: &'a Path,
    at: Span,
}

impl Meaning<'_> {
    pub(super) fn clashes(&mut self, raw: &RawFile, intent: &Intent, settings: &Settings) {
        self.listeners(raw, settings);
        self.former_names(raw);
        self.shared_paths(raw, intent, settings);
        self.written_twice(raw, intent, settings);
        self.seen_twice(raw, intent);
    }

    /// One socket listens at an address. Solvers of one kind with the same addresses share theirs.
    fn listeners(&mut self, raw: &RawFile, settings: &Settings) {
        let mut taken: HashMap<(bool, u16), Vec<Listened<'_>>> = HashMap::new();
        let mut known: HashSet<(Protocol, BTreeSet<SocketAddr>)> = HashSet::new();
        for (name, section) in raw.solver.iter().flat_map(|named| &named.value.0) {
            let own = settings.solvers.get(&Name::new(name));
            let Some(SolverSettings::Listener { protocol, listen }) = own else { continue };
            if self.report.has_errors_within(section.span)
                || !known.insert((*protocol, listen.iter().copied().collect()))
            {
                continue;
            }
            for (address, at) in placed(listen, section) {
                let others = taken.entry((address.is_ipv4(), address.port())).or_default();
                let other = others.iter().find(|(other, ..)| meet(*other, address));
                if let Some((other, of, first, spoken)) = other {
                    let (text, mut hint) = listened_twice(name, address, of, *other);
                    if spoken != protocol {
                        hint = String::from(APART);
                    }
                    self.report.clash(at, text, hint, *first);
                    break;
                }
                others.push((address, name, at, *protocol));
            }
        }
    }

    /// What a certificate had under its former name, one certificate alone takes over.
    fn former_names(&mut self, raw: &RawFile) {
        let mut heirs: HashMap<&str, (&str, Span)> = HashMap::new();
        for (name, section) in raw.certificate.iter().flat_map(|named| &named.value.0) {
            let Some(was) = &section.value.was else { continue };
            if let Some((heir, first)) = heirs.get(was.value.as_str()) {
                let text = format!("certificates `{heir}` and `{name}` were both `{}`", was.value);
                let hint = "one alone takes over its leaf and its folder: remove `was` from the \
                            other, which then begins anew";
                self.report.clash(was.span, text, hint, *first);
            } else {
                heirs.insert(&was.value, (name, was.span));
            }
        }
    }

    /// A file shows what was written last, and a folder is switched by one target at a time.
    fn written_twice(&mut self, raw: &RawFile, intent: &Intent, settings: &Settings) {
        let used: HashSet<&Name> = intent.certificates.values().flat_map(|c| &*c.targets).collect();
        let mut targets: HashMap<&str, Vec<Written<'_>>> = HashMap::new();
        let mut fixed: HashMap<&Path, Written<'_>> = HashMap::new();
        for (name, section) in raw.target.iter().flat_map(|named| &named.value.0) {
            let name_of = Name::new(name);
            let Some(own) = settings.targets.get(&name_of) else { continue };
            let TargetRecipe::Files { paths, .. } = &own.recipe else { continue };
            let written = written(name, paths, &section.value);
            self.in_one_target(&written);
            for one in written.iter().filter(|one| used.contains(&name_of) && is_fixed(one.path)) {
                match fixed.get(one.path) {
                    Some(first) if first.target != name => self.both_write(one, first, None),
                    Some(_) => {}
                    None => _ = fixed.insert(one.path, *one),
                }
            }
            targets.insert(name, written);
        }
        self.for_one_certificate(raw, intent, settings, &targets);
    }

    fn in_one_target(&mut self, written: &[Written<'_>]) {
        let mut seen: HashMap<&Path, &Written<'_>> = HashMap::new();
        for one in written {
            if let Some(first) = seen.get(one.path) {
                let text = format!("`{}` and `{}` are one file", first.key, one.key);
                let hint = "each is a file of its own: leave one away, or give it another path";
                self.report.clash(one.at, text, hint, first.at);
            } else {
                seen.insert(one.path, one);
            }
        }
    }

    /// Targets that no certificate has in common may have a folder in common, or `{certificate}` in
    /// the same path.
    fn for_one_certificate(
        &mut self,
        raw: &RawFile,
        intent: &Intent,
        settings: &Settings,
        targets: &HashMap<&str, Vec<Written<'_>>>,
    ) {
        let sections = raw.target.iter().flat_map(|named| &named.value.0);
        let sections: HashMap<&str, &Spanned<RawTarget>> =
            sections.map(|(name, section)| (name.as_str(), section)).collect();
        let mut told: HashSet<(&str, &str)> = HashSet::new();
        for (certificate, spec) in intent.certificates.iter().filter(|(_, c)| c.targets.len() > 1) {
            let mut seen: HashMap<&Path, Written<'_>> = HashMap::new();
            for target in &*spec.targets {
                let Some(section) = sections.get(target.as_str()) else { continue };
                let Some(own) = settings.targets.get(target) else { continue };
                let folder = folder(target.as_str(), &own.dir, section);
                let paths = targets.get(target.as_str()).into_iter().flatten();
                let paths = paths.filter(|one| !is_fixed(one.path)).copied();
                for one in [folder].into_iter().chain(paths) {
                    match seen.get(one.path) {
                        Some(first) if first.target != one.target => {
                            if told.insert((first.target, one.target)) {
                                self.both_write(&one, first, Some(certificate));
                            }
                        }
                        Some(_) => {}
                        None => _ = seen.insert(one.path, one),
                    }
                }
            }
        }
    }

    fn both_write(&mut self, one: &Written<'_>, first: &Written<'_>, certificate: Option<&Name>) {
        let about = certificate.map(|name| format!(" of certificate `{name}`"));
        let text = format!(
            "targets `{}` and `{}` would both write `{}`{}",
            first.target,
            one.target,
            one.path.display(),
            about.unwrap_or_default()
        );
        let hint = "give each a place of its own; one target tells several servers, if its \
                    `reload` does";
        self.report.clash(one.at, text, hint, first.at);
    }

    /// At one place a client is shown one leaf of a kind, so that the other would never be seen.
    fn seen_twice(&mut self, raw: &RawFile, intent: &Intent) {
        // A target with a mistake may be the one that tells them apart.
        if self.report.has_errors() {
            return;
        }
        let mut seen: BTreeMap<&EndpointSpec, (&str, &CertificateSpec, Span)> = BTreeMap::new();
        for (name, section) in raw.certificate.iter().flat_map(|named| &named.value.0) {
            let Some(spec) = intent.certificates.get(&Name::new(name)) else { continue };
            for endpoint in spec.endpoints.iter().filter(|e| e.serves == Serves::Ours) {
                match seen.get(endpoint) {
                    Some((other, first, at)) if !may_both_be_seen(first, spec, intent) => {
                        let text = format!(
                            "certificates `{other}` and `{name}` are both to be seen at \
                             `{endpoint}`, and one leaf is served there"
                        );
                        let hint = "leave the name to one of them, or say with `endpoints` where \
                                    the other is served";
                        self.report.beware(section.key, text, hint, *at);
                        break;
                    }
                    Some(_) => {}
                    None => _ = seen.insert(endpoint, (name, spec, section.key)),
                }
            }
        }
    }
}

/// Returns each address with the place where the file says it.
fn placed<'a>(
    listen: &'a [SocketAddr],
    section: &'a Spanned<RawSolver>,
) -> impl Iterator<Item = (SocketAddr, Span)> + 'a {
    let elements = section.value.listen.as_ref().map(|listen| listen.value.0.as_slice());
    let at = move |index: usize| elements.and_then(|all| all.get(index)).map(|one| one.span);
    listen.iter().enumerate().map(move |(i, one)| (*one, at(i).unwrap_or(section.key)))
}

/// Returns whether both cannot be listened at: each family has sockets of its own.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let every = |ip: IpAddr| ip.is_unspecified();
    one.is_ipv4() == other.is_ipv4()
        && one.port() == other.port()
        && (one.ip() == other.ip() || every(one.ip()) || every(other.ip()))
}

/// What is said of two solvers that speak differently at one address.
const APART: &str = "each needs a port of its own: CAs ask for http-01 on port 80, for tls-alpn-01 on \
                     port 443";

fn listened_twice(name: &str, at: SocketAddr, of: &str, other: SocketAddr) -> (String, String) {
    if name == of {
        let text = format!("`{at}` and `{other}` cannot both be listened at");
        let every = if at.ip().is_unspecified() { at } else { other };
        return (text, format!("`{every}` is every address of this machine: keep it or the other"));
    }
    let text = if at == other {
        format!("solvers `{of}` and `{name}` would both listen at `{at}`")
    } else {
        format!("solver `{name}` cannot listen at `{at}`, since `{of}` listens at `{other}`")
    };
    let hint = "one listener can answer for all names: remove the other, or write the same \
                addresses in both, which then share them";
    (text, String::from(hint))
}

/// Returns the paths of a target's files.
fn written<'a>(target: &'a str, paths: &'a FilePaths, raw: &'a RawTarget) -> Vec<Written<'a>> {
    [
        ("fullchain", &paths.fullchain, &raw.fullchain),
        ("cert", &paths.cert, &raw.cert),
        ("chain", &paths.chain, &raw.chain),
        ("key", &paths.key, &raw.key),
    ]
    .into_iter()
    .filter_map(|(key, path, field)| {
        let (path, at) = (path.as_deref()?, field.as_ref()?.span);
        Some(Written { target, key, path, at })
    })
    .collect()
}

/// Returns the folder of a target, and where the file says it.
fn folder<'a>(target: &'a str, path: &'a PathBuf, section: &Spanned<RawTarget>) -> Written<'a> {
    let raw = &section.value;
    let places = [&raw.files, &raw.nginx, &raw.haproxy, &raw.apache, &raw.caddy, &raw.dovecot];
    let said = places.into_iter().chain([&raw.postfix, &raw.postgresql]).find_map(Option::as_ref);
    Written { target, key: "files", path, at: said.map_or(section.key, |field| field.span) }
}

fn is_fixed(path: &Path) -> bool {
    !path.as_os_str().to_string_lossy().contains(PLACEHOLDER)
}

/// Returns whether two certificates with an endpoint in common may both be seen there: one of each
/// kind of key, or each at addresses of its own.
fn may_both_be_seen(one: &CertificateSpec, other: &CertificateSpec, intent: &Intent) -> bool {
    // Of certificates for the same names another message tells.
    one.identifiers == other.identifiers
        || one.key.variant() != other.key.variant()
        || are_apart(one, other, intent)
}

/// Returns whether two certificates are each served at addresses of their own.
pub(super) fn are_apart(one: &CertificateSpec, other: &CertificateSpec, intent: &Intent) -> bool {
    let says = |spec: &CertificateSpec| {
        let sites = |name: &Name| intent.targets.get(name).is_some_and(|t| !t.serves_at.is_empty());
        !spec.targets.is_empty() && spec.targets.iter().all(sites)
    };
    let shares = one.targets.iter().any(|target| other.targets.contains(target));
    !shares && says(one) && says(other)
}
