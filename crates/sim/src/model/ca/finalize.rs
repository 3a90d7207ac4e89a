//! From a CSR to a leaf.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{Identifier, OrderStatus, Problem, Url, Validity, after};

use super::Ca;
use super::authorization::AuthorizationState;
use super::limits::{Bucket, registered_domain};
use super::message::{CaEffect, CaaRecheck, Csr, IssuedLeaf, OrderId};
use super::new_order::sorted;
use super::order::{Order, OrderEvent, OrderState, Processing};
use super::problem::{Answered, gone, problem, unauthorized};
use super::renewal::Issued;

/// After how long CAA is evaluated again.
///
/// Source: Boulder, ra.go; BR 3.2.2.8 allows 8 hours.
const CAA_FRESH: SignedDuration = SignedDuration::from_hours(7);

/// How far leaves are dated back.
///
/// Source: Boulder's `backdate`.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

impl Ca {
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
        identifiers: Arc<[Identifier]>,
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
            key_kind: csr.key_kind,
            for_clients: self.config.for_clients,
            root: self.config.root.clone(),
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
}
