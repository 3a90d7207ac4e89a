//! A TOML document as a tree whose every key and value knows where it stands.
//!
//! Several files become one tree: the tables of the first level (`issuer`, `certificate`, `store`)
//! are joined, and what is declared twice below them is an error that names both places. Depth and
//! size are bounded before the parser sees the text, since a dotted key makes a table per dot.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::depth::too_deep;
use crate::message::Report;
use crate::source::{Sources, Span};

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where.
    pub(crate) span: Span,
    /// What.
    pub(crate) value: Value,
}

/// What TOML can say.
#[derive(Debug)]
pub(crate) enum Value {
    /// A text in quotes.
    Text(String),
    /// A whole number; absent where it does not fit 64 bits.
    Integer(Option<i64>),
    /// A number with a point.
    Float,
    /// `true` or `false`.
    Boolean(bool),
    /// A date or a time.
    Datetime,
    /// A list.
    Array(Vec<Node>),
    /// Keys and values, in the order of the file.
    Table(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The key, without quotes.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// Its value.
    pub(crate) node: Node,
}

impl Value {
    /// Names the kind of value, for messages.
    pub(crate) const fn called(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Float => "a number",
            Self::Boolean(_) => "true or false",
            Self::Datetime => "a date or time",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads all sources into one tree. Without a tree, what is reported is why there is none.
pub(crate) fn parse(sources: &Sources, report: &mut Report) -> Option<Vec<Entry>> {
    let mut joined = Joined::default();
    let mut whole = true;
    for (file, source) in sources.iter().enumerate() {
        match parse_one(file, &source.text, report) {
            Some(entries) => joined.add(entries, report),
            None => whole = false,
        }
    }
    whole.then_some(joined.entries)
}

fn parse_one(file: usize, text: &str, report: &mut Report) -> Option<Vec<Entry>> {
    if let Some(at) = too_deep(text) {
        let span = Span { file, start: at, end: at + 1 };
        let hint = "no key of the configuration lies deeper than four tables";
        report.error(span, "the document is nested deeper than any configuration", hint);
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let entries = convert_table(file, table.into_inner());
    let mut only_duplicates = true;
    // A section that is declared twice makes each of its keys a duplicate as well.
    let mut doubled = 0..0;
    for error in errors {
        let range = error.span().unwrap_or(text.len()..text.len());
        if error.message() != "duplicate key" {
            only_duplicates = false;
            let message = error.message().replace(", expected literal string", "");
            let span = Span::of(file, range.clone());
            report.error(span, format!("not TOML: {message}"), hint_for(text, &message, &range));
        } else if !doubled.contains(&range.start) {
            doubled = report_duplicate(file, &entries, text, &range, report);
        }
    }
    // After a syntax error the rest would be judged by what the parser guessed.
    only_duplicates.then_some(entries)
}

/// Says how what is no TOML was probably meant.
fn hint_for(text: &str, message: &str, range: &Range<usize>) -> String {
    let start = start_of_line(text, range.start);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let value = line.split_once('=').map_or("", |(_, value)| value.trim());
    if message.contains("must be quoted") {
        let word = text.get(range.clone()).unwrap_or_default();
        let rest = text.get(range.start..).unwrap_or_default();
        let word = rest.split([',', ']', '}', '#', '\n']).next().unwrap_or(word).trim();
        return format!("texts stand in quotes: \"{}\"", word.escape_debug());
    }
    if value.starts_with('"') && value.matches('"').count() == 1 {
        return String::from("the text that begins with `\"` has no `\"` at its end");
    }
    if value.starts_with('[') && !value.contains(']') {
        return String::from("a list is written [\"one\", \"two\"], with commas and both brackets");
    }
    if line.trim_start().starts_with('[') && !line.contains(']') {
        return String::from("a section is written [kind.name], with both brackets");
    }
    String::from("the format is described at https://toml.io; a line reads key = \"value\"")
}

fn start_of_line(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1)
}

/// Reports a key or section that was there before, with both places. Returns the bytes in which
/// further duplicates only follow from this one.
fn report_duplicate(
    file: usize,
    entries: &[Entry],
    text: &str,
    range: &Range<usize>,
    report: &mut Report,
) -> Range<usize> {
    let span = Span::of(file, range.clone());
    let at = |start: usize| Some(Span { file, start, end: start });
    let line = start_of_line(text, range.start);
    let head = text.get(line..range.end).unwrap_or_default();
    if let Some(path) = header(head) {
        let mut start = 0;
        let earlier = text.get(..line).unwrap_or_default().split_inclusive('\n').find_map(|line| {
            let same = header(line).is_some_and(|other| other == path);
            let found = same.then(|| start + line.find(&path).unwrap_or_default());
            start += line.len();
            found
        });
        report.twice(span, &path, earlier.and_then(at));
        let rest = text.get(range.end..).unwrap_or_default();
        return range.end..rest.find("\n[").map_or(text.len(), |offset| range.end + offset);
    }
    let key = text.get(range.clone()).unwrap_or_default().trim_matches(['"', '\'']);
    let section = text.get(..line).and_then(|head| head.rfind("\n[")).unwrap_or_default();
    let mut first = None;
    find_keys(entries, key, &mut |candidate: Span| {
        if section <= candidate.start && candidate.start < span.start {
            first = first.max(Some(candidate.start));
        }
    });
    report.twice(span, key, first.and_then(at));
    0..0
}

/// Returns the dotted path of a section's header, if the line begins one.
fn header(line: &str) -> Option<String> {
    let path = line.trim().strip_prefix('[')?;
    let path = path.split([']', '#']).next().unwrap_or_default();
    Some(path.replace([' ', '\t', '"', '\''], ""))
}

fn find_keys(entries: &[Entry], key: &str, found: &mut impl FnMut(Span)) {
    for entry in entries {
        if entry.key == key {
            found(entry.key_span);
        }
        find_keys_below(&entry.node, key, found);
    }
}

fn find_keys_below(node: &Node, key: &str, found: &mut impl FnMut(Span)) {
    match &node.value {
        Value::Table(entries) => find_keys(entries, key, found),
        Value::Array(nodes) => nodes.iter().for_each(|node| find_keys_below(node, key, found)),
        Value::Text(_) | Value::Integer(_) | Value::Float | Value::Boolean(_) | Value::Datetime => {
        }
    }
}

fn convert_table(file: usize, table: DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            key_span: Span::of(file, key.span()),
            key: key.into_inner().into_owned(),
            node: convert(file, value),
        })
        .collect();
    // The parser sorts by key; people read by line, and order of declaration is preference.
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn convert(file: usize, value: toml::Spanned<DeValue<'_>>) -> Node {
    let span = Span::of(file, value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(_) => Value::Float,
        DeValue::Boolean(flag) => Value::Boolean(flag),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(values) => {
            Value::Array(values.into_iter().map(|value| convert(file, value)).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(file, table)),
    };
    Node { span, value }
}

/// What several files say together.
#[derive(Default)]
struct Joined {
    entries: Vec<Entry>,
    /// Where each key of a section stands: a folder may hold a file for each of many certificates.
    places: HashMap<(String, String), Span>,
}

impl Joined {
    /// Adds what a further file says.
    fn add(&mut self, entries: Vec<Entry>, report: &mut Report) {
        for entry in entries {
            let Some(known) = self.entries.iter_mut().find(|known| known.key == entry.key) else {
                self.remember(&entry);
                self.entries.push(entry);
                continue;
            };
            let (Value::Table(known), Value::Table(more)) =
                (&mut known.node.value, entry.node.value)
            else {
                report.twice(entry.key_span, &entry.key, Some(known.key_span));
                continue;
            };
            for below in more {
                let place = (entry.key.clone(), below.key.clone());
                if let Some(first) = self.places.get(&place) {
                    let path = format!("{}.{}", entry.key, below.key);
                    report.twice(below.key_span, &path, Some(*first));
                } else {
                    self.places.insert(place, below.key_span);
                    known.push(below);
                }
            }
        }
    }

    fn remember(&mut self, section: &Entry) {
        if let Value::Table(entries) = &section.node.value {
            let places = entries
                .iter()
                .map(|below| ((section.key.clone(), below.key.clone()), below.key_span));
            self.places.extend(places);
        }
    }
}
