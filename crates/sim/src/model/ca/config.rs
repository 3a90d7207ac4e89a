//! How a CA is set up, and what is wrong with it today.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{ChallengeKind, Identifier, Permille};

/// How a CA is set up.
#[derive(Clone, Debug)]
pub struct CaConfig {
    /// What its URLs begin with, without final slash.
    pub base: Box<str>,
    /// The name it signs with.
    pub issued_by: Arc<str>,
    /// The name of the root above it.
    pub root: Box<str>,
    /// Whether clients have that root.
    pub root_trusted: bool,
    /// Whether its leaves may prove clients too.
    pub for_clients: bool,
    /// The key identifier it signs with: the first half of what renewal information calls a leaf.
    pub authority_key_id: Box<[u8]>,
    /// When the first certificate above its leaves ends.
    pub chain_not_after: Timestamp,
    /// Its profiles by name. Where an order asks for none, `default_profile` counts.
    pub profiles: BTreeMap<Box<str>, Profile>,
    /// The profile of orders that ask for none.
    pub default_profile: Box<str>,
    /// Whether the directory tells of the profiles.
    pub profiles_shown: bool,
    /// Whether renewal information is offered.
    pub renewal_info: bool,
    /// Key ids of external accounts; where there are some, a binding is required.
    pub external_accounts: BTreeSet<Box<str>>,
    /// Whether each of them binds one account only.
    pub eab_single_use: bool,
    /// Whether terms must be agreed to.
    pub terms: bool,
    /// Under which names CAA records allow it.
    pub caa_identities: Box<[Box<str>]>,
    /// Which challenges it offers. Types of other names are offered without a token.
    pub challenges: Box<[ChallengeKind]>,
    /// Names it does not issue for, nor for what is below them.
    pub forbidden: Box<[Box<str>]>,
    /// Whether authorizations are made valid at once, by an arrangement outside ACME.
    pub pre_approved: bool,
    /// How often a valid authorization is used again.
    pub reuse: Permille,
    /// How long issuing takes at least.
    pub issuing_takes: SignedDuration,
    /// How many polls of an order are answered `processing` at least, after finalize's own answer.
    pub processing_polls: u8,
    /// `Retry-After` of an order that is `processing`.
    pub poll_after: SignedDuration,
    /// `Retry-After` of renewal information.
    pub renewal_poll_after: SignedDuration,
    /// How much is allowed.
    pub limits: Limits,
}

/// What a profile means.
///
/// Source: <https://letsencrypt.org/docs/profiles/>, read 2026-08-21.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// For people.
    pub description: Box<str>,
    /// How long its leaves are valid.
    pub lifetime: SignedDuration,
    /// How long an order lives.
    pub order_lifetime: SignedDuration,
    /// How long an authorization may stay pending.
    pub pending_lifetime: SignedDuration,
    /// How long a valid authorization may be used.
    pub reuse_lifetime: SignedDuration,
    /// How many names an order may have.
    pub max_names: usize,
    /// Whether addresses may be among them.
    pub addresses: bool,
}

/// A token bucket: `capacity` at once, one token back each `refill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many at once.
    pub capacity: u32,
    /// How long one takes to come back.
    pub refill: SignedDuration,
}

/// How much is allowed.
///
/// Source: <https://letsencrypt.org/docs/rate-limits/>, read 2026-08-21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// New orders for each account.
    pub new_orders: Limit,
    /// Leaves for each exact set of names, over all accounts.
    pub exact_set: Limit,
    /// Leaves for each registered domain, over all accounts. A registered domain is taken to be
    /// the last two labels: the model knows no public suffixes.
    pub registered_domain: Limit,
    /// Failed validations for each account and name.
    pub failures: Limit,
    /// Failures in a row after which an account's name is paused.
    pub pause_after: u32,
}

/// What is wrong with the CA today. All switches may be turned at any moment.
#[derive(Clone, Debug, Default)]
pub struct CaFaults {
    /// What does not answer.
    pub outage: Outage,
    /// How long every answer takes.
    pub slow: SignedDuration,
    /// How often a signed request is refused with `badNonce`.
    pub bad_nonces: Permille,
    /// How often an answer is lost after the request took effect.
    pub lost_answers: Permille,
    /// Every newOrder is refused with 429 until then.
    pub limited_until: Option<Timestamp>,
    /// Orders older than this are forgotten, whatever they say of their end.
    pub orders_die_after: Option<SignedDuration>,
    /// Renewal information answers 503.
    pub renewal_info_down: bool,
    /// Every leaf should be replaced at once: windows lie in the past, with a page that says why.
    pub incident: Option<Box<str>>,
    /// Issuing never ends: orders stay `processing`.
    pub stuck_issuing: bool,
    /// Names for which every account is paused.
    pub paused: BTreeSet<Identifier>,
}

