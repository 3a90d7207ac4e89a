//! Cases that happened to others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::SignedDuration;
use perennial_core::action::ActKind;
use perennial_core::driver::Doing;
use perennial_core::event::{Decoded, Event};
use perennial_core::finding::Code;
use perennial_core::intent::KeyRotation;
use perennial_core::record::{Stream, StreamKind};
use perennial_core::state::{Certificate, DeployStep};
use perennial_core::words::{Blame, Fingerprint, Name, after};
use perennial_sim::model::ca::Outage;
use perennial_sim::model::host::{Met, TlsHost};
use perennial_sim::world::{Scenario, World};

use crate::begin;

const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// Returns the leaf that every address of a target serves for `site`, if they agree.
fn served(world: &World, target: &str) -> Option<Fingerprint> {
    let host = world.outside.hosts.get(&(Name::new(target), Name::new("site")))?;
    let mut leaves = host.addresses().map(|address| match host.connect(address) {
        Met::Leaf(bundle) => Some(bundle.leaf.fingerprint),
        Met::NoTls | Met::Unreachable => None,
    });
    let first = leaves.next().flatten();
    leaves.all(|leaf| leaf == first).then_some(first).flatten()
}

fn certificate(world: &World) -> &Certificate {
    let state = world.driver().unwrap().state();
    state.certificate(state.id(&Name::new("site")).unwrap()).unwrap()
}

fn newest(world: &World) -> Fingerprint {
    certificate(world).leaf.as_ref().unwrap().facts.fingerprint
}

/// Returns whether a finding was ever opened.
fn opened(world: &World, code: Code) -> bool {
    world.records().iter().any(|record| match Event::decode(&record.kind, &record.body) {
        Decoded::Event(event) => {
            matches!(*event, Event::IncidentOpened(opened) if opened.code == code)
        }
        _ => false,
    })
}

fn fine(world: &World) {
    assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
}

/// Returns how far a target is with the newest leaf of `site`.
fn step(world: &World, target: &str) -> DeployStep {
    let site = certificate(world);
    site.targets.iter().find(|ledger| ledger.target.as_str() == target).unwrap().step
}

/// Returns the targets at which the newest leaf of `site` was seen.
fn seen(world: &World) -> Vec<&str> {
    let site = certificate(world);
    let number = site.leaf.as_ref().unwrap().number;
    let is_seen = |step| matches!(step, DeployStep::Seen { leaf, .. } if leaf == number);
    let seen = site.targets.iter().filter(|ledger| is_seen(ledger.step));
    seen.map(|ledger| ledger.target.as_str()).collect()
}

/// Returns what is open about `site`, each with who is blamed.
fn open(world: &World) -> Vec<(Code, Option<Blame>)> {
    let incidents = &certificate(world).history.incidents;
    let open = incidents.iter().map(|incident| (incident.code, incident.blame.clone()));
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|(code, _)| *code);
    open
}

#[test]
fn seven_of_eight_targets_are_seen_on_the_day_and_the_eighth_catches_up() {
    let targets = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"];
    let scenario = Scenario::new(8, begin()).with("site", &["site.test"], "web", &targets);
    let mut world = World::new(8, scenario.with_lists());
    assert!(world.settle_until(after(begin(), days(1))));
    let first = newest(&world);
    world.outside.set_dead(&Name::new("t8"), true);
    world.renew("site");
    world.run_for(days(1));
    let second = newest(&world);
    assert_ne!(first, second);
    for target in &targets[..7] {
        assert_eq!(served(&world, target), Some(second), "{target}");
    }
    assert_eq!(seen(&world), targets[..7]);
    // Only what is dead is blamed: the target that fails, and its two addresses.
    let dead = Some(Blame::Target(Name::new("t8")));
    let endpoint = Some(Blame::Endpoint("site.test:443".into()));
    assert_eq!(
        open(&world),
        [
            (Code::EndpointUnreachable, endpoint.clone()),
            (Code::EndpointUnreachable, endpoint),
            (Code::TargetFailing, dead.clone()),
            (Code::TargetUnreadable, dead),
        ]
    );
    world.run_for(days(29));
    assert_eq!(seen(&world), targets[..7]);
    let orders = world.checks.orders_of("site");
    let known = world.records().len();
    world.outside.set_dead(&Name::new("t8"), false);
    assert_eq!(served(&world, "t8"), Some(first));
    world.run_for(SignedDuration::from_mins(75));
    assert_eq!(served(&world, "t8"), Some(second));
    assert_eq!(seen(&world), targets);
    // Catching up is all that was done, and it was done once.
    assert_eq!(world.checks.orders_of("site"), orders);
    assert_eq!(acts(&world, known), ["stage t8", "validate t8", "activate t8"]);
    world.check_settled();
    fine(&world);
}

