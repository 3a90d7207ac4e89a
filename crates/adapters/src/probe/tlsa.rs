//! The TLSA records of a service, as far as they bind anybody.
//!
//! Records in an unsigned zone are heeded by no client (RFC 6698 section 4.1), so such count as none.
//! Whether signatures hold is not checked: to hold a deployment for records that clients then do not
//! believe costs some days, and to pass over records that they do believe costs their connections.

use std::time::Duration;

use perennial_core::words::{
    Fingerprint, Identifier, TlsaRecord, TlsaSelector, TlsaSet, TlsaUsage,
};
use perennial_wire::digest::sha256;
use perennial_wire::dns::proto::rdata::TLSA;
use perennial_wire::dns::{RecordType, Resolver};

/// How many records of one service are read. Two of each usage, while a key is changed, are eight.
const MAX_RECORDS: usize = 32;

/// Looks up the records; nothing where that is not possible, or not within `timeout`.
pub(super) async fn look_up(
    resolver: &Resolver,
    name: &Identifier,
    port: u16,
    timeout: Duration,
) -> Option<TlsaSet> {
    if name.is_ip() {
        return Some(TlsaSet::default());
    }
    // Source: RFC 6698 section 3.
    let owner = format!("_{port}._tcp.{name}");
    let lookup = resolver.lookup(&owner, RecordType::TLSA);
    let found = tokio::time::timeout(timeout, lookup).await.ok()?.ok()?;
    if !found.signed {
        return Some(TlsaSet::default());
    }
    let mut records: Vec<TlsaRecord> =
        found.tlsa().iter().take(MAX_RECORDS).filter_map(read).collect();
    // Servers rotate them.
    records.sort_unstable();
    Some(TlsaSet { records: records.into(), ttl_secs: found.ttl_secs })
}

/// Reads a record; one of a usage, selector or matching type that nobody knows is unusable (RFC 7671
/// section 5).
fn read(record: &TLSA) -> Option<TlsaRecord> {
    let usage = match u8::from(record.cert_usage) {
        0 => TlsaUsage::PkixTa,
        1 => TlsaUsage::PkixEe,
        2 => TlsaUsage::DaneTa,
        3 => TlsaUsage::DaneEe,
        _ => return None,
    };
    let selector = match u8::from(record.selector) {
        0 => TlsaSelector::Certificate,
        1 => TlsaSelector::Key,
        _ => return None,
    };
    let data = record.cert_data.as_slice();
    let digest = match u8::from(record.matching) {
        // The thing itself: its digest says as much.
        0 => Some(sha256(data)),
        1 => Some(data.try_into().ok()?),
        // SHA-512, which is not known of leaves.
        2 => None,
        _ => return None,
    };
    Some(TlsaRecord { usage, selector, digest: digest.map(Fingerprint) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Option<TlsaRecord> {
        read(&TLSA::new(usage.into(), selector.into(), matching.into(), data.to_vec()))
    }

    #[test]
    fn records_are_read_as_far_as_they_can_be_used() {
        let digest = Some(Fingerprint(sha256(b"spki")));
        let record =
            |digest| TlsaRecord { usage: TlsaUsage::DaneEe, selector: TlsaSelector::Key, digest };
        assert_eq!(told(3, 1, 1, &sha256(b"spki")), Some(record(digest)));
        assert_eq!(told(3, 1, 0, b"spki"), Some(record(digest)), "the key itself");
        assert_eq!(told(3, 1, 2, &[7; 64]), Some(record(None)));
        assert_eq!(told(3, 1, 1, b"short"), None);
        for (usage, selector, matching) in [(4, 1, 1), (3, 2, 1), (3, 1, 3), (255, 255, 255)] {
            assert_eq!(told(usage, selector, matching, &[7; 32]), None);
        }
        let anchor = told(2, 0, 1, &[7; 32]).unwrap();
        assert_eq!((anchor.usage, anchor.selector), (TlsaUsage::DaneTa, TlsaSelector::Certificate));
    }
}
