//! What the operator is told about a file: where, what, the text itself, and what to do.

use std::fmt;
use std::string::FromUtf8Error;

use crate::source::{Source, Sources, Span};

/// One thing to tell about a file. `Display` shows it whole:
///
/// ```text
/// perennial.toml:18:10: unknown solver kind `rfc-2136`
///    |
/// 18 | dns-01 = "rfc-2136"
///    |          ^^^^^^^^^^
///
/// hint: did you mean `rfc2136`? Known kinds: perennial help solvers
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether the file can be used nevertheless.
    pub level: Level,
    /// Which file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub hint: String,
    excerpt: Option<Excerpt>,
}

/// Whether a file can be used in spite of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It can.
    Warning,
    /// It cannot.
    Error,
}

/// A line of the file with a part marked. Made safe for a terminal, and short.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    indent: usize,
    width: usize,
}

impl Message {
    /// Makes an error about a file or folder as a whole.
    pub(crate) fn about(file: &str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            file: String::from(file),
            line: 0,
            column: 0,
            text: safe(&text.into()),
            hint: safe(&hint.into()),
            excerpt: None,
        }
    }

    /// Makes an error about bytes that are no text.
    pub(crate) fn not_utf8(name: &str, error: &FromUtf8Error) -> Self {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = Source { name: String::from(name), folder: Default::default(), text };
        let span = Span { file: 0, start: at, end: at + 1 };
        let hint = "save the file as UTF-8: iconv -f latin1 -t utf-8";
        let text = String::from("a byte that is no UTF-8");
        let note = Note::new(Level::Error, span, text, String::from(hint));
        note.place(std::slice::from_ref(&source), &[])
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let level = match self.level {
            Level::Warning => "warning: ",
            Level::Error => "",
        };
        writeln!(f, ": {level}{}", self.text)?;
        if let Some(excerpt) = &self.excerpt {
            let gutter = self.line.to_string().len();
            writeln!(f, "{:gutter$} |", "")?;
            writeln!(f, "{} | {}", self.line, excerpt.line)?;
            let (indent, width) = (excerpt.indent, excerpt.width);
            writeln!(f, "{:gutter$} | {:indent$}{:^<width$}", "", "", "")?;
        }
        write!(f, "\nhint: {}", self.hint)
    }
}

/// Messages while they are gathered: by span, so that each can be placed once all are known.
#[derive(Debug, Default)]
pub(crate) struct Report {
    notes: Vec<Note>,
    secrets: Vec<Span>,
    errors: usize,
    warnings: usize,
}

#[derive(Debug)]
struct Note {
    level: Level,
    span: Span,
    text: String,
    hint: String,
    /// Where the same was said before.
    first: Option<Span>,
    /// Whether the configuration as a whole is meant, not the place.
    whole: bool,
}

/// How many messages of one load are shown; a file that is wholly something else would fill disks.
const SHOWN_LIMIT: usize = 100;

impl Report {
    /// Notes what makes the file unusable.
    pub(crate) fn error(&mut self, span: Span, text: impl Into<String>, hint: impl Into<String>) {
        self.note(Note::new(Level::Error, span, text.into(), hint.into()));
    }

    /// Notes what is allowed and unwise.
    pub(crate) fn warn(&mut self, span: Span, text: impl Into<String>, hint: impl Into<String>) {
        self.note(Note::new(Level::Warning, span, text.into(), hint.into()));
    }

    /// Notes what is unwise about the configuration as a whole.
    pub(crate) fn warn_whole(&mut self, text: impl Into<String>, hint: impl Into<String>) {
        let note = Note::new(Level::Warning, Span::default(), text.into(), hint.into());
        self.note(Note { whole: true, ..note });
    }

    /// Notes that `what` is said at two places.
    pub(crate) fn twice(&mut self, second: Span, what: &str, first: Option<Span>) {
        let hint = "keep one of the two; the same name in two files counts as well";
        let text = format!("`{what}` is declared twice");
        self.note(Note { first, ..Note::new(Level::Error, second, text, String::from(hint)) });
    }

    /// Notes what is right alone and wrong beside what was said first.
    pub(crate) fn clash(
        &mut self,
        span: Span,
        text: impl Into<String>,
        hint: impl Into<String>,
        first: Span,
    ) {
        let note = Note::new(Level::Error, span, text.into(), hint.into());
        self.note(Note { first: Some(first), ..note });
    }

    /// Notes what is unwise beside what was said first.
    pub(crate) fn beware(
        &mut self,
        span: Span,
        text: impl Into<String>,
        hint: impl Into<String>,
        first: Span,
    ) {
        let note = Note::new(Level::Warning, span, text.into(), hint.into());
        self.note(Note { first: Some(first), ..note });
    }

    /// Remembers that a secret stands here, so that no excerpt shows it.
    pub(crate) fn hide(&mut self, span: Span) {
        self.secrets.push(span);
    }

