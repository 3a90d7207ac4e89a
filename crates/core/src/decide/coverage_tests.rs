//! Tables and properties of coverage and of the runway that follows from it.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jiff::Timestamp;
use proptest::prelude::*;

use super::fleet::Shows::{Bad, New, Old};
use super::fleet::{Fleet, Shows, days, facts, look, now, show};
use super::{Cell, Lack, Proof, Runway, coverage};
use crate::state::{Certificate, DeployStep, Found};
use crate::words::{SightState, after};

const DEAD: Shows = Bad(SightState::Unreachable);
const REFUSED: Shows = Bad(SightState::Untrusted);

/// Returns in how many whole days a moment is.
fn in_days(at: Timestamp) -> i64 {
    at.duration_since(now()).as_hours() / 24
}

fn told(cell: &Cell<'_>) -> String {
    let proof = match cell.proof {
        Proof::Seen { shown, of } => format!("seen {shown}/{of}"),
        Proof::Found => "found".into(),
        Proof::Unknown => "unknown".into(),
        Proof::Uncovered(Lack::Served(address, state)) => format!("{state:?} at {}", address.ip()),
        Proof::Uncovered(Lack::NotForIt) => "not for it".into(),
        Proof::Uncovered(Lack::Nothing) => "nothing".into(),
    };
    let target = cell.target.map_or("elsewhere", |target| target.as_str());
    let until = cell.until.map_or_else(|| "?".into(), |until| format!("{}", in_days(until)));
    format!("{}@{target}: {proof} {until}", cell.identifier)
}

fn table(fleet: &Fleet, certificate: &Certificate) -> Vec<String> {
    coverage(&fleet.state, certificate).iter().map(told).collect()
}

#[test]
fn each_name_stands_at_each_target_as_handshakes_show() {
    let names = ["*.site.test", "shop.test", "site.test"];
    let (fleet, mut certificate) = Fleet::new(&names, &[("a", &[1, 2]), ("b", &[3])]);
    show(&mut certificate, 0, now(), Ok(look(&[(1, New), (2, DEAD), (3, Old)])));
    show(&mut certificate, 1, now(), Ok(look(&[(1, New), (3, REFUSED), (9, Old)])));
    let expected = [
        "*.site.test@a: found 89",
        "*.site.test@b: found 89",
        "shop.test@a: seen 1/2 89",
        "shop.test@b: seen 1/1 29",
        "site.test@a: seen 1/1 89",
        "site.test@b: Untrusted at 192.0.2.3 0",
        "site.test@elsewhere: seen 1/1 29",
    ];
    assert_eq!(table(&fleet, &certificate), expected);
    assert_eq!(Runway::of(&certificate).lapse_at, now());
}

#[test]
fn where_no_handshake_tells_the_store_stands_in_and_proves_nothing() {
    let names = ["shop.test", "site.test"];
    let (fleet, mut certificate) =
        Fleet::new(&names, &[("a", &[1]), ("b", &[2]), ("c", &[3]), ("d", &[4])]);
    let all = look(&[(1, DEAD), (2, DEAD), (3, DEAD), (4, DEAD)]);
    show(&mut certificate, 0, now(), Ok(all.clone()));
    show(&mut certificate, 1, now(), Ok(all));
    for ledger in &mut certificate.targets {
        ledger.step = DeployStep::Behind;
    }
    let old = |names: &[&str]| Arc::new(facts(1, names));
    let lying = |facts, key_matches| Found::Leaf { facts, ours: true, key_matches };
    certificate.targets[0].found = lying(old(&["site.test"]), true);
    certificate.targets[1].found = Found::Nothing { ours: true };
    certificate.targets[2].found = Found::Unlooked;
    certificate.targets[3].found = lying(old(&names), false);
    let expected = [
        "shop.test@a: not for it ?",
        "shop.test@b: nothing ?",
        "shop.test@c: unknown ?",
        "shop.test@d: nothing ?",
        "site.test@a: found 29",
        "site.test@b: nothing ?",
        "site.test@c: unknown ?",
        "site.test@d: nothing ?",
    ];
    assert_eq!(table(&fleet, &certificate), expected);
    assert_eq!(in_days(Runway::of(&certificate).lapse_at), 29);
}

#[test]
fn a_wildcard_is_not_covered_by_a_leaf_for_a_host_below_it() {
    let (fleet, mut certificate) = Fleet::new(&["*.site.test", "www.site.test"], &[("a", &[])]);
    Arc::make_mut(&mut certificate.leaf.as_mut().unwrap().facts).identifiers =
        [super::fleet::id("www.site.test")].into();
    show(&mut certificate, 0, now(), Ok(look(&[(1, New)])));
    let expected = ["*.site.test@a: not for it 89", "www.site.test@a: seen 1/1 89"];
    assert_eq!(table(&fleet, &certificate), expected);
}

