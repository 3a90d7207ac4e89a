//! The API of a real PowerDNS, with others writing beside us.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_core::action::{ActKind, Fact, Outcome};
use perennial_core::words::{
    Answer, Blame, ChallengeKind, Failure, FailureKind, Identifier, Name, Place,
};
use perennial_peers::{Moto, Port, PowerDns, Zone};
use perennial_wire::authorization::txt_value;
use zeroize::Zeroizing;

use super::super::{SolverSettings, Solvers};
use super::{Credentials, Holding, ProviderSettings, ZoneLocks};

const PRESENTED: Outcome = Outcome::Done(Fact::Presented);
const WITHDRAWN: Outcome = Outcome::Done(Fact::Withdrawn);
const RECORD: &str = "_acme-challenge.example.org";

fn answer(token: &str, servers: &[std::net::SocketAddr]) -> Answer {
    Answer {
        solver: Name::new("s"),
        kind: ChallengeKind::Dns01,
        identifier: Identifier::new("example.org").unwrap(),
        token: token.into(),
        thumbprint: "thumb".into(),
        place: Some(Place {
            record: RECORD.into(),
            zone: "example.org".into(),
            servers: servers.into(),
        }),
        standing: None,
    }
}

fn credentials(fields: &[(&str, &str)]) -> Credentials {
    let field =
        |(name, value): &(&str, &str)| ((*name).to_owned(), Zeroizing::new((*value).to_owned()));
    fields.iter().map(field).collect()
}

fn solvers(api: &str, key: &str, zones: &ZoneLocks) -> Arc<Solvers> {
    let credentials = credentials(&[("api_key", key), ("endpoint", api)]);
    let settings =
        ProviderSettings::new("pdns", &credentials, (Holding::Many, 60), zones.clone()).unwrap();
    let settings = SolverSettings::Provider(settings);
    Arc::new(Solvers::new(BTreeMap::from([(Name::new("s"), settings)])))
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

/// What the server is to show: quoted, sorted, with the value that is not ours.
fn shown<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Vec<String> {
    let values = answers.into_iter().map(|answer| format!("\"{}\"", txt_value(answer)));
    let mut all: Vec<String> = values.chain(["\"of somebody else\"".to_owned()]).collect();
    all.sort();
    all
}

async fn powerdns() -> PowerDns {
    let records = "_acme-challenge TXT \"of somebody else\"\nwww A 127.0.0.1";
    PowerDns::start([Zone::new("example.org", records)]).await.unwrap()
}

#[tokio::test]
async fn ten_answers_at_once_by_two_solvers_lose_nothing() {
    let server = powerdns().await;
    let zones = ZoneLocks::default();
    // As before and after a reload: two sets of solvers, one zone.
    let both = [0, 1].map(|_| solvers(&server.api(), PowerDns::api_key(), &zones));
    let answers: Vec<Answer> = (0..10).map(|number| answer(&format!("t{number}"), &[])).collect();
    let mut presenting = tokio::task::JoinSet::new();
    for (number, answer) in answers.iter().cloned().enumerate() {
        let solvers = Arc::clone(&both[number % 2]);
        presenting.spawn(async move { present(&solvers, &answer).await });
    }
    for outcome in presenting.join_all().await {
        assert_eq!(outcome, PRESENTED);
    }
    assert_eq!(server.look(RECORD, "TXT").await.unwrap(), shown(&answers));
    // Repeated after a crash, and withdrawn twice: what is there counts, not what was said.
    assert_eq!(present(&both[0], &answers[3]).await, PRESENTED);
    let (gone, kept) = answers.split_at(9);
    for answer in gone.iter().chain(&gone[..1]) {
        assert_eq!(withdraw(&both[1], answer).await, WITHDRAWN);
    }
    assert_eq!(server.look(RECORD, "TXT").await.unwrap(), shown(kept));
    assert_eq!(server.look("www.example.org", "A").await.unwrap(), ["127.0.0.1"]);
}

#[tokio::test]
async fn ten_answers_at_once_lose_nothing_at_route_53() {
    let moto = Moto::start().await.unwrap();
    let id = moto.make_zone("example.org").await.unwrap();
    moto.set_texts(&id, RECORD, &["of somebody else"]).await.unwrap();
    let fields = [
        ("access_key_id", "AKIATEST"),
        ("secret_access_key", "not-a-secret"),
        ("hosted_zone_id", &id),
        ("endpoint", &moto.api()),
    ];
    let holds = (Holding::Many, 60);
    let made = ProviderSettings::new("route53", &credentials(&fields), holds, ZoneLocks::default());
    let settings = SolverSettings::Provider(made.unwrap());
    let solvers = Arc::new(Solvers::new(BTreeMap::from([(Name::new("s"), settings)])));
    let answers: Vec<Answer> = (0..10).map(|number| answer(&format!("t{number}"), &[])).collect();
    let mut presenting = tokio::task::JoinSet::new();
    for answer in answers.clone() {
        let solvers = Arc::clone(&solvers);
        presenting.spawn(async move { present(&solvers, &answer).await });
    }
    for outcome in presenting.join_all().await {
        assert_eq!(outcome, PRESENTED);
    }
    let mut expected: Vec<String> = answers.iter().map(txt_value).collect();
    expected.push("of somebody else".to_owned());
    expected.sort();
    assert_eq!(moto.texts(&id).await.unwrap(), expected);
    for answer in &answers {
        assert_eq!(withdraw(&solvers, answer).await, WITHDRAWN);
    }
    assert_eq!(moto.texts(&id).await.unwrap(), ["of somebody else"]);
}

#[tokio::test]
async fn an_answer_that_somebody_writes_over_is_written_again() {
    let server = Arc::new(powerdns().await);
    let over = r#"{"rrsets":[{"name":"_acme-challenge.example.org.","type":"TXT","ttl":60,
        "changetype":"REPLACE","records":[{"content":"\"of somebody else\"","disabled":false}]}]}"#;
    // One that sets the whole name again and again, and has never heard of our value.
    let rude = tokio::spawn({
        let server = Arc::clone(&server);
        async move {
            for _ in 0..30 {
                // With SQLite, one of two that write at once is refused.
                let _refused = server.patch("example.org", over).await;
            }
        }
    });
    let solvers = solvers(&server.api(), PowerDns::api_key(), &ZoneLocks::default());
    let ours = answer("ours", &[]);
    let outcome = present(&solvers, &ours).await;
    rude.await.unwrap();
    if let Outcome::Failed(failure) = &outcome {
        assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    }
    // Whoever was told of success may still have lost it after that: the next try heals.
    assert_eq!(present(&solvers, &ours).await, PRESENTED);
    assert_eq!(server.look(RECORD, "TXT").await.unwrap(), shown([&ours]));
}

