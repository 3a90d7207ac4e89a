//! Solvers, each against what really shows its answers.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perennial_core::action::{ActKind, Fact, Outcome};
use perennial_core::words::{
    Answer, Blame, ChallengeKind, Failure, FailureKind, Identifier, Name, Place, Slot,
};
use perennial_peers::{Bind, DnsOptions, Knot, Port, TsigKey, Zone};
use perennial_wire::authorization::{key_authorization, txt_value};
use perennial_wire::clock::Clock;
use perennial_wire::dns::{Tsig, TsigAlgorithm};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn answer(kind: ChallengeKind, token: &str) -> Answer {
    Answer {
        solver: Name::new("s"),
        kind,
        identifier: Identifier::new("*.example.org").unwrap(),
        token: token.into(),
        thumbprint: "thumb".into(),
        place: None,
        standing: None,
    }
}

fn http_answer(token: &str) -> Answer {
    answer(ChallengeKind::Http01, token)
}

fn dns_answer(token: &str) -> Answer {
    let place = Place {
        record: "_acme-challenge.example.org".into(),
        zone: "example.org".into(),
        servers: Box::default(),
    };
    Answer { place: Some(place), ..answer(ChallengeKind::Dns01, token) }
}

fn solvers(settings: SolverSettings) -> Solvers {
    Solvers::new(BTreeMap::from([(Name::new("s"), settings)]))
}

async fn present(solvers: &Solvers, answer: &Answer) -> Outcome {
    solvers.perform(&ActKind::Present { answer: answer.clone() }).await
}

async fn withdraw(solvers: &Solvers, answer: &Answer) -> Outcome {
    solvers.perform(&ActKind::Withdraw { answer: answer.clone() }).await
}

const PRESENTED: Outcome = Outcome::Done(Fact::Presented);
const WITHDRAWN: Outcome = Outcome::Done(Fact::Withdrawn);

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// Asks as a CA would and returns status and body.
async fn fetch(server: SocketAddr, token: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: example.org\r\n\
         User-Agent: a CA\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    format!("{} {body}", head.split(' ').nth(1).unwrap())
}

#[tokio::test]
async fn the_listener_shows_answers_on_both_families_while_they_are_up() {
    let port = Port::free().unwrap();
    let every: Vec<SocketAddr> =
        vec![([0, 0, 0, 0], port.number()).into(), ([0_u16; 8], port.number()).into()];
    let listener = Listener::for_http(every);
    assert_eq!(listener.start(&Name::new("http")).await, Ok(()));
    assert_eq!(listener.addresses().await.len(), 2);
    let solvers = solvers(SolverSettings::Listen(Arc::clone(&listener)));
    let answer = http_answer("abc-_1");
    assert_eq!(present(&solvers, &answer).await, PRESENTED);
    for server in [port.v4(), port.v6()] {
        assert_eq!(fetch(server, "abc-_1").await, "200 abc-_1.thumb");
        assert_eq!(fetch(server, "other").await, "404 ");
    }
    // The next configuration's solvers share the listener with its answers.
    let reloaded = super::tests::solvers(SolverSettings::Listen(listener));
    drop(solvers);
    assert_eq!(fetch(port.v4(), "abc-_1").await, "200 abc-_1.thumb");
    assert_eq!(withdraw(&reloaded, &answer).await, WITHDRAWN);
    assert_eq!(withdraw(&reloaded, &answer).await, WITHDRAWN);
    assert_eq!(fetch(port.v4(), "abc-_1").await, "404 ");
}

#[tokio::test]
async fn a_taken_address_is_told_before_an_answer_is_needed_and_had_once_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let listener = Listener::for_http(vec![address]);
    let solver = Name::new("http");
    let failure = listener.start(&solver).await.unwrap_err();
    assert_eq!(failure.blame, Blame::Solver(solver.clone()));
    assert!(failure.cause.contains("another program listens there"), "{failure}");
    drop(taken);
    assert_eq!(listener.start(&solver).await, Ok(()));
    assert_eq!(listener.addresses().await, [address]);
}

