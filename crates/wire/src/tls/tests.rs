use std::time::Duration as StdDuration;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::SightState::{
    Expired, IncompleteChain, NameMismatch, NotYetValid, Ok as Fine, Untrusted,
};
use perennial_core::words::{Identifier, SightState};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::CertificateDer;

use super::*;

/// Any moment will do: nothing here reads the clock.
fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn params(from: i64, to: i64) -> CertificateParams {
    let since_1970 = |at: Timestamp| StdDuration::from_secs(at.as_second().try_into().unwrap());
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(now() + days(from));
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(now() + days(to));
    params
}

struct Authority {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str, by: Option<&Authority>, to: i64) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = params(-300, to);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Authority { der: certificate.der().clone(), issuer: Issuer::new(params, key) }
}

fn leaf(by: Option<&Authority>, names: &[&str], from: i64, to: i64) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = params(from, to);
    params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    certificate.der().clone()
}

struct World {
    root: Authority,
    middle: Authority,
    roots: Roots,
}

fn world() -> World {
    let root = authority("Root", None, 3000);
    let middle = authority("Middle", Some(&root), 1000);
    let roots = Roots::from_pem("the test", crate::x509::to_pem(&root.der).as_bytes()).unwrap();
    World { root, middle, roots }
}

impl World {
    fn stores(&self) -> Stores {
        Stores::only(self.roots.clone())
    }

    fn judge(
        &self,
        certificates: Vec<CertificateDer<'static>>,
        known: &[CertificateDer<'_>],
    ) -> (SightState, String) {
        let chain = Chain::from_der(certificates).unwrap();
        let facts = chain.facts().unwrap();
        let name = Identifier::new("a.test").unwrap();
        let verdict = judge_chain(&chain, &facts, &name, now(), &self.roots, known);
        (verdict.state, verdict.cause.unwrap_or_default())
    }
}

#[test]
fn every_state_of_a_chain_is_told_apart() {
    let world = world();
    let (root, middle) = (&world.root, &world.middle);
    let good = || leaf(Some(middle), &["a.test"], -1, 89);
    let ended = authority("Ended", Some(root), -1);
    let stranger = authority("Stranger", None, 3000);
    let cases = [
        ("whole", vec![good(), middle.der.clone()], Fine, ""),
        ("with the root", vec![good(), middle.der.clone(), root.der.clone()], Fine, ""),
        ("of the root itself", vec![leaf(Some(root), &["a.test"], -1, 89)], Fine, ""),
        (
            "expired",
            vec![leaf(Some(middle), &["a.test"], -90, -1), middle.der.clone()],
            Expired,
            "the leaf expired at 2026-11-20T12:00:00Z",
        ),
        (
            "early",
            vec![leaf(Some(middle), &["a.test"], 1, 90), middle.der.clone()],
            NotYetValid,
            "the leaf is valid from 2026-11-22T12:00:00Z",
        ),
        (
            "another's",
            vec![leaf(Some(middle), &["b.test", "*.a.test"], -1, 89), middle.der.clone()],
            NameMismatch,
            "the leaf is for *.a.test, b.test",
        ),
        (
            "alone",
            vec![good()],
            IncompleteChain,
            "the leaf comes alone, and Middle is no trusted root",
        ),
        (
            "its issuer expired",
            vec![leaf(Some(&ended), &["a.test"], -90, 89), ended.der.clone()],
            Expired,
            "a certificate of the chain has expired",
        ),
        (
            "of a stranger",
            vec![leaf(Some(&stranger), &["a.test"], -1, 89), stranger.der.clone()],
            Untrusted,
            "no path to a root that the test trusts; issued by Stranger",
        ),
        (
            "of itself",
            vec![leaf(None, &["a.test"], -1, 89)],
            Untrusted,
            "the leaf is signed by itself",
        ),
        (
            "expired, another's and of itself",
            vec![leaf(None, &["b.test"], -90, -1)],
            Expired,
            "the leaf expired at 2026-11-20T12:00:00Z; the leaf is for b.test; \
             the leaf is signed by itself",
        ),
        (
            "a CA's own",
            vec![middle.der.clone()],
            NameMismatch,
            "the leaf has no name at all; the leaf is a CA's own certificate",
        ),
    ];
    for (case, certificates, state, cause) in cases {
        assert_eq!(world.judge(certificates, &[]), (state, cause.to_owned()), "{case}");
    }
}

#[test]
fn what_other_addresses_send_shows_that_a_chain_is_incomplete() {
    let world = world();
    let inner = authority("Inner", Some(&world.middle), 500);
    let leaf = leaf(Some(&inner), &["a.test"], -1, 89);
    let served = vec![leaf, inner.der.clone()];
    let (state, _) = world.judge(served.clone(), &[]);
    assert_eq!(state, Untrusted, "the middle is unknown");
    let (state, cause) = world.judge(served, std::slice::from_ref(&world.middle.der));
    assert_eq!(
        (state, cause.as_str()),
        (IncompleteChain, "the server does not send the certificate of Inner")
    );
}

/// A second certificate for the same name and key, as when one root vouches for another.
fn again(name: &str, what: &Authority, by: &Authority, to: i64) -> CertificateDer<'static> {
    let mut params = params(-300, to);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.signed_by(what.issuer.key(), &by.issuer).unwrap().der().clone()
}

