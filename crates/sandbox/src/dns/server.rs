//! DNS servers on loopback: one socket pair for each server of the model, and a resolver.
//!
//! All listen on one port, on addresses of their own, since delegations carry no ports. Lags count
//! on the wall clock: who waits for an answer to be seen waits in real time, however fast
//! certificates age.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Record as WireRecord};
use jiff::Timestamp;
use perennial_sim::model::dns::{
    Change, Dns, DnsAnswer, Lookup, Prerequisite, Rcode, Record, Update,
};
use perennial_wire::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::tsig::{Keys, Signed, TsigKey};
use super::wire::{code_of, data_of, kind_of, text_of, to_wire};
use crate::door::Door;
use crate::error::SandboxError;

/// Which servers there are.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// The port of all of them; 0 takes a free one.
    pub port: u16,
    /// The resolver's address.
    pub resolver: IpAddr,
    /// The root's server.
    pub root: NameServer,
    /// The other servers.
    pub servers: Vec<NameServer>,
    /// Who may update. Without a key nobody may.
    pub keys: Vec<TsigKey>,
}

/// An authoritative server.
#[derive(Clone, Debug)]
pub struct NameServer {
    /// Its name, as NS records have it.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

impl NameServer {
    /// Names a server.
    #[must_use]
    pub fn new(name: &str, address: impl Into<IpAddr>) -> Self {
        Self { name: name.into(), address: address.into() }
    }
}

/// The servers, running until dropped.
pub struct DnsServers {
    shared: Arc<Shared>,
    resolver: SocketAddr,
    _doors: Vec<Door>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    dns: Mutex<Dns>,
    keys: Keys,
    wall: Clock,
}

/// Who answers at a socket.
#[derive(Clone, PartialEq, Eq)]
enum Role {
    Resolver,
    Server(Arc<str>),
}

/// How many bytes an answer over UDP may have, whatever the client says (DNS flag day 2020).
const MAX_UDP: u16 = 1232;

/// How long a TCP client may be idle.
const TCP_IDLE: Duration = Duration::from_secs(10);

/// How many ports are tried for one that is free on every address.
const PORT_TRIES: usize = 50;

impl DnsServers {
    /// Starts the servers, with an empty root zone.
    ///
    /// # Errors
    ///
    /// Returns which address could not be bound.
    pub async fn start(config: &DnsConfig, wall: Clock) -> Result<Self, SandboxError> {
        let servers: Vec<&NameServer> = [&config.root].into_iter().chain(&config.servers).collect();
        let roles = servers
            .iter()
            .map(|server| (Role::Server(server.name.as_str().into()), server.address));
        let roles: Vec<(Role, IpAddr)> =
            [(Role::Resolver, config.resolver)].into_iter().chain(roles).collect();
        let (port, sockets) = bind_all(&roles, config.port).await?;
        let mut dns = Dns::new(&config.root.name, (config.root.address, port).into());
        for server in &config.servers {
            dns.add_server(&server.name, (server.address, port).into());
        }
        let keys = Keys::new(&config.keys)?;
        let shared = Arc::new(Shared { dns: Mutex::new(dns), keys, wall });
        let mut tasks = Vec::new();
        let mut doors = Vec::new();
        for ((role, address), (udp, tcp)) in roles.into_iter().zip(sockets) {
            tasks.push(tokio::spawn(serve_udp(udp, role.clone(), Arc::clone(&shared))));
            let shared = Arc::clone(&shared);
            doors.push(Door::new(tcp, (address, port).into(), move |stream| {
                serve_tcp(stream, role.clone(), Arc::clone(&shared))
            }));
        }
        let resolver = (config.resolver, port).into();
        Ok(Self { shared, resolver, _doors: doors, tasks })
    }

    /// Returns where the resolver answers.
    #[must_use]
    pub const fn resolver(&self) -> SocketAddr {
        self.resolver
    }

    /// Returns where an authoritative server answers.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<SocketAddr> {
        self.shared.dns().servers.get(name).map(|server| server.address)
    }

