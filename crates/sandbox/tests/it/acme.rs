//! The CA driven by instant-acme, a client that others wrote.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use perennial_core::words::Permille;
use perennial_sandbox::model::ca::Outage;
use perennial_sandbox::model::dns::{Caa, Data};
use perennial_sandbox::{Sandbox, SandboxCa};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::bench::{Web, sandbox};

const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(20))
    .backoff(1.2)
    .timeout(Duration::from_secs(20));

/// Makes an account.
async fn account(ca: &SandboxCa, eab: Option<&ExternalAccountKey>) -> Result<Account, Error> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, ca.api_root_pem()).unwrap();
    let new =
        NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_root(&root).unwrap();
    let (account, _) = builder.create(&new, ca.directory().to_owned(), eab).await?;
    Ok(account)
}

fn dns(name: &str) -> Identifier {
    Identifier::Dns(name.to_owned())
}

/// How challenges are answered.
enum Answers<'a> {
    Http(&'a Web),
    Dns(&'a Sandbox),
}

/// Answers every pending authorization of an order.
async fn answer(order: &mut Order, answers: &Answers<'_>) {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let kind = match answers {
            Answers::Http(_) => ChallengeType::Http01,
            Answers::Dns(_) => ChallengeType::Dns01,
        };
        let mut challenge = authorization.challenge(kind).expect("the challenge is offered");
        let key_authorization = challenge.key_authorization();
        match answers {
            Answers::Http(web) => web.put(&challenge.token, key_authorization.as_str()),
            Answers::Dns(sandbox) => {
                let base = challenge.identifier().to_string();
                let base = base.trim_start_matches("*.");
                let name = format!("_acme-challenge.{base}");
                let value = Data::Txt(key_authorization.dns_value().into());
                sandbox.dns.with(|dns, now| dns.add("example.test", &name, value, now));
            }
        }
        challenge.set_ready().await.unwrap();
    }
}

/// Walks an order to its chain.
async fn issue(account: &Account, new: &NewOrder<'_>, answers: &Answers<'_>) -> String {
    let mut order = account.new_order(new).await.unwrap();
    answer(&mut order, answers).await;
    assert_eq!(order.poll_ready(&PATIENCE).await.unwrap(), OrderStatus::Ready);
    let names: Vec<String> = new
        .identifiers()
        .iter()
        .map(|identifier| match identifier {
            Identifier::Dns(name) => name.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params.serialize_request(&key).unwrap();
    order.finalize_csr(csr.der()).await.unwrap();
    order.poll_certificate(&PATIENCE).await.unwrap()
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

/// Checks a chain as a client would, at a moment.
fn verify(pem: &str, root_pem: &str, name: &str, at: jiff::Timestamp) {
    let chain = certificates(pem);
    let root = certificates(root_pem);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root[0].clone()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        std::sync::Arc::new(roots),
        provider,
    )
    .build()
    .unwrap();
    let at = Duration::from_secs(u64::try_from(at.as_second()).unwrap());
    use rustls::client::danger::ServerCertVerifier as _;
    verifier
        .verify_server_cert(
            &chain[0],
            &chain[1..],
            &name.to_owned().try_into().unwrap(),
            &[],
            UnixTime::since_unix_epoch(at),
        )
        .unwrap();
}

/// Reads how renewal information calls a leaf.
fn renewal_name(pem: &str) -> CertificateIdentifier<'static> {
    let leaf = certificates(pem).remove(0);
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let aki = leaf
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(aki) => aki.key_identifier.clone(),
            _ => None,
        })
        .unwrap();
    CertificateIdentifier::new(aki.0.into(), leaf.raw_serial().into()).into_owned()
}

#[tokio::test]
async fn a_leaf_is_issued_by_http_01_that_clients_accept() {
    let (sandbox, dial) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let (web, port) = Web::start().await;
    ca.set_http_port(port);
    let account = account(ca, None).await.unwrap();
    let names = [dns("example.test"), dns("www.example.test")];
    let pem = issue(&account, &NewOrder::new(&names), &Answers::Http(&web)).await;
    for name in ["example.test", "www.example.test"] {
        verify(&pem, ca.root_pem(), name, dial.now());
    }
    assert_eq!(ca.issued().len(), 1);
    assert_eq!(&*ca.issued()[0], pem);
}

#[tokio::test]
async fn a_wildcard_and_its_apex_are_issued_by_dns_01() {
    let (sandbox, dial) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let account = account(ca, None).await.unwrap();
    let names = [dns("example.test"), dns("*.example.test")];
    let pem = issue(&account, &NewOrder::new(&names), &Answers::Dns(&sandbox)).await;
    verify(&pem, ca.root_pem(), "anything.example.test", dial.now());
}

