//! Problem documents: from JSON to [`Problem`], kept whole.
//!
//! Source: RFC 8555 sections 6.7 and 6.7.1, RFC 9457.

use perennial_core::words::{Identifier, Problem, SubProblem, Url};
use perennial_wire::http::Response;
use serde_json::Value;

use super::json;

/// Returns the problem document of a refusing answer, if it has one. The content type is not asked:
/// CAs send problems as plain JSON, and proxies send HTML under any status.
pub(super) fn of_answer(answer: &Response) -> Option<Problem> {
    let value = json::object(&answer.body).ok()?;
    let problem = of_value(&value)?;
    Some(Problem { status: answer.status, ..problem })
}

/// Returns the page that a problem points to, if it does.
///
/// Source: RFC 9457 section 3.1.5; RFC 8555 section 7.3.3 sends people there for new terms.
pub(super) fn instance(answer: &Response) -> Option<Url> {
    json::url(answer, &json::object(&answer.body).ok()?, "instance")
}

/// Returns a problem that stands inside another object: the error of an order or of a challenge.
pub(super) fn of_value(value: &Value) -> Option<Problem> {
    if json::text(value, "type").is_none() && json::text(value, "detail").is_none() {
        return None;
    }
    let status = value.get("status").and_then(Value::as_u64).unwrap_or_default();
    Some(Problem {
        kind: kind(value),
        detail: detail(value),
        status: u16::try_from(status).unwrap_or_default(),
        subproblems: json::entries(value, "subproblems")
            .filter_map(sub_problem)
            .take(MAX_SUBPROBLEMS)
            .collect(),
    })
}

fn sub_problem(value: &Value) -> Option<SubProblem> {
    let identifier = value.get("identifier").and_then(identifier);
    value.is_object().then(|| SubProblem { kind: kind(value), detail: detail(value), identifier })
}

/// Reads `{"type": …, "value": …}`. The type is not asked: the value tells names from addresses.
pub(super) fn identifier(value: &Value) -> Option<Identifier> {
    let text = json::text(value, "value")?;
    Identifier::new(&text.trim_end_matches('.').to_ascii_lowercase()).ok()
}

fn kind(value: &Value) -> Box<str> {
    let urn = json::text(value, "type").unwrap_or(DEFAULT_KIND);
    let prefixes = ["urn:ietf:params:acme:error:", "urn:acme:error:"];
    let short = prefixes.iter().find_map(|prefix| urn.strip_prefix(prefix));
    json::tame(short.unwrap_or(urn), MAX_KIND)
}

fn detail(value: &Value) -> Box<str> {
    json::tame(json::text(value, "detail").unwrap_or_default(), json::MAX_TEXT)
}

/// What a problem without type is (RFC 9457 section 4.2.1).
const DEFAULT_KIND: &str = "about:blank";

/// How many subproblems are kept: one for each name that a CA takes.
const MAX_SUBPROBLEMS: usize = 100;

/// How long a type may be.
const MAX_KIND: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    #[test]
    fn a_problem_is_kept_whole() {
        let body = r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"no\nway",
            "status":400,"subproblems":[
              {"type":"urn:ietf:params:acme:error:caa","detail":"a","identifier":{"type":"dns","value":"A.example.org."}},
              {"detail":"b","identifier":{"type":"ip","value":"192.0.2.1"}}, 7]}"#;
        let problem = of_answer(&answer(403, &[], body)).unwrap();
        assert_eq!((&*problem.kind, problem.status), ("rejectedIdentifier", 403));
        assert_eq!(&*problem.detail, "no way");
        let subs: Vec<_> =
            problem.subproblems.iter().map(|s| (&*s.kind, s.identifier.as_ref())).collect();
        let id = |text| Identifier::new(text).unwrap();
        let expected =
            [("caa", Some(&id("a.example.org"))), ("about:blank", Some(&id("192.0.2.1")))];
        assert_eq!(subs, expected);
    }

    #[test]
    fn what_is_no_problem_is_none() {
        for body in ["", "<html>502</html>", "[]", "{}", r#"{"status":"pending"}"#] {
            assert_eq!(of_answer(&answer(502, &[], body)), None, "{body}");
        }
    }

    #[test]
    fn types_of_other_families_stay_whole() {
        let body = r#"{"type":"urn:ietf:params:other:x"}"#;
        assert_eq!(&*of_answer(&answer(400, &[], body)).unwrap().kind, "urn:ietf:params:other:x");
    }

    #[test]
    fn a_flood_is_cut() {
        let sub = r#"{"detail":"x"},"#.repeat(5000);
        let body = format!(r#"{{"detail":"{}","subproblems":[{sub}0]}}"#, "y".repeat(100_000));
        let problem = of_answer(&answer(400, &[], &body)).unwrap();
        assert_eq!(problem.detail.len(), json::MAX_TEXT);
        assert_eq!(problem.subproblems.len(), MAX_SUBPROBLEMS);
    }
}
