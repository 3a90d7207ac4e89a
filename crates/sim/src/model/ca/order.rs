//! Orders: made, given again, finalized, issued.

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{
    AriCertId, AuthorizationStatus, Identifier, OrderFacts, OrderStatus, Problem, Url, Validity,
    after,
};

use super::Ca;
use super::account::AccountId;
use super::authorization::AuthorizationState;
use super::config::Profile;
use super::limits::{Bucket, listed, registered_domain};
use super::message::{
    AuthorizationId, CaAnswer, CaEffect, CaFact, CaaRecheck, Csr, IssuedLeaf, NewOrder, OrderId,
    Serial,
};
use super::problem::{Answered, Refusal, gone, malformed, problem, rejected, unauthorized};
use super::renewal::Issued;

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) account: AccountId,
    /// Sorted, each once.
    pub(super) identifiers: Box<[Identifier]>,
    pub(super) profile: Box<str>,
    pub(super) replaces: Option<AriCertId>,
    authorizations: Vec<AuthorizationId>,
    made_at: Timestamp,
    expires_at: Timestamp,
    pub(super) state: OrderState,
}

/// What makes two orders the same: account, names, profile.
pub(super) type OrderKey = (AccountId, Box<[Identifier]>, Box<str>);

/// Where an order stands. Whether an open one is `pending`, `ready` or `invalid` follows from its
/// authorizations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OrderState {
    /// Not finalized.
    Open,
    /// A CSR was taken.
    Processing(Processing),
    /// Issued.
    Valid { serial: Serial },
    /// Issuing was refused.
    Failed { problem: Problem },
}

/// What is known while a leaf is being issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Processing {
    /// The earliest end of issuing.
    pub(super) done_at: Timestamp,
    /// How many polls are still answered `processing`.
    pub(super) polls_left: u8,
    /// The leaf, once signed.
    pub(super) signed: Option<Serial>,
}

/// What happens to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OrderEvent {
    /// A CSR was taken.
    Finalized(Processing),
    /// The leaf is signed.
    Signed(Serial),
    /// It will not be.
    Refused(Problem),
    /// The client asked; `stuck` while issuing never ends.
    Polled { at: Timestamp, stuck: bool },
}

impl OrderState {
    pub(super) fn next(self, event: OrderEvent) -> Self {
        match self {
            Self::Open => match event {
                OrderEvent::Finalized(processing) => Self::Processing(processing),
                OrderEvent::Signed(_) | OrderEvent::Refused(_) | OrderEvent::Polled { .. } => {
                    Self::Open
                }
            },
            Self::Processing(now) => match event {
                OrderEvent::Finalized(_) => Self::Processing(now),
                OrderEvent::Signed(serial) => {
                    Self::Processing(Processing { signed: Some(serial), ..now })
                }
                OrderEvent::Refused(problem) => Self::Failed { problem },
                OrderEvent::Polled { at, stuck } => now.polled(at, stuck),
            },
            ended @ (Self::Valid { .. } | Self::Failed { .. }) => ended,
        }
    }
}

impl Processing {
    fn polled(self, at: Timestamp, stuck: bool) -> OrderState {
        let polls_left = self.polls_left.saturating_sub(1);
        match self.signed {
            Some(serial) if self.polls_left == 0 && at >= self.done_at && !stuck => {
                OrderState::Valid { serial }
            }
            Some(_) | None => OrderState::Processing(Self { polls_left, ..self }),
        }
    }
}

impl Order {
    fn apply(&mut self, event: OrderEvent) {
        self.state = std::mem::replace(&mut self.state, OrderState::Open).next(event);
    }
}

/// After how long CAA is evaluated again.
///
/// Source: Boulder, ra.go; BR 3.2.2.8 allows 8 hours.
const CAA_FRESH: SignedDuration = SignedDuration::from_hours(7);

