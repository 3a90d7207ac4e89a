//! What the file says, typed and with places; nothing is looked up, nothing touches the system.
//!
//! Each section is declared once, by the `section!` macro: the struct, its reader and the list of
//! its keys with their meaning all come from that one declaration, so that messages, the operator's
//! manual and a schema cannot drift apart.

mod sections;
mod shapes;

pub(crate) use sections::{
    RawCertificate, RawEab, RawEndpoint, RawFile, RawIssuer, RawSolver, RawTarget, RawTsig,
};
pub(crate) use shapes::{EndpointShape, Endpoints, Named, Octal, OneOrMany, Read};

use crate::message::Report;
use crate::near::suggest;
use crate::source::{Span, Spanned};
use crate::tree::{Entry, Node, Value};

/// A section of the file: how it is called, and its keys.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What it is called in messages and in the manual: `[issuer.NAME]`.
    pub title: &'static str,
    /// Its keys, in the order of the manual.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What may stand there.
    pub expects: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What a schema says of its value.
    pub(crate) shape: Shape,
}

/// What a schema says of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A port.
    Port,
    /// A list of texts.
    Texts,
    /// A text, or a list of texts.
    TextOrTexts,
    /// A text, or a table with the keys of a section.
    Endpoint(&'static Section),
    /// One of those, or a list of them.
    Endpoints(&'static Section),
    /// A reference to a secret.
    Secret,
    /// A table with the keys of a section.
    Table(&'static Section),
    /// A table whose keys the operator names.
    Named(&'static Self),
}

/// Returns every section that a file may hold.
#[must_use]
pub const fn sections() -> &'static [Section] {
    sections::ALL
}

/// Declares a section: keys as written, fields, their shapes and meanings.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $title:literal $struct:ident {
            $( $(#[doc = $meaning:literal])+ $key:literal $field:ident: $shape:ty, )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $struct {
            $( $(#[doc = $meaning])+ pub(crate) $field: Option<$crate::source::Spanned<$shape>>, )+
        }

        impl $struct {
            pub(crate) const SECTION: $crate::raw::Section = $crate::raw::Section {
                title: $title,
                keys: &[ $( $crate::raw::Key {
                    name: $key,
                    expects: <$shape as $crate::raw::Read>::EXPECTS,
                    shape: <$shape as $crate::raw::Read>::SHAPE,
                    meaning: concat!($($meaning),+),
                }, )+ ],
            };

            /// Reads the keys; what is unknown or of another type is reported.
            pub(crate) fn read_entries(
                entries: &[$crate::tree::Entry],
                report: &mut $crate::message::Report,
            ) -> Self {
                let mut section = Self::default();
                for entry in entries {
                    match entry.key.as_str() {
                        $( $key => section.$field = $crate::raw::field(entry, report), )+
                        _ => $crate::raw::unknown_key(entry, &Self::SECTION, report),
                    }
                }
                section
            }
        }

        impl $crate::raw::Read for $struct {
            const EXPECTS: &'static str = concat!("the table ", $title);
            const SHAPE: $crate::raw::Shape = $crate::raw::Shape::Table(&Self::SECTION);

            fn read(
                node: &$crate::tree::Node,
                report: &mut $crate::message::Report,
            ) -> Option<Self> {
                match &node.value {
                    $crate::tree::Value::Table(entries) => Some(Self::read_entries(entries, report)),
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use section;

/// Reads the value of a key, or reports that it is of another type.
fn field<T: Read>(entry: &Entry, report: &mut Report) -> Option<Spanned<T>> {
    let value = read_or_report(&entry.node, report)?;
    Some(Spanned { value, span: entry.node.span, key: entry.key_span })
}

/// Reads a value, or reports that it is of another type, unless the shape itself has reported more.
fn read_or_report<T: Read>(node: &Node, report: &mut Report) -> Option<T> {
    let errors = report.error_count();
    let value = T::read(node, report);
    if value.is_none() && report.error_count() == errors {
        let text = format!("expected {}, found {}", T::EXPECTS, node.value.called());
        report.error(node.span, text, T::hint(&node.value));
    }
    value
}

fn unknown_key(entry: &Entry, section: &Section, report: &mut Report) {
    let known = section.keys.iter().map(|key| key.name);
    let hint = suggest(&entry.key, known.clone(), || {
        format!("known keys here: {}", known.collect::<Vec<_>>().join(", "))
    });
    let text = match entry.node.value {
        Value::Table(_) if section.title == RawFile::SECTION.title => {
            format!("unknown section `{}`", entry.key)
        }
        _ => format!("unknown key `{}` in {}", entry.key, section.title),
    };
    report.error(entry.key_span, text, hint);
}

impl<T> Spanned<T> {
    /// Puts another value at the same place.
    pub(crate) const fn with<U>(&self, value: U) -> Spanned<U> {
        Spanned { value, span: self.span, key: self.key }
    }
}

/// Returns the value, if it was given.
pub(crate) fn value<T: Clone>(field: &Option<Spanned<T>>) -> Option<T> {
    field.as_ref().map(|field| field.value.clone())
}

/// Returns where a field stands, or else where its section does.
pub(crate) fn span_or<T>(field: &Option<Spanned<T>>, section: Span) -> Span {
    field.as_ref().map_or(section, |field| field.span)
}
