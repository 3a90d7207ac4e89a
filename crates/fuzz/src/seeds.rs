//! What the fuzzer starts from: one of each thing that is read, minted or written anew each time.
#![expect(clippy::unwrap_used, reason = "what is minted here is right, or the fuzzer is of no use")]

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use perennial_wire::dns::proto::{Message, MessageType, rdata};
use perennial_wire::dns::{RecordType, Recursion, question, to_name};
use perennial_wire::tls::Roots;
use perennial_wire::x509::Chain;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

/// A CA and a leaf of it.
pub(crate) struct Authority {
    pub(crate) chain: Chain,
    pub(crate) roots: Roots,
    list: Vec<u8>,
    key: Vec<u8>,
}

/// Returns the one CA of this process.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(mint)
}

fn mint() -> Authority {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    root.distinguished_name.push(DnType::CommonName, "Root");
    (root.not_before, root.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    let issuer = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();

    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(["a.test".to_owned(), "*.b.test".to_owned()]).unwrap();
    leaf.serial_number = Some(SerialNumber::from(7));
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (leaf.not_before, leaf.not_after) = (date_time_ymd(2026, 12, 1), date_time_ymd(2027, 3, 1));
    leaf.crl_distribution_points =
        vec![rcgen::CrlDistributionPoint { uris: vec!["http://crl.test/1.crl".to_owned()] }];
    let leaf = leaf.signed_by(&key, &issuer).unwrap();

    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2027, 1, 1),
        next_update: date_time_ymd(2027, 2, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(7),
            revocation_time: date_time_ymd(2027, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&issuer).unwrap();
    let root = issuer.as_ref();
    Authority {
        chain: Chain::from_der(vec![leaf.der().clone(), root.der().clone()]).unwrap(),
        roots: Roots::from_pem("ours", root.pem().as_bytes()).unwrap(),
        list: list.der().to_vec(),
        key: key.serialize_der(),
    }
}

/// The examples of `docs/configuration.md`, each mistake that operators are told of.
pub(crate) fn configuration() -> Vec<Vec<u8>> {
    let page = include_str!("../../../docs/configuration.md");
    let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mistakes = include_str!("../../config/tests/it/mistakes.txt").split("\n=== ").skip(1);
    let mistakes = mistakes.filter_map(|case| case.split_once('\n')?.1.split("\n--- says").next());
    examples.chain(mistakes).map(|text| text.as_bytes().to_vec()).collect()
}

/// A chain in both forms, a key in both forms.
pub(crate) fn chain() -> Vec<Vec<u8>> {
    let Authority { chain, key, .. } = authority();
    let der: Vec<&[u8]> = chain.iter().map(|der| &**der).collect();
    let key_pem = perennial_wire::key::to_pem(key).as_bytes().to_vec();
    vec![chain.to_pem().into_bytes(), behind_lengths(&der), key.clone(), key_pem]
}

/// A list on which the leaf is.
pub(crate) fn revocation() -> Vec<Vec<u8>> {
    vec![authority().list.clone()]
}

/// A server's flight in one record and in two: hello, chain, staple, request, done.
pub(crate) fn hello() -> Vec<Vec<u8>> {
    let leaf = authority().chain.leaf();
    let list = [&number(leaf.len(), 3)[..], leaf].concat();
    let messages = [
        message(2, &[&[3, 3][..], &[0; 36]].concat()),
        message(11, &[&number(list.len(), 3)[..], &list].concat()),
        message(22, &[1, 0, 0, 1, 9]),
        message(13, &[]),
        message(14, &[]),
    ];
    let flight = messages.concat();
    let (head, tail) = flight.split_at(flight.len() / 2);
    vec![behind_lengths(&[&flight]), behind_lengths(&[head, tail])]
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &number(body.len(), 3), body].concat()
}

