//! `perennial demo`: the main job on a small internet of its own.

use anyhow::Result;

use super::args::DemoArgs;
use super::run::runtime;
use super::{Ending, Globals};
use crate::demo::{Options, run};

pub(super) fn main(args: &DemoArgs, globals: &Globals) -> Result<Ending> {
    let options = Options {
        exit_after_seen: args.exit_after_seen,
        json: globals.json,
        days: args.days,
        paint: globals.paint(),
    };
    let well = runtime()?.block_on(run(options, &mut std::io::stdout()))?;
    Ok(if well { Ending::Fine } else { Ending::CouldNot })
}