/// What does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    /// All is well.
    #[default]
    None,
    /// No connection.
    Unreachable,
    /// 503 to everything.
    Unavailable,
    /// Orders that need a new validation fail with 500, as while a CA's resolvers are down; those
    /// whose authorizations can be used again pass.
    NewAuthorizations,
}

const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count * 24)
}

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

impl CaConfig {
    /// Sets up a CA like Let's Encrypt in November 2026, unkind: it uses half of the valid
    /// authorizations again and takes its time to issue.
    #[must_use]
    pub fn like_lets_encrypt(base: &str, chain_not_after: Timestamp) -> Self {
        Self {
            base: base.into(),
            issued_by: "Sandbox YE1".into(),
            root: "Sandbox Root X1".into(),
            root_trusted: true,
            for_clients: false,
            authority_key_id: (0..20).collect(),
            chain_not_after,
            profiles: lets_encrypt_profiles(),
            default_profile: "classic".into(),
            profiles_shown: true,
            renewal_info: true,
            external_accounts: BTreeSet::new(),
            eab_single_use: true,
            terms: true,
            caa_identities: Box::new(["ca.sandbox.test".into()]),
            challenges: Box::new([
                ChallengeKind::Http01,
                ChallengeKind::Dns01,
                ChallengeKind::TlsAlpn01,
                ChallengeKind::DnsAccount01,
                ChallengeKind::DnsPersist01,
            ]),
            forbidden: Box::new([]),
            pre_approved: false,
            reuse: Permille::new(500),
            issuing_takes: SignedDuration::from_secs(2),
            processing_polls: 1,
            poll_after: SignedDuration::from_secs(3),
            renewal_poll_after: hours(6),
            limits: Limits::LETS_ENCRYPT,
        }
    }

    /// Returns the profile that an order named.
    pub(super) fn profile(&self, name: Option<&str>) -> Option<(&str, &Profile)> {
        let name = name.unwrap_or(&self.default_profile);
        self.profiles.get_key_value(name).map(|(name, profile)| (&**name, profile))
    }
}

fn lets_encrypt_profiles() -> BTreeMap<Box<str>, Profile> {
    let classic = Profile {
        description: "90 days, as ever".into(),
        lifetime: days(90),
        order_lifetime: days(7),
        pending_lifetime: days(7),
        reuse_lifetime: days(30),
        max_names: 100,
        addresses: false,
    };
    let tlsserver = Profile {
        description: "45 days, for servers".into(),
        lifetime: days(45),
        order_lifetime: hours(8),
        pending_lifetime: hours(1),
        reuse_lifetime: hours(7),
        max_names: 25,
        addresses: false,
    };
    let shortlived = Profile {
        description: "160 hours, also for addresses".into(),
        lifetime: hours(160),
        addresses: true,
        ..tlsserver.clone()
    };
    BTreeMap::from([
        ("classic".into(), classic),
        ("tlsserver".into(), tlsserver),
        ("shortlived".into(), shortlived),
    ])
}

impl Limits {
    /// Those of Let's Encrypt.
    pub const LETS_ENCRYPT: Self = Self {
        new_orders: Limit { capacity: 300, refill: SignedDuration::from_secs(36) },
        exact_set: Limit { capacity: 5, refill: SignedDuration::from_mins(34 * 60) },
        registered_domain: Limit { capacity: 50, refill: SignedDuration::from_mins(202) },
        failures: Limit { capacity: 5, refill: SignedDuration::from_mins(12) },
        pause_after: 1152,
    };

    /// None to speak of.
    pub const GENEROUS: Self = Self {
        new_orders: Limit::GENEROUS,
        exact_set: Limit::GENEROUS,
        registered_domain: Limit::GENEROUS,
        failures: Limit::GENEROUS,
        pause_after: u32::MAX,
    };
}

impl Limit {
    /// None to speak of.
    pub const GENEROUS: Self = Self { capacity: 1_000_000, refill: SignedDuration::from_secs(1) };
}
