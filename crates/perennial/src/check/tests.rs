//! From facts to text: what people read, compared as text.

use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use perennial_adapters::discover::{
    AddressFacts, CaaFacts, CaaRecord, ChallengeFacts, HttpAnswer, HttpFacts, HttpTrouble,
    ServerFacts, StoreFacts, Unknown, ZoneFacts, operator_of,
};
use perennial_core::words::{Fingerprint, Identifier, KeyId, LeafFacts, SightState, Validity};
use perennial_wire::tls::TlsVersion;

use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

/// A leaf for `*.example.org` that has been valid for `age` days and will be for `left` more.
fn leaf(number: u8, age: i64, left: i64) -> LeafFacts {
    let validity = Validity { not_before: now() - days(age), not_after: now() + days(left) };
    LeafFacts {
        fingerprint: Fingerprint([number; 32]),
        key: KeyId([number; 32]),
        identifiers: [id("*.example.org")].into(),
        validity,
        chain_not_after: validity.not_after + days(900),
        issued_by: "Let's Encrypt YE1".into(),
        ari_id: None,
        for_servers: true,
        chain_in_order: true,
        traits: None,
        trusted: None,
    }
}

fn address(
    ip: &str,
    state: SightState,
    leaf: Option<LeafFacts>,
    cause: Option<&str>,
) -> AddressFacts {
    AddressFacts {
        address: SocketAddr::new(ip.parse().unwrap(), 443),
        state,
        cause: cause.map(str::to_owned),
        version: leaf.as_ref().map(|_| TlsVersion::TLS_1_3),
        leaf,
        asks_for_client_certificate: false,
    }
}

fn http(ip: &str, answer: Result<(u16, Option<&str>), HttpTrouble>) -> HttpFacts {
    let answer = answer.map(|(status, to)| HttpAnswer { status, location: to.map(str::to_owned) });
    HttpFacts { address: SocketAddr::new(ip.parse().unwrap(), 80), answer }
}

fn server(name: &str) -> ServerFacts {
    ServerFacts {
        name: name.into(),
        operator: operator_of(name),
        answering: vec!["192.0.2.53:53".parse().unwrap()],
        failing: Vec::new(),
        out_of_reach: Vec::new(),
        problem: None,
    }
}

fn caa(records: &[(&str, &str)]) -> CaaFacts {
    let record = |(tag, value): &(&str, &str)| CaaRecord {
        critical: false,
        tag: (*tag).into(),
        value: (*value).into(),
    };
    CaaFacts {
        found_at: Some("example.org".into()),
        aliases: Vec::new(),
        records: records.iter().map(record).collect(),
    }
}

fn challenge(name: &str, aliases: &[&str], zone: &str) -> ChallengeFacts {
    ChallengeFacts {
        name: format!("_acme-challenge.{name}"),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        texts: Vec::new(),
        zone: zone.into(),
        delegated_to: Vec::new(),
    }
}

/// A host with which all is well.
fn facts() -> Facts {
    Facts {
        host: id("shop.example.org"),
        port: 443,
        protocol: perennial_core::words::Protocol::Tls,
        at: now(),
        aliases: Vec::new(),
        exists: true,
        address_problems: Vec::new(),
        addresses: vec![
            address("192.0.2.10", SightState::Ok, Some(leaf(1, 30, 60)), None),
            address("192.0.2.11", SightState::Ok, Some(leaf(1, 30, 60)), None),
        ],
        stores: vec![StoreFacts { store: "Mozilla".into(), state: SightState::Ok }],
        validated: id("shop.example.org"),
        zone: Some(Ok(ZoneFacts {
            apex: "example.org".into(),
            servers: vec![server("ada.ns.cloudflare.com"), server("bob.ns.cloudflare.com")],
        })),
        caa: Some(Ok(CaaFacts { found_at: None, aliases: Vec::new(), records: Vec::new() })),
        challenge: Some(Ok(challenge("shop.example.org", &[], "example.org"))),
        http: vec![http("192.0.2.10", Ok((404, None))), http("192.0.2.11", Ok((404, None)))],
    }
}

fn told(facts: &Facts) -> String {
    let report = report::judge(facts);
    let text = render::text(&report, Paint::Plain);
    format!(
        "{text}{}exit {}",
        render::summary([&report].into_iter()),
        report.outcome.ending().code()
    )
}

