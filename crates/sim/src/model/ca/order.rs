//! Orders: where they stand, and how they are told.

use std::sync::Arc;

use jiff::Timestamp;
use perennial_core::words::{
    AriCertId, AuthorizationStatus, Identifier, OrderFacts, OrderStatus, Problem, Url, after,
};

use super::Ca;
use super::account::AccountId;
use super::message::{AuthorizationId, CaAnswer, CaFact, OrderId, Serial};
use super::problem::{Answered, Refusal, gone};

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) account: AccountId,
    /// Sorted, each once.
    pub(super) identifiers: Arc<[Identifier]>,
    pub(super) profile: Box<str>,
    pub(super) replaces: Option<AriCertId>,
    pub(super) authorizations: Vec<AuthorizationId>,
    pub(super) made_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) state: OrderState,
}

/// What makes two orders the same: account, names, profile.
pub(super) type OrderKey = (AccountId, Arc<[Identifier]>, Box<str>);

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
    pub(super) fn apply(&mut self, event: OrderEvent) {
        self.state = std::mem::replace(&mut self.state, OrderState::Open).next(event);
    }
}

impl Ca {
    /// Returns the profile that an order asked for and got.
    #[must_use]
    pub fn profile_of(&self, order: &Url) -> Option<&str> {
        let id = self.id_in(order, "order")?.parse().ok().map(OrderId)?;
        self.orders.get(&id).map(|order| &*order.profile)
    }

    pub(super) fn order(&mut self, account: &Url, url: &Url, now: Timestamp) -> Answered {
        let id = self.live_order(account, url, "order", now)?;
        let stuck = self.faults.stuck_issuing;
        if let Some(order) = self.orders.get_mut(&id) {
            order.apply(OrderEvent::Polled { at: now, stuck });
        }
        self.order_answer(200, id, now)
    }

    /// Finds an order that its account may see. What has expired is gone (Boulder answers 404).
    pub(super) fn live_order(
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

    pub(super) fn order_answer(&self, status: u16, id: OrderId, now: Timestamp) -> Answered {
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
            profile: Some(order.profile.clone()).filter(|_| self.config.profiles_shown),
            error,
            retry_at: processing.then(|| after(now, self.config.poll_after)),
        }
    }
}
