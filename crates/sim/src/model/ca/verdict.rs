//! How a CA judges what its validation found: the words and kinds of Boulder's errors.
//!
//! Looking things up is the surroundings' work; judging is done here, once, for the sandbox and the
//! simulator alike.

use perennial_core::words::{ChallengeKind, Identifier, Problem, Standing, Url};

use super::message::Validation;
use super::problem::{problem, unauthorized};
use crate::model::dns::{Caa, Data, Kind, Lookup};

/// What fetching an http-01 answer met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// An answer.
    Answer {
        /// The address that answered.
        from: Box<str>,
        /// The HTTP status, after redirects.
        status: u16,
        /// The beginning of the body.
        body: Box<str>,
    },
    /// The name could not be resolved.
    NoAddress(Lookup),
    /// No connection, or no whole answer: "Connection refused", "Timeout during connect".
    Failed {
        /// Which address was tried.
        address: Box<str>,
        /// What happened.
        cause: Box<str>,
    },
}

/// Judges what was found at the record's name of a dns-01 or dns-account-01 answer.
///
/// `digest` is base64url of the key authorization's SHA-256, which the surroundings compute.
///
/// # Errors
///
/// Returns the problem that the challenge then shows.
///
/// Source: RFC 8555 section 8.4.
pub fn dns01(name: &str, digest: &str, found: &Lookup) -> Result<(), Problem> {
    looked_up(found, "TXT", name)?;
    let texts: Vec<&str> = found
        .data(Kind::Txt)
        .filter_map(|data| if let Data::Txt(text) = data { Some(&**text) } else { None })
        .collect();
    if texts.contains(&digest) {
        return Ok(());
    }
    let detail = match texts.as_slice() {
        [] => format!("No TXT record found at {name}"),
        [wrong] => format!("Incorrect TXT record \"{wrong}\" found at {name}"),
        [wrong, others @ ..] => {
            format!("Incorrect TXT record \"{wrong}\" (and {} more) found at {name}", others.len())
        }
    };
    Err(unauthorized(detail))
}

/// Judges an http-01 answer.
///
/// # Errors
///
/// Returns the problem that the challenge then shows.
///
/// Source: RFC 8555 section 8.3.
pub fn http01(validation: &Validation, found: &Fetched) -> Result<(), Problem> {
    let base = validation.identifier.base();
    let url = format!("http://{base}/.well-known/acme-challenge/{}", validation.token);
    match found {
        Fetched::NoAddress(lookup) => {
            looked_up(lookup, "A", base)?;
            Err(problem(
                400,
                "dns",
                format!(
                    "no valid A records found for {base}; no valid AAAA records found for {base}"
                ),
            ))
        }
        Fetched::Failed { address, cause } => {
            let detail = format!("{address}: Fetching {url}: {cause}");
            Err(problem(400, "connection", detail))
        }
        Fetched::Answer { from, status, body } => {
            if *status != 200 {
                let detail = format!("{from}: Invalid response from {url}: {status}");
                return Err(unauthorized(detail));
            }
            //= https://www.rfc-editor.org/rfc/rfc8555#section-8.3
            let expected = validation.key_authorization();
            if body.trim_end() == expected {
                return Ok(());
            }
            let shown: String = body.chars().take(80).collect();
            let detail = format!(
                "The key authorization file from the server did not match this challenge. \
                 Expected \"{expected}\" (got \"{shown}\")"
            );
            Err(unauthorized(detail))
        }
    }
}

/// Judges what was found at the record's name of a dns-persist-01 challenge. A CA here is known by the
/// first of its `issuers`.
///
/// # Errors
///
/// Returns the problem that the challenge then shows.
///
/// Source: draft-ietf-acme-dns-persist-01 section 4.
pub fn dns_persist01(
    validation: &Validation,
    issuers: &[Box<str>],
    found: &Lookup,
) -> Result<(), Problem> {
    let name = format!("_validation-persist.{}", validation.identifier.base());
    looked_up(found, "TXT", &name)?;
    let wanted = issuers.iter().map(|issuer| Standing {
        issuer: issuer.clone(),
        account_uri: validation.account.0.clone(),
        account: validation.account.clone(),
        wildcard: validation.identifier.is_wildcard(),
    });
    let wanted: Vec<Standing> = wanted.collect();
    let mut texts = found.data(Kind::Txt).filter_map(|data| match data {
        Data::Txt(text) => Some(&**text),
        _ => None,
    });
    if texts.any(|text| wanted.iter().any(|wanted| wanted.is_said_by(text))) {
        return Ok(());
    }
    Err(unauthorized(format!("No valid TXT record found at {name}")))
}

