//! The driver: holds the order of writing and doing, without doing either.
//!
//! ```text
//! input ─▶ fold ─▶ decide ─▶ Step { append, asks, wake_at }     acts stay sealed with their batch
//!                                └──store──▶ Durable(receipt) ─▶ Step { acts }
//! ```
//!
//! A step's records are folded at once, so that the next decision sees them; its acts are released
//! only when they are durable. An act without an outcome is `Unknown` after a restart. The daemon's
//! loop and the simulator drive the same driver; whoever drives it must
//!
//! - append each step's batch, in order, and report `Durable` or `CommitFailed`;
//! - perform the acts and asks of each step, and report each `Outcome` and `Reply`, at the latest at
//!   its deadline (`Unknown`, or a failed reply);
//! - call again with `Time` at `wake_at`. Spurious calls are harmless.
//!
//! Invariant: an act is in a step's `acts` only if its `act.started` is durable.

mod asks;
mod clock;
mod declare;
mod hear;
mod isolate;
mod lanes;
mod load;
mod moment;
mod offline;
mod quiet;
mod removal;
mod settle;
mod wakes;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

pub use isolate::{Doing, Isolate};
pub use load::Loader;
pub use offline::{Import, ImportedAccount, ImportedLeaf, Left, Offline};
pub use removal::{Removal, removal};

use crate::action::{Act, ActId, Ask, AskKind, Outcome, Reply};
use crate::decide::{Context, Draw, to_confirm};
use crate::event::{
    Empty, Ended, Event, InstanceTroubled, IntentRefused, LeafConfirmed, RevocationRequested,
    Started,
};
use crate::intent::Intent;
use crate::record::{Batch, Receipt, Record, Stream, StreamKind};
use crate::state::{CertificateId, Quarantine, State};
use crate::words::{Failure, Name, Permille};
use asks::Asks;
use isolate::Broken;
use lanes::Lanes;
use settle::Settled;
use wakes::Wakes;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Batches became durable.
    Durable(Receipt),
    /// A batch could not be made durable: the process must end.
    CommitFailed,
    /// An act ended.
    Outcome {
        /// Which.
        act: ActId,
        /// How.
        outcome: Outcome,
    },
    /// An ask was answered.
    Reply {
        /// Who asked.
        stream: Stream,
        /// What.
        ask: AskKind,
        /// What was answered.
        reply: Reply,
    },
    /// The operator declared.
    Declared {
        /// What.
        intent: Box<Intent>,
        /// Whether a person confirmed that many certificates may go.
        confirmed: bool,
    },
    /// The operator's declaration could not be read; the last good one stays.
    DeclarationRefused {
        /// The first message, and how many more there are.
        message: Box<str>,
    },
    /// What the process itself stands on that fails now, all of it: an address that it cannot
    /// listen on, a folder that it cannot write. Told at the start, and when it changes.
    Troubled {
        /// What; empty where everything works.
        troubles: Vec<Failure>,
    },
    /// A person asks for a renewal now.
    Renew {
        /// Of which certificate.
        certificate: Name,
    },
    /// A person wants our account at an issuer to have another key.
    ChangeKey {
        /// At which.
        issuer: Name,
    },
    /// A person wants our account at an issuer ended for good.
    EndAccount {
        /// At which.
        issuer: Name,
    },
    /// A person wants the newest leaf revoked. Nothing comes of it if another one is the newest by
    /// now, or if it is not ours.
    Revoke {
        /// Of which certificate.
        certificate: Name,
        /// Which leaf, why and when.
        asked: RevocationRequested,
    },
    /// A person confirms a leaf that is held, or went ahead without: it goes to its targets whatever
    /// speaks against it. Nothing comes of it if another one is the newest by now, which nobody was
    /// shown.
    Confirm {
        /// Of which certificate.
        certificate: Name,
        /// The number of the leaf that the person was shown.
        leaf: u32,
    },
    /// A person lets a restored instance go on.
    Resume,
    /// Time passed.
    Time,
}

