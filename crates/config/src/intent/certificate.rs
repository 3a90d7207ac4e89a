//! What a `[certificate.NAME]` means.
//!
//! Defaults are filled in where only one thing can be meant: the one issuer that is declared, every
//! solver, port 443 of each name. Where a choice would be a guess (several issuers, where a key may
//! lie) the file must say it.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perennial_core::intent::{CertificateSpec, Intent, IssuerKind, KeyRotation};
use perennial_core::words::{Identifier, KeyAlgorithm, KeyId, Name};

use super::{Declared, Meaning};
use crate::raw::{RawCertificate, RawFile, value};
use crate::source::{Span, Spanned};

pub(super) const KEYS: [(&str, KeyAlgorithm); 5] = [
    ("ecdsa-p256", KeyAlgorithm::EcdsaP256),
    ("ecdsa-p384", KeyAlgorithm::EcdsaP384),
    ("rsa-2048", KeyAlgorithm::Rsa2048),
    ("rsa-3072", KeyAlgorithm::Rsa3072),
    ("rsa-4096", KeyAlgorithm::Rsa4096),
];

const ROTATIONS: [(&str, KeyRotation); 2] =
    [("rotate", KeyRotation::Rotate), ("reuse", KeyRotation::Reuse)];

/// Let's Encrypt's and Google's limit of names in one certificate.
const USUAL_NAMES_LIMIT: usize = 100;

/// What certificates may refer to.
struct Things {
    issuers: Declared,
    solvers: Declared,
    targets: Declared,
    certificates: Declared,
}

/// A name of a certificate with its place.
pub(super) type Placed = (Identifier, Span);

