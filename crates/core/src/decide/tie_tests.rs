//! Tables of whose an address is, and what that makes of a look.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fleet::Shows::{Bad, New, Old};
use super::fleet::{Fleet, Shows, look, now, show};
use super::{Context, Draw, newly_seen};
use crate::action::AskKind;
use crate::finding::{Code, Finding};
use crate::intent::{Serves, Site, SiteHost};
use crate::state::{Certificate, DeployStep};
use crate::words::{Blame, Failure, FailureKind, Installed, Name, SightState};

const DEAD: Shows = Bad(SightState::Unreachable);
const BLIND: Shows = Bad(SightState::CannotLook);
const NO_TLS: Shows = Bad(SightState::NoTls);

type Lists<'a> = &'a [(&'a str, &'a [u8])];
type Look<'a> = &'a [(u8, Shows)];

/// Returns the targets at which the leaf counts as seen once the only endpoint shows this.
fn seen(targets: Lists<'_>, addresses: &[(u8, Shows)]) -> String {
    let (fleet, certificate) = Fleet::new(&["site.test"], targets);
    let seen = newly_seen(&fleet.state, &certificate, 0, &Ok(look(addresses)));
    seen.iter().map(Name::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_leaf_is_seen_where_a_targets_own_addresses_show_it() {
    let both: Lists<'_> = &[("a", &[1, 2]), ("b", &[3])];
    let cases: &[(Lists<'_>, Look<'_>, &str)] = &[
        // One target without a list owns every address.
        (&[("a", &[])], &[(1, New), (2, New)], "a"),
        (&[("a", &[])], &[(1, New), (2, Old)], ""),
        (&[("a", &[])], &[(1, New), (2, DEAD)], "a"),
        (&[("a", &[])], &[(1, New), (2, BLIND)], "a"),
        (&[("a", &[])], &[(1, New), (2, NO_TLS)], ""),
        (&[("a", &[])], &[(1, DEAD), (2, DEAD)], ""),
        (&[("a", &[])], &[(1, BLIND)], ""),
        (&[("a", &[])], &[], ""),
        // Two without lists share: each address has to show it.
        (&[("a", &[]), ("b", &[])], &[(1, New), (2, New)], "a b"),
        (&[("a", &[]), ("b", &[])], &[(1, New), (2, DEAD)], ""),
        (&[("a", &[]), ("b", &[])], &[(1, New), (2, BLIND)], "a b"),
        // Lists part them.
        (both, &[(1, New), (2, New), (3, New)], "a b"),
        (both, &[(1, New), (2, New), (3, DEAD)], "a"),
        (both, &[(1, New), (2, DEAD), (3, Old)], "a"),
        (both, &[(1, New), (2, Old), (3, New)], "b"),
        (both, &[(1, DEAD), (2, BLIND), (3, New)], "b"),
        // An address on nobody's list keeps nobody waiting who has one.
        (both, &[(1, New), (3, New), (9, DEAD)], "a b"),
        (both, &[(1, New), (3, New), (9, Old)], "a b"),
        // It belongs to the one that has none.
        (&[("a", &[1]), ("b", &[])], &[(1, New), (2, Old)], "a"),
        (&[("a", &[1]), ("b", &[])], &[(1, Old), (2, New)], "b"),
        (&[("a", &[1]), ("b", &[])], &[(1, New)], "a"),
        // An address on two lists is both's.
        (&[("a", &[1]), ("b", &[1, 2])], &[(1, Old), (2, New)], ""),
    ];
    for (targets, addresses, expected) in cases {
        assert_eq!(seen(targets, addresses), *expected, "{targets:?} {addresses:?}");
    }
}

#[test]
fn an_address_more_that_shows_the_newest_never_unsees_a_target() {
    let one: &[(u8, Shows)] = &[(1, New), (2, DEAD), (3, Old)];
    for lists in [&[("a", &[1_u8, 2] as &[u8]), ("b", &[3])], &[("a", &[1]), ("b", &[2, 3])]] {
        let before = seen(lists, one);
        for more in 1..6 {
            let mut addresses = one.to_vec();
            addresses.push((more, New));
            assert!(seen(lists, &addresses).contains(&before), "{lists:?} {more}");
        }
    }
}

#[test]
fn what_was_not_looked_at_yet_is_waited_for_and_what_cannot_be_is_not() {
    let names = ["shop.test", "site.test"];
    let (fleet, mut certificate) = Fleet::new(&names, &[("a", &[1]), ("b", &[2])]);
    let shown = Ok(look(&[(1, New), (2, New)]));
    let seen = |certificate: &Certificate| newly_seen(&fleet.state, certificate, 0, &shown).len();
    assert_eq!(fleet.targets(), 2);
    assert_eq!(seen(&certificate), 0);
    let failure = Failure {
        kind: FailureKind::Transient,
        blame: Blame::Endpoint("site.test:443".into()),
        attempted: "look".into(),
        cause: "no such name".into(),
        problem: None,
    };
    show(&mut certificate, 1, now(), Err(failure));
    assert_eq!(seen(&certificate), 2);
    let (fleet, mut shared) = Fleet::new(&names, &[("a", &[]), ("b", &[])]);
    shared.endpoints[1] = certificate.endpoints[1].clone();
    assert_eq!(newly_seen(&fleet.state, &shared, 0, &shown).len(), 0);
}

#[test]
fn hosts_and_ports_part_targets_too() {
    let (mut fleet, mut certificate) = Fleet::new(&["site.test"], &[("a", &[1]), ("b", &[1])]);
    let list = |host: SiteHost, port| -> Box<[Site]> { Box::new([Site { host, port }]) };
    let mut declare = |name: &str, sites: Box<[Site]>| {
        fleet.state.targets.get_mut(&Name::new(name)).unwrap().spec.serves_at = sites;
    };
    declare("a", list(SiteHost::Name("one.internal".into()), None));
    declare("b", list(SiteHost::Address(super::fleet::address(1).ip()), Some(8443)));
    let mut specs = certificate.spec.endpoints.to_vec();
    specs[0].connect_to = Some("one.internal".into());
    specs.push(specs[0].clone());
    specs[1].connect_to = None;
    specs[1].port = 8443;
    certificate.spec.endpoints = specs.into();
    certificate.endpoints = certificate.endpoints.iter().cycle().take(2).cloned().collect();
    show(&mut certificate, 0, now(), Ok(look(&[(1, Old)])));
    let seen = newly_seen(&fleet.state, &certificate, 1, &Ok(look(&[(1, New)])));
    let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
    assert_eq!(seen, ["b"]);
}

/// Returns what is found once the only endpoint shows this.
fn found(targets: Lists<'_>, addresses: &[(u8, Shows)]) -> Vec<Finding> {
    let (fleet, mut certificate) = Fleet::new(&["site.test"], targets);
    show(&mut certificate, 0, now(), Ok(look(addresses)));
    decided(&fleet, &certificate).findings
}

fn decided(fleet: &Fleet, certificate: &Certificate) -> super::Decision {
    let cx = Context { state: &fleet.state, now: now(), draw: Draw(1) };
    super::certificate(&cx, &Name::new("site"), certificate)
}

#[test]
fn an_old_leaf_is_the_fault_of_the_target_whose_address_it_is() {
    let lists: Lists<'_> = &[("a", &[1, 2]), ("b", &[3])];
    let all = found(lists, &[(1, Old), (2, Old), (3, New), (9, Old)]);
    let told: Vec<_> = all.iter().map(|finding| (finding.code, &*finding.subject)).collect();
    let elsewhere = "site.test:443 [192.0.2.9:443]";
    assert_eq!(told, [(Code::TargetNotReloaded, elsewhere), (Code::TargetNotReloaded, "a")]);
    assert_eq!(all[1].blame, Some(Blame::Target(Name::new("a"))));
    for place in ["192.0.2.1:443 (site.test)", "192.0.2.2:443"] {
        assert!(all[1].evidence.contains(place), "{}", all[1].evidence);
    }
}

#[test]
fn what_keeps_clients_from_being_shown_it_is_told_of_the_target_and_beside_its_old_leaf() {
    let (fleet, mut certificate) = Fleet::new(&["site.test"], &[("a", &[1]), ("b", &[2])]);
    let lying = Installed {
        leaf: Some(Arc::clone(&certificate.leaf.as_ref().unwrap().facts)),
        ours: true,
        staged: Box::default(),
        key_matches: Some(true),
        remarks: Box::new(["the server block of x (nginx.conf line 3)".into()]),
        leftovers: Box::default(),
    };
    let newest = certificate.leaf.clone();
    let looked = Ok(lying.clone());
    assert!(!certificate.targets[0].shows(&looked, newest.as_deref()), "a remark is news");
    certificate.targets[0].inspect(&looked, newest.as_deref());
    assert!(certificate.targets[0].shows(&looked, newest.as_deref()));

    let table = [
        (New, &[Code::TargetNotServed][..]),
        (Old, &[Code::TargetNotReloaded, Code::TargetNotServed]),
    ];
    for (shown, expected) in table {
        show(&mut certificate, 0, now(), Ok(look(&[(1, shown), (2, New)])));
        let mut all = decided(&fleet, &certificate).findings;
        all.sort_by_key(|finding| finding.code.as_str());
        let codes: Vec<_> = all.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, expected);
        for finding in all {
            assert_eq!(&*finding.subject, "a");
            assert!(finding.evidence.contains("(nginx.conf line 3)"), "{}", finding.evidence);
        }
    }
    let mended = Ok(Installed { remarks: Box::default(), ..lying });
    certificate.targets[0].inspect(&mended, newest.as_deref());
    assert_eq!(certificate.targets[0].remarks, None);
}

#[test]
fn a_dead_address_is_the_endpoints_fault_alone() {
    let all = found(&[("a", &[1, 2]), ("b", &[3])], &[(1, New), (2, DEAD), (3, DEAD)]);
    let codes: Vec<_> = all.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::EndpointUnreachable; 2]);
    assert!(all.iter().all(|finding| matches!(finding.blame, Some(Blame::Endpoint(_)))));
}

