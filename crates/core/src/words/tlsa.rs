//! TLSA records: which certificates or keys a zone says a service has (DANE).

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use super::{Fingerprint, KeyId, LeafFacts};

/// The TLSA records of a service in a signed zone. Records in an unsigned one bind nobody (RFC 6698
/// section 4.1), and there are none then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsaSet {
    /// The usable ones.
    pub records: Box<[TlsaRecord]>,
    /// How long others may remember them, in seconds.
    pub ttl_secs: u32,
}

/// One TLSA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TlsaRecord {
    /// Which certificate of the chain it speaks of.
    pub usage: TlsaUsage,
    /// What of it.
    pub selector: TlsaSelector,
    /// SHA-256 of that; absent where the record has another digest, which cannot be compared.
    pub digest: Option<Fingerprint>,
}

/// Source: RFC 6698 section 2.1.1, RFC 7218 section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsaUsage {
    /// 0: a CA's certificate, of a path that clients trust anyway.
    PkixTa,
    /// 1: the leaf, of a path that clients trust anyway.
    PkixEe,
    /// 2: a CA's certificate, whoever trusts it.
    DaneTa,
    /// 3: the leaf, whoever trusts it.
    DaneEe,
}

/// Source: RFC 6698 section 2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsaSelector {
    /// 0: the whole certificate.
    Certificate,
    /// 1: its public key.
    Key,
}

impl TlsaSet {
    /// Returns whether a client that heeds the records accepts the leaf; nothing where that cannot
    /// be known: without records, for digests that were not read, for a root that was not sent.
    ///
    /// Source: RFC 6698 section 2.1, RFC 7671 sections 5.1 to 5.4.
    #[must_use]
    pub fn accepts(&self, leaf: &LeafFacts) -> Option<bool> {
        let says = |verdict| self.records.iter().any(|record| record.accepts(leaf) == verdict);
        // One that fits is enough; one that cannot be judged may be the one that fits.
        if says(Some(true)) {
            Some(true)
        } else if self.records.is_empty() || says(None) {
            None
        } else {
            Some(false)
        }
    }
}

impl TlsaRecord {
    /// Returns whether the record alone accepts the leaf, as [`TlsaSet::accepts`].
    #[must_use]
    pub fn accepts(&self, leaf: &LeafFacts) -> Option<bool> {
        let digest = self.digest?;
        let fits = |certificate: Fingerprint, key: KeyId| match self.selector {
            TlsaSelector::Certificate => certificate == digest,
            TlsaSelector::Key => key.0 == digest.0,
        };
        let above = || {
            let traits = leaf.traits.as_ref()?;
            Some(traits.above.iter().any(|link| fits(link.fingerprint, link.key)))
        };
        match self.usage {
            TlsaUsage::PkixEe | TlsaUsage::DaneEe => Some(fits(leaf.fingerprint, leaf.key)),
            TlsaUsage::DaneTa => above(),
            // It may speak of a root, which servers leave out (RFC 7671 section 5.4).
            TlsaUsage::PkixTa => above().filter(|fits| *fits),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;
    use crate::words::{KeyKind, Link, Traits, Validity};

    fn leaf(key: u8, above: &[u8]) -> LeafFacts {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let link = |n: &u8| Link { fingerprint: Fingerprint([*n; 32]), key: KeyId([n + 100; 32]) };
        LeafFacts {
            fingerprint: Fingerprint([key; 32]),
            key: KeyId([key + 100; 32]),
            identifiers: Arc::default(),
            validity: Validity { not_before: at, not_after: at },
            chain_not_after: at,
            issued_by: "CA".into(),
            ari_id: None,
            for_servers: true,
            chain_in_order: true,
            traits: Some(Arc::new(Traits {
                key_kind: KeyKind::EcdsaP256,
                for_clients: false,
                above: above.iter().map(link).collect(),
                root: "Root".into(),
            })),
            trusted: None,
        }
    }

    fn set(records: &[(TlsaUsage, TlsaSelector, Option<u8>)]) -> TlsaSet {
        let record = |(usage, selector, digest): &(_, _, Option<u8>)| TlsaRecord {
            usage: *usage,
            selector: *selector,
            digest: digest.map(|byte| Fingerprint([byte; 32])),
        };
        TlsaSet { records: records.iter().map(record).collect(), ttl_secs: 60 }
    }

    #[test]
    fn each_usage_and_selector_speaks_of_its_part_of_the_chain() {
        use TlsaSelector::{Certificate, Key};
        use TlsaUsage::{DaneEe, DaneTa, PkixEe, PkixTa};
        let leaf = leaf(1, &[2, 3]);
        let says = |usage, selector, byte| set(&[(usage, selector, Some(byte))]).accepts(&leaf);
        for usage in [DaneEe, PkixEe] {
            assert_eq!(says(usage, Certificate, 1), Some(true));
            assert_eq!(says(usage, Key, 101), Some(true));
            assert_eq!(says(usage, Key, 1), Some(false), "a certificate's digest is no key's");
            assert_eq!(says(usage, Certificate, 2), Some(false), "only the leaf counts");
        }
        assert_eq!(says(DaneTa, Certificate, 3), Some(true));
        assert_eq!(says(DaneTa, Key, 102), Some(true));
        assert_eq!(says(DaneTa, Key, 101), Some(false), "the leaf is no anchor");
        assert_eq!(says(PkixTa, Key, 102), Some(true));
        assert_eq!(says(PkixTa, Key, 9), None, "it may be the root's, which is not sent");
    }

    #[test]
    fn one_record_that_fits_is_enough_and_one_that_cannot_be_judged_leaves_it_open() {
        use TlsaSelector::Key;
        use TlsaUsage::DaneEe;
        let leaf = leaf(1, &[]);
        let (fits, other, unread) =
            ((DaneEe, Key, Some(101)), (DaneEe, Key, Some(7)), (DaneEe, Key, None));
        assert_eq!(set(&[]).accepts(&leaf), None);
        assert_eq!(set(&[other, fits]).accepts(&leaf), Some(true));
        assert_eq!(set(&[unread, fits]).accepts(&leaf), Some(true));
        assert_eq!(set(&[other, other]).accepts(&leaf), Some(false));
        assert_eq!(set(&[other, unread]).accepts(&leaf), None);
    }
}
