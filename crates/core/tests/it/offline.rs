//! Between two lives of the daemon: imports, and a store that was restored.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{ActKind, AskKind, Fact, Outcome};
use perennial_core::driver::{
    Driver, Import, ImportedAccount, ImportedLeaf, Input, Left, Loader, Offline,
};
use perennial_core::event::{Empty, Event, InstanceRestored};
use perennial_core::finding::Code;
use perennial_core::intent::{Intent, KeyRotation};
use perennial_core::record::{Batch, Stream};
use perennial_core::state::Account;
use perennial_core::words::{
    BundleId, Fingerprint, KeyFacts, KeyId, LeafFacts, Name, Slot, Validity, after,
};

use crate::golden;
use crate::risky::finds;
use crate::shop::Shop;

/// A `shop` whose leaf is installed, and would be renewed now.
fn due() -> Shop {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Activate { .. }));
    shop.end(Outcome::Done(Fact::Activated));
    let leaf = shop.certificate().leaf.as_ref().expect("a leaf");
    shop.now = after(leaf.facts.validity.not_after, SignedDuration::from_hours(-24));
    shop
}

fn restore(shop: &mut Shop) {
    let backed_up_at = shop.now;
    let restored = InstanceRestored { id: "new".into(), backed_up_at };
    shop.tell_to(&Stream::instance(), &Event::InstanceRestored(restored));
}

#[test]
fn a_restored_store_only_looks_until_a_person_resumes() {
    let mut shop = due();
    let begins = |shop: &Shop| {
        shop.decide().events.iter().any(|event| matches!(event, Event::AttemptBegan(_)))
    };
    assert!(begins(&shop));
    restore(&mut shop);
    let decision = shop.decide();
    assert_eq!((decision.events, decision.wants), (vec![], vec![]));
    assert!(
        decision.asks.iter().all(|asking| {
            matches!(asking.kind, AskKind::Probe { .. } | AskKind::Inspect { .. })
        })
    );
    assert!(!decision.asks.is_empty(), "it looks");
    shop.tell_to(&Stream::instance(), &Event::InstanceResumed(Empty {}));
    assert!(begins(&shop));
}

#[test]
fn after_a_restore_a_newer_leaf_at_a_target_is_taken_on_and_an_older_one_is_not() {
    let mut shop = due();
    let own = (*shop.certificate().leaf.as_ref().unwrap().facts).clone();
    let Validity { not_before, not_after } = own.validity;
    let moved = |hours: i64| {
        let by = SignedDuration::from_hours(hours);
        let validity =
            Validity { not_before: after(not_before, by), not_after: after(not_after, by) };
        let chain_not_after = validity.not_after;
        LeafFacts { fingerprint: Fingerprint([9; 32]), validity, chain_not_after, ..own.clone() }
    };
    let adopts = |shop: &Shop| {
        shop.decide().events.iter().any(|event| matches!(event, Event::LeafAdopted(_)))
    };
    for (hours, is_restored, is_adopted) in
        [(-1, true, false), (48, true, true), (48, false, false)]
    {
        let mut shop = shop.clone();
        if is_restored {
            restore(&mut shop);
        }
        finds(&mut shop, moved(hours), true, true);
        assert_eq!(adopts(&shop), is_adopted, "{hours} h, restored: {is_restored}");
    }
    restore(&mut shop);
    finds(&mut shop, moved(48), true, true);
    shop.settle();
    let leaf = shop.certificate().leaf.as_ref().unwrap();
    assert_eq!(leaf.facts.fingerprint, Fingerprint([9; 32]));
    assert!(!adopts(&shop), "once is enough");
}

/// Loads the golden life, writes what `write` says while no daemon runs, and starts again.
fn written(write: impl FnOnce(&mut Offline)) -> (Driver, Timestamp, Batch) {
    let life = golden("life.jsonl");
    let now = life.last().unwrap().at;
    let mut offline = Offline::new(loaded(&life), 2, now);
    write(&mut offline);
    let batch = offline.into_batch();
    let mut loader = loaded(&life);
    batch.records.iter().for_each(|record| loader.record(record));
    assert!(loader.is_whole(), "{:?}", loader.quarantined());
    let (driver, _) = loader.start("test", 3, now, 1);
    (driver, now, batch)
}

fn loaded(records: &[perennial_core::record::Record]) -> Loader {
    let mut loader = Loader::new();
    records.iter().for_each(|record| loader.record(record));
    loader
}

