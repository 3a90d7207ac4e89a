//! What a `[solver.NAME]` means.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use jiff::SignedDuration;
use perennial_core::intent::SolverSpec;
use perennial_core::words::{ChallengeKind, Name};

use super::Meaning;
use crate::Secret;
use crate::near::nearest;
use crate::provider::{Need, Privacy, Provider, provider, providers};
use crate::raw::{OneOrMany, RawSolver, RawTsig, value};
use crate::settings::{
    ExecSettings, HookConvention, ProviderSettings, Rfc2136Settings, SolverSettings, TsigAlgorithm,
    TsigSettings,
};
use crate::source::{Span, Spanned};

/// Every kind of solver, with the challenge it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Listener,
    Webroot,
    Rfc2136,
    Exec,
    Provider(&'static Provider),
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Webroot => "webroot",
            Self::Rfc2136 => "rfc2136",
            Self::Exec => "exec",
            Self::Provider(provider) => provider.word,
        }
    }
}

fn words_of_providers() -> impl Iterator<Item = &'static str> {
    providers().iter().map(|provider| provider.word)
}

const HTTP_KINDS: [(&str, Kind); 3] =
    [("listener", Kind::Listener), ("webroot", Kind::Webroot), ("exec", Kind::Exec)];
const DNS_KINDS: [(&str, Kind); 2] = [("rfc2136", Kind::Rfc2136), ("exec", Kind::Exec)];

const ALGORITHMS: [(&str, TsigAlgorithm); 3] = [
    ("hmac-sha256", TsigAlgorithm::HmacSha256),
    ("hmac-sha384", TsigAlgorithm::HmacSha384),
    ("hmac-sha512", TsigAlgorithm::HmacSha512),
];

/// How long an answer in DNS may take (DESIGN "Orders").
const VISIBLE_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// Short, so that an answer that was withdrawn is soon forgotten everywhere.
const TTL: SignedDuration = SignedDuration::from_secs(60);

/// A day: the longest life of a record that makes sense for an answer.
const TTL_LIMIT: SignedDuration = SignedDuration::from_hours(24);

