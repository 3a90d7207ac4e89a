//! The DNS providers that a solver may write to by their API.
//!
//! One table, [`providers()`], says what each is called, which credentials it takes, which
//! permissions these need at the least and how short its records may live. Reading a
//! configuration, its messages, `perennial help` and docs/providers.md all come from it, so that
//! they cannot drift apart; a test holds it against what the adapter takes.

mod page;
mod table;

use std::fmt::Write as _;

use crate::near::suggest;

pub use page::providers_page;

/// A DNS provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// As it is written: `dns-01 = "cloudflare"`.
    pub word: &'static str,
    /// What people call it.
    pub called: &'static str,
    /// Its credentials and where it is, in the order of the manual.
    pub fields: &'static [Field],
    /// The least that the credentials must be allowed to do, or what is known of that.
    pub least: &'static str,
    /// The shortest life of a record that it takes, in seconds.
    pub least_ttl_secs: u32,
    /// How many values a name may have there.
    pub holds: Holds,
}

/// A credential, or a word about where the provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// As it is written in `credentials = { }`.
    pub name: &'static str,
    /// Whether it must be kept secret.
    pub privacy: Privacy,
    /// Whether it must be there.
    pub need: Need,
    /// What it is.
    pub meaning: &'static str,
}

/// Whether a field must be kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// It is a credential: if it stands in the configuration, that is a warning.
    Secret,
    /// It may stand in the configuration.
    Plain,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Always.
    Must,
    /// No.
    May,
    /// One of those marked so must be there.
    OneOf,
}

/// How many values a name may have at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// As many as DNS allows.
    Many,
    /// One: a second answer for the same name has to wait for the first one's end.
    One,
}

/// Returns every provider, sorted by its word.
#[must_use]
pub const fn providers() -> &'static [Provider] {
    table::ALL
}

/// Returns the provider of a word.
#[must_use]
pub fn provider(word: &str) -> Option<&'static Provider> {
    providers().iter().find(|provider| provider.word == word)
}

impl Provider {
    /// Returns the field of a name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the solver that the manual shows for it.
    #[must_use]
    pub fn example(&self) -> String {
        let mut chosen = false;
        let shown = |field: &&Field| match field.need {
            Need::Must => true,
            Need::May => false,
            Need::OneOf => !std::mem::replace(&mut chosen, true),
        };
        let mut example = format!("[solver.dns]\ndns-01 = \"{}\"\n", self.word);
        for field in self.fields.iter().filter(shown) {
            let name = field.name;
            let value = match field.privacy {
                Privacy::Secret => format!("file:/etc/perennial/{}-{name}", self.word),
                Privacy::Plain => String::from("..."),
            };
            let _ = writeln!(example, "credentials.{name} = \"{value}\"");
        }
        example.push_str("zones = [\"example.org\"]\n");
        example
    }

    /// Returns what to write where credentials lack.
    pub(crate) fn wants(&self) -> String {
        let words = |need: Need| {
            let fields = self.fields.iter().filter(move |field| field.need == need);
            fields.map(|field| format!("`{}`", field.name)).collect::<Vec<_>>()
        };
        let (must, one_of) = (words(Need::Must), words(Need::OneOf));
        let mut wants = must.join(", ");
        if !one_of.is_empty() {
            let and = if must.is_empty() { "" } else { ", and " };
            let _ = write!(wants, "{and}one of {}", one_of.join(", "));
        }
        format!("{} wants {wants}: perennial help {}", self.called, self.word)
    }

    /// Returns what to do about a field that it does not know.
    pub(crate) fn known_fields(&self, asked: &str) -> String {
        let names = self.fields.iter().map(|field| field.name);
        suggest(asked, names.clone(), || {
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            format!("{} takes {}", self.called, names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_says_something_about_everything() {
        assert!(providers().is_sorted_by(|a, b| a.word < b.word));
        for provider in providers() {
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            assert!(provider.word.chars().all(fine), "{}", provider.word);
            assert!(!provider.called.is_empty() && !provider.fields.is_empty());
            assert!(provider.least.ends_with('.'), "{}", provider.word);
            let secret = |field: &Field| field.privacy == Privacy::Secret;
            assert!(provider.fields.iter().any(secret), "{}", provider.word);
            for field in provider.fields {
                assert!(!field.meaning.is_empty() && !field.meaning.ends_with('.'));
            }
        }
    }
}