/// What a tls-alpn-01 handshake met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shaken {
    /// A certificate.
    Certificate {
        /// The address that showed it.
        from: Box<str>,
        /// Its names, as in the certificate.
        names: Vec<Box<str>>,
        /// What its acmeIdentifier extension holds, in whatever form the surroundings compare.
        digest: Option<Box<str>>,
    },
    /// The name could not be resolved.
    NoAddress(Lookup),
    /// No connection, or no handshake by `acme-tls/1`.
    Failed {
        /// Which address was tried.
        address: Box<str>,
        /// What happened.
        cause: Box<str>,
        /// Whether there was a connection.
        connected: bool,
    },
}

/// Judges a tls-alpn-01 handshake.
///
/// # Errors
///
/// Returns the problem that the challenge then shows.
///
/// Source: RFC 8737 section 3; the words are Boulder's.
pub fn tls_alpn01(validation: &Validation, expected: &str, found: &Shaken) -> Result<(), Problem> {
    let base = validation.identifier.base();
    match found {
        Shaken::NoAddress(lookup) => {
            looked_up(lookup, "A", base)?;
            Err(problem(400, "dns", format!("no valid A records found for {base}")))
        }
        Shaken::Failed { address, cause, connected } => {
            let kind = if *connected { "tls" } else { "connection" };
            Err(problem(400, kind, format!("{address}: {cause}")))
        }
        Shaken::Certificate { from, names, digest } => {
            let wrong = |what: String| {
                Err(unauthorized(format!(
                    "Incorrect validation certificate for tls-alpn-01 challenge. Requested {base} \
                     from {from}. {what}"
                )))
            };
            if names.len() != 1 || names.iter().any(|name| **name != *base) {
                return wrong(format!("Received certificate with identifiers {names:?}"));
            }
            match digest {
                Some(digest) if **digest == *expected => Ok(()),
                Some(digest) => wrong(format!(
                    "Received certificate with acmeIdentifier extension value {digest} but \
                     expected {expected}"
                )),
                None => wrong("Received certificate with no acmeIdentifier extension".to_owned()),
            }
        }
    }
}

/// For whom CAA is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct CaaQuestion<'a> {
    /// The names under which the CA may be allowed.
    pub identities: &'a [Box<str>],
    /// Which name; a wildcard keeps its `*.`.
    pub identifier: &'a Identifier,
    /// The account that asks.
    pub account: &'a Url,
    /// How the name was validated.
    pub kind: &'a ChallengeKind,
}

/// Returns the names at which CAA records are looked for: the name, then its parents up to, not
/// including, the root. The first with records decides. An address has none.
///
/// Source: RFC 8659 section 3.
pub fn caa_names(identifier: &Identifier) -> impl Iterator<Item = &str> {
    let first = (!identifier.is_ip()).then(|| identifier.base());
    std::iter::successors(first, |name| name.split_once('.').map(|(_, parent)| parent))
}

/// Judges the CAA records found at the first name that has some, or the lookup that failed.
///
/// # Errors
///
/// Returns the problem that the challenge then shows.
///
/// Source: RFC 8659 section 4, RFC 8657.
pub fn caa(question: &CaaQuestion<'_>, name: &str, found: &Lookup) -> Result<(), Problem> {
    let identifier = question.identifier;
    if let Err(failed) = looked_up(found, "CAA", name)
        && *found != Lookup::NoName
    {
        let detail = format!("While processing CAA for {identifier}: {}", failed.detail);
        return Err(Problem { detail: detail.into(), ..failed });
    }
    let records: Vec<&Caa> = found
        .data(Kind::Caa)
        .filter_map(|data| if let Data::Caa(caa) = data { Some(caa) } else { None })
        .collect();
    if allows(question, &records) {
        return Ok(());
    }
    let detail =
        format!("While processing CAA for {identifier}: CAA record for {name} prevents issuance");
    Err(problem(403, "caa", detail))
}

