//! Where clients meet the names of a certificate.

use perennial_core::intent::{EndpointSpec, Serves};
use perennial_core::words::{Identifier, Protocol};

use super::Meaning;
use super::address::{split_host_port, split_port};
use super::certificate::Placed;
use super::name;
use crate::raw::{EndpointShape, Endpoints, RawCertificate, RawEndpoint, value};
use crate::scheme::{Scheme, scheme};
use crate::source::{Span, Spanned};

const HTTPS: u16 = 443;

const SERVES: [(&str, Serves); 2] = [("ours", Serves::Ours), ("foreign", Serves::Foreign)];

impl Meaning<'_> {
    /// Returns the declared endpoints, or port 443 of each name that is no wildcard.
    pub(super) fn endpoints(
        &mut self,
        section: &Spanned<RawCertificate>,
        names: &[Placed],
    ) -> Vec<EndpointSpec> {
        let Some(field) = &section.value.endpoints else {
            self.unseen_wildcards(names, &[]);
            let own = names.iter().filter(|(name, _)| !name.is_wildcard());
            return own.map(|(name, _)| endpoint(name.clone(), HTTPS)).collect();
        };
        let mut endpoints: Vec<EndpointSpec> = Vec::with_capacity(field.value.0.len());
        for element in &field.value.0 {
            let made = match &element.value {
                EndpointShape::Text(text) => self.endpoint_text(text, element.span),
                EndpointShape::Table(raw) => self.endpoint_table(raw, element.span),
            };
            let Some(made) = made else { continue };
            let origins = match &element.value {
                EndpointShape::Table(raw) => self.origins(raw, &made),
                EndpointShape::Text(_) => Vec::new(),
            };
            // What is wrong in itself need not be compared.
            if self.report.has_errors_within(element.span) {
                continue;
            }
            for made in [made].into_iter().chain(origins) {
                self.belongs(&made, names, element.span);
                if endpoints.contains(&made) {
                    self.report.error(
                        element.span,
                        "this endpoint stands here twice",
                        "name each once",
                    );
                }
                endpoints.push(made);
            }
        }
        self.unseen_wildcards(names, &endpoints);
        self.unseen_origins(field, &endpoints);
        endpoints
    }

    fn endpoint_text(&mut self, text: &str, at: Span) -> Option<EndpointSpec> {
        self.said(text, at).map(Said::endpoint)
    }

    /// Reads `[scheme://]host[:port]`.
    fn said(&mut self, text: &str, at: Span) -> Option<Said> {
        let (scheme, rest) = match scheme(text) {
            Ok(read) => read,
            Err((text, hint)) => {
                self.report.error(at, text, hint);
                return None;
            }
        };
        let parsed = split_port(rest)
            .and_then(|(host, port)| Some((name::identifier(&host).ok()?, port)))
            .filter(|(host, _)| !host.is_wildcard());
        let Some((host, port)) = parsed else {
            let hint = "\"www.example.org\", \"www.example.org:8443\", \"[2001:db8::1]:443\" or \
                        \"smtp://mail.example.org\"; for a wildcard name one host below it";
            self.report.error(at, format!("`{text}` is no endpoint"), hint);
            return None;
        };
        Some(Said { host, port, scheme })
    }

    fn endpoint_table(&mut self, raw: &RawEndpoint, at: Span) -> Option<EndpointSpec> {
        let serves = self.word(&raw.serves, "owner of what is served", &SERVES);
        let protocols = Protocol::ALL.map(|own| (own.as_str(), own));
        let protocol = self.word(&raw.protocol, "protocol", &protocols);
        let connect_to = raw.connect_to.as_ref().and_then(|field| self.connect_to(field));
        let Some(field) = &raw.name else {
            let hint = "{ name = \"www.example.org\", connect_to = \"192.0.2.10\" }";
            self.report.error(at, "the endpoint has no name", hint);
            return None;
        };
        let mut said = self.said(&field.value, field.span)?;
        if raw.port.is_some() && said.port.is_some() {
            self.report.error(field.span, "the port is said twice", "keep `port`");
        }
        if raw.protocol.is_some() && said.scheme.is_some() {
            self.report.error(field.span, "the protocol is said twice", "keep `protocol`");
        }
        said.port = value(&raw.port).or(said.port);
        let said_by_word = |protocol: Protocol| Scheme { protocol, port: protocol.usual_port() };
        said.scheme = protocol.map(said_by_word).or(said.scheme);
        Some(EndpointSpec {
            connect_to: connect_to.map(Box::from),
            serves: serves.unwrap_or_default(),
            shared: value(&raw.shared).unwrap_or_default(),
            ..said.endpoint()
        })
    }

    fn connect_to(&mut self, field: &Spanned<String>) -> Option<String> {
        let host = field.value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let found = name::host(host.unwrap_or(&field.value));
        if found.is_none() {
            let text = format!("`{}` is no host or address", field.value);
            let hint = match split_host_port(&field.value, HTTPS) {
                Some((host, port)) => format!("write connect_to = \"{host}\", port = {port}"),
                None => String::from("write connect_to = \"192.0.2.10\""),
            };
            self.report.error(field.span, text, hint);
        }
        found
    }

    /// Returns the servers behind an endpoint, each an endpoint of its own.
    fn origins(&mut self, raw: &RawEndpoint, edge: &EndpointSpec) -> Vec<EndpointSpec> {
        let Some(field) = &raw.origins else { return Vec::new() };
        let mut origins = Vec::with_capacity(field.value.0.len());
        for element in &field.value.0 {
            let read = split_port(&element.value)
                .and_then(|(host, port)| Some((name::host(&host)?, port.unwrap_or(edge.port))));
            let Some((host, port)) = read else {
                let text = format!("`{}` is no host or address", element.value);
                let hint = "origins = [\"192.0.2.10\", \"origin.example.org:8443\"]";
                self.report.error(element.span, text, hint);
                continue;
            };
            let (connect_to, serves) = (Some(Box::from(host)), Serves::Ours);
            origins.push(EndpointSpec { connect_to, port, serves, shared: false, ..edge.clone() });
        }
        origins
    }

    /// What lies behind somebody else's edge, clients meet through it, and nobody sees otherwise.
    fn unseen_origins(&mut self, field: &Spanned<Endpoints>, endpoints: &[EndpointSpec]) {
        for edge in endpoints.iter().filter(|endpoint| endpoint.serves == Serves::Foreign) {
            let is_origin = |own: &EndpointSpec| {
                own.serves == Serves::Ours && own.server_name == edge.server_name
            };
            if !endpoints.iter().any(is_origin) {
                let text = format!("nobody looks at what is behind `{edge}`");
                let hint = "name the servers behind it: origins = [\"192.0.2.10\"]";
                self.report.warn(field.span, text, hint);
            }
        }
    }

    /// A leaf of this certificate could never be accepted for a name that it does not have.
    fn belongs(&mut self, made: &EndpointSpec, names: &[Placed], at: Span) {
        let covered = names.iter().any(|(name, _)| name.covers(&made.server_name));
        if made.serves == Serves::Foreign || covered || names.is_empty() {
            return;
        }
        let text = format!("the certificate does not cover `{}`", made.server_name);
        let hint = if made.server_name.is_ip() {
            "to look at one address, write { name = \"NAME\", connect_to = \"ADDRESS\" }"
        } else {
            "add the name to `names`, or move the endpoint to the certificate that has it"
        };
        self.report.error(at, text, hint);
    }

    fn unseen_wildcards(&mut self, names: &[Placed], endpoints: &[EndpointSpec]) {
        for (name, span) in names.iter().filter(|(name, _)| name.is_wildcard()) {
            let seen = |endpoint: &EndpointSpec| {
                let exact = names.iter().any(|(other, _)| *other == endpoint.server_name);
                name.covers(&endpoint.server_name) && !exact
            };
            if !endpoints.iter().any(seen) {
                let text = format!("nobody looks at what is served for `{name}`");
                let hint = format!(
                    "name a host below it: endpoints = [\"HOST{}:443\"]",
                    name.as_str().trim_start_matches('*')
                );
                self.report.warn(*span, text, hint);
            }
        }
    }
}

/// What was said of an endpoint, and no more.
struct Said {
    host: Identifier,
    port: Option<u16>,
    scheme: Option<Scheme>,
}

impl Said {
    /// Adds what was not said: the port of the protocol, or the protocol of the port.
    fn endpoint(self) -> EndpointSpec {
        let port = self.port.or_else(|| Some(self.scheme?.port)).unwrap_or(HTTPS);
        let protocol =
            self.scheme.map_or_else(|| Protocol::usual_at(port), |scheme| scheme.protocol);
        EndpointSpec { protocol, ..endpoint(self.host, port) }
    }
}

const fn endpoint(server_name: Identifier, port: u16) -> EndpointSpec {
    let protocol = Protocol::Tls;
    EndpointSpec {
        server_name,
        connect_to: None,
        port,
        serves: Serves::Ours,
        protocol,
        variant: None,
        shared: false,
    }
}
