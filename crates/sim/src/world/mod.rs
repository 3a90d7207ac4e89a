//! The simulator: a world in which the daemon's own driver runs on a virtual clock.
//!
//! ```text
//! heap of happenings ──▶ Driver::on ──▶ Step ──▶ journal (durable later) ──▶ acts, asks ──▶ models
//!        ▲                                                                               │
//!        └───────────── outcomes and replies: lost, late, twice, out of order ◀──────────┘
//! ```
//!
//! Everything follows from a seed: the clock jumps from happening to happening, chance comes from
//! dice, and two runs of a seed agree in every record. The journal keeps encoded records, so that a
//! restart reads what a real one would.
//!
//! A process may die at every *boundary*: before a batch is durable, when it is durable and its acts
//! are not performed, after an effect and before its outcome, after an outcome was handed in and
//! before its record is durable. Boundaries are numbered, so that tests can enumerate them.
//!
//! What is checked is checked at the instant of each effect ([`crate::check`]).

mod act;
mod ask;
mod deliver;
mod fault;
mod journal;
mod outside;
mod process;
mod quiet;
mod scenario;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{Act, ActId, ActKind, Ask, Outcome, Reply};
use perennial_core::driver::{Driver, Input, Isolate, Step};
use perennial_core::event::RevocationRequested;
use perennial_core::intent::Intent;
use perennial_core::record::Record;
use perennial_core::words::{Name, RevocationReason, after};

pub use fault::{Faults, Pace};
pub use journal::{Journal, Keep};
pub use outside::Outside;
pub use scenario::Scenario;
pub use shelf::{Bundle, Shelf};

use crate::check::Checks;
use crate::model::Dice;
use crate::model::ca::CaEffect;

/// A change of the world that a test or a drill has planned.
pub type Change = Box<dyn FnOnce(&mut World)>;

/// What happens at an instant.
enum Happening {
    /// The driver wants to be called.
    Wake,
    /// A batch becomes durable.
    Durable { through: u64 },
    /// An act takes effect.
    Effect { act: Box<Act> },
    /// An act's outcome reaches the driver.
    Outcome { act: ActId, outcome: Box<Outcome> },
    /// An ask is answered, at this instant.
    Answer { ask: Box<Ask> },
    /// An older answer reaches the driver.
    Reply { ask: Box<Ask>, reply: Box<Reply> },
    /// A CA validates or signs.
    Ca { issuer: Name, effect: Box<CaEffect> },
    /// The process starts.
    Start,
    /// Checks that need no event of their own are made.
    Tick,
    /// What a test has planned.
    Change(Change),
}

impl Happening {
    /// Returns whether it happens in a process, and dies with it.
    const fn is_mortal(&self) -> bool {
        match self {
            Self::Wake
            | Self::Durable { .. }
            | Self::Effect { .. }
            | Self::Outcome { .. }
            | Self::Answer { .. }
            | Self::Reply { .. } => true,
            Self::Ca { .. } | Self::Start | Self::Tick | Self::Change(_) => false,
        }
    }
}

/// How much is checked besides what every effect is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rigour {
    /// Everything: after each step also that deciding twice is deciding once.
    Full,
    /// Nothing that costs time: for measurements.
    None,
}

/// A world.
pub struct World {
    /// What there is outside. Tests may change it at any moment.
    pub outside: Outside,
    /// What goes wrong.
    pub faults: Faults,
    /// How long things take.
    pub pace: Pace,
    /// What has been found wrong.
    pub checks: Checks,
    /// At which boundaries the process dies.
    pub dies_at: BTreeSet<u64>,
    /// How the process is protected from its own panics; without it they end the simulation.
    pub isolate: Option<Isolate>,
    /// What happens outside while the process is dead.
    pub while_dead: Option<fn(&mut Outside)>,
    intent: Intent,
    now: Timestamp,
    begins_at: Timestamp,
    /// For acts and what follows from them.
    dice: Dice,
    /// For asks and commits, of which there are more or fewer without anything else happening.
    luck: Dice,
    heap: BTreeMap<(Timestamp, u64), Happening>,
    sequence: u64,
    driver: Option<Driver>,
    journal: Journal,
    rigour: Rigour,
    epoch: u64,
    boundaries: u64,
    crashes: u64,
    woken_at: Option<(Timestamp, u64)>,
    same_instant: u64,
    steps: u64,
    seed: u64,
    passes_over: bool,
    /// How far the process's clock is ahead of the world's.
    clock_ahead: SignedDuration,
    /// When anything outside last changed that was not the process's own doing.
    changed_at: Timestamp,
    /// When something outside changes by itself, as far as that is known.
    changes_at: Option<Timestamp>,
}

/// How many happenings may share an instant before something is taken to spin.
const SPINS: u64 = 100_000;

/// How often is checked what needs no event of its own.
const TICK: SignedDuration = SignedDuration::from_hours(6);

