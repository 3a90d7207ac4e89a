//! What is asked of a CA: payloads, before they are signed.
//!
//! Source: RFC 8555 sections 7.3, 7.4, 7.5.1, 7.6, RFC 8738, RFC 9773 section 5,
//! draft-ietf-acme-profiles.

use perennial_core::words::{AriCertId, Identifier, RevocationReason, Url};
use perennial_wire::key::{Jwk, base64url};
use serde::Serialize;

use super::jws::{Jws, json};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount<'a> {
    // Only sent if true: `false` is an agreement refused, and absence is none asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    terms_of_service_agreed: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    contact: &'a [Box<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<Jws>,
}

/// Writes what makes an account, or finds the one that the key has.
pub(super) fn new_account(agreed: bool, contact: &[Box<str>], binding: Option<Jws>) -> String {
    json(&NewAccount {
        terms_of_service_agreed: agreed,
        contact,
        external_account_binding: binding,
    })
}

#[derive(Serialize)]
struct NewOrder<'a> {
    identifiers: Vec<WireIdentifier<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
}

#[derive(Serialize)]
struct WireIdentifier<'a> {
    r#type: &'static str,
    value: &'a str,
}

/// Writes what makes an order.
pub(super) fn new_order(
    identifiers: &[Identifier],
    profile: Option<&str>,
    replaces: Option<&AriCertId>,
) -> String {
    let wire = |identifier| {
        let identifier: &Identifier = identifier;
        let r#type = if identifier.is_ip() { "ip" } else { "dns" };
        WireIdentifier { r#type, value: identifier.as_str() }
    };
    let identifiers = identifiers.iter().map(wire).collect();
    json(&NewOrder { identifiers, profile, replaces: replaces.map(|id| &*id.0) })
}

#[derive(Serialize)]
struct Finalize {
    csr: String,
}

/// Writes what finalizes an order.
pub(super) fn finalize(csr: &[u8]) -> String {
    json(&Finalize { csr: base64url(csr) })
}

#[derive(Serialize)]
struct Revoke {
    certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u8>,
}

/// Writes what revokes a leaf, given in DER.
pub(super) fn revoke(leaf: &[u8], reason: RevocationReason) -> String {
    json(&Revoke { certificate: base64url(leaf), reason: reason.code() })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyChange<'a> {
    account: &'a str,
    old_key: &'a Jwk,
}

/// Writes what the next key of an account agrees to.
//= https://www.rfc-editor.org/rfc/rfc8555#section-7.3.5
pub(super) fn key_change(account: &Url, present: &Jwk) -> String {
    json(&KeyChange { account: &account.0, old_key: present })
}

/// What asks for the account that a key has, without making one.
//= https://www.rfc-editor.org/rfc/rfc8555#section-7.3.1
pub(super) const EXISTING_ACCOUNT: &str = r#"{"onlyReturnExisting":true}"#;

/// What ends an account.
//= https://www.rfc-editor.org/rfc/rfc8555#section-7.3.6
pub(super) const END_ACCOUNT: &str = r#"{"status":"deactivated"}"#;

/// What tells the CA that an answer is up: every known type of challenge takes an empty object.
pub(super) const RESPOND: &str = "{}";

/// What asks for a resource instead of changing it.
//= https://www.rfc-editor.org/rfc/rfc8555#section-6.3
pub(super) const POST_AS_GET: &str = "";

/// Returns where the renewal information of a leaf lies.
//= https://www.rfc-editor.org/rfc/rfc9773#section-4.1
pub(super) fn renewal_info_url(base: &Url, leaf: &AriCertId) -> String {
    format!("{}/{}", base.0.trim_end_matches('/'), leaf.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_say_what_kind_each_name_is() {
        let ids =
            ["*.example.org", "192.0.2.1", "2001:db8::1"].map(|n| Identifier::new(n).unwrap());
        let expected = r#"{"identifiers":[{"type":"dns","value":"*.example.org"},{"type":"ip","value":"192.0.2.1"},{"type":"ip","value":"2001:db8::1"}]}"#;
        assert_eq!(new_order(&ids, None, None), expected);
        let with = new_order(&ids[..1], Some("shortlived"), Some(&AriCertId("a.b".into())));
        let expected = r#"{"identifiers":[{"type":"dns","value":"*.example.org"}],"profile":"shortlived","replaces":"a.b"}"#;
        assert_eq!(with, expected);
    }

    #[test]
    fn a_reason_that_is_none_is_not_sent() {
        let expected = r#"{"certificate":"AQID","reason":1}"#;
        assert_eq!(revoke(&[1, 2, 3], RevocationReason::KeyCompromise), expected);
        let expected = r#"{"certificate":"AQID"}"#;
        assert_eq!(revoke(&[1, 2, 3], RevocationReason::Unspecified), expected);
    }

    #[test]
    fn accounts_are_asked_for_with_what_is_there() {
        assert_eq!(new_account(false, &[], None), "{}");
        let contact = ["mailto:ops@example.org".into()];
        let expected = r#"{"termsOfServiceAgreed":true,"contact":["mailto:ops@example.org"]}"#;
        assert_eq!(new_account(true, &contact, None), expected);
    }

    #[test]
    fn renewal_information_lies_below_its_address_with_one_slash() {
        let leaf = AriCertId("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".into());
        for base in ["https://ca.test/ari", "https://ca.test/ari/"] {
            let url = renewal_info_url(&Url::from(base), &leaf);
            assert_eq!(url, "https://ca.test/ari/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        }
    }
}
