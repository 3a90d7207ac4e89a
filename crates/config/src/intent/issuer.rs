//! What an `[issuer.NAME]` means.
//!
//! A known CA needs no more than its name, in `directory` or as the section's own name. Agreement to
//! terms of service is a person's: it must be written down, once for all issuers or per issuer, and
//! a public CA without it is an error here rather than a refusal by the CA at three in the morning.

use perennial_core::intent::{IssuerKind, IssuerSpec};
use perennial_core::words::{KeyAlgorithm, Name};
use url::{Host, Url};

use super::Meaning;
use crate::known::{self, KnownIssuer};
use crate::near::suggest;
use crate::raw::{OneOrMany, RawEab, RawFile, RawIssuer, span_or, value};
use crate::settings::{EabSettings, IssuerSettings};
use crate::source::{Span, Spanned};

const KINDS: [(&str, IssuerKind); 2] =
    [("public", IssuerKind::Public), ("private", IssuerKind::Private)];

const ACCOUNT_KEYS: [(&str, KeyAlgorithm); 6] = [
    ("ecdsa-p256", KeyAlgorithm::EcdsaP256),
    ("ecdsa-p384", KeyAlgorithm::EcdsaP384),
    ("rsa-2048", KeyAlgorithm::Rsa2048),
    ("rsa-3072", KeyAlgorithm::Rsa3072),
    ("rsa-4096", KeyAlgorithm::Rsa4096),
    ("ed25519", KeyAlgorithm::Ed25519),
];

/// What the file says for every issuer that says nothing else.
pub(super) struct Everywhere {
    contact: Vec<String>,
    agreed: Option<bool>,
}