/// How long ago the same names may have been issued for, for an order to count as a renewal.
///
/// Source: Boulder, wfe.go.
const RENEWAL_WITHIN: SignedDuration = SignedDuration::from_hours(120 * 24);

/// How far leaves are dated back.
///
/// Source: Boulder's `backdate`.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

impl Ca {
    pub(super) fn new_order(&mut self, new: &NewOrder, now: Timestamp) -> Answered {
        let account = self.signer(&new.account)?;
        if let Some(until) = self.faults.limited_until.filter(|until| *until > now) {
            let problem = problem(429, "rateLimited", "too many new orders recently");
            return Err(Refusal { problem, retry_after: Some(until.duration_since(now)) });
        }
        let identifiers = sorted(&new.identifiers);
        let wanted = new.profile.as_deref().filter(|_| self.config.profiles_shown);
        let (name, profile) = self.config.profile(wanted).ok_or_else(|| {
            let wanted = wanted.unwrap_or_default();
            problem(400, "invalidProfile", format!("unrecognized profile name {wanted:?}"))
        })?;
        let (name, profile): (Box<str>, Profile) = (name.into(), profile.clone());
        self.check_policy(&identifiers, &profile)?;
        self.check_paused(account, &identifiers)?;
        let replaces = new.replaces.as_ref().filter(|_| self.config.renewal_info);
        let exempt = match replaces {
            Some(leaf) => self.check_replaces(account, &identifiers, leaf, now)?,
            None => false,
        };
        let renewal = self.is_renewal(&identifiers, now);
        if !exempt {
            self.check_limits(account, &identifiers, renewal, now)?;
        }
        let key = (account, identifiers.clone(), name.clone());
        if let Some(id) = self.open_order(&key, now) {
            return self.order_answer(201, id, now);
        }
        let authorizations = self.authorize(account, &identifiers, (&name, &profile), now)?;
        if !exempt && !renewal {
            self.spent.spend(Bucket::NewOrders { account }, &self.config.limits, now);
        }
        let ends = authorizations.iter().filter_map(|id| self.authorizations.get(id));
        let expires_at = ends
            .map(|authorization| authorization.expires_at)
            .chain([after(now, profile.order_lifetime)])
            .min()
            .unwrap_or(now);
        let id = OrderId(self.next_id());
        let replaces = replaces.cloned();
        let (made_at, state) = (now, OrderState::Open);
        let order = Order {
            account,
            identifiers,
            profile: name,
            replaces,
            authorizations,
            made_at,
            expires_at,
            state,
        };
        self.orders.insert(id, order);
        self.newest_order.insert(key, id);
        self.claim(id);
        self.order_answer(201, id, now)
    }

    /// Returns the profile that an order asked for and got.
    #[must_use]
    pub fn profile_of(&self, order: &Url) -> Option<&str> {
        let id = self.id_in(order, "order")?.parse().ok().map(OrderId)?;
        self.orders.get(&id).map(|order| &*order.profile)
    }

    fn check_policy(&self, identifiers: &[Identifier], profile: &Profile) -> Result<(), Refusal> {
        if identifiers.is_empty() {
            return Err(malformed("NewOrder request did not specify any identifiers").into());
        }
        if identifiers.len() > profile.max_names {
            let most = profile.max_names;
            let detail = format!("Order cannot contain more than {most} identifiers");
            return Err(malformed(detail).into());
        }
        let forbidden = |identifier: &&Identifier| {
            let listed = self.config.forbidden.iter().any(|zone| identifier.is_within(zone));
            listed || (identifier.is_ip() && !profile.addresses)
        };
        let refused: Vec<Identifier> = identifiers.iter().filter(forbidden).cloned().collect();
        rejected(&refused).map_or(Ok(()), |problem| Err(problem.into()))
    }

