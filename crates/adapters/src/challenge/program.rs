//! dns-01 by a program of the operator's, in the convention of lego's `exec` provider.
//!
//! The program is called with `present` or `cleanup`, the record's name with a final dot, and its
//! value; or, in the raw mode, with `--`, the domain, the token and the key authorization. Programs
//! written for lego work unchanged, except that they see no environment but their own. The name is
//! the end of the CNAME chain, as in lego. Calls of one solver go one after the other, as in lego:
//! such programs often read a zone, change it and write it back.
//!
//! Source: lego's documentation of `EXEC_PATH` and `EXEC_MODE`,
//! <https://go-acme.github.io/lego/dns/exec/>.

use perennial_core::words::Answer;
use perennial_wire::authorization::{key_authorization, txt_value};
use perennial_wire::program::Program;
use tokio::sync::Mutex;

use super::Direction;
use super::trouble::Trouble;

/// A program that writes DNS records.
#[derive(Clone, Debug)]
pub struct ProgramSettings {
    /// The program; its arguments come before those of the convention.
    pub program: Program,
    /// What it is told.
    pub mode: ProgramMode,
}

/// What a program is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramMode {
    /// The record's name and value.
    #[default]
    Record,
    /// Domain, token and key authorization (`EXEC_MODE=RAW`).
    Raw,
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

    pub(super) async fn perform(
        &self,
        answer: &Answer,
        direction: Direction,
    ) -> Result<(), Trouble> {
        let command = match direction {
            Direction::Present => "present",
            Direction::Withdraw => "cleanup",
        };
        let _running = self.running.lock().await;
        let program = &self.settings.program;
        let said = match self.settings.mode {
            ProgramMode::Record => {
                let place = answer.place.as_ref().ok_or(Trouble::Placeless)?;
                let record = format!("{}.", place.record);
                program.run(&[command, &record, &txt_value(answer)]).await?
            }
            ProgramMode::Raw => {
                let domain = answer.identifier.base();
                let words = [command, "--", domain, &answer.token, &key_authorization(answer)];
                program.run(&words).await?
            }
        };
        tracing::debug!(solver = %answer.solver, %said, "{command}");
        Ok(())
    }
}