/// What the shell must do before it calls again.
#[must_use = "an unperformed step is a decision lost"]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Records to append, in order; empty where there is nothing to append.
    pub append: Batch,
    /// Acts whose `act.started` is durable.
    pub acts: Vec<Act>,
    /// Questions to put.
    pub asks: Vec<Ask>,
    /// When to call again if nothing else happens first.
    pub wake_at: Option<Timestamp>,
    /// Whether the process must end: what was folded is not durable.
    pub halt: bool,
}

/// Holds the state and drives the decisions.
#[derive(Debug)]
pub struct Driver {
    state: State,
    quarantined: Vec<Quarantine>,
    epoch: u64,
    next_batch: u64,
    /// Acts by the batch that makes them durable.
    sealed: VecDeque<(u64, Vec<Act>)>,
    asks: Asks,
    lanes: Lanes,
    wakes: Wakes,
    halted: bool,
    isolate: Isolate,
    /// On whom deciding panicked.
    broken: BTreeMap<Subject, Broken>,
    issuers: Issuers,
    /// What the clock showed last.
    latest: Timestamp,
}

/// Issuers by number, so that a subject takes eight bytes. Only in memory.
#[derive(Debug, Default)]
struct Issuers(Vec<Name>);

impl Issuers {
    /// Returns an issuer's number; it is given one if it has none.
    fn number(&mut self, name: &Name) -> u32 {
        self.find(name).unwrap_or_else(|| {
            self.0.push(name.clone());
            u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn find(&self, name: &Name) -> Option<u32> {
        let place = self.0.iter().position(|known| known == name)?;
        u32::try_from(place).ok()
    }

    fn get(&self, number: u32) -> Option<&Name> {
        self.0.get(number as usize)
    }
}

/// Whom a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// This instance.
    Instance,
    /// An issuer, by its number.
    Issuer(u32),
    /// A certificate.
    Certificate(CertificateId),
}

/// One call's work: what is being made of it.
struct Work {
    now: Timestamp,
    draw: Draw,
    records: Vec<Record>,
    started: Vec<Act>,
    asks: Vec<Ask>,
    dirty: BTreeSet<Subject>,
    settled: Option<Settled>,
}

/// How many records a stream grows by between two checkpoints: about two renewals.
const CHECKPOINT_EVERY: u64 = 128;

/// How long after an act's deadline its outcome is awaited before the driver itself says `Unknown`.
const GRACE: SignedDuration = SignedDuration::from_secs(5);

impl Driver {
    /// Returns everything known.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Returns the streams whose records could not be folded, each with the cause.
    #[must_use]
    pub fn quarantined(&self) -> &[Quarantine] {
        &self.quarantined
    }

    /// Returns how many acts and how many asks are in flight, as the lanes count them.
    #[must_use]
    pub fn in_flight(&self) -> (usize, usize) {
        (self.lanes.in_flight(), self.asks.in_flight())
    }

    /// Takes in what happened and says what to do.
    ///
    /// `draw` is chance, drawn by the caller for this call; equal histories, inputs, times and draws
    /// give equal steps.
    pub fn on(&mut self, input: Input, now: Timestamp, draw: u64) -> Step {
        let mut work = Work::new(now, Draw(draw));
        let mut acts = Vec::new();
        self.watch_clock(&mut work);
        match input {
            Input::Durable(receipt) => acts = self.release(receipt),
            Input::CommitFailed => self.halted = true,
            Input::Outcome { act, outcome } => self.conclude(&mut work, &act, outcome),
            Input::Reply { stream, ask, reply } => self.hear(&mut work, &stream, &ask, reply),
            Input::Declared { intent, confirmed } => self.declare(&mut work, &intent, confirmed),
            Input::DeclarationRefused { message } => {
                let refused = Event::IntentRefused(IntentRefused { message });
                self.append(&mut work, &Stream::instance(), refused);
            }
            Input::Troubled { troubles } if troubles != self.state.instance.troubles => {
                let troubled = Event::InstanceTroubled(InstanceTroubled { troubles });
                self.append(&mut work, &Stream::instance(), troubled);
            }
            Input::Renew { certificate } => self.request(&mut work, certificate),
            Input::ChangeKey { issuer } => {
                self.wish(&mut work, issuer, Event::AccountKeyRequested(Empty {}));
            }
            Input::EndAccount { issuer } => {
                self.wish(&mut work, issuer, Event::AccountEndRequested(Empty {}));
            }
            Input::Revoke { certificate, asked } => self.revoke(&mut work, certificate, asked),
            Input::Confirm { certificate, leaf } => self.confirm(&mut work, certificate, leaf),
            Input::Resume => self.resume(&mut work),
            Input::Troubled { .. } | Input::Time => {}
        }
        if self.halted {
            // What was folded is not durable: nothing that follows from it may be done.
            return Step { halt: true, ..Step::default() };
        }
        self.settle(&mut work);
        self.checkpoint(&mut work);
        self.finish(work, acts)
    }

    fn release(&mut self, receipt: Receipt) -> Vec<Act> {
        let mut released = Vec::new();
        while let Some((batch, _)) = self.sealed.front()
            && *batch <= receipt.through
        {
            if let Some((_, acts)) = self.sealed.pop_front() {
                released.extend(acts);
            }
        }
        // The store was so slow that some were given up: they must not take effect any more.
        released.retain(|act| self.is_acting(&act.id));
        released
    }

    fn is_acting(&self, act: &ActId) -> bool {
        let history = self.state.history(&act.stream);
        history.is_some_and(|history| history.acting.iter().any(|a| a.version == act.version))
    }

    /// Ends an act. What is not in flight any more (a late or repeated outcome) is ignored.
    fn conclude(&mut self, work: &mut Work, act: &ActId, outcome: Outcome) {
        let acting = self.state.history(&act.stream).and_then(|history| {
            history.acting.iter().find(|acting| acting.version == act.version).cloned()
        });
        let Some(acting) = acting else { return };
        self.lanes.leave(&acting.act);
        self.blame_shared(work, &acting.act, &outcome);
        let ended = Event::Ended(Ended { of: act.version, outcome, interrupted: false });
        self.append(work, &act.stream, ended);
    }

    fn request(&mut self, work: &mut Work, certificate: Name) {
        let stream = Stream::new(StreamKind::Certificate, certificate);
        if self.state.id(&stream.name).is_some() {
            self.append(work, &stream, Event::RenewalRequested(Empty {}));
        }
    }

    /// Records what a person wants of our account, if there is one.
    fn wish(&mut self, work: &mut Work, issuer: Name, event: Event) {
        let known = self.state.issuers.get(&issuer);
        if known.is_some_and(|known| known.account_ref(&issuer).is_some()) {
            self.append(work, &Stream::new(StreamKind::Issuer, issuer), event);
        }
    }

    fn revoke(&mut self, work: &mut Work, certificate: Name, asked: RevocationRequested) {
        let stream = Stream::new(StreamKind::Certificate, certificate);
        let known = self.state.id(&stream.name).and_then(|id| self.state.certificate(id));
        let Some(known) = known else { return };
        let is_newest = known.to_revoke().is_some_and(|(leaf, ..)| leaf.number == asked.leaf);
        if is_newest || known.revoking.iter().any(|own| own.number == asked.leaf) {
            self.append(work, &stream, Event::RevocationRequested(asked));
        }
    }

    fn confirm(&mut self, work: &mut Work, certificate: Name, leaf: u32) {
        let stream = Stream::new(StreamKind::Certificate, certificate);
        let known = self.state.id(&stream.name).and_then(|id| self.state.certificate(id));
        let waits = known.and_then(|known| to_confirm(&self.context(work), known));
        if waits == Some(leaf) {
            self.append(work, &stream, Event::LeafConfirmed(LeafConfirmed { leaf }));
        }
    }

    /// A restored instance goes on: everybody is decided on again, now that acts are allowed.
    fn resume(&mut self, work: &mut Work) {
        if self.state.instance.waits_to_resume().is_none() {
            return;
        }
        self.append(work, &Stream::instance(), Event::InstanceResumed(crate::event::Empty {}));
        let issuers: Vec<Name> = self.state.issuers.keys().cloned().collect();
        for name in issuers {
            let number = self.issuers.number(&name);
            work.dirty.insert(Subject::Issuer(number));
        }
        self.wake_all(work);
    }

    /// Starts an act: its record goes into the batch, the act is sealed with it.
    fn start(&mut self, work: &mut Work, stream: &Stream, started: Started) {
        let version = self.state.version(stream) + 1;
        let act = Act {
            id: ActId { stream: stream.clone(), version },
            deadline_at: started.deadline_at,
            kind: started.act.clone(),
        };
        self.lanes.enter(&started.act);
        self.append(work, stream, Event::Started(started));
        work.started.push(act);
    }

    /// Records an event: folds it at once and marks whom it concerns.
    #[expect(clippy::needless_pass_by_value, reason = "an event is spent once it is recorded")]
    fn append(&mut self, work: &mut Work, stream: &Stream, event: Event) {
        if self.is_quarantined(stream) {
            // Its newest version is not known: a record would collide with one that was not read.
            return;
        }
        let version = self.state.version(stream) + 1;
        let folding = |state: &mut State| state.fold(stream, version, work.now, &event);
        if let Err(cause) = isolate::fold(self.isolate, &mut self.state, stream, folding) {
            // Our own events fit our own state; one that does not is a fault of ours, and the
            // stream is left alone rather than the process ended.
            self.quarantined.push((stream.clone(), cause.into()));
            work.dirty.insert(Subject::Instance);
            return;
        }
        work.records.push(Record {
            stream: stream.clone(),
            version,
            at: work.now,
            kind: event.kind().into(),
            schema: 1,
            must_understand: event.must_understand(),
            shard: stream.shard(),
            epoch: self.epoch,
            body: event.body().into(),
        });
        self.touch(work, stream, matches!(event, Event::Ended(_)));
    }

    fn touch(&mut self, work: &mut Work, stream: &Stream, is_end: bool) {
        match stream.kind {
            StreamKind::Instance => {
                work.dirty.insert(Subject::Instance);
            }
            StreamKind::Issuer => {
                let number = self.issuers.number(&stream.name);
                work.dirty.insert(Subject::Issuer(number));
                self.lanes.touch_issuer(&stream.name);
            }
            StreamKind::Certificate => {
                if let Some(id) = self.state.id(&stream.name) {
                    if is_end {
                        self.asks.outdate(Subject::Certificate(id));
                    }
                    work.dirty.insert(Subject::Certificate(id));
                }
            }
            StreamKind::Solver | StreamKind::Target => {}
        }
    }

    fn is_quarantined(&self, stream: &Stream) -> bool {
        self.quarantined.iter().any(|(quarantined, _)| quarantined == stream)
    }

    const fn context<'a>(&'a self, work: &Work) -> Context<'a> {
        Context { state: &self.state, now: work.now, draw: work.draw }
    }

