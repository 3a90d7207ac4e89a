//! One question to one server, over UDP and, where the answer was cut, over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use perennial_sim::model::dns::{Kind, Lookup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::wire::{name_of, record_of, type_of};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// How often it is tried over UDP.
const TRIES: usize = 2;

/// Asks a resolver.
pub(crate) async fn resolve(resolver: SocketAddr, name: &str, kind: Kind) -> Lookup {
    let Some(question) = question(name, kind) else { return Lookup::NoName };
    let Ok(bytes) = question.to_vec() else { return Lookup::ServFail };
    for _ in 0..TRIES {
        let tried = tokio::time::timeout(TRY, by_udp(resolver, &bytes, question.metadata.id)).await;
        let Ok(Some(answer)) = tried else { continue };
        if !answer.metadata.truncation {
            return judge(&answer);
        }
        let tried = tokio::time::timeout(TRY, by_tcp(resolver, &bytes)).await;
        if let Ok(Some(answer)) = tried {
            return judge(&answer);
        }
    }
    Lookup::Silence
}

fn question(name: &str, kind: Kind) -> Option<Message> {
    let mut question = Message::query();
    question.add_query(Query::query(name_of(name)?, type_of(kind)));
    question.metadata.recursion_desired = true;
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    question.set_edns(edns);
    Some(question)
}

fn judge(answer: &Message) -> Lookup {
    match answer.metadata.response_code {
        ResponseCode::NoError => {
            Lookup::Found(answer.answers.iter().filter_map(record_of).collect())
        }
        ResponseCode::NXDomain => Lookup::NoName,
        _ => Lookup::ServFail,
    }
}

async fn by_udp(server: SocketAddr, question: &[u8], id: u16) -> Option<Message> {
    let any: SocketAddr = if server.is_ipv4() {
        ([127, 0, 0, 1], 0).into()
    } else {
        ([0u16, 0, 0, 0, 0, 0, 0, 1], 0).into()
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(question).await.ok()?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        // What answers another question is not for us.
        if let Ok(answer) = Message::from_vec(buffer.get(..length)?)
            && answer.metadata.id == id
        {
            return Some(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &[u8]) -> Option<Message> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    let length = u16::try_from(question.len()).ok()?;
    stream.write_all(&length.to_be_bytes()).await.ok()?;
    stream.write_all(question).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.ok()?;
    Message::from_vec(&buffer).ok()
}