impl Meaning<'_> {
    pub(super) fn certificates(&mut self, raw: &RawFile, intent: &mut Intent) {
        let things = Things {
            issuers: Declared::of(&raw.issuer),
            solvers: Declared::of(&raw.solver),
            targets: Declared::of(&raw.target),
            certificates: Declared::of(&raw.certificate),
        };
        let mut seen: HashMap<Arc<[Identifier]>, Name> = HashMap::new();
        for (name, section) in self.named("certificate", &raw.certificate) {
            let Some(spec) = self.certificate(&name, section, &things, intent) else { continue };
            if let Some(other) = seen.get(&spec.identifiers) {
                let text = format!("certificates `{other}` and `{name}` are for the same names");
                let hint =
                    "one with both targets does the same, and spends half of the CA's limits";
                self.report.warn(section.key, text, hint);
            }
            seen.insert(spec.identifiers.clone(), name.clone());
            self.variants(&name, &spec, section, &things.certificates, intent);
            intent.certificates.insert(name, spec);
        }
        super::variant::tell_apart(intent);
        if raw.certificate.as_ref().is_none_or(|named| named.value.0.is_empty()) {
            let hint = "declare one: [certificate.www], names = [\"www.example.org\"]";
            self.report.warn_whole("no certificate is declared", hint);
        }
    }

    fn certificate(
        &mut self,
        name: &Name,
        section: &Spanned<RawCertificate>,
        things: &Things,
        intent: &Intent,
    ) -> Option<CertificateSpec> {
        let raw = &section.value;
        let names = self.names(name, section);
        let issuers = self.issuers(section, things);
        let solvers = match &raw.solvers {
            Some(field) => self.references("solver", &field.value.0, &things.solvers),
            None => things.solvers.in_order.clone(),
        };
        let targets = raw.targets.as_ref().map(|field| field.value.0.as_slice());
        let targets = targets.map(|list| self.references("target", list, &things.targets));
        let targets = targets.unwrap_or_default();
        if targets.is_empty() {
            self.no_targets(name, section);
        }
        let keys = self.keys(raw);
        let rotation = self.word(&raw.rotation, "rotation", &ROTATIONS);
        let endpoints = self.endpoints(section, &names);
        let mut identifiers: Vec<Identifier> = names.iter().map(|(name, _)| name.clone()).collect();
        identifiers.sort();
        identifiers.dedup();
        let spec = CertificateSpec {
            identifiers: identifiers.into(),
            issuers: issuers.into(),
            solvers: solvers.into(),
            targets: targets.into(),
            endpoints: endpoints.into(),
            key: keys.first().copied().unwrap_or_default(),
            key_chosen: !keys.is_empty(),
            pins: self.pins(raw),
            chain: self.chain(raw),
            rotation: rotation.unwrap_or_default(),
            renew_before: self.renew_before(raw),
            owner: value(&raw.owner).map(|owner| Name::new(&owner)),
            was: self.was(name, raw, things),
        };
        self.reachable(&spec, &names, section, intent);
        self.fit_for_public(&spec, &names, intent);
        (!spec.identifiers.is_empty()).then_some(spec)
    }

    fn names(&mut self, name: &Name, section: &Spanned<RawCertificate>) -> Vec<Placed> {
        let Some(field) = section.value.names.as_ref().filter(|field| !field.value.0.is_empty())
        else {
            let at = section.value.names.as_ref().map_or(section.key, |field| field.span);
            let hint = "write names = [\"example.org\", \"*.example.org\"]";
            // A list whose elements were no texts has been reported already.
            if section.value.names.is_none() || !self.report.has_errors_within(at) {
                self.report.error(at, format!("certificate `{name}` has no names"), hint);
            }
            return Vec::new();
        };
        let mut names: Vec<Placed> = Vec::with_capacity(field.value.0.len());
        for element in &field.value.0 {
            match super::name::identifier(&element.value) {
                Err((cause, hint)) => {
                    let text = format!("`{}` is no name: {cause}", element.value.escape_debug());
                    self.report.error(element.span, text, hint);
                }
                Ok(id) if names.iter().any(|(other, _)| *other == id) => {
                    let text = format!("`{id}` stands here twice");
                    self.report.error(element.span, text, "name each once");
                }
                Ok(id) => names.push((id, element.span)),
            }
        }
        if names.len() > USUAL_NAMES_LIMIT {
            let text = format!("{} names share one certificate", names.len());
            let hint = "most CAs take at most 100; and one bad name holds up all: split it";
            self.report.warn(field.span, text, hint);
        }
        names
    }

    fn issuers(&mut self, section: &Spanned<RawCertificate>, things: &Things) -> Vec<Name> {
        let declared = &things.issuers.in_order;
        if let Some(field) = &section.value.issuers {
            if field.value.0.is_empty() {
                let hint = "name at least one, or leave `issuers` away if only one is declared";
                self.report.error(field.span, "no issuer is allowed", hint);
            }
            return self.references("issuer", &field.value.0, &things.issuers);
        }
        match declared.as_slice() {
            [only] => return vec![only.clone()],
            [] => {
                let hint = "add [issuer.letsencrypt] and agree_terms = true";
                self.report.error(section.key, "no issuer is declared", hint);
            }
            several => {
                let list: Vec<_> = several.iter().map(|name| format!("\"{name}\"")).collect();
                let text = format!("it is not said which of {} issuers may be used", several.len());
                let hint =
                    format!("write issuers = [{}], the preferred one first", list.join(", "));
                self.report.error(section.key, text, hint);
            }
        }
        Vec::new()
    }

    fn no_targets(&mut self, name: &Name, section: &Spanned<RawCertificate>) {
        let at = section.value.targets.as_ref().map_or(section.key, |field| field.span);
        let text = format!("certificate `{name}` has no targets: it would be installed nowhere");
        self.report.warn(at, text, "write targets = [\"NAME\"]");
    }

    /// Source: RFC 7469 section 2.1.1.
    fn pins(&mut self, raw: &RawCertificate) -> Box<[KeyId]> {
        let Some(field) = &raw.pins else { return Box::default() };
        let mut pins = Vec::with_capacity(field.value.0.len());
        for element in &field.value.0 {
            let digest = element
                .value
                .strip_prefix("sha256/")
                .and_then(|text| <[u8; 32]>::try_from(STANDARD.decode(text).ok()?).ok());
            if let Some(digest) = digest {
                pins.push(KeyId(digest));
            } else {
                let text = format!("`{}` is no pin", element.value.escape_debug());
                let hint = "a pin is \"sha256/\" and SHA-256 of the public key (SPKI) in base64: 44 \
                            characters that end in `=`";
                self.report.error(element.span, text, hint);
            }
        }
        pins.sort();
        pins.dedup();
        pins.into()
    }

    fn chain(&mut self, raw: &RawCertificate) -> Option<Box<str>> {
        let field = raw.chain.as_ref()?;
        let name = field.value.trim();
        if name.is_empty() {
            let hint = "name the root as its certificate does, such as \"ISRG Root X1\"";
            self.report.error(field.span, "the root has no name", hint);
        }
        Some(name.into())
    }

    fn renew_before(&mut self, raw: &RawCertificate) -> Option<jiff::SignedDuration> {
        let field = raw.renew_before.as_ref()?;
        if field.value.is_zero() {
            let hint = "leave it away: the CA's suggestion or two thirds of the life is used";
            self.report.error(field.span, "renewing at the very end would lapse", hint);
        }
        Some(field.value)
    }

    fn was(&mut self, name: &Name, raw: &RawCertificate, things: &Things) -> Option<Name> {
        let field = raw.was.as_ref()?;
        if field.value == name.as_str() {
            self.report.error(field.span, "it has this name now", "name the former one");
        } else if things.certificates.has(&field.value) {
            let text = format!("certificate `{}` is still declared", field.value);
            let hint = "a renamed certificate is declared under its new name alone";
            self.report.error(field.span, text, hint);
        }
        Some(Name::new(&field.value))
    }

    /// Each name needs a solver, unless the file says that none is needed.
    fn reachable(
        &mut self,
        spec: &CertificateSpec,
        names: &[Placed],
        section: &Spanned<RawCertificate>,
        intent: &Intent,
    ) {
        let told = section.value.solvers.as_ref();
        if told.is_some_and(|field| field.value.0.is_empty()) {
            return;
        }
        // A solver with a mistake of its own might have been the one.
        if spec.solvers.iter().any(|name| !intent.solvers.contains_key(name)) {
            return;
        }
        for (name, span) in names {
            if intent.solver_for(spec, name).is_none() {
                let (text, hint) = lacks_solver(name, spec, intent);
                self.report.error(*span, text, hint);
            }
        }
    }

    /// What no public CA issues, or Let's Encrypt refuses, is said before it is asked.
    fn fit_for_public(&mut self, spec: &CertificateSpec, names: &[Placed], intent: &Intent) {
        let issuer = |name: &Name| intent.issuers.get(name).map(|issuer| issuer.kind);
        let public = spec.issuers.iter().any(|name| issuer(name) == Some(IssuerKind::Public));
        for (name, span) in names.iter().filter(|_| public) {
            if !name.is_ip() && !name.base().contains('.') {
                let text = format!("no public CA issues for `{name}`: it is a single label");
                let hint = "use its full name, or a CA of your own: kind = \"private\"";
                self.report.error(*span, text, hint);
            }
            let wider = names.iter().find(|(other, _)| other != name && other.covers(name));
            if let Some((wider, _)) = wider {
                let text = format!("`{name}` is covered by `{wider}` of the same certificate");
                let hint = format!("remove `{name}`: Let's Encrypt refuses such orders");
                self.report.warn(*span, text, hint);
            }
        }
    }
}

