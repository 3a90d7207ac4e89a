//! The table of failures: what is answered, at which step, and what comes of it.

use super::super::testing::answer;
use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn fail(step: Step, trouble: &Trouble) -> Failure {
    let issuer = Name::new("le");
    let identifiers = ["first.example", "second.example"].map(|n| Identifier::new(n).unwrap());
    let attempt = Attempt {
        issuer: &issuer,
        text: "try".to_owned(),
        identifiers: if matches!(step, Step::NewOrder | Step::Finalize) {
            &identifiers
        } else {
            &[]
        },
        replaces: step == Step::NewOrder,
    };
    classify(&attempt, step, trouble, now())
}

fn refused(step: Step, status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    fail(step, &Trouble::Refused(Box::new(answer(status, headers, body))))
}

/// Writes a verdict as a table's cell.
fn cell(failure: &Failure) -> String {
    match failure.kind {
        FailureKind::RateLimited { until } => format!("until {until}, {}", failure.blame),
        kind => format!("{kind:?}, {}", failure.blame),
    }
}

fn problem(kind: &str, detail: &str) -> String {
    format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"{detail}"}}"#)
}

/// At which step, status, header fields, body, verdict.
type Row<'a> = (Step, u16, &'a [(&'a str, &'a str)], String, &'a str);

