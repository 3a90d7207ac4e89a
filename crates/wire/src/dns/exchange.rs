//! One question, one server, one answer.
//!
//! A reply counts only if it comes from the server asked (the socket is connected), bears our random
//! id and repeats our question; whatever else arrives is passed over until the time is up, since
//! anybody may send it. An answer that did not fit is asked for again over TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time;

use super::tsig::{Signed, Tsig};
use super::{DnsError, UDP_PAYLOAD};

/// Asks one server, over UDP first and over TCP when the answer does not fit.
///
/// The message gets a fresh random id; a lost datagram is sent once more after a quarter of the
/// time, and servers older than EDNS are asked once more without it. `timeout` bounds all of it.
/// Whatever response code comes back is an `Ok`: judging it is the caller's. With `tsig`, the answer
/// is one whose signature holds.
///
/// # Errors
///
/// Returns why there is no answer; with `tsig` also what is wrong about either signature.
pub async fn exchange(
    server: SocketAddr,
    request: Message,
    timeout: Duration,
    tsig: Option<&Tsig>,
) -> Result<Message, DnsError> {
    bounded(server, timeout, async {
        let mut exchange = Exchange::new(server, request, tsig)?;
        let mut answer = exchange.over_udp(timeout / 4).await?;
        if tsig.is_none() && is_ignorant_of_edns(&answer) {
            let mut request = exchange.request;
            request.edns = None;
            exchange = Exchange::new(server, request, tsig)?;
            answer = exchange.over_udp(timeout / 4).await?;
        }
        if answer.metadata.truncation { exchange.over_tcp().await } else { Ok(answer) }
    })
    .await
}

/// Asks one server over TCP at once: for updates, which must not arrive twice or in part.
///
/// # Errors
///
/// As [`exchange`].
pub async fn exchange_over_tcp(
    server: SocketAddr,
    request: Message,
    timeout: Duration,
    tsig: Option<&Tsig>,
) -> Result<Message, DnsError> {
    bounded(server, timeout, async { Exchange::new(server, request, tsig)?.over_tcp().await }).await
}

async fn bounded(
    server: SocketAddr,
    timeout: Duration,
    work: impl Future<Output = Result<Message, DnsError>>,
) -> Result<Message, DnsError> {
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    time::timeout(timeout, work).await.unwrap_or(Err(DnsError::Timeout { server, timeout_ms }))
}

/// A request ready to be sent.
pub(super) struct Exchange<'a> {
    server: SocketAddr,
    pub(super) request: Message,
    bytes: Vec<u8>,
    signed: Option<Signed<'a>>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        server: SocketAddr,
        mut request: Message,
        tsig: Option<&'a Tsig>,
    ) -> Result<Self, DnsError> {
        request.metadata.id = random_id();
        let signed = tsig.map(|tsig| tsig.sign(&mut request)).transpose()?;
        let bytes = request.to_vec().map_err(|error| DnsError::Unwritable(error.to_string()))?;
        Ok(Self { server, request, bytes, signed })
    }

    async fn over_udp(&self, resend_after: Duration) -> Result<Message, DnsError> {
        let failed = |error| DnsError::of_io(self.server, &error);
        let local: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((local, 0)).await.map_err(failed)?;
        socket.connect(self.server).await.map_err(failed)?;
        socket.send(&self.bytes).await.map_err(failed)?;
        if let Ok(answer) = time::timeout(resend_after, self.receive(&socket)).await {
            return answer;
        }
        socket.send(&self.bytes).await.map_err(failed)?;
        self.receive(&socket).await
    }

    async fn receive(&self, socket: &UdpSocket) -> Result<Message, DnsError> {
        let mut buffer = [0; 4096];
        const { assert!(UDP_PAYLOAD < 4096) };
        loop {
            let received = socket.recv(&mut buffer).await;
            let length = received.map_err(|error| DnsError::of_io(self.server, &error))?;
            let datagram = buffer.get(..length).unwrap_or_default();
            match self.read(datagram) {
                // Anybody can send nonsense from a forged address; the real answer may follow.
                Err(DnsError::Malformed { .. }) => {}
                answer => return answer,
            }
        }
    }

    async fn over_tcp(&self) -> Result<Message, DnsError> {
        let failed = |error| DnsError::of_io(self.server, &error);
        let mut stream = TcpStream::connect(self.server).await.map_err(failed)?;
        let length = u16::try_from(self.bytes.len())
            .map_err(|_| DnsError::Unwritable("it is longer than 65535 bytes".to_owned()))?;
        let mut framed = Vec::with_capacity(self.bytes.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&self.bytes);
        stream.write_all(&framed).await.map_err(failed)?;
        let length = stream.read_u16().await.map_err(failed)?;
        let mut reply = vec![0; usize::from(length)];
        stream.read_exact(&mut reply).await.map_err(failed)?;
        let answer = self.read(&reply)?;
        if answer.metadata.truncation {
            // There is no third way; and its signature was not checked.
            let cause = "it is truncated even over TCP".to_owned();
            return Err(DnsError::Malformed { server: self.server, cause });
        }
        Ok(answer)
    }

    /// Reads a reply and checks that it is the answer to our question.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Message, DnsError> {
        let malformed =
            |cause: &str| Err(DnsError::Malformed { server: self.server, cause: cause.to_owned() });
        let reply = match Message::from_vec(bytes) {
            Ok(reply) => reply,
            Err(error) => return malformed(&error.to_string()),
        };
        if reply.metadata.id != self.request.metadata.id {
            return malformed("the id is another's");
        }
        if reply.metadata.message_type != MessageType::Response
            || reply.metadata.op_code != self.request.metadata.op_code
        {
            return malformed("it is no response");
        }
        if !self.repeats_question(&reply) {
            return malformed("it answers another question");
        }
        if reply.metadata.truncation {
            // Asked again over TCP; a truncated answer is signed without its records.
            return Ok(reply);
        }
        match &self.signed {
            Some(signed) => signed.verify(self.server, bytes, reply),
            None => Ok(reply),
        }
    }

    /// Errors may come without the question, and so may answers to updates (RFC 2136 section 3.8).
    fn repeats_question(&self, reply: &Message) -> bool {
        if reply.queries.is_empty() {
            let code = reply.metadata.response_code;
            return self.request.metadata.op_code == OpCode::Update
                || !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
        }
        reply.queries == self.request.queries
    }
}

