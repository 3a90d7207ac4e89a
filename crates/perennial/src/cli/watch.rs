//! Watching renewals until they have ended: a live block on a terminal, plain lines elsewhere, lines
//! of JSON where these are asked for.
//!
//! What is watched is the journal, beside the daemon that writes it: only the streams of these
//! certificates and of the issuers, solvers and targets they use are folded. The daemon itself is
//! only asked whether it still runs, when nothing has happened for a while. Watching holds nothing
//! up: whoever stops watching stops nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use perennial_core::driver::Loader;
use perennial_core::finding::Severity;
use perennial_core::record::{Record, Stream, StreamKind};
use perennial_core::state::Certificate;
use perennial_core::words::Name;
use perennial_store::{Found, Journal as _, SqliteJournal};
use tokio::signal::unix::{SignalKind, signal};

use super::run::runtime;
use super::{Ending, Globals, Hinted, known};
use crate::clock::Time;
use crate::control;
use crate::live::Live;
use crate::view::{Paint, Progress, Since, Timeline, Verdict, Weight};

/// Renewals that are watched.
pub(super) struct Watch<'a> {
    globals: &'a Globals,
    settings: &'a known::Settings,
    journal: SqliteJournal,
    /// Up to where the journal was read.
    position: u64,
    streams: BTreeSet<Stream>,
    loader: Loader,
    timeline: Timeline,
    since: BTreeMap<Name, Since>,
    ended: BTreeMap<Name, Verdict>,
    began_at: Timestamp,
    heard_at: Timestamp,
    live: Option<Live>,
}

/// How often is looked for new records, and the block drawn.
const EVERY: Duration = Duration::from_millis(100);

/// After how long a silence the daemon is asked whether it still runs.
const SILENCE: SignedDuration = SignedDuration::from_secs(2);

/// How long a daemon may be away: it may be restarting.
const AWAY_AT_MOST: SignedDuration = SignedDuration::from_secs(10);

/// How many records are read at once.
const AT_ONCE: usize = 1_000;

/// How many of several certificates have a line of their own.
const LINES: usize = 12;

impl<'a> Watch<'a> {
    /// Takes down how certificates stand now: what happens after this is watched.
    pub(super) fn begin(
        globals: &'a Globals,
        settings: &'a known::Settings,
        names: &[Name],
    ) -> Result<Self> {
        let journal = known::journal(settings)?.context("the daemon's journal is not there")?;
        let live = if globals.json || !std::io::stdout().is_terminal() {
            None
        } else {
            Live::on_terminal()
        };
        let began_at = Time::real().now();
        let mut watch = Self {
            globals,
            settings,
            position: journal.head()?,
            journal,
            streams: BTreeSet::new(),
            loader: Loader::new(),
            timeline: Timeline::new(),
            since: BTreeMap::new(),
            ended: BTreeMap::new(),
            began_at,
            heard_at: began_at,
            live,
        };
        for name in names {
            watch.fold(Stream::new(StreamKind::Certificate, name.clone()))?;
            // One that was declared a moment ago may not be durable yet.
            let since = watch.certificate(name).map(Since::of).unwrap_or_default();
            watch.since.insert(name.clone(), since);
            watch.attend(name)?;
        }
        Ok(watch)
    }

    /// Attends to the issuers, solvers and targets that a certificate uses.
    fn attend(&mut self, name: &Name) -> Result<()> {
        let Some(certificate) = self.certificate(name) else { return Ok(()) };
        let spec = certificate.spec.clone();
        for (kind, used) in [
            (StreamKind::Issuer, &spec.issuers),
            (StreamKind::Solver, &spec.solvers),
            (StreamKind::Target, &spec.targets),
        ] {
            for name in used.iter() {
                self.fold(Stream::new(kind, name.clone()))?;
            }
        }
        Ok(())
    }

    /// Reads what a stream says so far.
    fn fold(&mut self, stream: Stream) -> Result<()> {
        if self.streams.contains(&stream) {
            return Ok(());
        }
        for found in self.journal.read_stream(&stream, 1)? {
            if let Found::Entry(entry) = found {
                self.timeline.line(&entry.record);
                self.loader.record(&entry.record);
            }
        }
        self.streams.insert(stream);
        Ok(())
    }

    fn certificate(&self, name: &Name) -> Option<&Certificate> {
        let state = self.loader.state();
        state.certificate(state.id(name)?)
    }

    /// Watches until every renewal has ended, or somebody interrupts.
    pub(super) fn run(mut self) -> Result<Ending> {
        runtime()?.block_on(async {
            let mut interrupted = signal(SignalKind::interrupt()).context("take signals")?;
            loop {
                if !self.read()? {
                    return Ok(Ending::CouldNot); // nobody reads any more
                }
                self.judge();
                if self.ended.len() == self.since.len() {
                    return Ok(self.conclude());
                }
                self.draw();
                tokio::select! {
                    _ = interrupted.recv() => return Err(self.interrupt()),
                    () = tokio::time::sleep(EVERY) => self.is_anybody_there()?,
                }
            }
        })
    }