#[tokio::test]
async fn an_external_account_is_bound_by_its_mac() {
    let key = b"0123456789abcdef0123456789abcdef";
    let (sandbox, _) =
        sandbox(|config| config.cas[0].external_accounts = vec![("kid-1".into(), key.to_vec())])
            .await;
    let ca = &sandbox.cas[0];
    let kind = |result: Result<Account, Error>| match result {
        Ok(_) => "ok".to_owned(),
        Err(Error::Api(problem)) => problem.r#type.unwrap_or_default(),
        Err(other) => panic!("{other:?}"),
    };
    let unauthorized = "urn:ietf:params:acme:error:unauthorized";
    let required = "urn:ietf:params:acme:error:externalAccountRequired";
    assert_eq!(kind(account(ca, None).await), required);
    let wrong = ExternalAccountKey::new("kid-1".into(), b"another key");
    assert_eq!(kind(account(ca, Some(&wrong)).await), unauthorized);
    let unknown = ExternalAccountKey::new("kid-2".into(), key);
    assert_eq!(kind(account(ca, Some(&unknown)).await), unauthorized);
    let right = ExternalAccountKey::new("kid-1".into(), key);
    assert_eq!(kind(account(ca, Some(&right)).await), "ok");
    assert_eq!(kind(account(ca, Some(&right)).await), unauthorized, "used up");
}

#[tokio::test]
async fn a_profile_decides_the_lifetime_and_renewal_information_follows() {
    let (sandbox, dial) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let account = account(ca, None).await.unwrap();
    let profiles: Vec<&str> = account.profiles().map(|profile| profile.name).collect();
    assert_eq!(profiles.len(), 3);
    let names = [dns("example.test")];
    let new = NewOrder::new(&names).profile("shortlived");
    let pem = issue(&account, &new, &Answers::Dns(&sandbox)).await;
    let (info, retry_after) = account.renewal_info(&renewal_name(&pem)).await.unwrap();
    assert_eq!(retry_after.as_secs_f64().round(), 21_600.0);
    let hours_from_now =
        |at: time::OffsetDateTime| (at.unix_timestamp() - dial.now().as_second()) / 3600;
    let window = info.suggested_window;
    assert_eq!((hours_from_now(window.start), hours_from_now(window.end)), (77, 80));
    let unknown = NewOrder::new(&names).profile("unheard-of");
    let Err(Error::Api(problem)) = account.new_order(&unknown).await else { panic!() };
    assert_eq!(problem.r#type.unwrap(), "urn:ietf:params:acme:error:invalidProfile");
}

#[tokio::test]
async fn a_leaf_is_replaced_once() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let account = account(&sandbox.cas[0], None).await.unwrap();
    let names = [dns("example.test")];
    let pem = issue(&account, &NewOrder::new(&names), &Answers::Dns(&sandbox)).await;
    let replacing = NewOrder::new(&names).replaces(renewal_name(&pem));
    issue(&account, &replacing, &Answers::Dns(&sandbox)).await;
    let Err(Error::Api(problem)) = account.new_order(&replacing).await else { panic!() };
    assert_eq!(problem.r#type.unwrap(), "urn:ietf:params:acme:error:alreadyReplaced");
    assert_eq!(problem.status, Some(409));
}

#[tokio::test]
async fn short_lives_are_lived_at_a_day_a_second() {
    let wall = crate::bench::wall();
    let began = wall.now();
    let fast = perennial_wire::clock::Clock::new(move || {
        began + wall.now().duration_since(began).saturating_mul(86_400)
    });
    let clock = fast.clone();
    let (sandbox, _) = sandbox(|config| {
        config.clock = clock;
        config.cas[0].scale = 86_400;
    })
    .await;
    let ca = &sandbox.cas[0];
    let account = account(ca, None).await.unwrap();
    let names = [dns("example.test")];
    let new = NewOrder::new(&names).profile("shortlived");
    let pem = issue(&account, &new, &Answers::Dns(&sandbox)).await;
    verify(&pem, ca.root_pem(), "example.test", fast.now());
    let (info, _) = account.renewal_info(&renewal_name(&pem)).await.unwrap();
    let start = info.suggested_window.start.unix_timestamp();
    crate::bench::until("renewal is due", || fast.now().as_second() > start).await;
    issue(&account, &new.replaces(renewal_name(&pem)), &Answers::Dns(&sandbox)).await;
}

/// Lets an order for `example.test` fail by dns-01, and returns the challenge's error.
async fn failure(sandbox: &Sandbox, record: Option<&str>) -> String {
    let account = account(&sandbox.cas[0], None).await.unwrap();
    let names = [dns("example.test")];
    let mut order = account.new_order(&NewOrder::new(&names)).await.unwrap();
    match record {
        None => answer(&mut order, &Answers::Dns(sandbox)).await,
        Some(wrong) => {
            let (name, value) = ("_acme-challenge.example.test", Data::Txt(wrong.into()));
            sandbox.dns.with(|dns, now| dns.add("example.test", name, value, now));
            let mut authorizations = order.authorizations();
            let mut authorization = authorizations.next().await.unwrap().unwrap();
            let mut challenge = authorization.challenge(ChallengeType::Dns01).unwrap();
            challenge.set_ready().await.unwrap();
        }
    }
    assert_eq!(order.poll_ready(&PATIENCE).await.unwrap(), OrderStatus::Invalid);
    let mut authorizations = order.authorizations();
    let authorization = authorizations.next().await.unwrap().unwrap();
    let failed = authorization.challenges.iter().find_map(|challenge| challenge.error.clone());
    failed.unwrap().detail.unwrap()
}

#[tokio::test]
async fn failed_validations_say_why_in_boulders_words() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let wrong = failure(&sandbox, Some("wrong")).await;
    assert_eq!(wrong, "Incorrect TXT record \"wrong\" found at _acme-challenge.example.test");
    let caa = Caa { critical: false, tag: "issue".into(), value: "other.test".into() };
    sandbox.dns.with(|dns, now| dns.add("example.test", "example.test", Data::Caa(caa), now));
    let forbidden = failure(&sandbox, None).await;
    let expected =
        "While processing CAA for example.test: CAA record for example.test prevents issuance";
    assert_eq!(forbidden, expected);
}

