//! `perennial check`: hosts as clients and CAs meet them, without any configuration.

use std::io;

use anyhow::Result;

use super::run::runtime;
use super::{Ending, Globals};
use crate::check::{CheckArgs, Form, run};
use crate::clock::Time;

pub(super) fn main(args: &CheckArgs, globals: &Globals) -> Result<Ending> {
    let form = if globals.json { Form::Json } else { Form::Text(globals.paint()) };
    let ended = runtime()?.block_on(run(args, form, Time::real().logical(), &mut io::stdout()));
    ended.or_else(|error| match error.downcast_ref::<io::Error>() {
        // A reader that has seen enough (`| head`) is no failure.
        Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(Ending::Fine),
        _ => Err(error),
    })
}
