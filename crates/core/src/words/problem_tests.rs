//! The table of blame: one line for each text that a CA is known to say.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use super::*;
use crate::words::SubProblem;

fn problem(status: u16, kind: &str, detail: &str) -> Problem {
    Problem { kind: kind.into(), detail: detail.into(), status, subproblems: vec![] }
}

fn sub(kind: &str, name: &str) -> SubProblem {
    let identifier = Identifier::new(name).ok();
    SubProblem { kind: kind.into(), detail: "x".into(), identifier }
}

/// Writes a verdict as a table's cell.
fn cell(verdict: &(FailureKind, Blame)) -> String {
    match &verdict.0 {
        FailureKind::RateLimited { until } => format!("until {until}, {}", verdict.1),
        kind => format!("{kind:?}, {}", verdict.1),
    }
}

#[test]
fn answers_to_requests_are_blamed_as_the_table_says() {
    // (status, type, text, verdict); LE stands for Let's Encrypt's Boulder where nothing is said.
    let table = [
        // Rate limits: boulder ratelimits/limiter.go.
        (
            429,
            "rateLimited",
            "too many new registrations (10) from this IP address in the last 3h0m0s, retry after 2026-01-01 00:18:15 UTC: see https://letsencrypt.org/docs/rate-limits/#new-registrations-per-ip-address",
            "until 2026-01-01T00:18:15Z, ourselves",
        ),
        (
            429,
            "rateLimited",
            "too many new registrations (500) from this /48 subnet of IPv6 addresses in the last 3h0m0s, retry after 2026-01-01 00:18:15 UTC",
            "until 2026-01-01T00:18:15Z, ourselves",
        ),
        (
            429,
            "rateLimited",
            "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-01-01 00:18:15 UTC",
            "until 2026-01-01T00:18:15Z, account at le",
        ),
        (
            429,
            "rateLimited",
            "too many failed authorizations (5) for \"a.example.org\" in the last 1h0m0s, retry after 2026-01-01 00:18:15 UTC",
            "until 2026-01-01T00:18:15Z, name a.example.org",
        ),
        (
            429,
            "rateLimited",
            "too many certificates (50) already issued for \"example.org\" in the last 168h0m0s, retry after 2026-01-01 00:18:15 UTC",
            "until 2026-01-01T00:18:15Z, name example.org",
        ),
        (
            429,
            "rateLimited",
            "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-01-01 00:18:15 UTC",
            "until 2026-01-01T00:18:15Z, ourselves",
        ),
        (
            429,
            "rateLimited",
            "too many certificates already issued for \"example.org\". Retry after 2026-01-01T00:18:15Z",
            "Transient, name example.org",
        ),
        (
            429,
            "rateLimited",
            "slow down, retry after 2026-01-01T00:18:15Z",
            "until 2026-01-01T00:18:15Z, account at le",
        ),
        (429, "rateLimited", "Service busy; retry later.", "Transient, account at le"),
        // Paused: boulder wfe2/wfe.go.
        (
            429,
            "rateLimited",
            "Your account is temporarily prevented from requesting certificates for a.example.org, b.example.org and possibly others. Please visit: https://portal.letsencrypt.org/sfe/v1/unpause?jwt=abc",
            "Unauthorized, account at le",
        ),
        // Accounts.
        (
            400,
            "accountDoesNotExist",
            "Account \"https://ca.test/acct/1\" not found",
            "AccountUnknown, account at le",
        ),
        (
            403,
            "unauthorized",
            "Account is not valid, has status \"deactivated\"",
            "Unauthorized, account at le",
        ),
        (
            403,
            "unauthorized",
            "Error creating new order :: account ID 7 is not permitted to use certificate profile \"shortlived\"",
            "Unauthorized, account at le",
        ),
        (
            403,
            "externalAccountRequired",
            "ACME server policy requires newAccount requests must include a value for the 'externalAccountBinding' field",
            "Unauthorized, account at le",
        ),
        (
            403,
            "userActionRequired",
            "must agree to new terms of service",
            "Unauthorized, account at le",
        ),
        (401, "unauthorized", "", "Unauthorized, account at le"),
        // Names: boulder policy/pa.go, ra/ra.go.
        (
            400,
            "rejectedIdentifier",
            "Error creating new order :: Cannot issue for \"bad.example\": The ACME server refuses to issue a certificate for this domain name, because it is forbidden by policy",
            "Refused, name bad.example",
        ),
        (
            400,
            "rejectedIdentifier",
            "Error creating new order :: Cannot issue for \"x.in-addr.arpa\": forbidden by policy (and 1 more problems. Refer to sub-problems for more information.)",
            "Refused, name x.in-addr.arpa",
        ),
        (
            400,
            "rejectedIdentifier",
            "Error creating new order :: Profile \"shortlived\" does not permit ip type identifiers",
            "Refused, ourselves",
        ),
        (
            400,
            "rejectedIdentifier",
            "Order included an identifier for which issuance is forbidden by policy: \"blocked-domain.example\"",
            "Refused, name blocked-domain.example",
        ),
        (
            403,
            "caa",
            "Error finalizing order :: Rechecking CAA for \"a.example.org\" and 2 more identifiers failed. Refer to sub-problems for more information",
            "Refused, name a.example.org",
        ),
        (
            403,
            "caa",
            "Error finalizing order :: While processing CAA for a.example.org: CAA record for example.org prevents issuance",
            "Refused, name a.example.org",
        ),
        (
            403,
            "unauthorized",
            "Error finalizing order :: authorizations for these identifiers not valid: 192.0.2.7, b.example.org",
            "Refused, name 192.0.2.7",
        ),
        (
            403,
            "unauthorized",
            "Error finalizing order :: authorizations for these identifiers expired: a.example.org",
            "Gone, ourselves",
        ),
        (
            403,
            "unauthorized",
            "Error finalizing order :: authorizations for these identifiers not found: a.example.org",
            "Gone, ourselves",
        ),
        (401, "unauthorized", "CAA record does not include ssl.com", "Refused, ourselves"),
        (400, "unsupportedIdentifier", "no", "Refused, ourselves"),
        // What is gone: standards.md 2.6.
        (404, "malformed", "No order for ID 12", "Gone, ourselves"),
        (404, "malformed", "Expired authorization", "Gone, ourselves"),
        (404, "malformed", "Order 12 is expired", "Gone, ourselves"),
        (404, "malformed", "No such challenge", "Gone, ourselves"),
        // What has moved on.
        (
            403,
            "orderNotReady",
            "Order's status (\"valid\") is not acceptable for finalization",
            "Transient, ourselves",
        ),
        (
            400,
            "malformed",
            "Unable to update challenge :: authorization must be pending",
            "Transient, ourselves",
        ),
        (
            400,
            "malformed",
            "Cannot update challenge with status valid, only status pending",
            "Transient, ourselves",
        ),
        // Renewal information: RFC 9773.
        (
            409,
            "alreadyReplaced",
            "cannot indicate an order replaces certificate with serial \"aa\", which already has a replacement order",
            "AlreadyReplaced, ourselves",
        ),
        // Our own mistakes.
        (
            400,
            "badCSR",
            "Error finalizing order :: CSR does not specify same identifiers as Order",
            "Refused, ourselves",
        ),
        (400, "malformed", "NotBefore and NotAfter are not supported", "Refused, ourselves"),
        (405, "malformed", "Method not allowed", "Refused, ourselves"),
        (
            400,
            "invalidProfile",
            "Order includes unrecognized profile name \"nope\"",
            "Refused, ourselves",
        ),
        (400, "invalidContact", "contact email \"x\" is invalid", "Refused, ourselves"),
        (400, "badPublicKey", "weak key", "Refused, ourselves"),
        (
            400,
            "badSignatureAlgorithm",
            "JWS header contained unsupported algorithm",
            "Refused, ourselves",
        ),
        (409, "conflict", "New key is already in use", "Refused, ourselves"),
        (
            403,
            "unauthorized",
            "Error finalizing order :: CSR does not specify same identifiers as Order",
            "Refused, ourselves",
        ),
        (
            403,
            "unauthorized",
            "Order includes different number of DNSnames identifiers than CSR specifies",
            "Refused, ourselves",
        ),
        // The CA's.
        (
            500,
            "serverInternal",
            "Error finalizing order :: Unable to meet CA SCT embedding requirements",
            "Transient, issuer le",
        ),
        (503, "serverInternal", "The service is down for maintenance", "Transient, issuer le"),
        (400, "badNonce", "JWS has an invalid anti-replay nonce", "Transient, issuer le"),
        (
            400,
            "dns",
            "DNS problem: server failure at resolver looking up A for a.example.org",
            "Transient, issuer le",
        ),
        // Unknown types fall back on the status.
        (503, "about:blank", "", "Transient, issuer le"),
        (404, "about:blank", "", "Gone, ourselves"),
        (403, "somethingNew", "", "Unauthorized, account at le"),
        (429, "somethingNew", "", "Transient, account at le"),
        (418, "somethingNew", "", "Refused, ourselves"),
        (200, "somethingNew", "", "Transient, issuer le"),
        (0, "", "", "Transient, issuer le"),
    ];
    for (status, kind, detail, expected) in table {
        let verdict = blame_problem(&problem(status, kind, detail), None, &Name::new("le"));
        assert_eq!(cell(&verdict), expected, "{status} {kind}: {detail}");
    }
}