/// Connects from an address of loopback.
async fn connect_from(from: &str, server: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

#[tokio::test]
async fn a_flood_from_one_source_and_a_crowd_from_many_keep_no_validation_waiting() {
    // Both ends of every connection are this process's.
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, files).unwrap();
    let listener = Listener::for_http(vec![Port::free().unwrap().v4()]);
    let solvers = solvers(SolverSettings::Listen(Arc::clone(&listener)));
    assert_eq!(present(&solvers, &http_answer("token")).await, PRESENTED);
    let server = listener.addresses().await[0];
    let request = "GET /.well-known/acme-challenge/token HTTP/1.1\r\n\r\n";
    let (first, second) = request.split_at(20);
    // One validation is half way when the flood begins, another one comes in its middle.
    let mut early = connect_from("127.0.0.1", server).await;
    early.write_all(first.as_bytes()).await.unwrap();
    let mut flood = Vec::new();
    for _ in 0..600 {
        flood.push(connect_from("127.0.0.2", server).await);
    }
    let began = tokio::time::Instant::now();
    assert!(fetch(server, "token").await.starts_with("200"));
    finish(early, second).await;
    let stranger = |number| format!("127.1.{}.{}", number / 200, number % 200 + 1);
    for number in 0..600 {
        flood.push(connect_from(&stranger(number), server).await);
    }
    // Half a crowd comes after this one: that it came last is what keeps it.
    let mut late = connect_from("127.0.0.1", server).await;
    late.write_all(first.as_bytes()).await.unwrap();
    for number in 600..850 {
        flood.push(connect_from(&stranger(number), server).await);
    }
    assert!(fetch(server, "token").await.starts_with("200"));
    finish(late, second).await;
    // Nobody waited for the flood's time to be over.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// Sends the rest of a request, and expects its answer.
async fn finish(mut validation: TcpStream, rest: &str) {
    validation.write_all(rest.as_bytes()).await.unwrap();
    let mut told = String::new();
    validation.read_to_string(&mut told).await.unwrap();
    assert!(told.ends_with(&key_authorization(&http_answer("token"))), "{told}");
}

#[tokio::test]
async fn a_port_in_use_is_told_and_taken_once_it_is_free() {
    let port = Port::free().unwrap();
    let taken = tokio::net::TcpListener::bind(port.v4()).await.unwrap();
    let solvers = solvers(SolverSettings::Listen(Listener::for_http(vec![port.v4()])));
    let failed = failure(present(&solvers, &http_answer("a")).await);
    assert_eq!((failed.kind, &failed.blame), (FailureKind::Transient, &Blame::Solver("s".into())));
    assert_eq!(&*failed.attempted, "present the http-01 answer for *.example.org by s",);
    assert!(failed.cause.contains("another program listens there"), "{failed}");
    drop(taken);
    assert_eq!(present(&solvers, &http_answer("a")).await, PRESENTED);
    assert_eq!(fetch(port.v4(), "a").await, "200 a.thumb");
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let port = Port::free().unwrap();
    let solvers = solvers(SolverSettings::Listen(Listener::for_http(vec![port.v4()])));
    present(&solvers, &http_answer("a")).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(port.v4()).await.unwrap());
    }
    assert_eq!(fetch(port.v4(), "a").await, "200 a.thumb");
}

fn webroot(root: &Path) -> Solvers {
    solvers(SolverSettings::Webroot(WebrootSettings { root: root.to_owned() }))
}

