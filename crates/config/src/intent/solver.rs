//! What a `[solver.NAME]` means.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use jiff::SignedDuration;
use perennial_core::intent::SolverSpec;
use perennial_core::words::{ChallengeKind, Name};

use super::Meaning;
use crate::Secret;
use crate::near::nearest;
use crate::raw::{RawSolver, RawTsig, value};
use crate::settings::{Rfc2136Settings, SolverSettings, TsigAlgorithm, TsigSettings};
use crate::source::{Span, Spanned};

/// Every kind of solver, with the challenge it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Listener,
    Webroot,
    Rfc2136,
    Exec,
}

const HTTP_KINDS: [(&str, Kind); 2] = [("listener", Kind::Listener), ("webroot", Kind::Webroot)];
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
        };
        let in_dns = matches!(kind, Kind::Rfc2136 | Kind::Exec);
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
                let hint = "write http-01 = \"listener\" or \"webroot\", or dns-01 = \"rfc2136\" \
                            or \"exec\"";
                self.report.error(section.key, text, hint);
                None
            }
        }
    }

    fn kind_of(
        &mut self,
        field: &Spanned<String>,
        own: &str,
        known: &[(&str, Kind)],
        others: &[(&str, Kind)],
    ) -> Option<Kind> {
        let found = known.iter().find(|(word, _)| *word == field.value);
        if let Some((_, kind)) = found {
            return Some(*kind);
        }
        let hint = if let Some((word, _)) = others.iter().find(|(word, _)| *word == field.value) {
            let other = if own == "http-01" { "dns-01" } else { "http-01" };
            format!("`{word}` answers another challenge: {other} = \"{word}\"")
        } else {
            let near = nearest(&field.value, known.iter().map(|(word, _)| *word));
            near.map_or_else(
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
        let dns = [Kind::Rfc2136, Kind::Exec];
        let places: [(&str, Option<Span>, &[Kind]); 9] = [
            ("listen", key(&raw.listen), &[Kind::Listener]),
            ("webroot", key(&raw.webroot), &[Kind::Webroot]),
            ("server", key(&raw.server), &[Kind::Rfc2136]),
            ("tsig", key(&raw.tsig), &[Kind::Rfc2136]),
            ("ttl", key(&raw.ttl), &[Kind::Rfc2136]),
            ("nameservers", key(&raw.nameservers), &dns),
            ("visible_within", key(&raw.visible_within), &dns),
            ("program", key(&raw.program), &[Kind::Exec]),
            ("env", key(&raw.env), &[Kind::Exec]),
        ];
        let word = |kind: Kind| {
            let all = HTTP_KINDS.iter().chain(&DNS_KINDS);
            all.clone().find(|(_, other)| *other == kind).map_or("", |(word, _)| *word)
        };
        for (name, span, kinds) in places {
            let Some(span) = span.filter(|_| !kinds.contains(&kind)) else { continue };
            let text = format!("`{name}` means nothing to a solver of kind `{}`", word(kind));
            let owners: Vec<_> = kinds.iter().map(|kind| format!("`{}`", word(*kind))).collect();
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
        let ttl = value(&raw.ttl).unwrap_or(TTL);
        if let Some(field) = raw.ttl.as_ref().filter(|_| ttl > TTL_LIMIT) {
            self.report.error(field.span, "the life of an answer is over a day", "60s is usual");
        }
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
        let Some(field) = &raw.program else {
            let hint = "write program = \"/usr/local/bin/dns-hook\"; it is called with `present` \
                        or `cleanup`, the record's name and its value";
            self.report.error(section.key, "the exec solver has no program", hint);
            return None;
        };
        let program = self.command(&field.with(field.value.0.clone()));
        Some(SolverSettings::Exec { program, env, nameservers })
    }
}

/// Returns whether a variable of this name usually holds a secret.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "secret", "password", "passwd", "key", "credential"].iter().any(|w| name.contains(w))
}
