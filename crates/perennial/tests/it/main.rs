//! The whole: what no single crate can test of itself.

#![cfg(test)] // so that the lints see tests, and what tests call, as tests

mod tidy;
