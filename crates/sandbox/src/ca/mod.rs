//! The CA model behind HTTPS, with real validation and real certificates.
//!
//! ```text
//! HTTPS ──requests──▶ Ca::ask ──json──▶ HTTPS        HTTP ◀── the list of revoked leaves
//!                        │effects
//!                        ├─ Validate ──▶ HTTP, DNS ──▶ Ca::verdict
//!                        └─ Issue ────▶ CAA, rcgen ──▶ Ca::issued
//! ```
//!
//! Durations of the model (`slow`, `Retry-After`) are told to clients as they are; what is valid
//! until when counts on the clock that the sandbox was given, which may run a day a second.

mod answers;
mod csr;
mod jose;
mod json;
mod lists;
mod nonces;
mod requests;
mod sign;
mod validate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Request;
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{ChallengeKind, KeyId, Permille, Problem};
use perennial_sim::model::Dice;
use perennial_sim::model::ca::{
    Ca, CaConfig, CaEffect, CaRequest, CaaRecheck, Delivery, IssuedLeaf, OrderId, Outage, Serial,
    problem,
};
use perennial_wire::clock::Clock;
use tokio_rustls::TlsAcceptor;

use crate::door::{Door, listen};
use crate::error::SandboxError;
use crate::http::{Answer, speak};
use requests::Asked;
use sign::{ApiIdentity, Authority};
use validate::Validator;

/// How a CA is set up.
#[derive(Clone, Debug)]
pub struct CaSetup {
    /// Its name, which its certificates carry.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The port that stands for port 80 where it validates http-01.
    pub http_port: u16,
    /// External accounts: key ids and MAC keys. Where there are some, a binding is required.
    pub external_accounts: Vec<(String, Vec<u8>)>,
    /// From which chance is thrown.
    pub seed: u64,
    /// Under which names CAA records allow it.
    pub caa_identities: Vec<String>,
    /// How many seconds its clock runs in one: a day a second is 86,400. Orders and pending
    /// authorizations live for ten minutes of real time at least, since clients are no faster for
    /// a clock that runs ahead.
    pub scale: u32,
    /// How long a list of revoked leaves counts, by its clock.
    pub lists_last: SignedDuration,
}

impl CaSetup {
    /// Sets up a CA on a free port of loopback.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            listen: ([127, 0, 0, 1], 0).into(),
            http_port: 80,
            external_accounts: Vec::new(),
            seed: 1,
            caa_identities: vec!["ca.sandbox.test".into()],
            scale: 1,
            lists_last: SignedDuration::from_hours(24 * 7),
        }
    }
}

/// A CA, running until dropped.
pub struct SandboxCa {
    shared: Arc<Shared>,
    door: Door,
    lists: Door,
    directory: String,
    api_root_pem: String,
}

struct Shared {
    state: Mutex<State>,
    lists_last: SignedDuration,
    authority: Authority,
    validator: Validator,
    clock: Clock,
}