impl Meaning<'_> {
    pub(super) fn solver(
        &mut self,
        name: &Name,
        section: &Spanned<RawSolver>,
    ) -> Option<(SolverSpec, SolverSettings)> {
        let raw = &section.value;
        let zones = self.zones(raw);
        let kind = self.kind(name, section)?;
        self.misplaced(raw, kind);
        let settings = match kind {
            Kind::Listener => self.listener(raw),
            Kind::Webroot => self.webroot(section)?,
            Kind::Rfc2136 => self.rfc2136(section)?,
            Kind::Exec => self.exec(section)?,
            Kind::Provider(provider) => self.provider(section, provider)?,
        };
        let in_dns = raw.dns_01.is_some();
        let usual = if in_dns { VISIBLE_WITHIN } else { SignedDuration::ZERO };
        let spec = SolverSpec {
            kind: if in_dns { ChallengeKind::Dns01 } else { ChallengeKind::Http01 },
            zones: zones.into_iter().map(Box::from).collect(),
            follows_cname: in_dns,
            visible_within: value(&raw.visible_within).unwrap_or(usual),
        };
        Some((spec, settings))
    }

    fn kind(&mut self, name: &Name, section: &Spanned<RawSolver>) -> Option<Kind> {
        let raw = &section.value;
        match (&raw.http_01, &raw.dns_01) {
            (Some(field), None) => self.kind_of(field, "http-01", &HTTP_KINDS, &DNS_KINDS),
            (None, Some(field)) => self.kind_of(field, "dns-01", &DNS_KINDS, &HTTP_KINDS),
            (Some(_), Some(second)) => {
                let hint = "declare two solvers; a certificate may use both";
                self.report.error(second.key, "a solver answers one type of challenge", hint);
                None
            }
            (None, None) => {
                let text = format!("solver `{name}` has no kind");
                let hint = "write http-01 = \"listener\" or \"webroot\", or dns-01 = \"rfc2136\", \
                            \"exec\" or a provider: perennial help solvers";
                self.report.error(section.key, text, hint);
                None
            }
        }
    }

    fn kind_of(
        &mut self,
        field: &Spanned<String>,
        own: &str,
        known: &[(&'static str, Kind)],
        others: &[(&'static str, Kind)],
    ) -> Option<Kind> {
        let found = known.iter().find(|(word, _)| *word == field.value);
        if let Some((_, kind)) = found {
            return Some(*kind);
        }
        let of_provider = provider(&field.value).filter(|_| own == "dns-01");
        if let Some(provider) = of_provider {
            return Some(Kind::Provider(provider));
        }
        let known = known.iter().map(|(word, _)| *word);
        let other_words = others.iter().map(|(word, _)| *word);
        let (known, other_words): (Vec<_>, Vec<_>) = if own == "dns-01" {
            (known.chain(words_of_providers()).collect(), other_words.collect())
        } else {
            (known.collect(), other_words.chain(words_of_providers()).collect())
        };
        let hint = if let Some(word) = other_words.iter().find(|word| **word == field.value) {
            let other = if own == "http-01" { "dns-01" } else { "http-01" };
            format!("`{word}` answers another challenge: {other} = \"{word}\"")
        } else {
            nearest(&field.value, known).map_or_else(
                || String::from("known kinds: perennial help solvers"),
                |near| format!("did you mean `{near}`? Known kinds: perennial help solvers"),
            )
        };
        self.report.error(field.span, format!("unknown solver kind `{}`", field.value), hint);
        None
    }

    fn zones(&mut self, raw: &RawSolver) -> Vec<String> {
        let mut zones = Vec::new();
        for element in raw.zones.iter().flat_map(|zones| &zones.value) {
            let Some(zone) = super::name::zone(&element.value) else {
                let text = format!("`{}` is no zone", element.value);
                let hint = "write the zone's name alone: \"example.org\" holds *.example.org too";
                self.report.error(element.span, text, hint);
                continue;
            };
            if zones.contains(&zone) {
                let text = format!("zone `{zone}` is named twice");
                self.report.error(element.span, text, "name each once");
            }
            zones.push(zone);
        }
        if let Some(field) = raw.zones.as_ref().filter(|zones| zones.value.is_empty()) {
            let hint = "name zones, or leave `zones` away: then it answers for every name";
            self.report.error(field.span, "the list of zones is empty", hint);
        }
        zones
    }

    /// Reports keys that mean nothing to this kind: what is ignored in silence is found at night.
    fn misplaced(&mut self, raw: &RawSolver, kind: Kind) {
        fn key<T>(field: &Option<Spanned<T>>) -> Option<Span> {
            field.as_ref().map(|field| field.key)
        }
        // Of providers, any one stands for all.
        let any = providers().first().map_or(Kind::Exec, Kind::Provider);
        let asked = if matches!(kind, Kind::Provider(_)) { any } else { kind };
        let dns = [Kind::Rfc2136, Kind::Exec, any];
        let places: [(&str, Option<Span>, &[Kind]); 12] = [
            ("listen", key(&raw.listen), &[Kind::Listener]),
            ("webroot", key(&raw.webroot), &[Kind::Webroot]),
            ("server", key(&raw.server), &[Kind::Rfc2136]),
            ("tsig", key(&raw.tsig), &[Kind::Rfc2136]),
            ("ttl", key(&raw.ttl), &[Kind::Rfc2136, any]),
            ("credentials", key(&raw.credentials), &[any]),
            ("nameservers", key(&raw.nameservers), &dns),
            ("visible_within", key(&raw.visible_within), &dns),
            ("program", key(&raw.program), &[Kind::Exec]),
            ("convention", key(&raw.convention), &[Kind::Exec]),
            ("cleanup", key(&raw.cleanup), &[Kind::Exec]),
            ("env", key(&raw.env), &[Kind::Exec]),
        ];
        for (name, span, kinds) in places {
            let Some(span) = span.filter(|_| !kinds.contains(&asked)) else { continue };
            let text = format!("`{name}` means nothing to a solver of kind `{}`", kind.word());
            let owners: Vec<_> = kinds
                .iter()
                .map(|kind| match kind {
                    Kind::Provider(_) => String::from("a provider"),
                    kind => format!("`{}`", kind.word()),
                })
                .collect();
            self.report.error(span, text, format!("it belongs to {}", owners.join(" and ")));
        }
    }

    fn listener(&mut self, raw: &RawSolver) -> SolverSettings {
        let everywhere = || {
            vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 80)),
            ]
        };
        let listen = raw.listen.as_ref().map(|listen| self.socket_addresses(&listen.value.0, 80));
        SolverSettings::Listener { listen: listen.unwrap_or_else(everywhere) }
    }

    fn webroot(&mut self, section: &Spanned<RawSolver>) -> Option<SolverSettings> {
        let Some(field) = &section.value.webroot else {
            let hint = "write webroot = \"/var/www/html\", the folder that is shown as `/`";
            self.report.error(section.key, "the webroot solver has no folder", hint);
            return None;
        };
        Some(SolverSettings::Webroot { dir: self.path(field) })
    }

    fn rfc2136(&mut self, section: &Spanned<RawSolver>) -> Option<SolverSettings> {
        let raw = &section.value;
        let tsig = raw.tsig.as_ref().map(|tsig| self.tsig(tsig));
        let nameservers = self.nameservers(raw);
        let ttl = self.ttl(raw, SignedDuration::ZERO);
        let Some(field) = &raw.server else {
            let hint = "write server = \"192.0.2.53\", the zone's primary server";
            self.report.error(section.key, "the rfc2136 solver has no server", hint);
            return None;
        };
        let server = self.host_port(field, 53)?;
        let near = server.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if raw.tsig.is_none() && !near {
            let hint = "write tsig = { name = \"perennial\", key = \"file:/path\" }; anybody who \
                        may update the zone can get certificates for it";
            self.report.warn(section.key, "its updates are not signed", hint);
        }
        let tsig = match tsig {
            Some(None) => return None,
            Some(tsig) => tsig,
            None => None,
        };
        Some(SolverSettings::Rfc2136(Rfc2136Settings { server, tsig, ttl, nameservers }))
    }

    /// Returns the life of the records written: as declared, or as short as the provider takes it.
    fn ttl(&mut self, raw: &RawSolver, least: SignedDuration) -> SignedDuration {
        let ttl = value(&raw.ttl).unwrap_or(TTL.max(least));
        let Some(field) = &raw.ttl else { return ttl };
        if ttl > TTL_LIMIT {
            self.report.error(field.span, "the life of an answer is over a day", "60s is usual");
        } else if ttl < least {
            let least = crate::format_duration(least);
            let hint = format!("write \"{least}\", or leave `ttl` away");
            self.report.error(field.span, format!("the provider takes no less than {least}"), hint);
        }
        ttl
    }

    fn provider(
        &mut self,
        section: &Spanned<RawSolver>,
        provider: &'static Provider,
    ) -> Option<SolverSettings> {
        let raw = &section.value;
        let ttl = self.ttl(raw, SignedDuration::from_secs(provider.least_ttl_secs.into()));
        let nameservers = self.nameservers(raw);
        let mut credentials = BTreeMap::new();
        let mut all_known = true;
        for (name, field) in raw.credentials.iter().flat_map(|named| &named.value.0) {
            let Some(known) = provider.field(name) else {
                let text = format!("unknown credential `{name}` of `{}`", provider.word);
                self.report.error(field.key, text, provider.known_fields(name));
                all_known = false;
                continue;
            };
            let value = match known.privacy {
                Privacy::Secret => self.secret(field),
                Privacy::Plain => self.secret_or_text(field),
            };
            credentials.insert(name.clone(), value);
        }
        if !all_known {
            // What lacks is most often what was misspelt.
            return None;
        }
        let has = |name: &str| {
            raw.credentials.iter().flat_map(|all| &all.value.0).any(|(own, _)| own == name)
        };
        let lacking = provider.fields.iter().find(|f| f.need == Need::Must && !has(f.name));
        let mut one_of = provider.fields.iter().filter(|f| f.need == Need::OneOf).peekable();
        let none_of = one_of.peek().copied().filter(|_| !one_of.any(|field| has(field.name)));
        if let Some(field) = lacking.or(none_of) {
            let at = raw.credentials.as_ref().map_or(section.key, |field| field.key);
            let text = format!("the credential `{}` is missing", field.name);
            self.report.error(at, text, provider.wants());
            return None;
        }
        let settings = ProviderSettings { provider, credentials, ttl, nameservers };
        Some(SolverSettings::Provider(settings))
    }

    fn nameservers(&mut self, raw: &RawSolver) -> Vec<SocketAddr> {
        let servers = raw.nameservers.as_ref().map(|field| field.value.0.as_slice());
        servers.map(|servers| self.socket_addresses(servers, 53)).unwrap_or_default()
    }

    fn tsig(&mut self, field: &Spanned<RawTsig>) -> Option<TsigSettings> {
        let raw = &field.value;
        let algorithm = self.word(&raw.algorithm, "TSIG algorithm", &ALGORITHMS);
        let key = raw.key.as_ref().map(|key| self.secret(key));
        let name = raw.name.as_ref().map(|name| (super::name::zone(&name.value), name.span));
        match (name, key) {
            (Some((Some(name), _)), Some(key)) => {
                Some(TsigSettings { name, key, algorithm: algorithm.unwrap_or_default() })
            }
            (Some((None, span)), _) => {
                let hint = "write it as the server has it, without `key` and braces: \"perennial\"";
                self.report.error(span, "this is no name of a TSIG key", hint);
                None
            }
            (name, _) => {
                let lack = if name.is_none() { "name" } else { "key" };
                let hint = "tsig = { name = \"perennial\", key = \"file:/path\" }, as `tsig-keygen` \
                            shows them";
                self.report.error(field.key, format!("the TSIG key has no `{lack}`"), hint);
                None
            }
        }
    }

    fn exec(&mut self, section: &Spanned<RawSolver>) -> Option<SolverSettings> {
        let raw = &section.value;
        let mut env = BTreeMap::new();
        for (name, field) in raw.env.iter().flat_map(|env| &env.value.0) {
            let secret = looks_secret(name) && matches!(field.value, Secret::Inline(_));
            let value = if secret { self.secret(field) } else { self.secret_or_text(field) };
            env.insert(name.clone(), value);
        }
        let nameservers = self.nameservers(raw);
        let convention = self.convention(section);
        let cleanup = raw.cleanup.as_ref();
        let cleanup = cleanup.map(|field| self.command(&field.with(field.value.0.clone())));
        let Some(field) = &raw.program else {
            let hint = "write program = \"/usr/local/bin/dns-hook\"; how it is called, `convention` \
                        says: perennial help solvers";
            self.report.error(section.key, "the exec solver has no program", hint);
            return None;
        };
        let program = self.command(&field.with(field.value.0.clone()));
        if convention == HookConvention::AcmeSh {
            self.script_of_acme_sh(field, &program);
        }
        let kind = match raw.http_01 {
            Some(_) => ChallengeKind::Http01,
            None => ChallengeKind::Dns01,
        };
        let settings = ExecSettings { program, convention, cleanup, kind, env, nameservers };
        Some(SolverSettings::Exec(settings))
    }

    fn convention(&mut self, section: &Spanned<RawSolver>) -> HookConvention {
        use HookConvention::{Certbot, Dehydrated};
        let raw = &section.value;
        let convention = self.word(&raw.convention, "convention", &CONVENTIONS);
        let convention = convention.unwrap_or_default();
        if let Some(field) = &raw.cleanup
            && convention != Certbot
        {
            let hint = "write convention = \"certbot\", or remove it: the others call one program \
                        for both";
            let text = "only certbot's convention has a program of its own for cleaning up";
            self.report.error(field.key, text, hint);
        }
        if raw.http_01.is_some() && !matches!(convention, Certbot | Dehydrated) {
            let at = raw.convention.as_ref().map_or(section.key, |field| field.span);
            let hint = "write convention = \"certbot\" or \"dehydrated\", or answer in DNS: \
                        dns-01 = \"exec\"";
            self.report.error(at, "programs of this convention do not answer http-01", hint);
        }
        for field in [&raw.nameservers].into_iter().flatten().filter(|_| raw.http_01.is_some()) {
            let hint = "remove it: the CA asks the web server";
            self.report.error(field.key, "`nameservers` means nothing to http-01", hint);
        }
        convention
    }

    /// Its functions are called as its file is.
    fn script_of_acme_sh(&mut self, field: &Spanned<OneOrMany>, program: &[String]) {
        let name = program.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let stem = name.strip_suffix(".sh").filter(|stem| stem.starts_with("dns_"));
        if program.len() != 1 || !stem.is_some_and(|stem| stem.chars().all(fine)) {
            let hint = "write program = \"/opt/acme.sh/dnsapi/dns_cf.sh\", the script alone; its \
                        settings go to `env`";
            self.report.error(field.span, "this is no script of acme.sh's dnsapi", hint);
        }
    }
}

/// Every convention by which a program may be called.
const CONVENTIONS: [(&str, HookConvention); 5] = [
    ("lego", HookConvention::Lego),
    ("lego-raw", HookConvention::LegoRaw),
    ("certbot", HookConvention::Certbot),
    ("acme.sh", HookConvention::AcmeSh),
    ("dehydrated", HookConvention::Dehydrated),
];

/// Returns whether a variable of this name usually holds a secret.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "secret", "password", "passwd", "key", "credential"].iter().any(|w| name.contains(w))
}
