//! What a challenge answer shows: the key authorization, or its digest.

use perennial_core::words::Answer;

use crate::digest::sha256;
use crate::key::base64url;

/// Returns the key authorization: the body of an http-01 answer.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.1
#[must_use]
pub fn key_authorization(answer: &Answer) -> String {
    format!("{}.{}", answer.token, answer.thumbprint)
}

/// Returns the value of the TXT record of a dns-01 answer.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.4
#[must_use]
pub fn txt_value(answer: &Answer) -> String {
    base64url(&sha256(key_authorization(answer).as_bytes()))
}

#[cfg(test)]
mod tests {
    use perennial_core::words::{ChallengeKind, Identifier, Name};

    use super::*;

    #[test]
    fn the_value_is_the_digest_of_token_and_thumbprint() {
        let answer = Answer {
            solver: Name::new("ns"),
            kind: ChallengeKind::Dns01,
            identifier: Identifier::new("example.org").unwrap(),
            token: "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA".into(),
            thumbprint: "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI".into(),
            place: None,
        };
        // By `printf token.thumbprint | openssl dgst -sha256 -binary | basenc --base64url`.
        assert_eq!(txt_value(&answer), "lCM7cZyQXcVHK2nnW3jjAhNT3Fvm18UN-kWZZknKoYM");
    }
}
