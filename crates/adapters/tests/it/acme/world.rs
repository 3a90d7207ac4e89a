//! A CA, names that resolve, a shelf, and a client: what a story needs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial_adapters::acme::{Client, Eab, Settings};
use perennial_core::action::{AccountRef, ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{
    AccountFacts, AriCertId, AuthorizationFacts, AuthorizationStatus, BundleId, ChainFacts,
    ChallengeFacts, ChallengeKind, Failure, Fingerprint, Identifier, KeyAlgorithm, LeafFacts, Name,
    OrderFacts, OrderStatus, Slot, Url,
};
use perennial_peers::{ChallTestSrv, Pebble, PebbleOptions, Port, until};
use perennial_wire::clock::Clock;
use perennial_wire::http::{self, Http, Roots};
use perennial_wire::key::{KeyPair, to_pem};
use perennial_wire::shelf::{Bundle, Shelf, ShelfError};
use perennial_wire::x509::Chain;
use zeroize::Zeroizing;

pub(super) const ISSUER: &str = "pebble";

/// Keys made on demand, and the chains that were kept.
#[derive(Default)]
pub(super) struct Memory {
    keys: Mutex<BTreeMap<Slot, Zeroizing<Vec<u8>>>>,
    chains: Mutex<BTreeMap<Fingerprint, Vec<u8>>>,
    /// The leaf and the slot of the key of each bundle.
    bundles: Mutex<BTreeMap<BundleId, (Fingerprint, Slot)>>,
}

impl Memory {
    pub(super) fn make(&self, slot: &str, algorithm: KeyAlgorithm) -> Slot {
        let slot = Slot(slot.into());
        let key = KeyPair::generate(algorithm).unwrap();
        self.keys.lock().unwrap().entry(slot.clone()).or_insert(key);
        slot
    }

    pub(super) fn pair(&self, slot: &Slot) -> KeyPair {
        KeyPair::from_pkcs8(&self.key(slot).unwrap()).unwrap()
    }

    pub(super) fn join(&self, leaf: Fingerprint, key: &Slot) -> BundleId {
        let id = BundleId(leaf.0);
        self.bundles.lock().unwrap().insert(id, (leaf, key.clone()));
        id
    }

    pub(super) fn chain(&self, leaf: Fingerprint) -> Option<String> {
        self.chains.lock().unwrap().get(&leaf).map(|pem| String::from_utf8(pem.clone()).unwrap())
    }
}

impl Shelf for Memory {
    fn key(&self, slot: &Slot) -> Result<Zeroizing<Vec<u8>>, ShelfError> {
        self.keys.lock().unwrap().get(slot).cloned().ok_or_else(|| ShelfError {
            attempted: format!("read the key of slot {slot}"),
            cause: "there is none".to_owned(),
        })
    }

    fn keep_chain(&self, leaf: Fingerprint, pem: &[u8]) -> Result<(), ShelfError> {
        self.chains.lock().unwrap().insert(leaf, pem.to_vec());
        Ok(())
    }

    fn bundle(&self, id: BundleId) -> Result<Bundle, ShelfError> {
        let absent =
            || ShelfError { attempted: format!("read bundle {id}"), cause: "none here".to_owned() };
        let (leaf, key) = self.bundles.lock().unwrap().get(&id).cloned().ok_or_else(absent)?;
        let chain = self.chain(leaf).ok_or_else(absent)?;
        let chain = Chain::from_pem(chain.as_bytes()).unwrap();
        let key_pem = to_pem(&self.key(&key)?);
        Ok(Bundle { leaf_pem: chain.leaf_pem(), chain_pem: chain.rest_pem(), key_pem })
    }
}

/// The machine's clock, because real peers live by it.
#[expect(clippy::disallowed_methods, reason = "Pebble lives by the machine's clock")]
pub(super) fn clock() -> Clock {
    Clock::new(jiff::Timestamp::now)
}

pub(super) struct World {
    pub(super) pebble: Pebble,
    pub(super) names: ChallTestSrv,
    pub(super) shelf: Arc<Memory>,
    pub(super) client: Client,
    _http: Port,
}

impl World {
    /// Starts Pebble (refusing 30 % of nonces unless told otherwise) and its name server.
    pub(super) async fn start(change: impl FnOnce(&mut PebbleOptions)) -> Self {
        Self::start_bound(change, None).await
    }

    /// The same, with an external account.
    pub(super) async fn start_bound(
        change: impl FnOnce(&mut PebbleOptions),
        eab: Option<Eab>,
    ) -> Self {
        let port = Port::free().unwrap();
        let names = ChallTestSrv::start(Some(port.number())).await.unwrap();
        let mut options = PebbleOptions::asking(names.addr());
        options.http_port = Some(port.number());
        change(&mut options);
        let pebble = Pebble::start(options).await.unwrap();
        let shelf = Arc::new(Memory::default());
        let client = client_of(&pebble, Arc::clone(&shelf), eab);
        Self { pebble, names, shelf, client, _http: port }
    }

    pub(super) async fn account(&self) -> AccountRef {
        let key = self.shelf.make("account", KeyAlgorithm::EcdsaP256);
        let url = done_account(self.client.perform(&new_account(&key)).await).url;
        AccountRef { issuer: Name::new(ISSUER), url, key }
    }

    pub(super) async fn order(
        &self,
        account: &AccountRef,
        names: &[&str],
        profile: &str,
        replaces: Option<&AriCertId>,
    ) -> OrderFacts {
        done_order(self.client.perform(&new_order(account, names, profile, replaces)).await)
    }

    pub(super) async fn authorization(
        &self,
        account: &AccountRef,
        url: &Url,
    ) -> AuthorizationFacts {
        let ask = AskKind::Authorization { account: account.clone(), authorization: url.clone() };
        match self.client.ask(&ask).await {
            Reply::Authorization(facts) => facts,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn look_at(&self, account: &AccountRef, order: &Url) -> OrderFacts {
        let ask = AskKind::Order { account: account.clone(), order: order.clone() };
        match self.client.ask(&ask).await {
            Reply::Order(facts) => facts,
            other => panic!("{other:?}"),
        }
    }

    /// Tells the CA to try http-01, whether or not an answer is up.
    pub(super) async fn respond(
        &self,
        account: &AccountRef,
        authorization: &AuthorizationFacts,
    ) -> ChallengeFacts {
        let challenge = http_01(authorization);
        let act = ActKind::Respond {
            account: account.clone(),
            challenge: challenge.url.clone(),
            kind: ChallengeKind::Http01,
        };
        match self.client.perform(&act).await {
            Outcome::Done(Fact::Responded(facts)) => facts,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the CA has made up its mind.
    pub(super) async fn decided(&self, account: &AccountRef, url: &Url) -> AuthorizationFacts {
        until("the authorization is decided", PATIENCE, async || {
            let facts = self.authorization(account, url).await;
            (facts.status != AuthorizationStatus::Pending).then_some(facts)
        })
        .await
        .unwrap()
    }

    /// Fulfils every pending authorization of an order by http-01.
    pub(super) async fn prove(&self, account: &AccountRef, order: &OrderFacts) {
        let thumbprint = self.shelf.pair(&account.key).facts().thumbprint;
        for url in &order.authorizations {
            let authorization = self.authorization(account, url).await;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let token = http_01(&authorization).token.clone().unwrap();
            self.names.add_http01(&token, &format!("{token}.{thumbprint}")).await.unwrap();
            self.respond(account, &authorization).await;
            let decided = self.decided(account, url).await;
            assert_eq!(decided.status, AuthorizationStatus::Valid, "{decided:?}");
        }
    }

    /// Finalizes a proven order with a key of its own, and fetches the chain.
    pub(super) async fn collect(
        &self,
        account: &AccountRef,
        order: &OrderFacts,
        names: &[&str],
        key: &Slot,
    ) -> LeafFacts {
        let chain = self.collect_chain(account, order, names, key).await;
        (*chain.leaf).clone()
    }

    /// The same, with where alternates are.
    pub(super) async fn collect_chain(
        &self,
        account: &AccountRef,
        order: &OrderFacts,
        names: &[&str],
        key: &Slot,
    ) -> ChainFacts {
        done_order(self.client.perform(&finalize(account, order, names, key)).await);
        let valid = until("the order is valid", PATIENCE, async || {
            let facts = self.look_at(account, &order.url).await;
            (facts.status == OrderStatus::Valid).then_some(facts)
        })
        .await
        .unwrap();
        self.chain(account, valid.certificate.unwrap(), false).await
    }

    pub(super) async fn chain(
        &self,
        account: &AccountRef,
        certificate: Url,
        alternate: bool,
    ) -> ChainFacts {
        let ask = AskKind::Chain { account: account.clone(), certificate, alternate };
        match self.client.ask(&ask).await {
            Reply::Chain(facts) => *facts,
            other => panic!("{other:?}"),
        }
    }

    /// Issues a leaf from order to chain.
    pub(super) async fn issue(
        &self,
        account: &AccountRef,
        names: &[&str],
        profile: &str,
        replaces: Option<&AriCertId>,
    ) -> LeafFacts {
        let order = self.order(account, names, profile, replaces).await;
        self.prove(account, &order).await;
        let key = self.shelf.make(&format!("of {}", order.url), KeyAlgorithm::EcdsaP256);
        self.collect(account, &order, names, &key).await
    }
}

/// Makes a client of its own for a Pebble.
pub(super) fn client_of(pebble: &Pebble, shelf: Arc<Memory>, eab: Option<Eab>) -> Client {
    let roots = Roots::Only(pebble.ca_root_pem().into());
    let http = Http::new(&http::Settings { roots, ..http::Settings::default() }).unwrap();
    let directory = pebble.directory_url().into();
    let roots = perennial_wire::tls::Roots::mozilla();
    let settings = Settings { issuer: Name::new(ISSUER), directory, eab, roots };
    Client::new(settings, http, shelf, clock())
}

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn ids(names: &[&str]) -> Arc<[Identifier]> {
    names.iter().map(|name| Identifier::new(name).unwrap()).collect()
}

pub(super) fn new_account(key: &Slot) -> ActKind {
    ActKind::NewAccount {
        issuer: Name::new(ISSUER),
        key: key.clone(),
        contact: ["mailto:ops@example.org".into()].into(),
        eab: false,
        agreed: true,
    }
}

pub(super) fn new_order(
    account: &AccountRef,
    names: &[&str],
    profile: &str,
    replaces: Option<&AriCertId>,
) -> ActKind {
    ActKind::NewOrder {
        account: account.clone(),
        identifiers: ids(names),
        profile: Some(profile.into()),
        replaces: replaces.cloned(),
    }
}

pub(super) fn finalize(
    account: &AccountRef,
    order: &OrderFacts,
    names: &[&str],
    key: &Slot,
) -> ActKind {
    ActKind::Finalize {
        account: account.clone(),
        finalize: order.finalize.clone().unwrap(),
        order: order.url.clone(),
        identifiers: ids(names),
        key: key.clone(),
    }
}

pub(super) fn http_01(authorization: &AuthorizationFacts) -> &ChallengeFacts {
    let mut offered = authorization.challenges.iter();
    offered.find(|challenge| challenge.kind == ChallengeKind::Http01).unwrap()
}

pub(super) fn done_account(outcome: Outcome) -> AccountFacts {
    match outcome {
        Outcome::Done(Fact::Account(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

pub(super) fn done_order(outcome: Outcome) -> OrderFacts {
    match outcome {
        Outcome::Done(Fact::Order(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

/// Writes how something failed as a table's cell: kind, blame, type of problem.
pub(super) fn cell(failure: &Failure) -> String {
    let problem = failure.problem.as_ref().map_or("no problem", |problem| &problem.kind);
    format!("{:?}, {}, {problem}", failure.kind, failure.blame)
}

pub(super) fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => cell(&failure),
        other => panic!("{other:?}"),
    }
}

pub(super) fn refused(reply: Reply) -> String {
    match reply {
        Reply::Failed(failure) => cell(&failure),
        other => panic!("{other:?}"),
    }
}
