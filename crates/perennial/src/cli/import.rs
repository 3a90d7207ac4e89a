//! `perennial import`: going on with what another tool keeps.
//!
//! Without a configuration one is written, for a person to look at; with one, what it declares and the
//! tree holds is taken over.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use perennial_adapters::foreign::{Tool, Tree};

use super::args::{ImportArgs, ToolName};
use super::{Ending, Globals, Hinted, known, say};
use crate::clock::Time;
use crate::import::{Report, draft, import};
use crate::view::safe;

pub(super) fn main(args: &ImportArgs, globals: &Globals) -> Result<Ending> {
    let tool = match args.tool {
        ToolName::Certbot => Tool::Certbot,
        ToolName::Lego => Tool::Lego,
        ToolName::AcmeSh => Tool::AcmeSh,
    };
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let from = args.from.clone().unwrap_or_else(|| tool.usual_place(&home));
    let tree = tool.read(&from).map_err(|error| {
        let hint = format!("say where it is: perennial import {} --from DIR", tool.as_str());
        Hinted::new(error.to_string(), hint)
    })?;
    if !globals.config.exists() {
        return propose(tool, &from, &tree, globals);
    }
    let loaded = known::load(globals)?;
    let report = import(tool, &from, &tree, &loaded, &Time::real())?;
    say(globals, &report, || told(tool, &report));
    let all = report.left.iter().all(|left| left.is_fine);
    Ok(if all { Ending::Fine } else { Ending::Findings })
}

/// Writes the configuration that goes on with a tree, and says what comes next.
fn propose(tool: Tool, from: &Path, tree: &Tree, globals: &Globals) -> Result<Ending> {
    let draft = draft(tool, &from.display().to_string(), tree);
    write_new(&globals.config, &draft.to_string())?;
    let (path, name) = (globals.config.display(), tool.as_str());
    let json = serde_json::json!({
        "wrote": globals.config,
        "certificates": tree.lineages.len(),
        "accounts": tree.accounts.len(),
        "problems": tree.problems,
    });
    say(globals, &json, || {
        let (leaves, accounts) = (tree.lineages.len(), tree.accounts.len());
        let mut text = format!(
            "wrote {path} from {leaves} leaves and {accounts} accounts; nothing is taken over yet\n"
        );
        for problem in &tree.problems {
            let _ = writeln!(text, "  not read: {}", safe(problem));
        }
        let from = from.display();
        let _ = write!(
            text,
            "\nlook at it, see what it would do (perennial plan), then:\n  perennial import {name} \
             --from {from}"
        );
        text
    });
    Ok(if tree.problems.is_empty() { Ending::Fine } else { Ending::Findings })
}

/// Writes a configuration that may come to hold secrets; what is there is never replaced.
pub(super) fn write_new(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("could not make {}", folder.display()))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("could not write {}", path.display()))
}

fn told(tool: Tool, report: &Report) -> String {
    let name = tool.as_str();
    let mut text = format!("from {name}'s tree in {}\n", report.from.display());
    for taken in &report.taken {
        let _ = writeln!(
            text,
            "  {:<12} {:<20} {}",
            taken.what,
            taken.name.as_str(),
            safe(&taken.text)
        );
    }
    if report.taken.is_empty() {
        text.push_str("  nothing new\n");
    }
    if !report.left.is_empty() {
        text.push_str("left as it is\n");
        for left in &report.left {
            let _ = writeln!(text, "  {}: {}", safe(&left.name), safe(&left.why));
        }
    }
    let _ = write!(
        text,
        "\nstart: systemctl start perennial, or perennial run\n{name} goes on renewing by itself; to \
         end that: {}",
        tool.farewell()
    );
    text
}
