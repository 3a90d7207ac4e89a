//! Leaves, their keys, and where keys are kept.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AriCertId, Identifier, Validity, text};

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> Self {
                hex(&digest.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                parse_hex(&text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&hex(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text::read(deserializer, |text| parse_hex(text).map(Self))
            }
        }
    };
}

digest! {
    /// SHA-256 of a certificate's DER: which leaf it is.
    Fingerprint
}
digest! {
    /// SHA-256 of a public key's SPKI in DER: which key it is. The key itself never enters core.
    KeyId
}
digest! {
    /// SHA-256 of a bundle (leaf, chain and key as one value) as the store keeps it.
    BundleId
}

impl KeyId {
    /// Writes it as a pin: `sha256/` and the digest in base64 (RFC 7469 section 2.4, RFC 4648
    /// section 4).
    #[must_use]
    pub fn pin(&self) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::from("sha256/");
        for group in self.0.chunks(3) {
            let bits = (0..3).fold(0_usize, |bits, place| {
                bits << 8 | usize::from(group.get(place).copied().unwrap_or_default())
            });
            for place in 0..4 {
                let digit = ALPHABET.get(bits >> (18 - 6 * place) & 63).copied();
                let digit = digit.filter(|_| place <= group.len()).unwrap_or(b'=');
                text.push(char::from(digit));
            }
        }
        text
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    text.extend(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)));
    text
}

fn parse_hex(text: &str) -> Result<[u8; 32], &'static str> {
    let wrong = "a digest is 64 hexadecimal digits";
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(wrong);
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            value = value * 16 + char::from(*digit).to_digit(16).ok_or(wrong)?;
        }
        *byte = u8::try_from(value).map_err(|_| wrong)?;
    }
    Ok(bytes)
}

/// Where a key is kept, chosen before the key is made, so that a crash in between loses nothing:
/// making the key of a slot that has one returns that one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub Box<str>);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of key is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// ECDSA on P-256.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// Ed25519, for accounts at CAs of one's own.
    Ed25519,
}

impl KeyAlgorithm {
    /// Returns whether it is the one that is taken where none is declared.
    #[must_use]
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes what it skips by reference"
    )]
    pub(crate) const fn is_default(&self) -> bool {
        matches!(self, Self::EcdsaP256)
    }

    /// Returns what a leaf for such a key says of it.
    #[must_use]
    pub const fn kind(self) -> KeyKind {
        match self {
            Self::EcdsaP256 => KeyKind::EcdsaP256,
            Self::EcdsaP384 => KeyKind::EcdsaP384,
            Self::Rsa2048 => KeyKind::Rsa { bits: 2048 },
            Self::Rsa3072 => KeyKind::Rsa { bits: 3072 },
            Self::Rsa4096 => KeyKind::Rsa { bits: 4096 },
            Self::Ed25519 => KeyKind::Ed25519,
        }
    }

    /// Returns which clients a leaf for such a key is for.
    #[must_use]
    pub const fn variant(self) -> Variant {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 | Self::Ed25519 => Variant::Ecdsa,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => Variant::Rsa,
        }
    }
}

/// Which clients a leaf is for, where a server has one for each: those that take ECDSA, and those
/// that take nothing but RSA. A server shows one leaf of a variant for one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// ECDSA, on whichever curve.
    Ecdsa,
    /// RSA, however long.
    Rsa,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ecdsa => "ECDSA",
            Self::Rsa => "RSA",
        })
    }
}

/// What is learnt when a key is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Which key it is.
    pub id: KeyId,
    /// Base64url of the JWK thumbprint (RFC 7638), which challenge answers contain.
    pub thumbprint: Box<str>,
}

/// What a leaf says of itself. Adapters read it; judging it is `decide`'s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafFacts {
    /// Which leaf.
    pub fingerprint: Fingerprint,
    /// Which key it certifies.
    pub key: KeyId,
    /// Its subject alternative names, sorted. Names that are no identifiers are left out.
    pub identifiers: Arc<[Identifier]>,
    /// From when to when.
    pub validity: Validity,
    /// The last moment at which the leaf is good by the chain it came with: where the chain was
    /// judged by a client's roots, when the last path to them ends, and otherwise the earliest
    /// `not_after` of leaf and chain. At the latest the leaf's own.
    pub chain_not_after: jiff::Timestamp,
    /// The issuer's name, as a user would know it ("Let's Encrypt YE1").
    pub issued_by: Arc<str>,
    /// How the CA's renewal information calls it; absent without an AKI.
    pub ari_id: Option<AriCertId>,
    /// Whether it may serve TLS servers (extended key usage, basic constraints).
    pub for_servers: bool,
    /// Whether each certificate of the chain is signed by the next one.
    pub chain_in_order: bool,
    /// What clients may have come to depend on; not known of leaves read by the first release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<Arc<Traits>>,
    /// Whether the chain leads to a root that clients of this issuer have, as the one who fetched it
    /// from the CA judged; not known where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<bool>,
}

/// What clients may have come to depend on, besides names and dates: compared when one leaf is to
/// take another's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// What kind of key it certifies.
    pub key_kind: KeyKind,
    /// Whether it may also prove a TLS client (mutual TLS between servers).
    pub for_clients: bool,
    /// The certificates above the leaf, as delivered.
    pub above: Box<[Link]>,
    /// Who issued the topmost certificate of the chain as delivered: the root's name, whether or not
    /// the root itself was sent along.
    pub root: Box<str>,
}

/// One certificate above a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which certificate.
    pub fingerprint: Fingerprint,
    /// Which key it certifies.
    pub key: KeyId,
}

/// What kind of key a leaf certifies. Unlike [`KeyAlgorithm`] this is what others may have chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA.
    Rsa {
        /// The length of its modulus.
        bits: u16,
    },
    /// Ed25519.
    Ed25519,
    /// Something else.
    Other,
}

impl KeyKind {
    /// Returns which clients a leaf for such a key is for, where that is known.
    #[must_use]
    pub const fn variant(self) -> Option<Variant> {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => Some(Variant::Ecdsa),
            Self::Rsa { .. } => Some(Variant::Rsa),
            Self::Ed25519 | Self::Other => None,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other => f.write_str("of another kind"),
        }
    }
}

impl LeafFacts {
    /// Returns whether the leaf is accepted for `wanted`.
    #[must_use]
    pub fn covers(&self, wanted: &Identifier) -> bool {
        self.identifiers.iter().any(|own| own.covers(wanted))
    }

    /// Returns the moment after which a client refuses it: the earliest end of leaf and chain.
    #[must_use]
    pub fn ends_at(&self) -> jiff::Timestamp {
        self.validity.not_after.min(self.chain_not_after)
    }
}