fn allows(question: &CaaQuestion<'_>, records: &[&Caa]) -> bool {
    let tagged = |tag: &str| -> Vec<&Caa> {
        records.iter().copied().filter(|caa| caa.tag.eq_ignore_ascii_case(tag)).collect()
    };
    let known = ["issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone"];
    let unknown = |caa: &&&Caa| !known.iter().any(|tag| caa.tag.eq_ignore_ascii_case(tag));
    if records.iter().filter(unknown).any(|caa| caa.critical) {
        return false;
    }
    let mut relevant = tagged("issue");
    if question.identifier.is_wildcard() && !tagged("issuewild").is_empty() {
        relevant = tagged("issuewild");
    }
    relevant.is_empty() || relevant.iter().any(|caa| value_allows(question, &caa.value))
}

/// Source: RFC 8659 section 4.2, RFC 8657 sections 3 and 4.
fn value_allows(question: &CaaQuestion<'_>, value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default();
    let ours = question.identities.iter().any(|own| own.eq_ignore_ascii_case(issuer));
    ours && parts.filter(|part| !part.is_empty()).all(|part| {
        let Some((tag, value)) = part.split_once('=') else { return false };
        match tag.trim() {
            "accounturi" => value.trim() == &*question.account.0,
            "validationmethods" => {
                value.split(',').any(|method| method.trim() == question.kind.as_str())
            }
            _ => true,
        }
    })
}