/// What changes.
struct State {
    ca: Ca,
    nonces: nonces::Nonces,
    /// Account keys by thumbprint.
    keys: BTreeMap<Box<str>, jose::Jwk>,
    mac_keys: BTreeMap<Box<str>, Vec<u8>>,
    /// Keys to be certified, as SPKI in DER.
    spkis: BTreeMap<KeyId, Vec<u8>>,
    /// What was issued, as PEM.
    chains: BTreeMap<Serial, Arc<str>>,
    /// Since when which leaf has been on the list.
    listed: BTreeMap<Serial, Timestamp>,
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

impl SandboxCa {
    /// Starts a CA that resolves names by `resolver`.
    ///
    /// # Errors
    ///
    /// Returns why it cannot listen or make its certificates.
    pub async fn start(
        setup: &CaSetup,
        resolver: SocketAddr,
        clock: Clock,
    ) -> Result<Self, SandboxError> {
        let (listener, address) = listen(setup.listen).await?;
        // In the clear, and without validation: lists are signed.
        let (lists, lists_at) = listen(SocketAddr::new(setup.listen.ip(), 0)).await?;
        let authority = Authority::new(&setup.name, &lists::url(lists_at), clock.now())?;
        let identity = ApiIdentity::new()?;
        let base = format!("https://{address}");
        let ca = Ca::new(config(setup, &base, &authority), Dice::new(setup.seed));
        let identities = ca.config.caa_identities.clone();
        let mac_keys = setup.external_accounts.iter();
        let state = State {
            ca,
            nonces: nonces::Nonces::default(),
            keys: BTreeMap::new(),
            mac_keys: mac_keys.map(|(kid, key)| (kid.as_str().into(), key.clone())).collect(),
            spkis: BTreeMap::new(),
            chains: BTreeMap::new(),
            listed: BTreeMap::new(),
        };
        let validator = Validator::new(resolver, setup.http_port, identities);
        let state = Mutex::new(state);
        let lists_last = setup.lists_last;
        let shared = Arc::new(Shared { state, lists_last, authority, validator, clock });
        let lists = lists::door(lists, lists_at, &shared);
        let acceptor = acceptor(&identity)?;
        let visited = Arc::clone(&shared);
        let door = Door::new(listener, address, move |stream| {
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&visited));
            async move {
                let greeting = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
                if let Ok(Ok(stream)) = greeting.await {
                    speak(stream, |request| respond(Arc::clone(&shared), request)).await;
                }
            }
        });
        let api_root_pem = identity.root_pem;
        let directory = format!("{base}/directory");
        let ca = Self { shared, door, lists, directory, api_root_pem };
        // Unkind from the start.
        ca.with(|ca| ca.faults.bad_nonces = Permille::new(50));
        Ok(ca)
    }

    /// Returns the directory's URL.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Returns the root that the API's own certificate chains to, in PEM.
    #[must_use]
    pub fn api_root_pem(&self) -> &str {
        &self.api_root_pem
    }

    /// Returns the root that issued leaves chain to, in PEM.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.shared.authority.root_pem
    }

    /// Returns the intermediate that signs leaves, in PEM.
    #[must_use]
    pub fn intermediate_pem(&self) -> &str {
        &self.shared.authority.intermediate_pem
    }

    /// Chooses the port that stands for port 80 where http-01 is validated.
    pub fn set_http_port(&self, port: u16) {
        self.shared.validator.set_http_port(port);
    }

    /// Makes the list of revoked leaves available, or refuses connections to where it is.
    pub fn show_lists(&self, shown: bool) {
        self.lists.set_open(shown);
    }

    /// Looks at the model, turns its faults on and off, or changes how it is set up. Where
    /// `faults.outage` becomes [`Outage::Unreachable`], connections are refused from then on.
    pub fn with<T>(&self, change: impl FnOnce(&mut Ca) -> T) -> T {
        let mut state = self.shared.state();
        let result = change(&mut state.ca);
        self.door.set_open(state.ca.faults.outage != Outage::Unreachable);
        result
    }

    /// Returns every chain that was issued, in PEM, in the order of serial numbers.
    #[must_use]
    pub fn issued(&self) -> Vec<Arc<str>> {
        self.shared.state().chains.values().cloned().collect()
    }
}

fn config(setup: &CaSetup, base: &str, authority: &Authority) -> CaConfig {
    let accounts = setup.external_accounts.iter().map(|(kid, _)| kid.as_str().into());
    let usual = CaConfig::like_lets_encrypt(base, authority.not_after);
    let least = SignedDuration::from_secs(i64::from(setup.scale)).saturating_mul(600);
    let mut profiles = usual.profiles.clone();
    for profile in profiles.values_mut() {
        profile.order_lifetime = profile.order_lifetime.max(least);
        profile.pending_lifetime = profile.pending_lifetime.max(least);
    }
    CaConfig {
        profiles,
        issued_by: authority.name.as_str().into(),
        root: authority.root_name.as_str().into(),
        authority_key_id: authority.key_id.clone().into(),
        external_accounts: accounts.collect(),
        caa_identities: setup.caa_identities.iter().map(|name| name.as_str().into()).collect(),
        challenges: Box::new([
            ChallengeKind::Http01,
            ChallengeKind::Dns01,
            ChallengeKind::DnsAccount01,
            ChallengeKind::DnsPersist01,
            // One that nobody knows, without a token: clients must pass over it.
            ChallengeKind::Other("sandbox-01".into()),
        ]),
        // Time may be scaled; that an answer is `processing` must not depend on it.
        issuing_takes: SignedDuration::ZERO,
        processing_polls: 1,
        poll_after: SignedDuration::from_secs(1),
        ..usual
    }
}