#[test]
fn errors_of_challenges_are_blamed_on_the_name_unless_the_ca_is_at_fault() {
    let table = [
        (
            "dns",
            "DNS problem: NXDOMAIN looking up A for www.example.org - check that a DNS record exists for this domain",
            "Refused, name www.example.org",
        ),
        (
            "dns",
            "DNS problem: SERVFAIL looking up CAA for example.org - the domain's nameservers may be malfunctioning",
            "Refused, name www.example.org",
        ),
        (
            "dns",
            "DNS problem: query timed out looking up A for www.example.org",
            "Refused, name www.example.org",
        ),
        (
            "dns",
            "DNS problem: looking up A for www.example.org: DNSSEC: Bogus",
            "Refused, name www.example.org",
        ),
        (
            "dns",
            "DNS problem: server failure at resolver looking up A for www.example.org",
            "Transient, issuer le",
        ),
        (
            "dns",
            "DNS problem: networking error looking up TXT for _acme-challenge.www.example.org",
            "Transient, issuer le",
        ),
        (
            "connection",
            "192.0.2.1: Fetching http://www.example.org/.well-known/acme-challenge/x: Timeout during connect (likely firewall problem)",
            "Refused, name www.example.org",
        ),
        (
            "connection",
            "During secondary validation: 192.0.2.1: Fetching http://www.example.org/: Connection refused",
            "Refused, name www.example.org",
        ),
        (
            "unauthorized",
            "Invalid response from http://www.example.org/.well-known/acme-challenge/x: 404",
            "Refused, name www.example.org",
        ),
        (
            "unauthorized",
            "Incorrect TXT record \"other.example\" (and 3 more) found at _acme-challenge.www.example.org",
            "Refused, name www.example.org",
        ),
        ("unauthorized", "The account key differs", "Refused, name www.example.org"),
        ("incorrectResponse", "Incorrect key authorization", "Refused, name www.example.org"),
        (
            "tls",
            "Cannot negotiate ALPN protocol \"acme-tls/1\" for tls-alpn-01 challenge",
            "Refused, name www.example.org",
        ),
        ("caa", "CAA record for example.org prevents issuance", "Refused, name www.example.org"),
        ("malformed", "Invalid host in redirect target", "Refused, name www.example.org"),
        ("rejectedIdentifier", "forbidden by policy", "Refused, name www.example.org"),
        ("serverInternal", "Remote PerformValidation RPC failed", "Transient, issuer le"),
        ("somethingNew", "", "Refused, name www.example.org"),
    ];
    let name = Identifier::new("www.example.org").unwrap();
    for (kind, detail, expected) in table {
        let verdict = blame_problem(&problem(400, kind, detail), Some(&name), &Name::new("le"));
        assert_eq!(cell(&verdict), expected, "{kind}: {detail}");
    }
}