impl World {
    /// Makes a world in which the process starts at once.
    #[must_use]
    pub fn new(seed: u64, scenario: Scenario) -> Self {
        Self::with_rigour(seed, scenario, Rigour::Full, Keep::Everything)
    }

    /// Makes a world for measurements, or one that is checked.
    #[must_use]
    pub fn with_rigour(seed: u64, scenario: Scenario, rigour: Rigour, keep: Keep) -> Self {
        let Scenario { intent, outside, begins_at, .. } = scenario;
        let mut world = Self {
            outside,
            faults: Faults::NONE,
            pace: Pace::USUAL,
            checks: Checks::new(&intent),
            dies_at: BTreeSet::new(),
            isolate: None,
            clock_ahead: SignedDuration::ZERO,
            while_dead: None,
            intent,
            now: begins_at,
            begins_at,
            dice: Dice::new(seed ^ 0x5eed),
            luck: Dice::new(seed ^ 0x10cc),
            heap: BTreeMap::new(),
            sequence: 0,
            driver: None,
            journal: Journal::new(keep),
            rigour,
            epoch: 0,
            boundaries: 0,
            crashes: 0,
            woken_at: None,
            same_instant: 0,
            steps: 0,
            seed,
            passes_over: false,
            changed_at: begins_at,
            changes_at: None,
        };
        world.plan(begins_at, Happening::Start);
        if rigour == Rigour::Full {
            world.plan(after(begins_at, TICK), Happening::Tick);
        }
        world
    }

    /// Returns the time.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets the process's clock ahead of the world's, or right. What a CA wanted to be asked then has
    /// come or has not come for the process all at once.
    pub fn set_clock_ahead(&mut self, by: SignedDuration) {
        self.clock_ahead = by;
        self.checks.forget_named();
    }

    /// Returns what the process's clock shows.
    pub(super) fn clock(&self) -> Timestamp {
        after(self.now, self.clock_ahead)
    }

    /// Returns what an instant of the process's clock is in the world.
    pub(super) fn outside_clock(&self, at: Timestamp) -> Timestamp {
        after(at, -self.clock_ahead)
    }

    /// Returns the driver, while the process lives.
    #[must_use]
    pub const fn driver(&self) -> Option<&Driver> {
        self.driver.as_ref()
    }

