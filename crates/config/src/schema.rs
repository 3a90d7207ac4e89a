//! The configuration as a JSON Schema, for editors: which keys there are, what each means, and which
//! kind of value it takes.
//!
//! It is made of the declarations by which the file is read, so that it cannot say anything else. What
//! depends on other keys, on names or on the world is told by `perennial plan` alone.
//!
//! Source: JSON Schema 2020-12.

use serde_json::{Map, Value, json};

use crate::raw::{RawFile, Section, Shape};

/// Returns the JSON Schema of a configuration file.
#[must_use]
pub fn schema() -> String {
    let mut root = table(&RawFile::SECTION);
    if let Some(root) = root.as_object_mut() {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        root.insert(String::from("$schema"), json!(dialect));
        root.insert(String::from("title"), json!("Perennial's configuration"));
    }
    // Our own keys are texts: writing them cannot fail.
    serde_json::to_string_pretty(&root).unwrap_or_default()
}

fn table(section: &Section) -> Value {
    let mut properties = Map::new();
    for key in section.keys {
        let mut value = shape(&key.shape);
        if let Some(value) = value.as_object_mut() {
            let meaning = key.meaning.trim();
            value.insert(String::from("description"), json!(meaning));
        }
        properties.insert(key.name.to_owned(), value);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn shape(shape: &Shape) -> Value {
    let text = || json!({ "type": "string" });
    let list = |items: Value| json!({ "type": "array", "items": items });
    match shape {
        Shape::Text => text(),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Port => json!({ "type": "integer", "minimum": 1, "maximum": 65535 }),
        Shape::Texts => list(text()),
        Shape::TextOrTexts => json!({ "anyOf": [text(), list(text())] }),
        Shape::Endpoint(section) => json!({ "anyOf": [text(), table(section)] }),
        Shape::Endpoints(section) => {
            let one = || json!({ "anyOf": [text(), table(section)] });
            json!({ "anyOf": [text(), table(section), list(one())] })
        }
        Shape::Secret => json!({ "anyOf": [text(), { "type": "object" }] }),
        Shape::Table(section) => table(section),
        Shape::Named(inner) => {
            json!({ "type": "object", "additionalProperties": self::shape(inner) })
        }
    }
}
