//! Chance: drawn here, recorded by the driver, replayed from the journal.

use aws_lc_rs::rand;

/// Draws numbers for the driver.
#[derive(Debug, Default)]
pub struct Draws {
    state: Option<u64>,
}

impl Draws {
    /// Draws from the system's source of chance.
    #[must_use]
    pub const fn of_system() -> Self {
        Self { state: None }
    }

    /// Draws the same numbers for the same seed, for tests and demos.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: Some(seed) }
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> u64 {
        match &mut self.state {
            Some(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed ^ (mixed >> 31)
            }
            None => {
                let mut bytes = [0; 8];
                // Without chance retries are merely not spread; that is no reason to stop.
                let _ = rand::fill(&mut bytes);
                u64::from_be_bytes(bytes)
            }
        }
    }
}