/// Returns the problem of a lookup that failed.
fn looked_up(found: &Lookup, kind: &str, name: &str) -> Result<(), Problem> {
    let cause = match found {
        Lookup::Found(_) => return Ok(()),
        Lookup::NoName => {
            format!(
                "NXDOMAIN looking up {kind} for {name} - check that a DNS record exists for this \
                 domain"
            )
        }
        Lookup::ServFail => {
            format!(
                "SERVFAIL looking up {kind} for {name} - the domain's nameservers may be \
                 malfunctioning"
            )
        }
        Lookup::Silence => format!("query timed out looking up {kind} for {name}"),
    };
    Err(problem(400, "dns", format!("DNS problem: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dns::Record;

    fn records(data: Vec<Data>) -> Lookup {
        let record = |data| Record { name: "x.test".into(), ttl: 60, data };
        Lookup::Found(data.into_iter().map(record).collect())
    }

    fn validation() -> Validation {
        Validation {
            authorization: super::super::AuthorizationId(1),
            kind: ChallengeKind::Dns01,
            identifier: Identifier::new("x.test").unwrap(),
            token: "token".into(),
            thumbprint: "thumb".into(),
            account: Url::from("https://ca.test/acct/1"),
        }
    }

    fn short(verdict: Result<(), Problem>) -> String {
        verdict
            .map_or_else(|problem| format!("{} {}", problem.kind, problem.detail), |()| "ok".into())
    }

    #[test]
    fn handshakes_are_judged_in_boulders_words() {
        let shown = |name: &str, digest: Option<&str>| Shaken::Certificate {
            from: "192.0.2.1:443".into(),
            names: vec![name.into()],
            digest: digest.map(Box::from),
        };
        let incorrect = "unauthorized Incorrect validation certificate for tls-alpn-01 challenge. \
                         Requested x.test from 192.0.2.1:443. Received certificate with ";
        let cases = [
            (shown("x.test", Some("digest")), "ok".to_owned()),
            (shown("y.test", Some("digest")), format!("{incorrect}identifiers [\"y.test\"]")),
            (shown("x.test", None), format!("{incorrect}no acmeIdentifier extension")),
            (
                shown("x.test", Some("other")),
                format!("{incorrect}acmeIdentifier extension value other but expected digest"),
            ),
            (
                Shaken::Failed {
                    address: "192.0.2.1".into(),
                    cause: "Connection refused".into(),
                    connected: false,
                },
                "connection 192.0.2.1: Connection refused".to_owned(),
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(short(tls_alpn01(&validation(), "digest", &found)), expected);
        }
    }

    #[test]
    fn dns_answers_are_judged_in_boulders_words() {
        let txt = |text: &str| Data::Txt(text.into());
        let cases = [
            (records(vec![txt("other"), txt("digest")]), "ok"),
            (records(vec![]), "unauthorized No TXT record found at _acme-challenge.x.test"),
            (
                records(vec![txt("a"), txt("b")]),
                "unauthorized Incorrect TXT record \"a\" (and 1 more) found at \
                 _acme-challenge.x.test",
            ),
            (
                Lookup::NoName,
                "dns DNS problem: NXDOMAIN looking up TXT for _acme-challenge.x.test - check that \
                 a DNS record exists for this domain",
            ),
            (
                Lookup::Silence,
                "dns DNS problem: query timed out looking up TXT for _acme-challenge.x.test",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(short(dns01("_acme-challenge.x.test", "digest", &found)), expected);
        }
    }

    #[test]
    fn http_answers_are_judged_by_status_and_body() {
        let answer = |status, body: &str| Fetched::Answer {
            from: "192.0.2.1".into(),
            status,
            body: body.into(),
        };
        assert_eq!(short(http01(&validation(), &answer(200, "token.thumb\n"))), "ok");
        assert!(short(http01(&validation(), &answer(404, ""))).starts_with("unauthorized"));
        assert!(short(http01(&validation(), &answer(200, "<html>"))).contains("did not match"));
        let failed =
            Fetched::Failed { address: "192.0.2.1".into(), cause: "Connection refused".into() };
        assert!(
            short(http01(&validation(), &failed)).starts_with("connection 192.0.2.1: Fetching")
        );
        assert!(
            short(http01(&validation(), &Fetched::NoAddress(records(vec![]))))
                .starts_with("dns no valid A")
        );
    }

    #[test]
    fn caa_is_evaluated_as_rfc_8659_and_8657_say() {
        let own = [Box::from("ca.test")];
        let account = Url::from("https://ca.test/acct/1");
        let cases = [
            ("x.test", vec![], true),
            ("x.test", vec![("issue", "ca.test", false)], true),
            ("x.test", vec![("issue", ";", false)], false),
            ("x.test", vec![("issue", "other.test", false), ("issue", "CA.test", false)], true),
            ("x.test", vec![("issuewild", ";", false)], true),
            ("*.x.test", vec![("issue", "ca.test", false), ("issuewild", ";", false)], false),
            ("*.x.test", vec![("issue", "ca.test", false)], true),
            ("x.test", vec![("tbs", "", true)], false),
            ("x.test", vec![("tbs", "", false)], true),
            ("x.test", vec![("issue", "ca.test; accounturi=https://ca.test/acct/1", false)], true),
            ("x.test", vec![("issue", "ca.test; accounturi=https://ca.test/acct/2", false)], false),
            ("x.test", vec![("issue", "ca.test; validationmethods=dns-01,http-01", false)], true),
            ("x.test", vec![("issue", "ca.test; validationmethods=http-01", false)], false),
        ];
        for (name, found, allowed) in cases {
            let caa_of = |(tag, value, critical): &(&str, &str, bool)| {
                Data::Caa(Caa { critical: *critical, tag: (*tag).into(), value: (*value).into() })
            };
            let identifier = Identifier::new(name).unwrap();
            let (identities, kind) = (&own[..], &ChallengeKind::Dns01);
            let question =
                CaaQuestion { identities, identifier: &identifier, account: &account, kind };
            let verdict = caa(&question, "x.test", &records(found.iter().map(caa_of).collect()));
            assert_eq!(verdict.is_ok(), allowed, "{name} {found:?}");
        }
        let identifier = Identifier::new("*.a.x.test").unwrap();
        assert_eq!(caa_names(&identifier).collect::<Vec<_>>(), ["a.x.test", "x.test", "test"]);
    }
}
