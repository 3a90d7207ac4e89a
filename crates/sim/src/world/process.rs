//! The process: it starts, commits, and dies.

use jiff::SignedDuration;
use perennial_core::driver::{Input, Loader};
use perennial_core::record::{Receipt, Stream, StreamKind};
use perennial_core::words::after;

use super::fault::throw_span;
use super::{Happening, World};

/// How long a supervisor takes to start a process that died, at the most.
const RESTARTED_WITHIN: SignedDuration = SignedDuration::from_secs(10);

impl World {
    pub(super) fn start(&mut self) {
        let mut loader = Loader::new();
        if let Some(isolate) = self.isolate {
            loader = loader.isolated_by(isolate);
        }
        for record in self.journal.records() {
            loader.record(record);
        }
        self.epoch += 1;
        let draw = self.draw();
        let (driver, step) = loader.start("0.1.0", self.epoch, self.clock(), draw);
        let damaged = |stream: &Stream| self.journal.damaged().contains(stream);
        if let Some((stream, cause)) = driver.quarantined().iter().find(|(s, _)| !damaged(s)) {
            self.checks.violate(self.now, format!("{stream} is quarantined: {cause}"));
        }
        self.driver = Some(driver);
        self.take(step);
        let intent = Box::new(self.intent.clone());
        self.tell(Input::Declared { intent, confirmed: false });
    }

    /// Passes a boundary; returns whether the process died there.
    pub(super) fn pass_boundary(&mut self) -> bool {
        self.boundaries += 1;
        let dies = self.dies_at.contains(&self.boundaries) | self.luck.chance(self.faults.crashes);
        if dies {
            self.crash();
        }
        dies
    }

    /// Kills the process; its supervisor starts it again.
    pub fn kill(&mut self) {
        if self.driver.is_some() {
            self.crash();
        }
    }

    /// Damages the newest durable record of a stream, as a bad disk does, and kills the process.
    pub fn damage(&mut self, stream: &Stream) {
        self.journal.damage(stream);
        self.kill();
    }

    /// The process dies. What it had asked of the outside happens, or not.
    pub(super) fn crash(&mut self) {
        self.crashes += 1;
        self.driver = None;
        self.journal.crash();
        self.checks.crash();
        self.woken_at = None;
        let heap = std::mem::take(&mut self.heap);
        for (key, happening) in heap {
            match happening {
                Happening::Effect { act } => {
                    if self.dice.below(2) == 0 {
                        let (outcome, _) = self.outside.perform(&act.kind, self.now);
                        self.checks.unheard_of(&act, &outcome);
                        self.follow_up();
                    }
                }
                happening if happening.is_mortal() => {}
                happening => {
                    self.heap.insert(key, happening);
                }
            }
        }
        if let Some(change) = self.while_dead {
            change(&mut self.outside);
        }
        let span = throw_span(&mut self.dice, RESTARTED_WITHIN);
        self.plan(after(self.now, span), Happening::Start);
    }

    pub(super) fn commit(&mut self, through: u64) {
        if self.driver.is_none() || self.pass_boundary() {
            return;
        }
        if self.luck.chance(self.faults.failing_commits) {
            return self.tell(Input::CommitFailed);
        }
        let checks = &mut self.checks;
        if let Err(cause) = self.journal.commit(through, |record| checks.record(record)) {
            self.checks.violate(self.now, format!("the store refuses: {cause}"));
        }
        if self.pass_boundary() {
            return;
        }
        self.tell(Input::Durable(Receipt { through }));
    }

    /// Returns every stream that has a history.
    #[must_use]
    pub fn streams(&self) -> Vec<Stream> {
        let intent = &self.intent;
        let named = |kind, names: Vec<_>| {
            names.into_iter().map(move |name| Stream::new(kind, name)).collect::<Vec<_>>()
        };
        let mut streams = vec![Stream::instance()];
        streams.extend(named(StreamKind::Issuer, intent.issuers.keys().cloned().collect()));
        streams.extend(named(StreamKind::Solver, intent.solvers.keys().cloned().collect()));
        streams.extend(named(StreamKind::Target, intent.targets.keys().cloned().collect()));
        let certificates = intent.certificates.keys().cloned().collect();
        streams.extend(named(StreamKind::Certificate, certificates));
        streams
    }

    /// Makes the checks that hold only when all is settled: nothing is left over, and replaying the
    /// journal gives the same state.
    pub fn check_settled(&mut self) {
        let streams = self.streams();
        let Some(driver) = &self.driver else {
            return self.checks.violate(self.now, "the process does not live");
        };
        let mut loader = Loader::new();
        for record in self.journal.records() {
            loader.record(record);
        }
        for stream in streams {
            if driver.state().checkpoint(&stream) != loader.state().checkpoint(&stream) {
                let text = format!("replaying {stream} gives another state");
                self.checks.violate(self.now, text);
            }
        }
        self.checks.settled(driver, &self.outside, self.now);
    }
}
