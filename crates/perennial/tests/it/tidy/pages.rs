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
