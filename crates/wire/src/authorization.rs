//! What a challenge answer shows: the key authorization, or its digest.

use perennial_core::words::{Answer, ChallengeKind, Identifier, Url};

use crate::digest::sha256;
use crate::key::base64url;

/// Returns the key authorization: the body of an http-01 answer.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.1
#[must_use]
pub fn key_authorization(answer: &Answer) -> String {
    format!("{}.{}", answer.token, answer.thumbprint)
}

/// Returns the value of the TXT record of an answer in DNS: the digest, or what a record that stays
/// has to say.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.4
#[must_use]
pub fn txt_value(answer: &Answer) -> String {
    match &answer.standing {
        Some(standing) => standing.to_string(),
        None => base64url(&digest(answer)),
    }
}

/// Returns whether a text found in DNS is an answer: the very value, or a record that allows what one
/// that stays would.
#[must_use]
pub fn is_shown_by(answer: &Answer, text: &[u8]) -> bool {
    match &answer.standing {
        Some(standing) => std::str::from_utf8(text).is_ok_and(|text| standing.is_said_by(text)),
        None => text == txt_value(answer).as_bytes(),
    }
}

/// Returns the digest of the key authorization: what the certificate of a tls-alpn-01 answer holds.
///
//= https://www.rfc-editor.org/rfc/rfc8737#section-3
#[must_use]
pub fn digest(answer: &Answer) -> [u8; 32] {
    sha256(key_authorization(answer).as_bytes())
}

/// Returns the name at which a CA looks for a DNS answer: where the CNAME chain begins.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.4
#[must_use]
pub fn record_name(kind: &ChallengeKind, identifier: &Identifier, account: &Url) -> String {
    let base = identifier.base();
    match kind {
        ChallengeKind::DnsAccount01 => {
            format!("_{}._acme-challenge.{base}", account_label(account))
        }
        // draft-ietf-acme-dns-persist-01 section 3.
        ChallengeKind::DnsPersist01 => format!("_validation-persist.{base}"),
        ChallengeKind::Http01
        | ChallengeKind::Dns01
        | ChallengeKind::TlsAlpn01
        | ChallengeKind::Other(_) => format!("_acme-challenge.{base}"),
    }
}

/// Returns the label of an account, without its underscore: base32 in lower case of the first ten
/// bytes of the digest of its URL.
///
/// Source: draft-ietf-acme-dns-account-label-02 section 3.2; base32 is RFC 4648 section 6.
fn account_label(account: &Url) -> String {
    const BITS: usize = 80;
    let digest = sha256(account.0.as_bytes());
    let first = digest.iter().take(BITS / 8).fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    let letter = |at: usize| match u8::try_from(first >> (BITS - 5 - 5 * at) & 31) {
        Ok(value @ 0..26) => char::from(b'a' + value),
        Ok(value) => char::from(b'2' + value - 26),
        Err(_) => '-',
    };
    (0..BITS / 5).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use perennial_core::words::Name;

    use super::*;

    #[test]
    fn the_record_of_an_account_has_a_label_of_its_url() {
        let account = Url::from("https://example.com/acme/acct/ExampleAccount");
        let name = Identifier::new("*.example.org").unwrap();
        let of = |kind| record_name(&kind, &name, &account);
        // The draft's own example.
        assert_eq!(
            of(ChallengeKind::DnsAccount01),
            "_ujmmovf2vn55tgye._acme-challenge.example.org"
        );
        assert_eq!(of(ChallengeKind::Dns01), "_acme-challenge.example.org");
        assert_eq!(of(ChallengeKind::DnsPersist01), "_validation-persist.example.org");
    }

    #[test]
    fn the_value_is_the_digest_of_token_and_thumbprint() {
        let answer = Answer {
            solver: Name::new("ns"),
            kind: ChallengeKind::Dns01,
            identifier: Identifier::new("example.org").unwrap(),
            token: "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA".into(),
            thumbprint: "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI".into(),
            place: None,
            standing: None,
        };
        // By `printf token.thumbprint | openssl dgst -sha256 -binary | basenc --base64url`.
        assert_eq!(txt_value(&answer), "lCM7cZyQXcVHK2nnW3jjAhNT3Fvm18UN-kWZZknKoYM");
    }
}