/// A CA's answers of each kind.
pub(crate) fn acme() -> Vec<Vec<u8>> {
    const ANSWERS: [&str; 7] = [
        "200\nReplay-Nonce: abc\n\n{\"newNonce\":\"/n\",\"newAccount\":\"/a\",\"newOrder\":\"/o\",\
         \"renewalInfo\":\"/r\",\"meta\":{\"termsOfService\":\"/t\",\"caaIdentities\":[\"ca.test\"],\
         \"externalAccountRequired\":true,\"profiles\":{\"classic\":\"/p\"}}}",
        "201\nLocation: /acct/1\nLink: </dir>;rel=\"index\", </tos>;rel=\"terms-of-service\"\n\n\
         {\"status\":\"valid\"}",
        "201\nLocation: /order/1\nRetry-After: 3\n\n{\"status\":\"pending\",\"expires\":\
         \"2027-01-16T00:00:00Z\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"},{\"type\":\
         \"ip\",\"value\":\"::1\"}],\"authorizations\":[\"/z/1\"],\"finalize\":\"/f/1\",\
         \"certificate\":\"/c/1\",\"replaces\":\"aYhb.AIdl\",\"profile\":\"classic\"}",
        "200\n\n{\"identifier\":{\"type\":\"dns\",\"value\":\"a.test\"},\"status\":\"invalid\",\
         \"wildcard\":true,\"challenges\":[{\"type\":\"dns-01\",\"url\":\"/ch/1\",\"token\":\"tok\",\
         \"status\":\"invalid\",\"error\":{\"type\":\"urn:ietf:params:acme:error:dns\",\"detail\":\
         \"no\"}}]}",
        "200\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\n\n{\"suggestedWindow\":{\"start\":\
         \"2027-01-16T00:00:00Z\",\"end\":\"2027-01-17T00:00:00Z\"},\"explanationURL\":\"https://x/\"}",
        "429\nRetry-After: 3600\nContent-Type: application/problem+json\n\n{\"type\":\
         \"urn:ietf:params:acme:error:rateLimited\",\"detail\":\"too many; retry after 2027-01-16 \
         00:00:00 UTC\",\"status\":429,\"instance\":\"https://ca.test/u\"}",
        "403\n\n{\"type\":\"urn:ietf:params:acme:error:compound\",\"subproblems\":[{\"type\":\
         \"urn:ietf:params:acme:error:caa\",\"detail\":\"no\",\"identifier\":{\"type\":\"dns\",\
         \"value\":\"a.test\"}}]}",
    ];
    ANSWERS.iter().map(|answer| answer.as_bytes().to_vec()).collect()
}

/// Replies with one of each kind of record that is read.
pub(crate) fn dns() -> Vec<Vec<u8>> {
    let kinds = [RecordType::TXT, RecordType::A, RecordType::CAA, RecordType::NS, RecordType::TLSA];
    kinds.iter().map(|kind| reply(*kind).to_vec().unwrap()).collect()
}

fn reply(kind: RecordType) -> Message {
    use perennial_wire::dns::proto::{RData, Record};
    let mut reply = question("a.test", kind, Recursion::Desired).unwrap();
    reply.metadata.message_type = MessageType::Response;
    let end = to_name("b.test").unwrap();
    let data = match kind {
        RecordType::TXT => RData::TXT(rdata::TXT::new(vec!["proof".into(), "more".into()])),
        RecordType::CAA => RData::CAA(rdata::CAA::new_issue(true, Some(end.clone()), vec![])),
        RecordType::NS => RData::NS(rdata::NS(end.clone())),
        RecordType::TLSA => {
            RData::Unknown { code: RecordType::TLSA, rdata: rdata::NULL::with(vec![3, 1, 1, 9]) }
        }
        _ => RData::A(Ipv4Addr::LOCALHOST.into()),
    };
    let alias = RData::CNAME(rdata::CNAME(end.clone()));
    reply.add_answer(Record::from_rdata(to_name("a.test").unwrap(), 60, alias));
    reply.add_answer(Record::from_rdata(end.clone(), 60, data));
    let soa = rdata::SOA::new(end.clone(), end.clone(), 1, 2, 3, 4, 5);
    reply.add_authority(Record::from_rdata(end, 60, RData::SOA(soa)));
    reply
}

/// A life, and one of each record, as the first release wrote them.
pub(crate) fn journal() -> Vec<Vec<u8>> {
    let life = include_str!("../../core/tests/golden/0.1/life.jsonl");
    let events = include_str!("../../core/tests/golden/0.1/events.jsonl");
    let checkpoints = include_str!("../../core/tests/golden/0.1/checkpoints.jsonl");
    let whole = [life, checkpoints].map(|text| text.as_bytes().to_vec());
    let each = events.lines().map(|line| line.as_bytes().to_vec());
    whole.into_iter().chain(each).collect()
}

/// A configuration with what nginx's language has.
pub(crate) fn nginx() -> Vec<Vec<u8>> {
    const CONFIG: &str = "http { # all\n ssl_certificate c.pem; ssl_certificate_key \"k.pem\";\n\
         server { listen 443 ssl default_server; server_name a.test *.b.test ~^x$ 'q\\'';\n\
         location / { return 200 ${uri}; } content_by_lua_block { if x then { } -- } end } }\n\
         server { listen [::]:443; ssl on; ssl_certificate $ssl_server_name.pem; } }\n\
         stream { server { listen 5 ssl; ssl_certificate data:x; } }\n";
    vec![CONFIG.as_bytes().to_vec()]
}

fn behind_lengths(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&number(part.len(), 2)[..], part].concat()).collect()
}

/// A number in `length` bytes, the highest first.
fn number(value: usize, length: usize) -> Vec<u8> {
    value.to_be_bytes().iter().skip(size_of::<usize>() - length).copied().collect()
}
