//! The standing record of dns-persist-01: written, read and compared.
//!
//! Its text is an issue-value of CAA: the CA's name, then parameters. It is read as strictly as
//! Boulder and Pebble do, since what they refuse proves nothing, however close it is.
//!
//! Source: draft-ietf-acme-dns-persist-01 section 3; RFC 8659 section 4.2; CA/Browser Forum BR
//! 3.2.2.4.22.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Url;

/// What a standing record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The name of the CA that it allows.
    pub issuer: Box<str>,
    /// The account that it allows, as the CA names it.
    pub account_uri: Box<str>,
    /// The account's URL: once our account has another, the record is of no use any more.
    pub account: Url,
    /// Whether it allows wildcards too.
    pub wildcard: bool,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; accounturi={}", self.issuer, self.account_uri)?;
        if self.wildcard { f.write_str("; policy=wildcard") } else { Ok(()) }
    }
}

impl Standing {
    /// Returns whether a text found in DNS allows what this record would. One that has an end is taken
    /// to be within it: whoever gave it one has to know.
    #[must_use]
    pub fn is_said_by(&self, text: &str) -> bool {
        read(text).is_ok_and(|said| {
            *said.issuer == *self.issuer
                && said.account_uri == Some(&*self.account_uri)
                && (said.wildcard || !self.wildcard)
        })
    }
}

/// What a CA says of a challenge that a standing record answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persist {
    /// The names under which a record may allow it; never empty.
    pub issuers: Box<[Box<str>]>,
    /// The account as a record has to name it; absent where the CA leaves it to the account's URL.
    pub account_uri: Option<Box<str>>,
}

impl Persist {
    /// Makes what a CA said, if all of it can stand in a record.
    #[must_use]
    pub fn new(issuers: Box<[Box<str>]>, account_uri: Option<Box<str>>) -> Option<Self> {
        let all_fit = issuers.iter().chain(&account_uri).all(|value| fits(value));
        (all_fit && !issuers.is_empty()).then_some(Self { issuers, account_uri })
    }

    /// Returns the record for an account at the CA with this directory; nothing if the CA asks for
    /// one that would let somebody else's account issue.
    ///
    /// The record is obeyed by every CA that it names, for as long as it stays, and all of it is the
    /// CA's word: so the account must be ours, and lie where the directory does.
    #[must_use]
    pub fn record(&self, account: &Url, directory: &str, wildcard: bool) -> Option<Standing> {
        let account_uri = self.account_uri.as_deref().unwrap_or(&account.0);
        let issuer = self.issuers.first()?.clone();
        let is_ours = account_uri == &*account.0 && origin(account_uri) == origin(directory);
        (is_ours && fits(account_uri)).then(|| {
            let (account_uri, account) = (account_uri.into(), account.clone());
            Standing { issuer, account_uri, account, wildcard }
        })
    }
}

/// Returns the part of a URL up to the path.
fn origin(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    Some((scheme, rest.split(['/', '?', '#']).next().unwrap_or(rest)))
}

/// Returns whether a value can stand in a record, and be read again.
#[must_use]
fn fits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| matches!(byte, 0x21..=0x3a | 0x3c..=0x7e))
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said<'a> {
    issuer: &'a str,
    account_uri: Option<&'a str>,
    wildcard: bool,
}

/// Says what of a record is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Malformed {
    Issuer,
    Empty,
    NoValue,
    NoTag,
    Twice,
    Value,
    Account,
    Until,
}

