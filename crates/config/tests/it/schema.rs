//! The schema judges as the reader does: what the reader refuses for its keys or the kinds of its
//! values the schema refuses, and nothing else.

use std::path::{Path, PathBuf};

use perennial_config::{Source, schema, understand};
use serde_json::Value;

/// Judges a value by the part of JSON Schema that ours consists of. A word it does not know fails the
/// test, so that the schema cannot grow past what is judged here.
fn fits(schema: &Value, value: &Value) -> bool {
    let words = schema.as_object().unwrap();
    words.iter().all(|(word, said)| match (word.as_str(), value) {
        ("$schema" | "title" | "description", _) => true,
        ("type", _) => match said.as_str().unwrap() {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("type {other}"),
        },
        ("anyOf", _) => said.as_array().unwrap().iter().any(|one| fits(one, value)),
        ("minimum", Value::Number(number)) => number.as_i64() >= said.as_i64(),
        ("maximum", Value::Number(number)) => number.as_i64() <= said.as_i64(),
        ("items", Value::Array(items)) => items.iter().all(|item| fits(said, item)),
        ("properties", Value::Object(own)) => {
            own.iter().all(|(key, value)| said.get(key).is_none_or(|said| fits(said, value)))
        }
        ("additionalProperties", Value::Object(own)) => own.iter().all(|(key, value)| {
            let is_declared = words.get("properties").is_some_and(|all| all.get(key).is_some());
            is_declared || said != &Value::Bool(false) && fits(said, value)
        }),
        ("minimum" | "maximum" | "items" | "properties" | "additionalProperties", _) => true,
        (other, _) => panic!("the schema says `{other}`, which nobody judges here"),
    })
}

/// Judges a text by both, and says how they disagree, if they do. What is not TOML is no JSON either.
fn disagreement(schema: &Value, text: &str) -> Option<String> {
    let table: Value = toml::from_str(text).ok()?;
    let source = Source { name: "it".into(), folder: PathBuf::from("/"), text: text.to_owned() };
    let messages = understand(&[source]).err().unwrap_or_default();
    let texts: Vec<String> = messages.iter().map(ToString::to_string).collect();
    let is_of_shape = |text: &&String| {
        let said = text.lines().next().unwrap_or_default();
        [": unknown key `", ": unknown section `", ": expected ", ": the document is nested deeper"]
            .iter()
            .any(|it| said.contains(it))
    };
    let refused = texts.iter().find(is_of_shape);
    match (refused, fits(schema, &table)) {
        (None, false) => Some(format!("the schema alone refuses:\n{text}\n{}", texts.join("\n"))),
        (Some(why), true) => Some(format!("the schema does not refuse:\n{text}\n{why}")),
        _ => None,
    }
}

fn schema_value() -> Value {
    serde_json::from_str(&schema()).unwrap()
}

#[test]
fn every_mistake_is_judged_alike() {
    let cases: Vec<&str> = include_str!("mistakes.txt").split("\n=== ").skip(1).collect();
    assert!(cases.len() >= 25);
    let told: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let (_, rest) = case.split_once('\n')?;
            let text = rest.split_once("\n--- says\n").map_or(rest, |(text, _)| text);
            disagreement(&schema_value(), text)
        })
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

#[test]
fn every_example_of_the_documents_is_judged_alike() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut judged = 0;
    for page in pages.chain([root.join("README.md")]) {
        let page = std::fs::read_to_string(page).unwrap();
        for example in page.split("```toml\n").skip(1) {
            let text = example.split("```").next().unwrap();
            if let Some(told) = disagreement(&schema_value(), text) {
                panic!("{told}");
            }
            judged += 1;
        }
    }
    assert!(judged >= 3, "{judged}");
}

#[test]
fn wrong_keys_and_wrong_kinds_are_refused_wherever_they_stand() {
    let schema = schema_value();
    let table = [
        ("contact = 7", false),
        ("contact = [\"a\", \"b\"]", true),
        ("agree_terms = \"yes\"", false),
        ("[issuer.x]\ndirektory = \"y\"", false),
        ("[certificate.x]\nendpoints = [{ name = \"a\", port = 443 }, \"b\"]", true),
        ("[certificate.x]\nendpoints = [{ name = \"a\", port = 70000 }]", false),
        ("[certificate.x]\nendpoints = [{ nam = \"a\" }]", false),
        ("[solver.x]\nenv = { A = \"file:/a\", B = { command = [\"pass\"] } }", true),
        ("[store]\ndir = [\"/a\"]", false),
        ("[shop]\na = 1", false),
    ];
    for (text, is_fine) in table {
        assert_eq!(fits(&schema, &toml::from_str(text).unwrap()), is_fine, "{text}");
    }
}
