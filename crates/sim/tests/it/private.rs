//! CAs of one's own with leaves of a day: in normal life nobody hears of them.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use perennial_core::event::{Decoded, Event};
use perennial_core::intent::IssuerKind;
use perennial_core::words::{Name, Permille, after};
use perennial_sim::model::Dice;
use perennial_sim::model::ca::{Ca, CaConfig, Limits, Profile};
use perennial_sim::world::{Scenario, World};

use crate::begin;

const CERTIFICATES: usize = 8;

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// A CA as step-ca and Vault are: one profile that nobody can ask for, no renewal information, no
/// terms, no limits, no list of CAA identities; every order is proven anew.
fn own(lifetime: SignedDuration) -> CaConfig {
    let chain_until = after(begin(), hours(24 * 365 * 5));
    let lets_encrypt = CaConfig::like_lets_encrypt("https://ca.test", chain_until);
    let only = Profile {
        description: "the only one".into(),
        lifetime,
        order_lifetime: hours(24),
        pending_lifetime: hours(24),
        reuse_lifetime: hours(24),
        max_names: 100,
        addresses: true,
    };
    CaConfig {
        issued_by: "Example Intermediate CA".into(),
        root: "Example Root CA".into(),
        for_clients: true,
        profiles: BTreeMap::from([("only".into(), only)]),
        default_profile: "only".into(),
        profiles_shown: false,
        renewal_info: false,
        terms: false,
        caa_identities: Box::default(),
        reuse: Permille::new(0),
        issuing_takes: SignedDuration::ZERO,
        processing_polls: 0,
        limits: Limits::GENEROUS,
        ..lets_encrypt
    }
}

/// Lives through so many days with a CA.
fn live(seed: u64, config: CaConfig, days: i64, change: impl FnOnce(&mut World)) -> World {
    let mut scenario = Scenario::new(seed, begin());
    scenario.outside.cas.insert(Name::new("ca"), Ca::new(config, Dice::new(seed)));
    scenario.intent.issuers.get_mut(&Name::new("ca")).unwrap().kind = IssuerKind::Private;
    for number in 0..CERTIFICATES {
        let (name, plain) = (format!("site{number}"), format!("site{number}.internal"));
        let wildcard = format!("*.{plain}");
        let (names, solver): (&[&str], _) = match number % 2 {
            0 => (&[&plain, &wildcard], "dns"),
            _ => (&[&plain], "web"),
        };
        scenario = scenario.with(&name, names, solver, &["web1", "web2"]);
    }
    let mut world = World::new(seed, scenario);
    change(&mut world);
    world.run_until(after(begin(), hours(24 * days)));
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
    world
}

/// Returns every finding that was ever opened, and how many leaves were kept.
fn told(world: &World) -> (Vec<String>, usize) {
    let (mut incidents, mut kept) = (Vec::new(), 0);
    for record in world.records() {
        let Decoded::Event(event) = Event::decode(&record.kind, &record.body) else { continue };
        match *event {
            Event::IncidentOpened(opened) => incidents.push(format!(
                "{} {} {} {}: {}",
                record.at,
                record.stream,
                opened.code.as_str(),
                opened.subject,
                opened.evidence
            )),
            Event::ChainSeen(_) => kept += 1,
            _ => {}
        }
    }
    (incidents, kept)
}

#[test]
fn a_month_of_leaves_of_a_day_raises_no_alarm() {
    let world = live(1, own(hours(24)), 30, |_| ());
    let (incidents, kept) = told(&world);
    assert_eq!(incidents, Vec::<String>::new());
    // Renewed at half of the life: twice a day, each.
    assert!((58 * CERTIFICATES..=70 * CERTIFICATES).contains(&kept), "{kept}");
}

#[test]
fn a_ca_that_asks_for_no_challenge_and_refuses_nonces_raises_none_either() {
    let config = CaConfig { pre_approved: true, ..own(hours(24)) };
    let world = live(2, config, 30, |world| {
        let ca = world.outside.cas.get_mut(&Name::new("ca")).unwrap();
        ca.faults.bad_nonces = Permille::new(10);
    });
    assert_eq!(told(&world).0, Vec::<String>::new());
}

#[test]
fn nor_does_one_whose_leaves_live_for_four_hours() {
    let world = live(3, own(hours(4)), 7, |_| ());
    let (incidents, kept) = told(&world);
    assert_eq!(incidents, Vec::<String>::new());
    assert!(kept > 100 * CERTIFICATES, "{kept}");
}