fn read(text: &str) -> Result<Said<'_>, Malformed> {
    let mut parts = text.split(';').map(trim);
    let issuer = parts.next().filter(|issuer| !issuer.is_empty()).ok_or(Malformed::Issuer)?;
    let mut said = Said { issuer, account_uri: None, wildcard: false };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for part in parts {
        if part.is_empty() {
            return Err(Malformed::Empty);
        }
        let (tag, value) = part.split_once('=').ok_or(Malformed::NoValue)?;
        let (tag, value) = (trim(tag).to_ascii_lowercase(), trim(value));
        if tag.is_empty() {
            return Err(Malformed::NoTag);
        }
        if !value.is_empty() && !fits(value) {
            return Err(Malformed::Value);
        }
        match tag.as_str() {
            "accounturi" if value.is_empty() => return Err(Malformed::Account),
            "accounturi" => said.account_uri = Some(value),
            "policy" => said.wildcard = value.eq_ignore_ascii_case("wildcard"),
            "persistuntil" if value.parse::<i64>().is_err() => return Err(Malformed::Until),
            _ => {}
        }
        if !seen.insert(tag) {
            return Err(Malformed::Twice);
        }
    }
    Ok(said)
}

/// Takes away the white space of RFC 8659: blanks and tabs, and nothing else.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const ACCOUNT: &str = "https://ca.test/acct/1";

    fn standing(wildcard: bool) -> Standing {
        Standing {
            issuer: "ca.test".into(),
            account_uri: ACCOUNT.into(),
            account: Url::from(ACCOUNT),
            wildcard,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for wildcard in [false, true] {
            let text = standing(wildcard).to_string();
            assert!(standing(wildcard).is_said_by(&text), "{text}");
        }
        // A record that allows more allows less; not the other way.
        assert!(standing(false).is_said_by(&standing(true).to_string()));
        assert!(!standing(true).is_said_by(&standing(false).to_string()));
    }

    #[test]
    fn no_ca_is_helped_to_anothers_account() {
        let said = |uri: Option<&str>| {
            Persist::new([Box::from("ca.test")].into(), uri.map(Box::from)).unwrap()
        };
        let (own, other) = (Url::from(ACCOUNT), "https://other.test/acct/9");
        let record = |uri, account: &Url, directory| said(uri).record(account, directory, false);
        let directory = "https://ca.test/directory";
        assert_eq!(record(None, &own, directory), Some(standing(false)));
        assert_eq!(record(Some(ACCOUNT), &own, directory), Some(standing(false)));
        assert_eq!(record(Some(other), &own, directory), None);
        assert_eq!(record(Some(other), &Url::from(other), directory), None);
    }

    #[test]
    fn records_are_read_as_strictly_as_boulder_reads_them() {
        let good = Said { issuer: "ca.test", account_uri: Some(ACCOUNT), wildcard: false };
        let wild = Said { wildcard: true, ..good.clone() };
        let anybody = Said { account_uri: None, ..good.clone() };
        let cases = [
            ("ca.test; accounturi=https://ca.test/acct/1", Ok(good.clone())),
            ("\tca.test ;AccountURI = https://ca.test/acct/1 ", Ok(good.clone())),
            ("ca.test;accounturi=https://ca.test/acct/1;policy=WildCard", Ok(wild)),
            ("ca.test;accounturi=https://ca.test/acct/1;policy=other;x=", Ok(good.clone())),
            ("ca.test;accounturi=https://ca.test/acct/1;persistUntil=1767225600", Ok(good)),
            ("ca.test", Ok(anybody)),
            ("", Err(Malformed::Issuer)),
            (";accounturi=https://ca.test/acct/1", Err(Malformed::Issuer)),
            ("ca.test;accounturi=https://ca.test/acct/1;", Err(Malformed::Empty)),
            ("ca.test;;accounturi=https://ca.test/acct/1", Err(Malformed::Empty)),
            ("ca.test;accounturi", Err(Malformed::NoValue)),
            ("ca.test;=x", Err(Malformed::NoTag)),
            ("ca.test;a=1;A=2", Err(Malformed::Twice)),
            ("ca.test;a=b c", Err(Malformed::Value)),
            ("ca.test;a=\u{e4}", Err(Malformed::Value)),
            ("ca.test;accounturi=", Err(Malformed::Account)),
            ("ca.test;persistUntil=soon", Err(Malformed::Until)),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
