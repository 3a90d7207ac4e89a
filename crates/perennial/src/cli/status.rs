//! `perennial status`: from the daemon, or from the journal when none runs.

use anyhow::Result;

use super::args::StatusArgs;
use super::{Ending, Globals, Hinted, known, say};
use crate::clock::Time;
use crate::control::{Answer, ControlError, Question, ask};
use crate::view::{Source, StatusView};

pub(super) fn main(args: &StatusArgs, globals: &Globals) -> Result<Ending> {
    let settings = known::Settings::load(globals)?;
    let view = view(&settings, args.limit)?;
    say(globals, &view, || view.render(globals.paint()));
    Ok(if view.totals.findings > 0 { Ending::Findings } else { Ending::Fine })
}

/// Returns how everything stands.
pub(super) fn view(settings: &known::Settings, limit: usize) -> Result<StatusView> {
    match ask(&settings.socket, &Question::Status { limit }) {
        Ok(Answer::Status { status }) => Ok(*status),
        Ok(Answer::Refused { text, hint }) => Err(Hinted::new(text, hint).into()),
        Ok(Answer::Done { .. }) => Err(Hinted::mismatch().into()),
        Err(ControlError::NotRunning(socket)) => {
            let Some(loader) = known::fold(settings)? else {
                let text = format!(
                    "nothing is known yet: no daemon listens at {}, and there is no journal in {}",
                    socket.display(),
                    settings.store.display()
                );
                let hint = "see what would be done: perennial plan; then start: perennial run";
                return Err(Hinted::new(text, hint).into());
            };
            let now = Time::real().now();
            let quarantined = loader.quarantined();
            Ok(StatusView::of(loader.state(), quarantined, Source::Journal, now, limit))
        }
        Err(error) => Err(error.into()),
    }
}
