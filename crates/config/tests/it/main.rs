//! What operators see: whole messages, compared as text, and what a file comes to mean.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what tests call may fail like tests")]

mod folder;
mod manual;
mod meaning;
mod mistakes;
mod properties;
mod schema;