/// Returns the acts at targets that were admitted since a number of records.
fn acts(world: &World, since: usize) -> Vec<String> {
    let acts = world.records()[since..].iter().filter_map(|record| {
        let Decoded::Event(event) = Event::decode(&record.kind, &record.body) else { return None };
        let Event::Started(started) = *event else { return None };
        Some(match started.act {
            ActKind::Stage { target, .. } => format!("stage {target}"),
            ActKind::Validate { target, .. } => format!("validate {target}"),
            ActKind::Activate { target, .. } => format!("activate {target}"),
            other => format!("{other:?}"),
        })
    });
    acts.collect()
}

#[test]
fn a_machine_that_comes_back_with_old_files_is_found_out_and_caught_up() {
    let scenario = Scenario::new(13, begin()).with("site", &["site.test"], "web", &["t1", "t2"]);
    let mut world = World::new(13, scenario.with_lists());
    assert!(world.settle_until(after(begin(), days(1))));
    let (t2, site) = (Name::new("t2"), Name::new("site"));
    let backup = world.outside.targets.get(&t2).unwrap().clone();
    world.renew("site");
    world.run_for(days(1));
    let second = newest(&world);
    assert_eq!(seen(&world), ["t1", "t2"]);
    // The machine is set back to what it was a day ago; nobody tells.
    let old = backup.inspect(&site).unwrap().active.cloned();
    world.outside.targets.insert(t2.clone(), backup);
    let host = world.outside.hosts.get_mut(&(t2, site)).unwrap();
    host.store(old);
    host.restart();
    let known = world.records().len();
    world.run_for(SignedDuration::from_mins(75));
    assert_eq!(served(&world, "t2"), Some(second));
    assert_eq!(seen(&world), ["t1", "t2"]);
    assert_eq!(acts(&world, known), ["stage t2", "validate t2", "activate t2"]);
    world.check_settled();
    fine(&world);
}

#[test]
fn an_old_leaf_at_one_target_is_blamed_on_that_target_alone() {
    let scenario = Scenario::new(14, begin()).with("site", &["site.test"], "web", &["t1", "t2"]);
    let mut world = World::new(14, scenario.with_lists());
    assert!(world.settle_until(after(begin(), days(1))));
    world.outside.set_deaf(&Name::new("t2"), true);
    world.renew("site");
    world.run_for(SignedDuration::from_hours(1));
    assert_eq!(seen(&world), ["t1"]);
    assert!(matches!(step(&world, "t2"), DeployStep::Activated { .. }));
    assert_eq!(open(&world), [(Code::TargetNotReloaded, Some(Blame::Target(Name::new("t2"))))]);
    world.outside.hosts.values_mut().for_each(TlsHost::restart);
    world.run_for(SignedDuration::from_mins(10));
    assert_eq!(seen(&world), ["t1", "t2"]);
    world.check_settled();
    fine(&world);
}

