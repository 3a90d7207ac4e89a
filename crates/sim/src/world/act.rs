//! Performing acts on the models: what an adapter does, without a network.

use jiff::{SignedDuration, Timestamp};
use perennial_core::action::{AccountRef, ActKind, Fact, Outcome};
use perennial_core::words::{
    Answer, Blame, BundleId, ChallengeKind, Failure, FailureKind, KeyId, KeyKind, Name, after,
    blame_problem,
};

use super::outside::Outside;
use super::shelf::Bundle;
use crate::model::ca::{CaAnswer, CaFact, CaRequest, Csr, Delivery, NewAccount, NewOrder, Serial};
use crate::model::dns::{Change, Data, Rcode, Update};
use crate::model::host::ReloadError;
use crate::model::target::TargetError;

/// What an exchange with a CA came to.
pub(super) enum Exchange {
    /// A good answer.
    Fact(CaFact),
    /// A failure that took no effect.
    Failed(Failure),
    /// The answer was lost.
    Lost,
}

/// How often a request with a refused nonce is sent again within one act.
const NONCE_TRIES: u8 = 3;

impl Outside {
    /// Performs an act; returns its outcome and how long the outside took.
    pub(super) fn perform(&mut self, act: &ActKind, now: Timestamp) -> (Outcome, SignedDuration) {
        match act {
            ActKind::NewAccount { .. }
            | ActKind::NewOrder { .. }
            | ActKind::Respond { .. }
            | ActKind::Finalize { .. }
            | ActKind::ChangeKey { .. }
            | ActKind::EndAccount { .. }
            | ActKind::Revoke { .. } => self.say(act, now),
            _ => (self.do_here(act, now), SignedDuration::ZERO),
        }
    }

    fn do_here(&mut self, act: &ActKind, now: Timestamp) -> Outcome {
        match act {
            ActKind::MakeKey { slot, algorithm } => {
                Outcome::Done(Fact::Key(self.shelf.make_key(slot, *algorithm)))
            }
            ActKind::DropKey { slot } => {
                self.shelf.keys.remove(slot);
                Outcome::Done(Fact::KeyDropped)
            }
            ActKind::KeepBundle { leaf, key } => match self.shelf.keep(*leaf, key) {
                Ok(bundle) => Outcome::Done(Fact::Kept(bundle)),
                Err(cause) => Outcome::Failed(ours("keep the bundle", cause)),
            },
            ActKind::Present { answer } => self.write(answer, true, now),
            ActKind::Withdraw { answer } => self.write(answer, false, now),
            ActKind::Stage { target, certificate, bundle } => {
                let Some(bundle) = self.shelf.bundles.get(bundle).cloned() else {
                    return Outcome::Failed(ours("stage", "the bundle is not in the store"));
                };
                self.at_target(target, Fact::Staged, |place| place.stage(certificate, bundle))
            }
            ActKind::Validate { target, certificate, bundle } => {
                let Some(bundle) = self.shelf.bundles.get(bundle).cloned() else {
                    return Outcome::Failed(ours("validate", "the bundle is not in the store"));
                };
                self.at_target(target, Fact::Validated, |place| {
                    place.validate(certificate, &bundle)
                })
            }
            ActKind::Activate { target, certificate, bundle, take_over } => {
                let Some(bundle) = self.shelf.bundles.get(bundle).cloned() else {
                    return Outcome::Failed(ours("activate", "the bundle is not in the store"));
                };
                self.activate(target, certificate, &bundle, *take_over)
            }
            ActKind::PutBack { target, certificate, .. } => self.put_back(target, certificate),
            ActKind::NewAccount { .. }
            | ActKind::NewOrder { .. }
            | ActKind::Respond { .. }
            | ActKind::Finalize { .. }
            | ActKind::ChangeKey { .. }
            | ActKind::EndAccount { .. }
            | ActKind::Revoke { .. } => Outcome::Failed(ours("do", "this is said to a CA")),
        }
    }

