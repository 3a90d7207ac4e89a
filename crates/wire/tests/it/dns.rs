//! DNS against Knot and BIND.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use perennial_wire::clock::Clock;
use perennial_wire::dns::proto::{
    DNSClass, Message, MessageType, OpCode, RData, Record, ResponseCode, UpdateMessage as _, rdata,
};
use perennial_wire::dns::{
    DnsError, RecordType, Recursion, Resolver, Tsig, TsigAlgorithm, TsigFailure, exchange,
    exchange_over_tcp, question, to_name,
};

use perennial_peers::{Knot, Port};

use crate::servers::{SECRET, bind, knot};

const WAIT: Duration = Duration::from_secs(5);

fn clock(off_by: SignedDuration) -> Clock {
    #[expect(clippy::disallowed_methods, reason = "TSIG compares the machine's clocks")]
    Clock::new(move || Timestamp::now() + off_by)
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let request = question(name, kind, Recursion::NotDesired).unwrap();
    exchange(server, request, WAIT, None).await.unwrap()
}

#[tokio::test]
async fn one_server_is_asked_and_nothing_is_chased() {
    let many: String = (0..40).map(|n| format!("big TXT \"{n:0>100}\"\n")).collect();
    let records = format!("www A 192.0.2.1\nalias CNAME www\n{many}");
    let port = Port::free().unwrap();
    let knot = knot(&port, 11, "example.test", &records).await;
    let server = knot.addr();

    let found = ask(server, "www.Example.test", RecordType::A).await;
    assert!(found.metadata.authoritative);
    assert_eq!(found.answers.len(), 1);

    let missing = ask(server, "none.example.test", RecordType::A).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);

    let alias = ask(server, "alias.example.test", RecordType::TXT).await;
    assert!(matches!(alias.answers[0].data, RData::CNAME(_)));

    let big = ask(server, "big.example.test", RecordType::TXT).await;
    assert_eq!(big.answers.len(), 40, "what does not fit comes over TCP");

    let refused = ask(server, "www.elsewhere.test", RecordType::A).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

/// A TXT record added under `zone`.
fn update(zone: &str, record: &str) -> Message {
    let mut message = Message::new(0, MessageType::Query, OpCode::Update);
    let mut query =
        perennial_wire::dns::proto::Query::query(to_name(zone).unwrap(), RecordType::SOA);
    query.set_query_class(DNSClass::IN);
    message.add_zone(query);
    let data = RData::TXT(rdata::TXT::new(vec!["proof".to_owned()]));
    message.add_update(Record::from_rdata(to_name(record).unwrap(), 1, data));
    message
}

async fn signed_update(
    server: SocketAddr,
    key: &str,
    secret: &[u8],
    off_by: i64,
) -> Result<ResponseCode, DnsError> {
    let clock = clock(SignedDuration::from_secs(off_by));
    let tsig = Tsig::new(key, TsigAlgorithm::HmacSha256, secret, clock).unwrap();
    let request = update("example.test", "_acme-challenge.example.test");
    let over_tcp = exchange_over_tcp(server, request.clone(), WAIT, Some(&tsig)).await;
    let over_udp = exchange(server, request, WAIT, Some(&tsig)).await;
    let code = |answer: Result<Message, DnsError>| answer.map(|m| m.metadata.response_code);
    let (over_tcp, over_udp) = (code(over_tcp), code(over_udp));
    match (&over_tcp, &over_udp) {
        // The server's time may differ by a second.
        (
            Err(DnsError::Tsig { failure: TsigFailure::BadTime { .. }, .. }),
            Err(DnsError::Tsig { failure: TsigFailure::BadTime { .. }, .. }),
        ) => {}
        _ => assert_eq!(over_tcp, over_udp),
    }
    over_tcp
}

async fn refusals_of_signatures_are_told_apart(
    server: SocketAddr,
    of_powerless: Result<ResponseCode, DnsError>,
) {
    let secret = SECRET.1;
    assert_eq!(signed_update(server, "perennial", secret, 0).await, Ok(ResponseCode::NoError));
    let shown = ask(server, "_acme-challenge.example.test", RecordType::TXT).await;
    assert_eq!(shown.answers.len(), 1, "the update took effect");

    let failure = |result: Result<ResponseCode, DnsError>| match result {
        Err(DnsError::Tsig { failure, .. }) => failure,
        other => panic!("{other:?}"),
    };
    assert_eq!(failure(signed_update(server, "stranger", secret, 0).await), TsigFailure::BadKey);
    assert_eq!(
        failure(signed_update(server, "perennial", b"another", 0).await),
        TsigFailure::BadSig
    );
    let late = failure(signed_update(server, "perennial", secret, -1000).await);
    let TsigFailure::BadTime { server_secs: Some(at), .. } = late else { panic!("{late:?}") };
    let now = u64::try_from(clock(SignedDuration::ZERO).now().as_second()).unwrap();
    assert!(now.abs_diff(at) < 60, "the server tells its time: {at}, now {now}");
    let powerless = signed_update(server, "powerless", secret, 0).await;
    assert_eq!(powerless, of_powerless, "a key that is known but may not");
}

