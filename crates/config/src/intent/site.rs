//! Where clients meet a target's server: `serves_at`.
//!
//! Addresses are compared with those that endpoints lead to. A host is never looked up here: it
//! stands for whatever an endpoint with the same `connect_to` leads to, so one that no endpoint has
//! would tell nothing.

use std::net::IpAddr;

use perennial_core::intent::{CertificateSpec, Intent, Serves, Site, SiteHost};
use perennial_core::words::Name;

use super::Meaning;
use super::address::split_port;
use crate::raw::{RawFile, RawTarget};
use crate::source::Spanned;

impl Meaning<'_> {
    /// Reads the places of a target.
    pub(super) fn sites(&mut self, raw: &RawTarget) -> Vec<Site> {
        let Some(field) = &raw.serves_at else { return Vec::new() };
        if field.value.0.is_empty() && !self.report.has_errors_within(field.span) {
            let hint = "name its addresses, or leave the key out";
            self.report.error(field.span, "clients would meet this target nowhere", hint);
        }
        let mut sites = Vec::with_capacity(field.value.0.len());
        for element in &field.value.0 {
            let Some(site) = self.site(element) else { continue };
            if sites.contains(&site) {
                let text = format!("`{site}` stands here twice");
                self.report.error(element.span, text, "name each once");
            }
            sites.push(site);
        }
        sites
    }

    fn site(&mut self, element: &Spanned<String>) -> Option<Site> {
        let Some(site) = site(&element.value) else {
            let text = format!("`{}` is no address", element.value.escape_debug());
            let hint = "\"192.0.2.10\", \"[2001:db8::10]:8443\", or a host that an endpoint has as \
                        `connect_to`";
            self.report.error(element.span, text, hint);
            return None;
        };
        if let SiteHost::Address(ip) = site.host
            && ip.is_unspecified()
        {
            let text = format!("no client can go to `{ip}`");
            let hint = "name the addresses that clients go to, as DNS has them";
            self.report.error(element.span, text, hint);
        }
        Some(site)
    }

    /// A host that no endpoint connects to would never be met.
    pub(super) fn unmet_sites(&mut self, raw: &RawFile, intent: &Intent) {
        // An endpoint with a mistake may be the one that connects to it.
        if self.report.has_errors() {
            return;
        }
        for (name, section) in raw.target.iter().flat_map(|named| &named.value.0) {
            let target = Name::new(name);
            let takers = || intent.certificates.values().filter(|c| c.targets.contains(&target));
            let Some(field) = section.value.serves_at.as_ref().filter(|_| takers().count() > 0)
            else {
                continue;
            };
            for element in &field.value.0 {
                let Some(site) = site(&element.value) else { continue };
                let SiteHost::Name(host) = &site.host else { continue };
                let met = takers().flat_map(|c| &c.endpoints).any(|e| site.is_met(e, None));
                if !met {
                    let text = format!("no endpoint of its certificates connects to `{site}`");
                    let port = site.port.map(|port| format!(", port = {port}"));
                    let hint = format!(
                        "write its addresses, or an endpoint {{ name = \"NAME\", connect_to = \
                         \"{host}\"{} }}",
                        port.unwrap_or_default()
                    );
                    self.report.error(element.span, text, hint);
                }
            }
        }
    }

    /// Where several targets do not say where they are met, one dead address holds up all of them.
    pub(super) fn shared_addresses(&mut self, raw: &RawFile, intent: &Intent) {
        for (name, section) in raw.certificate.iter().flat_map(|named| &named.value.0) {
            let spec = intent.certificates.get(&Name::new(name));
            let Some((spec, field)) = spec.zip(section.value.targets.as_ref()) else { continue };
            let silent = without_sites(spec, intent);
            let [first, second, ..] = silent.as_slice() else { continue };
            if spec.endpoints.iter().all(|endpoint| endpoint.serves != Serves::Ours) {
                continue;
            }
            let more = if silent.len() > 2 { ", ..." } else { "" };
            let text = format!(
                "nobody knows which of the targets `{first}`, `{second}`{more} serves at which \
                 address"
            );
            let hint = format!(
                "one dead address keeps a new leaf from counting as seen at any of them: write \
                 serves_at = [\"ADDRESS\"] in [target.{first}] and the others"
            );
            self.report.warn(field.span, text, hint);
        }
    }
}

fn without_sites<'a>(spec: &'a CertificateSpec, intent: &Intent) -> Vec<&'a Name> {
    let is_silent =
        |name: &&Name| intent.targets.get(*name).is_some_and(|target| target.serves_at.is_empty());
    spec.targets.iter().filter(is_silent).collect()
}

fn site(text: &str) -> Option<Site> {
    let (host, port) = split_port(text)?;
    let host = super::name::host(&host)?;
    let host = match host.parse::<IpAddr>() {
        Ok(ip) => SiteHost::Address(ip),
        Err(_) => SiteHost::Name(host.into()),
    };
    Some(Site { host, port })
}
