//! The file name patterns of nginx's `include`: `*`, `?` and `[...]` within the parts of a path.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Returns the files that a pattern stands for, sorted; none if nothing fits.
pub(super) fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy();
        let is_pattern = matches!(component, Component::Normal(_)) && is_pattern(&text);
        found = found
            .into_iter()
            .flat_map(
                |dir| if is_pattern { inside(&dir, &text) } else { vec![dir.join(component)] },
            )
            .take(MAX_FOUND)
            .collect();
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

/// Returns whether a text is a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn inside(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    // A folder that cannot be read has nothing that is known: that no server block reads a
    // certificate's files is told of the target.
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let fits = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy();
        // A leading dot has to be written, as for the C library.
        name.starts_with('.') == pattern.starts_with('.')
            && matches(&characters(pattern), &characters(&name))
    };
    names.filter(fits).map(|name| dir.join(name)).take(MAX_FOUND).collect()
}

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// Matches without recursion: on a mismatch only the last `*` takes one character more.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(read) {
        let next = match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
                continue;
            }
            Some('?') => Some(at + 1),
            Some('[') => class(pattern, at, character),
            Some(&literal) => (literal == character).then_some(at + 1),
            None => None,
        };
        match (next, star) {
            (Some(next), _) => {
                at = next;
                read += 1;
            }
            (None, Some((starred, taken))) => {
                star = Some((starred, taken + 1));
                at = starred + 1;
                read = taken + 1;
            }
            (None, None) => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&c| c == '*')
}

/// Matches a character against the class that begins at `at`; returns where the pattern goes on.
fn class(pattern: &[char], at: usize, character: char) -> Option<usize> {
    let inner = pattern.get(at + 1..)?;
    let negated = matches!(inner.first(), Some('!' | '^'));
    let first = usize::from(negated);
    let end = inner.iter().skip(first + 1).position(|&c| c == ']')? + first + 1;
    let set = inner.get(first..end)?;
    let mut holds = set.contains(&character);
    for window in set.windows(3) {
        if let [from, '-', to] = window {
            holds |= (*from..=*to).contains(&character);
        }
    }
    (holds != negated).then_some(at + 1 + end + 1)
}

/// How many files one pattern may stand for.
const MAX_FOUND: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_would() {
        let table = [
            ("*", "site", true),
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("*a*b", "xxaxxbxb", true),
            ("*a*b", "xxaxxbxc", false),
            ("s?te", "site", true),
            ("[a-c]*", "bee", true),
            ("[!a-c]*", "bee", false),
            ("[]x]", "]", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(&characters(pattern), &characters(text)), expected, "{pattern}");
        }
    }

    #[test]
    fn hidden_files_and_missing_directories_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| {
            let found = glob(&dir.path().join(pattern)).into_iter();
            found.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let names: Vec<String> = names("*.conf");
        assert_eq!(names, ["a.conf", "b.conf"]);
        assert!(glob(&dir.path().join("nowhere/*.conf")).is_empty());
    }
}