fn lacks_solver(name: &Identifier, spec: &CertificateSpec, intent: &Intent) -> (String, String) {
    let mut solvers = spec.solvers.iter().filter_map(|solver| intent.solvers.get(solver));
    let has_dns = solvers.any(|solver| solver.kind.is_in_dns());
    if spec.solvers.is_empty() {
        let hint = "add [solver.http] with http-01 = \"listener\"; if the CA asks for no challenge, \
                    write solvers = []";
        return (format!("no solver could prove `{name}`"), String::from(hint));
    }
    if name.is_ip() {
        let hint = "addresses are proven by http-01 or tls-alpn-01 (RFC 8738): add [solver.http] with \
                    http-01 = \"listener\"";
        return (format!("no solver could prove the address `{name}`"), String::from(hint));
    }
    if name.is_wildcard() && !has_dns {
        let hint = "wildcards are proven in DNS alone: add a solver with dns-01 = \"rfc2136\" or \
                    \"exec\"";
        return (format!("no dns-01 solver could prove `{name}`"), String::from(hint));
    }
    let mut zones: Vec<&str> = Vec::new();
    for solver in spec.solvers.iter().filter_map(|solver| intent.solvers.get(solver)) {
        if !name.is_wildcard() || solver.kind.is_in_dns() {
            zones.extend(solver.zones.iter().map(|zone| &**zone));
        }
    }
    let text = format!("no solver answers for `{name}`");
    (text, format!("its solvers answer for {} only: add the zone to one", zones.join(", ")))
}
