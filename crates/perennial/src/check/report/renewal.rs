//! What would happen at renewal, by dns-01 and by http-01.

use std::net::IpAddr;

use perennial_adapters::discover::{
    ChallengeFacts, Facts, HttpAnswer, HttpTrouble, OperatorKind, Unknown, operator_of,
};
use perennial_core::finding::Code;

use super::{Paper, list, readable};

/// Whether a way of renewing is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    Closed,
    /// It cannot be told from here.
    Unknown,
}

pub(super) fn judge(facts: &Facts, paper: &mut Paper) {
    let dns = dns_01(facts, paper);
    let http = http_01(facts, paper);
    // What is in no zone is no public CA's to validate.
    if facts.challenge.is_some() && dns == Way::Closed && http == Way::Closed {
        let name = facts.validated.to_string();
        let evidence = "neither dns-01 nor http-01 would succeed";
        paper.find("renewal.no-way", &name, evidence, "open port 80, or free the challenge name");
    }
}

fn dns_01(facts: &Facts, paper: &mut Paper) -> Way {
    let challenge = match &facts.challenge {
        None => {
            paper.row("renewal", "not by dns-01: there is no challenge name for it");
            return Way::Closed;
        }
        Some(Err(unknown)) if unknown.is_ours => {
            paper.row("renewal", format!("dns-01 cannot be judged: {}", unknown.cause));
            return Way::Unknown;
        }
        Some(Err(Unknown { cause, .. })) => {
            paper.row("renewal", format!("would fail by dns-01: {cause}"));
            let advice = "ask every name server of the zone, as a CA does";
            paper.find(Code::DnsLookupFailed.as_str(), facts.validated.base(), cause, advice);
            return Way::Closed;
        }
        Some(Ok(challenge)) => challenge,
    };
    let operator = operator_of(challenge.owner()).filter(|_| !challenge.aliases.is_empty());
    if let Some(foreign) = operator.filter(|own| own.kind == OperatorKind::Validation) {
        return foreign_owner(challenge, foreign.name, paper);
    }
    let old = match challenge.texts.len() {
        0 => String::new(),
        1 => "; 1 TXT record lies there now".to_owned(),
        count => format!("; {count} TXT records lie there now"),
    };
    let place = if !challenge.aliases.is_empty() {
        let whose = operator.map(|own| format!(" ({})", own.name)).unwrap_or_default();
        let (name, owner, zone) = (&challenge.name, challenge.owner(), &challenge.zone);
        let place =
            if challenge.is_elsewhere() { format!(", in zone {zone}") } else { String::new() };
        format!("`{name}` is a CNAME to {owner}{whose}{place}")
    } else if !challenge.delegated_to.is_empty() {
        let servers: Vec<&str> = challenge.delegated_to.iter().map(String::as_str).collect();
        format!("`{}` is a zone of its own, at {}", challenge.name, list(&servers))
    } else {
        format!("`{}` belongs to zone {}", challenge.name, challenge.zone)
    };
    paper.row("renewal", format!("by dns-01: {place}{old}"));
    Way::Open
}

fn foreign_owner(challenge: &ChallengeFacts, operator: &str, paper: &mut Paper) -> Way {
    let (name, owner) = (&challenge.name, challenge.owner());
    let text =
        format!("`{name}` is a CNAME to {operator} ({owner}), so only {operator} can answer");
    paper.row("renewal", format!("would fail by dns-01: {text}"));
    let advice = format!(
        "let {operator} issue, or remove the CNAME where somebody else renews: {name}. CNAME {owner}."
    );
    paper.find("dns.challenge-cname-foreign", name, &text, advice);
    Way::Closed
}

