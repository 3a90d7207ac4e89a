//! Whether a leaf is revoked, as the list of its own CA says.
//!
//! A leaf names where its CA publishes the list it would be on. The list is fetched from there and
//! from nowhere else, over plain HTTP (it is signed; RFC 5280 section 8 advises against TLS, which
//! would need a list of its own), checked, and kept in memory by its address: all leaves of a shard
//! share one fetch.
//!
//! Complications, and how each is met:
//! - A leaf is a stranger's word, and so is the address in it: only a leaf that a trusted root
//!   vouches for is looked up, so that nobody can send us to a place of his choosing. Redirects
//!   are not followed.
//! - A list may be huge: its bytes and the time are bounded, and only serial numbers, dates and
//!   reasons are kept, in no more room than the list itself took.
//! - A list that cannot be had says nothing: [`Standing::Unknown`] is never a revocation. It is
//!   asked for again after [`RETRY_AFTER`], however often the leaf is looked at meanwhile.
//!
//! Deliberately absent: OCSP. Staples are recorded by [`crate::tls`] and not read; the CAs that
//! stapling was for have left it (Let's Encrypt on 2025-08-06), and so have clients.
//!
//! Source: RFC 5280 sections 4.2.1.13, 5 and 6.3.

mod list;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{SightState, after};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::http::{Http, Plaintext, Settings, SetupError};
use crate::tls::{Judgement, Roots};
use crate::x509::{Chain, crl_urls};

use list::List;

/// How long a list may be, in bytes. The largest of public CAs have some 10 MB.
const MAX_LIST_LEN: usize = 32 << 20;

/// How long finding the server of a list and connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How long a look at an endpoint waits for what the lists say, whoever fetches them. Fetching may
/// take seven eighths of it, which the addresses that a leaf names share.
pub const TOLD_WITHIN: Duration = Duration::from_secs(8);

/// How long a list is taken to be the newest, unless it ends before. CAs publish a revocation
/// within a day (Baseline Requirements 4.9.7); ours should not come on top of that.
const KEPT_AT_MOST: SignedDuration = SignedDuration::from_hours(6);

/// How long a list that could not be had is not asked for again.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// How many addresses of one leaf are tried. Leaves of public CAs have one.
const MAX_URLS: usize = 2;

/// How many lists are kept.
const MAX_LISTS: usize = 2048;

/// How many revoked serial numbers are kept over all lists: 32 MiB.
const MAX_ENTRIES: usize = 1 << 20;

/// What is known of a leaf's revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its CA publishes no list that it could be on, as with leaves of a few days.
    Unpublished,
    /// It is not on the list.
    Good,
    /// It is on the list.
    Revoked {
        /// Since when.
        since: Timestamp,
        /// Why, in words, where the CA says so.
        reason: Option<&'static str>,
    },
    /// The list could not be looked at.
    Unknown(String),
}

impl Standing {
    fn late(waited: Duration) -> Self {
        Self::Unknown(no_answer(waited))
    }

    /// Adds to a judgement what it was made without.
    fn tell(self, judgement: &mut Judgement) {
        let said = match self {
            Self::Unpublished | Self::Good => return,
            Self::Revoked { since, reason } => {
                judgement.state = SightState::Revoked;
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("revoked since {since}{reason}")
            }
            Self::Unknown(cause) => {
                format!("whether it is revoked could not be looked at: {cause}")
            }
        };
        let causes = judgement.cause.take().into_iter().chain([said]);
        judgement.cause = Some(causes.collect::<Vec<_>>().join("; "));
    }
}

fn no_answer(waited: Duration) -> String {
    format!("no answer within {} s", waited.as_secs_f32())
}

/// The lists of all CAs, as far as they were needed.
#[derive(Debug)]
pub struct Revocations {
    http: Http,
    within: Duration,
    kept: Mutex<HashMap<Key, Slot>>,
}

/// An address and the SPKI of who signs what is there, as the leaf's path has it.
type Key = (String, Vec<u8>);

/// One list, and the turn to fetch it.
#[derive(Debug, Default)]
struct Slot {
    turn: Arc<tokio::sync::Mutex<()>>,
    kept: Option<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    from: Timestamp,
    until: Timestamp,
    list: Result<Arc<List>, String>,
}

impl Kept {
    fn is_fresh(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    fn entries(&self) -> usize {
        self.list.as_ref().map_or(0, |list| list.len())
    }
}

impl Revocations {
    /// Knows no list yet.
    ///
    /// # Errors
    ///
    /// Returns why the HTTP library refuses.
    pub fn new() -> Result<Self, SetupError> {
        let http = Http::new(&Settings {
            connect_within: CONNECT_WITHIN,
            answer_within: TOLD_WITHIN,
            plaintext: Plaintext::Allowed,
            ..Settings::default()
        })?;
        Ok(Self { http, within: TOLD_WITHIN, kept: Mutex::default() })
    }

    /// Waits so long instead of [`TOLD_WITHIN`], but not longer.
    #[must_use]
    pub fn with_limit(mut self, within: Duration) -> Self {
        self.within = within.min(TOLD_WITHIN);
        self
    }

