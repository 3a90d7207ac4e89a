//! What servers of the past serve, learnt without their cryptography.
//!
//! Up to TLS 1.2 the chain comes in the clear, right after the ServerHello. So a ClientHello that
//! offers every old version, cipher suite and curve is all it takes; the handshake is then dropped.
//!
//! Source: RFC 5246 section 7.4, RFC 6066 sections 3 and 8.

use perennial_core::words::Identifier;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ClientCertificate, Served, TlsVersion, Way};
use crate::x509::{Chain, MAX_CERTIFICATES};

/// How much a server may send before its hello is done, in bytes.
const MAX_FLIGHT: usize = 256 * 1024;

/// How long one record may be: RFC 5246 section 6.2.3.
const MAX_RECORD: usize = (1 << 14) + 2048;

const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE_STATUS: u8 = 22;

/// Sends the hello and reads until the chain and what follows it have come; nothing if none comes.
pub(super) async fn hello(mut stream: TcpStream, name: &Identifier) -> Option<Served> {
    stream.write_all(&client_hello(name)?).await.ok()?;
    let mut flight = Flight::default();
    let mut sent = 0;
    while sent <= MAX_FLIGHT && !flight.done {
        let Some(record) = read_record(&mut stream).await else { break };
        sent += record.len();
        flight.take(&record)?;
    }
    flight.served()
}

/// Reads a server's first flight as if it had come in these records. For the fuzzer.
#[cfg(feature = "fuzzing")]
pub fn read_flight<'r>(records: impl Iterator<Item = &'r [u8]>) -> Option<Served> {
    let mut flight = Flight::default();
    for record in records {
        flight.take(record)?;
    }
    flight.served()
}

/// Reads one record of the handshake; nothing at an alert, an end, or nonsense.
async fn read_record(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let kind = stream.read_u8().await.ok()?;
    let _version = stream.read_u16().await.ok()?;
    let length = usize::from(stream.read_u16().await.ok()?);
    if kind != HANDSHAKE || length == 0 || length > MAX_RECORD {
        return None;
    }
    let mut record = vec![0; length];
    stream.read_exact(&mut record).await.ok()?;
    Some(record)
}

/// The server's first flight, as far as it has come.
#[derive(Default)]
struct Flight {
    pending: Vec<u8>,
    version: Option<TlsVersion>,
    chain: Option<Chain>,
    ocsp_staple: Option<Vec<u8>>,
    asked: bool,
    done: bool,
}

impl Flight {
    /// Takes a record and reads the messages that are whole; nothing if one is malformed.
    fn take(&mut self, record: &[u8]) -> Option<()> {
        self.pending.extend_from_slice(record);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = Bytes(&pending);
        while let Some((kind, body)) = rest.message() {
            self.read(kind, body)?;
        }
        self.pending = rest.0.to_vec();
        Some(())
    }

    fn read(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        let mut body = Bytes(body);
        match kind {
            SERVER_HELLO => self.version = Some(TlsVersion(body.u16()?)),
            CERTIFICATE => {
                let length = body.u24()?;
                let mut list = Bytes(body.split(length)?);
                let mut certificates = Vec::new();
                while !list.0.is_empty() && certificates.len() <= MAX_CERTIFICATES {
                    let length = list.u24()?;
                    certificates.push(CertificateDer::from(list.split(length)?.to_vec()));
                }
                self.chain = Some(Chain::from_der(certificates).ok()?);
            }
            CERTIFICATE_STATUS if body.u8()? == 1 => {
                let length = body.u24()?;
                self.ocsp_staple = Some(body.split(length)?.to_vec());
            }
            CERTIFICATE_REQUEST => self.asked = true,
            SERVER_HELLO_DONE => self.done = true,
            _ => {}
        }
        Some(())
    }

    fn served(self) -> Option<Served> {
        let client_certificate =
            if self.asked { ClientCertificate::Asked } else { ClientCertificate::NotAsked };
        Some(Served {
            chain: self.chain?,
            version: self.version?,
            ocsp_staple: self.ocsp_staple,
            client_certificate,
            holds_key: None,
            way: Way::Legacy,
            ended_by: None,
        })
    }
}

/// Reads big-endian numbers and slices from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn split(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn number(&mut self, length: usize) -> Option<usize> {
        Some(self.split(length)?.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    }

    fn u8(&mut self) -> Option<u8> {
        self.split(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.split(2)?.try_into().ok()?))
    }

    fn u24(&mut self) -> Option<usize> {
        self.number(3)
    }

    /// Takes one whole handshake message; nothing, and nothing taken, if it has not all come.
    fn message(&mut self) -> Option<(u8, &'a [u8])> {
        let mut ahead = Self(self.0);
        let kind = ahead.u8()?;
        let length = ahead.u24()?;
        let body = ahead.split(length)?;
        self.0 = ahead.0;
        Some((kind, body))
    }
}