#[track_caller]
fn assert_told(facts: &Facts, expected: &str) {
    let told = told(facts);
    assert_eq!(told, expected.trim_start_matches('\n'), "\n{told}\n");
}

#[test]
fn a_host_with_which_all_is_well() {
    assert_told(
        &facts(),
        "
shop.example.org:443                                                                     runway 60 d
  192.0.2.10      ok      *.example.org, Let's Encrypt YE1, until 2027-01-20 12:00 UTC
  192.0.2.11      ok      the same leaf
  chain           leads to a root in Mozilla
  renewal         by dns-01: `_acme-challenge.shop.example.org` belongs to zone example.org
                  by http-01: port 80 answers 404 at 192.0.2.10 and 192.0.2.11
  CAA             none: every CA may issue
  zone            example.org, served by Cloudflare (ada.ns.cloudflare.com, bob.ns.cloudflare.com)

no findings
exit 0",
    );
}

#[test]
fn a_forgotten_address_and_a_challenge_name_that_belongs_to_a_cdn() {
    let mut facts = facts();
    facts.addresses = vec![
        address("192.0.2.10", SightState::Ok, Some(leaf(1, 67, 23)), None),
        address("192.0.2.11", SightState::Ok, Some(leaf(1, 67, 23)), None),
        address("2001:db8::10", SightState::Ok, Some(leaf(2, 87, 3)), None),
    ];
    facts.validated = id("*.example.org");
    facts.challenge = Some(Ok(challenge(
        "example.org",
        &["abc.fastly-validations.com"],
        "fastly-validations.com",
    )));
    facts.caa = Some(Ok(caa(&[("issue", "letsencrypt.org")])));
    assert_told(
        &facts,
        "
shop.example.org:443                                                                      runway 3 d
  192.0.2.10      ok      *.example.org, Let's Encrypt YE1, until 2026-12-14 12:00 UTC
  192.0.2.11      ok      the same leaf
  2001:db8::10    WRONG   an older leaf, until 2026-11-24 (3 d): this address was not reloaded
  chain           leads to a root in Mozilla
  renewal         would fail by dns-01: `_acme-challenge.example.org` is a CNAME to Fastly
                  (abc.fastly-validations.com), so only Fastly can answer
                  not by http-01: `*.example.org` is a wildcard
  CAA             letsencrypt.org only; Google Trust Services and ZeroSSL could not stand in
  zone            example.org, served by Cloudflare (ada.ns.cloudflare.com, bob.ns.cloudflare.com)

  target.not-reloaded: 2001:db8::10
    hint: install the newer leaf on the server at 2001:db8::10, and reload it

  dns.challenge-cname-foreign: _acme-challenge.example.org
    hint: let Fastly issue, or remove the CNAME where somebody else renews:
          _acme-challenge.example.org. CNAME abc.fastly-validations.com.

  renewal.no-way: *.example.org
    hint: open port 80, or free the challenge name

3 findings
exit 1",
    );
}

#[test]
fn every_broken_address_is_named_with_its_own_cause() {
    let mut facts = facts();
    let broken = |ip, state, cause| address(ip, state, None, Some(cause));
    let no_way = "there is no way from here: network unreachable";
    facts.addresses = vec![
        address("192.0.2.10", SightState::Ok, Some(leaf(1, 30, 60)), None),
        broken("192.0.2.11", SightState::Expired, "the leaf expired at 2026-11-20T12:00:00Z"),
        broken("192.0.2.12", SightState::Unreachable, "connection refused"),
        broken("2001:db8::1", SightState::CannotLook, no_way),
    ];
    facts.http = Vec::new();
    assert_told(
        &facts,
        "
shop.example.org:443                                                      lapsed at 1 of 3 addresses
  192.0.2.10      ok      *.example.org, Let's Encrypt YE1, until 2027-01-20 12:00 UTC
  192.0.2.11      WRONG   the leaf expired at 2026-11-20T12:00:00Z
  192.0.2.12      WRONG   connection refused
  2001:db8::1     -       cannot look: there is no way from here: network unreachable
  chain           leads to a root in Mozilla
  renewal         by dns-01: `_acme-challenge.shop.example.org` belongs to zone example.org
  CAA             none: every CA may issue
  zone            example.org, served by Cloudflare (ada.ns.cloudflare.com, bob.ns.cloudflare.com)

  endpoint.expired: 192.0.2.11
    hint: renew the leaf, install it on the server at 192.0.2.11, and reload it

  endpoint.unreachable: 192.0.2.12
    hint: check that 192.0.2.12 is still the name's, and that the port is open

2 findings
exit 1",
    );
}

