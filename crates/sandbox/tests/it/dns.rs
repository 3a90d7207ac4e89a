//! The DNS asked and updated by BIND's own tools.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use perennial_sandbox::Sandbox;
use perennial_sandbox::model::dns::{Caa, Data, ServerFault, ZoneFault};

use crate::bench::{sandbox, until};

/// Runs a tool; says how to install it where it is missing.
fn run(tool: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{tool}: {error}; install it with: apt-get install bind9-dnsutils")
        });
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), text.concat().trim().to_owned())
}

/// Asks a server with dig.
async fn dig(server: SocketAddr, question: &str) -> String {
    let question = question.to_owned();
    let asking = move || {
        let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
        let mut arguments = vec![at.as_str(), "-p", &port, "+tries=1", "+timeout=2"];
        arguments.extend(question.split(' '));
        run("dig", &arguments, "").1
    };
    tokio::task::spawn_blocking(asking).await.unwrap()
}

/// Updates with nsupdate; returns whether it succeeded and what it said.
async fn nsupdate(server: SocketAddr, secret: &[u8], lines: &str) -> (bool, String) {
    let key = format!("hmac-sha256:sandbox:{}", BASE64_STANDARD.encode(secret));
    let (ip, port) = (server.ip(), server.port());
    let input = format!("server {ip} {port}\nzone example.test\n{lines}\nsend\n");
    let updating = move || run("nsupdate", &["-t", "2", "-u", "2", "-r", "0", "-y", &key], &input);
    tokio::task::spawn_blocking(updating).await.unwrap()
}

const SECRET: &[u8] = b"perennial sandbox secret";

fn ns1(sandbox: &Sandbox) -> SocketAddr {
    sandbox.dns.server("ns1.sandbox.test").unwrap()
}

