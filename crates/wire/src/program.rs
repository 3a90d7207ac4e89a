//! Running a program of the operator's: without a shell, in a clean environment, within a limit.
//!
//! Hooks are where other people's code runs with our privileges, so everything is bounded: no shell
//! reads the words, the environment holds `PATH` and what was configured and nothing of ours, the
//! input is empty, the working directory is `/`, what the program says is kept to its last
//! [`KEPT_OUTPUT`] bytes, and it starts with three descriptors: what we opened is closed on exec by
//! Rust's own habit, and what we inherited ourselves is marked so before each start.
//!
//! A program that outlives its limit is killed together with what it started: it gets a process
//! group of its own, and that group is ended before the program is reaped, so that its number
//! cannot have been given to anybody else. A program that ends in time may leave a daemon behind (a
//! reload that starts a server); that one is left alone, and nobody waits for it to close its
//! output.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// A program, its first arguments, its variables and its limit.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is; a bare name is looked up in `PATH`.
    pub path: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
    /// The variables it sees besides `PATH`. Values may be secret and are never shown.
    pub env: BTreeMap<String, String>,
    /// Further variables, which are no secret: what it is told about its work.
    pub told: BTreeMap<String, String>,
    /// How long it may take.
    pub limit: Duration,
}

impl Program {
    /// Makes a program of its words, the first of which is where it is.
    ///
    /// Returns nothing if there are no words.
    #[must_use]
    pub fn new(argv: &[String], limit: Duration) -> Option<Self> {
        let (path, args) = argv.split_first()?;
        let (env, told) = (BTreeMap::new(), BTreeMap::new());
        Some(Self { path: path.into(), args: args.to_vec(), env, told, limit })
    }

    /// Returns the program with each `{word}` in its arguments replaced by a value.
    #[must_use]
    pub fn filled(&self, values: &[(&str, &str)]) -> Self {
        let fill = |arg: &String| {
            values.iter().fold(arg.clone(), |text, (word, value)| {
                text.replace(&format!("{{{word}}}"), value)
            })
        };
        Self { args: self.args.iter().map(fill).collect(), ..self.clone() }
    }

    /// Runs the program with `more` arguments behind its own and returns the last of what it said.
    ///
    /// # Errors
    ///
    /// Returns how it went wrong: not started, ended with a failure, or killed at the limit.
    pub async fn run(&self, more: &[&str]) -> Result<String, ProgramError> {
        self.run_to_end(more, Outputs::Together).await.map(|output| output.said)
    }

    /// Runs the program as [`run`](Self::run) does, with what it writes to its standard output apart
    /// from what it says to its standard error: for programs whose output means something.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); what it said is then its standard error alone.
    pub async fn run_apart(&self, more: &[&str]) -> Result<Output, ProgramError> {
        self.run_to_end(more, Outputs::Apart(KEPT_OUTPUT)).await
    }

    /// Runs the program and returns what it wrote to its standard output, whole; what it says on
    /// standard error goes into the error alone.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), or that it wrote more than `most` bytes.
    pub async fn answer(&self, most: usize) -> Result<String, ProgramError> {
        let output = self.run_to_end(&[], Outputs::Apart(most.saturating_add(1))).await?;
        if output.written.len() > most {
            return Err(ProgramError::TooMuch { program: self.path.clone(), most });
        }
        Ok(String::from_utf8_lossy(&output.written).into_owned())
    }

    async fn run_to_end(&self, more: &[&str], outputs: Outputs) -> Result<Output, ProgramError> {
        let not_started = |source| ProgramError::Start { program: self.path.clone(), source };
        let (mut said, errors) = Ear::new(KEPT_OUTPUT).map_err(not_started)?;
        let (mut written, output) = match outputs {
            Outputs::Together => (Ear::closed(), errors.try_clone().map_err(not_started)?),
            Outputs::Apart(most) => Ear::new(most).map_err(not_started)?,
        };
        let mut child = self.spawn(more, output, errors).map_err(not_started)?;
        let mut group = Group::of(&child);

        let ended = listen(&mut said, &mut written, &mut child);
        let status = match tokio::time::timeout(self.limit, ended).await {
            Ok(status) => status.map_err(not_started)?,
            Err(_) => {
                group.kill();
                let _reaped = tokio::time::timeout(REAPING, child.wait()).await;
                return Err(ProgramError::TimedOut {
                    program: self.path.clone(),
                    limit: self.limit,
                    said: self.masked(said.kept.text()),
                });
            }
        };
        group.forget();
        let both = async { tokio::join!(said.drain(), written.drain()) };
        let _closed = tokio::time::timeout(LAST_WORDS, both).await;
        let said = self.masked(said.kept.text());
        if status.success() {
            return Ok(Output { said, written: written.kept.bytes });
        }
        Err(ProgramError::Status { program: self.path.clone(), status, said })
    }

