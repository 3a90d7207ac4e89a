//! Which CAs may issue, and who serves the zone.

use perennial_adapters::discover::{
    Allowance, CaaFacts, Facts, ServerFacts, Unknown, ZoneFacts, allowance,
};
use perennial_core::finding::Code;

use super::{Paper, list, readable};

/// A CA: how its intermediates are called, and how CAA records call it.
struct Ca {
    name: &'static str,
    /// What `issued_by` begins with.
    issuers: &'static [&'static str],
    /// Source: each CA's practice statement, section 4.2.1.
    identities: &'static [&'static str],
    /// Whether it issues by ACME to anybody, and so could stand in.
    stands_in: bool,
}

/// Compared in November 2026 with public documentation: the names of Let's Encrypt, Google, Sectigo,
/// SSL.com and DigiCert that stand first, and Amazon's four. Not confirmed: GlobalSign, GoDaddy,
/// Actalis, and further names, which are of houses taken over and matter only in old records.
const CAS: [Ca; 9] = [
    Ca {
        name: "Let's Encrypt",
        issuers: &["Let's Encrypt", "ISRG"],
        identities: &["letsencrypt.org"],
        stands_in: true,
    },
    Ca {
        name: "Google Trust Services",
        issuers: &["Google Trust Services"],
        identities: &["pki.goog"],
        stands_in: true,
    },
    Ca {
        name: "ZeroSSL",
        issuers: &["ZeroSSL", "Sectigo"],
        identities: &[
            "sectigo.com",
            "comodoca.com",
            "comodo.com",
            "usertrust.com",
            "trust-provider.com",
        ],
        stands_in: true,
    },
    Ca {
        name: "DigiCert",
        issuers: &["DigiCert", "GeoTrust", "RapidSSL", "Thawte"],
        identities: &["digicert.com", "geotrust.com", "rapidssl.com", "thawte.com", "symantec.com"],
        stands_in: false,
    },
    Ca {
        name: "Amazon",
        issuers: &["Amazon"],
        identities: &["amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"],
        stands_in: false,
    },
    Ca {
        name: "GlobalSign",
        issuers: &["GlobalSign"],
        identities: &["globalsign.com"],
        stands_in: false,
    },
    Ca {
        name: "SSL.com",
        issuers: &["SSL Corp", "SSL.com"],
        identities: &["ssl.com"],
        stands_in: false,
    },
    Ca { name: "Actalis", issuers: &["Actalis"], identities: &["actalis.it"], stands_in: false },
    Ca {
        name: "GoDaddy",
        issuers: &["GoDaddy", "Starfield"],
        identities: &["godaddy.com", "starfieldtech.com"],
        stands_in: false,
    },
];

pub(super) fn judge(facts: &Facts, paper: &mut Paper) {
    match &facts.caa {
        None => {}
        Some(Err(unknown)) if unknown.is_ours => {
            paper.row("CAA", format!("cannot be looked up: {}", unknown.cause));
        }
        Some(Err(Unknown { cause, .. })) => {
            paper.row("CAA", format!("cannot be looked up, and a CA would refuse: {cause}"));
            let advice = "ask every name server of the zone for CAA, as a CA does";
            let known = paper.findings.iter().any(|own| own.code == Code::DnsLookupFailed.as_str());
            if !known {
                paper.find(Code::DnsLookupFailed.as_str(), facts.validated.base(), cause, advice);
            }
        }
        Some(Ok(caa)) => records(facts, caa, paper),
    }
    match &facts.zone {
        None => {}
        Some(Err(unknown)) => paper.row("zone", format!("cannot be found: {}", unknown.cause)),
        Some(Ok(zone)) => served(zone, paper),
    }
}

