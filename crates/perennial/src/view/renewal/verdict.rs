//! How a renewal that is watched ended.
//!
//! It ends well when every target's new leaf was seen. It ends with findings when nothing more
//! happens soon: the attempt failed, the CA is left alone for a while, an act of it fails again and
//! again, or the leaf is issued and some target cannot take it, or does not show it. What was begun
//! goes on by itself; the verdict says when.

use jiff::{SignedDuration, Timestamp};
use perennial_core::decide::{has_place, may_write, next_attempt_at, target_at, within_attempt_at};
use perennial_core::finding::{Code, Incident};
use perennial_core::state::{
    Account, Attempt, Certificate, DeployStep, Deployment, Issuer, Leaf, Running, Stage, State,
};
use perennial_core::words::Name;
use serde::Serialize;

use super::{Since, addresses};
use crate::view::{ago, moment, safe, span};

/// How a renewal ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Of which certificate.
    pub certificate: Name,
    /// How.
    pub ended: Ended,
    /// The number of the new leaf, if there is one.
    pub leaf: Option<u32>,
    /// Its last moment.
    pub not_after: Option<Timestamp>,
    /// How many addresses serve it.
    pub addresses_seen: usize,
    /// Of how many.
    pub addresses: usize,
    /// What is wrong.
    pub causes: Vec<Cause>,
}

/// How a renewal ended, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The new leaf was seen wherever it was to be.
    Seen,
    /// It is in the store; no target takes it.
    Kept,
    /// What is there already covers the names: nothing was ordered.
    Adopted,
    /// There is a new leaf, and not every target shows it.
    NotEverywhere,
    /// There is no new leaf.
    Failed,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// What it is about: a target, an endpoint; empty for the attempt itself.
    pub about: String,
    /// What happened.
    pub text: String,
    /// When it is tried again, where that is known.
    pub retry_at: Option<Timestamp>,
}

/// What is tried again later than this is not waited for.
const SOON: SignedDuration = SignedDuration::from_secs(60);

/// After so many failures in a row of the same step it is not waited for any more.
const STUBBORN: u16 = 4;

/// How long after settling a look may take that would show what is wrong.
const LOOK_WITHIN: SignedDuration = SignedDuration::from_secs(5);

impl Verdict {
    /// Returns how the renewal ended that is watched since then, if it did.
    #[must_use]
    pub fn of(
        state: &State,
        name: &Name,
        certificate: &Certificate,
        since: Since,
        now: Timestamp,
    ) -> Option<Self> {
        let judging = Judging { state, certificate, now };
        let issued = since.new_leaf(certificate);
        let (ended, causes) = match (issued, &certificate.attempt) {
            (Some(leaf), _) => judging.deployment(leaf)?,
            (None, Attempt::Running(running)) => (Ended::Failed, vec![judging.hindrance(running)?]),
            (None, Attempt::Resting(_)) => (Ended::Failed, vec![judging.failure(since)?]),
        };
        let (addresses_seen, addresses) = addresses(certificate, issued);
        Some(Self {
            certificate: name.clone(),
            ended,
            leaf: issued.map(|leaf| leaf.number),
            not_after: issued.map(|leaf| leaf.facts.ends_at()),
            addresses_seen,
            addresses,
            causes,
        })
    }

    /// Returns whether nothing is left to be done.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        match self.ended {
            Ended::Seen | Ended::Kept | Ended::Adopted => true,
            Ended::NotEverywhere | Ended::Failed => false,
        }
    }

    /// Returns the lines that stay: how it ended, and what to do if it did not end well.
    #[must_use]
    pub fn render(&self, took: SignedDuration, now: Timestamp) -> String {
        let until = self.not_after.map(|at| format!(", until {}", moment(at))).unwrap_or_default();
        let leaf = self.leaf.map(|leaf| format!("leaf {leaf}{until}")).unwrap_or_default();
        let seen = match self.addresses {
            1 => format!("{} of 1 address", self.addresses_seen),
            all => format!("{} of {all} addresses", self.addresses_seen),
        };
        let what = match self.ended {
            Ended::Seen => format!("{leaf}, seen at {seen}"),
            Ended::Kept => format!("{leaf}, kept; no target is declared to take it"),
            Ended::Adopted => format!("{leaf}, was there already and is adopted"),
            Ended::NotEverywhere => format!("{leaf}, seen at {seen}"),
            Ended::Failed => String::from("not renewed"),
        };
        let name = &self.certificate;
        let mut text = format!("{name}: {what} (after {})", span(took));
        for cause in &self.causes {
            let about =
                if cause.about.is_empty() { String::new() } else { format!("{}: ", cause.about) };
            text.push_str(&format!("\n  {}{}", safe(&about), safe(&cause.text)));
            if let Some(at) = cause.retry_at {
                let when = if at > now { ago(at, now) } else { String::from("now") };
                text.push_str(&format!("\n  tried again {when}, by itself"));
            }
        }
        if !self.is_well() {
            text.push_str(&format!(
                "\n\nhint: what happened: perennial journal {name}; once it is mended: perennial \
                 renew {name}"
            ));
        }
        text
    }
}