#[tokio::test]
async fn the_webroot_holds_the_answer_and_is_left_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let solvers = webroot(root.path());
    let (one, two) = (http_answer("one"), http_answer("two"));
    let dir = root.path().join(".well-known/acme-challenge");
    for answer in [&one, &two] {
        assert_eq!(present(&solvers, answer).await, PRESENTED);
        assert_eq!(present(&solvers, answer).await, PRESENTED);
    }
    assert_eq!(fs::read_to_string(dir.join("one")).unwrap(), "one.thumb");
    let mode = fs::metadata(dir.join("one")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(withdraw(&solvers, &one).await, WITHDRAWN);
    assert!(dir.join("two").exists());
    assert_eq!(withdraw(&solvers, &two).await, WITHDRAWN);
    assert_eq!(withdraw(&solvers, &two).await, WITHDRAWN);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn directories_of_others_stay() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join(".well-known")).unwrap();
    let solvers = webroot(root.path());
    present(&solvers, &http_answer("a")).await;
    assert_eq!(withdraw(&solvers, &http_answer("a")).await, WITHDRAWN);
    let left = fs::read_dir(root.path().join(".well-known")).unwrap().count();
    assert_eq!(left, 0, "what we made is gone");
}

#[tokio::test]
async fn tokens_that_lead_elsewhere_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let solvers = webroot(root.path());
    for token in ["", "..", "../x", "a/b", "a\0b", ".hidden", "ä", &"x".repeat(300)] {
        let failed = failure(present(&solvers, &http_answer(token)).await);
        assert_eq!(failed.blame, Blame::Solver("s".into()), "{token}");
        failure(withdraw(&solvers, &http_answer(token)).await);
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_webroot_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let missing = failure(present(&webroot(&dir.path().join("nowhere")), &http_answer("a")).await);
    assert_eq!((missing.kind, missing.blame), (FailureKind::Refused, Blame::Solver("s".into())));

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let failed = failure(present(&webroot(&file), &http_answer("a")).await);
    assert_eq!((failed.kind, failed.blame), (FailureKind::Refused, Blame::Solver("s".into())));
    assert!(failed.cause.contains("Not a directory"), "{}", failed.cause);
    assert_eq!(withdraw(&webroot(&file), &http_answer("a")).await, WITHDRAWN);

    // Not even root may make directories there.
    let failed = failure(present(&webroot(Path::new("/sys")), &http_answer("a")).await);
    assert_eq!(failed.blame, Blame::Ourselves, "{}", failed.cause);
}

#[tokio::test]
async fn foreign_actions_kinds_and_solvers_are_our_own_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let solvers = webroot(dir.path());
    let unknown = Answer { solver: Name::new("other"), ..http_answer("a") };
    for outcome in [
        present(&solvers, &dns_answer("a")).await,
        present(&solvers, &unknown).await,
        solvers.perform(&ActKind::DropKey { slot: Slot("x".into()) }).await,
    ] {
        assert_eq!(failure(outcome).blame, Blame::Ourselves);
    }
}

fn wall() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "BIND and Knot compare our clock with theirs")]
    Clock::new(jiff::Timestamp::now)
}

fn tsig(key: &TsigKey, wall: Clock) -> Tsig {
    let secret = STANDARD.decode(&key.secret).unwrap();
    Tsig::new(&key.name, TsigAlgorithm::HmacSha256, &secret, wall).unwrap()
}

fn rfc2136(server: SocketAddr, tsig: Option<Tsig>) -> Solvers {
    solvers(SolverSettings::Rfc2136(Rfc2136Settings {
        server: server.into(),
        tsig,
        ttl_secs: DEFAULT_TTL_SECS,
        timeout: Duration::from_secs(10),
    }))
}

fn zones() -> DnsOptions {
    DnsOptions::serving([Zone::new("example.org", "_acme-challenge TXT \"of somebody else\"")])
}