    /// A paused account gets no Retry-After: it never heals by itself.
    fn check_paused(&self, account: AccountId, identifiers: &[Identifier]) -> Result<(), Refusal> {
        let most = self.config.limits.pause_after;
        let paused: Vec<Identifier> = identifiers
            .iter()
            .filter(|name| {
                self.faults.paused.contains(*name) || self.spent.in_a_row(account, name) >= most
            })
            .cloned()
            .collect();
        if paused.is_empty() {
            return Ok(());
        }
        let (names, base) = (listed(&paused), &self.config.base);
        let detail = format!(
            "Your account is temporarily prevented from requesting certificates for {names} and \
             possibly others. Please visit: {base}/sfe/v1/unpause?jwt={account}"
        );
        Err(problem(429, "rateLimited", detail).into())
    }

    fn check_limits(
        &self,
        account: AccountId,
        identifiers: &[Identifier],
        renewal: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut buckets = vec![Bucket::ExactSet(identifiers.into())];
        let failures = |name: &Identifier| Bucket::Failures { account, identifier: name.clone() };
        buckets.extend(identifiers.iter().map(failures));
        if !renewal {
            buckets.push(Bucket::NewOrders { account });
            let domains = identifiers.iter().map(registered_domain);
            buckets.extend(domains.map(Bucket::RegisteredDomain));
        }
        self.spent.check(&buckets, &self.config.limits, &self.config.base, now)
    }

    fn is_renewal(&self, identifiers: &[Identifier], now: Timestamp) -> bool {
        let last = self.last_issued.get(identifiers);
        last.is_some_and(|last| now.duration_since(*last) <= RENEWAL_WITHIN)
    }

    /// Returns a pending or ready order for the same account, names and profile.
    fn open_order(&self, key: &OrderKey, now: Timestamp) -> Option<OrderId> {
        let id = *self.newest_order.get(key)?;
        let order = self.orders.get(&id).filter(|order| self.lives(order, now))?;
        let open = matches!(self.status(order, now), OrderStatus::Pending | OrderStatus::Ready);
        open.then_some(id)
    }

    fn authorize(
        &mut self,
        account: AccountId,
        identifiers: &[Identifier],
        profile: (&str, &Profile),
        now: Timestamp,
    ) -> Result<Vec<AuthorizationId>, Refusal> {
        let plan: Vec<Option<AuthorizationId>> = identifiers
            .iter()
            .map(|name| {
                let wanted = self.dice.chance(self.config.reuse);
                // While nothing new can be validated, whatever can be used again is.
                let wanted = wanted || self.outage_of_validation().is_err();
                self.reusable(account, name, profile, now).filter(|_| wanted)
            })
            .collect();
        if plan.contains(&None) {
            self.outage_of_validation()?;
        }
        let made = identifiers.iter().zip(plan);
        Ok(made
            .map(|(name, old)| {
                old.unwrap_or_else(|| self.make_authorization(account, name, profile, now))
            })
            .collect())
    }

    pub(super) fn order(&mut self, account: &Url, url: &Url, now: Timestamp) -> Answered {
        let id = self.live_order(account, url, "order", now)?;
        let stuck = self.faults.stuck_issuing;
        if let Some(order) = self.orders.get_mut(&id) {
            order.apply(OrderEvent::Polled { at: now, stuck });
        }
        self.order_answer(200, id, now)
    }