#[tokio::test]
async fn what_a_provider_refuses_is_blamed_and_no_credential_is_told() {
    let server = powerdns().await;
    let locks = ZoneLocks::default();
    let wrong = solvers(&server.api(), "wrong-key-of-ours", &locks);
    let refused = failure(present(&wrong, &answer("a", &[])).await);
    let solver = || Blame::Solver(Name::new("s"));
    assert_eq!((refused.kind, refused.blame.clone()), (FailureKind::Unauthorized, solver()));
    assert!(refused.cause.ends_with("perennial help pdns"), "{refused}");
    assert!(!refused.to_string().contains("wrong-key"), "{refused}");

    let mut elsewhere = answer("a", &[]);
    elsewhere.place = Some(Place {
        record: "_acme-challenge.example.net".into(),
        zone: "example.net".into(),
        servers: Box::default(),
    });
    let right = solvers(&server.api(), PowerDns::api_key(), &locks);
    let nowhere = failure(present(&right, &elsewhere).await);
    let zone = Blame::Zone("example.net".into());
    assert_eq!((nowhere.kind, nowhere.blame.clone()), (FailureKind::Refused, zone), "{nowhere}");

    let port = Port::free().unwrap();
    let away = solvers(&format!("http://{}", port.v4()), PowerDns::api_key(), &locks);
    let away = failure(present(&away, &answer("a", &[])).await);
    assert_eq!((away.kind, away.blame.clone()), (FailureKind::Transient, solver()), "{away}");
}

#[tokio::test]
async fn where_a_name_has_one_value_somebody_elses_is_not_written_over() {
    let server = powerdns().await;
    let settings = |api: &str| {
        let credentials = credentials(&[("api_key", PowerDns::api_key()), ("endpoint", api)]);
        let holds = (Holding::One, 60);
        ProviderSettings::new("pdns", &credentials, holds, ZoneLocks::default()).unwrap()
    };
    let settings = SolverSettings::Provider(settings(&server.api()));
    let solvers = Solvers::new(BTreeMap::from([(Name::new("s"), settings)]));
    let (one, two) = (answer("one", &[server.addr()]), answer("two", &[server.addr()]));
    let taken = failure(present(&solvers, &one).await);
    assert_eq!(
        (taken.kind, taken.blame.clone()),
        (FailureKind::Transient, { Blame::Zone("example.org".into()) })
    );
    assert!(taken.cause.contains("`of somebody else` stands there"), "{taken}");
    assert_eq!(server.look(RECORD, "TXT").await.unwrap(), shown([]));

    let delete = r#"{"rrsets":[{"name":"_acme-challenge.example.org.","type":"TXT",
        "changetype":"DELETE"}]}"#;
    server.patch("example.org", delete).await.unwrap();
    assert_eq!(present(&solvers, &one).await, PRESENTED);
    assert_eq!(present(&solvers, &one).await, PRESENTED);
    failure(present(&solvers, &two).await);
    // Withdrawing what is not there leaves what is.
    assert_eq!(withdraw(&solvers, &two).await, WITHDRAWN);
    let quoted = [format!("\"{}\"", txt_value(&one))];
    assert_eq!(server.look(RECORD, "TXT").await.unwrap(), quoted);
    assert_eq!(withdraw(&solvers, &one).await, WITHDRAWN);
    assert_eq!(server.look(RECORD, "TXT").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn wrong_credentials_are_told_by_their_names() {
    let new = |word: &str, fields: &[(&str, &str)]| {
        let holds = (Holding::Many, 60);
        ProviderSettings::new(word, &credentials(fields), holds, ZoneLocks::default()).unwrap_err()
    };
    assert_eq!(new("cloudflare", &[]), "it needs `api_token`");
    let fields = [("api_token", "hunter2hunter2"), ("api_tokn", "hunter2hunter2")];
    assert_eq!(new("cloudflare", &fields), "it takes no `api_tokn`");
    assert_eq!(new("nobody", &[]), "no provider is called `nobody`");
    let fields = ["tenancy_ocid", "user_ocid", "fingerprint", "private_key", "compartment_ocid"];
    let mut fields = fields.map(|name| (name, "hunter2hunter2")).to_vec();
    fields.push(("region", "eu-frankfurt-1"));
    let said = new("oraclecloud", &fields);
    assert!(!said.contains("hunter2"), "{said}");
}