fn http_01(facts: &Facts, paper: &mut Paper) -> Way {
    if facts.validated.is_wildcard() {
        paper.row("", format!("not by http-01: `{}` is a wildcard", facts.validated));
        return Way::Closed;
    }
    let (mut open, mut closed, mut unseen) = (Vec::new(), Vec::new(), 0);
    for seen in &facts.http {
        match &seen.answer {
            Ok(answer) => match refusal(answer) {
                None => open.push((seen.address.ip(), said(answer))),
                Some(refusal) => closed.push((seen.address.ip(), refusal)),
            },
            Err(HttpTrouble::NoRoute(_)) => unseen += 1,
            Err(HttpTrouble::Unreachable(cause) | HttpTrouble::NotHttp(cause)) => {
                closed.push((seen.address.ip(), cause.clone()));
            }
        }
    }
    if open.is_empty() && closed.is_empty() {
        if unseen > 0 {
            paper.row("", "http-01 cannot be judged: there is no way to any address from here");
        }
        return Way::Unknown;
    }
    if closed.is_empty() {
        paper.row("", format!("by http-01: port 80 {}{}", at(&open), private(facts)));
        return Way::Open;
    }
    let text = format!("would fail by http-01 on port 80: {}", at(&closed));
    if open.is_empty() {
        paper.row("", text);
        return Way::Closed;
    }
    paper.row("", format!("{text}; {}", at(&open)));
    // CAs choose the address, and prefer IPv6: one that fails makes validation a game of chance.
    for (ip, cause) in &closed {
        let advice = format!("let port 80 answer alike on every address, or take {ip} out of DNS");
        paper.find("http.addresses-differ", &ip.to_string(), cause, advice);
    }
    Way::Unknown
}

/// Groups addresses by what they said: `answers 404 at 192.0.2.1 and 192.0.2.2`.
fn at(said: &[(IpAddr, String)]) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (ip, what) in said {
        match groups.iter_mut().find(|(known, _)| known == what) {
            Some((_, ips)) => ips.push(ip.to_string()),
            None => groups.push((what, vec![ip.to_string()])),
        }
    }
    let each = groups.iter().map(|(what, ips)| {
        let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
        format!("{what} at {}", list(&ips))
    });
    each.collect::<Vec<_>>().join("; ")
}

fn said(answer: &HttpAnswer) -> String {
    match &answer.location {
        Some(to) if (300..400).contains(&answer.status) => {
            format!("redirects ({}) to {}", answer.status, readable(to))
        }
        _ => format!("answers {}", answer.status),
    }
}

/// Why a CA would not accept an answer of this kind whatever it contained: what is neither a success
/// nor "not here" is a wall. Of redirects, Boulder follows four kinds, to ports 80 and 443 alone.
fn refusal(answer: &HttpAnswer) -> Option<String> {
    let text = said(answer);
    match answer.status {
        200..300 | 404 | 410 => None,
        301 | 302 | 307 | 308 => match &answer.location {
            Some(to) if is_followed(to) => None,
            _ => Some(format!("{text}, which CAs do not follow")),
        },
        300..400 => Some(format!("{text}, which CAs do not follow")),
        _ => Some(text),
    }
}

fn is_followed(location: &str) -> bool {
    let Some((scheme, rest)) = location.split_once("://") else {
        // A path on the same host.
        return location.starts_with('/');
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    let port = after_host.rsplit_once(':').map(|(_, port)| port);
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_web && port.is_none_or(|port| port == "80" || port == "443")
}

/// Public CAs connect from the Internet.
fn private(facts: &Facts) -> String {
    let private: Vec<String> = facts
        .http
        .iter()
        .map(|seen| seen.address.ip())
        .filter(is_private)
        .map(|ip| ip.to_string())
        .collect();
    if private.is_empty() {
        return String::new();
    }
    let private: Vec<&str> = private.iter().map(String::as_str).collect();
    format!("; no public CA can reach {}", list(&private))
}

/// Source: RFC 1918, RFC 4193, RFC 6598, RFC 1122 section 3.2.1.3, RFC 3927, RFC 4291.
fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_as_a_ca_does() {
        let cases = [
            (200, None, true),
            (404, None, true),
            (301, Some("https://shop.test/x"), true),
            (302, Some("/elsewhere"), true),
            (308, Some("https://shop.test:443/"), true),
            (307, Some("https://[::1]/"), true),
            (301, Some("https://shop.test:8443/"), false),
            (301, Some("ftp://shop.test/"), false),
            (301, None, false),
            (303, Some("https://shop.test/"), false),
            (401, None, false),
            (403, None, false),
            (503, None, false),
        ];
        for (status, location, open) in cases {
            let answer = HttpAnswer { status, location: location.map(str::to_owned) };
            assert_eq!(refusal(&answer).is_none(), open, "{answer:?}");
        }
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for ip in
            ["10.1.2.3", "127.0.0.1", "100.64.0.1", "169.254.1.1", "::1", "fd00::1", "fe80::1"]
        {
            assert!(is_private(&ip.parse().unwrap()), "{ip}");
        }
        for ip in ["192.0.2.1", "100.128.0.1", "2001:db8::1"] {
            assert!(!is_private(&ip.parse().unwrap()), "{ip}");
        }
    }
}