    pub(super) fn finalize(
        &mut self,
        account: &Url,
        url: &Url,
        csr: &Csr,
        now: Timestamp,
    ) -> Answered {
        let id = self.live_order(account, url, "finalize", now)?;
        let order = self.orders.get(&id).ok_or_else(|| gone("No such order"))?;
        let status = self.status(order, now);
        if status != OrderStatus::Ready {
            let detail = format!("Order's status ({status:?}) is not acceptable for finalization");
            return Err(problem(403, "orderNotReady", detail).into());
        }
        if sorted(&csr.identifiers) != order.identifiers {
            let detail = "CSR does not specify same identifiers as Order";
            return Err(unauthorized(detail).into());
        }
        let profile = self.config.profile(Some(&order.profile)).ok_or_else(|| {
            problem(400, "invalidProfile", format!("unrecognized profile name {:?}", order.profile))
        })?;
        let lifetime = profile.1.lifetime;
        let (identifiers, profile) = (order.identifiers.clone(), order.profile.clone());
        let recheck_caa = self.stale_caa(order, now);
        let leaf = self.make_leaf(identifiers, profile, lifetime, csr, now);
        let processing = Processing {
            done_at: after(now, self.config.issuing_takes),
            polls_left: self.config.processing_polls,
            signed: None,
        };
        if let Some(order) = self.orders.get_mut(&id) {
            order.apply(OrderEvent::Finalized(processing));
        }
        self.effects.push_back(CaEffect::Issue { order: id, leaf, recheck_caa });
        self.order_answer(200, id, now)
    }