impl Meaning<'_> {
    pub(super) fn everywhere(&mut self, file: &RawFile) -> Everywhere {
        let contact = file.contact.as_ref().map(|contact| self.contact(contact));
        Everywhere { contact: contact.unwrap_or_default(), agreed: value(&file.agree_terms) }
    }

    pub(super) fn issuer(
        &mut self,
        name: &Name,
        section: &Spanned<RawIssuer>,
        everywhere: &Everywhere,
    ) -> Option<(IssuerSpec, IssuerSettings)> {
        let raw = &section.value;
        let kind = self.word(&raw.kind, "kind of issuer", &KINDS);
        let eab = raw.eab.as_ref().and_then(|eab| self.eab(eab));
        let roots = raw.roots.as_ref().map(|roots| self.path(roots));
        let contact = raw.contact.as_ref().map(|contact| self.contact(contact));
        let contact = contact.unwrap_or_else(|| everywhere.contact.clone());
        let directory = self.directory(name, section)?;
        let known = known::by_directory(&directory);
        if let Some(known) = known.filter(|known| known.needs_eab && raw.eab.is_none()) {
            self.lacks_eab(known, section.key);
        }
        // A CA whose server needs roots of its own is not one of the public web.
        let usual = if roots.is_some() { IssuerKind::Private } else { IssuerKind::Public };
        let kind = kind.unwrap_or(usual);
        let agreed = value(&raw.agree_terms).or(everywhere.agreed);
        if kind == IssuerKind::Public && agreed != Some(true) {
            self.lacks_agreement(name, section, known);
        }
        let spec = IssuerSpec {
            directory: directory.clone().into(),
            contact: contact.into_iter().map(Box::from).collect(),
            eab: eab.is_some(),
            profile: value(&raw.profile).map(Box::from),
            agreed: agreed.unwrap_or_default(),
            kind,
            account_key: self.account_key(raw, kind),
        };
        Some((spec, IssuerSettings { directory, roots, eab }))
    }

    fn directory(&mut self, name: &Name, section: &Spanned<RawIssuer>) -> Option<String> {
        let Some(field) = &section.value.directory else {
            let own = known::by_name(name.as_str());
            if own.is_none() {
                let text = format!("issuer `{name}` has no directory");
                let hint = format!("write directory = \"URL\", or a known CA: {}", known_names());
                self.report.error(section.key, text, hint);
            }
            return own.map(|known| String::from(known.directory));
        };
        let text = field.value.as_str();
        if let Some(known) = known::by_name(text) {
            return Some(String::from(known.directory));
        }
        if let Some((_, story)) = known::ENDED.iter().find(|(ended, _)| *ended == text) {
            self.report.error(field.span, *story, format!("known CAs: {}", known_names()));
            return None;
        }
        if !text.contains("://") {
            let hint = suggest(text, known::KNOWN.iter().map(|known| known.name), || {
                format!("write a URL, or a known CA: {}", known_names())
            });
            self.report.error(field.span, format!("unknown CA `{text}`"), hint);
            return None;
        }
        match judge_url(text) {
            Ok(()) => Some(String::from(text)),
            Err((what, hint)) => {
                self.report.error(field.span, format!("`{text}` {what}"), hint);
                None
            }
        }
    }

    fn account_key(&mut self, raw: &RawIssuer, kind: IssuerKind) -> KeyAlgorithm {
        let key = self.word(&raw.account_key, "kind of key", &ACCOUNT_KEYS).unwrap_or_default();
        if let Some(field) = &raw.account_key
            && (key, kind) == (KeyAlgorithm::Ed25519, IssuerKind::Public)
        {
            let hint = "use \"ecdsa-p256\"; for a CA of your own say kind = \"private\"";
            self.report.error(field.span, "no public CA takes an account key of Ed25519", hint);
        }
        key
    }

    fn contact(&mut self, field: &Spanned<OneOrMany>) -> Vec<String> {
        let mut urls = Vec::new();
        for element in &field.value.0 {
            let address = element.value.strip_prefix("mailto:").unwrap_or(&element.value);
            let parts = address.split_once('@');
            let fits = |part: &str| {
                !part.is_empty()
                    && !part.contains(|c: char| c.is_whitespace() || "@,?<>".contains(c))
            };
            if parts.is_some_and(|(user, host)| fits(user) && fits(host) && host.is_ascii()) {
                urls.push(format!("mailto:{address}"));
            } else {
                let text = format!("`{}` is no mail address", element.value);
                self.report.error(element.span, text, "write it like \"ops@example.org\"");
            }
        }
        urls
    }

    fn eab(&mut self, field: &Spanned<RawEab>) -> Option<EabSettings> {
        let (kid, key) = (&field.value.kid, &field.value.key);
        if let (Some(kid), Some(key)) = (kid, key) {
            return Some(EabSettings { kid: self.secret_or_text(kid), key: self.secret(key) });
        }
        let hint = "eab = { kid = \"file:/path\", key = \"file:/path\" }, both from the CA";
        let lack = if kid.is_none() { "kid" } else { "key" };
        self.report.error(field.key, format!("the binding has no `{lack}`"), hint);
        None
    }

    fn lacks_eab(&mut self, known: &KnownIssuer, at: Span) {
        let text = format!("{} makes accounts only with an external account binding", known.called);
        let hint = "ask the CA for one (key identifier and MAC key), then write \
                    eab = { kid = \"...\", key = \"file:/path\" }";
        self.report.error(at, text, hint);
    }

    fn lacks_agreement(
        &mut self,
        name: &Name,
        section: &Spanned<RawIssuer>,
        known: Option<&KnownIssuer>,
    ) {
        let terms = known.map_or("the CA's terms of service", |known| known.terms);
        let text = format!("the terms of service of issuer `{name}` are not agreed to");
        let hint = format!(
            "read {terms}, then write agree_terms = true: at the top of the file for all issuers, \
             or here"
        );
        let at = span_or(&section.value.agree_terms, section.key);
        self.report.error(at, text, hint);
    }
}

fn known_names() -> String {
    known::KNOWN.map(|known| known.name).join(", ")
}

/// Judges a directory's URL: https, except on loopback.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-6.1
fn judge_url(text: &str) -> Result<(), (String, &'static str)> {
    let hint = "a directory is like https://ca.example.org/acme/directory";
    let url = Url::parse(text).map_err(|error| (format!("is no URL: {error}"), hint))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err((String::from("is no URL: it has no host"), hint)),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err((String::from("holds a user or a password"), "leave them away"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => Err((String::from("is not protected by TLS"), "write https://")),
        other => Err((format!("cannot be used: `{other}` is not https"), "write https://")),
    }
}
