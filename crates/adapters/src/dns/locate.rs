//! Where the DNS answer for a name goes.

use std::net::SocketAddr;
use std::time::Duration;

use perennial_core::words::{Identifier, Place};
use perennial_wire::dns::{RecordType, Resolver};

use super::PlaceSettings;
use super::trouble::Trouble;

/// Finds the place within [`LOCATE_TIME`].
pub(super) async fn locate(
    resolver: &Resolver,
    settings: &PlaceSettings,
    identifier: &Identifier,
) -> Result<Place, Trouble> {
    let found = tokio::time::timeout(LOCATE_TIME, find(resolver, settings, identifier)).await;
    found.unwrap_or_else(|_| Err(Trouble::Late(identifier.clone())))
}

/// Follows the chain from the challenge's name to the zone and the servers at its end.
///
//= https://www.rfc-editor.org/rfc/rfc8555#section-8.4
async fn find(
    resolver: &Resolver,
    settings: &PlaceSettings,
    identifier: &Identifier,
) -> Result<Place, Trouble> {
    if identifier.is_ip() {
        return Err(Trouble::Address(identifier.clone()));
    }
    let found = |error| Trouble::Lookup { identifier: identifier.clone(), error: Box::new(error) };
    let begin = format!("_acme-challenge.{}", identifier.base());
    let record = if settings.follows_cname {
        resolver.lookup(&begin, RecordType::TXT).await.map_err(found)?.owner().to_owned()
    } else {
        begin
    };
    let zone = resolver.apex(&record).await.map_err(found)?;
    let servers = servers(resolver, settings, &zone).await;
    Ok(Place { record: record.into(), zone: zone.into(), servers: servers.into() })
}

/// Finds the zone's servers. None at all is an answer too: the answer can still be written, and
/// whoever waits for it sees nobody showing it.
async fn servers(resolver: &Resolver, settings: &PlaceSettings, zone: &str) -> Vec<SocketAddr> {
    if !settings.nameservers.is_empty() {
        return settings.nameservers.clone();
    }
    let found = match resolver.zone_servers(zone).await {
        Ok(found) => found.addresses(),
        Err(error) => {
            tracing::warn!(zone, %error, "the zone's servers cannot be found");
            Vec::new()
        }
    };
    match &settings.server {
        Some(server) if found.is_empty() => server.addresses().await.unwrap_or_default(),
        _ => found,
    }
}

/// How long all the questions for one place may take. Each is bounded too, but a name may have many
/// labels and a zone many servers.
const LOCATE_TIME: Duration = Duration::from_secs(60);
