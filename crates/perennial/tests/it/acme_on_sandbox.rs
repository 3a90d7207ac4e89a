//! The ACME client on the sandbox's CA: what Pebble cannot play (limits, pauses, lost answers, orders
//! that die) is understood as it is meant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use perennial_adapters::acme::{Client, Settings};
use perennial_core::action::{AccountRef, ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{
    AuthorizationStatus, BundleId, ChallengeKind, Fingerprint, Identifier, KeyAlgorithm, LeafFacts,
    Name, OrderFacts, OrderStatus, Permille, Slot, after,
};
use perennial_peers::until;
use perennial_sandbox::model::ca::Ca;
use perennial_sandbox::model::dns::Data;
use perennial_sandbox::{Sandbox, SandboxConfig};
use perennial_wire::clock::Clock;
use perennial_wire::digest::sha256;
use perennial_wire::http::{self, Http, Roots};
use perennial_wire::key::{KeyPair, base64url};
use perennial_wire::shelf::{Bundle, Shelf, ShelfError};
use zeroize::Zeroizing;

const ISSUER: &str = "sandbox";

#[derive(Default)]
struct Keys(Mutex<BTreeMap<Slot, Zeroizing<Vec<u8>>>>);

impl Keys {
    fn make(&self, slot: &str, algorithm: KeyAlgorithm) -> Slot {
        let (slot, key) = (Slot(slot.into()), KeyPair::generate(algorithm).unwrap());
        self.0.lock().unwrap().insert(slot.clone(), key);
        slot
    }
}

impl Shelf for Keys {
    fn key(&self, slot: &Slot) -> Result<Zeroizing<Vec<u8>>, ShelfError> {
        Ok(self.0.lock().unwrap()[slot].clone())
    }

    fn keep_chain(&self, _: Fingerprint, _: &[u8]) -> Result<(), ShelfError> {
        Ok(())
    }

    fn bundle(&self, id: BundleId) -> Result<Bundle, ShelfError> {
        Err(ShelfError { attempted: format!("read bundle {id}"), cause: "none here".to_owned() })
    }
}

struct World {
    sandbox: Sandbox,
    keys: Arc<Keys>,
    client: Client,
    account: AccountRef,
}

#[expect(clippy::disallowed_methods, reason = "the sandbox may run on the machine's clock")]
fn clock() -> Clock {
    Clock::new(Timestamp::now)
}

impl World {
    /// Starts a sandbox with the zone `example.test`, and makes an account there.
    async fn start() -> Self {
        Self::start_with(KeyAlgorithm::EcdsaP256).await
    }

    /// The same, with another kind of account key.
    async fn start_with(algorithm: KeyAlgorithm) -> Self {
        let sandbox = Sandbox::start(SandboxConfig::new(clock(), clock())).await.unwrap();
        sandbox.add_zone("example.test", &[[127, 0, 0, 1].into()]);
        let ca = &sandbox.cas[0];
        let roots = Roots::Only(ca.api_root_pem().into());
        let http = Http::new(&http::Settings { roots, ..http::Settings::default() }).unwrap();
        let issuer = Name::new(ISSUER);
        let settings = Settings {
            issuer: issuer.clone(),
            directory: ca.directory().into(),
            eab: None,
            roots: perennial_wire::tls::Roots::mozilla(),
        };
        let keys = Arc::new(Keys::default());
        let shelf: Arc<dyn Shelf> = Arc::clone(&keys) as _;
        let client = Client::new(settings, http, shelf, clock());
        let key = keys.make("account", algorithm);
        let act = ActKind::NewAccount {
            issuer: issuer.clone(),
            key: key.clone(),
            contact: [].into(),
            eab: false,
            agreed: true,
        };
        let Outcome::Done(Fact::Account(facts)) = client.perform(&act).await else { panic!() };
        let account = AccountRef { issuer, url: facts.url, key };
        Self { sandbox, keys, client, account }
    }

    fn ca<T>(&self, change: impl FnOnce(&mut Ca) -> T) -> T {
        self.sandbox.cas[0].with(change)
    }

    async fn order(&self, names: &[&str]) -> Outcome {
        let act = ActKind::NewOrder {
            account: self.account.clone(),
            identifiers: names.iter().map(|name| Identifier::new(name).unwrap()).collect(),
            profile: None,
            replaces: None,
        };
        self.client.perform(&act).await
    }

    async fn look_at(&self, order: &OrderFacts) -> Reply {
        let (account, order) = (self.account.clone(), order.url.clone());
        self.client.ask(&AskKind::Order { account, order }).await
    }

    /// Waits until an order has a status.
    async fn becomes(&self, order: &OrderFacts, status: OrderStatus) -> OrderFacts {
        let patience = std::time::Duration::from_secs(30);
        until("the order changes its status", patience, async || match self.look_at(order).await {
            Reply::Order(facts) => (facts.status == status).then_some(facts),
            other => panic!("{other:?}"),
        })
        .await
        .unwrap()
    }

    /// Fulfils what is pending by dns-01.
    async fn prove(&self, order: &OrderFacts) {
        let key = KeyPair::from_pkcs8(&self.keys.key(&self.account.key).unwrap()).unwrap();
        for authorization in &order.authorizations {
            let (account, authorization) = (self.account.clone(), authorization.clone());
            let ask = AskKind::Authorization { account: account.clone(), authorization };
            let Reply::Authorization(facts) = self.client.ask(&ask).await else { panic!() };
            if facts.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut offered = facts.challenges.iter();
            let challenge = offered.find(|c| c.kind == ChallengeKind::Dns01).unwrap();
            let token = challenge.token.as_deref().unwrap();
            let proof = format!("{token}.{}", key.facts().thumbprint);
            let value = Data::Txt(base64url(&sha256(proof.as_bytes())).into());
            let record = format!("_acme-challenge.{}", facts.identifier);
            self.sandbox.dns.with(|dns, now| dns.add("example.test", &record, value, now));
            let challenge = challenge.url.clone();
            let act = ActKind::Respond { account, challenge, kind: ChallengeKind::Dns01 };
            let Outcome::Done(Fact::Responded(_)) = self.client.perform(&act).await else {
                panic!()
            };
        }
    }

    async fn issue(&self, names: &[&str]) -> LeafFacts {
        let Outcome::Done(Fact::Order(order)) = self.order(names).await else { panic!() };
        self.prove(&order).await;
        let ready = self.becomes(&order, OrderStatus::Ready).await;
        let act = ActKind::Finalize {
            account: self.account.clone(),
            finalize: ready.finalize.unwrap(),
            order: order.url.clone(),
            identifiers: names.iter().map(|name| Identifier::new(name).unwrap()).collect(),
            key: self.keys.make("leaf", KeyAlgorithm::EcdsaP256),
        };
        let Outcome::Done(Fact::Order(_)) = self.client.perform(&act).await else { panic!() };
        let certificate = self.becomes(&order, OrderStatus::Valid).await.certificate.unwrap();
        let ask = AskKind::Chain { account: self.account.clone(), certificate, alternate: false };
        let Reply::Chain(chain) = self.client.ask(&ask).await else { panic!() };
        (*chain.leaf).clone()
    }
}

fn cell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!("{:?}, {}", failure.kind, failure.blame),
        Outcome::Unknown => "Unknown".to_owned(),
        Outcome::Done(fact) => format!("{fact:?}"),
    }
}

