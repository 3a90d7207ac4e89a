use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{Identifier, KeyAlgorithm, Link};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};

use super::*;

/// Any moment will do: nothing here reads the clock.
fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// The type of rcgen's dates, without naming its crate.
fn set(params: &mut CertificateParams, from: Timestamp, to: Timestamp) {
    let since_1970 = |at: Timestamp| Duration::from_secs(at.as_second().try_into().unwrap());
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(from);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(to);
}

struct Authority {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(organisation: &str, name: &str, days: i64) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    set(&mut params, now(), now() + SignedDuration::from_hours(24 * days));
    let der = params.self_signed(&key).unwrap().der().clone();
    Authority { der, issuer: Issuer::new(params, key) }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    set(&mut params, now(), now() + SignedDuration::from_hours(24 * 90));
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn issue(params: &CertificateParams, by: &Authority) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let der = params.signed_by(&key, &by.issuer).unwrap().der().clone();
    (der, key)
}

fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

#[test]
fn a_leaf_tells_its_names_dates_key_and_issuer() {
    let ca = authority("Let's Encrypt", "YE1", 30);
    let (leaf, key) = issue(&params(&["WWW.Example.org", "192.0.2.7", "*.example.org"]), &ca);
    let chain = Chain::from_der(vec![leaf.clone(), ca.der]).unwrap();
    let facts = chain.facts().unwrap();

    let names: Vec<&str> = facts.identifiers.iter().map(Identifier::as_str).collect();
    assert_eq!(names, ["*.example.org", "192.0.2.7", "www.example.org"]);
    assert_eq!(facts.validity.not_before, now());
    assert_eq!(facts.validity.not_after, now() + SignedDuration::from_hours(24 * 90));
    assert_eq!(facts.chain_not_after, now() + SignedDuration::from_hours(24 * 30));
    assert_eq!(&*facts.issued_by, "Let's Encrypt YE1");
    assert_eq!(facts.key, key_id(&rcgen::PublicKeyData::subject_public_key_info(&key)));
    assert_eq!(facts.fingerprint, fingerprint(&leaf));
    assert!(facts.for_servers && facts.chain_in_order);
    assert!(facts.covers(&id("a.example.org")));
    assert!(
        key_matches(&leaf, &rcgen::PublicKeyData::subject_public_key_info(&key)).unwrap(),
        "the key is its own"
    );
}

#[test]
fn a_leaf_tells_what_clients_may_depend_on() {
    let root = authority("Example", "Root X1", 900);
    let key = KeyPair::generate().unwrap();
    let mut above = CertificateParams::default();
    above.distinguished_name.push(DnType::CommonName, "CA 1");
    above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = above.signed_by(&key, &root.issuer).unwrap().der().clone();
    let ca_key = key_id(&rcgen::PublicKeyData::subject_public_key_info(&key));
    let ca = Authority { der: ca, issuer: Issuer::new(above, key) };

    let mut both = params(&["a.example.org"]);
    both.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    let (leaf, _) = issue(&both, &ca);
    let told = |rest: &[&CertificateDer<'static>]| {
        let all = std::iter::once(&leaf).chain(rest.iter().copied()).cloned().collect();
        (*Chain::from_der(all).unwrap().facts().unwrap().traits.unwrap()).clone()
    };
    let link = Link { fingerprint: fingerprint(&ca.der), key: ca_key };
    let traits = told(&[&ca.der]);
    assert_eq!(traits.key_kind, KeyKind::EcdsaP256);
    assert!(traits.for_clients);
    assert_eq!(*traits.above, [link]);
    assert_eq!(&*traits.root, "Example Root X1", "named though it was not sent");
    assert_eq!(told(&[&ca.der, &root.der]).root, traits.root, "and the same if it was");

    let (server_only, _) = issue(&params(&["a.example.org"]), &ca);
    let facts = Chain::from_der(vec![server_only]).unwrap().facts().unwrap();
    assert!(!facts.traits.unwrap().for_clients);
}

