//! What is waited for, and for how long.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::ActKind;
use perennial_core::event::{Decoded, Event};
use perennial_core::finding::Code;
use perennial_core::intent::IssuerSpec;
use perennial_core::record::Record;
use perennial_core::words::{Blame, Identifier, Name, after};
use perennial_sim::model::Dice;
use perennial_sim::model::ca::{Ca, CaConfig, Outage};
use perennial_sim::model::host::Met;
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

const fn mins(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn fine(world: &World) {
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}

fn events(world: &World) -> impl Iterator<Item = (&Record, Event)> {
    world.records().iter().filter_map(|record| match Event::decode(&record.kind, &record.body) {
        Decoded::Event(event) => Some((record, *event)),
        Decoded::Unknown | Decoded::Unreadable(_) => None,
    })
}

/// Returns when acts were admitted that are of a kind.
fn started(world: &World, is_it: impl Fn(&ActKind) -> bool) -> Vec<Timestamp> {
    let started = events(world).filter_map(|(record, event)| match event {
        Event::Started(started) if is_it(&started.act) => Some(record.at),
        _ => None,
    });
    started.collect()
}

fn is_open(world: &World, certificate: &str, code: Code) -> bool {
    let state = world.driver().unwrap().state();
    let certificate = state.certificate(state.id(&Name::new(certificate)).unwrap()).unwrap();
    certificate.history.incidents.iter().any(|incident| incident.code == code)
}

fn is_covered(world: &World, certificate: &str) -> bool {
    let state = world.driver().unwrap().state();
    let certificate = state.certificate(state.id(&Name::new(certificate)).unwrap()).unwrap();
    let leaf = certificate.leaf.as_ref();
    leaf.is_some_and(|leaf| {
        certificate.targets.iter().all(|ledger| {
            matches!(ledger.step, perennial_core::state::DeployStep::Seen { leaf: seen, .. } if seen == leaf.number)
        })
    })
}

/// Makes a zone on two servers, of which one lags, or both.
fn two_servers(seed: u64, lags: [SignedDuration; 2]) -> World {
    let mut scenario = Scenario::new(seed, begin()).with("site", &["site.test"], "dns", &["web1"]);
    let dns = &mut scenario.outside.dns;
    let (first, second) = (scenario.outside.primary.clone(), "ns2.provider.test");
    dns.add_server(second, std::net::SocketAddr::from(([127, 0, 2, 53], 53)));
    dns.add_zone("site.test", &[&first, second]);
    for (name, lag) in [&*first, second].into_iter().zip(lags) {
        dns.servers.get_mut(name).unwrap().lag = lag;
    }
    World::new(seed, scenario)
}

#[test]
fn one_server_that_lags_is_waited_for_told_of_and_forgotten() {
    let mut world = two_servers(31, [SignedDuration::ZERO, hours(2)]);
    assert!(world.settle_until(after(begin(), mins(30))));
    let responded = started(&world, |act| matches!(act, ActKind::Respond { .. }));
    assert_eq!(responded.len(), 1);
    // All the time that the solver is given was waited.
    assert!(responded[0] >= after(begin(), mins(5)), "{responded:?}");
    assert!(is_open(&world, "site", Code::DnsServerLags));
    let told = events(&world).find_map(|(_, event)| match event {
        Event::IncidentOpened(opened) if opened.code == Code::DnsServerLags => Some(opened),
        _ => None,
    });
    let told = told.unwrap();
    assert!(told.evidence.starts_with("127.0.2.53:53 "), "{}", told.evidence);
    assert_eq!(told.blame, Some(Blame::Zone("site.test".into())));
    world.run_for(hours(25));
    assert!(!is_open(&world, "site", Code::DnsServerLags));
    // It opens again while it lags, and is gone at once when it does not.
    world.renew("site");
    world.run_for(mins(30));
    assert!(is_open(&world, "site", Code::DnsServerLags));
    world.outside.dns.servers.get_mut("ns2.provider.test").unwrap().lag = SignedDuration::ZERO;
    world.renew("site");
    world.run_for(mins(30));
    assert!(!is_open(&world, "site", Code::DnsServerLags));
    world.check_settled();
    fine(&world);
}

#[test]
fn a_ca_is_never_told_of_an_answer_that_no_server_shows() {
    let mut world = two_servers(32, [hours(2), hours(2)]);
    world.run_for(mins(50));
    let responded = started(&world, |act| matches!(act, ActKind::Respond { .. }));
    assert_eq!(responded, []);
    assert!(is_open(&world, "site", Code::DnsAnswerInvisible));
    assert!(!is_open(&world, "site", Code::DnsServerLags));
    fine(&world);
}

/// Returns when attempts ended without a leaf.
fn failures(world: &World) -> Vec<Timestamp> {
    let ended = events(world)
        .filter_map(|(record, event)| matches!(event, Event::AttemptEnded(_)).then_some(record.at));
    ended.collect()
}

#[test]
fn a_name_that_fails_is_tried_four_times_in_any_day_and_hourly_in_the_reserve() {
    for seed in 40..44 {
        let scenario = Scenario::new(seed, begin()).with("site", &["site.test"], "web", &["web1"]);
        let mut world = World::new(seed, scenario);
        assert!(world.settle_until(after(begin(), hours(1))));
        world.outside.dark_names = vec![Identifier::new("site.test").unwrap()];
        // Past the planned renewal, the margin is 30 days and the reserve its last week.
        world.run_until(after(begin(), hours(24 * 80)));
        let failed = failures(&world);
        assert!(failed.len() > 40, "{}", failed.len());
        for five in failed.windows(5) {
            assert!(five[4].duration_since(five[0]) >= hours(24), "{five:?}");
        }
        world.run_until(after(begin(), hours(24 * 84)));
        let before = failures(&world).len();
        world.run_for(hours(24));
        let in_a_day = failures(&world).len() - before;
        assert!((18..=24).contains(&in_a_day), "{in_a_day} in a day of the reserve");
    }
}

#[test]
fn a_server_that_is_not_reloaded_is_told_again_at_growing_distances() {
    let scenario = Scenario::new(33, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(33, scenario);
    assert!(world.settle_until(after(begin(), hours(1))));
    world.outside.set_deaf(&Name::new("web1"), true);
    world.renew("site");
    let since = world.now();
    world.run_for(hours(24));
    let told = started(&world, |act| matches!(act, ActKind::Activate { .. }));
    let told: Vec<Timestamp> = told.into_iter().filter(|at| *at >= since).collect();
    let gaps: Vec<i64> =
        told.windows(2).map(|two| two[1].duration_since(two[0]).as_mins()).collect();
    assert_eq!(gaps[1..], [1, 5, 15, 60, 60, 60, 360, 360, 360], "{gaps:?}");
    assert!(gaps[0] < 1);
    // Nothing but telling is repeated, and one incident is open all the time, with the next moment.
    let staged = started(&world, |act| matches!(act, ActKind::Stage { .. }));
    assert_eq!(staged.iter().filter(|at| **at >= since).count(), 1);
    let state = world.driver().unwrap().state();
    let site = state.certificate(state.id(&Name::new("site")).unwrap()).unwrap();
    let open: Vec<_> =
        site.history.incidents.iter().filter(|i| i.code == Code::TargetNotReloaded).collect();
    assert_eq!(open.len(), 2);
    for incident in open {
        assert!(incident.opened_at <= after(since, mins(2)), "{incident:?}");
        let next = after(*told.last().unwrap(), hours(6));
        let (_, at) = incident.evidence.rsplit_once("the next reload is tried at ").unwrap();
        let at: Timestamp = at.parse().unwrap();
        assert!(at.duration_since(next).abs() < mins(1), "{}", incident.evidence);
    }
    // The next one is heard.
    world.outside.set_deaf(&Name::new("web1"), false);
    world.run_for(hours(7));
    assert!(is_covered(&world, "site"));
    world.check_settled();
    fine(&world);
}

#[test]
fn a_ca_that_is_away_for_a_day_keeps_no_other_cas_certificates_waiting() {
    let mut scenario = Scenario::new(34, begin());
    let chain_until = after(begin(), hours(24 * 365 * 5));
    let config = CaConfig::like_lets_encrypt("https://other.test", chain_until);
    scenario.outside.cas.insert(Name::new("other"), Ca::new(config, Dice::new(35)));
    let spec = IssuerSpec {
        directory: "https://other.test/directory".into(),
        ..scenario.intent.issuers[&Name::new("ca")].clone()
    };
    scenario.intent.issuers.insert(Name::new("other"), spec);
    for number in 0..40 {
        let name = format!("site{number}");
        scenario = scenario.with(&name, &[&format!("{name}.test")], "web", &["web1"]);
        if number % 2 == 1 {
            let site = scenario.intent.certificates.get_mut(&Name::new(&name)).unwrap();
            site.issuers = std::sync::Arc::new([Name::new("other")]);
        }
    }
    let mut world = World::new(34, scenario);
    let outage = |world: &mut World, outage| {
        world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = outage;
    };
    outage(&mut world, Outage::Unreachable);
    world.run_for(mins(15));
    for number in 0..40 {
        let is_of_other = number % 2 == 1;
        assert_eq!(is_covered(&world, &format!("site{number}")), is_of_other, "site{number}");
    }
    // What is served is what the other CA issued.
    let served = world.outside.hosts.values().filter(|host| {
        host.addresses().all(|address| matches!(host.connect(address), Met::Leaf(_)))
    });
    assert_eq!(served.count(), 20);
    for number in (1..40).step_by(2) {
        for code in [Code::CaFailing, Code::OrderGone, Code::OurselvesFailing] {
            assert!(!is_open(&world, &format!("site{number}"), code), "site{number} {code:?}");
        }
    }
    world.run_until(after(begin(), hours(24)));
    outage(&mut world, Outage::None);
    assert!(world.settle_until(after(world.now(), hours(8))));
    world.check_settled();
    fine(&world);
}
