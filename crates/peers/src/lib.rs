//! Starts real peers (Pebble, BIND, Knot, nginx, ...) for tests; never shipped
