//! Suggestions: the known word that a mistyped one is nearest to.

/// Returns the candidate nearest to `word`, if it is near enough to be what was meant: at most a
/// third of the letters differ, and at least one may.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = fold(word);
    let allowed = (folded.len() / 3).max(1);
    if folded.len() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = fold(candidate);
            // The lengths alone tell how far apart they are at least; a million names are quick.
            if other.len().abs_diff(folded.len()) > allowed {
                return None;
            }
            Some((distance(&folded, &other), candidate))
                .filter(|(distance, _)| *distance <= allowed)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Says what was meant, or what there is.
pub(crate) fn suggest<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, known).map_or_else(otherwise, |near| format!("did you mean `{near}`?"))
}

/// Longer words are not compared: the cost grows with the square.
const LONGEST: usize = 64;

/// Case, hyphens and underscores are what people mix up.
fn fold(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Counts the letters to insert, drop, replace or swap (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, l) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, r) in right.iter().enumerate() {
            let at =
                |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&above, column) + usize::from(l != r);
            let one_off = at(&above, column + 1).min(at(&current, column)) + 1;
            let swapped = column > 0
                && row > 0
                && right.get(column - 1) == Some(l)
                && left.get(row - 1) == Some(r);
            let best = replaced.min(one_off);
            current.push(if swapped { best.min(at(&before, column - 1) + 1) } else { best });
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["rfc2136", "exec", "listener", "webroot"];
        let cases = [
            ("rfc-2136", Some("rfc2136")),
            ("RFC2136", Some("rfc2136")),
            ("lisetner", Some("listener")),
            ("web-root", Some("webroot")),
            ("exce", Some("exec")),
            ("cloudflare", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
