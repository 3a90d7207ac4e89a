//! The judge: words, records, fold, decide, findings and the driver.
//!
//! ```text
//! journal ──fold──▶ state ──decide(intent, state, now)──▶ actions, findings, wake_at
//!    ▲                                                        │
//!    └──────── outcomes and observations ◀── perform ◀────────┘
//! ```
//!
//! State is the fold of an append-only journal; deciding is pure and total. There is no clock, no
//! file, no socket, no thread and no randomness here: `now` and draws of chance are arguments, and
//! whatever happened outside comes in as an [`action::Outcome`] or an [`action::Reply`].

#![no_std]

extern crate alloc;

pub mod action;
pub mod decide;
pub mod driver;
pub mod event;
pub mod finding;
pub mod intent;
pub mod record;
pub mod state;
pub mod words;
