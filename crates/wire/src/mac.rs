//! Message authentication codes, for external account bindings.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Which HMAC, as JOSE names them (RFC 7518 section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256: what every CA takes.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl MacAlgorithm {
    /// Returns the name, as in a JWS header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }
}

/// A secret shared with a CA, cleared when dropped.
#[derive(Clone)]
pub struct MacKey {
    algorithm: MacAlgorithm,
    secret: Zeroizing<Vec<u8>>,
}

impl MacKey {
    /// Takes the secret.
    #[must_use]
    pub const fn new(algorithm: MacAlgorithm, secret: Zeroizing<Vec<u8>>) -> Self {
        Self { algorithm, secret }
    }

    /// Returns the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// Returns the code of a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self.algorithm {
            MacAlgorithm::Hs256 => hmac::HMAC_SHA256,
            MacAlgorithm::Hs384 => hmac::HMAC_SHA384,
            MacAlgorithm::Hs512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, &self.secret), message).as_ref().to_vec()
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MacKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_rfc_4231_case_2() {
        let prefixes = [
            (MacAlgorithm::Hs256, [0x5b, 0xdc, 0xc1, 0x46], 32),
            (MacAlgorithm::Hs384, [0xaf, 0x45, 0xd2, 0xe3], 48),
            (MacAlgorithm::Hs512, [0x16, 0x4b, 0x7a, 0x7b], 64),
        ];
        for (algorithm, prefix, length) in prefixes {
            let key = MacKey::new(algorithm, Zeroizing::new(b"Jefe".to_vec()));
            let code = key.sign(b"what do ya want for nothing?");
            assert!(code.starts_with(&prefix) && code.len() == length, "{algorithm:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = MacKey::new(MacAlgorithm::Hs256, Zeroizing::new(b"Jefe".to_vec()));
        assert_eq!(format!("{key:?}"), "MacKey { algorithm: Hs256, .. }");
    }
}