fn acceptor(identity: &ApiIdentity) -> Result<TlsAcceptor, SandboxError> {
    let failed = |error: rustls::Error| SandboxError::new("set up the API's TLS", &error);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(failed)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the model whole: each step is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers one request; nothing where the connection is to be cut.
async fn respond(shared: Arc<Shared>, request: Request<Bytes>) -> Option<Answer> {
    let (after, answered, effects) = step(&shared, &request);
    for effect in effects {
        tokio::spawn(perform(Arc::clone(&shared), effect));
    }
    if after.is_positive() {
        tokio::time::sleep(after.unsigned_abs()).await;
    }
    answered
}

/// Asks the model, and writes down what it answers, in one piece.
fn step(
    shared: &Shared,
    request: &Request<Bytes>,
) -> (SignedDuration, Option<Answer>, Vec<CaEffect>) {
    let mut state = shared.state();
    let state = &mut *state;
    let (asked, key, csr) = match requests::read(state, request) {
        Ok(Asked::Model { request, key, csr }) => (request, key, csr),
        // Whoever is out gives no nonces either.
        Ok(Asked::Nonce { .. }) if state.ca.faults.outage != Outage::None => {
            (Box::new(CaRequest::Directory), None, None)
        }
        Ok(Asked::Nonce { head }) => {
            return (state.ca.faults.slow, Some(answers::nonce(state, head)), Vec::new());
        }
        Err(refused) => {
            let refused = answers::refusal(state, &refused, None);
            return (state.ca.faults.slow, Some(refused), Vec::new());
        }
    };
    if let Some(csr) = csr {
        state.spkis.insert(csr.csr.key, csr.spki);
    }
    let reply = state.ca.ask(&asked, shared.clock.now());
    let took_effect = match &reply.delivery {
        Delivery::Answer(answer) => answer.body.is_ok(),
        Delivery::Lost => true,
        Delivery::Unreachable => false,
    };
    if let Some(key) = key.filter(|_| took_effect) {
        state.keys.insert(key.thumbprint().into(), key);
    }
    let answered = match reply.delivery {
        Delivery::Answer(answer) => Some(answers::write(state, &asked, &answer)),
        Delivery::Lost | Delivery::Unreachable => None,
    };
    (reply.after, answered, state.ca.effects().collect())
}

/// Does what the model asked for.
async fn perform(shared: Arc<Shared>, effect: CaEffect) {
    match effect {
        CaEffect::Validate(validation) => {
            let verdict = shared.validator.validate(&validation).await;
            let now = shared.clock.now();
            shared.state().ca.verdict(validation.authorization, verdict, now);
        }
        CaEffect::Issue { order, leaf, recheck_caa } => {
            let checked = recheck(&shared, &recheck_caa).await;
            issue(&shared, order, leaf, checked);
        }
    }
}

async fn recheck(shared: &Shared, names: &[CaaRecheck]) -> Result<(), Problem> {
    for CaaRecheck { identifier: name, account, kind } in names {
        let checked = shared.validator.check_caa(name, account, kind).await;
        checked.map_err(|found| {
            let detail = format!("Rechecking CAA for \"{name}\": {}", found.detail);
            Problem { detail: detail.into(), ..found }
        })?;
    }
    Ok(())
}

fn issue(shared: &Shared, order: OrderId, leaf: IssuedLeaf, checked: Result<(), Problem>) {
    let spki = shared.state().spkis.get(&leaf.key).cloned().unwrap_or_default();
    let issued = checked.and_then(|()| {
        let signed = shared.authority.sign(&leaf, &spki);
        signed.map_err(|error| problem(400, "badCSR", format!("could not sign: {error}")))
    });
    let mut state = shared.state();
    let issued = issued.map(|chain| {
        state.chains.insert(leaf.serial, chain.into());
        leaf
    });
    state.ca.issued(order, issued, shared.clock.now());
}