    /// Changes zones, or turns faults on and off. The second argument is the time that records and
    /// lags count by.
    pub fn with<T>(&self, change: impl FnOnce(&mut Dns, Timestamp) -> T) -> T {
        change(&mut self.shared.dns(), self.shared.wall.now())
    }
}

impl Drop for DnsServers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    fn dns(&self) -> MutexGuard<'_, Dns> {
        // A panic elsewhere leaves the model whole: each step is one call.
        self.dns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a message. Returns nothing where the server is silent or the message is none.
    fn answer(&self, role: &Role, bytes: &[u8]) -> Option<Message> {
        let message = Message::from_vec(bytes).ok()?;
        if message.metadata.message_type != MessageType::Query {
            return None;
        }
        match message.metadata.op_code {
            OpCode::Query => self.query(role, &message),
            OpCode::Update => self.update(role, &message, bytes),
            _ => Some(reply(&message, ResponseCode::NotImp)),
        }
    }

    fn query(&self, role: &Role, message: &Message) -> Option<Message> {
        let [query] = message.queries.as_slice() else {
            return Some(reply(message, ResponseCode::FormErr));
        };
        let (name, kind) = (text_of(query.name()), kind_of(query.query_type()));
        let now = self.wall.now();
        let answer = match role {
            Role::Server(server) => self.dns().ask(server, &name, kind, now)?,
            Role::Resolver => resolved(self.dns().resolve(&name, kind, now))?,
        };
        let mut reply = reply(message, code_of(answer.rcode));
        reply.metadata.authoritative = answer.authoritative && *role != Role::Resolver;
        reply.metadata.recursion_available = *role == Role::Resolver;
        let wire = |records: &[Record]| -> Vec<WireRecord> {
            records.iter().filter_map(to_wire).collect()
        };
        reply.insert_answers(wire(&answer.answers));
        reply.insert_authorities(wire(&answer.authority));
        reply.insert_additionals(wire(&answer.additional));
        Some(reply)
    }

    /// Source: RFC 2136 section 3, RFC 8945 section 5.2.
    fn update(&self, role: &Role, message: &Message, bytes: &[u8]) -> Option<Message> {
        let Role::Server(server) = role else {
            return Some(reply(message, ResponseCode::Refused));
        };
        let now = self.wall.now();
        let (mut answer, context) = match self.keys.check(message, bytes, now) {
            Signed::Not => return Some(reply(message, ResponseCode::Refused)),
            Signed::Badly(context) => (reply(message, ResponseCode::NotAuth), context),
            Signed::Well(context) => {
                let code = match update_of(message) {
                    Some(update) => code_of(self.dns().update(server, &update, now)?),
                    None => ResponseCode::FormErr,
                };
                (reply(message, code), context)
            }
        };
        // An answer that cannot be signed is not given.
        let signature = context.sign(&answer.to_vec().ok()?).ok()?;
        answer.set_signature(signature);
        Some(answer)
    }
}

/// Returns what a resolver answers; nothing where it is silent.
fn resolved(lookup: Lookup) -> Option<DnsAnswer> {
    let (rcode, answers) = match lookup {
        Lookup::Found(answers) => (Rcode::NoError, answers),
        Lookup::NoName => (Rcode::NxDomain, Vec::new()),
        // A resolver whose servers are silent says so after a while; here at once.
        Lookup::ServFail => (Rcode::ServFail, Vec::new()),
        Lookup::Silence => return None,
    };
    let (authority, additional) = (Vec::new(), Vec::new());
    Some(DnsAnswer { rcode, authoritative: false, answers, authority, additional })
}

fn reply(message: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
    reply.add_queries(message.queries.iter().cloned());
    reply.metadata.recursion_desired = message.metadata.recursion_desired;
    reply.metadata.response_code = code;
    if message.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP);
        reply.set_edns(edns);
    }
    reply
}

/// Reads an update; nothing where it is malformed.
///
/// Source: RFC 2136 sections 2.4 and 2.5.
fn update_of(message: &Message) -> Option<Update> {
    let [zone]: &[Query] = message.queries.as_slice() else { return None };
    let prerequisites = message.answers.iter().map(prerequisite_of).collect::<Option<_>>()?;
    let changes = message.authorities.iter().map(change_of).collect::<Option<_>>()?;
    Some(Update { zone: text_of(zone.name()), prerequisites, changes })
}