#[tokio::test]
async fn every_refusal_of_a_signature_by_knot_is_told_apart() {
    let port = Port::free().unwrap();
    let knot = knot(&port, 12, "example.test", "").await;
    let failure = TsigFailure::BadKey;
    let of_powerless = Err(DnsError::Tsig { server: knot.addr(), failure });
    refusals_of_signatures_are_told_apart(knot.addr(), of_powerless).await;
}

#[tokio::test]
async fn every_refusal_of_a_signature_by_bind_is_told_apart() {
    let port = Port::free().unwrap();
    let bind = bind(&port, "example.test", "").await;
    refusals_of_signatures_are_told_apart(bind.addr(), Ok(ResponseCode::Refused)).await;
}

#[tokio::test]
async fn silence_and_closed_doors_are_told_apart() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let request = || question("example.test", RecordType::A, Recursion::NotDesired).unwrap();
    let wait = Duration::from_millis(200);
    let error = exchange(at, request(), wait, None).await.unwrap_err();
    assert_eq!(error, DnsError::Timeout { server: at, timeout_ms: 200 });
    drop(silent);
    let error = exchange(at, request(), WAIT, None).await.unwrap_err();
    assert!(matches!(error, DnsError::Unreachable { .. }), "{error}");
    let nowhere: SocketAddr = "[2001:db8::53]:53".parse().unwrap();
    let error = exchange(nowhere, request(), wait, None).await.unwrap_err();
    assert!(matches!(error, DnsError::NoRoute { .. } | DnsError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn forged_answers_are_passed_over() {
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = server.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        let (length, peer) = server.recv_from(&mut buffer).await.unwrap();
        let mut answer = Message::from_vec(&buffer[..length]).unwrap().into_response();
        let id = answer.metadata.id;
        let data = RData::A("192.0.2.66".parse().unwrap());
        answer.add_answer(Record::from_rdata(to_name("example.test").unwrap(), 1, data));
        // By another id, for another question, and no DNS at all.
        answer.metadata.id = id.wrapping_add(1);
        server.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        answer.metadata.id = id;
        let query = answer.queries.remove(0);
        let mut other = query.clone();
        other.set_name(to_name("other.test").unwrap());
        answer.add_query(other);
        server.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        server.send_to(b"nonsense", peer).await.unwrap();
        answer.queries = vec![query];
        answer.answers.clear();
        server.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
    });
    let request = question("example.test", RecordType::A, Recursion::NotDesired).unwrap();
    let answer = exchange(at, request, WAIT, None).await.unwrap();
    assert!(answer.answers.is_empty(), "only the last one is the answer");
    answering.await.unwrap();
}

/// Root, `test` and two zones on servers of their own, as in the world.
struct Tree {
    _servers: Vec<Knot>,
    resolver: Resolver,
}

async fn tree() -> Tree {
    let port = Port::free().unwrap();
    let root =
        "@ NS a.root.\na.root. A 127.0.0.101\ntest. NS ns.nic.test.\nns.nic.test. A 127.0.0.102\n";
    let test = "@ NS ns.nic\nns.nic A 127.0.0.102\n\
        example NS ns1.example\nexample NS ns2.example\nns1.example A 127.0.0.103\nns2.example A 127.0.0.109\n\
        other NS ns.host.example\n\
        lame NS ns1.example\n\
        loop1 NS ns.loop2\nloop2 NS ns.loop1\n";
    let example = "@ NS ns1\n@ NS ns2\nns1 A 127.0.0.103\nns2 A 127.0.0.109\nns.host A 127.0.0.104\n\
        www A 192.0.2.1\nwww AAAA 2001:db8::1\n\
        _acme-challenge.www CNAME x.other.test.\n\
        c0 CNAME c1\nc1 CNAME c2\nc2 CNAME c0\n\
        deep.er TXT \"one \" \"two\"\n\
        @ CAA 0 issue \"letsencrypt.org\"\n";
    let long: String = (1..10).map(|n| format!("l{n} CNAME l{}\n", n + 1)).collect();
    let other = "@ NS ns.host.example.test.\nx TXT \"proof\"\n";
    let example = format!("{example}{long}l10 A 192.0.2.10\n");
    let servers = vec![
        knot(&port, 101, "", root).await,
        knot(&port, 102, "test", test).await,
        knot(&port, 103, "example.test", &example).await,
        knot(&port, 104, "other.test", other).await,
    ];
    let resolver = Resolver::iterative(vec![(String::new(), vec![servers[0].addr()])])
        .with_port(port.number())
        .with_timeout(Duration::from_secs(2));
    Tree { _servers: servers, resolver }
}

