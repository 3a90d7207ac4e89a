//! Tests of the DNS.

use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn later(secs: i64) -> Timestamp {
    after(now(), SignedDuration::from_secs(secs))
}

/// A root, `example.org` on two servers, and `cdn.test` on a third.
fn dns() -> Dns {
    let at = |last: u8| SocketAddr::from(([127, 0, 0, last], 53));
    let mut dns = Dns::new("root", at(1));
    dns.add_server("ns1", at(2));
    dns.add_server("ns2", at(3));
    dns.add_server("ns3", at(4));
    dns.add_zone("example.org", &["ns1", "ns2"]);
    dns.add_zone("cdn.test", &["ns3"]);
    for name in ["example.org", "*.wild.example.org"] {
        dns.add("example.org", name, Data::A([192, 0, 2, 1].into()), now());
    }
    dns
}

fn txt(value: &str) -> Data {
    Data::Txt(value.into())
}

fn texts(lookup: &Lookup) -> Vec<String> {
    let text = |data: &Data| match data {
        Data::Txt(text) => text.to_string(),
        other => panic!("{other:?}"),
    };
    lookup.data(Kind::Txt).map(text).collect()
}

fn add(dns: &mut Dns, server: &str, zone: &str, name: &str, data: Data) -> Option<Rcode> {
    let changes = vec![Change::Add(name.into(), data)];
    dns.update(server, &Update { zone: zone.into(), prerequisites: vec![], changes }, now())
}

#[test]
fn questions_are_answered_as_zones_say() {
    let mut dns = dns();
    dns.add("example.org", "a.b.example.org", txt("deep"), now());
    let cases = [
        ("example.org", Kind::A, "found 1"),
        ("x.wild.example.org", Kind::A, "found 1"),
        ("x.wild.example.org", Kind::Txt, "found 0"),
        ("b.example.org", Kind::A, "found 0"),
        ("c.example.org", Kind::A, "no name"),
        ("other.test", Kind::A, "no name"),
    ];
    for (name, kind, expected) in cases {
        let found = match dns.resolve(name, kind, now()) {
            Lookup::Found(records) => format!("found {}", records.len()),
            Lookup::NoName => "no name".to_owned(),
            failed => format!("{failed:?}"),
        };
        assert_eq!(found, expected, "{name} {kind:?}");
    }
}

#[test]
fn a_parent_refers_with_addresses_and_a_stranger_refuses() {
    let dns = dns();
    let referral = dns.ask("root", "www.example.org", Kind::A, now()).unwrap();
    assert_eq!(referral.referral().unwrap(), ["ns1".into(), "ns2".into()]);
    assert_eq!(referral.additional.len(), 2);
    let refused = dns.ask("ns3", "www.example.org", Kind::A, now()).unwrap();
    assert_eq!(refused.rcode, Rcode::Refused);
}

#[test]
fn a_cname_is_followed_into_another_zone() {
    let mut dns = dns();
    let alias = "_acme-challenge.example.org";
    dns.add("example.org", alias, Data::Cname("x.cdn.test".into()), now());
    assert_eq!(dns.resolve(alias, Kind::Txt, now()), Lookup::NoName);
    dns.add("cdn.test", "x.cdn.test", txt("foreign"), now());
    assert_eq!(texts(&dns.resolve(alias, Kind::Txt, now())), ["foreign"]);
    let place = dns.place(alias, now()).unwrap();
    assert_eq!((&*place.record, &*place.zone), ("x.cdn.test", "cdn.test"));
    assert_eq!(*place.servers, [dns.servers["ns3"].address]);
    // What is beside a CNAME cannot be added.
    assert_eq!(add(&mut dns, "ns1", "example.org", alias, txt("own")), Some(Rcode::NoError));
    assert_eq!(texts(&dns.resolve(alias, Kind::Txt, now())), ["foreign"]);
}

#[test]
fn a_cname_loop_ends_as_servfail() {
    let mut dns = dns();
    dns.add("example.org", "a.example.org", Data::Cname("b.cdn.test".into()), now());
    dns.add("cdn.test", "b.cdn.test", Data::Cname("a.example.org".into()), now());
    assert_eq!(dns.resolve("a.example.org", Kind::A, now()), Lookup::ServFail);
}

#[test]
fn after_a_move_the_old_zone_takes_updates_that_nobody_sees() {
    let mut dns = dns();
    dns.hold_zone("moved", "example.org", &["ns3"]);
    dns.delegate("example.org", &["ns3"]);
    let name = "_acme-challenge.example.org";
    assert_eq!(add(&mut dns, "ns1", "example.org", name, txt("v")), Some(Rcode::NoError));
    assert_eq!(dns.resolve(name, Kind::Txt, now()), Lookup::NoName);
    assert_eq!(dns.zone_of(name, now()), Some("moved"));
    assert_eq!(add(&mut dns, "ns3", "example.org", name, txt("w")), Some(Rcode::NoError));
    assert_eq!(texts(&dns.resolve(name, Kind::Txt, now())), ["w"]);
}