fn store(name: &str, root: &Authority) -> Roots {
    Roots::from_pem(name, crate::x509::to_pem(&root.der).as_bytes()).unwrap()
}

fn met(certificates: Vec<CertificateDer<'static>>) -> Result<Served, TlsError> {
    Ok(Served {
        chain: Chain::from_der(certificates).unwrap(),
        version: TlsVersion::TLS_1_3,
        ocsp_staple: None,
        client_certificate: ClientCertificate::NotAsked,
        holds_key: Some(true),
        way: Way::Handshake,
        ended_by: None,
    })
}

/// Judges, and says in how many days what is served ends.
fn ends(
    certificates: Vec<CertificateDer<'static>>,
    stores: &[Roots],
) -> (SightState, i64, Vec<String>) {
    let name = Identifier::new("a.test").unwrap();
    let (first, others) = stores.split_first().unwrap();
    let only = Stores::only(first.clone());
    let stores = others.iter().fold(only, |all, own| all.with(own.clone()));
    let (judged, _) = judge_handshake(&met(certificates), &name, now(), &stores, &[]);
    let told = judged.told();
    let ends_at = judged.leaf.unwrap().ends_at();
    (judged.state, ends_at.duration_since(now()).as_hours() / 24, told)
}

#[test]
fn what_is_served_ends_when_its_last_path_does() {
    let (old, new) = (authority("Old", None, 3000), authority("New", None, 3000));
    let (both, one) = ([store("old", &old), store("new", &new)], [store("new", &new)]);
    let middle = |to| authority("Middle", Some(&new), to);
    let leaf_of = |middle: &Authority| leaf(Some(middle), &["a.test"], -1, 89);
    let alone = |stores: &[Roots], to| {
        let middle = middle(to);
        ends(vec![leaf_of(&middle), middle.der], stores)
    };
    assert_eq!(alone(&one, 1000), (Fine, 89, vec![]));
    assert_eq!(alone(&one, 40), (Fine, 40, vec![]), "the middle ends before the leaf");

    // Old vouches for New: whoever has New itself needs none of it.
    let crossed = |stores: &[Roots], middle_to, cross_to| {
        let middle = middle(middle_to);
        let cross = again("New", &new, &old, cross_to);
        ends(vec![leaf_of(&middle), middle.der, cross], stores)
    };
    assert_eq!(crossed(&one, 1000, -7), (Fine, 89, vec![]), "expired, and superfluous");
    assert_eq!(crossed(&one, 1000, 20), (Fine, 89, vec![]), "ends first, and superfluous");
    assert_eq!(crossed(&one, 40, 20), (Fine, 40, vec![]));
    let late = |state: (SightState, i64, Vec<String>)| (state.0, state.1, state.2.join("; "));
    assert_eq!(late(crossed(&both[..1], 1000, 20)), (Fine, 20, String::new()));
    let by_new_first = [both[1].clone(), both[0].clone()];
    let sooner = "the chain ends at 2026-12-11T12:00:00Z for clients with the roots of old";
    assert_eq!(late(crossed(&by_new_first, 1000, 20)), (Fine, 89, sooner.into()));
    assert_eq!(late(crossed(&both, 1000, 20)), (Fine, 20, String::new()), "the first counts");

    // Two ways for the middle to the same root, of which the longer one counts.
    let middle = middle(40);
    let longer = again("Middle", &middle, &new, 60);
    assert_eq!(ends(vec![leaf_of(&middle), middle.der, longer], &one), (Fine, 60, vec![]));
}

