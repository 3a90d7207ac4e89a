//! Names: of the things the operator declares, and of what certificates are for.

use alloc::string::ToString;
use alloc::sync::Arc;
use core::convert::Infallible;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

/// Names a declared thing: a certificate, an issuer, a solver, a target, an endpoint.
///
/// Shared, so that a million certificates of one issuer hold its name once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Makes a name of the declared key.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// Returns the name as it was declared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a hash of the name (FNV-1a, 64 bit), the same in every run.
    pub(crate) fn hash(&self) -> u64 {
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, |text| Ok::<_, Infallible>(Self::new(text)))
    }
}

/// A DNS name (an A-label name in lower case without final dot, perhaps with a leading `*.`) or an
/// IP address in its canonical text: what a certificate is for, and what users call "name".
///
/// Source: RFC 8555 section 9.7.7, RFC 8738.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    text: Arc<str>,
    is_ip: bool,
}

/// Says why a text is no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierError {
    /// The text is empty.
    Empty,
    /// Longer than 253 octets.
    TooLong,
    /// A label is empty or longer than 63 octets, or begins or ends with a hyphen.
    Label,
    /// A character that an A-label cannot hold; upper case counts, since names are kept folded.
    Character,
    /// A `*` anywhere but as the whole leftmost label.
    Wildcard,
}

impl fmt::Display for IdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the name is empty",
            Self::TooLong => "the name is longer than 253 octets",
            Self::Label => "a label is empty, longer than 63 octets, or has a hyphen at its edge",
            Self::Character => "a character other than a-z, 0-9, hyphen or underscore",
            Self::Wildcard => "`*` may only be the whole first label",
        })
    }
}

impl core::error::Error for IdentifierError {}

impl Identifier {
    /// Reads a name as it stands in a certificate.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the first offending part.
    pub fn new(text: &str) -> Result<Self, IdentifierError> {
        // Every address has a colon or ends with a digit; most names do neither.
        let may_be_ip = text.contains(':') || text.ends_with(|last: char| last.is_ascii_digit());
        if may_be_ip && let Ok(ip) = text.parse::<core::net::IpAddr>() {
            return Ok(Self { text: Arc::from(ip.to_string()), is_ip: true });
        }
        check_dns(text)?;
        Ok(Self { text: Arc::from(text), is_ip: false })
    }

    /// Returns the name, with its `*.` if it has one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether this is an IP address.
    #[must_use]
    pub const fn is_ip(&self) -> bool {
        self.is_ip
    }

    /// Returns whether this is a wildcard.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.text.starts_with("*.")
    }

    /// Returns the name without `*.`: the one that is validated.
    ///
    /// Source: RFC 8555 section 7.1.4.
    #[must_use]
    pub fn base(&self) -> &str {
        self.text.strip_prefix("*.").unwrap_or(&self.text)
    }

    /// Returns whether a leaf that names `self` is accepted for `wanted`.
    ///
    /// A wildcard stands for exactly one label (RFC 6125 section 6.4.3), and covers itself.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        if self == wanted {
            return true;
        }
        if self.is_ip || wanted.is_ip || wanted.is_wildcard() {
            return false;
        }
        let Some(parent) = self.text.strip_prefix("*.") else { return false };
        wanted.text.split_once('.').is_some_and(|(_, rest)| rest == parent)
    }

    /// Returns whether this name is `zone` or lies below it.
    #[must_use]
    pub fn is_within(&self, zone: &str) -> bool {
        let base = self.base();
        base == zone || base.strip_suffix(zone).is_some_and(|head| head.ends_with('.'))
    }
}

fn check_dns(text: &str) -> Result<(), IdentifierError> {
    if text.is_empty() {
        return Err(IdentifierError::Empty);
    }
    if text.len() > 253 {
        return Err(IdentifierError::TooLong);
    }
    let base = text.strip_prefix("*.").unwrap_or(text);
    if base.contains('*') {
        return Err(IdentifierError::Wildcard);
    }
    base.split('.').try_for_each(check_label)
}

fn check_label(label: &str) -> Result<(), IdentifierError> {
    if label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
        return Err(IdentifierError::Label);
    }
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if label.bytes().all(fits) { Ok(()) } else { Err(IdentifierError::Character) }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Identifier {
        Identifier::new(text).unwrap()
    }

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        assert!(id("*.example.org").covers(&id("www.example.org")));
        assert!(id("*.example.org").covers(&id("*.example.org")));
        assert!(!id("*.example.org").covers(&id("example.org")));
        assert!(!id("*.example.org").covers(&id("a.b.example.org")));
        assert!(!id("*.example.org").covers(&id("*.www.example.org")));
    }

    #[test]
    fn a_zone_holds_itself_and_what_is_below_but_no_look_alikes() {
        assert!(id("*.example.org").is_within("example.org"));
        assert!(id("a.b.example.org").is_within("example.org"));
        assert!(!id("badexample.org").is_within("example.org"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let cases = [
            ("", IdentifierError::Empty),
            ("a..b", IdentifierError::Label),
            ("a.*.b", IdentifierError::Wildcard),
            ("-a.b", IdentifierError::Label),
            ("Example.org", IdentifierError::Character),
        ];
        for (text, error) in cases {
            assert_eq!(Identifier::new(text), Err(error), "{text}");
        }
    }

    #[test]
    fn addresses_are_kept_in_canonical_text() {
        assert_eq!(id("2001:DB8:0::1").as_str(), "2001:db8::1");
        assert!(id("192.0.2.1").is_ip());
    }
}
