//! What the hands share, against real peers.

#[cfg(test)]
mod dns;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod starttls;
#[cfg(test)]
mod tls;
