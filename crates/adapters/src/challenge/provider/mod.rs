//! dns-01 by the API of a DNS provider.
//!
//! ```text
//! lock the zone ─▶ read ─▶ add or remove our value ─▶ read again ─┬─▶ ours is there (or gone) and
//!                    ▲                                            │   everybody else's still is
//!                    └───────── anything else, a few times ───────┘
//! ```
//!
//! Most APIs set all values of a name at once, and the library reads them, merges and writes: two
//! writers at the same moment lose one value, and both are told that it worked. So what we write to
//! a zone goes one after the other, whichever solver and configuration it comes from, and nothing
//! is believed but what is read afterwards. That the zone's own servers show it is asked elsewhere,
//! as for every answer in DNS.
//!
//! A few providers hold one value for a name and cannot be read. There the zone's servers are read,
//! and somebody else's value is not written over.
//!
//! Deliberately absent: waiting for a change to spread; that is the look's work. Source of all
//! APIs: the library dns-update, whose answers are not bounded in size, only in time.

mod make;
mod said;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};
use perennial_core::words::{Answer, Place};
use perennial_wire::authorization::txt_value;
use perennial_wire::dns::texts_at;
use tokio::sync::Mutex;

pub use make::Credentials;
pub(super) use said::{Said, SaidKind};

use super::Direction;
use super::trouble::Trouble;
use said::Hidden;

/// A provider, ready to be written to.
#[derive(Clone)]
pub struct ProviderSettings {
    word: Box<str>,
    client: Arc<DnsUpdater>,
    hidden: Hidden,
    zones: ZoneLocks,
    ttl_secs: u32,
    holds: Holding,
}

/// How many values a name may have at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// As many as DNS allows; they can be read there.
    Many,
    /// One, which cannot be read there.
    One,
}

/// One lock for each zone written to, shared by all that write: solvers with different credentials,
/// and those of the configuration before and after a reload.
#[derive(Clone, Debug, Default)]
pub struct ZoneLocks(Arc<std::sync::Mutex<BTreeMap<Box<str>, ZoneLock>>>);

type ZoneLock = Arc<Mutex<()>>;

impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings").field("word", &self.word).finish_non_exhaustive()
    }
}

impl ProviderSettings {
    /// Makes a client for the provider of this word.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the credentials, without showing any, or why this machine cannot
    /// speak HTTPS with strangers.
    pub fn new(
        word: &str,
        credentials: &Credentials,
        (holds, ttl_secs): (Holding, u32),
        zones: ZoneLocks,
    ) -> Result<Self, String> {
        // The library's clients panic where this fails.
        perennial_wire::http::usual_client_can_be_made().map_err(|error| error.to_string())?;
        let client = Arc::new(make::make(word, credentials)?);
        let hidden = Hidden::of(credentials);
        Ok(Self { word: word.into(), client, hidden, zones, ttl_secs, holds })
    }
}

#[derive(Debug)]
pub(super) struct Provider {
    settings: ProviderSettings,
}

/// The values of a name.
type Values = BTreeSet<String>;

impl Provider {
    pub(super) const fn new(settings: ProviderSettings) -> Self {
        Self { settings }
    }

    pub(super) async fn perform(
        &self,
        answer: &Answer,
        direction: Direction,
    ) -> Result<(), Trouble> {
        let place = answer.place.as_ref().ok_or(Trouble::Placeless)?;
        let value = txt_value(answer);
        let zone = self.settings.zones.of(&place.zone);
        let _writing = zone.lock().await;
        let written = match self.settings.holds {
            Holding::Many => self.write(place, &value, direction).await,
            Holding::One => self.write_alone(place, &value, direction).await,
        };
        let provider = &self.settings.word;
        written.map_err(|said| Trouble::Provider {
            provider: provider.clone(),
            zone: place.zone.clone(),
            said: Box::new(said),
        })
    }

    /// Reads, writes, and reads again until everything is as it must be.
    async fn write(&self, place: &Place, value: &str, direction: Direction) -> Result<(), Said> {
        let mut owed = self.read(place).await?;
        if owed.contains(value) == (direction == Direction::Present) {
            return Ok(());
        }
        owed.remove(value);
        for round in 0..ROUNDS {
            if let Err(said) = self.change(place, value, direction).await {
                // Somebody else's writing is the most common trouble of all.
                if said.kind != SaidKind::Trouble || round + 1 == ROUNDS {
                    return Err(said);
                }
                tokio::time::sleep(BETWEEN_ROUNDS).await;
                continue;
            }
            let found = self.settles(place, value, direction, &owed).await?;
            if is_settled(&found, value, direction, &owed) {
                return Ok(());
            }
            tracing::warn!(
                provider = %self.settings.word, record = %place.record, round,
                "what was written is not what is read"
            );
            self.restore(place, &owed, &found).await?;
        }
        let found = self.read(place).await?;
        if is_settled(&found, value, direction, &owed) {
            return Ok(());
        }
        let text = format!(
            "it said that all is well, {ROUNDS} times, and yet {}; somebody else may be writing \
             {} at the same time",
            lack(&found, value, direction),
            place.record,
        );
        Err(Said::new(SaidKind::NotDone, text))
    }