/// What a verdict is made from.
struct Judging<'a> {
    state: &'a State,
    certificate: &'a Certificate,
    now: Timestamp,
}

impl Judging<'_> {
    /// An attempt that failed since, or that cannot begin.
    fn failure(&self, since: Since) -> Option<Cause> {
        let Attempt::Resting(rest) = &self.certificate.attempt else { return None };
        if let Some(last) = rest.last.as_deref().filter(|last| Some(last.at) > since.failed_at) {
            let retry_at = next_attempt_at(self.certificate);
            return Some(Cause { retry_at, ..cause("", &last.failure) });
        }
        if self.certificate.is_looked_at() && !has_place(self.state, self.certificate) {
            let text = "every target holds files of somebody else; `take_over = true` would allow \
                        to replace them";
            return Some(cause("", text));
        }
        None
    }

    /// What keeps a running attempt from going on soon.
    fn hindrance(&self, running: &Running) -> Option<Cause> {
        let issuer = self.state.issuers.get(&running.plan.issuer);
        if let (Stage::Unordered { .. }, Some(issuer)) = (&running.stage, issuer)
            && let Some(cause) = self.closed(issuer)
        {
            return Some(cause);
        }
        let trouble = running.trouble.as_deref().filter(|trouble| trouble.failures >= STUBBORN)?;
        let retry_at = Some(within_attempt_at(trouble.at, trouble.failures));
        Some(Cause { retry_at, ..cause("", &trouble.failure) })
    }

    fn closed(&self, issuer: &Issuer) -> Option<Cause> {
        if let Account::Refused { failure, retry_at, .. } = &issuer.account {
            return Some(Cause { retry_at: Some(*retry_at), ..cause("", failure) });
        }
        let failure = issuer.health.last.as_deref()?;
        let until = issuer.health.closed_until.max(issuer.health.limited_until);
        let retry_at = until.filter(|until| *until > self.now);
        let is_long = retry_at.is_some_and(|until| until.duration_since(self.now) > SOON);
        let is_over = is_long || issuer.health.failures >= STUBBORN;
        is_over.then(|| Cause { retry_at, ..cause("", failure) })
    }

    /// How far the leaf has come, once nothing more happens soon.
    fn deployment(&self, leaf: &Leaf) -> Option<(Ended, Vec<Cause>)> {
        if leaf.bundle.is_none() {
            return Some((Ended::Adopted, Vec::new()));
        }
        let targets = &self.certificate.targets;
        if targets.is_empty() {
            return Some((Ended::Kept, Vec::new()));
        }
        let mut causes: Vec<Cause> = Vec::new();
        for ledger in targets {
            if matches!(ledger.step, DeployStep::Seen { leaf: at, .. } if at == leaf.number) {
                continue;
            }
            for cause in self.not_seen(leaf, ledger)? {
                // What several targets have in common is said once.
                if !causes.contains(&cause) {
                    causes.push(cause);
                }
            }
        }
        let ended = if causes.is_empty() { Ended::Seen } else { Ended::NotEverywhere };
        Some((ended, causes))
    }

    /// Why a target's leaf was not seen; nothing while it may still be.
    fn not_seen(&self, leaf: &Leaf, ledger: &Deployment) -> Option<Vec<Cause>> {
        let target = ledger.target.as_str();
        if let Some(trouble) = &ledger.trouble {
            let retry_at = Some(target_at(trouble));
            return Some(vec![Cause { retry_at, ..cause(target, &trouble.failure) }]);
        }
        if !may_write(self.state, ledger) {
            let text = "holds files of somebody else; `take_over = true` would allow to replace \
                        them";
            return Some(vec![cause(target, text)]);
        }
        let incidents = &self.certificate.history.incidents;
        let of_target = |incident: &&Incident| {
            incident.code == Code::TargetNewerLeaf && *incident.subject == *target
        };
        if let Some(newer) = incidents.iter().find(of_target) {
            let text = format!("holds something newer: {}", newer.evidence);
            return Some(vec![cause(target, &text)]);
        }
        let DeployStep::Activated { leaf: number, at } = ledger.step else { return None };
        if number != leaf.number {
            return None;
        }
        if self.certificate.spec.endpoints.is_empty() {
            let text = "installed; no endpoint is declared, so nothing can be seen";
            return Some(vec![cause(target, text)]);
        }
        let settle = self.state.targets.get(&ledger.target).map(|target| target.spec.settle);
        let settled_at = at.checked_add(settle.unwrap_or_default() + LOOK_WITHIN).ok()?;
        if self.now < settled_at {
            return None;
        }
        let wrong = incidents.iter().filter(|incident| is_of_endpoint(incident.code));
        let causes: Vec<Cause> =
            wrong.map(|incident| cause(&incident.subject, &incident.evidence)).collect();
        (!causes.is_empty()).then_some(causes)
    }
}

fn is_of_endpoint(code: Code) -> bool {
    code == Code::TargetNotReloaded || code.as_str().starts_with("endpoint.")
}

fn cause(about: &str, text: &(impl ToString + ?Sized)) -> Cause {
    Cause { about: about.to_owned(), text: text.to_string(), retry_at: None }
}
