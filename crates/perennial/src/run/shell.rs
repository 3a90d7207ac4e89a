//! The run loop: one task owns the driver; acts, asks and commits report back to it.
//!
//! ```text
//!            ┌──────────── Event ◀── writer thread (receipts)
//!  Shell ◀───┤                   ◀── tasks (outcomes, replies)
//!    │       └────────────       ◀── signals, control socket, watched configuration
//!    └─▶ driver.on(input, now, draw) ─▶ Step ─▶ submit batch · spawn acts · spawn asks · sleep
//! ```
//!
//! Nothing is chosen here. An act is never cancelled by dropping it: past its deadline its outcome
//! is `Unknown` to the driver, and whatever it still does goes on to its own end. An ask may be
//! dropped. A failed commit ends the process: what was folded is not durable, and where the journal
//! ends is where the next start begins.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use perennial_core::action::{Act, ActId, Ask, AskKind, Outcome, Reply};
use perennial_core::driver::{Driver, Input, Step};
use perennial_core::record::{Batch, Receipt, Record, Stream};
use perennial_core::words::{Blame, Failure};
use perennial_store::{AppendError, Writer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

use super::boundary::{Boundaries, Boundary, kind_of};
use super::draw::Draws;
use super::hands::Hands;
use crate::clock::Time;

/// What reaches the loop. The channel has no limit of its own: what is in flight is bounded by the
/// driver's lanes, and everything else comes at the pace of people.
#[derive(Debug)]
pub enum Event {
    /// The writer committed, or failed to.
    Committed(Result<Receipt, AppendError>),
    /// An act ended.
    Outcome(ActId, Outcome),
    /// An ask was answered.
    Reply(Stream, AskKind, Reply),
    /// Something else for the driver: a declaration, a person's wish.
    Input(Input),
    /// A look into the state, for the control socket.
    Look(Look),
    /// The adapters' settings changed.
    Hands(Arc<Hands>),
    /// End.
    Stop,
}

/// A function that is shown the driver, between two inputs.
pub struct Look(Looking);

/// What a [`Look`] calls.
type Looking = Box<dyn FnOnce(&Driver, Timestamp) + Send>;

impl Look {
    /// Makes a look.
    pub fn new(look: impl FnOnce(&Driver, Timestamp) + Send + 'static) -> Self {
        Self(Box::new(look))
    }
}

impl std::fmt::Debug for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Look")
    }
}

/// Why the loop ended.
#[derive(Debug)]
pub enum End {
    /// Somebody said so; acts in flight were awaited for a while.
    Stopped,
    /// The journal could not be written.
    CommitFailed(AppendError),
}

/// How long acts in flight are awaited when the loop is told to end.
const FINISH_WITHIN: Duration = Duration::from_secs(20);

/// The loop's own state; everything that is decided by is the driver's.
pub struct Shell {
    driver: Driver,
    writer: Writer,
    hands: Arc<Hands>,
    time: Time,
    draws: Draws,
    events: UnboundedSender<Event>,
    inbox: UnboundedReceiver<Event>,
    /// Acts in flight.
    acting: usize,
    /// Asks in flight.
    asking: usize,
    /// Batches in flight.
    committing: VecDeque<Committing>,
    boundaries: Boundaries,
    followers: Option<UnboundedSender<Record>>,
    pulse: Pulse,
}

/// A batch in flight.
struct Committing {
    number: u64,
    /// What followers are shown once it is durable.
    shown: Vec<Record>,
    /// What each act does that it ends; noted only where tests let the process die.
    ends: Vec<&'static str>,
}

/// What the loop tells whoever watches over it, at every turn.
pub type Pulse = Box<dyn FnMut() + Send>;

/// What a loop is made of.
pub struct Parts {
    /// The driver, loaded.
    pub driver: Driver,
    /// The journal's writer; it must report to `events`.
    pub writer: Writer,
    /// The adapters.
    pub hands: Arc<Hands>,
    /// The clocks.
    pub time: Time,
    /// Chance.
    pub draws: Draws,
    /// Where everything reports to.
    pub events: UnboundedSender<Event>,
    /// Its other end.
    pub inbox: UnboundedReceiver<Event>,
    /// Who is shown records once they are durable.
    pub followers: Option<UnboundedSender<Record>>,
    /// Told at every turn of the loop, at least every few seconds.
    pub pulse: Pulse,
    /// Where tests let it die.
    pub boundaries: Boundaries,
}

/// How long the loop sleeps at most: its pulse must be felt.
const TURN_AT_LEAST_EVERY: Duration = Duration::from_secs(5);

