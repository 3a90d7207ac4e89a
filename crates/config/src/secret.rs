//! Secrets: where they are kept, and how they are had when they are needed.
//!
//! A configuration holds references. The value is read each time it is asked for, so that a rotated
//! credential needs no restart, and is wiped when it is dropped. Size and time are bounded; a command runs
//! without a shell, with a clean environment, and its whole process group ends when it overstays.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::message::Report;
use crate::near::{nearest, suggest};
use crate::tree::{Entry, Node, Value};

/// Where a secret is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
    /// On the standard output of a command: the program and its arguments.
    Command(Vec<String>),
    /// In the configuration itself.
    Inline(Zeroizing<String>),
}

/// Why a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the secret {source_name}: {cause}")]
pub struct SecretError {
    /// Where it should have been: `file:/etc/perennial/tsig.key`.
    pub source_name: String,
    /// What went wrong.
    pub cause: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows the reference, never the value.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Command(argv) => {
                write!(f, "command:{}", argv.first().map_or("", String::as_str))
            }
            Self::Inline(_) => f.write_str("written in the configuration"),
        }
    }
}

impl Secret {
    /// Reads the secret as bytes, without one newline at its end. Blocks for at most ten seconds.
    ///
    /// # Errors
    ///
    /// Returns where the secret should have been and why it could not be had from there.
    pub fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        self.bytes_within(COMMAND_LIMIT)
    }

    /// Reads the secret as text, without one newline at its end. Blocks for at most ten seconds.
    ///
    /// # Errors
    ///
    /// As [`Self::bytes`]; also where it is no UTF-8.
    pub fn text(&self) -> Result<Zeroizing<String>, SecretError> {
        let bytes = self.bytes()?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(String::from(text))),
            Err(_) => Err(self.because("it is no text")),
        }
    }

    /// Lets a relative path start from a folder.
    pub(crate) fn within(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::Env(_) | Self::Command(_) | Self::Inline(_) => self,
        }
    }

    fn bytes_within(&self, limit: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let read = match self {
            Self::File(path) => read_file(path),
            Self::Env(name) => read_env(name),
            Self::Command(argv) => run(argv, limit),
            Self::Inline(text) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        };
        let mut bytes = read.map_err(|cause| self.because(cause))?;
        if bytes.len() > SIZE_LIMIT {
            return Err(self.because(format!("it is longer than {SIZE_LIMIT} bytes")));
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        if bytes.is_empty() { Err(self.because("it is empty")) } else { Ok(bytes) }
    }

    fn because(&self, cause: impl Into<String>) -> SecretError {
        SecretError { source_name: self.to_string(), cause: cause.into() }
    }
}

/// The longest secret: the largest RSA keys in PEM take 13 KiB.
const SIZE_LIMIT: usize = 64 << 10;

/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// The variables that a command sees; all others stay with us.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "USER", "LANG"];

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        // Opening a pipe that nobody writes to would wait for ever.
        return Err(String::from("it is no regular file"));
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    read_bounded(file).map_err(|error| error.to_string())
}

fn read_env(name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let value = std::env::var_os(name).ok_or("the variable is not set")?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

fn read_bounded(from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Made large enough at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SIZE_LIMIT + 2));
    let limit = u64::try_from(SIZE_LIMIT).unwrap_or(u64::MAX).saturating_add(1);
    from.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Runs a command and returns what it wrote. The waiting is a thread's, so that no clock is read.
fn run(argv: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().process_group(0);
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| error.to_string())?;
    let group = child.id();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(finish(child)));
    if let Ok(ended) = told.recv_timeout(limit) {
        return ended;
    }
    end_group(group);
    Err(format!("the command took longer than {} s and was ended", limit.as_secs()))
}