#[test]
fn subproblems_name_before_the_text_does() {
    let mut caa = problem(403, "caa", "Rechecking CAA for \"z.example.org\" and 1 more failed");
    caa.subproblems = vec![sub("caa", "a.example.org"), sub("caa", "*.b.example.org")];
    let verdict = blame_problem(&caa, None, &Name::new("le"));
    assert_eq!(cell(&verdict), "Refused, name a.example.org");
    let names: Vec<String> = caa.named().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a.example.org", "*.b.example.org", "z.example.org"]);
}

#[test]
fn a_compound_problem_is_what_its_parts_are() {
    let mut compound = problem(400, "compound", "several errors");
    compound.subproblems = vec![sub("rejectedIdentifier", "a.example.org")];
    let verdict = blame_problem(&compound, None, &Name::new("le"));
    assert_eq!(cell(&verdict), "Refused, name a.example.org");
}

#[test]
fn the_page_that_lifts_a_pause_is_found() {
    let url = "https://portal.letsencrypt.org/sfe/v1/unpause?jwt=a.b.c";
    let paused = problem(429, "rateLimited", &format!("prevented. Please visit: {url}"));
    assert_eq!(paused.unpause_url(), Some(url));
    assert_eq!(problem(429, "rateLimited", "slow down").unpause_url(), None);
}

#[test]
fn texts_cut_anywhere_do_no_harm() {
    let text = "é retry after 2026-01-01 00:18:15 UTC for \"é.example.org\" authorizations for these \
                identifiers not valid: ü, example.org for ";
    for (end, _) in text.char_indices() {
        for kind in ["rateLimited", "unauthorized", "caa"] {
            let _ = blame_problem(&problem(400, kind, &text[..end]), None, &Name::new("le"));
        }
    }
}
