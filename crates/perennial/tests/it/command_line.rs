//! The program as people run it: what it writes where, and how it ends.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jiff::Timestamp;
use perennial::control::{Answer, ControlRequest, Question, Server};
use perennial_core::driver::{Driver, Input, Loader, Step};
use perennial_core::words::Name;
use perennial_store::{Journal as _, Options, Store};

/// A configuration and a store in a folder of their own.
struct Home {
    folder: tempfile::TempDir,
}

const FILE: &str = r#"
agree_terms = true
[store]
dir = "state"
[issuer.letsencrypt]
[solver.http]
http-01 = "listener"
[target.web]
nginx = "/etc/nginx"
[certificate.www]
names = ["www.example.org"]
targets = ["web"]
"#;

impl Home {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("perennial.toml"), file).unwrap();
        Self { folder }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("perennial.toml")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perennial"));
        command.args(args).env("PERENNIAL_CONFIG", self.config()).env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args).output().unwrap(), self.folder.path())
    }

    /// Writes a journal as a daemon would that took on the configuration.
    fn journal(&self) -> Writing {
        let mut store = Store::open(&self.state(), &Options::default()).unwrap();
        let epoch = store.journal.acquire_epoch().unwrap();
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let (driver, step) = Loader::new().start("0.1.0", epoch, now, 1);
        let mut writing = Writing { store, driver, epoch, now };
        writing.append(&step);
        let intent = Box::new(perennial_config::load(&self.config()).unwrap().intent);
        writing.input(Input::Declared { intent, confirmed: false });
        writing
    }
}

/// A store that is being written.
struct Writing {
    store: Store,
    driver: Driver,
    epoch: u64,
    now: Timestamp,
}

impl Writing {
    fn append(&mut self, step: &Step) {
        if !step.append.records.is_empty() {
            self.store.journal.append(&step.append, self.epoch).unwrap();
        }
    }

    fn input(&mut self, input: Input) {
        let step = self.driver.on(input, self.now, 1);
        self.append(&step);
    }
}

/// How a run ended; the folder's own path is left out of its texts.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn of(output: Output, folder: &Path) -> Self {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.display()), "")
        };
        let code = output.status.code().unwrap();
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_usage() {
    let home = Home::new(FILE);
    for args in [&[][..], &["dance"], &["renew", "--now"], &["status", "--limit", "many"]] {
        let ended = home.run(args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}");
        assert!(!ended.err.is_empty());
    }
    let ended = home.run(&["help", "nonsense"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("\n\nhint: topics are "));
}

#[test]
fn help_is_data_and_tells_the_exit_codes() {
    let home = Home::new(FILE);
    for args in [&["--help"][..], &["help"], &["help", "status"], &["help", "solvers"]] {
        let ended = home.run(args);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}");
    }
    assert!(home.run(&["--help"]).out.contains("3  could not"));
}

#[test]
fn mistakes_of_the_file_are_told_whole_and_are_findings_of_a_plan() {
    let home = Home::new("[solver.ns]\ndns-01 = \"rfc-2136\"\n");
    let told = "\
perennial.toml:2:10: unknown solver kind `rfc-2136`
  |
2 | dns-01 = \"rfc-2136\"
  |          ^^^^^^^^^^

hint: did you mean `rfc2136`? Known kinds: perennial help solvers
";
    let plan = home.run(&["plan"]);
    assert_eq!((plan.code, plan.out.as_str(), plan.err.as_str()), (1, "", told));
    let status = home.run(&["status"]);
    assert_eq!((status.code, status.out.as_str(), status.err.as_str()), (3, "", told));
}

