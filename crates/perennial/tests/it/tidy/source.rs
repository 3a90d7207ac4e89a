//! Just enough of Rust's grammar to see code without its comments and strings.

/// Returns the text with comments and the contents of strings and characters blanked out; every
/// line break, and so every line number, stays.
pub(super) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Returns where the comment, string or character that begins here ends; here, if none begins.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let word_before = at > 0 && is_word(chars[at - 1]);
    match chars[at] {
        '/' if chars.get(at + 1) == Some(&'/') => find(chars, at, |rest| rest[0] == '\n'),
        '/' if chars.get(at + 1) == Some(&'*') => {
            find(chars, at + 2, |rest| rest.starts_with(&['*', '/'])) + 2
        }
        '"' => end_of_string(chars, at + 1),
        'r' if !word_before || (at > 0 && "bc".contains(chars[at - 1])) => end_of_raw(chars, at),
        '\'' => end_of_char(chars, at),
        _ => at,
    }
    .min(chars.len())
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"..."`, `r#"..."#` and so on; `r#name` is a word.
fn end_of_raw(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    find(chars, at + 2 + hashes, |rest| rest.starts_with(&close)) + close.len()
}

/// `'x'` and `'\n'`; `'name` is a lifetime.
fn end_of_char(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        return find(chars, at + 3, |rest| rest[0] == '\'') + 1;
    }
    if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at }
}

fn find(chars: &[char], from: usize, is_there: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&at| is_there(&chars[at..])).unwrap_or(chars.len())
}

/// Tells whether a character can be part of a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns where a word stands in a text as a whole word, as byte offsets.
pub(super) fn words_at<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word)
    })
}

/// Returns the name that begins here, after blanks.
pub(super) fn name_at(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// Returns the number of the line a byte offset is on.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn comments_and_strings_are_blanked_and_lines_stay() {
    let text = "a // std::\nb \"std:: \\\" x\" /* std::\n */ c r#\"std:: \"q\" \"# d b\"y\" e";
    assert_eq!(
        code(text).split_whitespace().collect::<Vec<_>>(),
        ["a", "b", "c", "d", "b", "e"],
        "{}",
        code(text)
    );
    assert_eq!(code(text).matches('\n').count(), text.matches('\n').count());
}

#[test]
fn characters_are_blanked_and_lifetimes_stay() {
    assert_eq!(code("'{' '\\'' '\\u{7b}' &'a str"), format!("{} &'a str", " ".repeat(17)));
    assert_eq!(code("r#fn var\"x\""), "r#fn var   ");
}

#[test]
fn words_are_found_whole() {
    assert_eq!(words_at("get forget get_x get", "get").collect::<Vec<_>>(), [0, 17]);
}