fn records(facts: &Facts, caa: &CaaFacts, paper: &mut Paper) {
    let Some(found_at) = &caa.found_at else {
        paper.row("CAA", "none: every CA may issue");
        return;
    };
    let allowance = allowance(&caa.records, facts.validated.is_wildcard());
    let place =
        if found_at == facts.validated.base() { String::new() } else { format!(", at {found_at}") };
    let text = match &allowance {
        Allowance::Everybody => format!("no restriction{place}"),
        Allowance::Nobody => format!("no CA may issue{place}"),
        Allowance::UnknownTag(tag) => {
            format!("no CA may issue{place}: none knows the critical tag `{}`", readable(tag))
        }
        Allowance::Only(names) => {
            let names: Vec<String> = names.iter().map(|name| readable(name)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{} only{place}{}{}", list(&names), restricted(caa), missing(&allowance))
        }
    };
    if let Some(ca) = current(facts).filter(|ca| !allowance.allows(ca.identities)) {
        let identity = ca.identities.first().copied().unwrap_or_default();
        let evidence = format!("{text}; the leaf is from {}", ca.name);
        let advice = format!(
            "allow {} before the next renewal: {found_at}. CAA 0 {} \"{identity}\"",
            ca.name,
            tag(facts)
        );
        paper.find(Code::CaaForbidsIssuer.as_str(), found_at, &evidence, advice);
    }
    paper.row("CAA", text);
}

fn tag(facts: &Facts) -> &'static str {
    if facts.validated.is_wildcard() { "issuewild" } else { "issue" }
}

/// The CA that issued what is served.
fn current(facts: &Facts) -> Option<&'static Ca> {
    let leaf = facts.addresses.iter().find_map(|seen| seen.leaf.as_ref())?;
    CAS.iter().find(|ca| ca.issuers.iter().any(|name| leaf.issued_by.starts_with(name)))
}

/// Source: RFC 8657.
fn restricted(caa: &CaaFacts) -> &'static str {
    let values = || {
        caa.records
            .iter()
            .filter(|r| r.tag.starts_with("issue"))
            .map(|r| r.value.to_ascii_lowercase())
    };
    match (
        values().any(|v| v.contains("accounturi")),
        values().any(|v| v.contains("validationmethods")),
    ) {
        (true, true) => ", for some accounts and methods",
        (true, false) => ", for some accounts",
        (false, true) => ", for some methods",
        (false, false) => "",
    }
}

/// The CAs that could stand in if these records did not forbid it.
fn missing(allowance: &Allowance) -> String {
    let missing: Vec<&str> = CAS
        .iter()
        .filter(|ca| ca.stands_in && !allowance.allows(ca.identities))
        .map(|ca| ca.name)
        .collect();
    if missing.is_empty() {
        String::new()
    } else {
        format!("; {} could not stand in", list(&missing))
    }
}

fn served(zone: &ZoneFacts, paper: &mut Paper) {
    let names: Vec<&str> = zone.servers.iter().map(|server| server.name.as_str()).collect();
    let operators = zone.operators();
    let by = match (operators.is_empty(), names.is_empty()) {
        (_, true) => "has no name servers".to_owned(),
        (true, false) => format!("served by {}", list(&names)),
        (false, false) => format!("served by {} ({})", list(&operators), names.join(", ")),
    };
    let apex = if zone.apex.is_empty() { "the root" } else { &zone.apex };
    let any_answers = zone.servers.iter().any(|server| !server.answering.is_empty());
    let failing: Vec<&ServerFacts> =
        zone.servers.iter().filter(|server| is_failing(server)).collect();
    if !any_answers && !failing.is_empty() {
        // Where nobody at all answers, it is likelier that questions do not leave this network.
        paper.row("zone", format!("{apex}, {by}; none answers us (is port 53 open from here?)"));
        return;
    }
    paper.row("zone", format!("{apex}, {by}"));
    for server in failing {
        let evidence = why(server);
        paper.row("", format!("{} fails: {evidence}", server.name));
        let advice = format!(
            "repair {}, or take it out of the zone's NS records at the registrar",
            server.name
        );
        paper.find("dns.server-failing", &server.name, &evidence, advice);
    }
}

fn is_failing(server: &ServerFacts) -> bool {
    let nowhere = server.answering.is_empty() && server.out_of_reach.is_empty();
    !server.failing.is_empty() || nowhere
}

fn why(server: &ServerFacts) -> String {
    let each: Vec<String> = server
        .failing
        .iter()
        .map(|(address, cause)| {
            let address = address.to_string();
            if cause.contains(&address) { cause.clone() } else { format!("{address} {cause}") }
        })
        .collect();
    match (&server.problem, each.is_empty()) {
        (_, false) => each.join("; "),
        (Some(problem), true) => problem.clone(),
        (None, true) => "its name has no address".to_owned(),
    }
}