    fn at_target(
        &mut self,
        target: &Name,
        fact: Fact,
        step: impl FnOnce(&mut crate::model::target::Target<Bundle>) -> Result<(), TargetError>,
    ) -> Outcome {
        match self.targets.get_mut(target).map_or(Err(TargetError::Unreachable), step) {
            Ok(()) => Outcome::Done(fact),
            Err(error) => Outcome::Failed(of_target(target, error)),
        }
    }

    fn activate(
        &mut self,
        target: &Name,
        certificate: &Name,
        bundle: &Bundle,
        take_over: bool,
    ) -> Outcome {
        let activated = self.at_target(target, Fact::Activated, |place| {
            place.activate(certificate, bundle, take_over)
        });
        if let Outcome::Failed(_) = &activated {
            return activated;
        }
        self.load(target, certificate, bundle.clone(), activated)
    }

    fn put_back(&mut self, target: &Name, certificate: &Name) -> Outcome {
        let mut before = None;
        let put_back = self.at_target(target, Fact::PutBack, |place| {
            before = Some(place.put_back(certificate)?);
            Ok(())
        });
        match (put_back, before) {
            (Outcome::Done(fact), Some(before)) => {
                self.load(target, certificate, before, Outcome::Done(fact))
            }
            (other, _) => other,
        }
    }

    /// Lets the server of a target load a bundle; returns `done` if it does.
    fn load(
        &mut self,
        target: &Name,
        certificate: &Name,
        bundle: Bundle,
        done: Outcome,
    ) -> Outcome {
        let Some(host) = self.hosts.get_mut(&(target.clone(), certificate.clone())) else {
            return done;
        };
        host.store(Some(bundle));
        match host.reload() {
            Ok(()) => done,
            Err(ReloadError::Unreachable) => {
                Outcome::Failed(of_target(target, TargetError::Unreachable))
            }
            Err(ReloadError::Refused) => Outcome::Failed(of_target(target, TargetError::Stuck)),
        }
    }

    fn write(&mut self, answer: &Answer, up: bool, now: Timestamp) -> Outcome {
        let fact = if up { Fact::Presented } else { Fact::Withdrawn };
        let text = text_of(answer);
        if answer.kind.is_in_dns() {
            return self.write_dns(answer, &text, up, fact, now);
        }
        if answer.kind == ChallengeKind::TlsAlpn01 {
            let shown = self.handshakes.entry(answer.identifier.clone()).or_default();
            shown.retain(|(token, _)| *token != answer.token);
            if up {
                shown.push((answer.token.clone(), text.into()));
            }
        } else if up {
            self.web.insert(answer.token.clone(), text.into());
        } else {
            self.web.remove(&answer.token);
        }
        Outcome::Done(fact)
    }

    fn write_dns(
        &mut self,
        answer: &Answer,
        text: &str,
        up: bool,
        fact: Fact,
        now: Timestamp,
    ) -> Outcome {
        let attempted: Box<str> = format!("update DNS for {}", answer.identifier).into();
        let failed = |kind, blame, cause: &str| {
            let (attempted, cause) = (attempted.clone(), cause.into());
            Outcome::Failed(Failure { kind, blame, attempted, cause, problem: None })
        };
        let Some(place) = &answer.place else {
            return failed(FailureKind::Refused, Blame::Ourselves, "the answer has no place");
        };
        let data = Data::Txt(text.into());
        let change = if up { Change::Add } else { Change::Delete };
        let changes = vec![change(place.record.clone(), data)];
        let update = Update { zone: place.zone.clone(), prerequisites: Vec::new(), changes };
        let zone = Blame::Zone(place.zone.clone());
        match self.dns.update(&self.primary.clone(), &update, now) {
            Some(Rcode::NoError) => Outcome::Done(fact),
            Some(code) => failed(FailureKind::Unauthorized, zone, &format!("{code:?}")),
            None => failed(FailureKind::Transient, zone, "the server does not answer"),
        }
    }

