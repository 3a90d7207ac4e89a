//! Authorizations and their challenges.
//!
//! A challenge has no life of its own: its status follows from the authorization's. At most one of
//! an authorization's challenges is tried; its failure is the authorization's end (Boulder: no
//! retry).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{
    AuthorizationFacts, AuthorizationStatus, ChallengeFacts, ChallengeKind, ChallengeStatus,
    Identifier, Persist, Problem, Url, after,
};

use super::Ca;
use super::account::AccountId;
use super::config::Profile;
use super::limits::Bucket;
use super::message::{AuthorizationId, CaEffect, CaFact, Validation};
use super::problem::{Answered, Refusal, gone, good, malformed, unauthorized};

/// An authorization.
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    pub(super) account: AccountId,
    /// With `*.` for a wildcard: its authorization is another than the plain name's.
    pub(super) identifier: Identifier,
    pub(super) profile: Box<str>,
    pub(super) expires_at: Timestamp,
    token: Box<str>,
    reuse_lifetime: SignedDuration,
    pub(super) state: AuthorizationState,
}

/// Where an authorization stands; its end by time is `expires_at`'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthorizationState {
    /// A challenge must be answered.
    Pending,
    /// A challenge is being tried.
    Validating(ChallengeKind),
    /// Done.
    Valid {
        /// Absent where it was approved outside ACME.
        by: Option<ChallengeKind>,
        validated_at: Timestamp,
    },
    /// Failed.
    Invalid { by: ChallengeKind, problem: Problem },
    /// Ended by the client.
    Deactivated,
}

/// What happens to an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthorizationEvent {
    Responded(ChallengeKind),
    Passed { at: Timestamp },
    Failed(Problem),
    Deactivated,
}

impl AuthorizationState {
    pub(super) fn next(self, event: AuthorizationEvent) -> Self {
        use AuthorizationEvent as E;
        match self {
            Self::Pending => match event {
                E::Responded(kind) => Self::Validating(kind),
                E::Deactivated => Self::Deactivated,
                E::Passed { .. } | E::Failed(_) => Self::Pending,
            },
            Self::Validating(kind) => match event {
                E::Responded(_) => Self::Validating(kind),
                E::Passed { at } => Self::Valid { by: Some(kind), validated_at: at },
                E::Failed(problem) => Self::Invalid { by: kind, problem },
                E::Deactivated => Self::Deactivated,
            },
            Self::Valid { by, validated_at } => match event {
                E::Deactivated => Self::Deactivated,
                E::Responded(_) | E::Passed { .. } | E::Failed(_) => {
                    Self::Valid { by, validated_at }
                }
            },
            ended @ (Self::Invalid { .. } | Self::Deactivated) => ended,
        }
    }

    pub(super) const fn status(&self) -> AuthorizationStatus {
        match self {
            Self::Pending | Self::Validating(_) => AuthorizationStatus::Pending,
            Self::Valid { .. } => AuthorizationStatus::Valid,
            Self::Invalid { .. } => AuthorizationStatus::Invalid,
            Self::Deactivated => AuthorizationStatus::Deactivated,
        }
    }

    /// Returns how one of the challenges stands, and why it failed.
    fn of_challenge(&self, kind: &ChallengeKind) -> (ChallengeStatus, Option<Problem>) {
        match self {
            Self::Validating(tried) if tried == kind => (ChallengeStatus::Processing, None),
            Self::Valid { by: Some(by), .. } if by == kind => (ChallengeStatus::Valid, None),
            Self::Invalid { by, problem } if by == kind => {
                (ChallengeStatus::Invalid, Some(problem.clone()))
            }
            Self::Pending
            | Self::Validating(_)
            | Self::Valid { .. }
            | Self::Invalid { .. }
            | Self::Deactivated => (ChallengeStatus::Pending, None),
        }
    }

    fn apply(&mut self, event: AuthorizationEvent) {
        *self = std::mem::replace(self, Self::Deactivated).next(event);
    }
}

