//! The story: which records are worth telling a newcomer, and how.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use perennial_core::decide::Runway;
use perennial_core::record::{Record, StreamKind};
use perennial_core::state::{DeployStep, State};
use perennial_core::words::Name;

use super::Options;
use super::world::{SITES, World};
use crate::view::{Timeline, Weight};

/// What has been told, and what is known from it.
pub(super) struct Story {
    options: Options,
    places: Vec<(String, String)>,
    config: String,
    began_at: Timestamp,
    now: Timestamp,
    timeline: Timeline,
    /// The fold of what was told: the story knows nothing that the journal does not say.
    state: State,
    /// The newest leaf of each certificate that was seen.
    seen: BTreeMap<Name, u32>,
}

impl Story {
    pub(super) fn new(options: Options, world: &World, began_at: Timestamp) -> Self {
        Self {
            options,
            places: world.places(),
            config: world.config().display().to_string(),
            began_at,
            now: began_at,
            timeline: Timeline::new(),
            state: State::default(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) const fn days(&self) -> u32 {
        if self.options.exit_after_seen { 1 } else { self.options.days }
    }

    /// Returns whether everything has been told.
    pub(super) fn is_over(&self) -> bool {
        if self.options.exit_after_seen {
            return !self.seen.is_empty();
        }
        let end = SignedDuration::from_hours(24 * i64::from(self.options.days));
        self.seen.len() == SITES.len() && self.now.duration_since(self.began_at) >= end
    }

    /// Says what runs.
    pub(super) fn introduce(&self, out: &mut dyn Write) -> Result<()> {
        if self.options.json {
            return Ok(());
        }
        writeln!(out, "A small internet has started on this machine's loopback:")?;
        for (what, at) in &self.places {
            writeln!(out, "  {what:<18} {at}")?;
        }
        writeln!(out, "Three certificates are declared in {}:", self.config)?;
        for site in &SITES {
            let how = if site.solver == "dns" { "proven in DNS" } else { "proven over HTTP" };
            writeln!(out, "  {:<18} {} ({how})", site.certificate, site.names.join(", "))?;
        }
        writeln!(
            out,
            "Perennial looks first, then orders, installs, and believes only handshakes."
        )?;
        if !self.options.exit_after_seen {
            writeln!(
                out,
                "While nothing is under way the clock runs ahead: about a day a second."
            )?;
        }
        writeln!(out)?;
        Ok(())
    }

    /// Tells a record, if it belongs to the story.
    pub(super) fn tell(&mut self, record: &Record, out: &mut dyn Write) -> Result<()> {
        self.now = record.at;
        let line = self.timeline.line(record);
        self.fold(record);
        let newly_seen = self.newly_seen(record);
        if self.options.json {
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
        } else if line.weight == Weight::Main || line.severity.is_some() {
            let text = self.options.paint.severity(line.severity, &line.text);
            writeln!(out, "{} {:<12} {text}", self.day(), record.stream.name.as_str())?;
        }
        if let Some(leaf) = newly_seen {
            self.tell_seen(&record.stream.name, leaf, out)?;
        }
        Ok(())
    }

    /// Ends the story.
    pub(super) fn conclude(&self, well: bool, out: &mut dyn Write) -> Result<()> {
        if self.options.json {
            let seen: BTreeMap<&str, u32> =
                self.seen.iter().map(|(name, leaf)| (name.as_str(), *leaf)).collect();
            let end = serde_json::json!({ "kind": "demo.ended", "well": well, "seen": seen });
            writeln!(out, "{end}")?;
            return Ok(());
        }
        writeln!(out)?;
        if !well {
            writeln!(out, "The demo did not get as far as it should; the lines above say why.")?;
            return Ok(());
        }
        for (name, leaf) in &self.seen {
            writeln!(out, "{name}: leaf {leaf} is served at every address")?;
        }
        let days = self.now.duration_since(self.began_at).as_hours() / 24;
        writeln!(out, "{days} days, no lapse. Next: perennial check HOST, on any host of yours")?;
        Ok(())
    }

    /// Returns whether people read along.
    pub(super) fn is_watched(&self) -> bool {
        !self.options.json && std::io::stdout().is_terminal()
    }

    /// Returns what is so while nothing happens: the day, and how long each certificate has.
    pub(super) fn meanwhile(&self, now: Timestamp) -> String {
        let runways = self.state.certificates().map(|(_, name, certificate)| {
            let left = Runway::of(certificate).lapse_at.duration_since(now);
            format!("{name} {} d", left.as_hours().max(0) / 24)
        });
        let runways = runways.collect::<Vec<_>>().join(", ");
        format!("{} runway: {runways}", self.day_at(now))
    }

    fn day(&self) -> String {
        self.day_at(self.now)
    }

    fn day_at(&self, now: Timestamp) -> String {
        let gone = now.duration_since(self.began_at);
        let day = gone.as_hours() / 24 + 1;
        let clock = now.strftime("%H:%M:%S");
        format!("day {day:>3} {clock}")
    }

    fn fold(&mut self, record: &Record) {
        if let perennial_core::event::Decoded::Event(event) =
            perennial_core::event::Event::decode(&record.kind, &record.body)
        {
            // The daemon folded it already; what it could not fold is told as its own finding.
            let _ = self.state.fold(&record.stream, record.version, record.at, &event);
        }
    }

    /// Returns the leaf that this record shows to be served everywhere, if it was not before.
    fn newly_seen(&mut self, record: &Record) -> Option<u32> {
        if record.stream.kind != StreamKind::Certificate {
            return None;
        }
        let name = &record.stream.name;
        let certificate = self.state.certificate(self.state.id(name)?)?;
        let DeployStep::Seen { leaf, .. } = certificate.targets.first()?.step else { return None };
        (self.seen.insert(name.clone(), leaf) != Some(leaf)).then_some(leaf)
    }

    fn tell_seen(&self, name: &Name, leaf: u32, out: &mut dyn Write) -> Result<()> {
        if self.options.json {
            let seen = serde_json::json!({
                "kind": "demo.seen", "at": self.now, "certificate": name, "leaf": leaf,
            });
            writeln!(out, "{seen}")?;
            return Ok(());
        }
        let runway = self.state.id(name).and_then(|id| self.state.certificate(id));
        let runway = runway.map(|certificate| Runway::of(certificate).lapse_at);
        let days = runway.map_or(0, |at| at.duration_since(self.now).as_hours() / 24);
        let text = format!("SEEN: leaf {leaf} at every address; runway {days} d");
        writeln!(out, "{} {:<12} {}", self.day(), name.as_str(), self.options.paint.bold(&text))?;
        Ok(())
    }
}
