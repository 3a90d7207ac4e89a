//! Between the driver and the outside: acts and asks on their way, and what goes wrong there.

use std::sync::Arc;

use jiff::SignedDuration;
use perennial_core::action::{Act, ActId, ActKind, Ask, AskKind, Fact, Outcome, Reply};
use perennial_core::driver::Input;
use perennial_core::record::StreamKind;
use perennial_core::words::{Blame, Failure, FailureKind, Name, after};

use super::fault::throw_span;
use super::{Happening, Rigour, World};
use crate::model::ca::CaEffect;

/// How long a CA takes to validate, and to sign, at the most.
const CA_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// How long after its deadline a late outcome comes at the earliest: the driver has given up then.
const LATE: SignedDuration = SignedDuration::from_secs(10);

impl World {
    /// Sets out to perform an act that was released.
    pub(super) fn perform(&mut self, act: Act) {
        let has_started = self.journal.has_started(&act.id);
        if let Some(driver) = self.driver.as_ref().filter(|_| self.rigour == Rigour::Full) {
            self.checks.release(&act, driver.state(), self.now);
        }
        if !has_started {
            let text = format!("{} is performed and its start is not durable", act.id);
            self.checks.violate(self.now, text);
        }
        let at = after(self.now, throw_span(&mut self.dice, self.pace.act));
        if at < act.deadline_at {
            self.plan(at, Happening::Effect { act: Box::new(act) });
        } else {
            self.deliver(after(act.deadline_at, SignedDuration::ZERO), &act.id, Outcome::Unknown);
        }
    }

    pub(super) fn take_effect(&mut self, act: &Act) {
        let (outcome, took) = if self.fails(act) {
            (Outcome::Failed(transient(&act.kind)), SignedDuration::ZERO)
        } else {
            if self.rigour == Rigour::Full {
                self.checks.before(act, &self.outside, self.now);
            }
            let (outcome, took) = self.outside.perform(&act.kind, self.now);
            if self.rigour == Rigour::Full {
                self.checks.after(act, &outcome, &self.outside, self.now);
            }
            (self.misreport(act, outcome), took)
        };
        self.follow_up();
        if outcome == Outcome::Unknown {
            self.checks.lose(act);
        }
        if self.pass_boundary() {
            return;
        }
        let span = throw_span(&mut self.dice, self.pace.act).saturating_add(took);
        let at = after(self.now, span);
        let id = act.id.clone();
        let given_up_at = after(act.deadline_at, throw_span(&mut self.dice, LATE));
        if self.dice.chance(self.faults.lost) || at > act.deadline_at {
            self.checks.lose(act);
            // The shell says so at the deadline; or nobody does, and the driver itself must.
            if self.dice.below(2) == 0 {
                self.deliver(act.deadline_at, &id, Outcome::Unknown);
            }
        } else if self.dice.chance(self.faults.late) {
            self.checks.lose(act);
            self.deliver(act.deadline_at, &id, Outcome::Unknown);
            self.deliver(after(given_up_at, LATE), &id, outcome);
        } else {
            if self.dice.chance(self.faults.doubled) {
                self.deliver(after(at, span), &id, outcome.clone());
            }
            self.deliver(at, &id, outcome);
        }
    }

    /// Plans what the CAs want done.
    pub(super) fn follow_up(&mut self) {
        for (issuer, effect) in self.outside.effects() {
            let within = match &effect {
                CaEffect::Validate(_) => CA_WITHIN,
                CaEffect::Issue { .. } => SignedDuration::from_secs(1),
            };
            let at = after(self.now, throw_span(&mut self.dice, within));
            self.plan(at, Happening::Ca { issuer, effect: Box::new(effect) });
        }
    }

    /// Throws whether an act fails on the way. What is said to a CA fails there.
    fn fails(&mut self, act: &Act) -> bool {
        let failing = self.dice.chance(self.faults.failing);
        failing && issuer_of(&act.kind).is_none()
    }

    /// Throws whether the CA's front hides a good answer.
    fn misreport(&mut self, act: &Act, outcome: Outcome) -> Outcome {
        let hides = self.dice.chance(self.faults.misreported);
        if !hides || issuer_of(&act.kind).is_none() || !matches!(outcome, Outcome::Done(_)) {
            return outcome;
        }
        self.checks.lose(act);
        Outcome::Failed(transient(&act.kind))
    }

    fn deliver(&mut self, at: jiff::Timestamp, act: &ActId, outcome: Outcome) {
        let (act, outcome) = (act.clone(), Box::new(outcome));
        self.plan(at, Happening::Outcome { act, outcome });
    }

    pub(super) fn hand_in(&mut self, act: ActId, mut outcome: Outcome) {
        if let Outcome::Done(Fact::Order(facts)) = &mut outcome {
            let driver = self.driver();
            let history = driver.and_then(|driver| driver.state().history(&act.stream));
            let acting =
                history.and_then(|own| own.acting.iter().find(|a| a.version == act.version));
            if let Some(acting) = acting.filter(|_| self.rigour == Rigour::Full) {
                let kind = acting.act.clone();
                self.checks.hear_act(&act.stream, &kind, facts, self.now);
            }
            facts.retry_at = facts.retry_at.map(|at| after(at, self.clock_ahead));
        }
        self.tell(Input::Outcome { act, outcome });
        // Its record is folded, and not durable yet.
        self.pass_boundary();
    }

