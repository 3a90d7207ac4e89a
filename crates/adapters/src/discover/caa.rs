//! CAA: which CAs may issue.
//!
//! The records that count are those of the closest name, going up from the one to be validated, that
//! has any; at each name an alias is followed, but the climb goes on from the name itself.
//!
//! Source: RFC 8659 sections 3 to 5, RFC 8657.

use perennial_wire::dns::{RecordType, Resolver, parent};

use super::Unknown;

/// The CAA records that count for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaFacts {
    /// The name at which records were found; nothing if there are none up to the top.
    pub found_at: Option<String>,
    /// The names that it is an alias of.
    pub aliases: Vec<String>,
    /// The records.
    pub records: Vec<CaaRecord>,
}

/// One CAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecord {
    /// Whether a CA that does not know the tag must not issue.
    pub critical: bool,
    /// The tag, in lower case.
    pub tag: String,
    /// The value.
    pub value: String,
}

/// How many labels are climbed.
const MAX_CLIMB: usize = 32;

pub(super) async fn look(resolver: &Resolver, name: &str) -> Result<CaaFacts, Unknown> {
    let mut at = Some(name);
    for _ in 0..MAX_CLIMB {
        let Some(here) = at.filter(|here| !here.is_empty()) else { break };
        let found = resolver.lookup(here, RecordType::CAA).await?;
        let records = found.caa();
        if !records.is_empty() {
            let record = |caa: &perennial_wire::dns::proto::rdata::CAA| CaaRecord {
                critical: caa.issuer_critical,
                tag: caa.tag.to_ascii_lowercase(),
                value: String::from_utf8_lossy(&caa.value).into_owned(),
            };
            let records = records.iter().map(record).collect();
            return Ok(CaaFacts { found_at: Some(here.into()), aliases: found.aliases, records });
        }
        at = parent(here);
    }
    Ok(CaaFacts { found_at: None, aliases: Vec::new(), records: Vec::new() })
}

/// Who may issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Every CA.
    Everybody,
    /// The CAs of these names, perhaps for some accounts or methods only.
    Only(Vec<String>),
    /// No CA.
    Nobody,
    /// No CA that does not know this critical tag; none does.
    UnknownTag(String),
}

impl Allowance {
    /// Returns whether a CA that goes by these names in CAA records may issue.
    #[must_use]
    pub fn allows(&self, identities: &[&str]) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(allowed) => {
                allowed.iter().any(|name| identities.iter().any(|own| name == own))
            }
            Self::Nobody | Self::UnknownTag(_) => false,
        }
    }
}

/// Tags that CAs know: RFC 8659, RFC 9495, and those of the CA/Browser Forum.
const KNOWN_TAGS: [&str; 7] =
    ["issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"];

/// Evaluates records for a name or, with `wildcard`, for the names below it.
#[must_use]
pub fn allowance(records: &[CaaRecord], wildcard: bool) -> Allowance {
    let unknown = |r: &&CaaRecord| r.critical && !KNOWN_TAGS.contains(&r.tag.as_str());
    if let Some(record) = records.iter().find(unknown) {
        return Allowance::UnknownTag(record.tag.clone());
    }
    let tagged =
        |tag: &str| -> Vec<&CaaRecord> { records.iter().filter(|r| r.tag == tag).collect() };
    let wild = tagged("issuewild");
    let rules = if wildcard && !wild.is_empty() { wild } else { tagged("issue") };
    if rules.is_empty() {
        return Allowance::Everybody;
    }
    // What stands before the first `;` is the CA; nothing there allows nobody.
    let issuer = |record: &&CaaRecord| {
        let name = record.value.split(';').next().unwrap_or_default();
        name.trim().trim_end_matches('.').to_ascii_lowercase()
    };
    let mut allowed: Vec<String> =
        rules.iter().map(issuer).filter(|name| !name.is_empty()).collect();
    allowed.sort();
    allowed.dedup();
    if allowed.is_empty() { Allowance::Nobody } else { Allowance::Only(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> CaaRecord {
        let mut parts = text.splitn(3, ' ');
        CaaRecord {
            critical: parts.next() == Some("128"),
            tag: parts.next().unwrap().to_owned(),
            value: parts.next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn records_allow_what_rfc_8659_says() {
        let only =
            |names: &[&str]| Allowance::Only(names.iter().map(ToString::to_string).collect());
        let le = || only(&["letsencrypt.org"]);
        let cases: [(&[&str], Allowance, Allowance); 9] = [
            (&[], Allowance::Everybody, Allowance::Everybody),
            (&["0 iodef mailto:a@b.c"], Allowance::Everybody, Allowance::Everybody),
            (&["0 issue letsencrypt.org"], le(), le()),
            (&["0 issue LetsEncrypt.org. ; accounturi=https://x/1"], le(), le()),
            (&["0 issue ;"], Allowance::Nobody, Allowance::Nobody),
            (
                &["0 issue letsencrypt.org", "0 issue pki.goog", "0 issuewild ;"],
                only(&["letsencrypt.org", "pki.goog"]),
                Allowance::Nobody,
            ),
            (&["0 issuewild letsencrypt.org"], Allowance::Everybody, le()),
            (&["0 issue ;", "0 issue letsencrypt.org"], le(), le()),
            (
                &["128 tbs x", "0 issue letsencrypt.org"],
                Allowance::UnknownTag("tbs".into()),
                Allowance::UnknownTag("tbs".into()),
            ),
        ];
        for (texts, plain, wildcard) in cases {
            let records: Vec<CaaRecord> = texts.iter().map(|text| record(text)).collect();
            assert_eq!(allowance(&records, false), plain, "{texts:?}");
            assert_eq!(allowance(&records, true), wildcard, "{texts:?} for a wildcard");
        }
    }
}