    /// Reads new records. Returns whether somebody still reads what is told of them.
    fn read(&mut self) -> Result<bool> {
        loop {
            let found = self.journal.tail(self.position, AT_ONCE)?;
            let more = found.len() == AT_ONCE;
            for found in found {
                self.position = found.position();
                self.heard_at = Time::real().now();
                let Some(record) = found.record() else { continue };
                if !self.hear(&record) {
                    return Ok(false);
                }
                if &*record.kind == "certificate.declared" {
                    self.attend(&record.stream.name)?;
                }
            }
            if !more {
                return Ok(true);
            }
        }
    }

    fn hear(&mut self, record: &Record) -> bool {
        let known = self.loader.state().version(&record.stream);
        if !self.streams.contains(&record.stream) || record.version <= known {
            return true;
        }
        self.loader.record(record);
        let line = self.timeline.line(record);
        if self.globals.json {
            return print(&line.json(record));
        }
        let is_told = line.weight == Weight::Main || line.severity.is_some();
        if self.live.is_some() || !is_told {
            return true;
        }
        print(&line.render(self.globals.paint()))
    }

    /// Tells of those that have ended.
    fn judge(&mut self) {
        let now = Time::real().now();
        let ended: Vec<Verdict> = self
            .since
            .iter()
            .filter(|(name, _)| !self.ended.contains_key(*name))
            .filter_map(|(name, since)| {
                let certificate = self.certificate(name)?;
                Verdict::of(self.loader.state(), name, certificate, *since, now)
            })
            .collect();
        for verdict in ended {
            if let Some(live) = &mut self.live {
                live.clear();
            }
            if !self.globals.json {
                let text = verdict.render(now.duration_since(self.began_at), now);
                let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
                let severity = (!verdict.is_well()).then_some(Severity::Warning);
                print(&self.globals.paint().severity(severity, head));
                if !rest.is_empty() {
                    print(rest);
                }
            }
            self.ended.insert(verdict.certificate.clone(), verdict);
        }
    }

    fn draw(&mut self) {
        let Some(width) = self.live.as_ref().map(Live::width) else { return };
        let lines = self.block(width, self.globals.paint());
        if let Some(live) = &mut self.live {
            live.draw(&lines);
        }
    }

    /// Returns the block: all steps of one renewal, or a line for each of several.
    fn block(&self, width: usize, paint: Paint) -> Vec<String> {
        let now = Time::real().now();
        let elapsed = now.duration_since(self.began_at);
        let open: Vec<(&Name, Progress)> = self
            .since
            .iter()
            .filter(|(name, _)| !self.ended.contains_key(*name))
            .filter_map(|(name, since)| {
                let certificate = self.certificate(name)?;
                let state = self.loader.state();
                Some((name, Progress::of(state, name, certificate, *since, now)))
            })
            .collect();
        if let ([(_, progress)], 1) = (&*open, self.since.len()) {
            return progress.block(elapsed, width, paint);
        }
        let longest = open.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or_default();
        let line = |(name, progress): &(&Name, Progress)| {
            let room = width.saturating_sub(longest + 2);
            let text = crate::view::shorten(&progress.line(), room);
            format!("{}  {text}", paint.bold(&format!("{:<longest$}", name.as_str())))
        };
        let mut lines: Vec<String> = open.iter().take(LINES).map(line).collect();
        let (ended, all) = (self.ended.len(), self.since.len());
        let took = crate::view::span(elapsed);
        let hidden = open.len().saturating_sub(LINES);
        let more = if hidden > 0 { format!("and {hidden} more; ") } else { String::new() };
        lines.push(paint.faint(&format!("{more}{ended} of {all} ended, {took}")));
        lines
    }

    fn conclude(self) -> Ending {
        let well = self.ended.values().all(Verdict::is_well);
        if self.globals.json {
            let certificates: Vec<&Verdict> = self.ended.values().collect();
            let end = serde_json::json!({
                "kind": "renew.ended", "well": well, "certificates": certificates,
            });
            print(&end.to_string());
        }
        if well { Ending::Fine } else { Ending::Findings }
    }

    /// Makes what is said when somebody stops watching.
    fn interrupt(&mut self) -> anyhow::Error {
        if let Some(live) = &mut self.live {
            live.clear();
        }
        let names = self.open();
        let subject = if let [only] = &*names { format!(" {only}") } else { String::new() };
        let hint = format!("watch it: perennial journal --follow{subject}");
        let names = names.join(", ");
        Hinted::new(format!("stopped watching; the renewal of {names} goes on"), hint).into()
    }

    fn open(&self) -> Vec<&str> {
        let open = self.since.keys().filter(|name| !self.ended.contains_key(*name));
        open.map(Name::as_str).collect()
    }

    /// Looks, when nothing happens, whether the daemon still runs.
    fn is_anybody_there(&mut self) -> Result<()> {
        let silence = Time::real().now().duration_since(self.heard_at);
        if silence < SILENCE || control::is_answered(&self.settings.socket) {
            return Ok(());
        }
        if silence < AWAY_AT_MOST {
            return Ok(());
        }
        if let Some(live) = &mut self.live {
            live.clear();
        }
        let text = format!("the daemon ended while it renewed {}", self.open().join(", "));
        let hint = "it goes on where it was at the next start: systemctl start perennial, or \
                    perennial run";
        Err(Hinted::new(text, hint).into())
    }
}

/// Writes a line to standard output; returns whether somebody reads it.
fn print(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}