#[test]
fn what_clients_refuse_is_a_lapse_a_day_after_the_leaf_set_out() {
    for (age, expected) in [(0, 1), (1, 0), (30, 0)] {
        let (_, mut certificate) = Fleet::new(&["site.test"], &[("a", &[])]);
        certificate.leaf.as_mut().unwrap().since = after(now(), days(-age));
        show(&mut certificate, 0, now(), Ok(look(&[(1, REFUSED), (2, New)])));
        let runway = Runway::of(&certificate);
        assert_eq!(in_days(runway.lapse_at), expected, "{age}");
        assert_eq!(runway.is_in_reserve(now()), expected == 0, "{age}");
    }
}

fn shows() -> impl Strategy<Value = Shows> {
    prop_oneof![
        4 => Just(New),
        3 => Just(Old),
        2 => Just(DEAD),
        1 => Just(Bad(SightState::CannotLook)),
        1 => Just(Bad(SightState::NoTls)),
        1 => Just(REFUSED),
    ]
}

/// What of three addresses is on the lists of two targets, what the addresses show under each of two
/// names, and whether the targets were told of the newest leaf.
type Told = (Vec<u8>, Vec<u8>, Vec<Shows>, Vec<Shows>, [bool; 2]);

fn fleets() -> impl Strategy<Value = Told> {
    let list = || prop::collection::vec(1..4_u8, 0..3);
    let sight = || prop::collection::vec(shows(), 0..4);
    (list(), list(), sight(), sight(), any::<[bool; 2]>())
}

const NAMES: [&str; 3] = ["*.site.test", "shop.test", "site.test"];

fn numbered(sight: &[Shows]) -> Vec<(u8, Shows)> {
    (1..).zip(sight.iter().copied()).collect()
}

fn fleet((one, two, shop, site, active): &Told) -> (Fleet, Certificate) {
    let (fleet, mut certificate) = Fleet::new(&NAMES, &[("a", one), ("b", two), ("c", &[7])]);
    show(&mut certificate, 0, now(), Ok(look(&numbered(shop))));
    show(&mut certificate, 1, now(), Ok(look(&numbered(site))));
    for (ledger, active) in certificate.targets.iter_mut().zip(active) {
        if !active {
            ledger.step = DeployStep::Behind;
            ledger.found =
                Found::Leaf { facts: Arc::new(facts(1, &NAMES)), ours: true, key_matches: true };
        }
    }
    (fleet, certificate)
}

proptest! {
    #[test]
    fn the_runway_is_the_least_of_the_table_and_of_what_is_held(told in fleets()) {
        let (fleet, certificate) = fleet(&told);
        let held = certificate.leaf.as_ref().unwrap().facts.ends_at();
        let cells = coverage(&fleet.state, &certificate);
        let least = cells.iter().filter_map(|cell| cell.until).fold(held, Timestamp::min);
        prop_assert_eq!(Runway::of(&certificate).lapse_at, least, "{:?}", cells);
        prop_assert!(cells.len() >= NAMES.len() * 3);
    }

    #[test]
    fn one_more_address_that_serves_the_newest_leaf_never_shortens_the_runway(
        told in fleets(), on_list in any::<bool>(),
    ) {
        let before = Runway::of(&fleet(&told).1);
        let mut more = told;
        more.2.push(New);
        if on_list {
            more.0.push(u8::try_from(more.2.len()).unwrap());
        }
        let after = Runway::of(&fleet(&more).1);
        prop_assert_eq!(before.lapse_at, after.lapse_at);
    }

    #[test]
    fn one_more_target_that_serves_the_newest_leaf_never_shortens_the_runway(told in fleets()) {
        let (_, mut certificate) = fleet(&told);
        let before = Runway::of(&certificate);
        let (_, other) = Fleet::new(&NAMES, &[("new", &[6])]);
        let mut ledgers = certificate.targets.to_vec();
        ledgers.extend(other.targets.iter().cloned());
        certificate.targets = ledgers.into();
        show(&mut certificate, 0, now(), Ok(look(&[&numbered(&told.2)[..], &[(6, New)]].concat())));
        prop_assert_eq!(before, Runway::of(&certificate));
    }

    #[test]
    fn a_name_is_whole_only_where_nothing_else_was_shown(told in fleets()) {
        let (fleet, certificate) = fleet(&told);
        for cell in coverage(&fleet.state, &certificate) {
            if cell.is_whole(now()) {
                prop_assert!(!matches!(cell.proof, Proof::Uncovered(_) | Proof::Unknown));
                prop_assert!(cell.until.unwrap() >= Runway::of(&certificate).lapse_at);
            }
        }
    }
}
