//! `perennial plan`: the configuration as it is now against what the journal knows.

use anyhow::Result;
use perennial_core::state::State;

use super::{Ending, Globals, known, say};
use crate::clock::Time;
use crate::view::PlanView;

pub(super) fn main(globals: &Globals) -> Result<Ending> {
    let loaded = match perennial_config::load(&globals.config) {
        Ok(loaded) => loaded,
        Err(messages) => {
            eprintln!("{}", perennial_config::render(&messages));
            return Ok(Ending::Findings);
        }
    };
    let settings = known::Settings {
        socket: loaded.settings.control_socket.clone(),
        store: loaded.settings.store.dir.clone(),
    };
    let loader = known::fold(&settings)?;
    let nothing = State::default();
    let state = loader.as_ref().map_or(&nothing, |loader| loader.state());
    let view = PlanView::of(state, &loaded, Time::real().now());
    if !globals.json && !view.warnings.is_empty() {
        eprintln!("{}\n", view.warnings.join("\n\n\n"));
    }
    say(globals, &view, || view.render(globals.paint()));
    Ok(if view.has_findings() { Ending::Findings } else { Ending::Fine })
}