#[test]
fn caa_that_forbids_the_ca_in_use_is_said_before_it_matters() {
    let mut facts = facts();
    facts.caa =
        Some(Ok(caa(&[("issue", "pki.goog; accounturi=https://x/1"), ("iodef", "mailto:a@b")])));
    let report = report::judge(&facts);
    let row = report.rows.iter().find(|row| row.label == "CAA").unwrap();
    assert_eq!(
        row.text,
        "pki.goog only, at example.org, for some accounts; Let's Encrypt and ZeroSSL could not stand in"
    );
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["caa.forbids-issuer"]);
    let advice =
        "allow Let's Encrypt before the next renewal: example.org. CAA 0 issue \"letsencrypt.org\"";
    assert_eq!(report.findings[0].advice, advice);
}

#[test]
fn addresses_that_differ_on_port_80_are_found() {
    let mut facts = facts();
    facts.http = vec![
        http("192.0.2.10", Ok((301, Some("https://shop.example.org/x")))),
        http("192.0.2.11", Ok((403, None))),
        http("2001:db8::10", Err(HttpTrouble::Unreachable("connection refused".into()))),
    ];
    let report = report::judge(&facts);
    let at = report.rows.iter().position(|row| row.label == "renewal").unwrap();
    assert_eq!(
        report.rows[at + 1].text,
        "would fail by http-01 on port 80: answers 403 at 192.0.2.11; connection refused at \
         2001:db8::10; redirects (301) to https://shop.example.org/x at 192.0.2.10"
    );
    let found: Vec<_> = report.findings.iter().map(|f| (f.code, f.subject.as_str())).collect();
    let differ = "http.addresses-differ";
    assert_eq!(found, [(differ, "192.0.2.11"), (differ, "2001:db8::10")]);
    facts.http.truncate(1);
    facts.http[0].answer = Err(HttpTrouble::Unreachable("connection refused".into()));
    assert!(report::judge(&facts).findings.is_empty(), "dns-01 is left, and nobody needs both");
}

#[test]
fn a_name_server_that_fails_is_found_unless_none_answers_from_here() {
    let mut facts = facts();
    let mut dead = server("ns2.example.org");
    dead.answering.clear();
    let at: SocketAddr = "192.0.2.54:53".parse().unwrap();
    dead.failing = vec![(at, "192.0.2.54:53 did not answer within 3000 ms".into())];
    let zone = |servers| Some(Ok(ZoneFacts { apex: "example.org".into(), servers }));
    facts.zone = zone(vec![server("ns1.example.org"), dead.clone()]);
    let report = report::judge(&facts);
    assert_eq!(report.findings[0].code, "dns.server-failing");
    assert_eq!(report.findings[0].evidence, "192.0.2.54:53 did not answer within 3000 ms");
    facts.zone = zone(vec![dead]);
    let report = report::judge(&facts);
    assert!(report.findings.is_empty());
    assert_eq!(
        report.rows.last().unwrap().text,
        "example.org, served by ns2.example.org; none answers us (is port 53 open from here?)"
    );
}

#[test]
fn a_leaf_that_nobody_renewed_in_time_is_found_once() {
    let mut facts = facts();
    let late = || Some(leaf(1, 80, 10));
    facts.addresses = vec![
        address("192.0.2.10", SightState::Ok, late(), None),
        address("192.0.2.11", SightState::Ok, late(), None),
    ];
    let report = report::judge(&facts);
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["leaf.not-renewed"]);
}

#[test]
fn servers_with_leaves_of_their_own_are_no_finding() {
    let mut facts = facts();
    facts.addresses = vec![
        address("192.0.2.10", SightState::Ok, Some(leaf(1, 30, 60)), None),
        address("192.0.2.11", SightState::Ok, Some(leaf(2, 10, 80)), None),
    ];
    let report = report::judge(&facts);
    assert!(report.findings.is_empty());
    assert!(report.rows[0].text.starts_with("*.example.org"), "{}", report.rows[0].text);
    assert!(report.rows[1].text.starts_with("*.example.org"), "{}", report.rows[1].text);
}

