//! Who runs a name server, an edge or a validation service, told by its name.
//!
//! The table is `operators.txt`: a line for each, `kind pattern name`. A pattern is compared label by
//! label from the right; a label of it may end in `*`.

use std::sync::OnceLock;

/// Somebody who serves other people's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What names of this pattern are for.
    pub kind: OperatorKind,
    /// Who it is.
    pub name: &'static str,
}

/// What names of a pattern are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorKind {
    /// Name servers of customers' zones.
    Dns,
    /// Addresses before customers' origins.
    Edge,
    /// Challenge answers that only this operator can give.
    Validation,
    /// Challenge answers that the customer gives through this operator.
    Delegation,
}

/// Returns who a name belongs to, where the table knows; the longest pattern wins.
#[must_use]
pub fn operator_of(name: &str) -> Option<Operator> {
    let fitting = table().iter().filter(|entry| fits(name, entry.pattern));
    fitting.max_by_key(|entry| entry.pattern.len()).map(|entry| entry.operator)
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pattern: &'static str,
    operator: Operator,
}

fn table() -> &'static [Entry] {
    static TABLE: OnceLock<Vec<Entry>> = OnceLock::new();
    TABLE.get_or_init(|| include_str!("operators.txt").lines().filter_map(entry).collect())
}

fn entry(line: &'static str) -> Option<Entry> {
    let mut words = line.splitn(3, ' ');
    let kind = match words.next()? {
        "dns" => OperatorKind::Dns,
        "edge" => OperatorKind::Edge,
        "validation" => OperatorKind::Validation,
        "delegation" => OperatorKind::Delegation,
        _ => return None,
    };
    let pattern = words.next()?;
    let name = words.next()?.trim();
    Some(Entry { pattern, operator: Operator { kind, name } })
}

fn fits(name: &str, pattern: &str) -> bool {
    let mut labels = name.rsplit('.');
    pattern.rsplit('.').all(|wanted| {
        let Some(label) = labels.next() else { return false };
        match wanted.strip_suffix('*') {
            Some(head) => label.starts_with(head),
            None => label == wanted,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_known_by_their_names() {
        let cases = [
            ("ada.ns.cloudflare.com", Some("Cloudflare")),
            ("ns-12.awsdns-34.co.uk", Some("Amazon Route 53")),
            ("ns-cloud-a1.googledomains.com", Some("Google Cloud DNS")),
            ("ns1-03.azure-dns.com", Some("Azure DNS")),
            ("dns1.p05.nsone.net", Some("NS1")),
            ("evil-ns.cloudflare.com.example.org", None),
            ("notcloudflare.com", None),
            ("ns.example.org", None),
        ];
        for (name, operator) in cases {
            assert_eq!(operator_of(name).map(|operator| operator.name), operator, "{name}");
        }
        let validation = operator_of("abc.fastly-validations.com").unwrap();
        assert_eq!((validation.kind, validation.name), (OperatorKind::Validation, "Fastly"));
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = include_str!("operators.txt").lines();
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(entries, table().len());
    }
}