    /// Says something to a CA.
    fn say(&mut self, act: &ActKind, now: Timestamp) -> (Outcome, SignedDuration) {
        let (issuer, attempted, request) = self.request(act);
        let (exchange, took) = self.exchange(&issuer, attempted, &request, now);
        let outcome = match exchange {
            // As the adapter does.
            Exchange::Failed(Failure { problem: Some(problem), .. })
                if &*problem.kind == "alreadyRevoked" =>
            {
                Outcome::Done(Fact::Revoked)
            }
            Exchange::Failed(failure) => Outcome::Failed(failure),
            Exchange::Lost => Outcome::Unknown,
            Exchange::Fact(CaFact::Account(facts)) => Outcome::Done(Fact::Account(facts)),
            Exchange::Fact(CaFact::Order(facts)) => Outcome::Done(Fact::Order(facts)),
            Exchange::Fact(CaFact::Challenge(facts)) => Outcome::Done(Fact::Responded(facts)),
            Exchange::Fact(CaFact::Done) if matches!(act, ActKind::ChangeKey { .. }) => {
                Outcome::Done(Fact::KeyChanged)
            }
            Exchange::Fact(CaFact::Done) => Outcome::Done(Fact::Revoked),
            Exchange::Fact(_) => Outcome::Failed(ours(attempted, "the CA answered otherwise")),
        };
        (outcome, took)
    }

    fn request(&self, act: &ActKind) -> (Name, &'static str, CaRequest) {
        match act {
            ActKind::NewOrder { account, identifiers, profile, replaces } => {
                let request = CaRequest::NewOrder(NewOrder {
                    account: account.url.clone(),
                    identifiers: identifiers.clone(),
                    profile: profile.clone(),
                    replaces: replaces.clone(),
                });
                (account.issuer.clone(), "create an order", request)
            }
            ActKind::Respond { account, challenge, .. } => {
                let (url, challenge) = (account.url.clone(), challenge.clone());
                let request = CaRequest::Respond { account: url, challenge };
                (account.issuer.clone(), "respond to a challenge", request)
            }
            ActKind::Finalize { account, finalize, identifiers, key, .. } => {
                // A key that is not there is what the checker looks for.
                let key = self.shelf.keys.get(key).map_or(KeyId([0; 32]), |facts| facts.id);
                let key_kind = self.shelf.kinds.get(&key).copied().unwrap_or(KeyKind::Other);
                let request = CaRequest::Finalize {
                    account: account.url.clone(),
                    finalize: finalize.clone(),
                    csr: Csr { identifiers: identifiers.clone(), key, key_kind },
                };
                (account.issuer.clone(), "finalize the order", request)
            }
            ActKind::NewAccount { issuer, key, agreed, .. } => {
                let key = self.shelf.keys.get(key);
                let thumbprint = key.map(|facts| facts.thumbprint.clone()).unwrap_or_default();
                let new = NewAccount { thumbprint, agreed: *agreed, ..NewAccount::default() };
                (issuer.clone(), "register the account", CaRequest::NewAccount(new))
            }
            ActKind::ChangeKey { account, key } => {
                let key = self.shelf.keys.get(key);
                let thumbprint = key.map(|facts| facts.thumbprint.clone()).unwrap_or_default();
                let request = CaRequest::KeyChange { account: account.url.clone(), thumbprint };
                (account.issuer.clone(), "change the account's key", request)
            }
            ActKind::EndAccount { account } => {
                let request = CaRequest::Account { account: account.url.clone(), deactivate: true };
                (account.issuer.clone(), "end the account", request)
            }
            ActKind::Revoke { issuer, account, bundle, .. } => {
                let account = account.as_ref().map(|account| account.url.clone());
                let serial = self.serial_of(issuer, *bundle).unwrap_or_default();
                let request = CaRequest::Revoke { account, serial };
                (issuer.clone(), "revoke a leaf", request)
            }
            _ => (Name::new(""), "do", CaRequest::Directory),
        }
    }