#[test]
fn a_host_that_cannot_be_looked_at_is_no_finding_but_a_failure() {
    let mut facts = facts();
    facts.addresses.clear();
    facts.http.clear();
    facts.stores.clear();
    facts.exists = false;
    assert_told(
        &facts,
        "
shop.example.org:443
  address         the name does not exist in DNS

no findings, nothing could be looked at
exit 3",
    );
    facts.exists = true;
    facts.address_problems = vec!["192.0.2.53:53 did not answer within 3000 ms".into()];
    let deaf =
        || Unknown { cause: "192.0.2.53:53 did not answer within 3000 ms".into(), is_ours: true };
    facts.challenge = Some(Err(deaf()));
    facts.caa = Some(Err(deaf()));
    facts.zone = Some(Err(deaf()));
    assert_told(
        &facts,
        "
shop.example.org:443
  address         cannot be looked up: 192.0.2.53:53 did not answer within 3000 ms

no findings, nothing could be looked at
exit 3",
    );
}

#[test]
fn a_zone_that_refuses_is_at_fault_and_a_resolver_that_is_silent_is_not() {
    let mut facts = facts();
    let set = |facts: &mut Facts, is_ours| {
        let unknown = || Unknown { cause: "SERVFAIL for TXT".into(), is_ours };
        facts.challenge = Some(Err(unknown()));
        facts.caa = Some(Err(unknown()));
    };
    set(&mut facts, true);
    assert!(report::judge(&facts).findings.is_empty());
    set(&mut facts, false);
    let report = report::judge(&facts);
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["dns.lookup-failed"], "once, though two questions failed");
}

#[test]
fn an_address_without_a_name_has_no_zone() {
    let mut facts = facts();
    facts.host = id("192.0.2.10");
    facts.addresses.truncate(1);
    facts.validated = id("192.0.2.10");
    (facts.zone, facts.caa, facts.challenge) = (None, None, None);
    facts.http.truncate(1);
    assert_told(
        &facts,
        "
192.0.2.10:443                                                                           runway 60 d
  192.0.2.10      ok      no name, Let's Encrypt YE1, until 2027-01-20 12:00 UTC
  chain           leads to a root in Mozilla
  renewal         not by dns-01: there is no challenge name for it
                  by http-01: port 80 answers 404 at 192.0.2.10

no findings
exit 0",
    );
}

#[test]
fn colours_change_no_column() {
    let report = report::judge(&facts());
    let plain = render::text(&report, Paint::Plain);
    let mut coloured = render::text(&report, Paint::Colour);
    assert!(coloured.contains("\u{1b}[32mok\u{1b}[0m"), "{coloured}");
    for code in ["32", "1", "0"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(coloured, plain);
}

#[test]
fn json_says_the_same() {
    let facts = facts();
    let report = report::judge(&facts);
    let text = json::text(&[(facts, report)]).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema"], 1);
    assert_eq!(value["outcome"], "fine");
    let host = &value["hosts"][0];
    assert_eq!(host["runway_secs"], 60 * 86_400);
    assert_eq!(host["addresses"][0]["state"], "ok");
    assert_eq!(host["addresses"][0]["leaf"]["names"][0], "*.example.org");
    assert_eq!(host["zone"]["operators"][0], "Cloudflare");
    assert_eq!(host["http"][0]["status"], 404);
}

#[test]
fn the_arguments_are_read_as_documented() {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        check: CheckArgs,
    }
    let parse = |args: &[&str]| {
        let words = std::iter::once("check").chain(args.iter().copied());
        <Cli as clap::Parser>::try_parse_from(words).map(|cli| cli.check)
    };
    let args = parse(&["a.test", "b.test:8443", "--resolver", "127.0.0.1:5353"]).unwrap();
    assert_eq!(args.hosts.len(), 2);
    assert_eq!(args.timeout, 5);
    assert!(parse(&[]).is_err());
    assert!(parse(&["*.a.test"]).is_err());
    assert!(parse(&["a.test", "--timeout", "0"]).is_err());
}
