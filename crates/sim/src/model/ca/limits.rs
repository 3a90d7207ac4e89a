//! Rate limits: token buckets by GCRA, as Boulder counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{Identifier, after};

use super::config::{Limit, Limits};
use super::problem::{Refusal, problem};

/// What has been spent. A bucket that was never touched is full and not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    /// The theoretical arrival time of each bucket touched.
    buckets: BTreeMap<Bucket, Timestamp>,
    /// Failed validations in a row.
    failures: BTreeMap<(u64, Identifier), u32>,
}

/// Which bucket. The order of the variants has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bucket {
    /// New orders of an account.
    NewOrders { account: u64 },
    /// Leaves for a set of names.
    ExactSet(Arc<[Identifier]>),
    /// Leaves for a registered domain.
    RegisteredDomain(Box<str>),
    /// Failed validations of a name by an account.
    Failures { account: u64, identifier: Identifier },
}

impl Bucket {
    const fn limit(&self, limits: &Limits) -> Limit {
        match self {
            Self::NewOrders { .. } => limits.new_orders,
            Self::ExactSet(_) => limits.exact_set,
            Self::RegisteredDomain(_) => limits.registered_domain,
            Self::Failures { .. } => limits.failures,
        }
    }

    fn complaint(&self, limit: Limit) -> (String, &'static str) {
        let count = limit.capacity;
        match self {
            Self::NewOrders { .. } => (
                format!("too many new orders ({count}) from this account"),
                "new-orders-per-account",
            ),
            Self::ExactSet(names) => (
                format!(
                    "too many certificates ({count}) already issued for this exact set of \
                     identifiers: {}",
                    listed(names)
                ),
                "new-certificates-per-exact-set-of-identifiers",
            ),
            Self::RegisteredDomain(domain) => (
                format!("too many certificates ({count}) already issued for \"{domain}\""),
                "new-certificates-per-registered-domain",
            ),
            Self::Failures { identifier, .. } => (
                format!("too many failed authorizations ({count}) for \"{identifier}\""),
                "authorization-failures-per-identifier-per-account",
            ),
        }
    }
}

/// Writes names as Boulder does in messages.
pub(super) fn listed(names: &[Identifier]) -> String {
    names.iter().map(Identifier::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the registered domain of a name: the last two labels; an address is its own.
pub(super) fn registered_domain(identifier: &Identifier) -> Box<str> {
    let base = identifier.base();
    if identifier.is_ip() {
        return base.into();
    }
    let second = base.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    base.get(second..).unwrap_or(base).into()
}

impl Spent {
    /// Returns the refusal of the bucket that takes longest to hold a token again, if one is empty.
    pub(super) fn check(
        &self,
        buckets: &[Bucket],
        limits: &Limits,
        base: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let waits = buckets.iter().map(|bucket| (self.wait(bucket, limits, now), bucket));
        let Some((wait, bucket)) = waits.max_by_key(|(wait, _)| *wait) else { return Ok(()) };
        if !wait.is_positive() {
            return Ok(());
        }
        let (complaint, anchor) = bucket.complaint(bucket.limit(limits));
        let until = after(now, wait).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        let detail =
            format!("{complaint}, retry after {until}: see {base}/docs/rate-limits/#{anchor}");
        Err(Refusal { problem: problem(429, "rateLimited", detail), retry_after: Some(wait) })
    }

    /// Takes a token; an empty bucket goes into debt.
    pub(super) fn spend(&mut self, bucket: Bucket, limits: &Limits, now: Timestamp) {
        let refill = bucket.limit(limits).refill;
        let full_at = self.buckets.entry(bucket).or_insert(now);
        *full_at = after((*full_at).max(now), refill);
    }

    pub(super) fn failed(&mut self, account: u64, identifier: &Identifier) {
        *self.failures.entry((account, identifier.clone())).or_default() += 1;
    }

    pub(super) fn succeeded(&mut self, account: u64, identifier: &Identifier) {
        self.failures.remove(&(account, identifier.clone()));
    }

    pub(super) fn in_a_row(&self, account: u64, identifier: &Identifier) -> u32 {
        self.failures.get(&(account, identifier.clone())).copied().unwrap_or(0)
    }

    /// Lets every account ask again for what was paused.
    pub(super) fn unpause(&mut self) {
        self.failures.clear();
    }

    fn wait(&self, bucket: &Bucket, limits: &Limits, now: Timestamp) -> SignedDuration {
        let Some(full_at) = self.buckets.get(bucket) else { return SignedDuration::ZERO };
        let limit = bucket.limit(limits);
        let spare =
            limit.refill.saturating_mul(i32::try_from(limit.capacity).unwrap_or(i32::MAX) - 1);
        full_at.duration_since(now).saturating_sub(spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_capacity_at_once_and_then_one_each_refill() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let limits = Limits::LETS_ENCRYPT;
        let bucket = || Bucket::ExactSet(Arc::new([]));
        let mut spent = Spent::default();
        for _ in 0..5 {
            assert!(spent.check(&[bucket()], &limits, "", now).is_ok());
            spent.spend(bucket(), &limits, now);
        }
        let refused = spent.check(&[bucket()], &limits, "", now).unwrap_err();
        assert_eq!(refused.retry_after, Some(SignedDuration::from_hours(34)));
        assert!(refused.problem.detail.contains("retry after 2026-11-22 10:00:00 UTC"));
        let later = after(now, SignedDuration::from_hours(34));
        assert!(spent.check(&[bucket()], &limits, "", later).is_ok());
    }

    #[test]
    fn a_registered_domain_is_the_last_two_labels() {
        let cases = [
            ("a.b.example.org", "example.org"),
            ("*.example.org", "example.org"),
            ("org", "org"),
            ("192.0.2.1", "192.0.2.1"),
        ];
        for (name, domain) in cases {
            assert_eq!(&*registered_domain(&Identifier::new(name).unwrap()), domain);
        }
    }
}
