//! Hooks, unchanged, as their own tools call them and as we do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_core::action::{ActKind, Fact, Outcome};
use perennial_core::words::{
    Answer, Blame, ChallengeKind, Failure, FailureKind, Identifier, Name, Place,
};
use perennial_peers::{
    Certbot, CertbotProof, ChallTestSrv, Dehydrated, Pebble, PebbleOptions, Port, PowerDns, Zone,
};
use perennial_wire::authorization::{key_authorization, txt_value};
use perennial_wire::dns::texts_at;
use perennial_wire::program::Program;

use super::super::{SolverSettings, Solvers};
use super::{Convention, ProgramSettings};

const PRESENTED: Outcome = Outcome::Done(Fact::Presented);
const WITHDRAWN: Outcome = Outcome::Done(Fact::Withdrawn);
const LONG: Duration = Duration::from_secs(60);

/// An answer with a token and a thumbprint as long as real ones.
fn answer(kind: ChallengeKind, domain: &str) -> Answer {
    let place = Place {
        record: format!("_acme-challenge.{domain}").into(),
        zone: domain.into(),
        servers: Box::default(),
    };
    Answer {
        solver: Name::new("s"),
        identifier: Identifier::new(domain).unwrap(),
        token: "t".repeat(43).into(),
        thumbprint: "p".repeat(43).into(),
        place: (kind == ChallengeKind::Dns01).then_some(place),
        standing: None,
        kind,
    }
}

fn program(argv: &[&str], env: &[(&str, &str)], limit: Duration) -> Program {
    let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
    let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let env = env.iter().map(variable).collect();
    Program { env, ..Program::new(&argv, limit).unwrap() }
}

fn solvers(
    program: Program,
    convention: Convention,
    kind: ChallengeKind,
    memory: &Path,
) -> Solvers {
    let memory = memory.to_owned();
    let settings = ProgramSettings { program, convention, kind, memory };
    Solvers::new(BTreeMap::from([(Name::new("s"), SolverSettings::Program(settings))]))
}

async fn present(solvers: &Solvers, answer: &Answer) -> Outcome {
    solvers.perform(&ActKind::Present { answer: answer.clone() }).await
}

async fn withdraw(solvers: &Solvers, answer: &Answer) -> Outcome {
    solvers.perform(&ActKind::Withdraw { answer: answer.clone() }).await
}

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/hooks/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn hook(script: &str, convention: Convention, dir: &Path, limit: Duration) -> Solvers {
    let script = format!("exec >> {}/log; {script}", dir.display());
    let program = program(&["sh", "-c", &script, "hook"], &[], limit);
    solvers(program, convention, ChallengeKind::Dns01, dir)
}

#[tokio::test]
async fn a_program_is_told_as_lego_tells_it() {
    let dir = tempfile::tempdir().unwrap();
    let answer = answer(ChallengeKind::Dns01, "example.org");
    for convention in [Convention::Lego, Convention::LegoRaw] {
        let solvers = hook("echo \"$# $*\"", convention, dir.path(), LONG);
        assert_eq!(present(&solvers, &answer).await, PRESENTED);
        assert_eq!(withdraw(&solvers, &answer).await, WITHDRAWN);
    }
    let value = txt_value(&answer);
    let record = "_acme-challenge.example.org.";
    let raw = format!("-- example.org {} {}", answer.token, key_authorization(&answer));
    let expected = format!(
        "3 present {record} {value}\n3 cleanup {record} {value}\n5 present {raw}\n5 cleanup {raw}\n"
    );
    assert_eq!(fs::read_to_string(dir.path().join("log")).unwrap(), expected);
}

#[tokio::test]
async fn a_program_that_fails_or_hangs_is_blamed_with_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let answer = answer(ChallengeKind::Dns01, "example.org");
    let script = "echo 'zone not found' >&2; exit 3";
    let failing = hook(script, Convention::LegoRaw, dir.path(), LONG);
    let failed = failure(present(&failing, &answer).await);
    assert_eq!((failed.kind, failed.blame), (FailureKind::Transient, Blame::Solver("s".into())));
    assert!(failed.cause.ends_with("exit status: 3, saying: zone not found"), "{}", failed.cause);
    let limit = Duration::from_secs(2);
    let hanging = hook("sleep 1000", Convention::LegoRaw, dir.path(), limit);
    let failed = failure(present(&hanging, &answer).await);
    assert!(failed.cause.contains("did not end within 2 s and was killed"), "{}", failed.cause);
}

/// A Pebble and the server that hooks write to, which it asks.
struct World {
    ca: Pebble,
    answers: ChallTestSrv,
    dir: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let http = Port::free().unwrap();
        let answers = ChallTestSrv::start(Some(http.number())).await.unwrap();
        let mut options = PebbleOptions::asking(answers.addr());
        options.http_port = Some(http.number());
        options.nonce_reject_percent = 0;
        let ca = Pebble::start(options).await.unwrap();
        Self { ca, answers, dir: tempfile::tempdir().unwrap() }
    }

    fn log(&self, whose: &str) -> PathBuf {
        self.dir.path().join(whose)
    }

    fn told(&self, whose: &str) -> String {
        fs::read_to_string(self.log(whose)).unwrap()
    }

    /// Presents, sees the answer as the CA would, and withdraws it.
    async fn answer(&self, solvers: &Solvers, answer: &Answer) {
        assert_eq!(present(solvers, answer).await, PRESENTED);
        assert_eq!(self.shown(answer).await, [expected(answer)], "{}", self.answers.log());
        assert_eq!(withdraw(solvers, answer).await, WITHDRAWN);
        assert_eq!(self.shown(answer).await, [""; 0]);
    }

    async fn shown(&self, answer: &Answer) -> Vec<String> {
        if let Some(place) = &answer.place {
            let texts = texts_at(self.answers.addr(), &place.record, LONG).await.unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            return texts.unwrap_or_default().into_iter().map(text).collect();
        }
        let (port, token) = (self.answers.http_port().unwrap(), &answer.token);
        let url = format!("http://127.0.0.1:{port}/.well-known/acme-challenge/{token}");
        let curl = program(&["curl", "--silent", "--fail", &url], &[], LONG);
        // For a token that it does not know, this server has an empty body or an error.
        let body = curl.run(&[]).await.unwrap_or_default();
        Some(body).into_iter().filter(|body| !body.is_empty()).collect()
    }
}

