//! The demo: the main job on a small internet of its own, told as it happens.
//!
//! A CA, name servers and three web servers start on loopback. Three certificates are declared as an
//! operator would declare them, in a file that can be read afterwards, and the daemon that runs for
//! them is the real one: it orders over ACME, answers real challenges, writes files, has servers
//! reload them and looks at what they serve. Only the clock is not: while nothing is in flight it
//! runs ahead, so that a day takes about a second and a 90-day life about 90.

mod story;
mod world;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, Result};
use perennial_core::record::Record;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::clock::Time;
use crate::live::Live;
use crate::run::{Boundaries, Daemon, Draws, Event, Start, Surroundings};
use crate::view::{Paint, shorten};
use story::Story;
use world::World;

/// What the demo is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// End after the first certificate was seen.
    pub exit_after_seen: bool,
    /// Tell it as lines of JSON.
    pub json: bool,
    /// How many days to live through.
    pub days: u32,
    /// How to colour.
    pub paint: Paint,
}

/// Logical seconds for each second while nothing is in flight: three days, which together with the
/// looks at every endpoint in every hour comes to about a day a second.
const PACE: u32 = 3 * 86_400;

/// How long the machine may take for one logical day, all in all, before the demo gives up.
const PATIENCE_PER_DAY: Duration = Duration::from_secs(10);

/// How long the first certificate may take to be seen.
const FIRST_WITHIN: Duration = Duration::from_secs(60);

/// Plays the demo; returns whether everything that it promises was seen.
///
/// # Errors
///
/// Returns what could not be started on this machine.
pub async fn run(options: Options, out: &mut (dyn Write + Send)) -> Result<bool> {
    let time = Time::lapse(PACE);
    let world = World::start(&time).await?;
    let mut story = Story::new(options, &world, time.now());
    story.introduce(out)?;
    let (followers, records) = unbounded_channel();
    let start = Start {
        config: world.config().to_path_buf(),
        store: world.store(),
        time: time.clone(),
        draws: Draws::of_system(),
        surroundings: Surroundings::default(),
        pulse: Box::new(|| ()),
        boundaries: Boundaries::default(),
    };
    let daemon = Daemon::prepare(start, Some(followers)).await.context("start the daemon")?;
    let events = daemon.events();
    let (_reload, reloads) = unbounded_channel();
    let running = tokio::spawn(daemon.run(reloads));
    let told = tell(&mut story, &time, records, out).await;
    // A loop that has ended by itself says why below.
    let _ = events.send(Event::Stop);
    running.await.context("run the daemon")?.context("run the daemon")?;
    let seen = told?;
    story.conclude(seen, out)?;
    Ok(seen)
}

/// How often the line is drawn that says which day it is.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// Tells records as they become durable, until the story is over or takes too long. Between them a
/// terminal shows which day it is: most of the time nothing happens, and that is the point.
async fn tell(
    story: &mut Story,
    time: &Time,
    mut records: UnboundedReceiver<Record>,
    out: &mut (dyn Write + Send),
) -> Result<bool> {
    let patience = PATIENCE_PER_DAY.saturating_mul(story.days()).max(FIRST_WITHIN);
    let mut live = story.is_watched().then(Live::on_terminal).flatten();
    let telling = async {
        loop {
            let Ok(record) = tokio::time::timeout(DRAWN_EVERY, records.recv()).await else {
                if let Some(live) = &mut live {
                    live.draw(&[shorten(&story.meanwhile(time.now()), live.width())]);
                }
                continue;
            };
            let Some(record) = record else { return Ok(false) };
            let mut text = Vec::new();
            story.tell(&record, &mut text)?;
            if !text.is_empty() {
                if let Some(live) = &mut live {
                    live.clear();
                }
                out.write_all(&text)?;
                out.flush()?;
            }
            if story.is_over() {
                return Ok(true);
            }
        }
    };
    tokio::time::timeout(patience, telling).await.unwrap_or(Ok(false))
}
