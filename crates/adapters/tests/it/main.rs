//! The hands, against real peers.

#[cfg(test)]
mod probe;