    /// Takes the result of signing: the leaf, or why it must not be issued.
    pub fn issued(&mut self, id: OrderId, leaf: Result<IssuedLeaf, Problem>, now: Timestamp) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        let Processing { signed: None, .. } = (match &order.state {
            OrderState::Processing(processing) => *processing,
            OrderState::Open | OrderState::Valid { .. } | OrderState::Failed { .. } => return,
        }) else {
            return;
        };
        let leaf = match leaf {
            Ok(leaf) => leaf,
            Err(problem) => return order.apply(OrderEvent::Refused(problem)),
        };
        order.apply(OrderEvent::Signed(leaf.serial));
        let (account, identifiers) = (order.account, order.identifiers.clone());
        let exact = Bucket::ExactSet(identifiers.clone());
        self.spent.spend(exact, &self.config.limits, now);
        if !self.is_renewal(&identifiers, now) {
            let mut domains: Vec<_> = identifiers.iter().map(registered_domain).collect();
            domains.dedup();
            for domain in domains {
                self.spent.spend(Bucket::RegisteredDomain(domain), &self.config.limits, now);
            }
        }
        self.last_issued.insert(identifiers, now);
        self.keep_leaf(Issued::new(account, leaf));
    }

    fn make_leaf(
        &mut self,
        identifiers: Box<[Identifier]>,
        profile: Box<str>,
        lifetime: SignedDuration,
        csr: &Csr,
        now: Timestamp,
    ) -> IssuedLeaf {
        let number = u128::from(self.dice.throw()) << 64 | u128::from(self.dice.throw());
        // The first octet is 0x01 to 0x7f: positive, and 16 octets long in DER.
        let serial = ((number >> 1) | (1 << 120)).to_be_bytes();
        // Instants in X.509 have no fractions.
        let not_before = Timestamp::from_second(after(now, -BACKDATE).as_second()).unwrap_or(now);
        // Both ends are inside (RFC 5280 section 4.1.2.5), so a second less.
        let not_after = after(not_before, lifetime.saturating_sub(SignedDuration::from_secs(1)));
        IssuedLeaf {
            serial,
            identifiers,
            validity: Validity { not_before, not_after },
            key: csr.key,
            ari_id: self.ari_id(&serial),
            profile,
            issued_by: self.config.issued_by.clone(),
            chain_not_after: self.config.chain_not_after,
        }
    }

    /// Returns the names whose validation is so old that CAA must be evaluated again.
    fn stale_caa(&self, order: &Order, now: Timestamp) -> Box<[CaaRecheck]> {
        let found = order.authorizations.iter().filter_map(|id| self.authorizations.get(id));
        found
            .filter_map(|authorization| match &authorization.state {
                AuthorizationState::Valid { by: Some(kind), validated_at }
                    if now.duration_since(*validated_at) > CAA_FRESH =>
                {
                    Some(CaaRecheck {
                        identifier: authorization.identifier.clone(),
                        account: self.account_url(order.account),
                        kind: kind.clone(),
                    })
                }
                AuthorizationState::Valid { .. }
                | AuthorizationState::Pending
                | AuthorizationState::Validating(_)
                | AuthorizationState::Invalid { .. }
                | AuthorizationState::Deactivated => None,
            })
            .collect()
    }

    /// Finds an order that its account may see. What has expired is gone (Boulder answers 404).
    fn live_order(
        &self,
        account: &Url,
        url: &Url,
        kind: &str,
        now: Timestamp,
    ) -> Result<OrderId, Refusal> {
        let signer = self.signer(account)?;
        let text = self.id_in(url, kind).unwrap_or_default();
        let id = text.parse().ok().map(OrderId);
        let found = id.and_then(|id| Some((id, self.orders.get(&id)?)));
        found
            .filter(|(_, order)| order.account == signer && self.lives(order, now))
            .map(|(id, _)| id)
            .ok_or_else(|| gone(format!("No order for ID {text}")).into())
    }

    pub(super) fn lives(&self, order: &Order, now: Timestamp) -> bool {
        let killed = self.faults.orders_die_after.map(|age| after(order.made_at, age));
        now < killed.map_or(order.expires_at, |at| at.min(order.expires_at))
    }

    pub(super) fn status(&self, order: &Order, now: Timestamp) -> OrderStatus {
        match &order.state {
            OrderState::Open => self.open_status(order, now),
            OrderState::Processing(_) => OrderStatus::Processing,
            OrderState::Valid { .. } => OrderStatus::Valid,
            OrderState::Failed { .. } => OrderStatus::Invalid,
        }
    }

    fn open_status(&self, order: &Order, now: Timestamp) -> OrderStatus {
        let mut pending = false;
        for id in &order.authorizations {
            let live = self.authorizations.get(id).filter(|found| now < found.expires_at);
            match live.map(|found| found.state.status()) {
                Some(AuthorizationStatus::Valid) => {}
                Some(AuthorizationStatus::Pending) => pending = true,
                Some(
                    AuthorizationStatus::Invalid
                    | AuthorizationStatus::Deactivated
                    | AuthorizationStatus::Expired
                    | AuthorizationStatus::Revoked
                    | AuthorizationStatus::Unknown,
                )
                | None => return OrderStatus::Invalid,
            }
        }
        if pending { OrderStatus::Pending } else { OrderStatus::Ready }
    }

    fn order_answer(&self, status: u16, id: OrderId, now: Timestamp) -> Answered {
        let order = self.orders.get(&id).ok_or_else(|| gone("No such order"))?;
        let facts = self.order_facts(id, order, now);
        let retry_after = facts.retry_at.map(|_| self.config.poll_after);
        Ok(CaAnswer { status, retry_after, body: Ok(CaFact::Order(facts)) })
    }

    fn order_facts(&self, id: OrderId, order: &Order, now: Timestamp) -> OrderFacts {
        let number = id.0.to_string();
        let status = self.status(order, now);
        let certificate = match &order.state {
            OrderState::Valid { serial } => Some(self.certificate_url(serial)),
            OrderState::Open | OrderState::Processing(_) | OrderState::Failed { .. } => None,
        };
        let error = match &order.state {
            OrderState::Failed { problem } => Some(problem.clone()),
            OrderState::Open | OrderState::Processing(_) | OrderState::Valid { .. } => None,
        };
        let processing = status == OrderStatus::Processing;
        OrderFacts {
            url: self.url("order", &number),
            status,
            identifiers: order.identifiers.clone(),
            authorizations: order
                .authorizations
                .iter()
                .map(|id| self.url("authz", &id.0.to_string()))
                .collect(),
            finalize: Some(self.url("finalize", &number)),
            certificate,
            expires: Some(order.expires_at),
            replaces: order.replaces.clone(),
            error,
            retry_at: processing.then(|| after(now, self.config.poll_after)),
        }
    }
}

/// Sorts names and drops repetitions.
fn sorted(identifiers: &[Identifier]) -> Box<[Identifier]> {
    let mut sorted = identifiers.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted.into()
}
