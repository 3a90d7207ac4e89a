//! The directory: where a CA takes what, and what it offers.
//!
//! Source: RFC 8555 section 7.1.1, RFC 9773 section 4, draft-ietf-acme-profiles.

use perennial_core::words::{DirectoryFacts, Url};
use perennial_wire::http::Response;
use serde_json::Value;

use super::json;

/// A directory, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// Where nonces come from.
    pub(super) new_nonce: Url,
    /// Where accounts are made.
    pub(super) new_account: Url,
    /// Where orders are made.
    pub(super) new_order: Url,
    /// Where an account is given another key, if it is offered.
    pub(super) key_change: Option<Url>,
    /// Where leaves are revoked, if it is offered.
    pub(super) revoke_cert: Option<Url>,
    /// Below which renewal information lies, if it is offered.
    pub(super) renewal_info: Option<Url>,
    /// What core learns.
    pub(super) facts: DirectoryFacts,
}

impl Directory {
    /// Reads a directory. Without the three addresses that every order needs, it is none.
    ///
    /// # Errors
    ///
    /// Returns what is missing.
    pub(super) fn read(answer: &Response) -> Result<Self, String> {
        let value = json::object(&answer.body)?;
        let needed = |member: &str| {
            let url = json::url(answer, &value, member);
            url.ok_or_else(|| format!("the directory has no usable `{member}`"))
        };
        let renewal_info = json::url(answer, &value, "renewalInfo");
        let meta = value.get("meta").unwrap_or(&Value::Null);
        Ok(Self {
            new_nonce: needed("newNonce")?,
            new_account: needed("newAccount")?,
            new_order: needed("newOrder")?,
            key_change: json::url(answer, &value, "keyChange"),
            revoke_cert: json::url(answer, &value, "revokeCert"),
            facts: facts(answer, meta, renewal_info.is_some()),
            renewal_info,
        })
    }
}

fn facts(answer: &Response, meta: &Value, has_renewal_info: bool) -> DirectoryFacts {
    let profiles = meta.get("profiles").and_then(Value::as_object);
    let names = profiles.into_iter().flat_map(|profiles| profiles.keys());
    let caa = json::entries(meta, "caaIdentities").filter_map(Value::as_str);
    DirectoryFacts {
        has_renewal_info,
        needs_eab: meta.get("externalAccountRequired").and_then(Value::as_bool).unwrap_or(false),
        terms: terms(answer, meta),
        profiles: names.take(json::MAX_ENTRIES).map(|name| json::tame(name, MAX_NAME)).collect(),
        caa_identities: caa.map(|name| json::tame(&name.to_ascii_lowercase(), MAX_NAME)).collect(),
    }
}

/// Reads where the terms are. Pebble has them in the address itself.
fn terms(answer: &Response, meta: &Value) -> Option<Url> {
    let text = json::text(meta, "termsOfService")?;
    let itself = || text.starts_with("data:text/plain,").then(|| json::tame(text, json::MAX_TEXT));
    json::address(answer, text).or_else(|| itself().map(Url))
}

/// How long a profile's name or a CAA identity may be.
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    const WHOLE: &str = r#"{
        "newNonce":"https://ca.test/n","newAccount":"/a","newOrder":"o","revokeCert":"https://ca.test/r",
        "keyChange":"https://ca.test/k","renewalInfo":"https://ca.test/ari/",
        "random-1a2b":"https://community.example/t/adding-random-entries",
        "meta":{"termsOfService":"https://ca.test/tos.pdf","website":"https://ca.test",
          "caaIdentities":["CA.test", 7],"externalAccountRequired":true,
          "profiles":{"classic":"https://x","shortlived":{"odd":1}}}}"#;

    #[test]
    fn a_whole_directory_is_read() {
        let directory = Directory::read(&answer(200, &[], WHOLE)).unwrap();
        assert_eq!(directory.new_account, Url::from("https://ca.test/a"));
        assert_eq!(directory.new_order, Url::from("https://ca.test/acme/o"));
        assert_eq!(directory.renewal_info, Some(Url::from("https://ca.test/ari/")));
        let expected = DirectoryFacts {
            has_renewal_info: true,
            needs_eab: true,
            terms: Some(Url::from("https://ca.test/tos.pdf")),
            profiles: ["classic".into(), "shortlived".into()].into(),
            caa_identities: ["ca.test".into()].into(),
        };
        assert_eq!(directory.facts, expected);
    }

    #[test]
    fn a_poor_directory_is_enough() {
        let body = r#"{"newNonce":"https://ca.test/n","newAccount":"https://ca.test/a",
            "newOrder":"https://ca.test/o","meta":[],"renewalInfo":null}"#;
        let directory = Directory::read(&answer(200, &[], body)).unwrap();
        assert_eq!(directory.facts, DirectoryFacts::default());
    }

    #[test]
    fn terms_are_a_page_or_their_own_text_and_no_script() {
        let table = [
            ("https://ca.test/tos", Some("https://ca.test/tos")),
            ("data:text/plain,Do%20what", Some("data:text/plain,Do%20what")),
            ("data:text/html,<script>", None),
            ("javascript:alert(1)", None),
        ];
        for (text, expected) in table {
            let terms =
                terms(&answer(200, &[], ""), &serde_json::json!({ "termsOfService": text }));
            assert_eq!(terms, expected.map(Url::from), "{text}");
        }
    }

    #[test]
    fn without_the_addresses_that_orders_need_it_is_none() {
        for member in ["newNonce", "newAccount", "newOrder"] {
            let body = WHOLE.replace(&format!("\"{member}\""), "\"x\"");
            let error = Directory::read(&answer(200, &[], &body)).unwrap_err();
            assert!(error.contains(member), "{error}");
        }
        assert!(Directory::read(&answer(200, &[], "<html>")).is_err());
    }
}
