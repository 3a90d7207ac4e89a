//! Challenges answered by a program of the operator's, in the convention of the tool it was written
//! for, so that it works unchanged.
//!
//! | convention | called | challenges |
//! |---|---|---|
//! | lego's `exec` | `present` or `cleanup`, the record with a final dot, its value | dns-01 |
//! | lego's `exec`, raw | `present` or `cleanup`, `--`, domain, token, key authorization | dns-01 |
//! | certbot's manual hooks | one program each way, told by `CERTBOT_*` | dns-01, http-01 |
//! | acme.sh's dnsapi | a shell script's `dns_x_add` or `dns_x_rm`, with what acme.sh brings | dns-01 |
//! | dehydrated's hook | `deploy_challenge` or `clean_challenge`, domain, token, value | dns-01, http-01 |
//!
//! A program sees no environment but its own. The record is the end of the CNAME chain. Calls of
//! one solver go one after the other, as with those tools: such programs often read a zone, change
//! it and write it back. Each call is a run of its own: certbot's `CERTBOT_REMAINING_CHALLENGES` is
//! always 0, so that a hook that does its work at the last one does it.
//!
//! What certbot's first hook writes is what its second one is told. It is kept in a file, durable
//! before the answer counts as presented, so that a crash in between loses nothing; so is what a
//! script of acme.sh saves. Both lie in a folder of the solver's own.
//!
//! Sources: <https://go-acme.github.io/lego/dns/exec/>,
//! <https://eff-certbot.readthedocs.io/en/stable/using.html#hooks>,
//! <https://github.com/acmesh-official/acme.sh/wiki/DNS-API-Dev-Guide>,
//! <https://github.com/dehydrated-io/dehydrated/blob/master/docs/examples/hook.sh>.

mod kept;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use perennial_core::words::{Answer, ChallengeKind};
use perennial_wire::authorization::{key_authorization, txt_value};
use perennial_wire::program::Program;
use tokio::sync::Mutex;

use super::Direction;
use super::trouble::Trouble;
use kept::Kept;

/// A program that answers challenges.
#[derive(Clone, Debug)]
pub struct ProgramSettings {
    /// The program; its arguments come before those of the convention.
    pub program: Program,
    /// How it is called.
    pub convention: Convention,
    /// The type of challenge that it answers.
    pub kind: ChallengeKind,
    /// The folder of what is to be remembered between two calls; made when it is first needed.
    pub memory: PathBuf,
}

/// How a program is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Convention {
    /// lego's `exec`.
    Lego,
    /// lego's `exec` with `EXEC_MODE=RAW`.
    LegoRaw,
    /// certbot's `--manual-auth-hook`, and what is given as `--manual-cleanup-hook`, if anything.
    Certbot {
        /// The other program.
        cleanup: Option<Program>,
    },
    /// A script of acme.sh's dnsapi.
    AcmeSh,
    /// dehydrated's hook.
    Dehydrated,
}

#[derive(Debug)]
pub(super) struct ProgramSolver {
    settings: ProgramSettings,
    running: Mutex<()>,
}

impl ProgramSolver {
    pub(super) fn new(settings: ProgramSettings) -> Self {
        Self { settings, running: Mutex::new(()) }
    }

    pub(super) fn kind(&self) -> ChallengeKind {
        self.settings.kind.clone()
    }

