//! The command line: what was asked, who does it, and how it ended.
//!
//! Data goes to standard output, everything else to standard error. A command ends in one of four
//! ways, each with its exit code ([`Ending`]). Errors are told by one function: what failed with its
//! causes, an empty line, and a hint.

mod args;
mod backup;
mod check;
mod demo;
mod import;
mod init;
mod journal;
mod known;
mod manual;
mod plan;
mod renew;
mod run;
mod status;
mod tell;
mod topics;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use clap::error::ErrorKind;
use perennial_core::words::Name;

pub use args::{AccountCommand, Args, Command, Globals};
pub use tell::{Hinted, tell};

use crate::control::{AccountWish, Answer, Question, ask};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is well, or done.
    Fine,
    /// Something needs a person's attention.
    Findings,
    /// The command line makes no sense.
    Usage,
    /// It could not be done.
    CouldNot,
}

impl Ending {
    /// Returns the exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::CouldNot => 3,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> Ending {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to do if the terminal is gone.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Ending::Fine } else { Ending::Usage };
        }
    };
    match dispatch(&args) {
        Ok(ending) => ending,
        Err(error) => {
            eprintln!("{}", tell(&error));
            Ending::CouldNot
        }
    }
}

fn dispatch(args: &Args) -> Result<Ending> {
    let globals = &args.globals;
    match &args.command {
        Command::Check(args) => check::main(args, globals),
        Command::Run(args) => run::main(args, globals),
        Command::Demo(args) => demo::main(args, globals),
        Command::Status(args) => status::main(args, globals),
        Command::Plan => plan::main(globals),
        Command::Renew(args) => renew::main(args, globals),
        Command::Revoke(args) => {
            let certificate = Name::new(&args.certificate);
            let (reason, at_once) = (args.reason.into(), args.now);
            control(globals, &Question::Revoke { certificate, reason, at_once })
        }
        Command::Account(args) => control(globals, &about_account(&args.wish)),
        Command::Journal(args) => journal::main(args, globals),
        Command::Reload => control(globals, &Question::Reload { confirmed: false }),
        Command::Confirm(args) => match &args.certificate {
            None => control(globals, &Question::Reload { confirmed: true }),
            Some(certificate) => {
                let (certificate, leaf) = (Name::new(certificate), args.leaf);
                control(globals, &Question::Confirm { certificate, leaf })
            }
        },
        Command::Backup(args) => backup::make(args, globals),
        Command::Restore(args) => backup::put_back(args, globals),
        Command::Resume => control(globals, &Question::Resume),
        Command::Import(args) => import::main(args, globals),
        Command::Init(args) => init::main(args, globals),
        Command::Schema => Ok(manual::schema()),
        Command::Completions(args) => Ok(manual::completions(args.shell)),
        Command::Man(args) => manual::man(&args.to),
        Command::Stop => control(globals, &Question::Stop),
        Command::Help(args) => Ok(topics::main(args)),
    }
}

fn about_account(command: &AccountCommand) -> Question {
    let (issuer, wish) = match command {
        AccountCommand::Show { issuer } => (issuer, AccountWish::Show),
        AccountCommand::RotateKey { issuer } => (issuer, AccountWish::ChangeKey),
        AccountCommand::Deactivate { issuer, force: false } => (issuer, AccountWish::End),
        AccountCommand::Deactivate { issuer, force: true } => (issuer, AccountWish::EndAnyway),
    };
    Question::Account { issuer: Name::new(issuer), wish }
}

/// Puts a question to which the answer is a sentence.
fn control(globals: &Globals, question: &Question) -> Result<Ending> {
    let known = known::Settings::load(globals)?;
    match ask(&known.socket, question)? {
        Answer::Done { text } => {
            say(globals, &serde_json::json!({ "done": text }), || text.clone());
            Ok(Ending::Fine)
        }
        Answer::Refused { text, hint } => Err(Hinted::new(text, hint).into()),
        Answer::Status { .. } => Err(Hinted::mismatch().into()),
    }
}

/// Writes data to standard output: as JSON, or as text.
fn say(globals: &Globals, json: &impl serde::Serialize, text: impl FnOnce() -> String) {
    use std::io::Write as _;
    let text = if globals.json {
        // Our views have string keys and no failing `Serialize`: writing them cannot fail.
        serde_json::to_string(json).unwrap_or_default()
    } else {
        text()
    };
    let mut out = std::io::stdout().lock();
    // A reader that has seen enough (`| head`) is no failure.
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
}
