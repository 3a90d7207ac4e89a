//! Answering asks from the models.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{Ask, AskKind, Reply};
use perennial_core::intent::EndpointSpec;
use perennial_core::words::{
    Answer, Blame, ChainFacts, Doubts, Failure, FailureKind, Handshake, Installed, LeafFacts, Name,
    Showing, Sight, SightState,
};

use super::act::{Exchange, of_target, text_of, url_of};
use super::outside::{Outside, record_name};
use super::shelf::Bundle;
use crate::model::ca::{CaFact, CaRequest, NewAccount};
use crate::model::dns::{Data, Kind};
use crate::model::host::Met;

impl Outside {
    /// Answers an ask; `targets` are those that its certificate is served at, and `clock` is what the
    /// process takes for the time. Returns how long the outside took as well.
    pub(super) fn answer(
        &mut self,
        ask: &Ask,
        targets: &[Name],
        now: Timestamp,
        clock: Timestamp,
    ) -> (Reply, SignedDuration) {
        match &ask.kind {
            AskKind::Directory { .. }
            | AskKind::Account { .. }
            | AskKind::Order { .. }
            | AskKind::Authorization { .. }
            | AskKind::Chain { .. }
            | AskKind::RenewalInfo { .. } => self.ask_ca(&ask.kind, now),
            AskKind::Probe { endpoint } => {
                let sight = self.probe(endpoint, &ask.stream.name, targets, clock);
                (Reply::Sight(sight), SignedDuration::ZERO)
            }
            kind => (self.look(kind, now), SignedDuration::ZERO),
        }
    }

    fn look(&self, kind: &AskKind, now: Timestamp) -> Reply {
        match kind {
            AskKind::Locate { identifier, kind, account, .. } => {
                let name = record_name(kind, identifier, account);
                match self.dns.place(&name, now) {
                    Some(place) => Reply::Place(place),
                    None => Reply::Failed(Failure {
                        kind: FailureKind::Transient,
                        blame: Blame::Zone(identifier.base().into()),
                        attempted: format!("find who serves {name}").into(),
                        cause: "no server answers".into(),
                        problem: None,
                    }),
                }
            }
            AskKind::Look { answer } => Reply::Showing(self.showing(answer, now)),
            AskKind::Inspect { target, certificate } => self.inspect(target, certificate),
            _ => Reply::Failed(super::act::ours("answer", "this is asked of a CA")),
        }
    }

    fn showing(&self, answer: &Answer, now: Timestamp) -> Showing {
        let mut shown = Showing::default();
        let Some(place) = &answer.place else { return shown };
        let text = text_of(answer);
        for (name, server) in &self.dns.servers {
            if !place.servers.contains(&server.address) {
                continue;
            }
            match self.dns.ask(name, &place.record, Kind::Txt, now) {
                None => shown.silent.push(server.address),
                Some(found) => {
                    let shows = found
                        .answers
                        .iter()
                        .any(|record| matches!(&record.data, Data::Txt(own) if **own == *text));
                    let list = if shows { &mut shown.showing } else { &mut shown.lagging };
                    list.push(server.address);
                }
            }
        }
        shown
    }

    fn inspect(&self, target: &Name, certificate: &Name) -> Reply {
        let Some(place) = self.targets.get(target) else {
            return Reply::Failed(super::act::ours("inspect", "there is no such target"));
        };
        match place.inspect(certificate) {
            Err(error) => Reply::Failed(of_target(target, error)),
            Ok(lying) => Reply::Installed(Installed {
                leaf: lying.active.map(|bundle| Arc::clone(&bundle.leaf)),
                ours: lying.ours,
                staged: lying.staged.map(|bundle| bundle.leaf.fingerprint).into_iter().collect(),
                key_matches: lying.active.map(|bundle| bundle.key == bundle.leaf.key),
                remarks: Box::default(),
                leftovers: Box::default(),
            }),
        }
    }

    fn probe(
        &self,
        endpoint: &EndpointSpec,
        certificate: &Name,
        targets: &[Name],
        now: Timestamp,
    ) -> Sight {
        let mut handshakes = Vec::new();
        for (target, host) in self.hosts_for(targets, certificate) {
            let wanted = endpoint.connect_to.as_deref();
            if wanted.is_some_and(|origin| origin != target.as_str()) {
                continue;
            }
            for address in host.addresses() {
                let mut seen = shake(endpoint, address, &host.connect(address), now);
                if seen.state == SightState::Ok && self.is_revoked(seen.leaf.as_deref()) {
                    seen.state = SightState::Revoked;
                }
                if seen.state == SightState::Ok && self.lists_are_dark {
                    let revocation = Some("no connection to the list's server".into());
                    seen.doubts = Some(Box::new(Doubts { revocation, ..Doubts::default() }));
                }
                handshakes.push(seen);
            }
        }
        Sight { handshakes, tlsa: None }
    }

