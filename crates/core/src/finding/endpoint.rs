//! Findings about what endpoints serve.
//!
//! Every address is judged by itself. What it serves wrongly is the endpoint's fault, with one
//! exception: an old leaf, long after a target was told of the newest, is the fault of the target
//! whose address it is. Where targets declare their addresses (`serves_at`) that is one finding of
//! that target, which names them; where they do not, it is one of the address.
//!
//! While a target settles nothing is said of its addresses, and a target in trouble is not waited
//! for: it has a finding of its own, and must not hide what is wrong elsewhere.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jiff::{SignedDuration, Timestamp};

use super::{Code, Finding, Severity};
use crate::decide::{Context, Decision, Ties, holds_newer, is_other, may_write, ours, reload_at};
use crate::intent::EndpointSpec;
use crate::state::{AddressState, Certificate, DeployStep, Deployment, Leaf};
use crate::words::time::after;
use crate::words::{Blame, Failure, Sample, SightState};

/// Judges what the endpoints of a certificate serve.
pub(super) fn of_endpoints(cx: &Context<'_>, certificate: &Certificate, decision: &mut Decision) {
    if certificate.spec.endpoints.is_empty() {
        decision.findings.push(Finding {
            code: Code::EndpointNone,
            subject: Box::default(),
            severity: Severity::Notice,
            blame: None,
            evidence: "no endpoint is declared, so nothing can be seen".into(),
        });
    }
    // Before there is a leaf nothing is served, and the missing leaf is what is said.
    let Some(leaf) = certificate.leaf.as_deref() else { return };
    let ties = Ties::of(cx.state, certificate);
    let mut judge = Judge::new(cx, certificate, leaf, &ties);
    for (spec, endpoint) in ours(certificate) {
        if endpoint.since.is_none() {
            continue;
        }
        match &endpoint.shown {
            Err(failure) => decision.findings.push(unlookable(spec, failure)),
            Ok(addresses) => {
                for found in addresses.iter().filter_map(|shown| judge.address(spec, shown)) {
                    say_once(found, decision);
                }
            }
        }
    }
    for (place, ledger) in certificate.targets.iter().enumerate() {
        decision.findings.extend(judge.not_reloaded(place, ledger));
        decision.findings.extend(judge.unwatched(place, ledger));
    }
    if let Some(wake_at) = judge.wake_at {
        decision.wake(wake_at);
    }
}

pub(super) fn unlookable(spec: &EndpointSpec, failure: &Failure) -> Finding {
    Finding {
        code: Code::EndpointUnreachable,
        subject: spec.to_string().into(),
        severity: Severity::Warning,
        blame: Some(failure.blame.clone()),
        evidence: failure.to_string().into(),
    }
}

/// How long a new leaf may be on its way to a target before endpoints are judged all the same.
const DEPLOYED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// How many addresses a finding names.
const NAMED: usize = 5;

/// What one certificate's endpoints are judged by.
struct Judge<'a> {
    cx: &'a Context<'a>,
    certificate: &'a Certificate,
    leaf: &'a Leaf,
    ties: &'a Ties<'a>,
    /// Until when each target may still show the old leaf; absent where it is not waited for.
    settling: Vec<Option<Timestamp>>,
    /// When a target that settles now will have settled.
    wake_at: Option<Timestamp>,
}

impl<'a> Judge<'a> {
    fn new(
        cx: &'a Context<'a>,
        certificate: &'a Certificate,
        leaf: &'a Leaf,
        ties: &'a Ties<'a>,
    ) -> Self {
        let on_its_way = after(leaf.since, DEPLOYED_WITHIN);
        // A target is waited for unless it is in trouble or does not take our leaf at all.
        let settling = certificate.targets.iter().map(|ledger| {
            let is_awaited = ledger.trouble.is_none()
                && may_write(cx.state, ledger)
                && !holds_newer(cx, certificate, ledger, leaf);
            is_awaited.then(|| cx.settled_at(ledger, leaf).unwrap_or(on_its_way))
        });
        let settling = settling.collect();
        Self { cx, certificate, leaf, ties, settling, wake_at: None }
    }

