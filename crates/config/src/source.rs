//! The texts that make up a configuration, and places in them.

use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::message::Message;

/// One file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How messages call it: the path as it was given.
    pub name: String,
    /// The folder that relative paths in it start from.
    pub folder: PathBuf,
    /// Its text.
    pub text: String,
}

/// All of them, in the order in which they are read.
pub(crate) type Sources = [Source];

/// Where something stands: bytes `start..end` of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The source's place among the sources.
    pub(crate) file: usize,
    /// The first byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const fn of(file: usize, range: Range<usize>) -> Self {
        Self { file, start: range.start, end: range.end }
    }
}

/// Something with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spanned<T> {
    /// What.
    pub(crate) value: T,
    /// Where.
    pub(crate) span: Span,
    /// Where its key stands; for an element of a list, the element itself.
    pub(crate) key: Span,
}

/// The most bytes that one file may have: about 400,000 certificates.
const FILE_LIMIT: u64 = 64 << 20;

/// The most files that a folder may hold.
const FOLDER_LIMIT: usize = 100_000;

/// Reads the file, or every `*.toml` of the folder in the order of their names.
///
/// # Errors
///
/// Returns one message for each file that cannot be read.
pub fn gather(path: &Path) -> Result<Vec<Source>, Vec<Message>> {
    let meta = fs::metadata(path).map_err(|error| vec![unreadable(path, &error)])?;
    let paths = if meta.is_dir() { list(path)? } else { vec![path.to_path_buf()] };
    let mut sources = Vec::with_capacity(paths.len());
    let mut messages = Vec::new();
    for path in &paths {
        match read(path) {
            Ok(source) => sources.push(source),
            Err(message) => messages.push(*message),
        }
    }
    if messages.is_empty() { Ok(sources) } else { Err(messages) }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Vec<Message>> {
    let entries = fs::read_dir(folder).map_err(|error| vec![unreadable(folder, &error)])?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| vec![unreadable(folder, &error)])?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
        if paths.len() > FOLDER_LIMIT {
            let text = format!("holds more than {FOLDER_LIMIT} files");
            return Err(vec![Message::about(
                &folder.display().to_string(),
                text,
                "put several certificates in one file",
            )]);
        }
    }
    if paths.is_empty() {
        let hint = "the names of configuration files end in `.toml`";
        return Err(vec![Message::about(
            &folder.display().to_string(),
            "holds no configuration file",
            hint,
        )]);
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Source, Box<Message>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| Box::new(unreadable(path, &error)))?;
    // One byte more than allowed tells a file that is too long; a device or pipe ends here as well.
    let taken = file.take(FILE_LIMIT + 1).read_to_end(&mut bytes);
    let taken = taken.map_err(|error| Box::new(unreadable(path, &error)))?;
    if u64::try_from(taken).unwrap_or(u64::MAX) > FILE_LIMIT {
        let text = format!("is longer than {} MiB", FILE_LIMIT >> 20);
        let hint = "use a folder with several files: `--config` takes a folder too";
        return Err(Box::new(Message::about(&path.display().to_string(), text, hint)));
    }
    let name = path.display().to_string();
    let folder = std::path::absolute(path)
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, folder, text }),
        Err(error) => Err(Box::new(Message::not_utf8(&name, &error))),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Message {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "name the file or folder with `--config PATH` or in PERENNIAL_CONFIG"
        }
        std::io::ErrorKind::PermissionDenied => {
            "run as the user who may read it, or let that user read it: chgrp and chmod g+r"
        }
        _ => "see whether the disk or the mount is well",
    };
    Message::about(&path.display().to_string(), format!("cannot be read: {error}"), hint)
}