#[test]
fn a_plan_needs_no_store_and_changes_nothing() {
    let home = Home::new(FILE);
    let plan = home.run(&["plan"]);
    let expected = "  \
  + issuer/letsencrypt  https://acme-v02.api.letsencrypt.org/directory
  + solver/http  http-01
  + target/web
  + certificate/www  www.example.org

      now  www          look at 1 target and 1 endpoint: nothing is changed before it is known what is there
      now  www          adopt a valid leaf, or order from letsencrypt (www.example.org by http): none is known yet
";
    assert_eq!(
        (plan.code, plan.out.trim_start(), plan.err.as_str()),
        (0, expected.trim_start(), "")
    );
    assert!(!home.state().exists());
    let json: serde_json::Value = serde_json::from_str(&home.run(&["plan", "--json"]).out).unwrap();
    assert_eq!(json["changes"][0]["subject"], "issuer/letsencrypt");
}

#[test]
fn without_daemon_and_store_there_is_nothing_to_show() {
    let home = Home::new(FILE);
    let status = home.run(&["status"]);
    assert_eq!((status.code, status.out.as_str()), (3, ""));
    let expected = "nothing is known yet: no daemon listens at state/control.sock, and there is no \
                    journal in ";
    assert!(status.err.starts_with(expected), "{}", status.err);
    assert!(status.err.ends_with(
        "\n\nhint: see what would be done: perennial plan; then start: perennial run\n"
    ));
    assert_eq!(home.run(&["journal"]).code, 3);
}

#[test]
fn without_a_daemon_the_store_is_read() {
    let home = Home::new(FILE);
    let _writing = home.journal();
    let status = home.run(&["status"]);
    let expected = "  runway  certificate  names   state
     new  www          0 of 1  looking at what is there, before anything else
1 certificate, 0 findings, 0 lapses; letsencrypt no account yet; no daemon is running
";
    assert_eq!((status.code, status.out.as_str(), status.err.as_str()), (0, expected, ""));
    let json: serde_json::Value =
        serde_json::from_str(&home.run(&["status", "--json"]).out).unwrap();
    assert_eq!(json["certificates"][0]["certificate"], "www");
    let renew = home.run(&["renew", "www"]);
    assert_eq!((renew.code, renew.out.as_str()), (3, ""));
    assert_eq!(
        renew.err,
        "renewing needs a running daemon\n\n\
         hint: start it: systemctl start perennial, or perennial run\n"
    );
    let reload = home.run(&["reload"]);
    assert!(reload.err.starts_with("no daemon is running: nobody listens at state/control.sock"));
}

#[test]
fn findings_are_listed_by_status_and_are_its_exit_code() {
    let home = Home::new(FILE);
    let mut writing = home.journal();
    let message = "perennial.toml:3:1: unknown key `store_`".into();
    writing.input(Input::DeclarationRefused { message });
    let status = home.run(&["status"]);
    assert_eq!((status.code, status.err.as_str()), (1, ""), "{}", status.out);
    assert!(status.out.contains("perennial.toml:3:1: unknown key `store_`"), "{}", status.out);
    assert!(status.out.contains("1 finding,"), "{}", status.out);
    let json = home.run(&["status", "--json"]);
    let view: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &view["findings"][0]["code"]), (1, &"config.refused".into()), "{view}");
}

#[test]
fn the_journal_is_shown_by_subject_and_as_json() {
    let home = Home::new(FILE);
    let _writing = home.journal();
    let all = home.run(&["journal"]);
    let texts: Vec<&str> = all.out.lines().map(|line| line.get(21..).unwrap()).collect();
    let expected = [
        "perennial           perennial 0.1.0 started",
        "issuer/letsencrypt  declared, at https://acme-v02.api.letsencrypt.org/directory",
        "solver/http         declared, for http-01",
        "target/web          declared, as a place to install at",
        "www                 declared, for www.example.org",
        "perennial           took on a configuration with 1 certificate",
    ];
    assert_eq!(texts, expected);
    assert_eq!(home.run(&["journal", "-n", "2"]).out.lines().count(), 2);
    for subject in ["www", "certificate/www", "www.example.org"] {
        let of_one = home.run(&["journal", subject]);
        assert_eq!(of_one.out.lines().count(), 1, "{subject}: {}", of_one.out);
    }
    for line in home.run(&["journal", "--json", "--all"]).out.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(json["kind"].is_string() && json["body"].is_object(), "{line}");
    }
}

