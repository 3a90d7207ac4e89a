//! The texts that one server has at a name.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};

use super::{DnsError, Recursion, exchange, question, to_text};

/// Returns the TXT values that a server has at a name, each with its strings joined; nothing if it
/// will not say. A name that does not exist has none.
///
/// # Errors
///
/// Returns why there is no answer.
pub async fn texts_at(
    server: SocketAddr,
    record: &str,
    within: Duration,
) -> Result<Option<Vec<Vec<u8>>>, DnsError> {
    let request = question(record, RecordType::TXT, Recursion::NotDesired)?;
    let reply = exchange(server, request, within, None).await?;
    let code = reply.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Ok(None);
    }
    let at_name =
        reply.answers.iter().filter(|found| to_text(&found.name).eq_ignore_ascii_case(record));
    let values = at_name.filter_map(|found| match &found.data {
        RData::TXT(txt) => Some(txt.txt_data.iter().flat_map(|part| part.to_vec()).collect()),
        _ => None,
    });
    Ok(Some(values.collect()))
}
