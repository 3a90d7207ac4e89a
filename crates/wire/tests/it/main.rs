//! What the hands share, against real peers.

#[cfg(test)]
mod dns;
#[cfg(test)]
mod knot;
#[cfg(test)]
mod tls;
