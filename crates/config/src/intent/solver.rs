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
    ExecSettings, HookConvention, Protocol, ProviderSettings, Rfc2136Settings, SolverSettings,
    TsigAlgorithm, TsigSettings,
};
use crate::source::{Span, Spanned};

/// Every kind of solver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Listener,
    Webroot,
    Rfc2136,
    Exec,
    ByHand,
    Provider(&'static Provider),
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Webroot => "webroot",
            Self::Rfc2136 => "rfc2136",
            Self::Exec => "exec",
            Self::ByHand => "by-hand",
            Self::Provider(provider) => provider.word,
        }
    }
}

fn words_of_providers() -> impl Iterator<Item = &'static str> {
    providers().iter().map(|provider| provider.word)
}

/// The kinds that a type of challenge can be answered by, as the file says them.
struct Answering<'a> {
    challenge: ChallengeKind,
    kinds: &'static [(&'static str, Kind)],
    field: &'a Option<Spanned<String>>,
}

const HTTP_KINDS: &[(&str, Kind)] =
    &[("listener", Kind::Listener), ("webroot", Kind::Webroot), ("exec", Kind::Exec)];
const TLS_KINDS: &[(&str, Kind)] = &[("listener", Kind::Listener)];
const DNS_KINDS: &[(&str, Kind)] = &[("rfc2136", Kind::Rfc2136), ("exec", Kind::Exec)];

/// Records that stay may be a person's.
const STANDING_KINDS: &[(&str, Kind)] =
    &[("rfc2136", Kind::Rfc2136), ("exec", Kind::Exec), ("by-hand", Kind::ByHand)];

impl<'a> Answering<'a> {
    fn all(raw: &'a RawSolver) -> [Self; 5] {
        use ChallengeKind::{Dns01, DnsAccount01, DnsPersist01, Http01, TlsAlpn01};
        [
            Self { challenge: Http01, kinds: HTTP_KINDS, field: &raw.http_01 },
            Self { challenge: TlsAlpn01, kinds: TLS_KINDS, field: &raw.tls_alpn_01 },
            Self { challenge: Dns01, kinds: DNS_KINDS, field: &raw.dns_01 },
            Self { challenge: DnsAccount01, kinds: DNS_KINDS, field: &raw.dns_account_01 },
            Self { challenge: DnsPersist01, kinds: STANDING_KINDS, field: &raw.dns_persist_01 },
        ]
    }

    fn find(&self, word: &str) -> Option<Kind> {
        let known = self.kinds.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
        known.or_else(|| provider(word).filter(|_| self.by_providers()).map(Kind::Provider))
    }

    /// Returns whether DNS providers can answer it.
    const fn by_providers(&self) -> bool {
        matches!(self.challenge, ChallengeKind::Dns01 | ChallengeKind::DnsAccount01)
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        let of_providers = self.by_providers().then(words_of_providers).into_iter().flatten();
        self.kinds.iter().map(|(word, _)| *word).chain(of_providers)
    }
}

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
        let (challenge, kind) = self.kind(name, section)?;
        self.misplaced(raw, kind);
        let settings = match kind {
            Kind::Listener => self.listener(raw, &challenge),
            Kind::Webroot => self.webroot(section)?,
            Kind::Rfc2136 => self.rfc2136(section)?,
            Kind::Exec => self.exec(section, challenge.clone())?,
            Kind::Provider(provider) => self.provider(section, provider)?,
            Kind::ByHand => SolverSettings::ByHand { nameservers: self.nameservers(raw) },
        };
        let in_dns = challenge.is_in_dns();
        let usual = if in_dns { VISIBLE_WITHIN } else { SignedDuration::ZERO };
        let spec = SolverSpec {
            kind: challenge,
            zones: zones.into_iter().map(Box::from).collect(),
            follows_cname: in_dns,
            visible_within: value(&raw.visible_within).unwrap_or(usual),
            by_hand: kind == Kind::ByHand,
        };
        Some((spec, settings))
    }

    fn kind(&mut self, name: &Name, section: &Spanned<RawSolver>) -> Option<(ChallengeKind, Kind)> {
        let all = Answering::all(&section.value);
        let mut said = all.iter().filter_map(|own| Some((own, own.field.as_ref()?)));
        let first = said.next();
        if let Some((_, second)) = said.next() {
            let hint = "declare two solvers; a certificate may use both";
            self.report.error(second.key, "a solver answers one type of challenge", hint);
            return None;
        }
        let Some((own, field)) = first else {
            let text = format!("solver `{name}` has no kind");
            let hint = "write http-01 = \"listener\" or \"webroot\", tls-alpn-01 = \"listener\", or \
                        dns-01 = \"rfc2136\", \"exec\" or a provider: perennial help solvers";
            self.report.error(section.key, text, hint);
            return None;
        };
        if let Some(kind) = own.find(&field.value) {
            return Some((own.challenge.clone(), kind));
        }
        let hint = match all.iter().find(|other| other.find(&field.value).is_some()) {
            Some(other) => {
                let (word, other) = (&field.value, other.challenge.as_str());
                format!("`{word}` answers another challenge: {other} = \"{word}\"")
            }
            None => nearest(&field.value, own.words()).map_or_else(
                || String::from("known kinds: perennial help solvers"),
                |near| format!("did you mean `{near}`? Known kinds: perennial help solvers"),
            ),
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
        let dns = [Kind::Rfc2136, Kind::Exec, any, Kind::ByHand];
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

    fn listener(&mut self, raw: &RawSolver, challenge: &ChallengeKind) -> SolverSettings {
        let tls = *challenge == ChallengeKind::TlsAlpn01;
        let protocol = if tls { Protocol::TlsAlpn } else { Protocol::Http };
        let port = protocol.port();
        let everywhere = || {
            vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            ]
        };
        let listen = raw.listen.as_ref().map(|listen| self.socket_addresses(&listen.value.0, port));
        SolverSettings::Listener { protocol, listen: listen.unwrap_or_else(everywhere) }
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

    fn exec(
        &mut self,
        section: &Spanned<RawSolver>,
        kind: ChallengeKind,
    ) -> Option<SolverSettings> {
        let raw = &section.value;
        let mut env = BTreeMap::new();
        for (name, field) in raw.env.iter().flat_map(|env| &env.value.0) {
            let secret = looks_secret(name) && matches!(field.value, Secret::Inline(_));
            let value = if secret { self.secret(field) } else { self.secret_or_text(field) };
            env.insert(name.clone(), value);
        }
        let nameservers = self.nameservers(raw);
        let convention = self.convention(section, &kind);
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
        let settings = ExecSettings { program, convention, cleanup, kind, env, nameservers };
        Some(SolverSettings::Exec(settings))
    }

    fn convention(&mut self, section: &Spanned<RawSolver>, kind: &ChallengeKind) -> HookConvention {
        use HookConvention::{AcmeSh, Certbot, Dehydrated, Lego};
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
        let is_told_the_record = matches!(convention, Lego | AcmeSh);
        if kind.is_in_dns() && *kind != ChallengeKind::Dns01 && !is_told_the_record {
            let at = raw.convention.as_ref().map_or(section.key, |field| field.span);
            let text = format!("programs of this convention do not answer {}", kind.as_str());
            let hint =
                "write convention = \"lego\" or \"acme.sh\": they are told the record's name";
            self.report.error(at, text, hint);
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
