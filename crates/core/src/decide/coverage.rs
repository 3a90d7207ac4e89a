//! Coverage: which name is covered at which target, until when, and how that is known.
//!
//! What is promised is that each name is covered wherever clients meet it (law 2), so this is a table
//! of names and targets, not of certificates:
//!
//! ```text
//!                    web1                     web2                     elsewhere
//! example.org        seen at 2 of 2, 58 d     seen at 1 of 2, 58 d     -
//! *.example.org      found in its store       not known: unreadable    -
//! api.example.org    not covered: expired     seen at 2 of 2, 58 d     seen at 1 of 1, 3 d
//! ```
//!
//! Handshakes with a target's own addresses come first (whose an address is, [`super::tie`] says).
//! One that shows nothing valid makes the name uncovered there, whatever the others show; one that
//! cannot be reached leaves the name seen at fewer. Where no handshake tells, what lies in the
//! target's store stands in for it, and is told apart: stores prove nothing (law 5). For the same
//! reason a store without the name says that it is not covered, and yet ends no runway.
//!
//! What belongs to no target has a column of its own. The table is made of the state alone, and of
//! no clock: a moment that has passed has passed.

use alloc::vec::Vec;
use core::net::SocketAddr;

use jiff::Timestamp;

use super::runway::lapses_at;
use super::{Ties, ours};
use crate::state::{AddressState, Certificate, Deployment, Found, State};
use crate::words::{Fingerprint, Identifier, LeafFacts, Name, SightState};

/// How one name stands at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// Which name.
    pub identifier: &'a Identifier,
    /// Which target; absent for addresses that belong to none.
    pub target: Option<&'a Name>,
    /// How it stands, and how that is known.
    pub proof: Proof,
    /// Until when something valid is there, as far as is known.
    pub until: Option<Timestamp>,
    /// Which leaf ends first there.
    pub leaf: Option<Fingerprint>,
}

/// How a name stands at a target, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Handshakes showed something valid.
    Seen {
        /// At how many addresses.
        shown: usize,
        /// Of how many that this machine can look at.
        of: usize,
    },
    /// A leaf for it lies in the target's store; no handshake shows what is served.
    Found,
    /// Nothing is known.
    Unknown,
    /// It is not covered.
    Uncovered(Lack),
}

/// Why a name is not covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// An address shows clients something that they refuse.
    Served(SocketAddr, SightState),
    /// An address, or the store, has a leaf that is not for this name.
    NotForIt,
    /// No leaf lies in the store, or one without its key.
    Nothing,
}

impl Cell<'_> {
    /// Returns whether the name is covered there, everywhere that can be looked at.
    #[must_use]
    pub fn is_whole(&self, now: Timestamp) -> bool {
        let is_proven = match self.proof {
            Proof::Seen { shown, of } => shown == of,
            Proof::Found => true,
            Proof::Unknown | Proof::Uncovered(_) => false,
        };
        is_proven && self.until.is_some_and(|until| until > now)
    }
}

/// Returns the table of a certificate, name by name, each at its targets in their order.
#[must_use]
pub fn coverage<'a>(state: &'a State, certificate: &'a Certificate) -> Vec<Cell<'a>> {
    let ties = Ties::of(state, certificate);
    let table = Table { certificate, ties: &ties };
    let mut cells = Vec::new();
    for identifier in &*certificate.spec.identifiers {
        let ledgers = certificate.targets.iter().enumerate();
        cells.extend(ledgers.map(|(place, ledger)| table.at(identifier, place, ledger)));
        cells.extend(table.elsewhere(identifier));
    }
    cells
}

struct Table<'a, 't> {
    certificate: &'a Certificate,
    ties: &'t Ties<'a>,
}

/// What the addresses of a cell show together.
#[derive(Default)]
struct Shown {
    valid: usize,
    dark: usize,
    lack: Option<Lack>,
    first: Option<(Timestamp, Option<Fingerprint>)>,
}

impl Shown {
    fn end(&mut self, at: Timestamp, leaf: Option<Fingerprint>) {
        if self.first.is_none_or(|(first, _)| at < first) {
            self.first = Some((at, leaf));
        }
    }
}