#[test]
fn a_store_that_refuses_what_another_one_accepts_is_told() {
    let (old, new) = (authority("Old", None, 3000), authority("New", None, 3000));
    let (old, stores) = (&old, [store("new", &new), store("old", &old)]);
    let leaf_of_old = || leaf(Some(old), &["a.test"], -1, 89);
    let refusal = "clients with the roots of new refuse it: \
                   the leaf comes alone, and Old is no trusted root";
    assert_eq!(ends(vec![leaf_of_old()], &stores), (Fine, 89, vec![refusal.to_owned()]));
    let middle = authority("Middle", Some(old), -1);
    let of_ended = vec![leaf(Some(&middle), &["a.test"], -1, 89), middle.der];
    let (state, _, told) = ends(of_ended, &stores);
    let cause = "a certificate of the chain has expired".to_owned();
    assert_eq!((state, told), (Expired, vec![cause]), "who knows the issuer says more");
    let private = Stores::only(stores[0].clone())
        .with(stores[1].clone())
        .and(&store("private", &authority("P", None, 9)));
    let names: Vec<&str> = private.iter().map(Roots::name).collect();
    assert_eq!(names, ["new and private", "old and private"]);
    assert!(Stores::usual().iter().next().unwrap().anchors_len() > 100);
}

#[test]
fn the_conduct_of_a_server_counts_where_its_chain_is_fine() {
    let world = world();
    let judge = |served: Served| {
        let name = Identifier::new("a.test").unwrap();
        let (judged, _) = judge_handshake(&Ok(served), &name, now(), &world.stores(), &[]);
        assert!(judged.leaf.is_some(), "the leaf was shown, whatever came after");
        (judged.state, judged.cause.unwrap_or_default())
    };
    let served = |to: i64| Served {
        chain: Chain::from_der(vec![leaf(Some(&world.root), &["a.test"], -30, to)]).unwrap(),
        version: TlsVersion::TLS_1_3,
        ocsp_staple: None,
        client_certificate: ClientCertificate::Asked,
        holds_key: Some(true),
        way: Way::Handshake,
        ended_by: None,
    };
    assert_eq!(judge(served(9)), (Fine, String::new()), "asking is not demanding");
    let demanded = |to| Served {
        client_certificate: ClientCertificate::Demanded,
        ended_by: Some("the server sent the alert certificate_required".into()),
        ..served(to)
    };
    assert_eq!(judge(demanded(9)).0, SightState::ClientCertificateDemanded);
    assert_eq!(judge(demanded(-1)).0, Expired, "the leaf's own faults come first");
    assert_eq!(judge(Served { holds_key: Some(false), ..served(9) }).0, Untrusted);
    let cut = Served { ended_by: Some("the connection was reset".into()), ..served(9) };
    let cause = "the handshake did not complete: the connection was reset";
    assert_eq!(judge(cut), (SightState::NoTls, cause.into()));
    let old = Served { way: Way::Legacy, version: TlsVersion(0x0301), ..served(9) };
    assert_eq!(judge(old), (Fine, "only TLS 1.0, which clients refuse".into()));
}

#[test]
fn every_reason_for_seeing_no_chain_has_a_state() {
    let text = String::new;
    let cases = [
        (TlsError::Name(text()), SightState::CannotLook),
        (TlsError::NoRoute(text()), SightState::CannotLook),
        (TlsError::NoTurn, SightState::CannotLook),
        (TlsError::Unreachable(text()), SightState::Unreachable),
        (TlsError::NoTls(text()), SightState::NoTls),
        (TlsError::Refused(text()), SightState::NoTls),
        (TlsError::UnknownName, NameMismatch),
    ];
    let name = Identifier::new("a.test").unwrap();
    let world = world();
    for (error, state) in cases {
        let (judged, _) = judge_handshake(&Err(error.clone()), &name, now(), &world.stores(), &[]);
        assert_eq!((judged.state, judged.leaf), (state, None), "{error:?}");
    }
}

#[test]
fn roots_are_read_or_refused() {
    assert!(Roots::mozilla().anchors_len() > 100);
    assert_eq!(Roots::from_pem("x", b"nothing").unwrap_err(), RootsError::Empty);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        Roots::from_pem("x", broken.as_bytes()),
        Err(RootsError::Certificate { number: 1, .. })
    ));
}
