//! Where the DNS answer for a name goes.

use std::net::SocketAddr;
use std::time::Duration;

use perennial_core::words::{Identifier, Place};
use perennial_wire::dns::{DnsError, RecordType, Resolver};

use super::PlaceSettings;
use super::trouble::Trouble;

/// Finds the place of the answer whose chain begins at a name, within [`LOCATE_TIME`].
pub(super) async fn locate(
    resolver: &Resolver,
    settings: &PlaceSettings,
    identifier: &Identifier,
    begin: String,
) -> Result<Place, Trouble> {
    let finding = find(resolver, settings, identifier, begin);
    let found = tokio::time::timeout(LOCATE_TIME, finding).await;
    found.unwrap_or_else(|_| Err(Trouble::Late(identifier.clone())))
}

/// Follows the chain from the challenge's name to the zone and the servers at its end.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.4
async fn find(
    resolver: &Resolver,
    settings: &PlaceSettings,
    identifier: &Identifier,
    begin: String,
) -> Result<Place, Trouble> {
    if identifier.is_ip() {
        return Err(Trouble::Address(identifier.clone()));
    }
    let found = |error| Trouble::Lookup { identifier: identifier.clone(), error: Box::new(error) };
    let record = if settings.follows_cname {
        resolver.lookup(&begin, RecordType::TXT).await.map_err(found)?.owner().to_owned()
    } else {
        begin
    };
    let zone = resolver.apex(&record).await.map_err(found)?;
    let servers = servers(resolver, settings, &zone).await.map_err(found)?;
    Ok(Place { record: record.into(), zone: zone.into(), servers: servers.into() })
}

/// Finds the zone's servers, or else the one that takes our updates. Without any, nobody could ever
/// be seen to show the answer: that is said now, with the cause, and not when the waiting ends.
async fn servers(
    resolver: &Resolver,
    settings: &PlaceSettings,
    zone: &str,
) -> Result<Vec<SocketAddr>, DnsError> {
    if !settings.nameservers.is_empty() {
        return Ok(settings.nameservers.clone());
    }
    let why = match resolver.zone_servers(zone).await.map(|found| found.addresses()) {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => DnsError::Lame { zone: zone.to_owned() },
        Err(error) => error,
    };
    match &settings.server {
        // Why the zone's own were not found says more than why this one was not.
        Some(server) => server.addresses().await.map_err(|_| why),
        None => Err(why),
    }
}

/// How long all the questions for one place may take. Each is bounded too, but a name may have many
/// labels and a zone many servers.
const LOCATE_TIME: Duration = Duration::from_secs(60);