#[test]
fn a_reload_that_does_nothing_is_found_and_seen_when_mended() {
    let scenario = Scenario::new(9, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(9, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    world.outside.set_deaf(&Name::new("web1"), true);
    world.renew("site");
    world.run_for(days(1));
    assert!(opened(&world, Code::TargetNotReloaded));
    assert!(!world.is_settled());
    for host in world.outside.hosts.values_mut() {
        host.restart();
    }
    world.run_for(SignedDuration::from_mins(10));
    world.check_settled();
    fine(&world);
}

#[test]
fn an_outage_of_the_ca_for_a_week_in_the_renewal_window_is_ridden_out() {
    let scenario = Scenario::new(10, begin()).with("site", &["site.test"], "web", &["web1"]);
    let mut world = World::new(10, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    world.at(days(55), |w| {
        w.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = Outage::Unreachable;
    });
    world.at(days(62), |w| {
        w.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.outage = Outage::None;
    });
    world.run_until(after(begin(), days(63)));
    assert!(opened(&world, Code::CaFailing));
    assert_eq!(world.checks.orders_of("site"), 2);
    world.check_settled();
    fine(&world);
}

#[test]
fn a_mass_of_new_names_stays_within_the_limits_and_is_done_within_a_day() {
    let mut scenario = Scenario::new(11, begin());
    for number in 0..400 {
        let name = format!("site{number}");
        scenario = scenario.with(&name, &[&format!("{name}.test")], "web", &["web1"]);
    }
    let mut world = World::new(11, scenario);
    world.run_for(days(1));
    let refused = world.records().iter().find(|record| record.body.contains("rate-limited"));
    assert_eq!(refused, None);
    assert_eq!(world.checks.orders(), 400);
    world.check_settled();
    fine(&world);
}

#[test]
fn an_unreadable_record_stops_its_own_stream_only() {
    let scenario = Scenario::new(12, begin()).with("site", &["site.test"], "web", &["web1"]).with(
        "other",
        &["other.test"],
        "web",
        &["web1"],
    );
    let mut world = World::new(12, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    world.damage(&Stream::new(StreamKind::Certificate, Name::new("other")));
    world.run_for(days(1));
    world.renew("site");
    world.renew("other");
    world.run_for(days(1));
    assert!(opened(&world, Code::JournalQuarantined));
    assert_eq!(served(&world, "web1"), Some(newest(&world)));
    assert_eq!(world.checks.orders_of("site"), 2);
    fine(&world);
}

/// Revokes the leaf that a certificate has.
fn revoke(world: &mut World) {
    let newest = newest(world);
    let ca = world.outside.cas.get_mut(&Name::new("ca")).unwrap();
    let mut issued = ca.issued_leaves().map(|(leaf, _)| (leaf.serial, leaf.facts().fingerprint));
    let (serial, _) = issued.find(|(_, fingerprint)| *fingerprint == newest).unwrap();
    drop(issued);
    ca.revoke_leaf(&serial);
}

#[test]
fn a_revoked_leaf_is_replaced_as_soon_as_it_is_seen_and_its_key_is_given_up() {
    for rotation in [KeyRotation::Rotate, KeyRotation::Reuse] {
        let mut scenario = Scenario::new(12, begin()).with("site", &["site.test"], "web", &["w1"]);
        let site = scenario.intent.certificates.get_mut(&Name::new("site")).unwrap();
        site.rotation = rotation;
        let mut world = World::new(12, scenario);
        // No renewal information: the list alone says it.
        world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.renewal_info_down = true;
        assert!(world.settle_until(after(begin(), days(1))));
        let first = world.outside.shelf.chains[&newest(&world)].clone();
        revoke(&mut world);
        world.run_for(SignedDuration::from_mins(70));
        assert!(opened(&world, Code::EndpointRevoked));
        let second = world.outside.shelf.chains[&newest(&world)].clone();
        assert_ne!(first.key, second.key, "{rotation:?}");
        assert_eq!(served(&world, "w1"), Some(second.fingerprint));
        // The next one is as planned, and keeps the key that took the place of the revoked one's.
        world.renew("site");
        world.run_for(SignedDuration::from_mins(70));
        let third = world.outside.shelf.chains[&newest(&world)].clone();
        assert_eq!(second.key == third.key, rotation == KeyRotation::Reuse);
        assert_eq!(world.checks.orders_of("site"), 3);
        world.check_settled();
        fine(&world);
    }
}

#[test]
fn a_ca_that_revokes_whatever_it_issues_is_not_asked_without_end() {
    let scenario = Scenario::new(13, begin()).with("site", &["site.test"], "web", &["w1"]);
    let mut world = World::new(13, scenario);
    world.outside.cas.get_mut(&Name::new("ca")).unwrap().faults.renewal_info_down = true;
    assert!(world.settle_until(after(begin(), days(1))));
    for _ in 0..24 {
        revoke(&mut world);
        world.run_for(SignedDuration::from_hours(1));
    }
    let orders = world.checks.orders_of("site");
    assert!((4..=6).contains(&orders), "{orders} orders in a day");
}

/// Deciding on `other` panics, always.
fn breaks_for_other(
    stream: &Stream,
    doing: Doing,
    decide: &mut dyn FnMut(),
) -> Result<(), Box<str>> {
    let breaks = doing == Doing::Deciding && stream.name.as_str() == "other";
    let work = AssertUnwindSafe(|| if breaks { panic!("no end in sight") } else { decide() });
    catch_unwind(work).map_err(|_| "no end in sight".into())
}

#[test]
fn a_decision_that_panics_stops_its_own_certificate_only() {
    let scenario = Scenario::new(13, begin()).with("site", &["site.test"], "web", &["web1"]).with(
        "other",
        &["other.test"],
        "web",
        &["web1"],
    );
    let mut world = World::new(13, scenario);
    assert!(world.settle_until(after(begin(), days(1))));
    world.isolate = Some(breaks_for_other);
    world.kill();
    world.run_for(days(1));
    world.renew("site");
    world.renew("other");
    world.run_for(days(1));
    assert!(opened(&world, Code::OurselvesPanicked));
    assert_eq!((world.checks.orders_of("site"), world.checks.orders_of("other")), (2, 1));
    world.isolate = None;
    world.kill();
    world.run_for(days(1));
    assert_eq!(world.checks.orders_of("other"), 2);
    world.check_settled();
    fine(&world);
}
