//! Tests of targets on a real file system, with real commands.

mod crash;
mod files;
mod haproxy;
mod nginx;
mod planted;
mod renames;
mod variants;
mod world;