impl<'a> Table<'a, '_> {
    fn at(&self, identifier: &'a Identifier, place: usize, ledger: &'a Deployment) -> Cell<'a> {
        let mut shown =
            self.shown(identifier, |spec, address| self.ties.is_at(place, spec, address));
        let lying = self.lying(ledger);
        let is_told = shown.lack.is_some() || shown.valid > 0;
        // What lies there ends what is served as soon as the server starts anew.
        if let Some(facts) = lying.filter(|facts| facts.covers(identifier)) {
            shown.end(facts.ends_at(), Some(facts.fingerprint));
        }
        let proof = match (shown.lack, lying) {
            (Some(lack), _) => Proof::Uncovered(lack),
            (None, _) if is_told => {
                Proof::Seen { shown: shown.valid, of: shown.valid + shown.dark }
            }
            (None, Some(facts)) if facts.covers(identifier) => Proof::Found,
            (None, Some(_)) => Proof::Uncovered(Lack::NotForIt),
            (None, None) => match ledger.found {
                Found::Unlooked | Found::Unlookable(_) => Proof::Unknown,
                Found::Nothing { .. } | Found::Leaf { .. } => Proof::Uncovered(Lack::Nothing),
            },
        };
        self.cell(identifier, Some(&ledger.target), proof, &shown)
    }

    /// Returns how a name stands at addresses that belong to no target, if there are any.
    fn elsewhere(&self, identifier: &'a Identifier) -> Option<Cell<'a>> {
        let targets = self.certificate.targets.len();
        let shown = self.shown(identifier, |spec, address| {
            !(0..targets).any(|place| self.ties.is_at(place, spec, address))
        });
        let proof = match shown.lack {
            Some(lack) => Proof::Uncovered(lack),
            None if shown.valid > 0 => {
                Proof::Seen { shown: shown.valid, of: shown.valid + shown.dark }
            }
            None if shown.dark > 0 || targets == 0 => Proof::Unknown,
            None => return None,
        };
        Some(self.cell(identifier, None, proof, &shown))
    }

    fn cell(
        &self,
        identifier: &'a Identifier,
        target: Option<&'a Name>,
        proof: Proof,
        shown: &Shown,
    ) -> Cell<'a> {
        let (until, leaf) = shown.first.map_or((None, None), |(at, leaf)| (Some(at), leaf));
        Cell { identifier, target, proof, until, leaf }
    }

    fn shown(
        &self,
        identifier: &Identifier,
        belongs: impl Fn(&crate::intent::EndpointSpec, Option<SocketAddr>) -> bool,
    ) -> Shown {
        let mut all = Shown::default();
        let met = ours(self.certificate).filter(|(spec, _)| identifier.covers(&spec.server_name));
        for (spec, endpoint) in met {
            let Ok(addresses) = &endpoint.shown else {
                all.dark += usize::from(belongs(spec, None));
                continue;
            };
            for address in addresses.iter().filter(|own| belongs(spec, Some(own.address))) {
                if let Some(at) = lapses_at(self.certificate, endpoint, address) {
                    all.end(at, address.leaf());
                }
                match self.certificate.state_at(address) {
                    SightState::CannotLook => {}
                    SightState::Ok if self.is_for(address, identifier) => all.valid += 1,
                    SightState::Ok => all.lack = Some(Lack::NotForIt),
                    SightState::Unreachable | SightState::ClientCertificateDemanded => {
                        all.dark += 1;
                    }
                    state => all.lack = Some(Lack::Served(address.address, state)),
                }
            }
        }
        all
    }

    /// Returns whether a served leaf is for a name, as far as it is known: a host below a wildcard may
    /// be served by a leaf that is for the host alone.
    fn is_for(&self, address: &AddressState, identifier: &Identifier) -> bool {
        let own = self.certificate.leaf.iter().map(|leaf| &*leaf.facts);
        let found = self.certificate.targets.iter().filter_map(|ledger| match &ledger.found {
            Found::Leaf { facts, .. } => Some(&**facts),
            Found::Unlooked | Found::Unlookable(_) | Found::Nothing { .. } => None,
        });
        let known = own.chain(found).find(|facts| address.leaf() == Some(facts.fingerprint));
        known.is_none_or(|facts| facts.covers(identifier))
    }

    /// Returns what lies at a target, with its key: ours if we put it there, or what was found.
    fn lying(&self, ledger: &'a Deployment) -> Option<&'a LeafFacts> {
        if ledger.active().is_some() {
            let own = self.certificate.leaf.as_deref();
            return own
                .filter(|leaf| ledger.active() == Some(leaf.number))
                .map(|leaf| &*leaf.facts);
        }
        match &ledger.found {
            Found::Leaf { facts, key_matches: true, .. } => Some(facts),
            Found::Leaf { .. } | Found::Unlooked | Found::Unlookable(_) | Found::Nothing { .. } => {
                None
            }
        }
    }
}
