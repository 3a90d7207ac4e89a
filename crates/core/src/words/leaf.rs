//! Leaves, their keys, and where keys are kept.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{AriCertId, Identifier, Validity};

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> Self {
                alloc::format!("{digest}")
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                parse_hex(&text).map(Self).ok_or("a digest is 64 hexadecimal digits")
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

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let value = (*high as char).to_digit(16)? * 16 + (*low as char).to_digit(16)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
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
    pub identifiers: Box<[Identifier]>,
    /// From when to when.
    pub validity: Validity,
    /// The earliest `not_after` of leaf and chain as delivered.
    pub chain_not_after: jiff::Timestamp,
    /// The issuer's name, as a user would know it ("Let's Encrypt YE1").
    pub issued_by: Box<str>,
    /// How the CA's renewal information calls it; absent without an AKI.
    pub ari_id: Option<AriCertId>,
    /// Whether it may serve TLS servers (extended key usage, basic constraints).
    pub for_servers: bool,
    /// Whether each certificate of the chain is signed by the next one.
    pub chain_in_order: bool,
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