#[test]
fn a_journal_that_is_followed_shows_what_happens_next() {
    let home = Home::new(FILE);
    let mut writing = home.journal();
    let mut child = home.command(&["journal", "--follow", "-n", "1"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("took on a configuration"), "{first}");
    writing.input(Input::Renew { certificate: Name::new("www") });
    let next = lines.next().unwrap().unwrap();
    assert!(next.contains("a person asks for a renewal"), "{next}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_is_asked_and_its_refusals_are_told() {
    let home = Home::new(FILE);
    let writing = home.journal();
    let (to, mut questions) = tokio::sync::mpsc::channel::<ControlRequest>(1);
    tokio::spawn(Server::bind(&home.state().join("control.sock")).unwrap().serve(to));
    tokio::spawn(async move {
        while let Some(ControlRequest { question, reply }) = questions.recv().await {
            let answer = match question {
                Question::Status { limit, .. } => {
                    let now = writing.now;
                    let source = perennial::view::Source::Daemon;
                    let state = writing.driver.state();
                    let view = perennial::view::StatusView::of(state, &[], source, now, limit);
                    Answer::Status { status: Box::new(view) }
                }
                Question::Renew { certificate } => {
                    Answer::Done { text: format!("renewing {certificate}") }
                }
                Question::Revoke { certificate, reason, at_once } => {
                    Answer::Done { text: format!("{certificate}: {reason}, at once: {at_once}") }
                }
                Question::Account { issuer, wish } => {
                    Answer::Done { text: format!("{issuer}: {wish:?}") }
                }
                Question::Confirm { certificate, leaf: Some(leaf) } => {
                    Answer::Done { text: format!("confirmed {leaf} of {certificate}") }
                }
                Question::Confirm { leaf: None, .. } => {
                    Answer::Refused { text: "leaf 2 is held".into(), hint: "look".into() }
                }
                Question::Reload { confirmed: true } => Answer::Done { text: "read".into() },
                Question::Reload { confirmed: false } | Question::Resume | Question::Stop => {
                    Answer::Refused { text: "not now".into(), hint: "wait".into() }
                }
            };
            reply.send(answer).unwrap();
        }
    });
    tokio::task::spawn_blocking(move || {
        let status = home.run(&["status"]);
        assert!(status.out.contains("running since 2026-11-21 09:00 UTC"), "{}", status.out);
        let renew = home.run(&["renew", "--no-wait", "www"]);
        assert_eq!((renew.code, renew.err.as_str()), (0, ""), "a new certificate is due");
        assert!(renew.out.starts_with("www: renewing www\n"), "{}", renew.out);
        let renew = home.run(&["renew", "wwww"]);
        assert_eq!(renew.code, 3);
        assert!(renew.err.starts_with("no certificate `wwww` is declared"), "{}", renew.err);
        let revoke = home.run(&["revoke", "www", "--reason", "superseded"]);
        assert_eq!(revoke.out, "www: superseded, at once: false\n");
        assert_eq!(home.run(&["revoke", "www", "--reason", "boredom"]).code, 2);
        let account = home.run(&["account", "deactivate", "letsencrypt", "--force"]);
        assert_eq!(account.out, "letsencrypt: EndAnyway\n");
        assert_eq!(home.run(&["confirm"]).out, "read\n");
        let confirm = home.run(&["confirm", "www", "--leaf", "2"]);
        assert_eq!(confirm.out, "confirmed 2 of www\n");
        let shown = home.run(&["confirm", "www"]);
        assert_eq!((shown.code, shown.err.as_str()), (3, "leaf 2 is held\n\nhint: look\n"));
        assert_eq!(home.run(&["confirm", "--leaf", "2"]).code, 2);
        assert_eq!(home.run(&["stop"]).err, "not now\n\nhint: wait\n");
    })
    .await
    .unwrap();
}