#[tokio::test]
async fn names_are_looked_up_from_the_root() {
    let tree = tree().await;
    let resolver = &tree.resolver;

    let [v4, v6] = resolver.addresses("WWW.example.test.").await;
    assert_eq!(v4.unwrap().addresses(), ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(v6.unwrap().addresses(), ["2001:db8::1".parse::<std::net::IpAddr>().unwrap()]);

    let proof = resolver.lookup("_acme-challenge.www.example.test", RecordType::TXT).await.unwrap();
    assert_eq!(proof.aliases, ["x.other.test"], "into a zone whose server has no glue");
    assert_eq!(proof.texts(), ["proof"]);

    let texts = resolver.lookup("deep.er.example.test", RecordType::TXT).await.unwrap().texts();
    assert_eq!(texts, ["one two"]);

    let nothing = resolver.lookup("none.example.test", RecordType::A).await.unwrap();
    assert!(!nothing.exists && nothing.records.is_empty());
    assert_eq!(nothing.zone.as_deref(), Some("example.test"));
    let empty = resolver.lookup("er.example.test", RecordType::A).await.unwrap();
    assert!(empty.exists && empty.records.is_empty(), "an empty non-terminal exists");

    let caa = resolver.lookup("example.test", RecordType::CAA).await.unwrap().caa();
    assert_eq!(caa[0].tag, "issue");
    assert_eq!(caa[0].value, b"letsencrypt.org");

    assert_eq!(resolver.apex("_acme-challenge.www.example.test").await.unwrap(), "example.test");
    assert_eq!(resolver.apex("a.b.c.other.test").await.unwrap(), "other.test");
    assert_eq!(resolver.apex("example.test").await.unwrap(), "example.test");
    let servers = resolver.zone_servers("example.test").await.unwrap();
    let names: Vec<&str> = servers.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["ns1.example.test", "ns2.example.test"]);
    assert_eq!(servers.addresses().len(), 2);
}

#[tokio::test]
async fn chains_that_never_end_and_servers_that_do_not_know_are_errors() {
    let tree = tree().await;
    let resolver = &tree.resolver;
    let error = async |name: &str| resolver.lookup(name, RecordType::A).await.unwrap_err();
    assert!(matches!(error("c0.example.test").await, DnsError::Aliases { .. }));
    assert!(matches!(error("l1.example.test").await, DnsError::Aliases { .. }));
    assert!(
        resolver.lookup("l2.example.test", RecordType::A).await.is_ok(),
        "eight links are fine"
    );
    let lame = error("www.lame.test").await;
    assert!(matches!(lame, DnsError::Code { code: "REFUSED", .. }), "{lame}");
    let circle = error("www.loop1.test").await;
    assert!(matches!(circle, DnsError::Lame { .. } | DnsError::TooDeep { .. }), "{circle}");
}

#[tokio::test]
async fn an_unsigned_answer_does_not_pass_by_claiming_to_be_truncated() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await.unwrap();
        let mut answer = Message::from_vec(&request).unwrap().into_response();
        answer.signature = None;
        answer.metadata.truncation = true;
        let bytes = answer.to_vec().unwrap();
        stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    });
    let clock = clock(SignedDuration::ZERO);
    let tsig = Tsig::new("key", TsigAlgorithm::HmacSha256, b"secret", clock).unwrap();
    let request = update("example.test", "_acme-challenge.example.test");
    let error = exchange_over_tcp(at, request, WAIT, Some(&tsig)).await.unwrap_err();
    assert!(matches!(error, DnsError::Malformed { .. }), "{error}");
    answering.await.unwrap();
}