fn client_hello(name: &Identifier) -> Option<Vec<u8>> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    let mut body = vec![0x03, 0x03];
    body.extend_from_slice(&random);
    body.push(0); // no session to resume
    body.extend(counted_16(&numbers(&CIPHER_SUITES))?);
    body.extend_from_slice(&[1, 0]); // no compression
    body.extend(counted_16(&extensions(name)?)?);
    let mut message = vec![1];
    message.extend_from_slice(u32::try_from(body.len()).ok()?.to_be_bytes().get(1..)?);
    message.extend(body);
    let mut record = vec![HANDSHAKE, 0x03, 0x01];
    record.extend(counted_16(&message)?);
    Some(record)
}

fn extensions(name: &Identifier) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    if !name.is_ip() {
        let mut entry = vec![0];
        entry.extend(counted_16(name.as_str().as_bytes())?);
        all.extend(extension(0, &counted_16(&entry)?)?);
    }
    all.extend(extension(5, &[1, 0, 0, 0, 0])?); // status_request: OCSP
    all.extend(extension(10, &counted_16(&numbers(&GROUPS))?)?);
    all.extend(extension(11, &[1, 0])?); // uncompressed points
    all.extend(extension(13, &counted_16(&numbers(&SIGNATURES))?)?);
    all.extend(extension(0xff01, &[0])?); // secure renegotiation: RFC 5746
    Some(all)
}

fn extension(kind: u16, body: &[u8]) -> Option<Vec<u8>> {
    let mut all = kind.to_be_bytes().to_vec();
    all.extend(counted_16(body)?);
    Some(all)
}

fn counted_16(body: &[u8]) -> Option<Vec<u8>> {
    let mut all = u16::try_from(body.len()).ok()?.to_be_bytes().to_vec();
    all.extend_from_slice(body);
    Some(all)
}

fn numbers(all: &[u16]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// ECDHE, DHE and RSA with AES-GCM, ChaCha20, AES-CBC, Camellia, 3DES and RC4, by RSA, ECDSA and DSS.
const CIPHER_SUITES: [u16; 36] = [
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc023, 0xc027, 0xc024, 0xc028, 0xc009, 0xc013,
    0xc00a, 0xc014, 0x009e, 0x009f, 0xccaa, 0x0067, 0x006b, 0x0033, 0x0039, 0x009c, 0x009d, 0x003c,
    0x003d, 0x002f, 0x0035, 0x0041, 0x0084, 0x000a, 0xc012, 0xc008, 0x0016, 0x0005, 0x0004, 0x0032,
];

/// x25519, secp256r1, secp384r1, secp521r1, x448.
const GROUPS: [u16; 5] = [29, 23, 24, 25, 30];

/// Every pair of hash and signature that anybody has.
const SIGNATURES: [u16; 17] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401,
    0x0501, 0x0601, 0x0203, 0x0201, 0x0202,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut all = vec![kind];
        all.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        all.extend_from_slice(body);
        all
    }

    fn flight() -> Vec<u8> {
        let hello = [&[0x03, 0x01][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
        let certificates = [0, 0, 9, 0, 0, 1, 0xaa, 0, 0, 2, 0xbb, 0xbb];
        [
            message(SERVER_HELLO, &hello),
            message(CERTIFICATE, &certificates),
            message(CERTIFICATE_STATUS, &[1, 0, 0, 2, 5, 5]),
            message(CERTIFICATE_REQUEST, &[1, 1]),
            message(SERVER_HELLO_DONE, &[]),
        ]
        .concat()
    }

    #[test]
    fn the_first_flight_is_read_however_it_is_cut() {
        let whole = flight();
        for size in 1..whole.len() {
            let mut read = Flight::default();
            for record in whole.chunks(size) {
                read.take(record).unwrap();
            }
            assert!(read.done);
            let served = read.served().unwrap();
            assert_eq!(served.version.to_string(), "TLS 1.0");
            assert_eq!(served.chain.rest().len(), 1);
            assert_eq!(served.ocsp_staple.as_deref(), Some(&[5, 5][..]));
            assert_eq!(served.client_certificate, ClientCertificate::Asked);
        }
    }

    #[test]
    fn a_damaged_flight_is_refused_or_read_but_never_panics() {
        let whole = flight();
        for index in 0..whole.len() {
            for mask in [0x01, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[index] ^= mask;
                let mut read = Flight::default();
                if read.take(&bytes).is_some() {
                    let _ = read.served();
                }
            }
        }
    }

    #[test]
    fn an_address_is_not_sent_as_a_name() {
        let name = Identifier::new("example.org").unwrap();
        let address = Identifier::new("192.0.2.1").unwrap();
        let named = client_hello(&name).unwrap();
        assert!(named.windows(11).any(|part| part == b"example.org"));
        assert_eq!(named.len() - client_hello(&address).unwrap().len(), 11 + 9);
    }
}
