//! `perennial init`: a first configuration, from what lies on this machine and what a person says.
//!
//! On a terminal it asks; elsewhere everything must be said. It never replaces a file, and never agrees
//! to a CA's terms by itself.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Result;

use super::args::InitArgs;
use super::import::write_new;
use super::{Ending, Globals, Hinted, say};
use crate::init::{Found, Wishes, draft};
use crate::view::safe;

pub(super) fn main(args: &InitArgs, globals: &Globals) -> Result<Ending> {
    let path = globals.config.display();
    if globals.config.exists() {
        let hint = "see what it would do: perennial plan; or choose another place: --config PATH";
        return Err(Hinted::new(format!("{path} is there already"), hint).into());
    }
    let found = Found::look(&args.root);
    let asks = !args.no_questions && !globals.json && std::io::stdin().is_terminal();
    if asks {
        for line in found.told() {
            eprintln!("found {}", safe(&line));
        }
    }
    let agreed = args.agree_terms
        || asks
            && is_yes(&ask(
                "Do you agree to Let's Encrypt's terms of service, https://letsencrypt.org/repository/ ? [yes/no] ",
            )?);
    if !agreed {
        let hint =
            "read them at https://letsencrypt.org/repository/, then: perennial init --agree-terms";
        return Err(
            Hinted::new("agreeing to the CA's terms of service is yours to do", hint).into()
        );
    }
    let contact = match &args.contact {
        Some(contact) => Some(contact.clone()),
        None if asks => Some(ask("Whom may the CA write to? (a mail address, or nothing) ")?),
        None => None,
    };
    let contact = contact.filter(|contact| !contact.is_empty());
    let wishes = Wishes { contact, names: args.names.clone() };
    let text = draft(&found, &wishes).to_string();
    write_new(&globals.config, &text)?;
    let json = serde_json::json!({
        "wrote": globals.config,
        "found": found.told(),
        "problems": found.problems,
    });
    say(globals, &json, || {
        let mut told = format!("wrote {path}\n");
        for line in found.told() {
            told += &format!("  found {}\n", safe(&line));
        }
        for problem in &found.problems {
            told += &format!("  not read: {}\n", safe(problem));
        }
        told + "\nlook at it, then see what it would do: perennial plan"
    });
    Ok(if found.problems.is_empty() { Ending::Fine } else { Ending::Findings })
}

/// Asks a person, and returns the answer without the spaces around it.
fn ask(question: &str) -> Result<String> {
    let mut out = std::io::stderr().lock();
    write!(out, "{question}")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str())
}
