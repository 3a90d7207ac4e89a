//! Drafts: configuration files that are written for people to read, correct and keep.
//!
//! A [`Draft`] is a list of sections with comments. Its text is TOML that the configuration reads;
//! what could not be decided is written as a comment, so that nothing is claimed that is not known.

use std::fmt;

/// A configuration file to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    sections: Vec<Section>,
}

/// A section of it; the first lines of the file are a section without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    comments: Vec<String>,
    kind: &'static str,
    name: String,
    keys: Vec<Line>,
    /// Why it is only a comment, where it is.
    only_comment: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    comment: String,
}

impl Draft {
    /// Begins an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a section, if none of its kind has its name yet.
    pub fn add(&mut self, section: Section) {
        let is_there = |known: &Section| known.kind == section.kind && known.name == section.name;
        if !self.sections.iter().any(is_there) {
            self.sections.push(section);
        }
    }

    /// Returns the name of a section of a kind that says the same, whatever it is called.
    #[must_use]
    pub fn alike(&self, section: &Section) -> Option<&str> {
        let says_the_same =
            |known: &&Section| known.kind == section.kind && known.keys == section.keys;
        self.sections.iter().find(says_the_same).map(|known| known.name.as_str())
    }

    /// Returns a name for a section of a kind that no other has: `wish`, or `wish-2` and so on.
    #[must_use]
    pub fn free_name(&self, kind: &str, wish: &str) -> String {
        let taken = |name: &str| self.sections.iter().any(|s| s.kind == kind && s.name == name);
        let wish = section_name(wish);
        let numbered = (2..).map(|number| format!("{wish}-{number}"));
        let mut names = std::iter::once(wish.clone()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or(wish)
    }
}

impl Section {
    /// Begins a section: `kind` is `issuer`, `solver`, `target`, `certificate`, or empty for the top of
    /// the file.
    #[must_use]
    pub fn new(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), ..Self::default() }
    }

    /// Adds a line of comment above it.
    #[must_use]
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.comments.push(text.into());
        self
    }

    /// Adds a key.
    #[must_use]
    pub fn key(self, key: &str, value: impl Into<Value>) -> Self {
        self.explained(key, value, "")
    }

    /// Adds a key with a comment behind it.
    #[must_use]
    pub fn explained(mut self, key: &str, value: impl Into<Value>, comment: &str) -> Self {
        let text = format!("{key} = {}", value.into());
        self.keys.push(Line { text, comment: comment.to_owned() });
        self
    }

    /// Gives it another name.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Makes it a comment as a whole.
    #[must_use]
    pub const fn as_comment(mut self) -> Self {
        self.only_comment = true;
        self
    }
}

/// A value as TOML writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self(flag.to_string())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(quoted(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl<T: AsRef<str>> From<&[T]> for Value {
    fn from(texts: &[T]) -> Self {
        let texts: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
        Self(format!("[{}]", texts.join(", ")))
    }
}

impl From<&[(&str, String); 2]> for Value {
    fn from(keys: &[(&str, String); 2]) -> Self {
        let keys: Vec<String> =
            keys.iter().map(|(key, text)| format!("{key} = {}", quoted(text))).collect();
        Self(format!("{{ {} }}", keys.join(", ")))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes a text as a basic string.
///
/// Source: TOML 1.0, "String".
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Makes a section's name of any text: what is not allowed becomes a hyphen.
fn section_name(wish: &str) -> String {
    let wish =
        wish.strip_prefix("*.").map_or_else(|| wish.to_owned(), |rest| format!("wildcard.{rest}"));
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = wish.chars().map(|c| if allowed(c) { c } else { '-' }).take(90).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { String::from("unnamed") } else { name.to_owned() }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.sections.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n"))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = if self.only_comment { "# " } else { "" };
        for comment in self.comments.iter().flat_map(|comment| comment.lines()) {
            writeln!(f, "# {comment}")?;
        }
        if !self.kind.is_empty() {
            let plain = self.name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            let name = if plain { self.name.clone() } else { quoted(&self.name) };
            writeln!(f, "{hash}[{}.{name}]", self.kind)?;
        }
        for Line { text, comment } in &self.keys {
            match comment.as_str() {
                "" => writeln!(f, "{hash}{text}")?,
                comment => writeln!(f, "{:<38} # {comment}", format!("{hash}{text}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_toml_whatever_stands_in_it() {
        let mut draft = Draft::new();
        let hostile = "a \"quoted\" \\ line\nand\u{7} more";
        draft.add(Section::new("", "").comment("two\nlines").key("contact", hostile));
        let name = draft.free_name("certificate", "*.shop.test");
        assert_eq!(name, "wildcard.shop.test");
        let section =
            Section::new("certificate", name).explained("take_over", true, "copied first");
        draft.add(section.clone());
        draft.add(section);
        assert_eq!(draft.free_name("certificate", "*.shop.test"), "wildcard.shop.test-2");
        draft.add(Section::new("solver", "x").key("http-01", "listener").as_comment());
        let text = draft.to_string();
        assert_eq!(text.matches("[certificate.").count(), 1, "{text}");
        assert!(text.starts_with("# two\n# lines\n"), "{text}");
        assert!(text.contains("# [solver.x]\n# http-01 = \"listener\"\n"), "{text}");
        let source = perennial_config::Source {
            name: "draft".into(),
            folder: "/".into(),
            text: text.clone(),
        };
        let messages = perennial_config::understand(&[source]).unwrap_err();
        let told = perennial_config::render(&messages);
        assert!(!told.contains("not TOML"), "{told}\n{text}");
    }
}