    async fn change(&self, place: &Place, value: &str, direction: Direction) -> Result<(), Said> {
        let ProviderSettings { client, ttl_secs, .. } = &self.settings;
        let (record, zone) = (&*place.record, &*place.zone);
        let texts = vec![DnsRecord::TXT(value.to_owned())];
        let changed = match direction {
            Direction::Present => {
                client.add_to_rrset(record, DnsRecordType::TXT, *ttl_secs, texts, zone).await
            }
            Direction::Withdraw => {
                client.remove_from_rrset(record, DnsRecordType::TXT, texts, zone).await
            }
        };
        changed.map_err(|error| Said::read(&error, &self.settings.hidden))
    }

    /// Reads until all is as it must be, or for a moment: some APIs show a change a little later.
    async fn settles(
        &self,
        place: &Place,
        value: &str,
        direction: Direction,
        owed: &Values,
    ) -> Result<Values, Said> {
        for pause in PAUSES {
            let found = self.read(place).await?;
            if is_settled(&found, value, direction, owed) {
                return Ok(found);
            }
            tokio::time::sleep(pause).await;
        }
        self.read(place).await
    }

    /// Puts back what was there before and is not any more: whoever withdraws it meanwhile finds a
    /// value too many, whoever still needs it does not find it gone.
    async fn restore(&self, place: &Place, owed: &Values, found: &Values) -> Result<(), Said> {
        for lost in owed.difference(found) {
            self.change(place, lost, Direction::Present).await?;
        }
        Ok(())
    }

    async fn read(&self, place: &Place) -> Result<Values, Said> {
        let listed =
            self.settings.client.list_rrset(&*place.record, DnsRecordType::TXT, &*place.zone);
        let listed = match listed.await {
            Ok(listed) => listed,
            // Where a name without values is no name.
            Err(dns_update::Error::NotFound) => Vec::new(),
            Err(error) => return Err(Said::read(&error, &self.settings.hidden)),
        };
        let text = |record| match record {
            DnsRecord::TXT(text) => Some(text),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(text).collect())
    }

    /// Writes the one value that a name may have, unless somebody else's stands there.
    async fn write_alone(
        &self,
        place: &Place,
        value: &str,
        direction: Direction,
    ) -> Result<(), Said> {
        let others = shown(place, value).await;
        if let Some(other) = others.first() {
            if direction == Direction::Withdraw {
                // Ours is gone: this one was written over it.
                return Ok(());
            }
            let text = format!(
                "it holds one value for {}, and `{other}` stands there; it can be answered once \
                 that is gone",
                place.record
            );
            return Err(Said::new(SaidKind::Taken, text));
        }
        let texts = match direction {
            Direction::Present => vec![DnsRecord::TXT(value.to_owned())],
            Direction::Withdraw => Vec::new(),
        };
        let ProviderSettings { client, ttl_secs, hidden, .. } = &self.settings;
        let set =
            client.set_rrset(&*place.record, DnsRecordType::TXT, *ttl_secs, texts, &*place.zone);
        set.await.map_err(|error| Said::read(&error, hidden))
    }
}

/// Returns the values besides ours that any of the zone's servers shows.
async fn shown(place: &Place, value: &str) -> Values {
    let mut found = Values::new();
    for server in place.servers.iter().take(MAX_SERVERS) {
        let texts = texts_at(*server, &place.record, READ_TIME).await;
        let texts = texts.ok().flatten().into_iter().flatten();
        found.extend(texts.map(|text| String::from_utf8_lossy(&text).into_owned()));
    }
    // What a withdrawn value leaves behind at some: nothing, or a dot.
    found.retain(|text| text != value && !text.is_empty() && text != ".");
    found
}

fn is_settled(found: &Values, value: &str, direction: Direction, owed: &Values) -> bool {
    found.contains(value) == (direction == Direction::Present) && owed.is_subset(found)
}

fn lack(found: &Values, value: &str, direction: Direction) -> &'static str {
    match (found.contains(value), direction) {
        (false, Direction::Present) => "our value is not there",
        (true, Direction::Withdraw) => "our value is still there",
        _ => "a value of somebody else's is gone",
    }
}

impl ZoneLocks {
    fn of(&self, zone: &str) -> ZoneLock {
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(zones.entry(zone.into()).or_default())
    }
}

/// How often a change is repeated that is not read afterwards.
const ROUNDS: u32 = 3;

/// How long to wait before a change is repeated that was refused for a passing reason.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);

/// How long to wait between two readings.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// How many servers are read where the provider cannot be.
const MAX_SERVERS: usize = 8;

/// How long one server may take.
const READ_TIME: Duration = Duration::from_secs(4);
