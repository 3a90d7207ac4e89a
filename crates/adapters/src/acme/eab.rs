//! External account bindings: the values that a CA hands out beside ACME.
//!
//! Source: RFC 8555 section 7.3.4.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use perennial_wire::mac::{MacAlgorithm, MacKey};
use zeroize::Zeroizing;

/// A key identifier and the secret that goes with it.
#[derive(Clone, Debug)]
pub struct Eab {
    kid: String,
    key: MacKey,
}

/// Says why a binding cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EabError {
    /// The key identifier is empty.
    #[error("the key identifier of the external account binding is empty")]
    NoKid,
    /// The key is no base64.
    #[error("the key of the external account binding is not base64url")]
    NotBase64,
}

impl Eab {
    /// Takes the values as CAs hand them out: the key in base64url. Padding and the other alphabet
    /// of base64 are understood too, because CAs and operators' tools mix them up.
    ///
    /// # Errors
    ///
    /// Returns which value is unusable. The values are not repeated.
    pub fn new(kid: &str, key: &str, algorithm: MacAlgorithm) -> Result<Self, EabError> {
        let kid = kid.trim();
        if kid.is_empty() {
            return Err(EabError::NoKid);
        }
        let mut text = Zeroizing::new(String::with_capacity(key.len()));
        text.extend(key.trim().chars().map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        }));
        let secret = TOLERANT.decode(text.as_bytes()).map_err(|_| EabError::NotBase64)?;
        if secret.is_empty() {
            return Err(EabError::NotBase64);
        }
        Ok(Self { kid: kid.to_owned(), key: MacKey::new(algorithm, Zeroizing::new(secret)) })
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) const fn key(&self) -> &MacKey {
        &self.key
    }
}

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood_as_cas_hand_them_out() {
        let sign = |key| Eab::new("kid", key, MacAlgorithm::Hs256).map(|eab| eab.key().sign(b"x"));
        let same = ["-_-_AA", "+/+/AA", "+/+/AA==", " -_-_AA==\n"];
        for key in same {
            assert_eq!(sign(key), sign(same[0]), "{key}");
        }
    }

    #[test]
    fn unusable_values_are_named_and_not_repeated() {
        assert_eq!(Eab::new(" ", "AAAA", MacAlgorithm::Hs256).unwrap_err(), EabError::NoKid);
        for key in ["", "secret!", "A"] {
            let error = Eab::new("kid", key, MacAlgorithm::Hs256).unwrap_err();
            assert_eq!(error, EabError::NotBase64);
            assert!(!error.to_string().contains("secret!"));
        }
    }
}