fn add(sandbox: &Sandbox, name: &str, data: Data) {
    sandbox.dns.with(|dns, _| dns.add("example.test", name, data, Timestamp::MIN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_reads_every_kind_of_record() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let long = "x".repeat(300);
    add(&sandbox, "t.example.test", Data::Txt(long.as_str().into()));
    add(&sandbox, "six.example.test", Data::Aaaa("2001:db8::1".parse().unwrap()));
    add(&sandbox, "alias.example.test", Data::Cname("six.example.test".into()));
    let value = "ca.test; accounturi=https://ca.test/acct/1";
    let caa = Caa { critical: true, tag: "issue".into(), value: value.into() };
    add(&sandbox, "example.test", Data::Caa(caa));
    let server = ns1(&sandbox);
    let cases = [
        ("+short example.test A", "127.0.0.1".to_owned()),
        ("+short any.example.test A", "127.0.0.1".to_owned()),
        ("+short SIX.Example.test AAAA", "2001:db8::1".to_owned()),
        ("+short alias.example.test AAAA", "six.example.test.\n2001:db8::1".to_owned()),
        ("+short example.test CAA", format!("128 issue \"{value}\"")),
        ("+short t.example.test TXT", format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45))),
        ("+short +tcp example.test A", "127.0.0.1".to_owned()),
    ];
    for (question, expected) in cases {
        assert_eq!(dig(server, question).await, expected, "{question}");
    }
    let servers = dig(server, "+short example.test NS").await;
    assert_eq!(servers.lines().count(), 2, "{servers}");
    let soa = dig(server, "+short example.test SOA").await;
    assert!(soa.starts_with("ns1.sandbox.test. hostmaster.example.test. "), "{soa}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_follows_the_delegation_from_the_root() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let root = sandbox.dns.server("root.sandbox.test").unwrap();
    let referral = dig(root, "+norecurse www.example.test A").await;
    assert!(referral.contains("status: NOERROR") && referral.contains("ANSWER: 0"), "{referral}");
    assert!(referral.contains("NS\tns2.sandbox.test."), "{referral}");
    assert!(referral.contains("A\t127.0.0.4"), "{referral}");
    assert!(!referral.contains("flags: qr aa"), "{referral}");
    let resolved = dig(sandbox.dns.resolver(), "www.example.test A").await;
    assert!(resolved.contains("127.0.0.1") && resolved.contains("flags: qr rd ra"), "{resolved}");
    let missing = dig(sandbox.dns.resolver(), "www.nowhere.test A").await;
    assert!(missing.contains("status: NXDOMAIN"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_udp_is_cut_and_asked_again_by_tcp() {
    let (sandbox, _) = sandbox(|_| {}).await;
    for number in 0..40 {
        let text = format!("{number:02} {}", "y".repeat(60));
        add(&sandbox, "many.example.test", Data::Txt(text.into()));
    }
    let server = ns1(&sandbox);
    let cut = dig(server, "+ignore many.example.test TXT").await;
    assert!(cut.contains("flags: qr aa tc"), "{cut}");
    let whole = dig(server, "+short many.example.test TXT").await;
    assert_eq!(whole.lines().filter(|line| line.starts_with('"')).count(), 40, "{whole}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nsupdate_adds_and_deletes_single_values() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let server = ns1(&sandbox);
    let name = "_acme-challenge.example.test";
    let lines = format!("add {name} 60 TXT one\nadd {name} 60 TXT two");
    assert_eq!(nsupdate(server, SECRET, &lines).await, (true, String::new()));
    let lines = format!("prereq yxrrset {name} TXT\ndel {name} TXT one");
    assert_eq!(nsupdate(server, SECRET, &lines).await, (true, String::new()));
    let other = sandbox.dns.server("ns2.sandbox.test").unwrap();
    assert_eq!(dig(other, &format!("+short {name} TXT")).await, "\"two\"");
    let (done, said) =
        nsupdate(server, SECRET, &format!("prereq nxdomain {name}\ndel {name}")).await;
    assert!(!done && said.contains("YXDOMAIN"), "{said}");
    assert_eq!(nsupdate(server, SECRET, &format!("del {name}")).await, (true, String::new()));
    let gone = dig(server, &format!("{name} TXT")).await;
    assert!(gone.contains("ANSWER: 0"), "{gone}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_without_the_right_key_are_refused_and_change_nothing() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let server = ns1(&sandbox);
    let line = "add t.example.test 60 TXT wrong";
    let (done, said) = nsupdate(server, b"another secret", line).await;
    assert!(!done && said.contains("BADSIG"), "{said}");
    let (ip, port) = (server.ip(), server.port());
    let input = format!("server {ip} {port}\nzone example.test\n{line}\nsend\n");
    let unsigned = move || run("nsupdate", &["-t", "2"], &input);
    let (done, said) = tokio::task::spawn_blocking(unsigned).await.unwrap();
    assert!(!done && said.contains("REFUSED"), "{said}");
    assert!(dig(server, "+short t.example.test TXT").await.is_empty());
    let (done, said) = nsupdate(sandbox.dns.resolver(), SECRET, line).await;
    assert!(!done && said.contains("REFUSED"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_show_on_the_wire() {
    let (sandbox, _) = sandbox(|_| {}).await;
    let server = ns1(&sandbox);
    let set = |fault| {
        sandbox.dns.with(|dns, _| dns.servers.get_mut("ns1.sandbox.test").unwrap().fault = fault);
    };
    set(ServerFault::ServFail);
    assert!(dig(server, "example.test A").await.contains("status: SERVFAIL"));
    set(ServerFault::Silent);
    assert!(dig(server, "example.test A").await.contains("no servers could be reached"));
    set(ServerFault::None);
    sandbox.dns.with(|dns, _| {
        dns.zones.get_mut("example.test").unwrap().fault = ZoneFault::RefusesUpdates;
    });
    let (done, said) = nsupdate(server, SECRET, "add t.example.test 60 TXT v").await;
    assert!(!done && said.contains("REFUSED"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lags_shows_a_value_after_its_time() {
    let (sandbox, _) = sandbox(|_| {}).await;
    sandbox.dns.with(|dns, _| {
        let lag = SignedDuration::from_millis(400);
        dns.servers.get_mut("ns2.sandbox.test").unwrap().lag = lag;
    });
    let line = "add t.example.test 60 TXT v";
    assert!(nsupdate(ns1(&sandbox), SECRET, line).await.0);
    let shown = || {
        sandbox.dns.with(|dns, now| {
            let kind = perennial_sandbox::model::dns::Kind::Txt;
            let answer = dns.ask("ns2.sandbox.test", "t.example.test", kind, now).unwrap();
            !answer.answers.is_empty()
        })
    };
    assert!(!shown());
    until("the second server shows it", shown).await;
}