    /// Records the state of each stream that has grown past another hundred or so records, so that
    /// starting reads little and the archive may take the rest.
    fn checkpoint(&mut self, work: &mut Work) {
        let mut grown: Vec<Stream> = Vec::new();
        for record in &work.records {
            let crosses = record.version % CHECKPOINT_EVERY == 0;
            if crosses && !grown.contains(&record.stream) {
                grown.push(record.stream.clone());
            }
        }
        for stream in grown {
            if let Some(checkpoint) = self.state.checkpoint(&stream) {
                self.append(work, &stream, Event::Checkpoint(checkpoint));
            }
        }
    }

    fn finish(&mut self, work: Work, acts: Vec<Act>) -> Step {
        let mut append = Batch::default();
        if !work.records.is_empty() {
            append = Batch { number: self.next_batch, records: work.records };
            self.next_batch += 1;
            if !work.started.is_empty() {
                self.sealed.push_back((append.number, work.started));
            }
        }
        let wake_at = self.wakes.next().into_iter().chain(self.lanes.next_wake()).min();
        Step { append, acts, asks: work.asks, wake_at, halt: false }
    }
}

impl Work {
    const fn new(now: Timestamp, draw: Draw) -> Self {
        Self {
            now,
            draw,
            records: Vec::new(),
            started: Vec::new(),
            asks: Vec::new(),
            dirty: BTreeSet::new(),
            settled: None,
        }
    }

    fn share(&self, subject: &Name) -> Permille {
        self.draw.permille(subject)
    }
}