    /// Puts a question.
    pub(super) fn put(&mut self, ask: Ask) {
        let at = after(self.now, throw_span(&mut self.luck, self.pace.ask));
        if self.luck.chance(self.faults.unanswered) || at > ask.deadline_at {
            let (at, ask) = (ask.deadline_at, Box::new(ask));
            let reply = Box::new(Reply::Failed(ask.kind.unanswered()));
            return self.plan(at, Happening::Reply { ask, reply });
        }
        if self.luck.chance(self.faults.stale) {
            self.checks.ask(&ask, self.now);
            let targets = self.targets_of(&ask);
            let (reply, _) = self.outside.answer(&ask, &targets, self.now, self.clock());
            self.follow_up();
            let at = after(at, throw_span(&mut self.luck, self.pace.act)).min(ask.deadline_at);
            return self.plan(at, Happening::Reply { ask: Box::new(ask), reply: Box::new(reply) });
        }
        self.plan(at, Happening::Answer { ask: Box::new(ask) });
    }

    pub(super) fn answer(&mut self, ask: Ask) {
        self.checks.ask(&ask, self.now);
        let targets = self.targets_of(&ask);
        let (reply, took) = self.outside.answer(&ask, &targets, self.now, self.clock());
        self.follow_up();
        if took.is_zero() {
            return self.reply(ask, reply);
        }
        let at = after(self.now, took);
        let reply = if at > ask.deadline_at { Reply::Failed(ask.kind.unanswered()) } else { reply };
        let at = at.min(ask.deadline_at);
        self.plan(at, Happening::Reply { ask: Box::new(ask), reply: Box::new(reply) });
    }

    pub(super) fn reply(&mut self, ask: Ask, reply: Reply) {
        if self.rigour == Rigour::Full {
            self.checks.hear(&ask, &reply, self.now);
        }
        let reply = self.by_clock(reply);
        self.tell(Input::Reply { stream: ask.stream, ask: ask.kind, reply });
    }

    /// Returns an answer as the process makes it of what a CA says: a CA names a span, which is added
    /// to what the process takes for the time.
    fn by_clock(&self, mut reply: Reply) -> Reply {
        let named = match &mut reply {
            Reply::Order(facts) => facts.retry_at.as_mut(),
            Reply::Authorization(facts) => facts.retry_at.as_mut(),
            Reply::RenewalInfo(facts) => facts.retry_at.as_mut(),
            Reply::Failed(Failure { kind: FailureKind::RateLimited { until }, .. }) => Some(until),
            _ => None,
        };
        if let Some(at) = named {
            *at = after(*at, self.clock_ahead);
        }
        reply
    }

    fn targets_of(&self, ask: &Ask) -> Arc<[Name]> {
        if ask.stream.kind != StreamKind::Certificate || !matches!(ask.kind, AskKind::Probe { .. })
        {
            return Arc::default();
        }
        let spec = self.intent.certificates.get(&ask.stream.name);
        spec.map(|spec| spec.targets.clone()).unwrap_or_default()
    }
}

/// Returns to which CA an act speaks.
pub(super) const fn issuer_of(act: &ActKind) -> Option<&Name> {
    match act {
        ActKind::NewAccount { issuer, .. } | ActKind::Revoke { issuer, .. } => Some(issuer),
        ActKind::NewOrder { account, .. }
        | ActKind::ChangeKey { account, .. }
        | ActKind::EndAccount { account }
        | ActKind::Respond { account, .. }
        | ActKind::Finalize { account, .. } => Some(&account.issuer),
        ActKind::MakeKey { .. }
        | ActKind::DropKey { .. }
        | ActKind::Present { .. }
        | ActKind::Withdraw { .. }
        | ActKind::KeepBundle { .. }
        | ActKind::Stage { .. }
        | ActKind::Validate { .. }
        | ActKind::Activate { .. }
        | ActKind::PutBack { .. } => None,
    }
}

fn transient(act: &ActKind) -> Failure {
    let blame = match act {
        ActKind::Present { answer } | ActKind::Withdraw { answer } => {
            Blame::Solver(answer.solver.clone())
        }
        ActKind::Stage { target, .. }
        | ActKind::Validate { target, .. }
        | ActKind::Activate { target, .. }
        | ActKind::PutBack { target, .. } => Blame::Target(target.clone()),
        ActKind::MakeKey { .. } | ActKind::DropKey { .. } | ActKind::KeepBundle { .. } => {
            Blame::Ourselves
        }
        act => issuer_of(act).map_or(Blame::Ourselves, |issuer| Blame::Issuer(issuer.clone())),
    };
    Failure {
        kind: FailureKind::Transient,
        blame,
        attempted: "do what the dice forbid".into(),
        cause: "bad luck".into(),
        problem: None,
    }
}