impl Ca {
    /// Takes the result of a validation. One that comes too late, or twice, changes nothing.
    pub fn verdict(&mut self, id: AuthorizationId, verdict: Result<(), Problem>, now: Timestamp) {
        let Some(found) = self.authorizations.get_mut(&id) else { return };
        if found.expires_at <= now || !matches!(found.state, AuthorizationState::Validating(_)) {
            return;
        }
        let (account, identifier) = (found.account, found.identifier.clone());
        match verdict {
            Ok(()) => {
                found.expires_at = after(now, found.reuse_lifetime);
                found.state.apply(AuthorizationEvent::Passed { at: now });
                self.spent.succeeded(account, &identifier);
                self.newest_valid.insert((account, identifier), id);
            }
            Err(problem) => {
                found.state.apply(AuthorizationEvent::Failed(problem));
                self.spent.failed(account, &identifier);
                let bucket = Bucket::Failures { account, identifier };
                self.spent.spend(bucket, &self.config.limits, now);
            }
        }
    }

    /// Makes an authorization for a name.
    pub(super) fn make_authorization(
        &mut self,
        account: AccountId,
        identifier: &Identifier,
        (name, profile): (&str, &Profile),
        now: Timestamp,
    ) -> AuthorizationId {
        let id = AuthorizationId(self.next_id());
        let bytes: Vec<u8> = (0..4).flat_map(|_| self.dice.throw().to_be_bytes()).collect();
        let approved = self.config.pre_approved;
        let (state, lifetime) = if approved {
            (AuthorizationState::Valid { by: None, validated_at: now }, profile.reuse_lifetime)
        } else {
            (AuthorizationState::Pending, profile.pending_lifetime)
        };
        let authorization = Authorization {
            account,
            identifier: identifier.clone(),
            profile: name.into(),
            expires_at: after(now, lifetime),
            token: BASE64_URL_SAFE_NO_PAD.encode(bytes).into(),
            reuse_lifetime: profile.reuse_lifetime,
            state,
        };
        self.authorizations.insert(id, authorization);
        id
    }

    /// Returns a valid authorization that may be used again: of the same profile, and not soon to
    /// expire (Boulder: an eighth of the order's life, between an hour and a day).
    pub(super) fn reusable(
        &self,
        account: AccountId,
        identifier: &Identifier,
        (name, profile): (&str, &Profile),
        now: Timestamp,
    ) -> Option<AuthorizationId> {
        let id = *self.newest_valid.get(&(account, identifier.clone()))?;
        let found = self.authorizations.get(&id)?;
        let eighth = profile.order_lifetime.checked_div(8).unwrap_or_default();
        let rest = eighth.clamp(SignedDuration::from_hours(1), SignedDuration::from_hours(24));
        let usable = matches!(found.state, AuthorizationState::Valid { .. })
            && &*found.profile == name
            && after(now, rest) < found.expires_at;
        usable.then_some(id)
    }

    pub(super) fn authorization(
        &mut self,
        account: &Url,
        url: &Url,
        deactivate: bool,
        now: Timestamp,
    ) -> Answered {
        let signer = self.signer(account)?;
        let id = self.id_in(url, "authz").and_then(|id| id.parse().ok()).map(AuthorizationId);
        let id = self.live_authorization(signer, id, now)?;
        if deactivate && let Some(found) = self.authorizations.get_mut(&id) {
            found.state.apply(AuthorizationEvent::Deactivated);
        }
        let facts = self.authorization_facts(id).ok_or_else(|| Refusal::from(gone("")))?;
        Ok(good(200, CaFact::Authorization(facts)))
    }

    pub(super) fn challenge(&self, account: &Url, url: &Url, now: Timestamp) -> Answered {
        let (id, kind) = self.live_challenge(account, url, now)?;
        self.challenge_answer(id, &kind)
    }

    pub(super) fn respond(&mut self, account: &Url, url: &Url, now: Timestamp) -> Answered {
        let (id, kind) = self.live_challenge(account, url, now)?;
        let no_such = || Refusal::from(gone("No such challenge"));
        if matches!(kind, ChallengeKind::Other(_)) {
            return Err(malformed("this type of challenge cannot be answered yet").into());
        }
        let found = self.authorizations.get_mut(&id).ok_or_else(no_such)?;
        match &found.state {
            AuthorizationState::Pending => {}
            // Told again while we try: nothing new.
            AuthorizationState::Validating(_) => return self.challenge_answer(id, &kind),
            AuthorizationState::Valid { .. }
            | AuthorizationState::Invalid { .. }
            | AuthorizationState::Deactivated => {
                return Err(malformed("authorization must be pending").into());
            }
        }
        found.state.apply(AuthorizationEvent::Responded(kind.clone()));
        let (token, identifier) = (found.token.clone(), found.identifier.clone());
        let thumbprint = self.thumbprint(account).unwrap_or_default().into();
        let account = account.clone();
        let validation = Validation {
            authorization: id,
            kind: kind.clone(),
            identifier,
            token,
            thumbprint,
            account,
        };
        self.effects.push_back(CaEffect::Validate(validation));
        self.challenge_answer(id, &kind)
    }

