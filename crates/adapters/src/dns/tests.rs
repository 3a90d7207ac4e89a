//! Looking at real servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use perennial_core::action::{AskKind, Reply};
use perennial_core::words::{
    Answer, Blame, ChallengeKind, FailureKind, Identifier, Name, Place, Showing, Slot,
};
use perennial_peers::{Bind, DnsOptions, Knot, Port, Zone};
use perennial_wire::authorization::txt_value;
use perennial_wire::dns::Resolver;

use super::*;

fn places(resolver: SocketAddr, settings: PlaceSettings) -> Places {
    let resolver = Resolver::recursive(vec![resolver]).with_port(resolver.port());
    Places::new(resolver, BTreeMap::from([(Name::new("ns"), settings)]))
}

async fn locate(places: &Places, name: &str) -> Reply {
    locate_for(places, name, ChallengeKind::Dns01).await
}

async fn locate_for(places: &Places, name: &str, kind: ChallengeKind) -> Reply {
    let (solver, identifier) = (Name::new("ns"), Identifier::new(name).unwrap());
    let account = "https://example.com/acme/acct/ExampleAccount".into();
    places.ask(&AskKind::Locate { solver, identifier, kind, account }).await
}

fn place(record: &str, zone: &str, servers: &[SocketAddr]) -> Reply {
    Reply::Place(Place { record: record.into(), zone: zone.into(), servers: servers.into() })
}

fn following() -> PlaceSettings {
    PlaceSettings { follows_cname: true, ..PlaceSettings::default() }
}

#[tokio::test]
async fn the_chain_is_followed_to_the_zone_and_the_servers_at_its_end() {
    let bind = Bind::start(DnsOptions::serving([
        Zone::new("example.org", "_acme-challenge.www CNAME www.acme.example.net."),
        Zone::new("acme.example.net", "www CNAME deep.www"),
        Zone::new("sub.example.org", ""),
        Zone::new(
            "labelled.example",
            "_ujmmovf2vn55tgye._acme-challenge CNAME one.acme.example.net.",
        ),
        Zone::new("loop.example", "_acme-challenge CNAME other\nother CNAME _acme-challenge"),
    ]))
    .await
    .unwrap();
    let at = [bind.addr()];
    let places = places(bind.addr(), following());
    let table = [
        ("www.example.org", "deep.www.acme.example.net", "acme.example.net"),
        ("*.example.org", "_acme-challenge.example.org", "example.org"),
        ("a.b.example.org", "_acme-challenge.a.b.example.org", "example.org"),
        ("sub.example.org", "_acme-challenge.sub.example.org", "sub.example.org"),
    ];
    for (name, record, zone) in table {
        assert_eq!(locate(&places, name).await, place(record, zone, &at), "{name}");
    }
    // The chain of an account begins at a name of its own.
    let of_account = |name| locate_for(&places, name, ChallengeKind::DnsAccount01);
    let delegated = place("one.acme.example.net", "acme.example.net", &at);
    assert_eq!(of_account("*.labelled.example").await, delegated);
    let labelled = "_ujmmovf2vn55tgye._acme-challenge.www.example.org";
    assert_eq!(of_account("www.example.org").await, place(labelled, "example.org", &at));

    let Reply::Failed(failed) = locate(&places, "loop.example").await else { panic!() };
    // BIND gives up by SERVFAIL; servers that do not follow chains leave the circle to us.
    assert_eq!(failed.blame, Blame::Name(Identifier::new("loop.example").unwrap()));

    let literal = super::tests::places(bind.addr(), PlaceSettings::default());
    let expected = place("_acme-challenge.www.example.org", "example.org", &at);
    assert_eq!(locate(&literal, "www.example.org").await, expected);
}