fn prerequisite_of(record: &WireRecord) -> Option<Prerequisite> {
    let name = text_of(&record.name);
    let any = record.record_type() == hickory_proto::rr::RecordType::ANY;
    let kind = kind_of(record.record_type());
    match record.dns_class {
        DNSClass::ANY if any => Some(Prerequisite::NameExists(name)),
        DNSClass::ANY => Some(Prerequisite::SetExists(name, kind)),
        DNSClass::NONE if any => Some(Prerequisite::NameMissing(name)),
        DNSClass::NONE => Some(Prerequisite::SetMissing(name, kind)),
        DNSClass::IN => Some(Prerequisite::ValueExists(name, data_of(&record.data)?)),
        _ => None,
    }
}

fn change_of(record: &WireRecord) -> Option<Change> {
    let name = text_of(&record.name);
    let any = record.record_type() == hickory_proto::rr::RecordType::ANY;
    match record.dns_class {
        DNSClass::IN => Some(Change::Add(name, data_of(&record.data)?)),
        DNSClass::ANY if any => Some(Change::DeleteName(name)),
        DNSClass::ANY => Some(Change::DeleteSet(name, kind_of(record.record_type()))),
        DNSClass::NONE => Some(Change::Delete(name, data_of(&record.data)?)),
        _ => None,
    }
}

async fn serve_udp(socket: UdpSocket, role: Role, shared: Arc<Shared>) {
    let mut buffer = vec![0; 4096];
    loop {
        // An error here is an ICMP message about an earlier answer: nothing to do.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(bytes) = buffer.get(..length) else { continue };
        let Some(answer) = shared.answer(&role, bytes) else { continue };
        if let Some(bytes) = fitting(&answer, bytes) {
            // The client asks again if this is lost.
            let _ = socket.send_to(&bytes, client).await;
        }
    }
}

/// Writes an answer for UDP: cut, and marked so, where it is too long.
fn fitting(answer: &Message, question: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let most = asked.edns.as_ref().map_or(512, |edns| edns.max_payload().clamp(512, MAX_UDP));
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= usize::from(most) { Some(bytes) } else { answer.truncate().to_vec().ok() }
}

async fn serve_tcp(mut stream: TcpStream, role: Role, shared: Arc<Shared>) {
    while let Ok(Some(())) =
        tokio::time::timeout(TCP_IDLE, exchange(&mut stream, &role, &shared)).await
    {}
}

async fn exchange(stream: &mut TcpStream, role: &Role, shared: &Shared) -> Option<()> {
    let length = stream.read_u16().await.ok()?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.ok()?;
    let answer = shared.answer(role, &bytes)?.to_vec().ok()?;
    stream.write_all(&u16::try_from(answer.len()).ok()?.to_be_bytes()).await.ok()?;
    stream.write_all(&answer).await.ok()
}

/// Binds UDP and TCP on every address under one port.
async fn bind_all(
    roles: &[(Role, IpAddr)],
    port: u16,
) -> Result<(u16, Vec<(UdpSocket, TcpListener)>), SandboxError> {
    let mut failure = None;
    for _ in 0..PORT_TRIES {
        match try_port(roles, port).await {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = Some(error),
        }
        if port != 0 {
            break;
        }
    }
    let cause = failure.map(|error| error.to_string()).unwrap_or_default();
    Err(SandboxError::new("listen for DNS on loopback", &cause))
}

async fn try_port(
    roles: &[(Role, IpAddr)],
    mut port: u16,
) -> std::io::Result<(u16, Vec<(UdpSocket, TcpListener)>)> {
    let mut bound = Vec::new();
    for (_, address) in roles {
        let tcp = TcpListener::bind((*address, port)).await?;
        port = tcp.local_addr()?.port();
        bound.push((UdpSocket::bind((*address, port)).await?, tcp));
    }
    Ok((port, bound))
}