#[test]
fn the_kind_of_a_key_is_told() {
    let kind = |algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        key_kind(&rcgen::PublicKeyData::subject_public_key_info(&key)).unwrap()
    };
    assert_eq!(kind(&rcgen::PKCS_ECDSA_P256_SHA256), KeyKind::EcdsaP256);
    assert_eq!(kind(&rcgen::PKCS_ECDSA_P384_SHA384), KeyKind::EcdsaP384);
    assert_eq!(kind(&rcgen::PKCS_ED25519), KeyKind::Ed25519);
    for algorithm in [KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa3072] {
        let pkcs8 = crate::key::KeyPair::generate(algorithm).unwrap();
        let key = KeyPair::try_from(pkcs8.as_slice()).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(key_kind(&spki).unwrap(), algorithm.kind());
    }
    assert!(key_kind(b"no key").is_err());
}

#[test]
fn pem_goes_in_and_comes_out_the_same() {
    let ca = authority("Example", "Example CA", 30);
    let (leaf, _) = issue(&params(&["a.example.org"]), &ca);
    let chain = Chain::from_der(vec![leaf, ca.der]).unwrap();
    let text = format!("some words before\n{}\nand after\n", chain.to_pem());
    assert_eq!(Chain::from_pem(text.as_bytes()).unwrap(), chain);
    assert_eq!(format!("{}{}", chain.leaf_pem(), chain.rest_pem()), chain.to_pem());
}

#[test]
fn a_chain_out_of_order_or_of_strangers_is_seen() {
    let ca = authority("Example", "CA", 30);
    let namesake = authority("Example", "CA", 30);
    let (leaf, _) = issue(&params(&["a.example.org"]), &ca);
    let in_order = |rest: &[&CertificateDer<'static>]| {
        let all = std::iter::once(&leaf).chain(rest.iter().copied()).cloned().collect();
        Chain::from_der(all).unwrap().facts().unwrap().chain_in_order
    };
    assert!(in_order(&[]));
    assert!(in_order(&[&ca.der]));
    assert!(!in_order(&[&namesake.der]), "the same name, another key");
    assert!(!in_order(&[&namesake.der, &ca.der]));
}

/// RFC 9773 section 4.1: AKI 69:88:…:D4 and serial 00:87:65:43:21.
#[test]
fn the_ari_id_keeps_the_leading_zero_of_the_serial() {
    let aki = [
        0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae,
        0x2c, 0xde, 0x01, 0xc8, 0xd4,
    ];
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(aki.to_vec());
    let ca = Issuer::new(ca, key);
    let mut params = params(&["example.com"]);
    params.serial_number = Some(SerialNumber::from(vec![0x00, 0x87, 0x65, 0x43, 0x21]));
    let leaf = params.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap().der().clone();
    let facts = Chain::from_der(vec![leaf]).unwrap().facts().unwrap();
    assert_eq!(&*facts.ari_id.unwrap().0, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
}

#[test]
fn a_leaf_without_aki_has_no_ari_id() {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&["example.com"]);
    params.use_authority_key_identifier_extension = false;
    let leaf = params.self_signed(&key).unwrap().der().clone();
    assert_eq!(Chain::from_der(vec![leaf]).unwrap().facts().unwrap().ari_id, None);
}

#[test]
fn what_may_not_serve_servers_is_seen() {
    let ca = authority("Example", "CA", 30);
    let for_servers = |change: fn(&mut CertificateParams)| {
        let mut params = params(&["a.example.org"]);
        change(&mut params);
        let (leaf, _) = issue(&params, &ca);
        Chain::from_der(vec![leaf]).unwrap().facts().unwrap().for_servers
    };
    assert!(for_servers(|_| ()));
    assert!(for_servers(|params| params.extended_key_usages.clear()));
    assert!(!for_servers(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }));
    assert!(!for_servers(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)));
    assert!(!for_servers(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]));
}