    /// Judges one address.
    fn address(&mut self, spec: &EndpointSpec, shown: &AddressState) -> Option<Finding> {
        let settling_until = self.settling_until(spec, shown);
        let is_settling = settling_until.is_some_and(|until| self.cx.now < until);
        if let Some(until) = settling_until.filter(|_| is_settling) {
            self.wake_at = Some(self.wake_at.map_or(until, |at| at.min(until)));
        }
        // Those that say that the address is theirs answer for an old leaf by themselves.
        let is_named = self.ties.is_named(spec, Some(shown.address));
        let is_told = self.leaf.bundle.is_some() && settling_until.is_some() && !is_settling;
        let is_old = shown.leaf() != Some(self.leaf.facts.fingerprint);
        let (code, severity, evidence) = match self.certificate.state_at(shown) {
            SightState::Ok if is_told && is_old && !is_named && !self.is_staged(spec, shown) => {
                let again_at = self.reload_at(spec, shown);
                let evidence = format!("{}{}", serves(shown), told_again(again_at));
                (Code::TargetNotReloaded, Severity::Warning, evidence.into())
            }
            state => wrong(state, is_settling, shown)?,
        };
        let place = spec.to_string();
        let subject = format!("{place} [{}]", shown.address).into();
        let blame = Some(Blame::Endpoint(place.into()));
        Some(Finding { code, subject, severity, blame, evidence })
    }

    /// Returns until when an address may still show the old leaf: until then some target of those
    /// that it may belong to has been told of the newest one only just now, or not at all.
    fn settling_until(&self, spec: &EndpointSpec, shown: &AddressState) -> Option<Timestamp> {
        self.leaf.bundle?;
        let address = Some(shown.address);
        let all = || self.settling.iter().enumerate();
        let belongs = |place: usize| self.ties.is_at(place, spec, address);
        // What belongs to no target is waited for as if it belonged to any.
        let is_nobodys = !all().any(|(place, _)| belongs(place));
        let own = all().filter(|(place, _)| is_nobodys || belongs(*place));
        own.filter_map(|(_, until)| *until).max()
    }

    /// Returns whether the newest leaf waits beside the old one at a target that an address may belong
    /// to. That is said of the target where it lasts: the leaf is held.
    fn is_staged(&self, spec: &EndpointSpec, shown: &AddressState) -> bool {
        let mut all = self.certificate.targets.iter().enumerate();
        all.any(|(place, ledger)| {
            let is_staged = matches!(
                ledger.step,
                DeployStep::Staged { leaf } | DeployStep::Validated { leaf }
                    if leaf == self.leaf.number
            );
            is_staged && self.ties.is_at(place, spec, Some(shown.address))
        })
    }

    /// Returns when the first server that an address may be of is told again.
    fn reload_at(&self, spec: &EndpointSpec, shown: &AddressState) -> Option<Timestamp> {
        let belongs = |place: &usize| self.ties.is_at(*place, spec, Some(shown.address));
        let places = (0..self.certificate.targets.len()).filter(belongs);
        places.filter_map(|place| reload_at(self.cx, self.certificate, place)).min()
    }

    /// Returns the addresses of a target's own list that show an old leaf although it was told.
    fn not_reloaded(&self, place: usize, ledger: &Deployment) -> Option<Finding> {
        if self.ties.has_no_list(place) || !self.cx.was_told(ledger, self.leaf) {
            return None;
        }
        let mut named = Vec::new();
        let mut more = 0_usize;
        for (spec, endpoint) in ours(self.certificate) {
            for shown in endpoint.shown.iter().flatten() {
                let is_old = shown.state == SightState::Ok
                    && is_other(shown, self.leaf.facts.fingerprint)
                    && self.ties.names(place, spec, Some(shown.address));
                if is_old && named.len() < NAMED {
                    let (at, name) = (shown.address, &spec.server_name);
                    named.push(format!("{at} ({name}) {}", serves(shown)));
                } else {
                    more += usize::from(is_old);
                }
            }
        }
        if named.is_empty() {
            return None;
        }
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        // What the target's own configuration says is likely the reason.
        named.extend(ledger.remarks().iter().map(ToString::to_string));
        let again_at = reload_at(self.cx, self.certificate, place);
        Some(Finding {
            code: Code::TargetNotReloaded,
            subject: ledger.target.as_str().into(),
            severity: Severity::Warning,
            blame: Some(Blame::Target(ledger.target.clone())),
            evidence: format!("{}{}", named.join("; "), told_again(again_at)).into(),
        })
    }