    pub(super) async fn perform(
        &self,
        answer: &Answer,
        direction: Direction,
    ) -> Result<(), Trouble> {
        let _running = self.running.lock().await;
        let program = &self.settings.program;
        let said = match &self.settings.convention {
            Convention::Lego => {
                let record = format!("{}.", record(answer)?);
                program.run(&[lego(direction), &record, &txt_value(answer)]).await?
            }
            Convention::LegoRaw => {
                let domain = answer.identifier.base();
                let key = key_authorization(answer);
                program.run(&[lego(direction), "--", domain, &answer.token, &key]).await?
            }
            Convention::Certbot { cleanup } => {
                self.certbot(answer, direction, cleanup.as_ref()).await?
            }
            Convention::AcmeSh => self.acme_sh(answer, direction).await?,
            Convention::Dehydrated => {
                let command = match direction {
                    Direction::Present => "deploy_challenge",
                    Direction::Withdraw => "clean_challenge",
                };
                let (domain, value) = (answer.identifier.base(), value(answer));
                program.run(&[command, domain, &answer.token, &value]).await?
            }
        };
        tracing::debug!(solver = %answer.solver, %said, "{}", direction.verb());
        Ok(())
    }

    async fn certbot(
        &self,
        answer: &Answer,
        direction: Direction,
        cleanup: Option<&Program>,
    ) -> Result<String, Trouble> {
        let kept = Kept::of(&self.settings.memory, answer);
        match (direction, cleanup) {
            (Direction::Present, _) => {
                let program = told(&self.settings.program, answer, None);
                let output = program.run_apart(&[]).await?;
                kept.keep(&output.written)?;
                Ok(output.said)
            }
            (Direction::Withdraw, Some(cleanup)) => {
                let said = told(cleanup, answer, Some(kept.read()?)).run(&[]).await?;
                kept.forget()?;
                Ok(said)
            }
            (Direction::Withdraw, None) => {
                kept.forget()?;
                Ok(String::new())
            }
        }
    }

    async fn acme_sh(&self, answer: &Answer, direction: Direction) -> Result<String, Trouble> {
        let script = &self.settings.program;
        let memory = &self.settings.memory;
        kept::make_folder(memory)?;
        let given: Vec<&str> = script.env.keys().map(String::as_str).collect();
        let mut shell = script.clone();
        shell.path = PathBuf::from("sh");
        shell.args =
            ["-c", SHIM, "acme.sh", &script.path.to_string_lossy()].map(String::from).into();
        shell.told.insert("PERENNIAL_GIVEN".to_owned(), given.join(" "));
        shell.told.insert("PERENNIAL_STATE".to_owned(), memory.to_string_lossy().into_owned());
        let verb = match direction {
            Direction::Present => "add",
            Direction::Withdraw => "rm",
        };
        Ok(shell.run(&[verb, record(answer)?, &txt_value(answer)]).await?)
    }
}

/// What acme.sh brings to its scripts, as far as they are promised it.
const SHIM: &str = include_str!("acme.sh");

const fn lego(direction: Direction) -> &'static str {
    match direction {
        Direction::Present => "present",
        Direction::Withdraw => "cleanup",
    }
}

fn record(answer: &Answer) -> Result<&str, Trouble> {
    answer.place.as_ref().map(|place| &*place.record).ok_or(Trouble::Placeless)
}

/// Returns what the answer shows.
fn value(answer: &Answer) -> String {
    match answer.kind {
        ChallengeKind::Dns01 => txt_value(answer),
        _ => key_authorization(answer),
    }
}

/// Tells a program what certbot would.
fn told(program: &Program, answer: &Answer, output: Option<String>) -> Program {
    let domain = answer.identifier.base().to_owned();
    let mut program = program.clone();
    let mut tell = |name: &str, value: String| _ = program.told.insert(name.to_owned(), value);
    for name in ["DOMAIN", "IDENTIFIER", "ALL_DOMAINS", "ALL_IDENTIFIERS"] {
        tell(&format!("CERTBOT_{name}"), domain.clone());
    }
    tell("CERTBOT_VALIDATION", value(answer));
    tell("CERTBOT_REMAINING_CHALLENGES", "0".to_owned());
    if answer.kind == ChallengeKind::Http01 {
        tell("CERTBOT_TOKEN", answer.token.to_string());
    }
    if let Some(output) = output {
        tell("CERTBOT_AUTH_OUTPUT", output);
    }
    program
}