#[tokio::test]
async fn a_wildcard_is_issued_by_an_unkind_ca_and_renewal_information_follows() {
    let world = World::start().await;
    world.ca(|ca| ca.faults.bad_nonces = Permille::new(300));
    let leaf = world.issue(&["*.example.test", "example.test"]).await;
    assert_eq!(leaf.identifiers.len(), 2);
    let ask = AskKind::RenewalInfo { issuer: Name::new(ISSUER), leaf: leaf.ari_id.unwrap() };
    let Reply::RenewalInfo(facts) = world.client.ask(&ask).await else { panic!() };
    assert!(leaf.validity.contains(facts.window.start));
}

#[tokio::test]
async fn an_account_with_a_key_of_ed25519_is_issued_to() {
    let world = World::start_with(KeyAlgorithm::Ed25519).await;
    let leaf = world.issue(&["example.test"]).await;
    assert_eq!(leaf.identifiers.len(), 1);
}

#[tokio::test]
async fn an_order_may_be_ready_when_it_is_made() {
    let world = World::start().await;
    world.ca(|ca| ca.config.pre_approved = true);
    let Outcome::Done(Fact::Order(order)) = world.order(&["example.test"]).await else { panic!() };
    assert_eq!(order.status, OrderStatus::Ready);
}

#[tokio::test]
async fn limits_and_pauses_are_told_apart() {
    let world = World::start().await;
    let until = after(clock().now(), SignedDuration::from_hours(1));
    world.ca(|ca| ca.faults.limited_until = Some(until));
    let limited = world.order(&["example.test"]).await;
    let Outcome::Failed(failure) = &limited else { panic!("{limited:?}") };
    let perennial_core::words::FailureKind::RateLimited { until: told } = failure.kind else {
        panic!("{failure:?}")
    };
    assert!(told.duration_since(until).abs() < SignedDuration::from_mins(3), "{told} {until}");

    world.ca(|ca| {
        ca.faults.limited_until = None;
        ca.faults.paused = [Identifier::new("example.test").unwrap()].into();
    });
    let paused = world.order(&["example.test"]).await;
    assert_eq!(cell(&paused), "Unauthorized, account at sandbox");
    let Outcome::Failed(failure) = &paused else { panic!("{paused:?}") };
    assert!(failure.cause.contains("unpause"), "{failure}");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_unknown_and_the_order_was_made() {
    let world = World::start().await;
    world.ca(|ca| ca.faults.lost_answers = Permille::new(1000));
    let lost = world.order(&["example.test"]).await;
    assert_eq!(cell(&lost), "Unknown, issuer sandbox");
    world.ca(|ca| ca.faults.lost_answers = Permille::new(0));
    let again = world.order(&["example.test"]).await;
    assert!(matches!(again, Outcome::Done(Fact::Order(_))), "{again:?}");
}

#[tokio::test]
async fn an_order_that_died_is_gone() {
    let world = World::start().await;
    let Outcome::Done(Fact::Order(order)) = world.order(&["example.test"]).await else { panic!() };
    world.ca(|ca| ca.faults.orders_die_after = Some(SignedDuration::ZERO));
    let Reply::Failed(failure) = world.look_at(&order).await else { panic!() };
    assert_eq!(cell(&Outcome::Failed(failure)), "Gone, ourselves");
}