impl Shell {
    /// Makes a loop.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            driver: parts.driver,
            writer: parts.writer,
            hands: parts.hands,
            time: parts.time,
            draws: parts.draws,
            events: parts.events,
            inbox: parts.inbox,
            acting: 0,
            asking: 0,
            committing: VecDeque::new(),
            followers: parts.followers,
            pulse: parts.pulse,
            boundaries: parts.boundaries,
        }
    }

    /// Runs until told to end, or until the journal cannot be written. `first` is the step that
    /// loading made.
    pub async fn run(mut self, first: Step) -> End {
        let mut wake_at = self.carry_out(first);
        loop {
            (self.pulse)();
            let event = self.next_event(wake_at).await;
            let input = match event {
                None => Input::Time,
                Some(Event::Stop) => return self.finish().await,
                Some(event) => match self.take(event) {
                    Ok(Some(input)) => input,
                    Ok(None) => continue,
                    Err(error) => return End::CommitFailed(error),
                },
            };
            let step = self.driver.on(input, self.time.now(), self.draws.draw());
            wake_at = self.carry_out(step);
        }
    }

    /// Waits for something to happen, or for the time at which the driver wants to be called.
    async fn next_event(&mut self, wake_at: Option<Timestamp>) -> Option<Event> {
        if let Ok(event) = self.inbox.try_recv() {
            return Some(event);
        }
        let busy = self.acting > 0 || self.asking > 0 || !self.committing.is_empty();
        self.time.set_busy(busy || wake_at.is_some_and(|at| self.time.is_soon(at)));
        let sleep = wake_at.map_or(TURN_AT_LEAST_EVERY, |at| self.time.until(at));
        let event = timeout(sleep.min(TURN_AT_LEAST_EVERY), self.inbox.recv()).await;
        // Whatever follows may begin something: its deadlines are meant at the natural pace.
        self.time.set_busy(true);
        event.ok().flatten()
    }

    /// Turns an event into the driver's input, if it is one.
    fn take(&mut self, event: Event) -> Result<Option<Input>, AppendError> {
        match event {
            Event::Committed(Ok(receipt)) => {
                self.show(receipt);
                Ok(Some(Input::Durable(receipt)))
            }
            Event::Committed(Err(error)) => Err(error),
            Event::Outcome(act, outcome) => {
                self.acting = self.acting.saturating_sub(1);
                Ok(Some(Input::Outcome { act, outcome }))
            }
            Event::Reply(stream, ask, reply) => {
                self.asking = self.asking.saturating_sub(1);
                Ok(Some(Input::Reply { stream, ask, reply }))
            }
            Event::Input(input) => Ok(Some(input)),
            Event::Look(Look(look)) => {
                look(&self.driver, self.time.now());
                Ok(None)
            }
            Event::Hands(hands) => {
                self.hands = hands;
                Ok(None)
            }
            Event::Stop => Ok(None),
        }
    }

    /// Shows followers what has become durable.
    fn show(&mut self, receipt: Receipt) {
        while let Some(front) = self.committing.front()
            && front.number <= receipt.through
        {
            let Some(durable) = self.committing.pop_front() else { return };
            for record in durable.shown {
                if let Some(followers) = &self.followers {
                    // A follower that has gone away is no reason to stop.
                    let _ = followers.send(record);
                }
            }
            for kind in durable.ends {
                self.boundaries.pass(Boundary::Ended, kind);
            }
        }
    }

    fn carry_out(&mut self, step: Step) -> Option<Timestamp> {
        self.commit(step.append);
        for act in step.acts {
            self.perform(act);
        }
        for ask in step.asks {
            self.ask(ask);
        }
        step.wake_at
    }

    fn commit(&mut self, batch: Batch) {
        if batch.records.is_empty() {
            return;
        }
        let ends = self.boundaries.hand_over(&batch.records);
        let shown = if self.followers.is_some() { batch.records.clone() } else { vec![] };
        self.committing.push_back(Committing { number: batch.number, shown, ends });
        self.writer.submit(batch);
    }

    fn perform(&mut self, act: Act) {
        self.acting += 1;
        let (boundaries, name) = (self.boundaries.clone(), kind_of(&act.kind));
        boundaries.pass(Boundary::Started, name);
        let (hands, events) = (Arc::clone(&self.hands), self.events.clone());
        let limit = self.time.until(act.deadline_at);
        tokio::spawn(async move {
            let kind = act.kind;
            let mut work = tokio::spawn(async move { hands.perform(&kind).await });
            // Past the deadline the work is left to its own end; a panic in it is an answer lost.
            let outcome = match timeout(limit, &mut work).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Outcome::Unknown,
            };
            boundaries.pass(Boundary::Done, name);
            // Without a loop there is nobody to tell; the next start finds the act unended.
            let _ = events.send(Event::Outcome(act.id, outcome));
        });
    }

    fn ask(&mut self, ask: Ask) {
        self.asking += 1;
        let (hands, events) = (Arc::clone(&self.hands), self.events.clone());
        let limit = self.time.until(ask.deadline_at);
        tokio::spawn(async move {
            let Ask { stream, kind, .. } = ask;
            let asked = kind.clone();
            let work = tokio::spawn(async move { hands.ask(&asked).await });
            let stop = work.abort_handle();
            let reply = match timeout(limit, work).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(_)) => Reply::Failed(broken(&kind)),
                Err(_) => {
                    stop.abort();
                    Reply::Failed(kind.unanswered())
                }
            };
            let _ = events.send(Event::Reply(stream, kind, reply));
        });
    }

    /// Awaits acts in flight for a while and journals their outcomes. What is not awaited is
    /// `Unknown` at the next start, as if the process had been killed.
    async fn finish(mut self) -> End {
        let all = async {
            while self.acting > 0 || !self.committing.is_empty() {
                let Some(event) = self.inbox.recv().await else { return Ok(()) };
                let Some(input) = self.take(event)? else { continue };
                let step = self.driver.on(input, self.time.now(), self.draws.draw());
                self.commit(step.append);
                // The acts of this step are started and not performed: the next start asks first.
            }
            Ok(())
        };
        match timeout(FINISH_WITHIN, all).await {
            Ok(Err(error)) => End::CommitFailed(error),
            Ok(Ok(())) | Err(_) => End::Stopped,
        }
    }
}

/// Makes the failure of a question whose asking panicked: nobody else is at fault.
fn broken(ask: &AskKind) -> Failure {
    let cause = "the question ended in a fault of ours".into();
    Failure { blame: Blame::Ourselves, cause, ..ask.unanswered() }
}
