//! Keeps every TLS certificate you depend on valid, deployed and served.
//!
//! The binary's own rooms: the run loop, the command line, what is shown. `main.rs` only calls in
//! here, so that tests can too.

pub mod check;
pub mod cli;
pub mod clock;
pub mod control;
pub mod demo;
pub mod draft;
pub mod import;
pub mod init;
pub mod live;
pub mod run;
pub mod sd_notify;
pub mod view;
