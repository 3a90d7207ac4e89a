//! Checkers: what must stay true, looked at in the instant of each effect.
//!
//! Checking only how things end would miss what went wrong on the way: an act performed before its
//! record was durable leaves no trace in a final state. What cannot be judged at an effect is
//! judged at every tick of the clock, and the rest when all is settled.
//!
//! That no target holds a key without its leaf is not judged here: a model's target takes a bundle as
//! a whole. `crates/adapters/src/deploy/tests/crash.rs` shows it, where the power is cut after every
//! step of writing one.

mod effect;
mod flow;
mod poll;
mod settled;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use perennial_core::action::ActId;
use perennial_core::decide::Lane;
use perennial_core::intent::Intent;
use perennial_core::words::{Identifier, Name, Url};

pub use settled::unsettled;

/// What has been found wrong, and what is needed to find more.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// What was found wrong.
    pub violations: Vec<String>,
    names: BTreeMap<Name, Arc<[Identifier]>>,
    /// What each address served before the effect that is being looked at.
    before: Vec<(SocketAddr, Option<effect::Served>)>,
    /// Orders by certificate, attempts begun, and the orders whose answers were lost.
    orders: BTreeMap<Name, BTreeSet<Url>>,
    began: BTreeMap<Name, u64>,
    /// How often a CA was asked for an order and answered with one: perhaps with the same again.
    asked: BTreeMap<Name, usize>,
    losses: BTreeMap<Name, BTreeSet<u64>>,
    /// Orders made whose `act.ended` is not durable: a crash loses the answer.
    unheard: BTreeSet<ActId>,
    /// When a target was last seen to be out of reach, or deaf to reloads: what lapses there meanwhile
    /// cannot be helped.
    hindered: BTreeMap<Name, Timestamp>,
    /// Acts on their way.
    performing: BTreeMap<ActId, Lane>,
    /// When acts of a kind were started lately.
    lately: BTreeMap<String, Vec<Timestamp>>,
    /// When a CA wants to be asked again, by the question.
    named: BTreeMap<String, Timestamp>,
}

/// How many findings are kept; the first ones tell the most.
const KEPT: usize = 20;

impl Checks {
    /// Makes the checkers of what is declared.
    #[must_use]
    pub fn new(intent: &Intent) -> Self {
        let mut checks = Self::default();
        checks.declare(intent);
        checks
    }

    /// Takes in what is declared.
    pub fn declare(&mut self, intent: &Intent) {
        for (name, spec) in &intent.certificates {
            self.names.insert(name.clone(), spec.identifiers.clone());
        }
    }

    /// Notes that something is wrong.
    pub fn violate(&mut self, now: Timestamp, text: impl std::fmt::Display) {
        if self.violations.len() < KEPT {
            self.violations.push(format!("{now}: {text}"));
        }
    }

    /// Returns how many orders a certificate has had.
    #[must_use]
    pub fn orders_of(&self, certificate: &str) -> usize {
        self.orders.get(&Name::new(certificate)).map_or(0, BTreeSet::len)
    }

    /// Returns how often an order for a certificate was asked for, and got. The CA may have answered
    /// with the one before.
    #[must_use]
    pub fn asked_orders_of(&self, certificate: &str) -> usize {
        self.asked.get(&Name::new(certificate)).copied().unwrap_or_default()
    }

    /// Returns how many orders of a certificate were got whose answer was lost: nobody can know of
    /// them, and each is asked for once more.
    #[must_use]
    pub fn lost_orders_of(&self, certificate: &str) -> usize {
        self.losses.get(&Name::new(certificate)).map_or(0, BTreeSet::len)
    }

    /// Returns how many orders all certificates have had.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.orders.values().map(BTreeSet::len).sum()
    }

    /// Returns how many attempts all certificates have begun.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.began.values().sum()
    }
}
