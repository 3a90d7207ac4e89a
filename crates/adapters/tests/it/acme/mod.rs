//! The ACME room against a real CA, against servers that misbehave, and beside another client.

mod beside_instant_acme;
mod hostile;
mod on_pebble;
mod world;
