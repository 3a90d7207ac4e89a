//! Nonces: each good once, and only so many remembered.

use std::collections::{BTreeSet, VecDeque};

use aws_lc_rs::rand;

use super::jose::encode;

/// How many are remembered; the oldest are forgotten, and their use is a bad nonce.
const MAX_NONCES: usize = 10_000;

/// The nonces given out and not used.
#[derive(Default)]
pub(super) struct Nonces {
    order: VecDeque<Box<str>>,
    unused: BTreeSet<Box<str>>,
}

impl Nonces {
    /// Gives out a nonce.
    pub(super) fn give(&mut self) -> Box<str> {
        let mut bytes = [0; 16];
        // Without entropy the nonce is the same again, and the second use of it is refused.
        let _ = rand::fill(&mut bytes);
        let nonce: Box<str> = encode(bytes).into();
        self.order.push_back(nonce.clone());
        self.unused.insert(nonce.clone());
        if self.order.len() > MAX_NONCES
            && let Some(oldest) = self.order.pop_front()
        {
            self.unused.remove(&oldest);
        }
        nonce
    }

    /// Uses a nonce up; returns whether it was good.
    pub(super) fn take(&mut self, nonce: &str) -> bool {
        self.unused.remove(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once() {
        let mut nonces = Nonces::default();
        let nonce = nonces.give();
        assert!(nonces.take(&nonce));
        assert!(!nonces.take(&nonce));
        for _ in 0..=MAX_NONCES {
            nonces.give();
        }
        assert_eq!(nonces.unused.len(), MAX_NONCES);
    }
}