fn end_group(group: u32) {
    let pid = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now, which is what was wanted.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

fn finish(mut child: Child) -> Result<Zeroizing<Vec<u8>>, String> {
    let complaints = child.stderr.take();
    let complaints = std::thread::spawn(move || complaints.map(read_bounded));
    let written = child.stdout.take().map(read_bounded).transpose();
    let status = child.wait().map_err(|error| error.to_string())?;
    let written = written.map_err(|error| error.to_string())?.unwrap_or_default();
    if status.success() {
        return Ok(written);
    }
    let complaints = complaints.join().ok().flatten().and_then(Result::ok).unwrap_or_default();
    let complaints = String::from_utf8_lossy(&complaints);
    let first = complaints.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let first: String = first.chars().filter(|c| !c.is_control()).take(200).collect();
    Err(if first.is_empty() { status.to_string() } else { format!("{status}: {first}") })
}

/// The sources of secrets, as they are written.
const SOURCES: [&str; 3] = ["file", "env", "command"];

/// Reads a reference: a text, or a table for commands with arguments.
pub(crate) fn read_reference(node: &Node, report: &mut Report) -> Option<Secret> {
    match &node.value {
        Value::Text(text) => read_text(text, node, report),
        Value::Table(entries) => read_table(entries, node, report),
        _ => None,
    }
}

fn read_text(text: &str, node: &Node, report: &mut Report) -> Option<Secret> {
    let Some((source, rest)) = text.split_once(':') else {
        return Some(Secret::Inline(Zeroizing::new(String::from(text))));
    };
    match source {
        "file" | "env" if rest.is_empty() => {
            let text = format!("`{text}` names nothing");
            report.error(node.span, text, "\"file:/etc/perennial/tsig.key\", \"env:TSIG_KEY\"");
            None
        }
        "file" => Some(Secret::File(PathBuf::from(rest))),
        "env" if !is_variable(rest) => {
            let hint = "name the variable without `$`: \"env:TSIG_KEY\"";
            report.error(node.span, format!("`{rest}` is no environment variable"), hint);
            None
        }
        "env" => Some(Secret::Env(String::from(rest))),
        "command" if rest.is_empty() || rest.contains(char::is_whitespace) => {
            let words: Vec<_> = rest.split_whitespace().map(|word| format!("\"{word}\"")).collect();
            let hint = format!(
                "there is no shell; write {{ command = [{}] }}",
                if words.is_empty() {
                    String::from("\"/usr/bin/program\"")
                } else {
                    words.join(", ")
                }
            );
            report.error(node.span, "a command with arguments is a list", hint);
            None
        }
        "command" => Some(Secret::Command(vec![String::from(rest)])),
        other => match nearest(other, SOURCES) {
            Some(near) => {
                let hint = format!("did you mean `{near}:`?");
                report.error(node.span, format!("unknown source of secrets `{other}:`"), hint);
                None
            }
            None => Some(Secret::Inline(Zeroizing::new(String::from(text)))),
        },
    }
}

fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn read_table(entries: &[Entry], node: &Node, report: &mut Report) -> Option<Secret> {
    let [entry] = entries else {
        let hint = "{ file = \"/path\" }, { env = \"NAME\" } or { command = [\"program\", ...] }";
        report.error(node.span, "a secret has exactly one source", hint);
        return None;
    };
    match (entry.key.as_str(), &entry.node.value) {
        ("file", Value::Text(path)) => Some(Secret::File(PathBuf::from(path))),
        ("env", Value::Text(name)) => Some(Secret::Env(name.clone())),
        ("command", Value::Array(nodes)) if !nodes.is_empty() => {
            let text = |node: &Node| match &node.value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            };
            nodes.iter().map(text).collect::<Option<Vec<_>>>().map(Secret::Command)
        }
        ("file" | "env" | "command", _) => {
            let hint =
                "{ file = \"/path\" }, { env = \"NAME\" } or { command = [\"program\", ...] }";
            report.error(entry.node.span, "this is no place of a secret", hint);
            None
        }
        (other, _) => {
            let hint = suggest(other, SOURCES, || String::from("known: file, env, command"));
            report.error(entry.key_span, format!("unknown source of secrets `{other}`"), hint);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str]) -> Secret {
        Secret::Command(argv.iter().map(|word| String::from(*word)).collect())
    }

    #[test]
    fn a_file_is_read_without_the_newline_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (content, expected) in [("abc\n", "abc"), ("abc\r\n", "abc"), ("a\n\n", "a\n")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(Secret::File(path.clone()).text().unwrap().as_str(), expected);
        }
    }

    #[test]
    fn what_cannot_be_had_is_named_without_the_value() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long");
        std::fs::write(&long, vec![b'x'; SIZE_LIMIT + 1]).unwrap();
        let cases = [
            (Secret::File(folder.path().join("none")), "No such file or directory (os error 2)"),
            (Secret::File(folder.path().to_path_buf()), "it is no regular file"),
            (Secret::File(long), "it is longer than 65536 bytes"),
            (Secret::Env(String::from("PERENNIAL_NOT_SET")), "the variable is not set"),
            (Secret::Inline(Zeroizing::new(String::new())), "it is empty"),
            (command(&["/bin/false"]), "exit status: 1"),
            (command(&["/nowhere/program"]), "No such file or directory (os error 2)"),
            (
                command(&["cat", "/nowhere"]),
                "exit status: 1: cat: /nowhere: No such file or directory",
            ),
        ];
        for (secret, cause) in cases {
            assert_eq!(secret.bytes().unwrap_err().cause, cause, "{secret}");
        }
        let inline = Secret::Inline(Zeroizing::new(String::from("hunter2")));
        assert!(!format!("{inline} {inline:?}").contains("hunter2"));
    }

    #[test]
    fn a_command_gives_what_it_writes_and_sees_a_clean_environment() {
        assert_eq!(command(&["echo", "a b"]).text().unwrap().as_str(), "a b");
        let seen = command(&["env"]).text().unwrap();
        assert!(seen.lines().all(|line| PASSED_ON.iter().any(|name| line.starts_with(name))));
    }

    #[test]
    fn a_command_that_overstays_is_ended_with_its_children() {
        let argv = command(&["sh", "-c", "sleep 600 & sleep 600"]);
        let error = argv.bytes_within(Duration::from_millis(50)).unwrap_err();
        assert!(error.cause.contains("was ended"), "{error}");
    }

    #[test]
    fn a_command_that_writes_for_ever_is_cut_off() {
        let error = command(&["cat", "/dev/zero"]).bytes().unwrap_err();
        assert!(!error.cause.contains("was ended"), "{error}");
    }
}
