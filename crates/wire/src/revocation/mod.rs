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
//! - A list may be huge: its bytes and the time are bounded, at most [`AT_ONCE`] are fetched and
//!   read at once, and nothing of it is kept before its signature was checked. Then only serial
//!   numbers, dates and reasons are, in 25 octets each; an entry has 20 or more in the list.
//! - A list that cannot be had says nothing: [`Standing::Unknown`] is never a revocation. It is
//!   asked for again after some minutes, and after longer and longer if what came cannot be used,
//!   however often the leaf is looked at meanwhile. What a genuine list said before stays true of
//!   those that were on it ([`keep`]).
//! - A look waits for [`TOLD_WITHIN`] only. The fetch goes on without it, so that the
//!   next look does not begin anew; nor does it wait again.
//!
//! Deliberately absent: OCSP. Staples are recorded by [`crate::tls`] and not read; the CAs that
//! stapling was for have left it (Let's Encrypt on 2025-08-06), and so have clients.
//!
//! Source: RFC 5280 sections 4.2.1.13, 5 and 6.3.

mod keep;
mod list;
#[cfg(test)]
mod tests;

/// Reads a revocation list and says what it says of the chain's leaf. For the fuzzer.
///
/// # Errors
///
/// Returns why the list does not count.
#[cfg(feature = "fuzzing")]
pub fn read_list(
    der: &[u8],
    chain: &Chain,
    roots: &Roots,
    at: Timestamp,
) -> Result<Standing, String> {
    List::read(der, chain, roots, at).map(|list| list.standing(chain))
}

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use perennial_core::words::SightState;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::http::{Cause, Http, Plaintext, Settings, SetupError};
use crate::tls::{Judgement, Roots};
use crate::x509::{Chain, crl_urls};

use keep::{Awaited, Key, Known, Lists, Trouble, Turn};
use list::List;

/// How long a list may be, in bytes. The largest of public CAs have some 10 MB.
const MAX_LIST_LEN: usize = 32 << 20;

/// How long finding the server of a list and connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How long a look at an endpoint waits for what the lists say, whoever fetches them. Fetching may
/// take seven eighths of it, which the addresses that a leaf names share.
pub const TOLD_WITHIN: Duration = Duration::from_secs(8);

/// How many lists are fetched and read at once: each may take twice its bytes.
const AT_ONCE: usize = 2;

/// How many addresses of one leaf are tried. Leaves of public CAs have one.
const MAX_URLS: usize = 2;

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
        match self {
            Self::Unpublished | Self::Good => {}
            Self::Revoked { since, reason } => {
                judgement.state = SightState::Revoked;
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                let said = format!("revoked since {since}{reason}");
                let causes = judgement.cause.take().into_iter().chain([said]);
                judgement.cause = Some(causes.collect::<Vec<_>>().join("; "));
            }
            Self::Unknown(cause) => judgement.revocation_unknown = Some(cause),
        }
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
    lists: Mutex<Lists>,
    places: Semaphore,
}

/// What is needed to check that a list is genuine.
#[derive(Clone)]
struct Measure {
    chain: Chain,
    roots: Roots,
    at: Timestamp,
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
        let places = Semaphore::new(AT_ONCE);
        Ok(Self { http, within: TOLD_WITHIN, lists: Mutex::default(), places })
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
    /// noted with the judgement, and changes no state.
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
    pub async fn standing(
        self: &Arc<Self>,
        chain: &Chain,
        roots: &Roots,
        at: Timestamp,
    ) -> Standing {
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
            let measure = Measure { chain: chain.clone(), roots: roots.clone(), at };
            let url = key.0.clone();
            let known = self.known(key, measure, within).await;
            let said = known.list.map(|list| list.standing(chain));
            match (said, known.trouble) {
                (Some(standing), None) | (Some(standing @ Standing::Revoked { .. }), _) => {
                    return standing;
                }
                (_, Some(Trouble::Missing(cause) | Trouble::Unusable(cause))) => {
                    causes.push(format!("{url}: {cause}"));
                }
                (None, None) => causes.push(format!("{url}: nothing is known of it")),
            }
        }
        Standing::Unknown(causes.join("; "))
    }

    /// Returns what is known of the list at an address, fetching it if it is not there or not fresh.
    /// Whoever asks while it is being fetched waits for the same fetch.
    async fn known(self: &Arc<Self>, key: Key, measure: Measure, within: Duration) -> Known {
        let turn = self.lists().turn(&key, measure.at);
        let fetch = match turn {
            Turn::Known(known) => return known,
            Turn::Wait(fetch) => fetch,
            Turn::Fetch(tell, fetch) => {
                let (own, key) = (Arc::clone(self), key.clone());
                tokio::spawn(async move { own.fetch(&key, measure, &tell).await });
                fetch
            }
            Turn::Later => return missing("many other lists are being fetched"),
        };
        match timeout(within, awaited(fetch)).await {
            Ok(Some(known)) => known,
            Ok(None) => missing("the fetch was lost"),
            Err(_) => self.lists().give_up(&key, no_answer(within)),
        }
    }

    async fn fetch(&self, key: &Key, measure: Measure, tell: &watch::Sender<Option<Known>>) {
        let at = measure.at;
        let fetched = {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            self.list(&key.0, measure).await
        };
        let known = self.lists().keep(key, at, fetched);
        tell.send_replace(Some(known));
    }

    async fn list(&self, url: &str, measure: Measure) -> Result<List, Trouble> {
        let answer = self.http.fetch(url, "application/pkix-crl", MAX_LIST_LEN).await;
        let answer = answer.map_err(|error| match error.cause {
            Cause::TooLarge => Trouble::Unusable(error.to_string()),
            _ => Trouble::Missing(error.to_string()),
        })?;
        if answer.status != 200 {
            return Err(Trouble::Missing(format!("HTTP status {}", answer.status)));
        }
        // A large list takes a good part of a second to check.
        let Measure { chain, roots, at } = measure;
        let read = spawn_blocking(move || List::read(&answer.body, &chain, &roots, at)).await;
        read.map_err(|error| Trouble::Missing(error.to_string()))?.map_err(Trouble::Unusable)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        // A panic elsewhere leaves the map whole: each step is one call.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn awaited(mut fetch: Awaited) -> Option<Known> {
    fetch.wait_for(Option::is_some).await.ok()?.clone()
}

fn missing(cause: &str) -> Known {
    Known { list: None, trouble: Some(Trouble::Missing(cause.to_owned())) }
}
