//! What HAProxy's configuration says of certificates: `bind` lines, their lists, and its socket.
//!
//! Read line by line as HAProxy does: words are parted by white space, quoted by `"` and `'`, escaped
//! by a backslash, and `#` begins a comment. A file is named in four ways: `crt` with a file, with a
//! folder of files, with the beginning of names that end in `.ecdsa` and `.rsa`, and by a line of a
//! `crt-list`. What depends on the environment, or on where HAProxy was started, is not understood.
//!
//! Bounded: how many files are read, how many bytes, how many certificates are found.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::super::trouble::Trouble;
use super::super::walk;

/// A file with a certificate that a listener reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it stands.
    pub(super) place: Place,
    /// How HAProxy calls the file: its runtime API knows it by no other name.
    pub(super) name: String,
    /// The names for which it is shown; those of the certificate itself where there are none.
    pub(super) filters: Vec<String>,
    /// Whether it was found by looking into a folder.
    pub(super) is_in_folder: bool,
}

impl Entry {
    /// Returns where the file is.
    pub(super) fn path(&self) -> &Path {
        Path::new(&self.name)
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// The certificates that listeners read.
    pub(super) entries: Vec<Entry>,
    /// Where certificates are named in a way that is not understood.
    pub(super) obscure: Vec<Place>,
    /// The first socket of the runtime API that allows everything.
    pub(super) socket: Option<PathBuf>,
}

/// Reads a configuration: a file, or a folder of which every `*.cfg` is read.
pub(super) fn read(path: &Path) -> Result<Config, Trouble> {
    let mut reader = Reader { base: None, bytes: 0, found: Config::default() };
    if path.is_dir() {
        let names = walk::names(path).map_err(|error| Trouble::disk("read", path, error))?;
        let is_read = |name: &String| name.ends_with(".cfg") && !name.starts_with('.');
        for name in names.iter().filter(|name| is_read(name)) {
            reader.config(&path.join(name))?;
        }
    } else {
        reader.config(path)?;
    }
    Ok(reader.found)
}

struct Reader {
    /// What relative names are relative to: `crt-base`.
    base: Option<PathBuf>,
    bytes: u64,
    found: Config,
}

impl Reader {
    fn config(&mut self, path: &Path) -> Result<(), Trouble> {
        let text = self.text(path)?;
        for (index, line) in text.lines().enumerate() {
            let place = Place { file: path.to_owned(), line: index + 1 };
            let words = words(line);
            let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            match texts.as_slice() {
                ["crt-base", base, ..] => self.base = Some(PathBuf::from(base)),
                ["stats", "socket", socket, options @ ..] => self.socket(socket, options),
                ["bind", _, options @ ..] if options.contains(&"ssl") => {
                    self.bind(&place, &words)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn socket(&mut self, socket: &str, options: &[&str]) {
        let socket = socket.strip_prefix("unix@").unwrap_or(socket);
        let is_admin = options.windows(2).any(|two| two == ["level", "admin"]);
        if is_admin && socket.starts_with('/') && self.found.socket.is_none() {
            self.found.socket = Some(PathBuf::from(socket));
        }
    }

    fn bind(&mut self, place: &Place, words: &[Word]) -> Result<(), Trouble> {
        for pair in words.windows(2) {
            let [key, value] = pair else { continue };
            match key.text.as_str() {
                "crt" | "default-crt" => match self.named(value) {
                    Some(name) => self.file_or_folder(place, name)?,
                    None => self.found.obscure.push(place.clone()),
                },
                "crt-list" => match self.named(value) {
                    Some(name) => self.list(Path::new(&name))?,
                    None => self.found.obscure.push(place.clone()),
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns how HAProxy calls a file, if that is known.
    fn named(&self, word: &Word) -> Option<String> {
        if word.has_variable || word.text.starts_with('@') {
            return None;
        }
        if word.text.starts_with('/') {
            return Some(word.text.clone());
        }
        let base = self.base.as_ref()?.to_str().filter(|base| base.starts_with('/'))?;
        Some(format!("{base}/{}", word.text))
    }

    fn file_or_folder(&mut self, place: &Place, name: String) -> Result<(), Trouble> {
        if !Path::new(&name).is_dir() {
            return self.file(place, name, &[]);
        }
        let folder = Path::new(&name);
        let files = walk::names(folder).map_err(|error| Trouble::disk("read", folder, error))?;
        for file in files {
            let path = folder.join(&file);
            let is_beside = BESIDE.iter().any(|end| file.ends_with(end));
            if file.starts_with('.') || is_beside || !path.is_file() {
                continue;
            }
            // HAProxy joins them so, too.
            let name = format!("{name}/{file}");
            let (place, filters) = (place.clone(), Vec::new());
            self.push(Entry { place, name, filters, is_in_folder: true })?;
        }
        Ok(())
    }

    /// Adds a file, or those of both variants that begin with its name.
    fn file(&mut self, place: &Place, name: String, filters: &[String]) -> Result<(), Trouble> {
        let both = ["ecdsa", "rsa"].map(|variant| format!("{name}.{variant}"));
        let both = both.into_iter().filter(|name| Path::new(name).exists());
        let both: Vec<String> = if Path::new(&name).exists() { vec![] } else { both.collect() };
        let names = if both.is_empty() { vec![name] } else { both };
        for name in names {
            let (place, filters) = (place.clone(), filters.to_vec());
            self.push(Entry { place, name, filters, is_in_folder: false })?;
        }
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> Result<(), Trouble> {
        if self.found.entries.len() == MAX_ENTRIES {
            return Err(unreadable(&entry.place, "names too many certificates"));
        }
        self.found.entries.push(entry);
        Ok(())
    }

    /// Reads a list: on each line a file, options in brackets, and the names it is shown for.
    fn list(&mut self, path: &Path) -> Result<(), Trouble> {
        let text = self.text(path)?;
        for (index, line) in text.lines().enumerate() {
            let place = Place { file: path.to_owned(), line: index + 1 };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (file, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let word = Word { text: file.to_owned(), has_variable: false };
            let Some(name) = self.named(&word) else {
                self.found.obscure.push(place);
                continue;
            };
            let rest = match rest.split_once('[') {
                Some((before, after)) => {
                    let after = after.split_once(']').map_or("", |(_, after)| after);
                    format!("{before} {after}")
                }
                None => rest.to_owned(),
            };
            let filters = rest.split_whitespace().filter(|filter| !filter.starts_with('!'));
            let filters: Vec<String> = filters.map(str::to_ascii_lowercase).collect();
            self.file(&place, name, &filters)?;
        }
        Ok(())
    }

    fn text(&mut self, path: &Path) -> Result<String, Trouble> {
        let failed = |error| Trouble::disk("read", path, error);
        let file: fs::File = walk::file(path).map_err(failed)?;
        let mut bytes = Vec::new();
        let left = MAX_BYTES.saturating_sub(self.bytes);
        let read = file.take(left + 1).read_to_end(&mut bytes).map_err(failed)?;
        self.bytes += u64::try_from(read).unwrap_or(u64::MAX);
        if self.bytes > MAX_BYTES {
            let place = Place { file: path.to_owned(), line: 1 };
            return Err(unreadable(&place, "the configuration is too large to be read"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    /// Whether it has a part that the environment says.
    has_variable: bool,
}

/// Takes a line apart.
fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    let begin = || Word { text: String::new(), has_variable: false };
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('#', None) => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word = Some(word.unwrap_or_else(begin));
            }
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => {
                word.get_or_insert_with(begin).text.extend(characters.next());
            }
            (c, _) => {
                let word = word.get_or_insert_with(begin);
                word.has_variable |= c == '$' && quote == Some('"');
                word.text.push(c);
            }
        }
    }
    words.extend(word);
    words
}

/// Makes the trouble of a configuration that cannot be used.
pub(super) fn unreadable(place: &Place, reason: &str) -> Trouble {
    let (path, line) = (place.file.clone(), place.line);
    Trouble::Config { path, line, reason: reason.to_owned() }
}

/// What lies beside a certificate in a folder, and is none itself.
const BESIDE: [&str; 4] = [".key", ".ocsp", ".sctl", ".issuer"];

/// How many bytes of configuration and lists are read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How many certificates one configuration may name.
const MAX_ENTRIES: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_quoted_and_escaped_as_haproxy_does() {
        let texts = |line| words(line).into_iter().map(|word| word.text).collect::<Vec<_>>();
        assert_eq!(texts("  bind :443 ssl # crt x"), ["bind", ":443", "ssl"]);
        assert_eq!(texts(r#"a\ b "c d\"e" 'f\g' "" \#h"#), ["a b", "c d\"e", "f\\g", "", "#h"]);
        let variables: Vec<bool> =
            words(r#""$A/x" '$A' $A"#).iter().map(|word| word.has_variable).collect();
        assert_eq!(variables, [true, false, false]);
    }

    #[test]
    fn files_folders_lists_and_both_variants_are_found_with_the_names_they_are_shown_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("folder")).unwrap();
        for name in ["folder/b.pem", "folder/a.pem", "folder/a.pem.key", "both.rsa", "both.ecdsa"] {
            fs::write(at(name), "").unwrap();
        }
        let base = dir.path().display();
        fs::write(
            at("list"),
            "# comment\none.pem\n two.pem [alpn h2 ocsp-update on]  A.test !b.test *.c.test\n",
        )
        .unwrap();
        let text = format!(
            "global\n  crt-base {base}\n  stats socket ipv4@127.0.0.1:9 level admin\n  \
             stats socket /run/weak.sock mode 600\n  stats socket unix@/run/strong.sock level admin\n\
             frontend f\n  bind :443 ssl crt x.pem crt folder crt /abs/y.pem\n  bind :80 crt no.pem\n  \
             bind :444 ssl crt both crt-list {base}/list crt \"$X/z\" crt @store/w\n"
        );
        fs::write(at("haproxy.cfg"), text).unwrap();
        let found = read(&at("haproxy.cfg")).unwrap();
        let told: Vec<String> = found
            .entries
            .iter()
            .map(|entry| {
                let name = entry.name.strip_prefix(&format!("{base}/")).unwrap_or(&entry.name);
                format!("{}:{name}:{}", entry.place.line, entry.filters.join(","))
            })
            .collect();
        let expected = [
            "7:x.pem:",
            "7:folder/a.pem:",
            "7:folder/b.pem:",
            "7:/abs/y.pem:",
            "9:both.ecdsa:",
            "9:both.rsa:",
            "2:one.pem:",
            "3:two.pem:a.test,*.c.test",
        ];
        assert_eq!(told, expected);
        assert_eq!(found.obscure.len(), 2);
        assert_eq!(found.socket, Some(PathBuf::from("/run/strong.sock")));
        fs::create_dir(at("many")).unwrap();
        fs::write(at("many/b.cfg"), "frontend f\n bind :1 ssl crt /b.pem\n").unwrap();
        fs::write(at("many/a.cfg"), "frontend f\n bind :1 ssl crt /a.pem\n").unwrap();
        fs::write(at("many/.c.cfg"), "frontend f\n bind :1 ssl crt /c.pem\n").unwrap();
        let names: Vec<String> =
            read(&at("many")).unwrap().entries.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["/a.pem", "/b.pem"]);
    }
}