    /// Returns what was said without the values of the program's variables: they may be secret, and
    /// what a failing program says goes into the journal.
    fn masked(&self, said: String) -> String {
        let secret = self.env.values().filter(|value| value.len() >= MASKED_FROM);
        secret.fold(said, |said, value| said.replace(value.as_str(), "***"))
    }

    fn spawn(
        &self,
        more: &[&str],
        output: io::PipeWriter,
        errors: io::PipeWriter,
    ) -> io::Result<Child> {
        close_fds::set_fds_cloexec_threadsafe(FIRST_OTHER_DESCRIPTOR, &[]);
        // Our ends of the pipe go with the command; the child's copies are then the only ones.
        let mut command = Command::new(&self.path);
        command
            .args(&self.args)
            .args(more)
            .env_clear()
            .env("PATH", DEFAULT_PATH)
            .envs(&self.env)
            .envs(&self.told)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        command.spawn()
    }
}

/// What a program wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The last of what it said, for a person; the values of its variables are masked.
    pub said: String,
    /// The last [`KEPT_OUTPUT`] bytes of its standard output, as they are.
    pub written: Vec<u8>,
}

/// Whether a program's two outputs are read as one.
#[derive(Clone, Copy)]
enum Outputs {
    Together,
    /// Each by itself, of the standard output so many bytes.
    Apart(usize),
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.env.keys().collect();
        f.debug_struct("Program")
            .field("path", &self.path)
            .field("args", &self.args)
            .field("env", &names)
            .field("limit", &self.limit)
            .finish()
    }
}

/// From which length on a value is masked; shorter ones are words that say nothing.
const MASKED_FROM: usize = 6;

/// How a program went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started, or not be waited for.
    #[error("`{}` could not be started: {source}", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("`{}` ended with {status}{}", program.display(), saying(said))]
    Status {
        /// Which program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last of what it said.
        said: String,
    },
    /// It wrote more than anybody asked for.
    #[error("`{}` wrote more than {most} bytes", program.display())]
    TooMuch {
        /// Which program.
        program: PathBuf,
        /// The bound.
        most: usize,
    },
    /// It outlived its limit and was killed with all that it started.
    #[error(
        "`{}` did not end within {} s and was killed{}",
        program.display(),
        limit.as_secs_f32(),
        saying(said)
    )]
    TimedOut {
        /// Which program.
        program: PathBuf,
        /// The limit.
        limit: Duration,
        /// The last of what it said.
        said: String,
    },
}

fn saying(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", saying: {said}") }
}

/// The process group of a child, killed unless it is forgotten first.
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    fn kill(&mut self) {
        if let Some(pid) = self.0.take() {
            // It may have ended by itself in this very moment; then there is nothing to kill.
            let _gone = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One end of a pipe that a program writes to, and the last of what came through.
struct Ear {
    from: Option<pipe::Receiver>,
    kept: Tail,
}

impl Ear {
    fn new(most: usize) -> io::Result<(Self, io::PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let from = Some(pipe::Receiver::from_owned_fd(reader.into())?);
        Ok((Self { from, kept: Tail { bytes: Vec::new(), most } }, writer))
    }

    fn closed() -> Self {
        Self { from: None, kept: Tail { bytes: Vec::new(), most: 0 } }
    }

    /// Reads some more; nothing more ever comes once the pipe is closed.
    async fn hear(&mut self) {
        let Some(from) = &mut self.from else { return std::future::pending().await };
        let mut buffer = [0; 4096];
        match from.read(&mut buffer).await {
            Ok(count) if count > 0 => self.kept.push(buffer.get(..count).unwrap_or_default()),
            _ => self.from = None,
        }
    }

    /// Reads what is left in the pipe.
    async fn drain(&mut self) {
        while self.from.is_some() {
            self.hear().await;
        }
    }
}

/// Reads until the child has ended; its outputs may stay open longer.
async fn listen(said: &mut Ear, written: &mut Ear, child: &mut Child) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = said.hear() => {}
            () = written.hear() => {}
        }
    }
}

/// The last bytes of what a program says.
struct Tail {
    bytes: Vec<u8>,
    most: usize,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let excess = self.bytes.len().saturating_sub(self.most);
        self.bytes.drain(..excess);
    }

    /// Returns the text without what could disturb a terminal or a log line.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let lines = text.lines().map(|line| line.chars().map(plain).collect::<String>());
        let lines: Vec<String> = lines.map(|line| line.trim().to_owned()).collect();
        lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ")
    }
}

/// How much of the output is kept, from its end: errors come last.
pub const KEPT_OUTPUT: usize = 4096;

/// What is searched for programs where the configuration does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first descriptor after the standard three.
const FIRST_OTHER_DESCRIPTOR: i32 = 3;