    fn serial_of(&self, issuer: &Name, bundle: BundleId) -> Option<Serial> {
        let leaf = &self.shelf.bundles.get(&bundle)?.leaf;
        self.cas.get(issuer)?.serial_of(leaf.ari_id.as_ref()?)
    }

    /// Exchanges a request for an answer, as the ACME adapter does.
    pub(super) fn exchange(
        &mut self,
        issuer: &Name,
        attempted: &str,
        request: &CaRequest,
        now: Timestamp,
    ) -> (Exchange, SignedDuration) {
        let transient = |cause: &str| {
            Exchange::Failed(Failure {
                kind: FailureKind::Transient,
                blame: Blame::Issuer(issuer.clone()),
                attempted: attempted.into(),
                cause: cause.into(),
                problem: None,
            })
        };
        let mut took = SignedDuration::ZERO;
        for _ in 0..NONCE_TRIES {
            let Some(ca) = self.cas.get_mut(issuer) else {
                return (transient("there is no such CA"), took);
            };
            let reply = ca.ask(request, now);
            took = took.saturating_add(reply.after);
            match reply.delivery {
                Delivery::Unreachable => return (transient("no connection"), took),
                Delivery::Lost => return (Exchange::Lost, took),
                Delivery::Answer(answer) => match classify(*answer, issuer, attempted, now) {
                    Exchange::Failed(Failure { problem: Some(problem), .. })
                        if &*problem.kind == "badNonce" => {}
                    exchange => return (exchange, took),
                },
            }
        }
        (transient("every nonce was refused"), took)
    }
}

/// Returns what an answer says; in the model's world the key authorization is its own digest.
pub(super) fn text_of(answer: &Answer) -> String {
    match &answer.standing {
        Some(standing) => standing.to_string(),
        None => format!("{}.{}", answer.token, answer.thumbprint),
    }
}

/// Returns which account speaks.
pub(super) fn url_of(account: &AccountRef) -> perennial_core::words::Url {
    account.url.clone()
}

fn classify(answer: CaAnswer, issuer: &Name, attempted: &str, now: Timestamp) -> Exchange {
    let problem = match answer.body {
        Ok(fact) => return Exchange::Fact(fact),
        Err(problem) => problem,
    };
    let (mut kind, blame) = blame_problem(&problem, None, issuer);
    if let (FailureKind::Transient, 429, Some(wait)) = (kind, problem.status, answer.retry_after) {
        kind = FailureKind::RateLimited { until: after(now, wait) };
    }
    Exchange::Failed(Failure {
        kind,
        blame,
        attempted: attempted.into(),
        cause: format!("{}: {}", problem.kind, problem.detail).into(),
        problem: Some(Box::new(problem)),
    })
}

/// Makes a failure of our own.
pub(super) fn ours(attempted: &str, cause: &str) -> Failure {
    Failure {
        kind: FailureKind::Refused,
        blame: Blame::Ourselves,
        attempted: attempted.into(),
        cause: cause.into(),
        problem: None,
    }
}

/// Makes a failure of a target.
pub(super) fn of_target(target: &Name, error: TargetError) -> Failure {
    let kind = match error {
        TargetError::NotOurs | TargetError::Refused | TargetError::NothingBefore => {
            FailureKind::Refused
        }
        TargetError::ReadOnly => FailureKind::Unauthorized,
        TargetError::Unreachable | TargetError::NotStaged | TargetError::Stuck => {
            FailureKind::Transient
        }
    };
    Failure {
        kind,
        blame: Blame::Target(target.clone()),
        attempted: format!("work on target {target}").into(),
        cause: format!("{error:?}").to_lowercase().into(),
        problem: None,
    }
}