    fn challenge_answer(&self, id: AuthorizationId, kind: &ChallengeKind) -> Answered {
        let found = self.authorizations.get(&id).ok_or_else(|| gone("No such authorization"))?;
        Ok(good(200, CaFact::Challenge(self.challenge_facts(id, found, kind))))
    }

    /// Finds an authorization that its account may see.
    fn live_authorization(
        &self,
        signer: AccountId,
        id: Option<AuthorizationId>,
        now: Timestamp,
    ) -> Result<AuthorizationId, Refusal> {
        let found = id.and_then(|id| Some((id, self.authorizations.get(&id)?)));
        let (id, found) = found.ok_or_else(|| gone("No such authorization"))?;
        if found.account != signer {
            let detail = "Account is not authorized to see this authorization";
            return Err(unauthorized(detail).into());
        }
        if found.expires_at <= now {
            return Err(gone("Expired authorization").into());
        }
        Ok(id)
    }

    fn live_challenge(
        &self,
        account: &Url,
        url: &Url,
        now: Timestamp,
    ) -> Result<(AuthorizationId, ChallengeKind), Refusal> {
        let signer = self.signer(account)?;
        let no_such = || Refusal::from(gone("No such challenge"));
        let path = self.id_in(url, "chall").ok_or_else(no_such)?;
        let (id, kind) = path.split_once('/').ok_or_else(no_such)?;
        let id = self.live_authorization(signer, id.parse().ok().map(AuthorizationId), now)?;
        let found = self.authorizations.get(&id).ok_or_else(no_such)?;
        let kind = self.offered(found).find(|offered| offered.as_str() == kind);
        Ok((id, kind.ok_or_else(no_such)?.clone()))
    }

    /// Returns the challenges on offer: a wildcard is proven in DNS, an address never.
    fn offered(&self, found: &Authorization) -> impl Iterator<Item = &ChallengeKind> {
        let (wildcard, ip) = (found.identifier.is_wildcard(), found.identifier.is_ip());
        self.config.challenges.iter().filter(move |kind| match kind {
            ChallengeKind::Http01 | ChallengeKind::TlsAlpn01 => !wildcard,
            ChallengeKind::Dns01
            | ChallengeKind::DnsAccount01
            | ChallengeKind::DnsPersist01
            | ChallengeKind::Other(_) => !ip,
        })
    }

    fn authorization_facts(&self, id: AuthorizationId) -> Option<AuthorizationFacts> {
        let found = self.authorizations.get(&id)?;
        let identifier = Identifier::new(found.identifier.base()).ok()?;
        let facts = |kind| self.challenge_facts(id, found, kind);
        let mut challenges: Vec<ChallengeFacts> = self.offered(found).map(facts).collect();
        // Like Boulder: once one was tried to its end, only that one is shown.
        if let AuthorizationState::Valid { by: Some(by), .. }
        | AuthorizationState::Invalid { by, .. } = &found.state
        {
            challenges.retain(|challenge| challenge.kind == *by);
        }
        Some(AuthorizationFacts {
            url: self.url("authz", &id.0.to_string()),
            identifier,
            wildcard: found.identifier.is_wildcard(),
            status: found.state.status(),
            expires: Some(found.expires_at),
            challenges,
            retry_at: None,
        })
    }

    fn challenge_facts(
        &self,
        id: AuthorizationId,
        found: &Authorization,
        kind: &ChallengeKind,
    ) -> ChallengeFacts {
        let (status, error) = found.state.of_challenge(kind);
        let is_standing = *kind == ChallengeKind::DnsPersist01;
        let tokenless = is_standing || matches!(kind, ChallengeKind::Other(_));
        let persist = is_standing.then(|| {
            let account_uri = Some(self.account_url(found.account).0);
            Persist::new(self.config.caa_identities.clone(), account_uri).map(Box::new)
        });
        ChallengeFacts {
            url: self.url("chall", &format!("{}/{}", id.0, kind.as_str())),
            kind: kind.clone(),
            token: (!tokenless).then(|| found.token.clone()),
            persist: persist.flatten(),
            status,
            error,
        }
    }
}
