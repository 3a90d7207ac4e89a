//! Models of the outside world: each a state machine without I/O, clock or chance of its own.
//!
//! `now` is an argument, chance comes from a [`Dice`] made of a seed, and what a model needs from
//! elsewhere it asks for by an effect whose answer is handed in later. So the same model stands
//! behind the sockets of the sandbox and inside the simulator, and a run can be repeated from its
//! seed. Every model has switches for the faults that are seen in the wild.

pub mod ca;
pub mod dns;
pub mod host;
pub mod target;

mod dice;

pub use dice::Dice;