    fn note(&mut self, note: Note) {
        let count = match note.level {
            Level::Error => &mut self.errors,
            Level::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= SHOWN_LIMIT {
            self.notes.push(note);
        }
    }

    /// Counts the errors so far.
    pub(crate) const fn error_count(&self) -> usize {
        self.errors
    }

    /// Returns whether an error lies within a span.
    pub(crate) fn has_errors_within(&self, span: Span) -> bool {
        self.notes.iter().any(|note| {
            let inside = span.start <= note.span.start && note.span.end <= span.end;
            note.level == Level::Error && note.span.file == span.file && inside
        })
    }

    /// Returns whether there are errors.
    pub(crate) const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Returns the messages of a level, in the order of the files and lines.
    pub(crate) fn messages(mut self, sources: &Sources, level: Level) -> Vec<Message> {
        self.notes.retain(|note| note.level == level);
        self.notes.sort_by_key(|note| note.span);
        let mut messages: Vec<Message> =
            self.notes.into_iter().map(|note| note.place(sources, &self.secrets)).collect();
        let (count, called) = match level {
            Level::Error => (self.errors, "errors"),
            Level::Warning => (self.warnings, "warnings"),
        };
        let hidden = count.saturating_sub(SHOWN_LIMIT);
        if let Some(last) = messages.last_mut().filter(|_| hidden > 0) {
            last.hint.push_str(&format!("\n({hidden} more {called} are not shown)"));
        }
        messages
    }
}

impl Note {
    const fn new(level: Level, span: Span, text: String, hint: String) -> Self {
        Self { level, span, text, hint, first: None, whole: false }
    }

    fn place(self, sources: &Sources, secrets: &[Span]) -> Message {
        let source = sources.get(self.span.file);
        let file = source.map(|source| source.name.clone()).unwrap_or_default();
        if self.whole {
            return Message { level: self.level, ..Message::about(&file, self.text, self.hint) };
        }
        let (line, column, start_of_line) = locate(sources, self.span);
        let first = self.first.map(|first| {
            let (line, column, _) = locate(sources, first);
            let name = sources.get(first.file).map_or("", |source| source.name.as_str());
            format!("; first at {name}:{line}:{column}")
        });
        let excerpt = source.map(|source| excerpt(source, self.span, start_of_line, secrets));
        Message {
            level: self.level,
            file,
            line,
            column,
            text: safe(&self.text) + &first.unwrap_or_default(),
            hint: safe(&self.hint),
            excerpt,
        }
    }
}

/// Returns line and column (in characters, both from 1) and where the line begins.
fn locate(sources: &Sources, span: Span) -> (usize, usize, usize) {
    let text = sources.get(span.file).map_or("", |source| source.text.as_str());
    let head = text.get(..span.start).unwrap_or(text);
    // At the very end of a file that ends in a newline, the last line with something is meant.
    let head = if head.len() == text.len() { head.trim_end_matches('\n') } else { head };
    let start = head.rfind('\n').map_or(0, |at| at + 1);
    let line = head.matches('\n').count() + 1;
    let column = head.get(start..).map_or(0, |part| part.chars().count()) + 1;
    (line, column, start)
}

/// The most characters of a line that are shown, and how many of them before the marked part.
const EXCERPT_LIMIT: usize = 100;
const EXCERPT_BEFORE: usize = 40;

fn excerpt(source: &Source, span: Span, start_of_line: usize, secrets: &[Span]) -> Excerpt {
    let line = source.text.get(start_of_line..).and_then(|rest| rest.lines().next());
    let shown: Vec<(usize, char)> = line
        .unwrap_or_default()
        .char_indices()
        .map(|(at, c)| (start_of_line + at, c))
        .map(|(at, c)| (at, if is_secret(secrets, span.file, at) { '*' } else { printable(c) }))
        .collect();
    let indent = shown.iter().take_while(|(at, _)| *at < span.start).count();
    let width = shown.iter().filter(|(at, _)| span.start <= *at && *at < span.end).count().max(1);
    let from = if shown.len() > EXCERPT_LIMIT { indent.saturating_sub(EXCERPT_BEFORE) } else { 0 };
    let mut line: String = shown.iter().skip(from).take(EXCERPT_LIMIT).map(|(_, c)| *c).collect();
    if from > 0 {
        line.insert_str(0, "... ");
    }
    if shown.len() > from + EXCERPT_LIMIT {
        line.push_str(" ...");
    }
    let indent = indent - from + if from > 0 { 4 } else { 0 };
    let room = (from + EXCERPT_LIMIT).saturating_sub(indent).max(1);
    Excerpt { line, indent, width: width.min(room) }
}

fn is_secret(secrets: &[Span], file: usize, at: usize) -> bool {
    secrets.iter().any(|span| span.file == file && span.start <= at && at < span.end)
}

/// Makes a sentence that may quote the file safe for a terminal, and short.
fn safe(text: &str) -> String {
    let mut shown: String = text.chars().take(SENTENCE_LIMIT).map(printable).collect();
    if text.chars().nth(SENTENCE_LIMIT).is_some() {
        shown.push_str(" ...");
    }
    shown
}

/// The most characters of a text or hint; the longest of our own has half as many.
const SENTENCE_LIMIT: usize = 400;

/// A terminal obeys control characters and hides directions; neither may come from a file.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
