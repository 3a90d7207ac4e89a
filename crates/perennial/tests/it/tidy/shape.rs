//! Sizes: files of at most 800 lines, functions of at most 70 (STYLE: aim at half).

use super::source::{is_word, line_of, name_at, words_at};
use super::{File, complains, none, tree};

/// Lines of a file.
const FILE_LINES: usize = 800;

/// Lines of a function, from `fn` to its closing brace; the rows of a table, being no steps, are not
/// counted.
const FUNCTION_LINES: usize = 70;

/// Files that are longer, with their length: a debt. Lines may only leave this list, and numbers in
/// it only fall.
const LONG_FILES: &[(&str, usize)] = &[];

/// Functions that are longer, as `path::name`, with their length. The same holds.
const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// Complains about long files, and about exceptions that are no longer needed.
fn files(tree: &[File], exceptions: &[(&str, usize)]) -> Vec<String> {
    let sizes = tree
        .iter()
        .filter(|file| file.is_rust())
        .map(|file| (file, file.path.clone(), 1, file.text.lines().count()));
    judge(sizes, FILE_LINES, exceptions)
}

/// Complains about long functions, and about exceptions that are no longer needed.
fn functions(tree: &[File], exceptions: &[(&str, usize)]) -> Vec<String> {
    let sizes = tree.iter().filter(|file| file.is_rust()).flat_map(|file| {
        lengths(&file.code())
            .into_iter()
            .map(move |(name, line, lines)| (file, format!("{}::{name}", file.path), line, lines))
            .collect::<Vec<_>>()
    });
    judge(sizes, FUNCTION_LINES, exceptions)
}

fn judge<'a>(
    sizes: impl Iterator<Item = (&'a File, String, usize, usize)>,
    limit: usize,
    exceptions: &[(&str, usize)],
) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut needed = Vec::new();
    for (file, what, line, lines) in sizes {
        let granted = exceptions.iter().find(|(path, _)| *path == what);
        let most = granted.map_or(limit, |&(_, most)| most);
        if lines > most {
            complaints.push(file.complain(line, format!("{lines} lines; at most {most}")));
        }
        if let Some(&(path, most)) = granted {
            needed.push(path);
            if lines < most {
                complaints.push(file.complain(line, format!("lower its exception to {lines}")));
            }
        }
    }
    for (path, most) in exceptions {
        if !needed.contains(path) || *most <= limit {
            complaints.push(format!("{path}:0: remove its exception"));
        }
    }
    complaints
}

/// Returns name, first line and number of lines of each function with a body.
fn lengths(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for at in words_at(code, "fn") {
        let name = name_at(&code[at + 2..]);
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || !name.chars().all(is_word)
        {
            continue; // a type, `fn(..)`
        }
        let Some(open) = body(code, at) else { continue };
        let close = matching(code, open);
        let lines = line_of(code, close) - line_of(code, at) + 1 - rows(&code[open..close]);
        found.push((name.to_owned(), line_of(code, at), lines));
    }
    found
}

/// Returns how many lines begin inside square brackets.
fn rows(body: &str) -> usize {
    let mut depth = 0_i32;
    let mut rows = 0;
    for c in body.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '\n' if depth > 0 => rows += 1,
            _ => {}
        }
    }
    rows
}

/// Returns where a function's body opens; a declaration in a trait has none.
fn body(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(from + at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Returns where the brace that opens here is closed.
fn matching(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + at;
        }
    }
    code.len()
}

#[test]
fn files_and_functions_are_short() {
    none(&files(&tree(), LONG_FILES));
    none(&functions(&tree(), LONG_FUNCTIONS));
}

#[test]
fn a_long_file_is_complained_about() {
    let long = [File::new("a.rs", &"\n".repeat(FILE_LINES + 1))];
    complains(&files(&long, &[]), &["a.rs:1"]);
    complains(&files(&long, &[("a.rs", FILE_LINES + 1)]), &[]);
    complains(&files(&long, &[("a.rs", FILE_LINES + 2)]), &["a.rs:1"]);
    complains(&files(&long, &[("b.rs", 900)]), &["a.rs:1", "b.rs:0"]);
    complains(&files(&[File::new("a.rs", "\n")], &[("a.rs", 1)]), &["a.rs:0"]);
}

#[test]
fn a_long_function_is_complained_about() {
    let body = "    x(\"}\"); // }\n".repeat(FUNCTION_LINES);
    let long =
        format!("trait T {{ fn f(x: [u8; 3]); }}\n\nfn g(x: fn(u8)) {{\n{body}}}\nfn h() {{}}\n");
    complains(&functions(&[File::new("a.rs", &long)], &[]), &["a.rs:3"]);
    let table = format!("fn g() {{\n    let table = [\n{body}    ];\n}}\n");
    complains(&functions(&[File::new("a.rs", &table)], &[]), &[]);
    let exception = [("a.rs::g", FUNCTION_LINES + 2)];
    complains(&functions(&[File::new("a.rs", &long)], &exception), &[]);
}
