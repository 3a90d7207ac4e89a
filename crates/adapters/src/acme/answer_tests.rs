//! Answers as CAs give them, and as they should not.

use perennial_wire::http::Response;
use proptest::prelude::*;

use super::super::directory::Directory;
use super::super::testing::answer;
use super::super::{link, nonce};
use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn url(text: &str) -> Url {
    Url::from(text)
}

#[test]
fn an_account_needs_its_address_and_little_else() {
    let location = [("location", "/acct/1")];
    let table = [
        (r#"{"status":"valid","contact":[]}"#, AccountStatus::Valid),
        (r#"{"status":"deactivated"}"#, AccountStatus::Deactivated),
        (r#"{"status":"revoked"}"#, AccountStatus::Revoked),
        (r#"{"status":"dormant"}"#, AccountStatus::Unknown),
        (r#"{"status":7}"#, AccountStatus::Valid),
        ("", AccountStatus::Valid),
    ];
    for (body, status) in table {
        let facts = account(&answer(201, &location, body)).unwrap();
        assert_eq!(facts, AccountFacts { url: url("https://ca.test/acct/1"), status }, "{body}");
    }
    assert!(account(&answer(201, &[], r#"{"status":"valid"}"#)).is_err());
    assert!(account(&answer(201, &[("location", "mailto:x@y")], "{}")).is_err());
}

#[test]
fn a_whole_order_is_read() {
    let body = r#"{"status":"processing","expires":"2026-11-22T12:00:00.5Z","notBefore":null,
        "identifiers":[{"type":"dns","value":"*.Example.org"},{"type":"ip","value":"2001:DB8::1"},{"type":"x"},4],
        "authorizations":["https://ca.test/authz/2","/authz/1",9,"file:///x"],
        "finalize":"https://ca.test/fin/1","certificate":"../cert/1","replaces":"a.b","profile":"classic",
        "error":{"type":"urn:ietf:params:acme:error:caa","detail":"no","status":403}}"#;
    let headers = [("location", "https://ca.test/order/1"), ("retry-after", "3")];
    let facts = new_order(&answer(201, &headers, body), now()).unwrap();
    let expected = OrderFacts {
        url: url("https://ca.test/order/1"),
        status: OrderStatus::Processing,
        identifiers: ["*.example.org", "2001:db8::1"].map(|n| Identifier::new(n).unwrap()).into(),
        authorizations: [url("https://ca.test/authz/2"), url("https://ca.test/authz/1")].into(),
        finalize: Some(url("https://ca.test/fin/1")),
        certificate: Some(url("https://ca.test/cert/1")),
        expires: Some("2026-11-22T12:00:00.5Z".parse().unwrap()),
        replaces: Some(AriCertId("a.b".into())),
        profile: Some("classic".into()),
        error: Some(perennial_core::words::Problem {
            kind: "caa".into(),
            detail: "no".into(),
            status: 403,
            subproblems: vec![],
        }),
        retry_at: Some("2026-11-21T12:00:03Z".parse().unwrap()),
    };
    assert_eq!(facts, expected);
}

#[test]
fn orders_may_be_ready_when_made_and_have_statuses_of_their_own() {
    let table = [
        ("pending", OrderStatus::Pending),
        ("ready", OrderStatus::Ready),
        ("processing", OrderStatus::Processing),
        ("valid", OrderStatus::Valid),
        ("invalid", OrderStatus::Invalid),
        ("deactivated", OrderStatus::Unknown),
        ("", OrderStatus::Unknown),
    ];
    for (text, status) in table {
        let body = format!(r#"{{"status":"{text}"}}"#);
        let facts = order(&answer(200, &[], &body), url("https://ca.test/o"), now()).unwrap();
        assert_eq!((facts.status, facts.authorizations.len()), (status, 0), "{text}");
    }
}

#[test]
fn a_new_order_without_its_address_is_unreadable() {
    let body = r#"{"status":"pending"}"#;
    assert!(new_order(&answer(201, &[], body), now()).unwrap_err().contains("Location"));
    assert!(order(&answer(200, &[], "{}"), url("https://ca.test/o"), now()).is_err());
    assert!(order(&answer(200, &[], "<html>"), url("https://ca.test/o"), now()).is_err());
}

#[test]
fn an_authorization_keeps_challenges_that_nobody_knows() {
    let body = r#"{"identifier":{"type":"dns","value":"example.org"},"status":"pending","wildcard":true,
        "expires":"2026-11-28T12:00:00Z","challenges":[
          {"type":"dns-01","url":"https://ca.test/c/1","status":"pending","token":"abc-_1"},
          {"type":"dns-persist-01","url":"https://ca.test/c/2","status":"pending",
             "accounturi":"https://ca.test/acct/1","issuer-domain-names":["ca.test"]},
          {"type":"http-01","url":"https://ca.test/c/3","status":"processing","token":"../../etc/passwd",
             "error":{"type":"urn:ietf:params:acme:error:connection","detail":"refused"}},
          {"type":"tls-alpn-01","url":"https://ca.test/c/4","status":"weird","token":""},
          {"type":"http-01"}, "odd"]}"#;
    let facts = authorization(&answer(200, &[], body), url("https://ca.test/a"), now()).unwrap();
    assert_eq!((facts.identifier.as_str(), facts.wildcard), ("example.org", true));
    assert_eq!(facts.status, AuthorizationStatus::Pending);
    let read: Vec<_> = facts
        .challenges
        .iter()
        .map(|c| (c.kind.as_str(), c.token.as_deref(), c.status, c.error.is_some()))
        .collect();
    let expected = [
        ("dns-01", Some("abc-_1"), ChallengeStatus::Pending, false),
        ("dns-persist-01", None, ChallengeStatus::Pending, false),
        ("http-01", None, ChallengeStatus::Processing, true),
        ("tls-alpn-01", None, ChallengeStatus::Unknown, false),
    ];
    assert_eq!(read, expected);
}

#[test]
fn a_wildcard_in_the_identifier_is_one_too() {
    let body = r#"{"identifier":{"type":"dns","value":"*.example.org"},"status":"expired"}"#;
    let facts = authorization(&answer(200, &[], body), url("https://ca.test/a"), now()).unwrap();
    assert_eq!((facts.identifier.as_str(), facts.wildcard), ("example.org", true));
    assert_eq!(facts.status, AuthorizationStatus::Expired);
}

#[test]
fn an_authorization_for_nobody_is_unreadable() {
    for body in [r#"{"status":"valid"}"#, r#"{"identifier":{"value":"a b"},"status":"valid"}"#] {
        assert!(authorization(&answer(200, &[], body), url("https://ca.test/a"), now()).is_err());
    }
}

#[test]
fn a_challenge_that_repeats_nothing_is_the_one_that_was_asked() {
    let facts =
        challenge(&answer(200, &[], "{}"), &url("https://ca.test/c"), &ChallengeKind::Dns01);
    let facts = facts.unwrap();
    assert_eq!((facts.url, facts.kind), (url("https://ca.test/c"), ChallengeKind::Dns01));
    assert_eq!(facts.status, ChallengeStatus::Pending);
}

#[test]
fn renewal_information_needs_a_window_and_no_header() {
    let body = r#"{"suggestedWindow":{"start":"2026-12-01T00:00:00Z","end":"2026-12-02T00:00:00Z"},
        "explanationURL":"https://ca.test/why"}"#;
    let facts = renewal_info(&answer(200, &[], body), now()).unwrap();
    assert_eq!(facts.window.end, "2026-12-02T00:00:00Z".parse().unwrap());
    assert_eq!((facts.explanation, facts.retry_at), (Some(url("https://ca.test/why")), None));

    let facts = renewal_info(&answer(200, &[("retry-after", "5")], body), now()).unwrap();
    assert_eq!(facts.retry_at, Some("2026-11-21T12:01:00Z".parse().unwrap()));
}

#[test]
fn a_window_that_does_not_end_after_its_start_is_no_answer() {
    let window = |start, end| {
        let body = format!(r#"{{"suggestedWindow":{{"start":"{start}","end":"{end}"}}}}"#);
        renewal_info(&answer(200, &[], &body), now())
    };
    assert!(window("2026-12-02T00:00:00Z", "2026-12-02T00:00:00Z").is_err());
    assert!(window("2026-12-02T00:00:00Z", "2026-12-01T00:00:00Z").is_err());
    assert!(window("soon", "2026-12-01T00:00:00Z").is_err());
    assert!(renewal_info(&answer(200, &[], r#"{"suggestedWindow":[]}"#), now()).is_err());
}

/// Runs every reader over one answer; none may panic.
fn read_everything(answer: &Response) {
    let here = || url("https://ca.test/x");
    let _ = account(answer);
    let _ = new_order(answer, now());
    let _ = order(answer, here(), now());
    let _ = authorization(answer, here(), now());
    let _ = challenge(answer, &here(), &ChallengeKind::Dns01);
    let _ = renewal_info(answer, now());
    let _ = Directory::read(answer);
    let _ = problem::of_answer(answer);
    let _ = nonce::of_answer(answer);
    let _ = link::links(answer, "alternate");
    let _ = retry_at(answer, now(), Clamp::POLL);
    let _ = perennial_wire::x509::Chain::from_pem(&answer.body).map(|chain| chain.facts());
}

/// Any JSON, with the members that readers look for.
fn json_like() -> impl Strategy<Value = Value> {
    let member = prop::sample::select(vec![
        "status",
        "identifiers",
        "authorizations",
        "finalize",
        "error",
        "identifier",
        "challenges",
        "type",
        "value",
        "url",
        "token",
        "suggestedWindow",
        "start",
        "end",
        "detail",
        "subproblems",
        "newNonce",
        "newAccount",
        "newOrder",
        "renewalInfo",
        "meta",
        "profiles",
        "expires",
    ]);
    let text = prop::sample::select(vec![
        "pending",
        "valid",
        "https://ca.test/a",
        "/b",
        "dns",
        "*.example.org",
        "2026-12-01T00:00:00Z",
        "9999-12-31T23:59:59+25:59",
        "-262143-01-01T00:00:00Z",
        "",
        "\u{0}\u{202e}",
        "é",
        "http-01",
    ]);
    let leaf = prop_oneof![
        text.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((member.clone(), inner), 0..8).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_as_an_answer_do_no_harm(
        status in any::<u16>(),
        name in prop::sample::select(vec!["location", "link", "retry-after", "date", "replay-nonce"]),
        header in any::<String>(),
        body in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        read_everything(&Response::of(status, "https://ca.test/", &[(name, &header)], &body));
    }

    #[test]
    fn any_json_as_an_answer_does_no_harm(value in json_like(), location in any::<String>()) {
        let body = value.to_string();
        let headers = [("location", location.as_str()), ("link", location.as_str())];
        read_everything(&Response::of(200, "https://ca.test/", &headers, body.as_bytes()));
    }
}
