//! `perennial schema`, `perennial completions` and `perennial man`: what editors, shells and readers
//! need, from the same declarations that the program itself reads by.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Ending;
use super::args::Args;

pub(super) fn schema() -> Ending {
    print(perennial_config::schema().as_bytes())
}

pub(super) fn completions(shell: Shell) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "perennial", &mut script);
    print(&script)
}

/// Writes a page for the program and one for each command, as `perennial.1` and `perennial-plan.1`.
pub(super) fn man(to: &Path) -> Result<Ending> {
    std::fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    let mut root = Args::command();
    root.build();
    let commands: Vec<Command> = root.get_subcommands().cloned().collect();
    page(to, "perennial", root)?;
    for command in commands {
        let name = format!("perennial-{}", command.get_name());
        let title: &'static str = String::leak(name.clone());
        page(to, &name, command.name(title))?;
    }
    Ok(Ending::Fine)
}

fn page(to: &Path, name: &str, command: Command) -> Result<()> {
    let path = to.join(format!("{name}.1"));
    let mut page = Vec::new();
    Man::new(command).render(&mut page).context("write a man page")?;
    std::fs::write(&path, page).with_context(|| format!("could not write {}", path.display()))
}

fn print(bytes: &[u8]) -> Ending {
    // A reader that has seen enough (`| head`) is no failure.
    let _ = std::io::stdout().lock().write_all(bytes);
    Ending::Fine
}
