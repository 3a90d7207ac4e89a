//! Starts real name servers: Knot (which binds any loopback address) and BIND.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use perennial_wire::dns::{RecordType, Recursion, exchange, question};
use tempfile::TempDir;

/// The secret of the key `perennial.` on every server, in base64 and decoded.
pub(crate) const SECRET: (&str, &[u8]) =
    ("c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5", b"secret-of-the-tests-0123456789");

/// A running name server, ended when dropped.
pub(crate) struct NameServer {
    pub(crate) at: SocketAddr,
    child: Child,
    _dir: TempDir,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free on these addresses, for UDP and TCP.
pub(crate) fn free_port(ips: &[&str]) -> u16 {
    (0..100)
        .find_map(|_| {
            let first = TcpListener::bind((ips[0], 0)).unwrap();
            let port = first.local_addr().unwrap().port();
            drop(first);
            let free = |ip: &&str| {
                TcpListener::bind((*ip, port)).is_ok() && UdpSocket::bind((*ip, port)).is_ok()
            };
            ips.iter().all(free).then_some(port)
        })
        .expect("a free port")
}

fn spawn(program: &str, package: &str, args: &[&str]) -> Child {
    Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; install it: apt-get install {package}"))
}

async fn ready(at: SocketAddr, zone: &str) {
    for _ in 0..200 {
        let request = question(zone, RecordType::SOA, Recursion::NotDesired).unwrap();
        let answer = exchange(at, request, Duration::from_millis(500), None).await;
        if answer.is_ok_and(|answer| !answer.answers.is_empty()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the name server at {at} does not answer for `{zone}`");
}

/// A zone file with SOA and the records given, one a line.
fn zone_file(dir: &Path, number: usize, zone: &str, records: &str) -> String {
    let path = dir.join(format!("{number}.zone"));
    let text = format!(
        "$ORIGIN {zone}.\n$TTL 60\n@ SOA ns.invalid. host.invalid. 1 3600 600 86400 60\n{records}\n"
    )
    .replace("$ORIGIN ..", "$ORIGIN .");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Starts Knot with zones (apex without final dot, records).
pub(crate) async fn knot(ip: &str, port: u16, zones: &[(&str, &str)]) -> NameServer {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().display();
    let mut conf = format!(
        "server:\n    rundir: {home}\n    listen: {ip}@{port}\ndatabase:\n    storage: {home}\n\
         key:\n  - id: perennial\n    algorithm: hmac-sha256\n    secret: {secret}\n\
         \x20 - id: powerless\n    algorithm: hmac-sha256\n    secret: {secret}\n\
         acl:\n  - id: update\n    key: perennial\n    action: update\nzone:\n",
        secret = SECRET.0
    );
    for (number, (zone, records)) in zones.iter().enumerate() {
        let file = zone_file(dir.path(), number, zone, records);
        let _ = writeln!(conf, "  - domain: {zone}.\n    file: {file}\n    acl: update");
    }
    let path = dir.path().join("knot.conf");
    fs::write(&path, conf).unwrap();
    let child = spawn("knotd", "knot", &["-c", path.to_str().unwrap()]);
    let at = SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port);
    let server = NameServer { at, child, _dir: dir };
    ready(at, zones[0].0).await;
    server
}

/// Starts BIND on 127.0.0.1 (it serves only addresses that an interface carries).
pub(crate) async fn bind(port: u16, zones: &[(&str, &str)]) -> NameServer {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().display();
    let key =
        |name: &str| format!("key {name} {{ algorithm hmac-sha256; secret \"{}\"; }};\n", SECRET.0);
    let mut conf = format!(
        "options {{ directory \"{home}\"; pid-file none; listen-on port {port} {{ 127.0.0.1; }}; \
         listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n{}{}",
        key("perennial"),
        key("powerless"),
    );
    for (number, (zone, records)) in zones.iter().enumerate() {
        let file = zone_file(dir.path(), number, zone, records);
        let _ = writeln!(
            conf,
            "zone \"{zone}\" {{ type primary; file \"{file}\"; allow-update {{ key perennial; }}; }};"
        );
    }
    let path = dir.path().join("named.conf");
    fs::write(&path, conf).unwrap();
    let child = spawn("named", "bind9", &["-f", "-c", path.to_str().unwrap()]);
    let at = SocketAddr::new("127.0.0.1".parse::<IpAddr>().unwrap(), port);
    let server = NameServer { at, child, _dir: dir };
    ready(at, zones[0].0).await;
    server
}
