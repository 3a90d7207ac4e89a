//! The hands, against real peers.

#[cfg(test)]
mod acme;
#[cfg(test)]
mod probe;
