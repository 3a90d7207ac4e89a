//! The daemon as a service manager and a log collector meet it.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use perennial_core::finding::Code;
use perennial_core::state::State;
use perennial_peers::Port;
use rustix::process::Signal;

use crate::process::{Process, command};
use crate::running::configure;

/// Declares a certificate at a CA that nobody answers for, with a secret in the file itself.
fn declaring(certificate: &str) -> String {
    let nowhere = Port::free().unwrap();
    format!(
        "agree_terms = true\n[store]\ndir = \"store\"\n[resolver]\nservers = [\"127.0.0.1:{port}\"]\n\
         [issuer.ca]\ndirectory = \"https://127.0.0.1:{port}/dir\"\nkind = \"private\"\n\
         [solver.ns]\ndns-01 = \"rfc2136\"\nserver = \"127.0.0.1:{port}\"\nzones = [\"test\"]\n\
         tsig = {{ name = \"k\", key = \"{SECRET}\" }}\n\
         [certificate.{certificate}]\nnames = [\"{certificate}.test\"]\nendpoints = []\n",
        port = nowhere.number(),
    )
}

const SECRET: &str = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjItaHVudGVyMg==";

/// A service manager's end of the socket.
struct Notified(UnixDatagram);

impl Notified {
    fn bind(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket)
    }

    /// Returns the next message, a line each.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("the manager is told something");
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the next message that is more than a sign of life.
    fn next_change(&self) -> Vec<String> {
        loop {
            let message = self.next();
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }
}

fn is_refused(state: &State) -> Option<()> {
    let incidents = &state.instance.history.incidents;
    incidents.iter().any(|incident| incident.code == Code::ConfigRefused).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_start_life_reloads_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), &declaring("a"));
    let path = folder.path().join("notify");
    let manager = Notified::bind(&path);
    let mut run = command(&config, &["run"]);
    run.env("NOTIFY_SOCKET", &path);
    let daemon = Process::spawn(&config, run).await;
    assert_eq!(manager.next(), ["READY=1", "WATCHDOG=1", "STATUS=running"]);
    for _ in 0..3 {
        assert_eq!(manager.next(), ["WATCHDOG=1"]);
    }
    daemon.signal(Signal::HUP);
    assert_eq!(manager.next_change(), ["RELOADING=1"]);
    assert_eq!(manager.next_change(), ["READY=1", "STATUS=running"]);

    configure(folder.path(), "[broken");
    daemon.signal(Signal::HUP);
    assert_eq!(manager.next_change(), ["RELOADING=1"]);
    let after = manager.next_change();
    assert_eq!(after[0], "READY=1");
    assert!(after[1].starts_with("STATUS=running with an earlier configuration: "), "{after:?}");
    daemon.until("config.refused", is_refused).await;

    daemon.stop().await;
    assert_eq!(manager.next_change(), ["STOPPING=1", "STATUS=finishing what is in flight"]);
    manager.0.set_nonblocking(true).unwrap();
    let mut rest = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length) = manager.0.recv(&mut buffer) {
        rest.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    assert!(rest.iter().all(|message| message == "WATCHDOG=1\n"), "nothing follows: {rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_json_if_asked_and_warns_of_the_configuration_at_start_and_reload() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), &declaring("a"));
    let daemon = Process::spawn(&config, command(&config, &["run", "--json"])).await;
    configure(folder.path(), &declaring("b"));
    daemon.signal(Signal::HUP);
    let is_b = |state: &State| state.id(&"b".into()).map(|_| ());
    daemon.until("b", is_b).await;
    let log = daemon.log();
    daemon.stop().await;
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let is_said = |line: &&serde_json::Value| {
        let message = line["message"].as_str().unwrap();
        line["level"] == "WARN" && message.ends_with(": a secret stands in the configuration")
    };
    let said: Vec<_> = lines.iter().filter(is_said).collect();
    assert_eq!(said.len(), 2, "{log}");
    assert!(said.iter().all(|line| line["hint"].as_str().unwrap().contains("file:")), "{log}");
    let running =
        |line: &serde_json::Value| line["message"] == "running" && line["level"] == "INFO";
    assert!(lines.iter().any(running), "{log}");
    assert!(!log.contains(SECRET));
}

#[test]
fn a_check_is_json_and_its_outcome_is_the_exit_code() {
    let args = ["check", "--json", "--resolver", "127.0.0.1:9", "--timeout", "1", "none.test"];
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_perennial"));
    let output = check.args(args).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "nobody could be asked: {json}");
    assert_eq!(json["hosts"][0]["host"], "none.test", "{json}");
}
