//! DNS for everybody: one exchange with one server, TSIG, and lookups.
//!
//! [`exchange()`] asks one server one thing, over UDP and, when the answer does not fit, over TCP. It
//! chases nothing and hides nothing: what that server said is what is returned. [`Resolver`] looks
//! names up: through given servers that recurse, or by walking down from the root itself, so that a
//! diagnosis does not depend on anybody's cache. [`Tsig`] signs, by the wall clock.
//!
//! Names go in and come out as text in lower case without final dot; the root is the empty text.
//! Every wait, size, chain and number of questions is bounded: the zones looked at are strangers'.
//!
//! Nothing is cached, and `/etc/hosts` is not read: what is wanted is what the world sees now.

mod error;
mod exchange;
mod resolver;
mod texts;
mod tsig;
mod walk;
mod zone;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::Name;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub use error::{DnsError, TsigFailure, mnemonic};
pub use exchange::{exchange, exchange_over_tcp};
pub use resolver::{Lookup, MAX_ALIASES, Resolver};
pub use texts::texts_at;
pub use tsig::{Tsig, TsigAlgorithm};
pub use zone::{NameServer, ZoneServers};

/// The wire format's own types, for rooms that build messages of their own (RFC 2136 updates).
pub mod proto {
    pub use hickory_proto::op::{
        Message, MessageType, OpCode, Query, ResponseCode, UpdateMessage, update_message,
    };
    pub use hickory_proto::rr::rdata;
    pub use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
}

pub use hickory_proto::rr::RecordType;

/// The size of UDP answers we ask for: fits every path without fragments (DNS Flag Day 2020).
pub const UDP_PAYLOAD: u16 = 1232;

/// Whether a server is to find the answer elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recursion {
    /// For servers that recurse for us.
    Desired,
    /// For authoritative servers: say what you have.
    NotDesired,
}

/// Makes a question.
///
/// # Errors
///
/// Returns [`DnsError::Name`] if the text is no DNS name.
pub fn question(name: &str, kind: RecordType, recursion: Recursion) -> Result<Message, DnsError> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = recursion == Recursion::Desired;
    message.add_query(Query::query(to_name(name)?, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    // Without signatures TLSA records bind nobody, so whether there are some is asked with them.
    edns.set_dnssec_ok(kind == RecordType::TLSA);
    message.set_edns(edns);
    Ok(message)
}

/// Reads a name from text.
///
/// # Errors
///
/// Returns [`DnsError::Name`] if the text is no DNS name.
pub fn to_name(text: &str) -> Result<Name, DnsError> {
    let mut name = Name::from_ascii(text).map_err(|_| DnsError::Name(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}

/// Writes a name as text: lower case, without final dot, whatever is not printable escaped.
#[must_use]
pub fn to_text(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// Returns the name above a name, or nothing above the root.
#[must_use]
pub fn parent(name: &str) -> Option<&str> {
    if name.is_empty() {
        return None;
    }
    Some(name.split_once('.').map_or("", |(_, rest)| rest))
}

/// Returns whether a name is `zone` or lies below it.
#[must_use]
pub fn is_within(name: &str, zone: &str) -> bool {
    zone.is_empty()
        || name == zone
        || name.strip_suffix(zone).is_some_and(|head| head.ends_with('.'))
}

#[cfg(test)]
mod tests;
