//! What is looked at, read from an argument.

use std::net::{IpAddr, SocketAddr};

use perennial_core::words::{Identifier, Protocol};

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The host: a name without wildcard, or an address.
    pub host: Identifier,
    /// The port.
    pub port: u16,
    /// What is spoken before TLS begins.
    pub protocol: Protocol,
}

impl Subject {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT`, a bare IPv6 address, or a URL such as
    /// `https://HOST/` or `smtp://HOST`.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let told = |(error, hint): (String, String)| format!("{error}\n\nhint: {hint}");
        let (scheme, rest) = perennial_config::scheme(text).map_err(told)?;
        let place = match scheme {
            Some(_) => rest.split(['/', '?', '#']).next().unwrap_or(rest),
            None => rest,
        };
        let (host, port) = split(place)?;
        let host = perennial_config::identifier(host).map_err(told)?;
        if host.is_wildcard() {
            return Err("nobody connects to a wildcard: give a name below it".to_owned());
        }
        let port = port.or_else(|| Some(scheme?.port)).unwrap_or(HTTPS);
        let protocol = scheme.map_or_else(|| Protocol::usual_at(port), |scheme| scheme.protocol);
        Ok(Self { host, port, protocol })
    }
}

const HTTPS: u16 = 443;

fn split(text: &str) -> Result<(&str, Option<u16>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the `]` is missing")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(parse_port(port)?))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("`{rest}` after `]` is no port")),
        };
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text, None));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => Ok((host, Some(parse_port(port)?))),
        None => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("`{text}` is no port"))
}

/// Reads a resolver's address, with a port if it is not 53.
pub(super) fn parse_resolver(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    with_port.or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53))).map_err(|_| {
        "a resolver is given by its address, such as 192.0.2.53 or [2001:db8::53]:5353".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_people_write_them() {
        let cases = [
            ("shop.test", "shop.test", 443),
            ("bücher.test", "xn--bcher-kva.test", 443),
            ("Shop.Test.:8443", "shop.test", 8443),
            ("192.0.2.1", "192.0.2.1", 443),
            ("192.0.2.1:8443", "192.0.2.1", 8443),
            ("2001:db8::1", "2001:db8::1", 443),
            ("[2001:DB8::1]:8443", "2001:db8::1", 8443),
            ("[2001:db8::1]", "2001:db8::1", 443),
            ("https://shop.test/cart?x=1", "shop.test", 443),
        ];
        for (text, host, port) in cases {
            let host = Identifier::new(host).unwrap();
            let protocol = Protocol::Tls;
            assert_eq!(Subject::parse(text), Ok(Subject { host, port, protocol }), "{text}");
        }
    }

    #[test]
    fn what_is_spoken_is_said_by_a_scheme_or_else_by_the_port() {
        let cases = [
            ("smtp://mail.test", 25, Protocol::Smtp),
            ("mail.test:25", 25, Protocol::Smtp),
            ("smtp://mail.test:2525/", 2525, Protocol::Smtp),
            ("tls://mail.test:25", 25, Protocol::Tls),
            ("smtps://mail.test", 465, Protocol::Tls),
            ("imap://[2001:db8::1]", 143, Protocol::Imap),
            ("postgres://db.test/name", 5432, Protocol::Postgresql),
        ];
        for (text, port, protocol) in cases {
            let subject = Subject::parse(text).unwrap();
            assert_eq!((subject.port, subject.protocol), (port, protocol), "{text}");
        }
        let error = Subject::parse("gopher://mail.test").unwrap_err();
        assert!(error.starts_with("nothing is known of `gopher://`\n\nhint: known: "), "{error}");
    }

    #[test]
    fn what_is_no_host_is_refused_with_what_is_wrong() {
        let cases = [
            ("", "the name is empty\n\nhint: a name is like www.example.org"),
            ("shop.test:x", "`x` is no port"),
            ("shop.test:0", "`0` is no port"),
            ("[::1", "the `]` is missing"),
            ("[::1]x", "`x` after `]` is no port"),
            ("*.shop.test", "nobody connects to a wildcard: give a name below it"),
        ];
        for (text, error) in cases {
            assert_eq!(Subject::parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn resolvers_are_addresses() {
        assert_eq!(parse_resolver("192.0.2.53"), Ok("192.0.2.53:53".parse().unwrap()));
        assert_eq!(parse_resolver("[::1]:5353"), Ok("[::1]:5353".parse().unwrap()));
        assert!(parse_resolver("dns.test").is_err());
    }
}