    /// Returns that nobody looks where a target is declared to serve: no endpoint leads there.
    fn unwatched(&self, place: usize, ledger: &Deployment) -> Option<Finding> {
        let mut all = ours(self.certificate);
        // An endpoint that cannot be looked at may lead there.
        let is_known = all.all(|(_, endpoint)| endpoint.since.is_some() && endpoint.shown.is_ok());
        let nobody = self.certificate.spec.endpoints.is_empty();
        let list = self.ties.list(place);
        if list.is_empty() || nobody || !is_known || self.ties.is_met(place) {
            return None;
        }
        let mut sites: Vec<String> = list.iter().take(NAMED).map(ToString::to_string).collect();
        if list.len() > NAMED {
            sites.push(format!("{} more", list.len() - NAMED));
        }
        let sites = sites.join(", ");
        Some(Finding {
            code: Code::TargetUnwatched,
            subject: ledger.target.as_str().into(),
            severity: Severity::Warning,
            blame: Some(Blame::Target(ledger.target.clone())),
            evidence: format!("no endpoint leads to {sites}, so nobody sees what is served").into(),
        })
    }
}

/// Returns when a reload is tried again, for the end of a sentence.
fn told_again(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!("; the next reload is tried at {at}"))
}

fn serves(shown: &AddressState) -> Box<str> {
    let ends = shown.ends_at().map_or_else(|| "nothing".to_string(), |at| at.to_string());
    format!("{}serves a leaf until {ends}", sampled(shown)).into()
}

/// Returns how many connections showed it, where several servers share an address.
fn sampled(shown: &AddressState) -> String {
    shown.sample.map_or_else(String::new, |Sample { shown, of }| {
        format!("by {shown} of {of} fresh connections it ")
    })
}

/// Servers that share an address may show several things of which the same is to be said.
pub(super) fn say_once(found: Finding, decision: &mut Decision) {
    let mut all = decision.findings.iter();
    if !all.any(|said| said.code == found.code && said.subject == found.subject) {
        decision.findings.push(found);
    }
}

/// Returns what is wrong with what an address shows, whichever leaf it is.
pub(super) fn wrong(
    state: SightState,
    is_settling: bool,
    shown: &AddressState,
) -> Option<(Code, Severity, Box<str>)> {
    let say = |code, severity| Some((code, severity, serves(shown)));
    match state {
        SightState::Ok | SightState::CannotLook => None,
        SightState::Expired => say(Code::EndpointExpired, Severity::Emergency),
        SightState::Revoked => say(Code::EndpointRevoked, Severity::Emergency),
        // Until the leaf of ours was put there, what is wrong may be what it is about to mend.
        _ if is_settling => None,
        SightState::NotYetValid => say(Code::EndpointNotYetValid, Severity::Critical),
        SightState::NameMismatch => say(Code::EndpointNameMismatch, Severity::Critical),
        SightState::Untrusted => say(Code::EndpointUntrusted, Severity::Critical),
        SightState::IncompleteChain => say(Code::EndpointIncompleteChain, Severity::Critical),
        SightState::Unreachable => {
            Some((Code::EndpointUnreachable, Severity::Warning, "no connection".into()))
        }
        SightState::NoTls => {
            Some((Code::EndpointNoTls, Severity::Critical, "a connection, but no TLS".into()))
        }
        SightState::ClientCertificateDemanded => Some((
            Code::EndpointClientCertificate,
            Severity::Notice,
            "it demands a client certificate".into(),
        )),
    }
}
