//! What no lint checks: sizes, walls, words, pages.
//!
//! Each check is a function from files to complaints, one line each with the file and what is wrong
//! with it. Each is tried twice: on this tree, which must give none, and on a small bad one, which
//! must, so that a check that has gone blind is noticed.

mod pages;
mod shape;
mod source;
mod walls;
mod words;

use std::fs;
use std::path::Path;

/// A file of the tree, or of a test.
struct File {
    /// Below the workspace's root, with slashes.
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tells whether the file is below a folder.
    fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Returns its code alone, see [`source::code`].
    fn code(&self) -> String {
        source::code(&self.text)
    }

    /// Complains about a line of it.
    fn complain(&self, line: usize, what: impl AsRef<str>) -> String {
        format!("{}:{line}: {}", self.path, what.as_ref())
    }
}

/// Reads every text file of the workspace.
fn tree() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut files = Vec::new();
    read(&root, &root, &mut files);
    assert!(files.iter().any(|file| file.path == "Cargo.toml"), "this is not the workspace's root");
    files
}

fn read(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["target", ".git"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            read(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
}

/// Fails with all complaints, if there are any.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Fails unless the check complains about exactly the lines given (`path:line`), in this order.
#[track_caller]
fn complains(complaints: &[String], lines: &[&str]) {
    let found: Vec<String> = complaints
        .iter()
        .map(|complaint| complaint.splitn(3, ':').take(2).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(found, lines, "\n{}\n", complaints.join("\n"));
}