#[test]
fn a_driver_on_a_restored_store_admits_nothing_and_says_so_until_it_is_resumed() {
    let (mut driver, now, _) = written(|offline| offline.restored("new", begin()).unwrap());
    let is_open = |driver: &Driver| {
        let mut open = driver.state().instance.history.incidents.iter();
        open.any(|incident| incident.code == Code::StoreRestored)
    };
    assert!(is_open(&driver));
    let later = after(now, SignedDuration::from_hours(24 * 200));
    let step = driver.on(Input::Renew { certificate: Name::new("shop") }, later, 1);
    let acts = |step: &perennial_core::driver::Step| {
        step.append.records.iter().filter(|record| &*record.kind == "act.started").count()
    };
    assert_eq!(acts(&step), 0);
    let mut started = 0;
    let mut step = driver.on(Input::Resume, later, 1);
    for _ in 0..20 {
        started += acts(&step);
        step = driver.on(Input::Time, later, 1);
    }
    assert!(started > 0, "it goes on");
    assert!(!is_open(&driver));
    let again = driver.on(Input::Resume, later, 1);
    assert!(again.append.records.iter().all(|record| &*record.kind != "instance.resumed"));
}

fn begin() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Returns what the golden life declares, with a certificate and an issuer that it does not know.
fn intent(rotation: KeyRotation) -> Intent {
    let mut intent = loaded(&golden("life.jsonl")).state().intent();
    let mut spec = intent.certificates[&Name::new("shop")].clone();
    spec.rotation = rotation;
    spec.issuers = [Name::new("other")].into_iter().collect();
    intent.certificates.insert(Name::new("new"), spec);
    let mut issuer = intent.issuers[&Name::new("ca")].clone();
    issuer.directory = "https://other.test/directory".into();
    intent.issuers.insert(Name::new("other"), issuer);
    intent
}

fn facts() -> LeafFacts {
    let state = loaded(&golden("life.jsonl"));
    let shop = state.state().id(&Name::new("shop")).unwrap();
    let leaf = state.state().certificate(shop).unwrap().leaf.clone().unwrap();
    (*leaf.facts).clone()
}

#[test]
fn what_is_imported_is_ours_as_if_we_had_got_it() {
    let intent = intent(KeyRotation::Reuse);
    let key = KeyFacts { id: KeyId([3; 32]), thumbprint: "t".into() };
    let import = Import {
        accounts: vec![ImportedAccount::new(
            Name::new("other"),
            key,
            Some("https://other.test/1"),
            "lego",
        )],
        leaves: vec![ImportedLeaf::new(
            Name::new("new"),
            facts(),
            BundleId([4; 32]),
            Some(Name::new("other")),
            "lego",
        )],
    };
    let again = import.clone();
    let (driver, ..) = written(|offline| {
        let slot = offline.place_of_leaf(&intent, &Name::new("new"), &facts());
        assert_eq!(slot, Ok(Some(Slot("certificate/new/reused".into()))));
        offline.import(&intent, import).unwrap();
        assert_eq!(offline.place_of_leaf(&intent, &Name::new("new"), &facts()), Err(Left::HasLeaf));
        let account = offline.place_of_account(&intent, &Name::new("other"));
        assert_eq!(account, Err(Left::HasAccount));
        offline.import(&intent, again).unwrap();
    });
    let state = driver.state();
    let account = &state.issuers[&Name::new("other")].account;
    assert!(matches!(account, Account::Ready { url, .. } if &*url.0 == "https://other.test/1"));
    let new = state.certificate(state.id(&Name::new("new")).unwrap()).unwrap();
    let leaf = new.leaf.as_ref().unwrap();
    assert_eq!((leaf.number, leaf.bundle), (1, Some(BundleId([4; 32]))));
    assert!(state.in_use().bundles.contains(&BundleId([4; 32])), "it is not swept away");
    assert!(new.history.acting.is_empty() && !acts(&driver), "nothing is ordered for it");
}

fn acts(driver: &Driver) -> bool {
    let id = driver.state().id(&Name::new("new")).unwrap();
    let history = &driver.state().certificate(id).unwrap().history;
    history.is_acting(|act| matches!(act, ActKind::NewOrder { .. } | ActKind::MakeKey { .. }))
}

#[test]
fn what_has_no_place_is_left_and_the_reason_is_told() {
    let intent = intent(KeyRotation::Rotate);
    written(|offline| {
        let place =
            |name: &str, facts: &LeafFacts| offline.place_of_leaf(&intent, &Name::new(name), facts);
        assert_eq!(place("nobody", &facts()), Err(Left::Undeclared));
        assert_eq!(place("shop", &facts()), Err(Left::HasLeaf));
        assert_eq!(place("new", &facts()), Ok(None));
        let other = LeafFacts { identifiers: [].into_iter().collect(), ..facts() };
        assert_eq!(place("new", &other), Err(Left::Uncovered("shop.test".into())));
        let past = Validity { not_before: begin(), not_after: begin() };
        let past = LeafFacts { validity: past, ..facts() };
        assert_eq!(place("new", &past), Err(Left::NotValid));
        let account = |name: &str| offline.place_of_account(&intent, &Name::new(name));
        assert_eq!(account("nobody"), Err(Left::Undeclared));
        assert_eq!(account("ca"), Err(Left::HasAccount));
        assert_eq!(account("other"), Ok(Slot("account/other".into())));
    });
}