#[test]
fn a_server_that_lags_shows_additions_and_removals_late() {
    let mut dns = dns();
    dns.servers.get_mut("ns2").unwrap().lag = SignedDuration::from_secs(30);
    add(&mut dns, "ns1", "example.org", "t.example.org", txt("v"));
    let shows = |dns: &Dns, server, at| {
        let answer = dns.ask(server, "t.example.org", Kind::Txt, at).unwrap();
        !answer.answers.is_empty()
    };
    assert!(shows(&dns, "ns1", now()) && !shows(&dns, "ns2", now()));
    assert!(shows(&dns, "ns2", later(30)));
    dns.remove("example.org", "t.example.org", &txt("v"), later(40));
    assert!(!shows(&dns, "ns1", later(40)) && shows(&dns, "ns2", later(40)));
    assert!(!shows(&dns, "ns2", later(70)));
}

#[test]
fn values_are_added_and_deleted_one_by_one() {
    let mut dns = dns();
    let name = "_acme-challenge.example.org";
    add(&mut dns, "ns1", "example.org", name, txt("one"));
    add(&mut dns, "ns2", "example.org", name, txt("two"));
    let changes = vec![Change::Delete(name.into(), txt("one"))];
    let update = Update { zone: "example.org".into(), prerequisites: vec![], changes };
    dns.update("ns1", &update, later(1));
    assert_eq!(texts(&dns.resolve(name, Kind::Txt, later(1))), ["two"]);
}

#[test]
fn updates_are_refused_for_each_reason_of_rfc_2136() {
    let mut dns = dns();
    let name = "a.example.org";
    let update = |zone: &str, name: &str, prerequisites| Update {
        zone: zone.into(),
        prerequisites,
        changes: vec![Change::Add(name.into(), txt("v"))],
    };
    let exists = |name: &str| vec![Prerequisite::NameExists(name.into())];
    let missing = vec![Prerequisite::NameMissing("example.org".into())];
    let set = vec![Prerequisite::SetExists("example.org".into(), Kind::Txt)];
    let no_set = vec![Prerequisite::SetMissing("example.org".into(), Kind::A)];
    let value = vec![Prerequisite::ValueExists("example.org".into(), txt("no"))];
    let cases = [
        (update("other.org", name, vec![]), Rcode::NotAuth),
        (update("example.org", "a.cdn.test", vec![]), Rcode::NotZone),
        (update("example.org", name, exists("b.example.org")), Rcode::NxDomain),
        (update("example.org", name, missing), Rcode::YxDomain),
        (update("example.org", name, set), Rcode::NxRrSet),
        (update("example.org", name, no_set), Rcode::YxRrSet),
        (update("example.org", name, value), Rcode::NxRrSet),
        (update("example.org", name, exists("example.org")), Rcode::NoError),
    ];
    for (update, expected) in cases {
        assert_eq!(dns.update("ns1", &update, now()), Some(expected), "{update:?}");
    }
}

#[test]
fn faults_of_servers_zones_and_the_resolver_show_as_they_do() {
    let mut dns = dns();
    let resolve = |dns: &Dns| dns.resolve("example.org", Kind::A, now());
    dns.servers.get_mut("ns1").unwrap().fault = ServerFault::Silent;
    assert_eq!(resolve(&dns).data(Kind::A).count(), 1, "the second server answers");
    dns.servers.get_mut("ns2").unwrap().fault = ServerFault::Silent;
    assert_eq!(resolve(&dns), Lookup::Silence);
    dns.servers.get_mut("ns2").unwrap().fault = ServerFault::Refused;
    assert_eq!(resolve(&dns), Lookup::ServFail);
    dns.servers.get_mut("ns2").unwrap().fault = ServerFault::None;
    dns.zones.get_mut("example.org").unwrap().fault = ZoneFault::ServFail;
    assert_eq!(resolve(&dns), Lookup::ServFail);
    dns.zones.get_mut("example.org").unwrap().fault = ZoneFault::IgnoresUpdates;
    assert_eq!(
        add(&mut dns, "ns2", "example.org", "t.example.org", txt("v")),
        Some(Rcode::NoError)
    );
    assert_eq!(dns.resolve("t.example.org", Kind::Txt, now()), Lookup::NoName);
    dns.resolver = ServerFault::Silent;
    assert_eq!(resolve(&dns), Lookup::Silence);
}
