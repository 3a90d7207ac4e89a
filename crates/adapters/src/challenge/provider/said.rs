//! What the library says when something goes wrong.
//!
//! Its errors are texts: a status and a snippet of the body, mostly. Here they are read once, into
//! one of a few kinds, and made fit to be kept for ever: without credentials, without the query of
//! any URL (some providers take their token there), on one line, and short.

use std::fmt;

use dns_update::Error;
use zeroize::Zeroizing;

use super::Credentials;

/// What the provider, or the way to it, said.
#[derive(Debug)]
pub(in super::super) struct Said {
    pub(in super::super) kind: SaidKind,
    text: String,
}

/// What is to be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum SaidKind {
    /// It takes the credentials for nobody's, or they may not do this.
    Unauthorized,
    /// The account has no such zone.
    NoZone,
    /// It refuses the request.
    Refused,
    /// It, or the way to it, has trouble, or asks to be left alone for a while.
    Trouble,
    /// What it did is not what was asked for.
    NotDone,
    /// Somebody else's value stands where a name has one value.
    Taken,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Said {
    pub(super) fn new(kind: SaidKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(super) fn read(error: &Error, hidden: &Hidden) -> Self {
        let text = match error {
            Error::Unauthorized => "it does not know the credentials (HTTP 401)".to_owned(),
            Error::NotFound => "it has no such zone (HTTP 404)".to_owned(),
            other => hidden.cleared(bare(other)),
        };
        Self { kind: kind(error), text }
    }
}

/// Says what is wrong with credentials of which no client can be made.
pub(super) fn of_credentials(error: &Error, credentials: &Credentials) -> String {
    Hidden::of(credentials).cleared(bare(error))
}

/// Returns the library's text without the name of its variant, which says nothing to a reader.
fn bare(error: &Error) -> String {
    match error {
        Error::Protocol(text)
        | Error::Parse(text)
        | Error::Client(text)
        | Error::Response(text)
        | Error::Api(text)
        | Error::Serialize(text)
        | Error::Unsupported(text) => text.clone(),
        other => other.to_string(),
    }
}

fn kind(error: &Error) -> SaidKind {
    match error {
        Error::Unauthorized => SaidKind::Unauthorized,
        Error::NotFound => SaidKind::NoZone,
        Error::BadRequest | Error::Unsupported(_) | Error::InvalidRegion => SaidKind::Refused,
        Error::Api(text) | Error::Client(text) => kind_of_text(text),
        // What it answered could not be read: a proxy's page, most often.
        _ => SaidKind::Trouble,
    }
}

fn kind_of_text(text: &str) -> SaidKind {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // A body may quote anything, so that only the status at the beginning counts as one.
    let status = text.strip_prefix("http ").and_then(|rest| rest.get(..3));
    if says(BUSY) || matches!(status, Some("408" | "425" | "429")) {
        SaidKind::Trouble
    } else if says(MAY_NOT) || matches!(status, Some("401" | "403")) {
        SaidKind::Unauthorized
    } else if says(MISSING) && says(ZONE) {
        SaidKind::NoZone
    } else if text.starts_with("badrequest") || status.is_some_and(|code| code.starts_with('4')) {
        SaidKind::Refused
    } else {
        SaidKind::Trouble
    }
}

/// Words of those who have had too much, or who will be better soon.
const BUSY: &[&str] = &[
    "throttl",
    "rate limit",
    "ratelimit",
    "rate exceeded",
    "too many requests",
    "try again",
    "temporarily",
    "priorrequestnotcomplete",
];

/// Words of those who refuse the credentials.
const MAY_NOT: &[&str] = &[
    "accessdenied",
    "access denied",
    "unauthorized",
    "unauthorised",
    "not authorized",
    "forbidden",
    "permission",
    "authentication",
    "authfailure",
    "auth failed",
    "invalid token",
    "invalid api key",
    "invalid credential",
    "invalidclienttokenid",
    "signaturedoesnotmatch",
    "unrecognizedclient",
    "invalidsignature",
    "expiredtoken",
    "invalid access token",
];

const MISSING: &[&str] = &["not found", "no matching", "no suitable", "no such", "found for"];

const ZONE: &[&str] = &["zone", "domain"];

/// Texts that must not be told.
#[derive(Clone)]
pub(super) struct Hidden(Vec<Zeroizing<String>>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl Hidden {
    /// Hides every credential, as it is and as it stands in a URL.
    pub(super) fn of(credentials: &Credentials) -> Self {
        let values = credentials.values().map(|value| value.trim());
        let long = values.filter(|value| value.len() >= HIDDEN_FROM);
        let both = long.flat_map(|value| [value.to_owned(), percent_encoded(value)]);
        let mut hidden: Vec<_> = both.map(Zeroizing::new).collect();
        // The longest first: one may be a part of another.
        hidden.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(hidden)
    }

    fn cleared(&self, text: String) -> String {
        let text = self.0.iter().fold(text, |text, value| text.replace(value.as_str(), "***"));
        let text = without_queries(&text);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.chars().map(plain).take(TOLD_AT_MOST).collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// From which length on a credential is hidden; shorter ones are words that say nothing.
const HIDDEN_FROM: usize = 4;

/// How much of a text is kept.
const TOLD_AT_MOST: usize = 400;

/// Source: RFC 3986 section 2.
fn percent_encoded(value: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
}

/// Cuts the query off every URL.
fn without_queries(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at);
        told.push_str(before);
        let end = url.find(ENDS_URL).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        told.push_str(url.split('?').next().unwrap_or_default());
        rest = after;
    }
    told.push_str(rest);
    told
}

const ENDS_URL: [char; 7] = [' ', '"', '\'', ')', '>', '\n', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_into_one_kind() {
        use SaidKind::{NoZone, Refused, Trouble, Unauthorized};
        let api = |text: &str| Error::Api(text.to_owned());
        let table = [
            (Error::Unauthorized, Unauthorized),
            (Error::NotFound, NoZone),
            (Error::BadRequest, Refused),
            (Error::Unsupported("TLSA".into()), Refused),
            (Error::Serialize("expected value at line 1".into()), Trouble),
            (api("Failed to send request to https://x/: error sending request"), Trouble),
            (api("HTTP 403: {\"error\":\"nope\"}"), Unauthorized),
            (api("HTTP 429"), Trouble),
            (api("HTTP 502: <html>"), Trouble),
            (api("HTTP 422: {\"error\":\"RRset _acme: Conflicts\"}"), Refused),
            (api("HTTP 500: the record 403 is there"), Trouble),
            (api("BadRequest <Code>Throttling</Code><Message>Rate exceeded</Message>"), Trouble),
            (api("BadRequest <Code>InvalidSignature</Code>"), Unauthorized),
            (api("BadRequest {\"errors\":[{\"message\":\"Invalid access token\"}]}"), Unauthorized),
            (api("BadRequest InvalidChangeBatch"), Refused),
            (api("No suitable hosted zone found for name: a.example.org."), NoZone),
            (api("Linode domain example.org not found"), NoZone),
        ];
        for (error, expected) in table {
            assert_eq!(kind(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn no_credential_and_no_query_is_told() {
        let value = |text: &str| Zeroizing::new(text.to_owned());
        let credentials = Credentials::from([
            ("token".to_owned(), value("s3cr+t/x")),
            ("user".to_owned(), value("s3cr")),
            ("short".to_owned(), value("ok")),
        ]);
        let hidden = Hidden::of(&credentials);
        let text = "GET (https://x.example/update?token=other&txt=v): body s3cr+t/x\n\tok \
                    s3cr%2Bt%2Fx s3cr";
        let said = Said::read(&Error::Api(text.to_owned()), &hidden);
        assert_eq!(said.to_string(), "GET (https://x.example/update): body *** ok *** ***");
        assert!(!format!("{hidden:?}{said:?}").contains("s3cr"));
        let long = Said::read(&Error::Api("x ".repeat(4000)), &hidden);
        assert!(long.to_string().len() <= TOLD_AT_MOST);
    }
}
