//! What the fuzzer feeds: replies, as if they had come from the server asked.

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};

use super::exchange::Exchange;
use super::resolver::{AliasChain, Answered, negative_zone};
use super::{DnsError, Recursion, Tsig, question};

/// Reads a reply to a question about a name as [`super::exchange()`] would. Its id is made to be the
/// question's: guessing it is not what is tried.
///
/// # Errors
///
/// Returns why it is no answer to it.
pub fn read_reply(
    name: &str,
    kind: RecordType,
    reply: &[u8],
    tsig: Option<&Tsig>,
) -> Result<Message, DnsError> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    let exchange = Exchange::new(server, question(name, kind, Recursion::Desired)?, tsig)?;
    let id = exchange.request.metadata.id.to_be_bytes();
    let rest = reply.get(id.len()..).unwrap_or_default();
    exchange.read(&[&id, rest].concat())
}

/// Follows the aliases that a reply shows, as a lookup does, and returns the records at their end and
/// the zone that a reply without records is of.
///
/// # Errors
///
/// Returns that the chain is too long or a circle.
pub fn follow_reply(
    name: &str,
    kind: RecordType,
    message: Message,
    bailiwick: &str,
) -> Result<(Vec<RData>, Option<String>), DnsError> {
    let answered = Answered { message, bailiwick: bailiwick.to_owned() };
    let records = AliasChain::new(name).follow(&answered, kind)?;
    Ok((records, negative_zone(&answered, name)))
}
