//! `perennial run`: the daemon in the foreground, as a service manager wants it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::args::RunArgs;
use super::{Ending, Globals, Hinted};
use crate::clock::Time;
use crate::run::{Boundaries, DEFAULT_STORE, Draws, RunError, Start, Surroundings, serve};

pub(super) fn main(args: &RunArgs, globals: &Globals) -> Result<Ending> {
    log(globals);
    let start = Start {
        config: globals.config.clone(),
        store: args.store.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_STORE)),
        time: Time::real(),
        draws: Draws::of_system(),
        surroundings: Surroundings::default(),
        pulse: Box::new(|| ()),
        boundaries: Boundaries::of_environment(),
    };
    let runtime = runtime()?;
    runtime.block_on(serve(start)).map_err(hinted)?;
    Ok(Ending::Fine)
}

/// Makes the runtime that everything asynchronous runs on.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().context("start the runtime")
}

/// Sends the log to standard error, as text or as a JSON object a line; `RUST_LOG` chooses what is in it.
fn log(globals: &Globals) {
    use tracing_subscriber::EnvFilter;
    let chosen = EnvFilter::try_from_default_env();
    let filter = chosen.unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = globals.paint_of_errors() == crate::view::Paint::Colour;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, in tests, finds the first one's log in place.
    let _ = if globals.json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(ansi).try_init()
    };
}

/// Gives errors of starting their hint.
fn hinted(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<RunError>() {
        Some(RunError::Store(store)) => {
            let cause = std::error::Error::source(store);
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            Hinted::new(format!("{store}{cause}"), store.advice()).into()
        }
        Some(RunError::Equip(_)) => {
            let hint = "see what is declared: perennial plan";
            Hinted::new(error.to_string(), hint).into()
        }
        _ => error,
    }
}
