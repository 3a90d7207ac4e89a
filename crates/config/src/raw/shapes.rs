//! The shapes a value may have: texts, flags, lists, durations, tables of named things.

use jiff::SignedDuration;

use super::{RawEndpoint, Shape, read_or_report};
use crate::duration::parse_duration;
use crate::message::Report;
use crate::secret::Secret;
use crate::source::Spanned;
use crate::tree::{Node, Value};

/// How a value is read.
pub(crate) trait Read: Sized {
    /// What is expected, with its article.
    const EXPECTS: &'static str;

    /// What a schema says of it.
    const SHAPE: Shape;

    /// Reads it; `None` without a report means that the type is another.
    fn read(node: &Node, report: &mut Report) -> Option<Self>;

    /// Says how to write it, given what was found.
    fn hint(_found: &Value) -> String {
        format!("write {} here", Self::EXPECTS)
    }
}

impl Read for String {
    const EXPECTS: &'static str = "a text";
    const SHAPE: Shape = Shape::Text;

    fn read(node: &Node, _: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn hint(found: &Value) -> String {
        match found {
            Value::Array(_) => Self::from("only one is possible here: leave the brackets away"),
            _ => Self::from("texts stand in quotes: \"like this\""),
        }
    }
}

impl Read for bool {
    const EXPECTS: &'static str = "true or false";
    const SHAPE: Shape = Shape::Flag;

    fn read(node: &Node, _: &mut Report) -> Option<Self> {
        match node.value {
            Value::Boolean(flag) => Some(flag),
            _ => None,
        }
    }

    fn hint(_: &Value) -> String {
        String::from("write true or false, without quotes")
    }
}

impl Read for u16 {
    const EXPECTS: &'static str = "a number from 1 to 65535";
    const SHAPE: Shape = Shape::Port;

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Integer(number) = node.value else { return None };
        let fits = number.and_then(|number| Self::try_from(number).ok()).filter(|n| *n > 0);
        if fits.is_none() {
            let text = format!("expected {}", Self::EXPECTS);
            report.error(node.span, text, "https is 443, IMAP over TLS is 993");
        }
        fits
    }
}

impl Read for SignedDuration {
    const EXPECTS: &'static str = "a duration like \"90s\"";
    const SHAPE: Shape = Shape::Text;

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Text(text) = &node.value else { return None };
        match parse_duration(text) {
            Ok(span) => Some(span),
            Err(cause) => {
                let hint = "write a number and a unit: \"45d\", \"12h\", \"90s\", \"1h30m\"";
                report.error(node.span, format!("`{text}` is no duration: {cause}"), hint);
                None
            }
        }
    }

    fn hint(_: &Value) -> String {
        String::from("write a number and a unit in quotes: \"45d\", \"12h\", \"90s\"")
    }
}

impl Read for Vec<Spanned<String>> {
    const EXPECTS: &'static str = "a list of texts";
    const SHAPE: Shape = Shape::Texts;

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Array(nodes) = &node.value else { return None };
        Some(nodes.iter().filter_map(|node| element(node, report)).collect())
    }

    fn hint(found: &Value) -> String {
        let Value::Text(text) = found else {
            return String::from("a list is written [\"one\", \"two\"]");
        };
        let words: Vec<String> =
            text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        format!("write a list, one word each (there is no shell): [{}]", words.join(", "))
    }
}

/// Reads an element of a list; elements that are no texts are reported one by one.
fn element<T: Read>(node: &Node, report: &mut Report) -> Option<Spanned<T>> {
    let value = read_or_report(node, report)?;
    Some(Spanned { value, span: node.span, key: node.span })
}

/// A file's mode: a text of octal digits, since TOML's `640` is another number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Octal(pub(crate) String);

impl Read for Octal {
    const EXPECTS: &'static str = "a mode like \"0640\"";
    const SHAPE: Shape = Shape::Text;

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        String::read(node, report).map(Self)
    }

    fn hint(found: &Value) -> String {
        match found {
            Value::Integer(Some(number @ 0..=777)) => format!("write \"0{number:03}\", in quotes"),
            _ => String::from("write it as for chmod, in quotes: \"0640\""),
        }
    }
}

/// A text, or a list of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OneOrMany(pub(crate) Vec<Spanned<String>>);

impl Read for OneOrMany {
    const EXPECTS: &'static str = "a text or a list of texts";
    const SHAPE: Shape = Shape::TextOrTexts;

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Text(_) => element(node, report).map(|one| Self(vec![one])),
            Value::Array(_) => Vec::read(node, report).map(Self),
            _ => None,
        }
    }

    fn hint(_: &Value) -> String {
        String::from("write \"one\" or [\"one\", \"two\"]")
    }
}

/// An endpoint: a text like `host:port`, or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndpointShape {
    /// `host`, `host:port` or `[address]:port`.
    Text(String),
    /// With more to say.
    Table(Box<RawEndpoint>),
}

impl Read for EndpointShape {
    const EXPECTS: &'static str = "an endpoint: a text like \"host:port\", or a table";
    const SHAPE: Shape = Shape::Endpoint(&RawEndpoint::SECTION);

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(Self::Text(text.clone())),
            Value::Table(_) => RawEndpoint::read(node, report).map(Box::new).map(Self::Table),
            _ => None,
        }
    }

    fn hint(_: &Value) -> String {
        String::from("write \"www.example.org:443\"")
    }
}

/// Endpoints: one, or a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoints(pub(crate) Vec<Spanned<EndpointShape>>);

impl Read for Endpoints {
    const EXPECTS: &'static str = "a list of endpoints";
    const SHAPE: Shape = Shape::Endpoints(&RawEndpoint::SECTION);

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Text(_) | Value::Table(_) => element(node, report).map(|one| Self(vec![one])),
            Value::Array(nodes) => {
                Some(Self(nodes.iter().filter_map(|node| element(node, report)).collect()))
            }
            _ => None,
        }
    }

    fn hint(_: &Value) -> String {
        String::from("write [\"www.example.org:443\"]")
    }
}

/// Things that the operator named: `[issuer.letsencrypt]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named<T>(pub(crate) Vec<(String, Spanned<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Named<T> {
    const EXPECTS: &'static str = "a table with a name for each";
    const SHAPE: Shape = Shape::Named(&T::SHAPE);

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Table(entries) = &node.value else { return None };
        let read = |entry: &crate::tree::Entry, report: &mut Report| {
            let value = read_or_report(&entry.node, report)?;
            let span = entry.node.span;
            Some((entry.key.clone(), Spanned { value, span, key: entry.key_span }))
        };
        Some(Self(entries.iter().filter_map(|entry| read(entry, report)).collect()))
    }

    fn hint(_: &Value) -> String {
        String::from("give it a name: [kind.name], then its keys on the lines below")
    }
}

impl Read for Secret {
    const EXPECTS: &'static str = "a secret: \"file:/path\", \"env:NAME\" or { command = [...] }";
    const SHAPE: Shape = Shape::Secret;

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        crate::secret::read_reference(node, report)
    }
}