    /// Returns the durable records.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.journal.records()
    }

    /// Returns the journal.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns what is declared.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Returns how many boundaries were passed.
    #[must_use]
    pub const fn boundaries(&self) -> u64 {
        self.boundaries
    }

    /// Returns how often the process died.
    #[must_use]
    pub const fn crashes(&self) -> u64 {
        self.crashes
    }

    /// Returns how often the driver was called.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Plans a change of the world, `later` than the beginning.
    pub fn at(&mut self, later: SignedDuration, change: impl FnOnce(&mut Self) + 'static) {
        self.plan(after(self.begins_at, later), Happening::Change(Box::new(change)));
    }

    /// Declares anew.
    pub fn declare(&mut self, intent: Intent) {
        self.checks.declare(&intent);
        self.intent = intent;
        let intent = Box::new(self.intent.clone());
        self.tell(Input::Declared { intent, confirmed: true });
    }

    /// A person asks for a renewal.
    pub fn renew(&mut self, certificate: &str) {
        self.tell(Input::Renew { certificate: Name::new(certificate) });
    }

    /// A person wants our account at an issuer to have another key.
    pub fn change_key(&mut self, issuer: &str) {
        self.tell(Input::ChangeKey { issuer: Name::new(issuer) });
    }

    /// A person wants our account at an issuer ended.
    pub fn end_account(&mut self, issuer: &str) {
        self.tell(Input::EndAccount { issuer: Name::new(issuer) });
    }

    /// A person wants the newest leaf revoked.
    pub fn revoke(&mut self, certificate: &str, reason: RevocationReason, at_once: bool) {
        let name = Name::new(certificate);
        let state = self.driver.as_ref().map(Driver::state);
        let known = state.and_then(|state| state.certificate(state.id(&name)?));
        let leaf = known.and_then(|known| Some(known.leaf.as_ref()?.number)).unwrap_or_default();
        let asked = RevocationRequested { leaf, reason, at_once };
        self.tell(Input::Revoke { certificate: name, asked });
    }

    /// A person confirms a leaf.
    pub fn confirm(&mut self, certificate: &str, leaf: u32) {
        self.tell(Input::Confirm { certificate: Name::new(certificate), leaf });
    }

    /// Runs until a moment.
    pub fn run_until(&mut self, end: Timestamp) {
        while let Some((at, _)) = self.heap.first_key_value().map(|(key, _)| *key)
            && at <= end
        {
            if self.passes_over {
                self.pass_over(end);
            }
            self.next();
        }
        self.now = self.now.max(end);
    }

    /// Runs for a while.
    pub fn run_for(&mut self, span: SignedDuration) {
        self.run_until(after(self.now, span));
    }

    /// Runs until everything is settled, and says whether it became so before `end`.
    pub fn settle_until(&mut self, end: Timestamp) -> bool {
        while let Some((at, _)) = self.heap.first_key_value().map(|(key, _)| *key)
            && at <= end
        {
            self.next();
            if self.is_settled() {
                return true;
            }
        }
        self.now = self.now.max(end);
        self.is_settled()
    }

    /// Returns whether nothing is left to do but to wait.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let Some(driver) = &self.driver else { return false };
        self.journal.is_settled() && crate::check::unsettled(driver.state()).is_none()
    }

    fn plan(&mut self, at: Timestamp, happening: Happening) {
        self.sequence += 1;
        self.heap.insert((at.max(self.now), self.sequence), happening);
    }

    fn next(&mut self) {
        let Some(((at, sequence), happening)) = self.heap.pop_first() else { return };
        self.same_instant = if at == self.now { self.same_instant + 1 } else { 0 };
        assert!(self.same_instant < SPINS, "too much happens at {at}: something spins");
        self.now = at;
        match happening {
            Happening::Wake => {
                if self.woken_at == Some((at, sequence)) {
                    self.woken_at = None;
                    self.tell(Input::Time);
                }
            }
            Happening::Durable { through } => self.commit(through),
            Happening::Effect { act } => {
                if matches!(act.kind, ActKind::Activate { .. }) {
                    self.changes_at = None;
                }
                self.take_effect(&act);
            }
            Happening::Outcome { act, outcome } => self.hand_in(act, *outcome),
            Happening::Answer { ask } => self.answer(*ask),
            Happening::Reply { ask, reply } => self.reply(*ask, *reply),
            Happening::Ca { issuer, effect } => self.outside.settle(&issuer, *effect, at),
            Happening::Start => self.start(),
            Happening::Tick => {
                self.tick();
                self.plan(after(at, TICK), Happening::Tick);
            }
            Happening::Change(change) => {
                (self.changed_at, self.changes_at) = (at, None);
                change(self);
            }
        }
    }

    fn tick(&mut self) {
        self.checks.tick(&self.outside, self.now);
        if let Some(driver) = &self.driver {
            self.checks.overdue(driver.state(), self.now);
        }
    }

    /// Returns the chance that the driver is given: by the time, so that it does not depend on how
    /// often it was called before.
    fn draw(&self) -> u64 {
        let nanos = self.now.as_nanosecond();
        let [low, high] = [nanos, nanos >> 64]
            .map(|part| u64::try_from(part & i128::from(u64::MAX)).unwrap_or_default());
        Dice::new(self.seed ^ low.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ high).throw()
    }

    /// Calls the driver, and does what it says.
    fn tell(&mut self, input: Input) {
        let (draw, clock) = (self.draw(), self.clock());
        let Some(driver) = &mut self.driver else { return };
        self.steps += 1;
        let step = driver.on(input, clock, draw);
        let again = step.wake_at.is_some_and(|at| at <= clock);
        self.take(step);
        if self.rigour == Rigour::Full && !again {
            self.decide_twice();
        }
    }

    /// Deciding twice is deciding once: a call at the same instant follows with nothing.
    fn decide_twice(&mut self) {
        let (draw, clock) = (self.draw(), self.clock());
        let Some(driver) = &mut self.driver else { return };
        let step = driver.on(Input::Time, clock, draw);
        if !step.append.records.is_empty() || !step.asks.is_empty() || !step.acts.is_empty() {
            let what = step.append.records.first().map(|r| format!("{} {}", r.stream, r.kind));
            let what = what.or_else(|| step.asks.first().map(|ask| format!("{:?}", ask.kind)));
            self.checks.violate(self.now, format!("decided twice: {what:?}"));
        }
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        if step.halt {
            return self.crash();
        }
        let Step { append, acts, asks, wake_at, .. } = step;
        if !append.records.is_empty() {
            let through = append.number;
            self.journal.write(append);
            let span = fault::throw_span(&mut self.luck, self.pace.commit);
            self.plan(after(self.now, span), Happening::Durable { through });
        }
        for mut act in acts {
            act.deadline_at = self.outside_clock(act.deadline_at);
            self.perform(act);
        }
        for mut ask in asks {
            ask.deadline_at = self.outside_clock(ask.deadline_at);
            self.put(ask);
        }
        if let Some(at) = wake_at.map(|at| self.outside_clock(at))
            && self.woken_at.is_none_or(|(planned, _)| at < planned || planned < at)
        {
            if let Some(planned) = self.woken_at.take() {
                self.heap.remove(&planned);
            }
            self.plan(at, Happening::Wake);
            self.woken_at = Some((at.max(self.now), self.sequence));
        }
    }
}