#[tokio::test]
async fn an_outage_refuses_connections_and_ends() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let made = account(ca, None).await.unwrap();
    ca.with(|ca| ca.faults.outage = Outage::Unreachable);
    assert!(account(ca, None).await.is_err());
    ca.with(|ca| ca.faults.outage = Outage::Unavailable);
    crate::bench::until("the door is open again", || {
        std::net::TcpStream::connect(ca.directory()[8..].split('/').next().unwrap()).is_ok()
    })
    .await;
    assert!(account(ca, None).await.is_err());
    ca.with(|ca| ca.faults.outage = Outage::None);
    let names = [dns("example.test")];
    issue(&made, &NewOrder::new(&names), &Answers::Dns(&sandbox)).await;
}

#[tokio::test]
async fn an_order_that_died_answers_404() {
    let (sandbox, dial) = sandbox(|_| {}).await;
    let account = account(&sandbox.cas[0], None).await.unwrap();
    let names = [dns("example.test")];
    let order = account.new_order(&NewOrder::new(&names)).await.unwrap();
    let url = order.url().to_owned();
    dial.turn(8 * 24);
    let Err(Error::Api(problem)) = account.order(url).await else { panic!() };
    assert_eq!(problem.status, Some(404));
    assert_eq!(problem.r#type.unwrap(), "urn:ietf:params:acme:error:malformed");
}

#[tokio::test]
async fn an_account_key_is_changed_and_the_old_one_forgotten() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let mut account = account(&sandbox.cas[0], None).await.unwrap();
    drop(account.update_key().await.unwrap());
    let names = [dns("example.test")];
    issue(&account, &NewOrder::new(&names), &Answers::Dns(&sandbox)).await;
}

#[tokio::test]
async fn every_kind_of_key_is_certified() {
    let (sandbox, dial) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    let account = account(ca, None).await.unwrap();
    let names = [dns("example.test")];
    let rsa: rcgen::RsaKeySize = rcgen::RsaKeySize::_2048;
    let keys = [
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rsa).unwrap(),
    ];
    for key in keys {
        let mut order = account.new_order(&NewOrder::new(&names)).await.unwrap();
        answer(&mut order, &Answers::Dns(&sandbox)).await;
        order.poll_ready(&PATIENCE).await.unwrap();
        let params = rcgen::CertificateParams::new(vec!["example.test".to_owned()]);
        let mut params = params.unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(&key).unwrap();
        order.finalize_csr(csr.der()).await.unwrap();
        let pem = order.poll_certificate(&PATIENCE).await.unwrap();
        verify(&pem, ca.root_pem(), "example.test", dial.now());
    }
}

#[tokio::test]
async fn validations_are_used_again_but_caa_is_not_forgotten() {
    let (sandbox, dial) = sandbox(|_| {}).await;
    let ca = &sandbox.cas[0];
    ca.with(|ca| ca.config.reuse = Permille::new(1000));
    let account = account(ca, None).await.unwrap();
    let names = [dns("example.test")];
    let bound = format!("ca.sandbox.test; accounturi={}", account.id());
    let caa = |value: &str| Caa { critical: false, tag: "issue".into(), value: value.into() };
    let add =
        |data| sandbox.dns.with(|dns, now| dns.add("example.test", "example.test", data, now));
    add(Data::Caa(caa(&bound)));
    issue(&account, &NewOrder::new(&names), &Answers::Dns(&sandbox)).await;
    dial.turn(8);
    issue(&account, &NewOrder::new(&names), &Answers::Dns(&sandbox)).await;
    let old = Data::Caa(caa(&bound));
    sandbox.dns.with(|dns, now| dns.remove("example.test", "example.test", &old, now));
    add(Data::Caa(caa("other.test")));
    let mut order = account.new_order(&NewOrder::new(&names)).await.unwrap();
    assert_eq!(order.state().status, OrderStatus::Ready);
    order.finalize().await.unwrap();
    assert!(order.poll_certificate(&PATIENCE).await.is_err());
    let problem = order.state().error.clone().unwrap();
    assert_eq!(problem.r#type.unwrap(), "urn:ietf:params:acme:error:caa");
    assert!(problem.detail.unwrap().starts_with("Rechecking CAA for \"example.test\""));
}
