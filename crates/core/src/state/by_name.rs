//! Certificates by name.
//!
//! Every record, reply and outcome names its stream, so that this is asked several times for each. A
//! table in one piece answers in one step, where a tree of a million has five levels.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::CertificateId;
use crate::words::Name;

/// Where certificates are, by the hash of their name, in open addressing: who finds a slot taken
/// takes the next one that is free. Nothing is ever taken out.
#[derive(Clone, Debug, Default)]
pub(super) struct ByName {
    /// As many as a power of two, of which a quarter is free at least.
    slots: Vec<Option<Slot>>,
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    /// One more than the place, so that a free slot takes no room of its own.
    next: NonZeroU32,
}

const _: () = assert!(size_of::<Option<Slot>>() == 8);

impl ByName {
    /// Returns the certificate that has a name, among those of equal hash.
    pub(super) fn find(
        &self,
        name: &Name,
        is_it: impl Fn(CertificateId) -> bool,
    ) -> Option<CertificateId> {
        let hash = short(name);
        for place in self.ways(hash) {
            let slot = (*self.slots.get(place)?)?;
            let id = CertificateId(slot.next.get() - 1);
            if slot.hash == hash && is_it(id) {
                return Some(id);
            }
        }
        None
    }

    /// Adds a certificate, whose name must not be there yet.
    pub(super) fn add(&mut self, name: &Name, id: CertificateId) {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            let slots = alloc::vec![None; (self.slots.len() * 2).max(16)];
            let before = core::mem::replace(&mut self.slots, slots);
            before.into_iter().flatten().for_each(|slot| self.put(slot));
        }
        self.put(Slot { hash: short(name), next: NonZeroU32::MIN.saturating_add(id.0) });
        self.taken += 1;
    }

    fn put(&mut self, slot: Slot) {
        for place in self.ways(slot.hash) {
            if let Some(free @ None) = self.slots.get_mut(place) {
                *free = Some(slot);
                return;
            }
        }
    }

    /// Returns the slots in which a hash may be, in the order in which they are taken.
    fn ways(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let count = self.slots.len();
        let mask = count.wrapping_sub(1);
        (0..count).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }
}

/// Returns half of a name's hash: what is alike by chance is told apart by the name.
fn short(name: &Name) -> u32 {
    let [a, b, c, d, ..] = name.hash().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_many_is_found_by_its_name_and_nobody_else_is() {
        let name = |number: u32| Name::new(&alloc::format!("c{number}"));
        let mut by_name = ByName::default();
        assert_eq!(by_name.find(&name(0), |_| true), None);
        for number in 0..10_000 {
            by_name.add(&name(number), CertificateId(number));
        }
        for number in 0..10_000 {
            let own = CertificateId(number);
            assert_eq!(by_name.find(&name(number), |id| id == own), Some(own));
        }
        assert_eq!(by_name.find(&name(10_000), |id| id.0 == 10_000), None);
        assert!(by_name.slots.len() == 16_384 && by_name.taken == 10_000);
    }
}
