//! Whose an address is, and whether the newest leaf was seen at a target.
//!
//! A target may declare where clients meet its server (`serves_at`). The list is taken as whole:
//! those addresses are its own, and no other is. Addresses on nobody's list belong to the targets
//! without one. So each (address, target) is one of three:
//!
//! ```text
//! on the target's list ──────────────────────────────▶ its own
//! on nobody's list, one target has no list ──────────▶ its own: nobody else is left
//! on nobody's list, several targets have no list ────▶ shared: nobody knows whose it is
//! ```
//!
//! A leaf is seen at a target when one of its own addresses shows it and none shows anything else.
//! One that cannot be reached is left out: that is the endpoint's fault, has a finding of its own,
//! and keeps no target waiting (laws 1 and 5). If none can be reached, nothing was seen.
//!
//! Of shared addresses every single one has to show the leaf: a dead one may be the very server
//! that has not taken it. That is what several targets without a list cost, and `plan` says so.
//!
//! Addresses that belong to no target are judged as endpoints alone. Where this machine cannot look
//! (no IPv6 here, say) tells nothing either way; what was not looked at yet is waited for.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use jiff::Timestamp;

use crate::intent::{EndpointSpec, Serves, Site};
use crate::state::{AddressState, Certificate, DeployStep, Deployment, EndpointState, Leaf, State};
use crate::words::{Failure, Fingerprint, Name, Sight, SightState};

/// Which of a certificate's targets is met where.
#[derive(Clone, Debug)]
pub(crate) struct Ties<'a> {
    certificate: &'a Certificate,
    /// The declared list of each target; empty where none has any, which is the common case.
    lists: Vec<&'a [Site]>,
    /// How many targets have none.
    without: usize,
}

/// What a fresh look at one endpoint showed.
type Looked = Result<Sight, Failure>;

impl<'a> Ties<'a> {
    /// Gathers what the targets of a certificate declare.
    pub(crate) fn of(state: &'a State, certificate: &'a Certificate) -> Self {
        let list = |ledger: &Deployment| -> &'a [Site] {
            state.targets.get(&ledger.target).map_or(&[], |target| &target.spec.serves_at)
        };
        let ledgers = &certificate.targets;
        let without = ledgers.iter().filter(|ledger| list(ledger).is_empty()).count();
        let any = without < ledgers.len();
        let lists = if any { ledgers.iter().map(list).collect() } else { Vec::new() };
        Self { certificate, lists, without }
    }

    /// Returns what the target at this place declares.
    pub(crate) fn list(&self, target: usize) -> &'a [Site] {
        self.lists.get(target).copied().unwrap_or_default()
    }

    /// Returns whether an address is on a target's list.
    pub(crate) fn names(
        &self,
        target: usize,
        endpoint: &EndpointSpec,
        address: Option<SocketAddr>,
    ) -> bool {
        self.list(target).iter().any(|site| site.is_met(endpoint, address))
    }

    /// Returns whether an address is on any target's list.
    pub(crate) fn is_named(&self, endpoint: &EndpointSpec, address: Option<SocketAddr>) -> bool {
        self.lists.iter().flat_map(|list| list.iter()).any(|site| site.is_met(endpoint, address))
    }

    /// Returns whether an address is a target's own, or may be.
    pub(crate) fn is_at(
        &self,
        target: usize,
        endpoint: &EndpointSpec,
        address: Option<SocketAddr>,
    ) -> bool {
        if self.list(target).is_empty() {
            !self.is_named(endpoint, address)
        } else {
            self.names(target, endpoint, address)
        }
    }

    /// Returns whether an address is a target's and can be no other's.
    pub(crate) fn is_alone_at(
        &self,
        target: usize,
        endpoint: &EndpointSpec,
        address: SocketAddr,
    ) -> bool {
        let mut all = 0..self.certificate.targets.len();
        all.all(|other| self.is_at(other, endpoint, Some(address)) == (other == target))
    }

    /// Returns whether an address that is on nobody's list may be one of a target's.
    pub(crate) fn has_no_list(&self, target: usize) -> bool {
        self.list(target).is_empty()
    }

    /// Returns whether a target shares its addresses with others: several have no list.
    fn shares(&self, target: usize) -> bool {
        self.list(target).is_empty() && self.without > 1
    }

    /// Returns whether any address is known at which clients meet a target.
    pub(crate) fn is_met(&self, target: usize) -> bool {
        ours(self.certificate).any(|(spec, endpoint)| {
            let shown = endpoint.shown.iter().flatten();
            shown.map(|shown| shown.address).any(|address| self.is_at(target, spec, Some(address)))
        })
    }

    /// Returns whether a look at an endpoint may tell something of a target.
    pub(crate) fn may_show(
        &self,
        target: usize,
        spec: &EndpointSpec,
        endpoint: &EndpointState,
    ) -> bool {
        match &endpoint.shown {
            Ok(addresses) if !addresses.is_empty() && self.is_met(target) => {
                let mut own = addresses.iter().map(|shown| shown.address);
                own.any(|address| self.is_at(target, spec, Some(address)))
            }
            // Wherever the endpoint leads, and wherever the target is: only looking tells.
            Ok(_) | Err(_) => true,
        }
    }

    /// Returns whether an address of a target still shows another leaf than the newest.
    pub(crate) fn lags(&self, target: usize, leaf: &Leaf) -> bool {
        self.lags_since(target, leaf).is_some()
    }

    /// Returns since when an address of a target is seen to show another leaf than the newest.
    pub(crate) fn lags_since(&self, target: usize, leaf: &Leaf) -> Option<Timestamp> {
        let lagging = ours(self.certificate).filter(|(spec, endpoint)| {
            endpoint.shown.iter().flatten().any(|shown| {
                is_other(shown, leaf.facts.fingerprint)
                    && self.is_at(target, spec, Some(shown.address))
            })
        });
        lagging.filter_map(|(_, endpoint)| endpoint.since).min()
    }

    /// Returns whether a leaf counts as seen at a target, if a fresh look at the endpoint at `place`
    /// shows this.
    fn is_seen(&self, target: usize, leaf: Fingerprint, place: usize, sight: &Looked) -> bool {
        let shares = self.shares(target);
        let mut seen = Seen { leaf, waits_for_dead: shares, any: false };
        let endpoints = self.certificate.spec.endpoints.iter().zip(&self.certificate.endpoints);
        for (own, (spec, endpoint)) in endpoints.enumerate() {
            if spec.serves != Serves::Ours {
                continue;
            }
            let belongs = |address| self.is_at(target, spec, Some(address));
            let is_fine = match (&endpoint.shown, sight) {
                (_, Ok(sight)) if own == place => {
                    sight.handshakes.iter().filter(|shake| belongs(shake.address)).all(|shake| {
                        seen.take(shake.state, shake.leaf.as_ref().map(|l| l.fingerprint))
                    })
                }
                (_, Err(_)) if own == place => !shares,
                _ if endpoint.since.is_none() => false,
                (Ok(addresses), _) => addresses
                    .iter()
                    .filter(|shown| belongs(shown.address))
                    .all(|shown| seen.take(shown.state, shown.leaf())),
                (Err(_), _) => !shares,
            };
            if !is_fine {
                return false;
            }
        }
        seen.any
    }
}

