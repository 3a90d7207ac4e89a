//! The targets: each lets one reader have the bytes, and holds it to its promises.

use jiff::Timestamp;
use perennial_adapters::acme;
use perennial_adapters::deploy::read_nginx_config;
use perennial_config::{Source, understand};
use perennial_core::driver::Loader;
use perennial_core::words::{Identifier, Name};
use perennial_store::jsonl::{read_jsonl, write_record};
use perennial_wire::dns::{RecordType, Tsig, TsigAlgorithm};
use perennial_wire::http::Response;
use perennial_wire::tls::{Roots, judge_chain, lasts_until, read_flight};
use perennial_wire::x509::{self, CertificateDer, Chain};
use perennial_wire::{
    clock::Clock, dns::fuzzing as replies, key::KeyPair, private_key, revocation,
};

/// The moment at which everything is judged: within the validity of what the seeds mint.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// The operator's file: understood or refused, alike each time, and what is told is safe to print.
pub(crate) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source {
        name: "perennial.toml".to_owned(),
        folder: "/etc/perennial".into(),
        text: text.to_owned(),
    };
    let sources = [source];
    let understood = understand(&sources);
    assert_eq!(understood, understand(&sources));
    let lines = text.lines().count().max(1) + 1;
    let messages = match &understood {
        Ok(loaded) => &loaded.warnings,
        Err(messages) => messages,
    };
    assert!(understood.is_ok() || !messages.is_empty(), "refused without a word");
    for message in messages {
        assert!(message.line <= lines, "a line that the file has not");
        assert_printable(&message.to_string());
    }
}

/// Certificates in PEM and in DER, keys in PEM and in PKCS#8.
pub(crate) fn chain(bytes: &[u8]) {
    if let Ok(chain) = Chain::from_pem(bytes) {
        let again = Chain::from_pem(chain.to_pem().as_bytes());
        assert_eq!(again.as_ref(), Ok(&chain), "what is written is what is read");
        judge(&chain);
    }
    // Certificates one after the other, each behind its length in two bytes.
    let mut certificates = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (der, tail) = tail.split_at(length);
        certificates.push(CertificateDer::from(der.to_vec()));
        rest = tail;
    }
    if let Ok(chain) = Chain::from_der(certificates) {
        judge(&chain);
    }
    let _ = private_key::key_id(bytes);
    if let Ok(key) = KeyPair::from_pkcs8(bytes) {
        assert!(key.csr(&[name()]).is_ok(), "a key that was read makes a request");
    }
    let _ = x509::key_kind(bytes);
}

fn judge(chain: &Chain) {
    let leaf = chain.leaf();
    for der in chain.iter() {
        let _ = x509::is_self_issued(der);
        let _ = x509::not_after(der);
        if let Ok(subject) = x509::subject_name(der) {
            assert_printable(&subject);
        }
    }
    let _ = x509::crl_urls(leaf);
    let _ = x509::key_matches(leaf, leaf);
    let Ok(facts) = chain.facts() else { return };
    assert!(facts.validity.not_before <= facts.validity.not_after);
    assert!(facts.chain_not_after <= facts.validity.not_after);
    assert!(facts.identifiers.is_sorted(), "names are sorted");
    assert_printable(&facts.issued_by);
    let roots = Roots::mozilla();
    let verdict = judge_chain(chain, &facts, &name(), NOW, &roots, &[]);
    assert_printable(&verdict.cause.unwrap_or_default());
    let _ = lasts_until(chain, &facts, NOW, &roots);
}

/// A revocation list, of the CA that the seeds mint.
pub(crate) fn revocation(bytes: &[u8]) {
    let authority = crate::seeds::authority();
    let _ = revocation::read_list(bytes, &authority.chain, &authority.roots, NOW);
}

/// What a server of an older TLS sends: records, each behind its length in two bytes.
pub(crate) fn hello(bytes: &[u8]) {
    let mut rest = bytes;
    let records = std::iter::from_fn(|| {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (record, tail) = tail.split_at(length);
        rest = tail;
        Some(record)
    });
    if let Some(served) = read_flight(records) {
        judge(&served.chain);
    }
}

/// A CA's answer: the head's lines, an empty line, the body. The first line is the status.
pub(crate) fn acme(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(200);
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let answer = Response::of(status, "https://ca.test/acme/here", &headers, body.as_bytes());
    let failure = acme::fuzzing::read(&answer, &Name::new("ca"), &name(), NOW);
    assert_printable(&failure.cause);
    assert!(failure.cause.len() <= 64 << 10, "a cause that nobody reads to its end");
}

/// A server's reply to each kind of question; signed ones are never taken.
pub(crate) fn dns(bytes: &[u8]) {
    let kinds = [RecordType::TXT, RecordType::A, RecordType::CAA, RecordType::NS, RecordType::TLSA];
    for kind in kinds {
        let Ok(reply) = replies::read_reply("a.test", kind, bytes, None) else { continue };
        let _ = replies::follow_reply("a.test", kind, reply, "test");
    }
    let clock = Clock::new(|| NOW);
    let Ok(tsig) = Tsig::new("key", TsigAlgorithm::HmacSha256, b"secret", clock) else { return };
    if let Ok(reply) = replies::read_reply("a.test", RecordType::TXT, bytes, Some(&tsig)) {
        assert!(reply.metadata.truncation, "nobody else can sign");
    }
}

/// Lines of records: read back as they are written, and folded without a panic.
pub(crate) fn journal(bytes: &[u8]) {
    let mut loader = Loader::new();
    let mut lines = bytes;
    for record in read_jsonl(&mut lines) {
        let Ok(record) = record else { return };
        let mut written = Vec::new();
        assert!(write_record(&record, &mut written).is_ok());
        let again: Vec<_> = read_jsonl(&mut &*written).filter_map(Result::ok).collect();
        assert_eq!(again, std::slice::from_ref(&record), "what is written is what is read");
        loader.record(&record);
    }
    let _ = loader.start("0.1.0", 2, NOW, 7);
}

/// nginx's configuration. Nothing is included: what else lies on this machine is not hostile.
pub(crate) fn nginx(bytes: &[u8]) {
    if bytes.windows(7).any(|word| word == b"include") {
        return;
    }
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_ok() {
        let _ = read_nginx_config(file.path());
    }
}

fn name() -> Identifier {
    #[expect(clippy::unwrap_used, reason = "it is a name")]
    Identifier::new("a.test").unwrap()
}

/// Texts for people go to a terminal, which obeys control characters.
fn assert_printable(text: &str) {
    let is_hostile = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(is_hostile), "a control character in {text:?}");
}
