//! Reading what the journal has as text, from where it stands: starting reads tens of millions.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{self, Deserializer, Visitor};

/// Reads a value from its text, without a copy of the text in between.
pub(super) fn read<'de, D, T, E>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    deserializer.deserialize_str(Text { parse, value: PhantomData })
}

struct Text<F, T, E> {
    parse: F,
    value: PhantomData<fn() -> Result<T, E>>,
}

impl<F, T, E> Visitor<'_> for Text<F, T, E>
where
    F: FnOnce(&str) -> Result<T, E>,
    E: fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<Error: de::Error>(self, text: &str) -> Result<T, Error> {
        (self.parse)(text).map_err(Error::custom)
    }
}