/// Source: RFC 6891 section 7: whoever does not know EDNS says FORMERR, and sends none back.
fn is_ignorant_of_edns(answer: &Message) -> bool {
    answer.metadata.response_code == ResponseCode::FormErr && answer.edns.is_none()
}

/// Draws the id by the system's generator: together with the port it is what a forger must guess.
fn random_id() -> u16 {
    let mut id = [0; 2];
    // Without randomness the system's generator aborts the process; an error cannot happen here.
    let _ = aws_lc_rs::rand::fill(&mut id);
    u16::from_be_bytes(id)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{CAA, SOA, TXT};
    use hickory_proto::rr::{Name, RData, Record, RecordType};

    use super::super::{Recursion, TsigAlgorithm, question, to_name};
    use super::*;
    use crate::clock::Clock;

    fn record(data: RData) -> Record {
        Record::from_rdata(to_name("a.test").unwrap(), 60, data)
    }

    /// An answer with one of each kind of record that is read.
    fn answer(request: &Message) -> Message {
        let name = |text: &str| -> Name { to_name(text).unwrap() };
        let mut answer = request.clone().into_response();
        answer.add_answer(record(RData::CNAME(hickory_proto::rr::rdata::CNAME(name("b.test")))));
        answer.add_answer(record(RData::TXT(TXT::new(vec!["proof".into(), "more".into()]))));
        answer.add_answer(record(RData::A(std::net::Ipv4Addr::LOCALHOST.into())));
        answer.add_answer(record(RData::CAA(CAA::new_issue(true, Some(name("ca.test")), vec![]))));
        let soa = SOA::new(name("ns.test"), name("host.test"), 1, 2, 3, 4, 5);
        answer.add_authority(record(RData::SOA(soa)));
        answer.add_authority(record(RData::NS(hickory_proto::rr::rdata::NS(name("ns.test")))));
        answer
    }

    /// Every prefix and every flipped byte of an answer, signed or not, is read or refused without
    /// a panic, and none that differs passes for a signed one.
    #[test]
    fn damaged_answers_never_panic_and_never_pass_as_signed() {
        let clock = Clock::new(|| "2026-11-21T12:00:00Z".parse().unwrap());
        let tsig = Tsig::new("key", TsigAlgorithm::HmacSha256, b"secret", clock).unwrap();
        let server = "127.0.0.1:53".parse().unwrap();
        for tsig in [None, Some(&tsig)] {
            let request = question("a.test", RecordType::TXT, Recursion::NotDesired).unwrap();
            let exchange = Exchange::new(server, request, tsig).unwrap();
            // The request's own signature stands in for the server's: it is of another message.
            let whole = answer(&exchange.request).to_vec().unwrap();
            for end in 0..whole.len() {
                assert!(tsig.is_none() || exchange.read(&whole[..end]).is_err());
            }
            for index in 0..whole.len() {
                for mask in [0x01, 0x40, 0x80, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[index] ^= mask;
                    match exchange.read(&bytes) {
                        Ok(message) if tsig.is_some() => assert!(message.metadata.truncation),
                        _ => {}
                    }
                }
            }
        }
    }
}