#[test]
fn an_address_written_as_a_dns_name_is_no_identifier() {
    let ca = authority("Example", "CA", 30);
    let mut params = params(&["a.example.org"]);
    params.subject_alt_names.push(SanType::DnsName("192.0.2.9".try_into().unwrap()));
    params.subject_alt_names.push(SanType::DnsName("not a name".try_into().unwrap()));
    let (leaf, _) = issue(&params, &ca);
    let facts = Chain::from_der(vec![leaf]).unwrap().facts().unwrap();
    assert_eq!(*facts.identifiers, [id("a.example.org")]);
}

#[test]
fn a_leaf_that_never_ends_ends_with_the_calendar() {
    let ca = authority("Example", "CA", 30);
    let mut params = params(&["a.example.org"]);
    params.not_after = rcgen::date_time_ymd(9999, 12, 31) + Duration::from_secs(86_399);
    let (leaf, _) = issue(&params, &ca);
    let facts = Chain::from_der(vec![leaf]).unwrap().facts().unwrap();
    assert_eq!(facts.validity.not_after, Timestamp::MAX);
}

#[test]
fn the_issuer_is_named_as_people_know_it() {
    let cases = [
        ("Google Trust Services", "WE1", "Google Trust Services WE1"),
        ("DigiCert Inc", "DigiCert TLS RSA SHA256 2020 CA1", "DigiCert TLS RSA SHA256 2020 CA1"),
        ("Evil\u{1b}[2J", "CA\u{202e}\n", "Evil[2J CA"),
    ];
    for (organisation, name, expected) in cases {
        let ca = authority(organisation, name, 30);
        let (leaf, _) = issue(&params(&["a.example.org"]), &ca);
        let facts = Chain::from_der(vec![leaf]).unwrap().facts().unwrap();
        assert_eq!(&*facts.issued_by, expected);
    }
}

#[test]
fn what_is_too_much_or_no_chain_is_refused() {
    let ca = authority("Example", "CA", 30);
    let many = vec![ca.der.clone(); MAX_CERTIFICATES + 1];
    assert!(matches!(Chain::from_der(many.clone()), Err(X509Error::TooLarge { .. })));
    let text: String = many.iter().map(|der| to_pem(der)).collect();
    assert!(matches!(Chain::from_pem(text.as_bytes()), Err(X509Error::TooLarge { .. })));
    let long = CertificateDer::from(vec![0; MAX_CERTIFICATE_LEN + 1]);
    assert!(matches!(Chain::from_der(vec![long]), Err(X509Error::TooLarge { .. })));
    assert!(matches!(
        Chain::from_pem(&vec![b' '; MAX_PEM_LEN + 1]),
        Err(X509Error::TooLarge { .. })
    ));
    assert_eq!(Chain::from_pem(b"<html>no</html>"), Err(X509Error::Empty));
    let mut followed = ca.der.to_vec();
    followed.push(0);
    let followed = Chain::from_der(vec![CertificateDer::from(followed)]).unwrap();
    assert!(matches!(followed.facts(), Err(X509Error::Malformed { number: 1, .. })));
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    assert!(matches!(Chain::from_pem(broken.as_bytes()), Err(X509Error::Pem(_))));
}

/// Every prefix and every flipped byte of a certificate is read or refused, without a panic.
#[test]
fn damaged_certificates_never_panic() {
    let ca = authority("Example", "CA", 30);
    let (leaf, _) = issue(&params(&["a.example.org", "192.0.2.7"]), &ca);
    for end in 0..leaf.len() {
        let cut = CertificateDer::from(leaf[..end].to_vec());
        assert!(Chain::from_der(vec![cut]).unwrap().facts().is_err());
    }
    for index in 0..leaf.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = leaf.to_vec();
            bytes[index] ^= mask;
            let chain = vec![CertificateDer::from(bytes), ca.der.clone()];
            let _ = Chain::from_der(chain).unwrap().facts();
        }
    }
}
