//! Pages: each cause a user can meet has one, `docs/causes/<code>.md`.

use perennial_core::finding::Code;

use super::{File, complains, none, tree};

/// What each page must answer, in this order.
const PARTS: [&str; 3] = ["## What it means", "## What to do", "## What Perennial does"];

/// Complains about codes without a page or advice, pages without a code, and incomplete pages.
fn causes(tree: &[File], codes: &[(&str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (code, advice) in codes {
        let path = format!("docs/causes/{code}.md");
        if advice.is_empty() || advice.ends_with('.') {
            complaints.push(format!("{path}:0: advice is a sentence without a full stop"));
        }
        let Some(page) = tree.iter().find(|file| file.path == path) else {
            complaints.push(format!("{path}:0: missing"));
            continue;
        };
        if !page.text.starts_with(&format!("# {code}\n")) {
            complaints.push(page.complain(1, format!("must begin with `# {code}`")));
        }
        let mut rest = page.text.as_str();
        for part in PARTS {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => complaints.push(page.complain(2, format!("no `{part}` where it belongs"))),
            }
        }
    }
    for page in tree.iter().filter(|file| file.is_in("docs/causes")) {
        let known = |(code, _): &(&str, &str)| page.path == format!("docs/causes/{code}.md");
        if page.path.ends_with("/README.md") {
            for (code, _) in
                codes.iter().filter(|(code, _)| !page.text.contains(&format!("({code}.md)")))
            {
                complaints.push(page.complain(1, format!("`{code}` is not listed")));
            }
        } else if !codes.iter().any(known) {
            complaints.push(page.complain(1, "no finding has this code"));
        }
    }
    complaints
}

#[test]
fn every_finding_has_a_page() {
    let codes: Vec<_> = Code::ALL.iter().map(|code| (code.as_str(), code.advice())).collect();
    none(&causes(&tree(), &codes));
}

/// Complains about codes that no test names, by text or by variant.
fn untested(tree: &[File], codes: &[(&str, &str)]) -> Vec<String> {
    let tests: Vec<&str> = tree.iter().filter_map(tests_of).collect();
    let is_named = |(text, variant): &&(&str, &str)| {
        let (quoted, variant) = (format!("\"{text}\""), format!("Code::{variant}"));
        let names = |test: &&str| test.contains(&quoted) || is_code(test, &variant);
        tests.iter().any(names)
    };
    let missing = codes.iter().filter(|code| !is_named(code));
    missing.map(|(text, _)| format!("`{text}`:0: no test opens it")).collect()
}

/// Returns the part of a file that is tests, if any.
fn tests_of(file: &File) -> Option<&str> {
    let is_whole = file.path.contains("/tests/") || file.path.ends_with("tests.rs");
    match (file.is_rust(), is_whole) {
        (false, _) => None,
        // What is named here is named by all, so it tells nothing.
        (true, _) if file.path.contains("/tidy/") => None,
        (true, true) => Some(&file.text),
        (true, false) => file.text.split_once("#[cfg(test)]\nmod tests {").map(|(_, own)| own),
    }
}

/// Returns whether a text has a variant, and not only as the beginning of a longer one.
fn is_code(text: &str, variant: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
    text.match_indices(variant).any(|(at, _)| text.get(at + variant.len()..).is_some_and(ends))
}

#[test]
fn every_finding_is_opened_by_a_test() {
    let variants: Vec<String> = Code::ALL.iter().map(|code| format!("{code:?}")).collect();
    let texts = Code::ALL.iter().map(|code| code.as_str());
    let codes: Vec<_> = texts.zip(variants.iter().map(String::as_str)).collect();
    none(&untested(&tree(), &codes));
}

#[test]
fn a_finding_that_no_test_names_is_complained_about() {
    let tree = [
        File::new("crates/a/tests/it/b.rs", "Code::OneThing, \"two.things\""),
        File::new("crates/a/src/b.rs", "Code::Two\n#[cfg(test)]\nmod tests {\nCode::Three"),
    ];
    let codes = [("one", "One"), ("two.things", "Others"), ("two", "Two"), ("three", "Three")];
    let expected = ["`one`:0: no test opens it", "`two`:0: no test opens it"];
    assert_eq!(untested(&tree, &codes), expected);
}

#[test]
fn a_finding_without_a_page_or_advice_is_complained_about() {
    let whole = "# a.b\n\n## What it means\n\n## What to do\n\n## What Perennial does\n";
    let tree = [
        File::new("docs/causes/a.b.md", whole),
        File::new("docs/causes/c.d.md", "# wrong\n\n## What it means\n"),
        File::new("docs/causes/e.f.md", whole),
        File::new("docs/causes/README.md", "[a.b](a.b.md) [c.d](c.d.md)"),
    ];
    let codes = [("a.b", "do it"), ("c.d", "do it."), ("g.h", "do it")];
    complains(
        &causes(&tree, &codes),
        &[
            "docs/causes/c.d.md:0",
            "docs/causes/c.d.md:1",
            "docs/causes/c.d.md:2",
            "docs/causes/c.d.md:2",
            "docs/causes/g.h.md:0",
            "docs/causes/e.f.md:1",
            "docs/causes/README.md:1",
        ],
    );
}