#[test]
fn a_target_that_no_endpoint_leads_to_is_told() {
    let all = found(&[("a", &[1]), ("b", &[7, 8])], &[(1, New)]);
    let told: Vec<_> = all.iter().map(|finding| (finding.code, &*finding.subject)).collect();
    assert_eq!(told, [(Code::TargetUnwatched, "b")]);
    assert!(all[0].evidence.contains("192.0.2.7, 192.0.2.8"), "{}", all[0].evidence);
}

/// Returns how often is looked at each target's store and at each endpoint, in minutes.
fn pace(fleet: &Fleet, certificate: &Certificate) -> (Vec<i64>, Vec<i64>) {
    let asks = decided(fleet, certificate).asks;
    let of = |is_probe: bool| {
        let own = asks.iter().filter(|ask| matches!(ask.kind, AskKind::Probe { .. }) == is_probe);
        own.map(|ask| ask.every.as_mins()).collect()
    };
    (of(false), of(true))
}

#[test]
fn only_looks_that_may_show_an_unseen_target_are_hastened() {
    let names = ["shop.test", "site.test"];
    let (fleet, mut certificate) = Fleet::new(&names, &[("a", &[1]), ("b", &[2])]);
    show(&mut certificate, 0, now(), Ok(look(&[(1, New)])));
    show(&mut certificate, 1, now(), Ok(look(&[(2, New)])));
    certificate.targets[0].step = DeployStep::Seen { leaf: 2, at: now() };
    certificate.targets[1].step = DeployStep::Activated { leaf: 2, at: now() };
    let hour = 60;
    assert_eq!(pace(&fleet, &certificate), (Vec::from([360, 360]), Vec::from([hour, 0])));
}

#[test]
fn the_store_of_a_target_that_shows_an_old_leaf_again_is_looked_at_soon() {
    let (fleet, mut certificate) = Fleet::new(&["site.test"], &[("a", &[1]), ("b", &[2])]);
    show(&mut certificate, 0, now(), Ok(look(&[(1, New), (2, Old)])));
    for ledger in &mut certificate.targets {
        ledger.step =
            DeployStep::Seen { leaf: 2, at: crate::words::after(now(), super::fleet::days(-1)) };
    }
    assert_eq!(pace(&fleet, &certificate), (Vec::from([360, 5]), Vec::from([5])));
    certificate.spec.endpoints[0].serves = Serves::Foreign;
    assert_eq!(pace(&fleet, &certificate).0, [360, 360]);
}