    fn ask_ca(&mut self, kind: &AskKind, now: Timestamp) -> (Reply, SignedDuration) {
        let (issuer, request) = match kind {
            AskKind::Order { account, order } => {
                let request = CaRequest::Order { account: url_of(account), order: order.clone() };
                (&account.issuer, request)
            }
            AskKind::Authorization { account, authorization } => {
                let (account, issuer) = (url_of(account), &account.issuer);
                let authorization = authorization.clone();
                let request =
                    CaRequest::Authorization { account, authorization, deactivate: false };
                (issuer, request)
            }
            AskKind::Chain { account, certificate, .. } => {
                let (account, issuer) = (url_of(account), &account.issuer);
                let certificate = certificate.clone();
                (issuer, CaRequest::Certificate { account, certificate })
            }
            AskKind::RenewalInfo { issuer, leaf } => {
                (issuer, CaRequest::RenewalInfo { leaf: leaf.clone() })
            }
            AskKind::Directory { issuer } => (issuer, CaRequest::Directory),
            AskKind::Account { issuer, key } => {
                let key = self.shelf.keys.get(key);
                let thumbprint = key.map(|facts| facts.thumbprint.clone()).unwrap_or_default();
                let only_existing = true;
                let new = NewAccount { thumbprint, only_existing, ..NewAccount::default() };
                (issuer, CaRequest::NewAccount(new))
            }
            _ => {
                return (
                    Reply::Failed(super::act::ours("ask", "no CA is asked this")),
                    SignedDuration::ZERO,
                );
            }
        };
        let (exchange, took) = self.exchange(issuer, "ask the CA", &request, now);
        (self.read(issuer, exchange), took)
    }

    fn read(&mut self, issuer: &Name, exchange: Exchange) -> Reply {
        match exchange {
            Exchange::Failed(failure) if failure.kind == FailureKind::AccountUnknown => {
                Reply::Account(None)
            }
            Exchange::Failed(failure) => Reply::Failed(failure),
            Exchange::Fact(CaFact::Account(facts)) => Reply::Account(Some(facts)),
            Exchange::Lost => Reply::Failed(lost(issuer)),
            Exchange::Fact(CaFact::Directory(facts)) => Reply::Directory(facts),
            Exchange::Fact(CaFact::Order(facts)) => Reply::Order(facts),
            Exchange::Fact(CaFact::Authorization(facts)) => Reply::Authorization(facts),
            Exchange::Fact(CaFact::RenewalInfo(facts)) => Reply::RenewalInfo(facts),
            Exchange::Fact(CaFact::Certificate(leaf)) => {
                let mut facts = leaf.facts();
                facts.trusted = self.cas.get(issuer).map(|ca| ca.config.root_trusted);
                let facts = Arc::new(facts);
                self.shelf.chains.insert(facts.fingerprint, Arc::clone(&facts));
                let (kept, alternates) = (facts.fingerprint, Box::default());
                Reply::Chain(Box::new(ChainFacts { leaf: facts, kept, alternates }))
            }
            Exchange::Fact(_) => Reply::Failed(super::act::ours("ask", "another answer came")),
        }
    }
}

impl Outside {
    /// Returns whether a list of one of the CAs has this leaf.
    fn is_revoked(&self, leaf: Option<&LeafFacts>) -> bool {
        if self.lists_are_dark {
            return false;
        }
        let Some(id) = leaf.and_then(|leaf| leaf.ari_id.as_ref()) else { return false };
        self.cas.values().any(|ca| ca.is_revoked(id))
    }
}

fn shake(
    endpoint: &EndpointSpec,
    address: SocketAddr,
    met: &Met<'_, Bundle>,
    now: Timestamp,
) -> Handshake {
    let without =
        |state| Handshake { address, state, leaf: None, cause: None, doubts: None, sample: None };
    match met {
        Met::Unreachable => without(SightState::Unreachable),
        Met::NoTls => without(SightState::NoTls),
        Met::Leaf(bundle) => {
            let state = sight_of(&bundle.leaf, endpoint, now);
            let leaf = Some(Arc::clone(&bundle.leaf));
            Handshake { address, state, leaf, cause: None, doubts: None, sample: None }
        }
    }
}

fn sight_of(leaf: &LeafFacts, endpoint: &EndpointSpec, now: Timestamp) -> SightState {
    if now < leaf.validity.not_before {
        SightState::NotYetValid
    } else if leaf.ends_at() < now {
        SightState::Expired
    } else if !leaf.covers(&endpoint.server_name) {
        SightState::NameMismatch
    } else if leaf.trusted == Some(false) {
        SightState::Untrusted
    } else {
        SightState::Ok
    }
}

/// Makes the failure of an ask whose answer was lost.
fn lost(issuer: &Name) -> Failure {
    Failure {
        kind: FailureKind::Unknown,
        blame: Blame::Issuer(issuer.clone()),
        attempted: "ask the CA".into(),
        cause: "the connection broke before the answer".into(),
        problem: None,
    }
}
