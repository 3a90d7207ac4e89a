//! What is looked at around each effect.

use jiff::Timestamp;
use perennial_core::action::{Act, ActKind, Fact, Outcome};
use perennial_core::words::{Name, OrderFacts};

use super::Checks;
use crate::model::host::Met;
use crate::world::{Bundle, Outside};

/// What an address served.
#[derive(Clone, Debug)]
pub(super) struct Served {
    is_good: bool,
    not_before: Timestamp,
}

impl Checks {
    /// Looks before an act takes effect.
    pub fn before(&mut self, act: &Act, outside: &Outside, now: Timestamp) {
        match &act.kind {
            ActKind::Finalize { key, .. } if !outside.shelf.keys.contains_key(key) => {
                self.violate(now, format!("{}: finalize without a durable key", act.id));
            }
            ActKind::Activate { target, certificate, .. } => {
                self.before = self.served(outside, target, certificate, now);
            }
            _ => {}
        }
        if act.deadline_at < now {
            self.violate(now, format!("{}: takes effect after its deadline", act.id));
        }
    }

    /// Looks after an act took effect.
    pub fn after(&mut self, act: &Act, outcome: &Outcome, outside: &Outside, now: Timestamp) {
        match (&act.kind, outcome) {
            (ActKind::NewOrder { .. }, Outcome::Done(Fact::Order(facts))) => {
                self.note_order(act, facts);
                self.unheard.insert(act.id.clone());
                self.judge_orders(&act.id.stream.name, now);
            }
            (ActKind::Activate { target, certificate, .. }, _) => {
                self.judge_served(outside, target, certificate, now);
            }
            _ => {}
        }
    }

    /// Notes an act that took effect while nobody lived who could hear its answer.
    pub fn unheard_of(&mut self, act: &Act, outcome: &Outcome) {
        if let (ActKind::NewOrder { .. }, Outcome::Done(Fact::Order(facts))) = (&act.kind, outcome)
        {
            self.note_order(act, facts);
            self.lose_order(act.id.clone());
        }
    }

    fn note_order(&mut self, act: &Act, facts: &OrderFacts) {
        let orders = self.orders.entry(act.id.stream.name.clone()).or_default();
        orders.insert(facts.url.clone());
        *self.asked.entry(act.id.stream.name.clone()).or_default() += 1;
    }

    /// At most one extra order for each answer that was lost.
    fn judge_orders(&mut self, certificate: &Name, now: Timestamp) {
        let made = self.orders.get(certificate).map_or(0, |orders| orders.len() as u64);
        let began = self.began.get(certificate).copied().unwrap_or_default();
        let losses = self.losses.get(certificate).map_or(0, |lost| lost.len() as u64);
        if made > began + losses {
            let text = format!(
                "{certificate}: {made} orders in {began} attempts with {losses} lost answers"
            );
            self.violate(now, text);
        }
    }

    /// Never worse: what was served well is served well after, and by no older leaf.
    fn judge_served(
        &mut self,
        outside: &Outside,
        target: &Name,
        certificate: &Name,
        now: Timestamp,
    ) {
        let before = std::mem::take(&mut self.before);
        for (address, after) in self.served(outside, target, certificate, now) {
            let was = before.iter().find(|(own, _)| *own == address);
            let Some((_, Some(was))) =
                was.filter(|(_, was)| was.as_ref().is_some_and(|w| w.is_good))
            else {
                continue;
            };
            let worse = after.is_none_or(|is| !is.is_good || is.not_before < was.not_before);
            if worse {
                self.violate(now, format!("{certificate} at {target} [{address}]: made worse"));
            }
        }
    }

    fn served(
        &self,
        outside: &Outside,
        target: &Name,
        certificate: &Name,
        now: Timestamp,
    ) -> Vec<(std::net::SocketAddr, Option<Served>)> {
        let key = (target.clone(), certificate.clone());
        let Some(host) = outside.hosts.get(&key) else { return Vec::new() };
        let look = |address| {
            let Met::Leaf(bundle) = host.connect(address) else { return (address, None) };
            let is_good = self.is_good(certificate, bundle, now);
            let not_before = bundle.leaf.validity.not_before;
            (address, Some(Served { is_good, not_before }))
        };
        host.addresses().map(look).collect()
    }

    /// Returns whether a bundle is valid now for every declared name.
    pub(super) fn is_good(&self, certificate: &Name, bundle: &Bundle, now: Timestamp) -> bool {
        let leaf = &bundle.leaf;
        let in_time = leaf.validity.not_before <= now && now <= leaf.ends_at();
        let names = self.names.get(certificate);
        in_time && names.is_some_and(|names| names.iter().all(|name| leaf.covers(name)))
    }
}
