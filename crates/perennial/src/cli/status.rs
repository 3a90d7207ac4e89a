//! `perennial status`: from the daemon, or from the journal when none runs.

use anyhow::Result;
use perennial_core::words::Name;

use super::args::StatusArgs;
use super::{Ending, Globals, Hinted, known, say};
use crate::clock::Time;
use crate::control::{Answer, ControlError, Question, ask};
use crate::view::{Source, StatusView};

pub(super) fn main(args: &StatusArgs, globals: &Globals) -> Result<Ending> {
    let settings = known::Settings::load(globals)?;
    let about = args.about.as_deref().map(Name::new);
    let view = view(&settings, args.limit, about)?;
    if let (Some(about), []) = (&view.about, view.certificates.as_slice()) {
        let text = format!("no certificate is called `{about}` or is for that name");
        return Err(Hinted::new(text, "see what there is: perennial status").into());
    }
    say(globals, &view, || view.render(globals.paint()));
    Ok(if view.has_findings() { Ending::Findings } else { Ending::Fine })
}

/// Returns how everything stands.
pub(super) fn view(
    settings: &known::Settings,
    limit: usize,
    about: Option<Name>,
) -> Result<StatusView> {
    match ask(&settings.socket, &Question::Status { limit, about: about.clone() }) {
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
            let view = StatusView::of(loader.state(), quarantined, Source::Journal, now, limit);
            Ok(match about {
                Some(about) => view.about(loader.state(), &about),
                None => view,
            })
        }
        Err(error) => Err(error.into()),
    }
}
