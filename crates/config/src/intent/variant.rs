//! A leaf for each variant of key: one for clients that take ECDSA, one for those that take nothing
//! but RSA.
//!
//! `key = ["ecdsa-p256", "rsa-2048"]` declares two certificates for the same names at the same
//! targets, each with its own attempts, ledgers and findings, so that one that fails holds nothing of
//! the other. The first keeps the declared name, so that a certificate gets a second variant without
//! being renamed; the second is called after its variant, `www-rsa`.
//!
//! Where certificates of both variants meet at one endpoint, declared so or apart, each is looked for
//! as its own clients meet it: otherwise a server would show one of them, and never the other.

use std::collections::{BTreeMap, BTreeSet};

use perennial_core::intent::{CertificateSpec, EndpointSpec, Intent, Serves};
use perennial_core::words::{KeyAlgorithm, Name, Variant};

use super::certificate::KEYS;
use super::clash::are_apart;
use super::{Declared, Meaning};
use crate::raw::RawCertificate;
use crate::source::Spanned;

impl Meaning<'_> {
    /// Returns the kinds of key that are declared, at most one of each variant.
    pub(super) fn keys(&mut self, raw: &RawCertificate) -> Vec<KeyAlgorithm> {
        let Some(field) = &raw.key else { return Vec::new() };
        if field.value.0.is_empty() {
            let hint = "leave it away for \"ecdsa-p256\"";
            self.report.error(field.span, "no kind of key is named", hint);
        }
        let mut keys: Vec<KeyAlgorithm> = Vec::new();
        for element in &field.value.0 {
            let Some(key) = self.known_word(element, "kind of key", &KEYS) else { continue };
            if keys.iter().any(|other| other.variant() == key.variant()) {
                let variant = key.variant();
                let text =
                    format!("a server shows one {variant} leaf for a name, and this is another");
                let hint = "two keys are one of each variant: [\"ecdsa-p256\", \"rsa-2048\"]";
                self.report.error(element.span, text, hint);
            } else {
                keys.push(key);
            }
        }
        keys
    }

    /// Declares the further variants of a certificate.
    pub(super) fn variants(
        &mut self,
        name: &Name,
        spec: &CertificateSpec,
        section: &Spanned<RawCertificate>,
        declared: &Declared,
        intent: &mut Intent,
    ) {
        let Some(field) = section.value.key.as_ref().filter(|field| field.value.0.len() > 1) else {
            return;
        };
        let known = |text: &str| KEYS.iter().find(|(word, _)| *word == text).map(|(_, key)| *key);
        let others =
            field.value.0.iter().filter_map(|element| Some((known(&element.value)?, element)));
        for (key, element) in others.filter(|(key, _)| key.variant() != spec.key.variant()) {
            let own = called(name, key.variant());
            if declared.has(own.as_str()) {
                let text = format!("its {} leaf would be called `{own}`", key.variant());
                let hint = format!("another certificate is: rename [certificate.{own}]");
                self.report.error(element.span, text, hint);
                continue;
            }
            let was = spec.was.as_ref().map(|was| called(was, key.variant()));
            let made = CertificateSpec { key, was, ..spec.clone() };
            intent.certificates.insert(own, made);
        }
    }
}

/// Returns the name of a certificate's second variant.
fn called(name: &Name, variant: Variant) -> Name {
    let suffix = match variant {
        Variant::Ecdsa => "ecdsa",
        Variant::Rsa => "rsa",
    };
    Name::new(&format!("{name}-{suffix}"))
}

/// Lets each certificate be looked for by clients of its variant, wherever one of the other is to be
/// seen as well.
pub(super) fn tell_apart(intent: &mut Intent) {
    let mut met: BTreeMap<EndpointSpec, Vec<Name>> = BTreeMap::new();
    for (name, spec) in &intent.certificates {
        for endpoint in spec.endpoints.iter().filter(|endpoint| endpoint.serves == Serves::Ours) {
            met.entry(endpoint.clone()).or_default().push(name.clone());
        }
    }
    let mut told: BTreeSet<(Name, EndpointSpec)> = BTreeSet::new();
    for (endpoint, names) in met.into_iter().filter(|(_, names)| names.len() > 1) {
        for name in &names {
            let meets = |other: &Name| {
                let both = intent.certificates.get(name).zip(intent.certificates.get(other));
                both.is_some_and(|(one, other)| {
                    one.key.variant() != other.key.variant() && !are_apart(one, other, intent)
                })
            };
            if names.iter().any(meets) {
                told.insert((name.clone(), endpoint.clone()));
            }
        }
    }
    for (name, endpoint) in told {
        let Some(spec) = intent.certificates.get_mut(&name) else { continue };
        let variant = Some(spec.key.variant());
        for own in spec.endpoints.iter_mut().filter(|own| **own == endpoint) {
            own.variant = variant;
        }
    }
}
