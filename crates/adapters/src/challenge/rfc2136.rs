//! dns-01 by signed DNS updates.
//!
//! Presenting adds exactly one value to the record's set, withdrawing deletes exactly that value;
//! what others put there stays. Both are one message each, and the server makes them take effect
//! once however often they arrive. Updates of one zone go one after the other: some servers answer
//! the second of two at once with SERVFAIL.
//!
//! Source: RFC 2136, RFC 8945.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use perennial_core::words::{Answer, Place};
use perennial_wire::authorization::txt_value;
use perennial_wire::dns::proto::rdata::TXT;
use perennial_wire::dns::proto::{
    DNSClass, Message, MessageType, OpCode, Query, RData, Record, RecordType, ResponseCode,
    UpdateMessage as _,
};
use perennial_wire::dns::{DnsError, Tsig, exchange_over_tcp, to_name};
use perennial_wire::host::HostPort;
use tokio::sync::Mutex;

use super::Direction;
use super::trouble::{Signed, Trouble};

/// A server that takes updates.
#[derive(Clone, Debug)]
pub struct Rfc2136Settings {
    /// The zone's primary server.
    pub server: HostPort,
    /// The key that signs; without one, the server must trust our address.
    pub tsig: Option<Tsig>,
    /// The TTL of answers in seconds.
    pub ttl_secs: u32,
    /// How long one update may take.
    pub timeout: Duration,
}

/// The TTL of answers where none is configured: CAs ask the authoritative servers, and a retry soon
/// after must not meet an old answer in a cache.
pub const DEFAULT_TTL_SECS: u32 = 60;

#[derive(Debug)]
pub(super) struct Rfc2136 {
    settings: Rfc2136Settings,
    /// One lock for each zone written to; there are as many as zones are configured.
    zones: std::sync::Mutex<BTreeMap<Box<str>, Arc<Mutex<()>>>>,
}

impl Rfc2136 {
    pub(super) fn new(settings: Rfc2136Settings) -> Self {
        Self { settings, zones: std::sync::Mutex::default() }
    }

    pub(super) async fn perform(
        &self,
        answer: &Answer,
        direction: Direction,
    ) -> Result<(), Trouble> {
        let place = answer.place.as_ref().ok_or(Trouble::Placeless)?;
        let update = self.update(place, &txt_value(answer), direction)?;
        let zone = self.zone(place);
        let _updating = zone.lock().await;
        let (server, reply) = self.send(place, update).await?;
        match reply.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => {
                let signed = if self.settings.tsig.is_some() { Signed::Yes } else { Signed::No };
                Err(Trouble::Update { zone: place.zone.clone(), server, code, signed })
            }
        }
    }

    /// Sends an update to the first of the server's addresses that can be reached.
    async fn send(&self, place: &Place, update: Message) -> Result<(SocketAddr, Message), Trouble> {
        let Rfc2136Settings { server, tsig, timeout, .. } = &self.settings;
        let unknown = |source| Trouble::Server { server: server.clone(), source };
        let addresses = tokio::time::timeout(*timeout, server.addresses()).await;
        let addresses = addresses.unwrap_or_else(|late| Err(late.into())).map_err(unknown)?;
        let mut failed =
            Trouble::Server { server: server.clone(), source: std::io::ErrorKind::NotFound.into() };
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match exchange_over_tcp(address, update.clone(), *timeout, tsig.as_ref()).await {
                Ok(reply) => return Ok((address, reply)),
                Err(error @ (DnsError::Unreachable { .. } | DnsError::NoRoute { .. })) => {
                    failed = of_zone(place)(error);
                }
                Err(error) => return Err(of_zone(place)(error)),
            }
        }
        Err(failed)
    }

    fn zone(&self, place: &Place) -> Arc<Mutex<()>> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(zones.entry(place.zone.clone()).or_default())
    }

    fn update(&self, place: &Place, value: &str, direction: Direction) -> Result<Message, Trouble> {
        let mut zone = Query::query(to_name(&place.zone).map_err(of_zone(place))?, RecordType::SOA);
        zone.set_query_class(DNSClass::IN);
        let data = RData::TXT(TXT::new(strings(value)));
        let mut record = Record::from_rdata(
            to_name(&place.record).map_err(of_zone(place))?,
            self.settings.ttl_secs,
            data,
        );
        match direction {
            // Added to the set, which is made if need be: section 2.5.1.
            Direction::Present => record.dns_class = DNSClass::IN,
            // Deleted from the set, this value alone: section 2.5.4.
            Direction::Withdraw => {
                record.dns_class = DNSClass::NONE;
                record.ttl = 0;
            }
        }
        let mut update = Message::new(0, MessageType::Query, OpCode::Update);
        update.add_zone(zone);
        update.add_update(record);
        Ok(update)
    }
}

/// Cuts a value into the strings of a record, each of 255 octets at the most; readers join them.
///
/// Source: RFC 1035 section 3.3.14.
fn strings(value: &str) -> Vec<String> {
    let octets: Vec<char> = value.chars().collect();
    octets.chunks(255).map(|part| part.iter().collect()).collect()
}

fn of_zone(place: &Place) -> impl Fn(DnsError) -> Trouble {
    |error| Trouble::Dns { zone: place.zone.clone(), error: Box::new(error) }
}

/// How many addresses of the server are tried.
const MAX_ADDRESSES: usize = 4;
