//! Chance from a seed.

use perennial_core::words::Permille;

/// A seeded generator (splitmix64): the same seed throws the same numbers, on every machine.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Makes dice of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Throws 64 bits.
    pub const fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Throws a number below `end`; 0 where `end` is 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        let thrown = self.throw();
        if end == 0 { 0 } else { thrown % end }
    }

    /// Throws whether something of this chance happens.
    ///
    /// Throws once whatever the chance is, so that turning a fault on or off does not shift every
    /// later throw.
    pub fn chance(&mut self, chance: Permille) -> bool {
        self.below(1000) < u64::from(chance.get())
    }

    /// Splits off dice that throw independently of these.
    pub const fn split(&mut self) -> Self {
        Self(self.throw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_numbers_of_the_reference_implementation() {
        let mut dice = Dice::new(1_234_567);
        let thrown: Vec<u64> = (0..3).map(|_| dice.throw()).collect();
        assert_eq!(
            thrown,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn a_chance_of_none_never_happens_and_of_all_always() {
        let mut dice = Dice::new(7);
        assert!((0..1000).all(|_| !dice.chance(Permille::new(0))));
        assert!((0..1000).all(|_| dice.chance(Permille::new(1000))));
    }
}