/// How long a killed program may take to be reaped.
const REAPING: Duration = Duration::from_secs(2);

/// How long the output of an ended program is read: a daemon that it left behind may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn program(argv: &[&str], limit: Duration) -> Program {
        let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
        Program::new(&argv, limit).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_program_sees_path_and_what_was_configured_and_nothing_else() {
        let mut env = program(&["env"], LONG);
        env.env.insert("TOKEN".to_owned(), "secret".to_owned());
        let said = env.run(&[]).await.unwrap();
        assert_eq!(said, format!("PATH={DEFAULT_PATH} / TOKEN=***"));
        assert!(!format!("{env:?}").contains("secret"));
    }

    #[tokio::test]
    async fn what_is_written_is_apart_from_what_is_said_where_it_means_something() {
        let mut both = program(&["sh", "-c", "echo to $WHOM; echo well >&2"], LONG);
        both.told.insert("WHOM".to_owned(), "everybody".to_owned());
        let output = both.run_apart(&[]).await.unwrap();
        assert_eq!((output.said.as_str(), &*output.written), ("well", &b"to everybody\n"[..]));
        assert_eq!(both.run(&[]).await.unwrap(), "to everybody / well");
    }

    #[tokio::test]
    async fn a_program_inherits_no_descriptors() {
        let _held = std::fs::File::open("/dev/null").unwrap();
        let said = program(&["ls", "/proc/self/fd"], LONG).run(&[]).await.unwrap();
        // The fourth is the directory that `ls` itself reads.
        assert_eq!(said, "0 / 1 / 2 / 3");
    }

    #[tokio::test]
    async fn words_reach_the_program_as_they_are() {
        let said = program(&["printf", "%s"], LONG).run(&["$HOME; `id` {x}"]).await.unwrap();
        assert_eq!(said, "$HOME; `id` {x}");
    }

    #[tokio::test]
    async fn a_failure_carries_the_last_words() {
        let error = program(&["sh", "-c", "echo no such zone >&2; exit 3"], LONG).run(&[]).await;
        let text = error.unwrap_err().to_string();
        assert_eq!(text, "`sh` ended with exit status: 3, saying: no such zone");
    }

    #[tokio::test]
    async fn an_answer_is_what_was_written_and_nothing_else_and_is_bounded() {
        let script = |text: &str| program(&["sh", "-c", text], LONG);
        let answer = script("echo one; echo two; echo three >&2").answer(64).await;
        assert_eq!(answer.unwrap(), "one\ntwo\n");
        let error = script("echo one; echo why >&2; exit 3").answer(64).await.unwrap_err();
        assert_eq!(error.to_string(), "`sh` ended with exit status: 3, saying: why");
        let error = script("exec head -c 65 /dev/zero").answer(64).await.unwrap_err();
        assert_eq!(error.to_string(), "`sh` wrote more than 64 bytes");
        assert_eq!(script("exec head -c 64 /dev/zero").answer(64).await.unwrap().len(), 64);
    }

    #[tokio::test]
    async fn a_hanging_program_is_killed_with_what_it_started() {
        let script = "sleep 1000 & echo $!; wait";
        let error = program(&["sh", "-c", script], Duration::from_millis(300)).run(&[]).await;
        let Err(ProgramError::TimedOut { said, .. }) = error else { panic!("{error:?}") };
        let ended = async {
            let state = || std::fs::read_to_string(format!("/proc/{said}/stat"));
            // Gone, or a zombie that waits for its new parent to reap it.
            while state().is_ok_and(|state| !state.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("the grandchild is killed too");
    }

    #[tokio::test]
    async fn a_daemon_left_behind_is_not_waited_for() {
        let script = "sleep 3 & echo started";
        let said = program(&["sh", "-c", script], Duration::from_secs(2)).run(&[]).await.unwrap();
        assert_eq!(said, "started");
    }

    #[tokio::test]
    async fn endless_output_is_bounded_and_does_not_block() {
        let script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end";
        let said = program(&["sh", "-c", script], LONG).run(&[]).await.unwrap();
        assert!(said.len() <= KEPT_OUTPUT + 8 && said.ends_with("/ the end"), "{}", said.len());
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_so() {
        let error = program(&["/nonexistent/hook"], LONG).run(&[]).await.unwrap_err();
        assert!(matches!(error, ProgramError::Start { .. }));
        assert!(error.to_string().starts_with("`/nonexistent/hook` could not be started"));
    }

    #[test]
    fn placeholders_are_filled() {
        let filled = program(&["check", "{fullchain}", "--key={key}"], LONG)
            .filled(&[("fullchain", "/a/f.pem"), ("key", "/a/k.pem")]);
        assert_eq!(filled.args, ["/a/f.pem", "--key=/a/k.pem"]);
    }
}