fn expected(answer: &Answer) -> String {
    match answer.kind {
        ChallengeKind::Dns01 => txt_value(answer),
        _ => key_authorization(answer),
    }
}

#[tokio::test]
async fn a_hook_of_certbots_is_told_by_us_what_certbot_tells_it() {
    let script = fixture("certbot.sh");
    for kind in [ChallengeKind::Dns01, ChallengeKind::Http01] {
        let world = World::start().await;
        let api = world.answers.management_url();
        let certbots = |verb: &str| {
            format!("env LOG={} ANSWERS={api} {script} {verb}", world.log("certbot").display())
        };
        let proof = CertbotProof::Manual {
            auth_hook: certbots("auth"),
            cleanup_hook: certbots("cleanup"),
            challenge: kind.as_str().into(),
        };
        Certbot::new().unwrap().issue(&world.ca, &["hook.test"], &proof).await.unwrap();

        let log = world.log("ours");
        let env = [("LOG", log.to_str().unwrap()), ("ANSWERS", &api)];
        let cleanup = Some(program(&[&script, "cleanup"], &env, LONG));
        let auth = program(&[&script, "auth"], &env, LONG);
        let memory = world.dir.path().join("memory");
        let solvers = solvers(auth, Convention::Certbot { cleanup }, kind.clone(), &memory);
        world.answer(&solvers, &answer(kind, "hook.test")).await;
        assert_eq!(world.told("ours"), world.told("certbot"));
        let output = "the id of hook.test\nis 7".len();
        assert!(world.told("ours").contains(&format!("an output of {output}\n")));
        assert_eq!(fs::read_dir(&memory).unwrap().count(), 0, "nothing is left behind");
    }
}

#[tokio::test]
async fn a_hook_of_dehydrateds_is_told_by_us_what_dehydrated_tells_it() {
    let script = fixture("dehydrated.sh");
    for kind in [ChallengeKind::Dns01, ChallengeKind::Http01] {
        let world = World::start().await;
        let api = world.answers.management_url();
        let (theirs, ours) = (world.log("dehydrated"), world.log("ours"));
        let env = |log: &Path| {
            let env = [("LOG", log.to_str().unwrap()), ("ANSWERS", &api), ("KIND", kind.as_str())];
            env.map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let dehydrated = Dehydrated::new().unwrap();
        let told = env(&theirs);
        let hook = Path::new(&script);
        dehydrated.issue(&world.ca, "hook.test", kind.as_str(), hook, &told).await.unwrap();

        let mut program = program(&[&script], &[], LONG);
        program.env.extend(env(&ours));
        let memory = world.dir.path().join("memory");
        let solvers = solvers(program, Convention::Dehydrated, kind.clone(), &memory);
        world.answer(&solvers, &answer(kind, "hook.test")).await;
        assert_eq!(world.told("ours"), world.told("dehydrated"));
    }
}

#[tokio::test]
async fn a_script_of_acme_sh_finds_what_acme_sh_brings() {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("memory");
    let script = |path: &str, env: &[(&str, &str)]| {
        solvers(program(&[path], env, LONG), Convention::AcmeSh, ChallengeKind::Dns01, &memory)
    };
    let answer = answer(ChallengeKind::Dns01, "example.org");
    let words = script(&fixture("dns_words.sh"), &[]);
    assert_eq!(present(&words, &answer).await, PRESENTED);
    // A script need not take down.
    assert_eq!(withdraw(&words, &answer).await, WITHDRAWN);

    let server = PowerDns::start([Zone::new("example.org", "www A 127.0.0.1")]).await.unwrap();
    let (url, key) = (server.api(), PowerDns::api_key());
    let tryout = fixture("dns_tryout.sh");
    let solvers = script(&tryout, &[("TRYOUT_Url", &url), ("TRYOUT_Key", key)]);
    assert_eq!(present(&solvers, &answer).await, PRESENTED);
    let shown = server.look("_acme-challenge.example.org", "TXT").await.unwrap();
    assert_eq!(shown, [format!("\"{}\"", txt_value(&answer))]);
    assert_eq!(withdraw(&solvers, &answer).await, WITHDRAWN);
    assert_eq!(server.look("_acme-challenge.example.org", "TXT").await.unwrap(), [""; 0]);
    // What the operator gave is not written down, what the script wants to remember is.
    assert_eq!(fs::read_to_string(memory.join("saved.TRYOUT_Calls")).unwrap(), "2");
    assert!(!memory.join("saved.TRYOUT_Key").exists());

    let wrong = script(&tryout, &[("TRYOUT_Url", &url), ("TRYOUT_Key", "another-key")]);
    let failed = failure(present(&wrong, &answer).await);
    assert_eq!(failed.blame, Blame::Solver("s".into()));
    assert!(failed.cause.contains("invalid domain"), "{failed}");
    let nothing = failure(present(&script("/nowhere/dns_x.sh", &[]), &answer).await);
    assert!(nothing.cause.contains("cannot read /nowhere/dns_x.sh"), "{nothing}");
}
