//! New orders: what is refused, what is given again, what is made.
//!
//! The order of the checks is Boulder's: a pause comes before `replaces`, `replaces` before limits and
//! before an old order is given again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{Identifier, OrderStatus, after};

use super::Ca;
use super::account::AccountId;
use super::config::Profile;
use super::limits::{Bucket, listed, registered_domain};
use super::message::{AuthorizationId, NewOrder, OrderId};
use super::order::{Order, OrderKey, OrderState};
use super::problem::{Answered, Refusal, malformed, problem, rejected};

/// How long ago the same names may have been issued for, for an order to count as a renewal.
///
/// Source: Boulder, wfe.go.
const RENEWAL_WITHIN: SignedDuration = SignedDuration::from_hours(120 * 24);

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

    pub(super) fn is_renewal(&self, identifiers: &[Identifier], now: Timestamp) -> bool {
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
}

/// Sorts names and drops repetitions.
pub(super) fn sorted(identifiers: &[Identifier]) -> Arc<[Identifier]> {
    let mut sorted = identifiers.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted.into()
}
