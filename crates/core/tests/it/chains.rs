//! A CA that offers several chains for one leaf: which are fetched, and which one is taken.

use std::sync::Arc;

use jiff::SignedDuration;
use perennial_core::action::{ActKind, AskKind, Fact, Outcome};
use perennial_core::decide::{Decision, ends_at, suffices};
use perennial_core::event::{ChainOffered, Event};
use perennial_core::words::{
    Blame, ChainFacts, FailureKind, Fingerprint, KeyKind, LeafFacts, OrderStatus, Traits, Url,
};

use crate::shop::{Shop, acts, failure};

const FIRST: &str = "https://ca.test/cert/1";
const SECOND: &str = "https://ca.test/cert/1/1";
const THIRD: &str = "https://ca.test/cert/1/2";

/// Returns `shop` when its order is valid, with a declared root.
fn issued(wanted: Option<&str>) -> Shop {
    let mut shop = Shop::acting(|act| matches!(act, ActKind::Finalize { .. }));
    let mut spec = (*shop.certificate().spec).clone();
    spec.chain = wanted.map(Into::into);
    shop.tell(&Event::CertificateDeclared(Box::new(spec)));
    let mut facts = shop.ordered().facts.clone();
    facts.status = OrderStatus::Valid;
    facts.certificate = Some(Url::from(FIRST));
    shop.end(Outcome::Done(Fact::Order(facts)));
    shop
}

/// Returns the leaf that was ordered, with a chain that ends at a root.
fn leaf(shop: &Shop, root: &str, trusted: bool) -> LeafFacts {
    let issued = Shop::after(|_, event| matches!(event, Event::ChainSeen(_)));
    let perennial_core::state::Attempt::Running(running) = &issued.certificate().attempt else {
        panic!("no attempt")
    };
    let perennial_core::state::Stage::Fetched(facts) = &running.stage else { panic!("no leaf") };
    assert_eq!(facts.identifiers, shop.certificate().spec.identifiers);
    let traits = Traits {
        key_kind: KeyKind::EcdsaP256,
        for_clients: false,
        above: Box::default(),
        root: root.into(),
    };
    LeafFacts { traits: Some(Arc::new(traits)), trusted: Some(trusted), ..(**facts).clone() }
}

fn chain(leaf: LeafFacts, kept: Option<u8>, alternates: &[&str]) -> ChainFacts {
    let kept = kept.map_or(leaf.fingerprint, |digit| Fingerprint([digit; 32]));
    let alternates = alternates.iter().map(|url| Url::from(*url)).collect();
    ChainFacts { leaf: Arc::new(leaf), kept, alternates }
}

fn offers(shop: &mut Shop, url: &str, chain: Option<ChainFacts>) {
    let found = chain.ok_or_else(|| failure(FailureKind::Gone, Blame::Ourselves));
    let offered = ChainOffered { certificate: Url::from(url), found };
    shop.tell(&Event::ChainOffered(Box::new(offered)));
}

/// Returns which chains a decision asks for, and whether as alternates.
fn asked(decision: &Decision) -> Vec<(&str, bool)> {
    let chains = decision.asks.iter().filter_map(|asking| match &asking.kind {
        AskKind::Chain { certificate, alternate, .. } => Some((&*certificate.0, *alternate)),
        _ => None,
    });
    chains.collect()
}

/// Returns what is kept of a shop that has settled.
fn kept(decision: &Decision) -> Vec<Fingerprint> {
    let bundles = acts(decision).into_iter().filter_map(|act| match act {
        ActKind::KeepBundle { leaf, .. } => Some(*leaf),
        _ => None,
    });
    bundles.collect()
}

#[test]
fn the_first_chain_is_taken_unless_another_may_be_better() {
    let shop = issued(None);
    let good = chain(leaf(&shop, "Sandbox New Root", true), None, &[SECOND]);
    assert!(suffices(None, &good) && suffices(Some("New Root"), &good));
    assert!(!suffices(Some("Old Root"), &good));
    let untrusted = chain(leaf(&shop, "Sandbox New Root", false), None, &[SECOND]);
    assert!(!suffices(None, &untrusted));
    let alone = ChainFacts { alternates: Box::default(), ..untrusted };
    assert!(suffices(Some("Old Root"), &alone));
}

#[test]
fn a_root_is_named_by_its_common_name() {
    let leaf = leaf(&issued(None), "Internet Security Research Group ISRG Root X1", true);
    assert!(ends_at(&leaf, "ISRG Root X1"));
    assert!(!ends_at(&leaf, "SRG Root X1") && !ends_at(&leaf, "ISRG Root X2"));
}

#[test]
fn alternates_are_fetched_until_one_ends_at_the_declared_root() {
    let mut shop = issued(Some("Old Root"));
    assert_eq!(asked(&shop.settle()), [(FIRST, false)]);
    let first = leaf(&shop, "Sandbox New Root", true);
    offers(&mut shop, FIRST, Some(chain(first, None, &[SECOND, THIRD])));
    assert_eq!(asked(&shop.settle()), [(SECOND, true)]);
    offers(&mut shop, SECOND, None);
    assert_eq!(asked(&shop.settle()), [(THIRD, true)]);
    let third = leaf(&shop, "Sandbox Old Root", true);
    offers(&mut shop, THIRD, Some(chain(third, Some(7), &[])));
    let decision = shop.settle();
    assert_eq!((asked(&decision), kept(&decision)), (vec![], vec![Fingerprint([7; 32])]));
    assert!(shop.state.in_use().chains.contains(&Fingerprint([7; 32])), "the sweep leaves it");
}

#[test]
fn what_clients_trust_comes_before_what_was_declared() {
    let mut shop = issued(Some("Old Root"));
    let first = leaf(&shop, "Sandbox New Root", true);
    let fingerprint = first.fingerprint;
    offers(&mut shop, FIRST, Some(chain(first, None, &[SECOND])));
    let second = leaf(&shop, "Sandbox Old Root", false);
    offers(&mut shop, SECOND, Some(chain(second, Some(7), &[])));
    assert_eq!(kept(&shop.settle()), [fingerprint]);
}

#[test]
fn an_alternate_that_does_not_come_costs_no_leaf() {
    let mut shop = issued(Some("Old Root"));
    let first = leaf(&shop, "Sandbox New Root", true);
    let fingerprint = first.fingerprint;
    offers(&mut shop, FIRST, Some(chain(first, None, &[SECOND])));
    assert_eq!(asked(&shop.settle()), [(SECOND, true)]);
    shop.wait(SignedDuration::from_mins(5));
    assert_eq!(kept(&shop.settle()), [fingerprint]);
}
