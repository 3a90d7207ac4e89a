//! Tests of targets on a real file system, with real commands.

mod crash;
mod files;
mod nginx;
mod planted;
mod renames;
mod world;
