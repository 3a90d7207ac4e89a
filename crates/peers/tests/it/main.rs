//! Every starter is used for what it is for, against the real peer.

#![cfg(test)] // so that the lints see tests, and what tests call, as tests

mod certbot;
mod dns;
mod life;
mod nginx;
mod pebble;
