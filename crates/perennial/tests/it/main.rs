//! The program, against real peers.

#![cfg(test)] // so that the lints see tests, and what tests call, as tests

mod accounts;
mod acme_on_sandbox;
mod addresses;
mod authority;
mod backing_up;
mod beginning;
mod check;
mod command_line;
mod declaring;
mod demo;
mod failing;
mod holding;
mod importing;
mod issuing;
mod keys;
mod kill;
mod load;
mod naming;
mod process;
mod providers;
mod putting_back;
mod reloading;
mod renewing;
mod revoked;
mod revoking;
mod running;
mod secrets;
mod servers;
mod service;
mod serving;
mod tidy;
mod variants;
mod world;