#[test]
fn refusals_are_classified_as_the_table_says() {
    use Step::*;
    let limit = "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-21 13:30:00 UTC";
    let set = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-23 12:00:00 UTC";
    let later = [("retry-after", "120")];
    let none: [(&str, &str); 0] = [];
    let table: Vec<Row<'_>> = vec![
        // When to come back: the header, else the text, else an hour.
        (
            NewOrder,
            429,
            &later,
            problem("rateLimited", limit),
            "until 2026-11-21T12:02:00Z, account at le",
        ),
        (
            NewOrder,
            429,
            &none,
            problem("rateLimited", limit),
            "until 2026-11-21T13:30:00Z, account at le",
        ),
        (
            NewOrder,
            429,
            &none,
            problem("rateLimited", "slow down"),
            "until 2026-11-21T13:00:00Z, account at le",
        ),
        (
            NewOrder,
            429,
            &none,
            problem("rateLimited", "retry after 2126-11-21 13:30:00 UTC"),
            "until 2026-11-29T12:00:00Z, account at le",
        ),
        (
            NewOrder,
            429,
            &none,
            problem("rateLimited", set),
            "until 2026-11-23T12:00:00Z, name first.example",
        ),
        (
            Order,
            429,
            &later,
            "<html>429</html>".into(),
            "until 2026-11-21T12:02:00Z, account at le",
        ),
        (Order, 429, &none, problem("oddLimit", "x"), "until 2026-11-21T13:00:00Z, account at le"),
        (
            NewOrder,
            429,
            &none,
            problem(
                "rateLimited",
                "Your account is temporarily prevented from requesting certificates for a.example and possibly others. Please visit: https://x.test/sfe/v1/unpause?jwt=j",
            ),
            "Unauthorized, account at le",
        ),
        // The CA's own trouble.
        (NewOrder, 500, &none, problem("serverInternal", "oops"), "Transient, issuer le"),
        (NewOrder, 503, &none, "<html>busy</html>".into(), "Transient, issuer le"),
        // Until when, it may say itself; who has an order goes on with it nevertheless.
        (
            NewOrder,
            500,
            &later,
            problem("serverInternal", "oops"),
            "until 2026-11-21T12:02:00Z, issuer le",
        ),
        (
            NewAccount,
            503,
            &later,
            "<html>busy</html>".into(),
            "until 2026-11-21T12:02:00Z, issuer le",
        ),
        (
            NewOrder,
            503,
            &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")],
            String::new(),
            "until 2026-11-21T13:00:00Z, issuer le",
        ),
        (Finalize, 503, &later, "<html>busy</html>".into(), "Transient, issuer le"),
        (RenewalInfo, 503, &later, String::new(), "Transient, issuer le"),
        (Finalize, 502, &none, "<html>Bad Gateway</html>".into(), "Transient, issuer le"),
        (Directory, 503, &none, String::new(), "Transient, issuer le"),
        (Nonce, 500, &none, String::new(), "Transient, issuer le"),
        (NewOrder, 301, &[("location", "/x")], String::new(), "Transient, issuer le"),
        (
            NewOrder,
            400,
            &none,
            problem("badNonce", "JWS has an invalid anti-replay nonce"),
            "Transient, issuer le",
        ),
        // What was there is gone; what the directory lists should be there.
        (Order, 404, &none, problem("malformed", "No order for ID 1"), "Gone, ourselves"),
        (Order, 404, &none, String::new(), "Gone, ourselves"),
        (
            Authorization,
            404,
            &none,
            problem("malformed", "Expired authorization"),
            "Gone, ourselves",
        ),
        (Respond, 404, &none, problem("malformed", "No such challenge"), "Gone, ourselves"),
        (Finalize, 404, &none, problem("malformed", "Order 1 is expired"), "Gone, ourselves"),
        (Chain, 404, &none, String::new(), "Gone, ourselves"),
        (Directory, 404, &none, String::new(), "Refused, issuer le"),
        (Directory, 403, &none, "<html>blocked</html>".into(), "Refused, issuer le"),
        (Nonce, 404, &none, String::new(), "Refused, issuer le"),
        (NewAccount, 404, &none, problem("malformed", "Page not found"), "Refused, issuer le"),
        (
            RenewalInfo,
            404,
            &none,
            problem("malformed", "unknown certificate"),
            "Refused, issuer le",
        ),
        // A predecessor that the CA does not take.
        (NewOrder, 409, &none, problem("alreadyReplaced", "x"), "AlreadyReplaced, ourselves"),
        (NewOrder, 409, &none, problem("conflict", "x"), "AlreadyReplaced, ourselves"),
        (
            NewOrder,
            404,
            &none,
            problem(
                "malformed",
                "request included `replaces` field, but no current certificate with serial aa exists",
            ),
            "AlreadyReplaced, ourselves",
        ),
        (
            NewOrder,
            404,
            &none,
            problem(
                "malformed",
                "path contained an Authority Key Identifier that did not match a known issuer",
            ),
            "AlreadyReplaced, ourselves",
        ),
        (NewOrder, 404, &none, String::new(), "AlreadyReplaced, ourselves"),
        (
            NewOrder,
            400,
            &none,
            problem(
                "malformed",
                "identifiers in this order do not match any identifiers in the certificate being replaced",
            ),
            "AlreadyReplaced, ourselves",
        ),
        (
            NewOrder,
            400,
            &none,
            problem("malformed", "parsing ARI CertID failed"),
            "AlreadyReplaced, ourselves",
        ),
        (
            NewOrder,
            403,
            &none,
            problem(
                "unauthorized",
                "requester account did not request the certificate being replaced by this order",
            ),
            "AlreadyReplaced, ourselves",
        ),
        (
            NewOrder,
            500,
            &none,
            problem("serverInternal", "could not find an order for the given certificate"),
            "Transient, issuer le",
        ),
        (
            NewOrder,
            400,
            &none,
            problem("malformed", "NotBefore and NotAfter are not supported"),
            "Refused, ourselves",
        ),
        (Finalize, 409, &none, problem("conflict", "replaced"), "Refused, ourselves"),
        // Names.
        (
            NewOrder,
            400,
            &none,
            problem(
                "rejectedIdentifier",
                r#"Cannot issue for \"bad.example\": forbidden by policy"#,
            ),
            "Refused, name bad.example",
        ),
        (
            NewOrder,
            400,
            &none,
            problem("rejectedIdentifier", "forbidden by policy"),
            "Refused, name first.example",
        ),
        (
            Finalize,
            403,
            &none,
            problem(
                "caa",
                r#"Rechecking CAA for \"second.example\" and 1 more identifiers failed"#,
            ),
            "Refused, name second.example",
        ),
        (
            Finalize,
            403,
            &none,
            problem(
                "unauthorized",
                "authorizations for these identifiers not valid: second.example",
            ),
            "Refused, name second.example",
        ),
        (
            Finalize,
            403,
            &none,
            problem("unauthorized", "authorizations for these identifiers expired: second.example"),
            "Gone, ourselves",
        ),
        // Accounts.
        (
            NewOrder,
            400,
            &none,
            problem("accountDoesNotExist", "Account not found"),
            "AccountUnknown, account at le",
        ),
        (
            Order,
            403,
            &none,
            problem("unauthorized", r#"Account is not valid, has status \"deactivated\""#),
            "Unauthorized, account at le",
        ),
        (Order, 401, &none, String::new(), "Unauthorized, account at le"),
        (
            NewAccount,
            403,
            &none,
            problem("externalAccountRequired", "needs one"),
            "Unauthorized, account at le",
        ),
        // Ourselves.
        (
            Finalize,
            400,
            &none,
            problem("badCSR", "CSR does not specify same identifiers as Order"),
            "Refused, ourselves",
        ),
        (
            Finalize,
            403,
            &none,
            problem("orderNotReady", "Order's status is valid"),
            "Transient, ourselves",
        ),
        (
            Respond,
            400,
            &none,
            problem("malformed", "authorization must be pending"),
            "Transient, ourselves",
        ),
    ];
    for (step, status, headers, body, expected) in table {
        assert_eq!(
            cell(&refused(step, status, headers, &body)),
            expected,
            "{step:?} {status} {body}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_unknown_only_after_an_act() {
    let unreadable = Trouble::Unreadable("the answer is no JSON".to_owned());
    let table = [
        (Step::Directory, "Transient, issuer le"),
        (Step::Nonce, "Transient, issuer le"),
        (Step::NewAccount, "Unknown, issuer le"),
        (Step::NewOrder, "Unknown, issuer le"),
        (Step::Respond, "Unknown, issuer le"),
        (Step::Finalize, "Unknown, issuer le"),
        (Step::Order, "Transient, issuer le"),
        (Step::Authorization, "Transient, issuer le"),
        (Step::Chain, "Transient, issuer le"),
        (Step::RenewalInfo, "Refused, issuer le"),
    ];
    for (step, expected) in table {
        assert_eq!(cell(&fail(step, &unreadable)), expected, "{step:?}");
    }
}

#[test]
fn what_is_ours_or_not_offered_is_said_so() {
    let ours = fail(Step::NewOrder, &Trouble::Ours("no key".to_owned()));
    assert_eq!(cell(&ours), "Transient, ourselves");
    let missing = fail(Step::RenewalInfo, &Trouble::NotOffered("renewal information"));
    assert_eq!(cell(&missing), "Refused, issuer le");
    assert_eq!(missing.to_string(), "could not try at le: the CA offers no renewal information");
}

#[test]
fn causes_say_what_was_answered_and_where_help_is() {
    let headers = [("link", "<https://ca.test/limits>;rel=\"help\""), ("retry-after", "60")];
    let limited = refused(Step::NewOrder, 429, &headers, &problem("rateLimited", "too many"));
    let expected = "rateLimited: too many (see https://ca.test/limits) (asks to come back at 2026-11-21T12:01:00Z)";
    assert_eq!(&*limited.cause, expected);
    assert_eq!(limited.problem.map(|p| p.status), Some(429));

    let page = "<html>\n  <h1>502 Bad Gateway</h1>\x1b[2J</html>";
    let html = refused(Step::Directory, 502, &[], page);
    assert_eq!(
        &*html.cause,
        "fetching the directory: HTTP 502: <html> <h1>502 Bad Gateway</h1> [2J</html>"
    );
    assert_eq!(html.problem, None);
    assert_eq!(&*refused(Step::Order, 500, &[], "").cause, "HTTP 500: no body");
}

#[test]
fn causes_say_where_new_terms_are() {
    let body = r#"{"type":"urn:ietf:params:acme:error:userActionRequired","detail":"terms have changed",
        "instance":"https://ca.test/agree"}"#;
    let headers = [("link", "<https://ca.test/tos/2>;rel=\"terms-of-service\"")];
    let refused = refused(Step::NewOrder, 403, &headers, body);
    assert_eq!(cell(&refused), "Unauthorized, account at le");
    let expected = "userActionRequired: terms have changed (see https://ca.test/tos/2) (see https://ca.test/agree)";
    assert_eq!(&*refused.cause, expected);
}

#[test]
fn the_page_that_lifts_a_pause_stays_in_the_cause() {
    let url = "https://portal.test/sfe/v1/unpause?jwt=a.b.c";
    let body = problem(
        "rateLimited",
        &format!("Your account is temporarily prevented. Please visit: {url}"),
    );
    assert!(refused(Step::NewOrder, 429, &[], &body).cause.contains(url));
}
