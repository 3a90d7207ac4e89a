//! `Link` header fields.
//!
//! Source: RFC 8288 section 3; RFC 8555 sections 7.1 (`index`, `up`), 7.3.3 (`terms-of-service`) and
//! 7.4.2 (`alternate`).

use perennial_core::words::Url;
use perennial_wire::http::Response;

use super::json;

/// Returns where the links of one relation lead, in order.
pub(super) fn links(answer: &Response, relation: &str) -> Vec<Url> {
    let fields = answer.header_all("link").flat_map(split_links);
    let wanted = fields.filter(|link| has_relation(link.parameters, relation));
    wanted.filter_map(|link| json::address(answer, link.target)).take(MAX_LINKS).collect()
}

/// How many links are followed up. Boulder sends at most three alternates.
const MAX_LINKS: usize = 16;

struct Link<'a> {
    target: &'a str,
    parameters: &'a str,
}

/// Splits one field into its links: `<target>; parameter; parameter, <target>; …`.
fn split_links(field: &str) -> impl Iterator<Item = Link<'_>> {
    let mut rest = field;
    std::iter::from_fn(move || {
        let (_, from_target) = rest.split_once('<')?;
        let (target, from_parameters) = from_target.split_once('>')?;
        // The next link begins with `<`; a parameter holds none but in quotes, where CAs put none.
        let end = from_parameters.find('<').unwrap_or(from_parameters.len());
        let (parameters, next) = from_parameters.split_at(end);
        rest = next;
        Some(Link { target, parameters })
    })
}

/// Returns whether `rel` lists the relation; the comparison ignores case, the value may be quoted.
fn has_relation(parameters: &str, relation: &str) -> bool {
    let pairs = parameters.split([';', ',']).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("rel"));
    // Only the first `rel` counts (RFC 8288 section 3.3).
    values.next().is_some_and(|(_, value)| {
        let value = value.trim().trim_matches('"');
        value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(relation))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    fn read(fields: &[&str], relation: &str) -> Vec<String> {
        let headers: Vec<_> = fields.iter().map(|field| ("link", *field)).collect();
        let answer = answer(200, &headers, "");
        links(&answer, relation).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_are_found_over_several_fields_and_within_one() {
        let fields = [
            "<https://ca.test/dir>;rel=\"index\"",
            "<https://ca.test/cert/1/alt/1>; rel=\"alternate\", </cert/1/alt/2>;title=x; REL=Alternate",
        ];
        let alternates = ["https://ca.test/cert/1/alt/1", "https://ca.test/cert/1/alt/2"];
        assert_eq!(read(&fields, "alternate"), alternates);
        assert_eq!(read(&fields, "index"), ["https://ca.test/dir"]);
        assert!(read(&fields, "up").is_empty());
    }

    #[test]
    fn one_link_may_have_several_relations_but_one_rel() {
        assert_eq!(read(&["</a>;rel=\"up help\""], "help").len(), 1);
        assert!(read(&["</a>;rel=up;rel=help"], "help").is_empty());
    }

    #[test]
    fn nonsense_gives_no_links() {
        for field in ["", "<", "<>", ">", "<<<>>>", "rel=alternate", "<file:///x>;rel=alternate"] {
            assert!(read(&[field], "alternate").is_empty(), "{field}");
        }
        assert_eq!(read(&[&"</a>;rel=alternate,".repeat(1000)], "alternate").len(), MAX_LINKS);
    }
}