    /// Completes what handshakes were judged to be, all at once and in their order: a leaf that is
    /// fine otherwise may be revoked. With each comes the chain, and the roots it was judged by.
    ///
    /// `at` is the logical clock's. That nothing could be learnt, or not within [`TOLD_WITHIN`], is
    /// added to the cause, and changes no state.
    pub async fn complete(
        self: &Arc<Self>,
        judged: Vec<(Judgement, Option<(Chain, Roots)>)>,
        at: Timestamp,
    ) -> Vec<Judgement> {
        let mut asking = JoinSet::new();
        let mut all = Vec::new();
        for (place, (judgement, served)) in judged.into_iter().enumerate() {
            let served = served.filter(|_| judgement.state == SightState::Ok);
            all.push(judgement);
            let Some((chain, roots)) = served else { continue };
            let own = Arc::clone(self);
            asking.spawn(async move {
                let standing = timeout(own.within, own.standing(&chain, &roots, at)).await;
                (place, standing.unwrap_or_else(|_| Standing::late(own.within)))
            });
        }
        while let Some(asked) = asking.join_next().await {
            if let Ok((place, standing)) = asked
                && let Some(judgement) = all.get_mut(place)
            {
                standing.tell(judgement);
            }
        }
        all
    }

    /// Says whether the leaf of a chain is revoked. The chain must lead to one of the roots; nothing
    /// is asked about one that does not.
    pub async fn standing(&self, chain: &Chain, roots: &Roots, at: Timestamp) -> Standing {
        let urls = match crl_urls(chain.leaf()) {
            Ok(urls) if urls.is_empty() => return Standing::Unpublished,
            Ok(urls) => urls,
            Err(error) => return Standing::Unknown(error.to_string()),
        };
        let signer = match list::signer(chain, roots, at) {
            Ok(signer) => signer,
            Err(cause) => return Standing::Unknown(cause),
        };
        let mut causes = Vec::new();
        let urls: Vec<String> = urls.into_iter().take(MAX_URLS).collect();
        let each = if urls.len() > 1 { 16 } else { 8 };
        let within = self.within.saturating_mul(7) / each;
        for url in urls {
            let key = (url, signer.clone());
            match self.list(&key, chain, roots, at, within).await {
                Ok(list) => return list.standing(chain),
                Err(cause) => causes.push(format!("{}: {cause}", key.0)),
            }
        }
        Standing::Unknown(causes.join("; "))
    }

    /// Returns the list at an address, fetching it if it is not there or not fresh. Whoever asks
    /// while it is being fetched waits for the same fetch.
    async fn list(
        &self,
        key: &Key,
        chain: &Chain,
        roots: &Roots,
        at: Timestamp,
        within: Duration,
    ) -> Result<Arc<List>, String> {
        let turn = match self.kept(key, at) {
            Ok(list) => return list,
            Err(turn) => turn,
        };
        let _turn = turn.lock().await;
        if let Ok(list) = self.kept(key, at) {
            return list;
        }
        let fetched = timeout(within, self.fetch(&key.0, chain, roots, at)).await;
        let list = fetched.unwrap_or_else(|_| Err(no_answer(within))).map(Arc::new);
        let until = match &list {
            Ok(list) => list.next_update.min(after(at, KEPT_AT_MOST)),
            Err(_) => after(at, RETRY_AFTER),
        };
        self.keep(key, Kept { from: at, until, list: list.clone() });
        list
    }

    fn kept(
        &self,
        key: &Key,
        at: Timestamp,
    ) -> Result<Result<Arc<List>, String>, Arc<tokio::sync::Mutex<()>>> {
        let mut all = self.all();
        let slot = all.entry(key.clone()).or_default();
        match slot.kept.as_ref().filter(|kept| kept.is_fresh(at)) {
            Some(kept) => Ok(kept.list.clone()),
            None => Err(Arc::clone(&slot.turn)),
        }
    }

    /// Keeps a list. Where there are too many, those fetched longest ago go.
    fn keep(&self, key: &Key, kept: Kept) {
        let mut all = self.all();
        let is_first = |slot: &Slot| slot.kept.as_ref().map(|kept| kept.from);
        all.entry(key.clone()).or_default().kept = Some(kept);
        let size = |slot: &Slot| slot.kept.as_ref().map_or(0, Kept::entries);
        while all.len() > 1
            && (all.len() > MAX_LISTS || all.values().map(size).sum::<usize>() > MAX_ENTRIES)
        {
            let others = all.iter().filter(|(own, _)| *own != key);
            let Some(oldest) = others.min_by_key(|(_, slot)| is_first(slot)) else { return };
            let oldest = oldest.0.clone();
            all.remove(&oldest);
        }
    }

    async fn fetch(
        &self,
        url: &str,
        chain: &Chain,
        roots: &Roots,
        at: Timestamp,
    ) -> Result<List, String> {
        let answer = self.http.fetch(url, "application/pkix-crl", MAX_LIST_LEN).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("HTTP status {}", answer.status));
        }
        // A large list takes a good part of a second to check.
        let (chain, roots) = (chain.clone(), roots.clone());
        let read = spawn_blocking(move || List::read(&answer.body, &chain, &roots, at)).await;
        read.map_err(|error| error.to_string())?
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        // A panic elsewhere leaves the map whole: each step is one call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