#[tokio::test]
async fn configured_servers_stand_for_those_found_and_the_solvers_own_for_none() {
    let records =
        "@ SOA ns.nowhere.example. hostmaster 1 3600 600 86400 1\n@ NS ns.nowhere.example.";
    let bind = Bind::start(DnsOptions::serving([
        Zone::new("example.org", records),
        Zone::new("nowhere.example", "@ SOA a hostmaster 1 3600 600 86400 1\n@ NS a.example.org."),
    ]))
    .await
    .unwrap();
    let record = "_acme-challenge.example.org";
    let own = PlaceSettings { server: Some(bind.addr().into()), ..following() };
    let found = locate(&places(bind.addr(), own.clone()), "example.org").await;
    assert_eq!(found, place(record, "example.org", &[bind.addr()]));
    let found = locate(&places(bind.addr(), following()), "example.org").await;
    let Reply::Failed(failed) = found else { panic!("nobody could show the answer: {found:?}") };
    assert_eq!(failed.blame, Blame::Zone("example.org".into()));
    let other: SocketAddr = "127.0.0.9:5353".parse().unwrap();
    let settings = PlaceSettings { nameservers: vec![other], ..own };
    let found = locate(&places(bind.addr(), settings), "example.org").await;
    assert_eq!(found, place(record, "example.org", &[other]));
}

#[tokio::test]
async fn whose_fault_it_is_when_nothing_is_found() {
    let bind = Bind::start(DnsOptions::serving([Zone::new("example.org", "")])).await.unwrap();
    let places_here = places(bind.addr(), following());
    let Reply::Failed(refused) = locate(&places_here, "192.0.2.1").await else { panic!() };
    assert_eq!(refused.kind, FailureKind::Refused);

    let dead = Port::free().unwrap();
    let Reply::Failed(failed) = locate(&places(dead.v4(), following()), "example.org").await else {
        panic!()
    };
    assert_eq!((failed.kind, failed.blame), (FailureKind::Transient, Blame::Ourselves));

    let ask = AskKind::Directory { issuer: Name::new("x") };
    let Reply::Failed(failed) = places_here.ask(&ask).await else { panic!() };
    assert_eq!(failed.blame, Blame::Ourselves);
    let unknown = AskKind::Locate {
        solver: Name::new(&Slot("x".into()).to_string()),
        identifier: Identifier::new("example.org").unwrap(),
        kind: ChallengeKind::Dns01,
        account: "https://example.com/acme/acct/1".into(),
    };
    let Reply::Failed(failed) = places_here.ask(&unknown).await else { panic!() };
    assert_eq!(failed.blame, Blame::Ourselves);
}

#[tokio::test]
async fn servers_are_sorted_into_showing_lagging_and_silent() {
    let mut answer = Answer {
        solver: Name::new("ns"),
        kind: ChallengeKind::Dns01,
        identifier: Identifier::new("example.org").unwrap(),
        token: "token".into(),
        thumbprint: "thumb".into(),
        place: None,
        standing: None,
    };
    let value = txt_value(&answer);
    let zone = |text: &str| DnsOptions::serving([Zone::new("example.org", text)]);
    // Among so many others that the answer does not fit into a datagram.
    let crowd: String =
        (0..60).map(|n| format!("_acme-challenge TXT \"{n:043}\"\n")).collect::<Vec<_>>().concat();
    let shows =
        Bind::start(zone(&format!("{crowd}_acme-challenge TXT \"{value}\""))).await.unwrap();
    let lags = Knot::start(zone("_acme-challenge TXT \"an older one\"")).await.unwrap();
    let empty = Knot::start(zone("")).await.unwrap();
    let elsewhere = Knot::start(DnsOptions::serving([Zone::new("example.net", "")])).await.unwrap();
    let dead = Port::free().unwrap();
    let servers = [shows.addr(), lags.addr(), empty.addr(), elsewhere.addr(), dead.v4()];
    answer.place = Some(Place {
        record: "_acme-challenge.example.org".into(),
        zone: "example.org".into(),
        servers: servers.into(),
    });

    let places = places(shows.addr(), following());
    let Reply::Showing(mut seen) = places.ask(&AskKind::Look { answer }).await else { panic!() };
    seen.lagging.sort();
    seen.silent.sort();
    let mut lagging = vec![lags.addr(), empty.addr()];
    let mut silent = vec![elsewhere.addr(), dead.v4()];
    lagging.sort();
    silent.sort();
    assert_eq!(seen, Showing { showing: vec![shows.addr()], lagging, silent });
}