/// What the addresses of a target have shown so far.
struct Seen {
    leaf: Fingerprint,
    waits_for_dead: bool,
    any: bool,
}

impl Seen {
    /// Takes in one address; returns whether the leaf may still count as seen.
    fn take(&mut self, state: SightState, shown: Option<Fingerprint>) -> bool {
        match state {
            SightState::CannotLook => true,
            _ if shown == Some(self.leaf) => {
                self.any = true;
                true
            }
            SightState::Unreachable => !self.waits_for_dead,
            _ => false,
        }
    }
}

/// Returns the targets that were told of the newest leaf and at which it counts as seen by a fresh
/// look at the endpoint at `place`.
pub(crate) fn newly_seen(
    state: &State,
    certificate: &Certificate,
    place: usize,
    sight: &Looked,
) -> Box<[Name]> {
    let Some(leaf) = certificate.leaf.as_deref() else { return Box::default() };
    let is_told = |ledger: &Deployment| matches!(ledger.step, DeployStep::Activated { leaf: own, .. } if own == leaf.number);
    // Nearly always everything was seen already.
    if !certificate.targets.iter().any(is_told) {
        return Box::default();
    }
    let ties = Ties::of(state, certificate);
    let told = certificate.targets.iter().enumerate().filter(|(_, ledger)| is_told(ledger));
    let seen =
        told.filter(|(target, _)| ties.is_seen(*target, leaf.facts.fingerprint, place, sight));
    seen.map(|(_, ledger)| ledger.target.clone()).collect()
}

/// Returns whether an address shows another leaf than this one.
pub(crate) fn is_other(shown: &AddressState, leaf: Fingerprint) -> bool {
    shown.leaf().is_some_and(|own| own != leaf)
}

/// Returns the endpoints at which a leaf of ours is meant to be served.
pub(crate) fn ours(
    certificate: &Certificate,
) -> impl Iterator<Item = (&EndpointSpec, &EndpointState)> {
    let endpoints = certificate.spec.endpoints.iter().zip(&certificate.endpoints);
    endpoints.filter(|(spec, _)| spec.serves == Serves::Ours)
}
