//! `perennial journal`: the timeline, read from the store beside a running daemon or without one.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use perennial_core::record::{Record, Stream};
use perennial_store::{Found, Journal as _, SqliteJournal};

use super::args::JournalArgs;
use super::{Ending, Globals, Hinted, known};
use crate::view::{Line, Timeline, Weight};

/// How many records are read at once.
const AT_ONCE: usize = 1_000;

/// How often is looked for new records.
const EVERY: Duration = Duration::from_millis(250);

pub(super) fn main(args: &JournalArgs, globals: &Globals) -> Result<Ending> {
    let settings = known::Settings::load(globals)?;
    let Some(journal) = known::journal(&settings)? else {
        let text = format!("there is no journal in {} yet", settings.store.display());
        return Err(Hinted::new(text, "it begins with the first start: perennial run").into());
    };
    let mut reader = Reader {
        journal,
        timeline: Timeline::new(),
        position: 0,
        subject: args.subject.clone(),
        all: args.all,
    };
    let mut newest: VecDeque<(Line, Record)> = VecDeque::new();
    let keep = if args.lines == 0 { usize::MAX } else { args.lines };
    while reader.read(&mut |line, record| {
        if newest.len() >= keep {
            newest.pop_front();
        }
        newest.push_back((line, record));
    })? {}
    for (line, record) in newest.drain(..) {
        if !show(globals, &line, &record) {
            return Ok(Ending::Fine);
        }
    }
    if args.follow {
        let mut open = true;
        while open {
            std::thread::sleep(EVERY);
            while reader.read(&mut |line, record| open = open && show(globals, &line, &record))? {}
        }
    }
    Ok(Ending::Fine)
}

/// Reads the journal on and on.
struct Reader {
    journal: SqliteJournal,
    timeline: Timeline,
    position: u64,
    subject: Option<String>,
    all: bool,
}

impl Reader {
    /// Reads the next records and tells those asked for. Returns whether there may be more.
    fn read(&mut self, tell: &mut dyn FnMut(Line, Record)) -> Result<bool> {
        let found = self.journal.tail(self.position, AT_ONCE)?;
        let more = found.len() == AT_ONCE;
        for found in found {
            self.position = found.position();
            let Found::Entry(entry) = found else { continue };
            let line = self.timeline.line(&entry.record);
            let wanted = self.all || line.weight == Weight::Main || line.severity.is_some();
            if wanted && self.is_about(&entry.record) {
                tell(line, entry.record);
            }
        }
        Ok(more)
    }

    fn is_about(&self, record: &Record) -> bool {
        self.subject.as_deref().is_none_or(|subject| is_about(record, subject))
    }
}

/// Returns whether a record is about a subject: of its stream, or naming it.
fn is_about(record: &Record, subject: &str) -> bool {
    let stream: &Stream = &record.stream;
    stream.name.as_str() == subject
        || stream.to_string() == subject
        || record.body.contains(&format!("\"{subject}\""))
}

/// Shows a line; returns whether anybody still reads.
fn show(globals: &Globals, line: &Line, record: &Record) -> bool {
    let text = if globals.json { line.json(record) } else { line.render(globals.paint()) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}
