//! Which chain of an issued leaf is taken, where its CA offers several (RFC 8555 section 7.4.2).
//!
//! ```text
//! the CA's first chain ──good enough──▶ taken
//!          └──otherwise──▶ each alternate, until one is ──▶ the best of all
//! ```
//!
//! Good enough is a chain that this issuer's clients trust and that ends at the declared root, if one
//! is declared. Among several the trusted ones come before the others, then those that end at the
//! declared root, then the CA's own order.
//!
//! Complications, and how each is met:
//! - An alternate that cannot be had must not cost the leaf: what was refused is passed over, and
//!   after [`ALTERNATES_WITHIN`] the best of what is there is taken.
//! - A CA may name many: no more than [`ALTERNATES_AT_MOST`] are fetched.
//!
//! What this does not do: hold a leaf because no chain is as declared. That is a finding
//! (`leaf.other-chain`); clients with current roots are better served by any chain than by none.

use jiff::{SignedDuration, Timestamp};

use crate::state::{Offered, Ordered};
use crate::words::time::after;
use crate::words::{ChainFacts, LeafFacts, Url};

/// How long the alternates are waited for once the first chain is there.
const ALTERNATES_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// How many alternates are looked at. Let's Encrypt offers one to three.
const ALTERNATES_AT_MOST: usize = 8;

/// What to do next about an issued leaf's chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// Fetch this alternate; if it does not come, decide again at that moment.
    Ask(&'a Url, Timestamp),
    /// Take this one.
    Choose(&'a Url),
}

/// Returns whether the first chain is taken without looking at others.
#[must_use]
pub fn suffices(wanted: Option<&str>, first: &ChainFacts) -> bool {
    first.alternates.is_empty() || rank(wanted, &first.leaf) == BEST
}

/// Returns what to do next, once the first of several chains is there.
pub(super) fn next<'a>(
    wanted: Option<&str>,
    ordered: &'a Ordered,
    now: Timestamp,
) -> Option<Next<'a>> {
    let first = ordered.chains.first()?;
    let ranked = |own: &'a Offered| Some((rank(wanted, &own.facts.as_ref()?.leaf), own));
    // Of equals the CA's first one.
    let all = ordered.chains.iter().rev().filter_map(ranked);
    let (reached, best) = all.max_by_key(|(rank, _)| *rank)?;
    let choose = Next::Choose(&best.certificate);
    let until = after(first.at, ALTERNATES_WITHIN);
    if reached == BEST || until <= now {
        return Some(choose);
    }
    let alternates = first.facts.iter().flat_map(|facts| &facts.alternates);
    let known = |url: &&Url| ordered.chains.iter().any(|own| own.certificate == **url);
    let unknown = alternates.take(ALTERNATES_AT_MOST).find(|url| !known(url));
    Some(unknown.map_or(choose, |url| Next::Ask(url, until)))
}

/// How good a chain is: whether it is trusted, and whether it ends at the declared root.
fn rank(wanted: Option<&str>, leaf: &LeafFacts) -> (bool, bool) {
    (leaf.trusted != Some(false), wanted.is_none_or(|wanted| ends_at(leaf, wanted)))
}

/// The rank than which none is better.
const BEST: (bool, bool) = (true, true);

/// Returns whether a leaf's chain, as delivered, ends at the root with this common name.
#[must_use]
pub fn ends_at(leaf: &LeafFacts, wanted: &str) -> bool {
    let Some(traits) = &leaf.traits else { return false };
    // The root is told as people know it, with its organisation before the common name.
    let before = traits.root.strip_suffix(wanted);
    before.is_some_and(|before| before.is_empty() || before.ends_with(' '))
}
