//! A certificate as its checkpoint says it: what is said alike is said once, and named by number.
//!
//! A leaf is told in some 600 bytes, and at each of its targets it is the same one; what addresses
//! serve is the same at nearly all of them. So a ledger names its leaf by its place in a list, which
//! is the newest leaf, if there is one, then the predecessors, then `leaves`: those that only lie at
//! targets. An address names what it serves by its place in `served`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::net::SocketAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::certificate::Certificate;
use super::deployment::Deployment;
use super::endpoint::{AddressState, EndpointState, Lasting, Served};
use crate::words::{LeafFacts, Sample, SightState};

/// A certificate, or a reference to one, with its ledgers and endpoints beside it.
#[derive(Serialize, Deserialize)]
struct Compact<C> {
    own: C,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leaves: Vec<Arc<LeafFacts>>,
    targets: Box<[Deployment<usize>]>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    served: Vec<Arc<Served>>,
    endpoints: Box<[EndpointState<Address>]>,
}

/// An address that names what it serves.
#[derive(Clone, Serialize, Deserialize)]
struct Address {
    address: SocketAddr,
    state: SightState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubts: Option<Box<Lasting>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample: Option<Sample>,
}

/// Writes a certificate.
pub(super) fn serialize<S: Serializer>(
    certificate: &Certificate,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Compact::of(certificate).serialize(serializer)
}

/// Reads a certificate.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Box<Certificate>, D::Error> {
    let compact = Compact::deserialize(deserializer)?;
    compact.unfolded().map(Box::new).map_err(de::Error::custom)
}

impl<'a> Compact<&'a Certificate> {
    fn of(certificate: &'a Certificate) -> Self {
        let mut leaves: Vec<_> = certificate.told().collect();
        let told = leaves.len();
        let ledgers = certificate.targets.iter().cloned().map(|ledger| {
            let Ok(named) = ledger.naming(|facts| named(&mut leaves, facts));
            named
        });
        let targets = ledgers.collect();
        let mut served = Vec::new();
        let mut shown = |AddressState { address, state, served: own, doubts, sample }| {
            let served = own.map(|own| named(&mut served, own)).transpose()?;
            Ok::<_, Infallible>(Address { address, state, served, doubts, sample })
        };
        let endpoints = certificate.endpoints.iter().cloned().map(|endpoint| {
            let Ok(named) = endpoint.naming(&mut shown);
            named
        });
        let endpoints = endpoints.collect();
        Self { own: certificate, leaves: leaves.split_off(told), targets, served, endpoints }
    }
}

impl Compact<Certificate> {
    fn unfolded(self) -> Result<Certificate, &'static str> {
        let Self { own: mut certificate, leaves, targets, served, endpoints } = self;
        let leaves: Vec<_> = certificate.told().chain(leaves).collect();
        let leaf = |place| leaves.get(place).cloned().ok_or("a target has a leaf that is not told");
        let ledgers = targets.into_iter().map(|ledger| ledger.naming(leaf));
        certificate.targets = ledgers.collect::<Result<_, _>>()?;
        let shows = |place| served.get(place).cloned().ok_or("an address shows what is not told");
        let unfolded = |Address { address, state, served, doubts, sample }| {
            let served = served.map(shows).transpose()?;
            Ok::<_, &str>(AddressState { address, state, served, doubts, sample })
        };
        let endpoints = endpoints.into_iter().map(|endpoint| endpoint.naming(unfolded));
        certificate.endpoints = endpoints.collect::<Result<_, _>>()?;
        Ok(certificate)
    }
}

impl Certificate {
    /// Returns the leaves that the certificate itself tells.
    fn told(&self) -> impl Iterator<Item = Arc<LeafFacts>> {
        let newest = self.leaf.iter().map(|leaf| &leaf.facts);
        newest.chain(self.predecessors.iter().map(|known| &known.facts)).cloned()
    }
}

/// Returns the place of a thing in a list, to which it is added if it is not there.
fn named<T: PartialEq>(list: &mut Vec<Arc<T>>, own: Arc<T>) -> Result<usize, Infallible> {
    let place = list.iter().position(|known| *known == own);
    Ok(place.unwrap_or_else(|| {
        list.push(own);
        list.len() - 1
    }))
}
