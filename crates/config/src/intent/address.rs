//! Addresses as people write them: with or without port, IPv6 with or without brackets.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Meaning;
use crate::settings::HostPort;
use crate::source::Spanned;

impl Meaning<'_> {
    /// Reads addresses; those without a port get the usual one.
    pub(super) fn socket_addresses(
        &mut self,
        elements: &[Spanned<String>],
        usual_port: u16,
    ) -> Vec<SocketAddr> {
        let mut addresses = Vec::with_capacity(elements.len());
        for element in elements {
            let Some(address) = socket_address(&element.value, usual_port) else {
                let hint = hint_for(&element.value, usual_port);
                let text = format!("`{}` is no address", element.value);
                self.report.error(element.span, text, hint);
                continue;
            };
            if addresses.contains(&address) {
                let text = format!("`{}` stands here twice", element.value);
                self.report.error(element.span, text, "name each address once");
            }
            addresses.push(address);
        }
        addresses
    }

    /// Reads a host, by name or address, and its port.
    pub(super) fn host_port(&mut self, field: &Spanned<String>, usual: u16) -> Option<HostPort> {
        let parsed = split_host_port(&field.value, usual)
            .and_then(|(host, port)| Some((super::name::host(&host)?, port)));
        if parsed.is_none() {
            let text = format!("`{}` is no host with a port", field.value);
            let hint = format!(
                "\"ns1.example.org\", \"192.0.2.53:{usual}\" or \"[2001:db8::53]:{usual}\""
            );
            self.report.error(field.span, text, hint);
        }
        parsed.map(|(host, port)| HostPort { host, port })
    }
}

fn socket_address(text: &str, usual_port: u16) -> Option<SocketAddr> {
    let (host, port) = split_host_port(text, usual_port)?;
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` and a bare IPv6 address; port 0 is none.
pub(super) fn split_host_port(text: &str, usual_port: u16) -> Option<(String, u16)> {
    split_port(text).map(|(host, port)| (host, port.unwrap_or(usual_port)))
}

/// Splits as [`split_host_port`], for places where no port is the usual one.
pub(super) fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((String::from(text), None));
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    (!host.is_empty() && port != Some(0)).then(|| (String::from(host), port))
}

fn hint_for(text: &str, usual_port: u16) -> String {
    if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")) {
        return format!("for every address write \"0.0.0.0:{port}\" and \"[::]:{port}\"");
    }
    if split_host_port(text, usual_port).is_some() {
        return String::from("an address is needed here, since no name can be looked up yet");
    }
    format!("\"192.0.2.1:{usual_port}\" or \"[2001:db8::1]:{usual_port}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let cases = [
            ("www.example.org", Some(("www.example.org", 443))),
            ("www.example.org:8443", Some(("www.example.org", 8443))),
            ("192.0.2.1", Some(("192.0.2.1", 443))),
            ("2001:db8::1", Some(("2001:db8::1", 443))),
            ("[2001:db8::1]", Some(("2001:db8::1", 443))),
            ("[2001:db8::1]:8443", Some(("2001:db8::1", 8443))),
            ("[www]:1", None),
            ("www:", None),
            ("www:0", None),
            ("www:+1", None),
            ("www:65536", None),
            (":443", None),
            ("a:b:c", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(host, port)| (String::from(host), port));
            assert_eq!(split_host_port(text, 443), expected, "{text}");
        }
    }
}