/// Updates at a real server: values come and go one by one, and others' stay.
async fn updates(server: SocketAddr, key: &TsigKey, look: impl AsyncFn() -> Vec<String>) {
    let solvers = Arc::new(rfc2136(server, Some(tsig(key, wall()))));
    let (one, two) = (dns_answer("one"), dns_answer("two"));
    let shown = |answers: &[&Answer]| {
        let values = answers.iter().map(|answer| format!("\"{}\"", txt_value(answer)));
        let mut all: Vec<String> = values.chain(["\"of somebody else\"".to_owned()]).collect();
        all.sort();
        all
    };
    for answer in [&one, &two, &two] {
        assert_eq!(present(&solvers, answer).await, PRESENTED);
    }
    assert_eq!(look().await, shown(&[&one, &two]));
    for answer in [&one, &one] {
        assert_eq!(withdraw(&solvers, answer).await, WITHDRAWN);
    }
    assert_eq!(look().await, shown(&[&two]));

    let many: Vec<Answer> = (0..10).map(|number| dns_answer(&format!("t{number}"))).collect();
    let mut presenting = tokio::task::JoinSet::new();
    for answer in many.clone() {
        let solvers = Arc::clone(&solvers);
        presenting.spawn(async move { present(&solvers, &answer).await });
    }
    assert!(presenting.join_all().await.iter().all(|outcome| *outcome == PRESENTED));
    let all: Vec<&Answer> = many.iter().chain([&two]).collect();
    assert_eq!(look().await, shown(&all));
}

/// What a real server refuses, and whom we blame.
async fn refusals(server: SocketAddr, key: &TsigKey) {
    let unauthorized = (FailureKind::Unauthorized, Blame::Solver(Name::new("s")));
    let attempt = async |tsig: Option<Tsig>| {
        let failed = failure(present(&rfc2136(server, tsig), &dns_answer("a")).await);
        ((failed.kind, failed.blame), failed.cause)
    };
    let stranger = TsigKey { name: "stranger".to_owned(), ..key.clone() };
    let (verdict, cause) = attempt(Some(tsig(&stranger, wall()))).await;
    assert_eq!(verdict, unauthorized, "unknown key: {cause}");
    let wrong = TsigKey { secret: STANDARD.encode([7; 32]), ..key.clone() };
    let (verdict, cause) = attempt(Some(tsig(&wrong, wall()))).await;
    assert_eq!(verdict, unauthorized, "wrong secret: {cause}");
    let (verdict, cause) = attempt(None).await;
    assert_eq!(verdict.1, Blame::Solver(Name::new("s")), "unsigned: {cause}");

    let late = wall();
    let late =
        Clock::new(move || late.now().checked_sub(jiff::SignedDuration::from_hours(2)).unwrap());
    let (verdict, cause) = attempt(Some(tsig(key, late))).await;
    assert_eq!(verdict, (FailureKind::Transient, Blame::Ourselves), "late clock: {cause}");
    assert!(cause.contains("clock"), "{cause}");

    let mut elsewhere = dns_answer("a");
    elsewhere.place = Some(Place {
        record: "_acme-challenge.example.net".into(),
        zone: "example.net".into(),
        servers: Box::default(),
    });
    let solvers = rfc2136(server, Some(tsig(key, wall())));
    let failed = failure(present(&solvers, &elsewhere).await);
    let zone = Blame::Zone("example.net".into());
    assert!(failed.blame == zone || failed.kind == FailureKind::Unauthorized, "{failed:?}");
}

#[tokio::test]
async fn bind_takes_updates() {
    let bind = Bind::start(zones()).await.unwrap();
    let key = TsigKey::known();
    refusals(bind.addr(), &key).await;
    let look = async || bind.look("_acme-challenge.example.org", "TXT").await.unwrap();
    updates(bind.addr(), &key, look).await;
}

#[tokio::test]
async fn knot_takes_updates() {
    let knot = Knot::start(zones()).await.unwrap();
    let key = TsigKey::known();
    refusals(knot.addr(), &key).await;
    let look = async || knot.look("_acme-challenge.example.org", "TXT").await.unwrap();
    updates(knot.addr(), &key, look).await;
}

#[tokio::test]
async fn a_server_that_is_away_is_the_solvers() {
    let port = Port::free().unwrap();
    let failed = failure(present(&rfc2136(port.v4(), None), &dns_answer("a")).await);
    assert_eq!((failed.kind, failed.blame), (FailureKind::Transient, Blame::Solver("s".into())));
}
