//! What must be true when nothing is left to do.

use jiff::Timestamp;
use perennial_core::driver::Driver;
use perennial_core::intent::KeyRotation;
use perennial_core::state::{Account, Attempt, Certificate, DeployStep, State};
use perennial_core::words::Slot;

use super::Checks;
use crate::world::Outside;

/// Returns what is still to be done, if anything is.
#[must_use]
pub fn unsettled(state: &State) -> Option<String> {
    for (name, issuer) in &state.issuers {
        if !matches!(issuer.account, Account::Ready { .. }) {
            return Some(format!("issuer {name}: no account"));
        }
        if !issuer.history.acting.is_empty() {
            return Some(format!("issuer {name}: {:?} is in flight", issuer.history.acting));
        }
    }
    if state.certificates().next().is_none() {
        return Some("nothing is declared".to_string());
    }
    let certificates = state.certificates().filter(|(_, _, c)| c.renamed_to.is_none());
    certificates
        .filter_map(|(_, name, certificate)| Some(format!("{name}: {}", busy(certificate)?)))
        .next()
}

fn busy(certificate: &Certificate) -> Option<String> {
    let Attempt::Resting(rest) = &certificate.attempt else {
        return Some("an attempt runs".to_string());
    };
    if let Some(last) = &rest.last {
        return Some(format!("the last attempt failed: {}", last.failure));
    }
    let Some(leaf) = &certificate.leaf else { return Some("there is no leaf".to_string()) };
    if !certificate.covers_all(&leaf.facts) {
        return Some("names are missing".to_string());
    }
    if !certificate.history.acting.is_empty() {
        return Some(format!("{:?} is in flight", certificate.history.acting));
    }
    if !certificate.owed.is_empty() || !certificate.spent_keys.is_empty() {
        return Some("something is left to clear away".to_string());
    }
    certificate.targets.iter().find_map(|ledger| match ledger.step {
        DeployStep::Seen { leaf: seen, .. } if seen == leaf.number => None,
        step => Some(format!("target {} is {step:?}", ledger.target)),
    })
}

impl Checks {
    /// Looks when all is settled: covered, seen, nothing left over, every counter at nought.
    pub fn settled(&mut self, driver: &Driver, outside: &Outside, now: Timestamp) {
        let state = driver.state();
        if let Some(what) = unsettled(state) {
            self.violate(now, format!("not settled: {what}"));
        }
        let up = outside.answers_up(now);
        if up > 0 {
            self.violate(now, format!("{up} challenge answers are left"));
        }
        let reused = state.certificates().filter(|(_, _, certificate)| {
            certificate.spec.rotation == KeyRotation::Reuse && certificate.leaf.is_some()
        });
        let reused = reused.map(|(_, name, certificate)| certificate.next_slot(name));
        let accounts = state.issuers.iter().map(|(name, issuer)| issuer.slot(name));
        let kept: Vec<Slot> = accounts.chain(reused).collect();
        let orphans: Vec<&Slot> =
            outside.shelf.keys.keys().filter(|slot| !kept.contains(slot)).collect();
        if !orphans.is_empty() {
            self.violate(now, format!("keys are left: {orphans:?}"));
        }
        let (acts, _) = driver.in_flight();
        if acts > 0 {
            self.violate(now, format!("the lanes count {acts} acts in flight"));
        }
    }
}
