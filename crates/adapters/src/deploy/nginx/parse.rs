//! Directives of nginx's configuration, with what they include.
//!
//! Bounded: how deep blocks and includes may nest, how many files, how many bytes. An include that
//! runs in a circle ends at the depth.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::trouble::Trouble;
use super::glob::{glob, is_pattern};
use super::lex::{Kind, Token, lex};

/// A directive with its block, if it has one; includes are already replaced by what they include.
#[derive(Debug)]
pub(super) struct Directive {
    /// In which file.
    pub(super) file: Arc<Path>,
    /// On which line.
    pub(super) line: usize,
    /// Its name and its arguments.
    pub(super) words: Vec<String>,
    /// What is in its block.
    pub(super) block: Vec<Self>,
}

impl Directive {
    /// Returns the directive's name.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Returns the directive's arguments.
    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// Reads a configuration file and all that it includes.
pub(super) fn parse(path: &Path) -> Result<Vec<Directive>, Trouble> {
    let root = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut parser = Parser { root, files: 0, bytes: 0 };
    parser.file(path, 0)
}

struct Parser {
    /// What relative paths are relative to: the directory of the main file, wherever they stand.
    root: PathBuf,
    files: usize,
    bytes: u64,
}

impl Parser {
    fn file(&mut self, path: &Path, depth: usize) -> Result<Vec<Directive>, Trouble> {
        self.files += 1;
        if depth > MAX_DEPTH || self.files > MAX_FILES {
            return Err(config(path, 1, "includes too many files, or in a circle"));
        }
        let mut text = Vec::new();
        let file = open(path).map_err(|error| Trouble::disk("read", path, error))?;
        let left = MAX_BYTES.saturating_sub(self.bytes);
        let read = file.take(left + 1).read_to_end(&mut text);
        let read = read.map_err(|error| Trouble::disk("read", path, error))?;
        self.bytes += u64::try_from(read).unwrap_or(u64::MAX);
        if self.bytes > MAX_BYTES {
            return Err(config(path, 1, "the configuration is too large to be read"));
        }
        let text = String::from_utf8_lossy(&text);
        let tokens = lex(&text).map_err(|error| config(path, error.line, error.reason))?;
        let mut tokens = tokens.into_iter();
        let shared: Arc<Path> = Arc::from(path);
        let directives = self.directives(&shared, &mut tokens, depth, Inside::File)?;
        Ok(directives)
    }

    fn directives(
        &mut self,
        file: &Arc<Path>,
        tokens: &mut std::vec::IntoIter<Token>,
        depth: usize,
        inside: Inside,
    ) -> Result<Vec<Directive>, Trouble> {
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut begun = 1;
        while let Some(Token { line, kind }) = tokens.next() {
            match kind {
                Kind::Word(word) => {
                    begun = if words.is_empty() { line } else { begun };
                    words.push(word);
                }
                Kind::End | Kind::Open if words.is_empty() => {
                    return Err(config(file, line, "a directive without a name"));
                }
                Kind::End if words.first().is_some_and(|word| word == "include") => {
                    let pattern = words.get(1).cloned().unwrap_or_default();
                    directives.extend(self.include(file, begun, &pattern, depth)?);
                    words.clear();
                }
                Kind::End | Kind::Open => {
                    let words = std::mem::take(&mut words);
                    let block = if kind == Kind::Open && depth < MAX_DEPTH {
                        self.directives(file, tokens, depth + 1, Inside::Block)?
                    } else if kind == Kind::Open {
                        return Err(config(file, line, "blocks nest too deeply"));
                    } else {
                        Vec::new()
                    };
                    let file = Arc::clone(file);
                    directives.push(Directive { file, line: begun, words, block });
                }
                Kind::Close if words.is_empty() && inside == Inside::Block => {
                    return Ok(directives);
                }
                Kind::Close => return Err(config(file, line, "unexpected `}`")),
            }
        }
        if words.is_empty() && inside == Inside::File {
            return Ok(directives);
        }
        Err(config(file, begun, "the file ends within a directive or a block"))
    }

    fn include(
        &mut self,
        file: &Path,
        line: usize,
        pattern: &str,
        depth: usize,
    ) -> Result<Vec<Directive>, Trouble> {
        let path = self.root.join(pattern);
        let paths = if is_pattern(pattern) { glob(&path) } else { vec![path] };
        if pattern.is_empty() {
            return Err(config(file, line, "`include` without a file"));
        }
        let mut directives = Vec::new();
        for path in paths {
            directives.extend(self.file(&path, depth + 1)?);
        }
        Ok(directives)
    }
}

/// Where directives stand: a `}` may only close a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    File,
    Block,
}

/// Opens a file, whoever it belongs to, as nginx does, but without waiting: a pipe that nobody writes
/// into must not hold up its target for ever.
fn open(path: &Path) -> io::Result<fs::File> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Says where a configuration cannot be understood, and why.
pub(super) fn config(path: &Path, line: usize, reason: &str) -> Trouble {
    Trouble::Config { path: path.to_owned(), line, reason: reason.to_owned() }
}

/// How deep blocks and includes may nest, together.
const MAX_DEPTH: usize = 32;

/// How many files may be included.
const MAX_FILES: usize = 10_000;

/// How many bytes a configuration may have.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes directives on one line.
    fn told(directives: &[Directive]) -> String {
        let tell = |directive: &Directive| {
            let words = directive.words.join(" ");
            if directive.block.is_empty() {
                words
            } else {
                format!("{words} ({})", told(&directive.block))
            }
        };
        directives.iter().map(tell).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn includes_are_read_in_place_and_relative_to_the_main_file() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir(dir.path().join("sites")).unwrap();
        write("nginx.conf", "events{} http { include sites/*.conf; include none/*; }");
        write("sites/b.conf", "server { include snippet; }");
        write("sites/a.conf", "server { server_name a; }");
        write("snippet", "server_name b;");
        let parsed = parse(&dir.path().join("nginx.conf")).unwrap();
        assert_eq!(told(&parsed), "events, http (server (server_name a), server (server_name b))");
        let http = parsed.last().unwrap();
        assert!(http.block[1].block[0].file.ends_with("snippet"));
    }

    #[test]
    fn what_cannot_be_understood_is_told_with_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nginx.conf");
        let table = [
            ("http {\n server {\n }", "line 2: the file ends within a directive or a block"),
            ("a;\n}", "line 2: unexpected `}`"),
            ("a;\n;", "line 2: a directive without a name"),
            ("\ninclude;", "line 2: `include` without a file"),
            ("a \"b", "line 1: a quote is not closed"),
            ("include nginx.conf;", "line 1: includes too many files, or in a circle"),
        ];
        for (text, expected) in table {
            fs::write(&path, text).unwrap();
            let error = parse(&path).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{text}: {error}");
        }
        fs::write(&path, "a {".repeat(100)).unwrap();
        assert!(parse(&path).unwrap_err().to_string().contains("nest too deeply"));
    }
}
