//! DNS names as people write them, Unicode included, to the A-labels that core takes.
//!
//! Source: RFC 5890, Unicode Technical Standard 46.

use std::net::IpAddr;

use idna::AsciiDenyList;
use perennial_core::words::{Identifier, IdentifierError};

/// Reads a name for a certificate.
///
/// # Errors
///
/// Returns what is wrong with it, and what to write instead.
pub fn identifier(text: &str) -> Result<Identifier, (String, String)> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Identifier::new(&ip.to_string())
            .map_err(|error| (error.to_string(), String::from("write the address alone")));
    }
    if let Some(hint) = more_than_a_name(text) {
        return Err((String::from("it is more than a name"), hint));
    }
    let (star, base) = match text.strip_prefix("*.") {
        Some(base) => ("*.", base),
        None => ("", text),
    };
    let base = base.strip_suffix('.').unwrap_or(base);
    // An empty name or label is core's to name; the conversion would only say "invalid".
    let ascii = idna::domain_to_ascii_cow(base.as_bytes(), AsciiDenyList::EMPTY).map_err(|_| {
        let hint = "a label begins and ends with a letter or digit, and mixes no scripts";
        (String::from("it has no form in A-labels (IDNA)"), String::from(hint))
    })?;
    Identifier::new(&format!("{star}{ascii}")).map_err(|error| (error.to_string(), hint_for(error)))
}

fn hint_for(error: IdentifierError) -> String {
    String::from(match error {
        IdentifierError::Empty | IdentifierError::TooLong => "a name is like www.example.org",
        IdentifierError::Label => "look for two dots in a row or a hyphen beside a dot",
        IdentifierError::Character => "a name is like www.example.org, without spaces",
        IdentifierError::Wildcard => "write *.example.org; it stands for exactly one label",
    })
}

/// Finds a URL, a port or a path where a bare name belongs.
fn more_than_a_name(text: &str) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(['/', ':', '?', '@']).next().unwrap_or_default();
    if host.len() == text.len() {
        return None;
    }
    let named = if host.is_empty() { "www.example.org" } else { host };
    let ports =
        if rest.contains(':') { "; ports belong to `endpoints`" } else { Default::default() };
    Some(format!("write the bare name: \"{named}\"{ports}"))
}

/// Reads a host, by name or address: A-labels, or an address in its canonical text.
pub(super) fn host(text: &str) -> Option<String> {
    let identifier = identifier(text).ok()?;
    (!identifier.is_wildcard()).then(|| String::from(identifier.as_str()))
}

/// Reads a zone: a name without wildcard or final dot.
pub(super) fn zone(text: &str) -> Option<String> {
    host(text).filter(|zone| zone.parse::<IpAddr>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_a_labels() {
        let cases = [
            ("www.Example.ORG", Ok("www.example.org")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("*.bücher.example.", Ok("*.xn--bcher-kva.example")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("_x.example.org", Ok("_x.example.org")),
            ("2001:DB8::1", Ok("2001:db8::1")),
            ("www.*.example.org", Err("`*` may only be the whole first label")),
            ("*", Err("`*` may only be the whole first label")),
            ("", Err("the name is empty")),
            ("https://www.example.org/x", Err("it is more than a name")),
            ("www.example.org:443", Err("it is more than a name")),
            ("xn--99999999.example", Err("it has no form in A-labels (IDNA)")),
        ];
        for (text, expected) in cases {
            let found = identifier(text);
            let found = found.as_ref().map(Identifier::as_str).map_err(|(text, _)| text.as_str());
            assert_eq!(found, expected, "{text}");
        }
    }
}
