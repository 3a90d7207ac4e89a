//! Why nothing could be looked at, and whose fault that is.

use perennial_core::words::{Blame, Failure, FailureKind};
use perennial_wire::dns::DnsError;

/// Why an endpoint could not be looked at at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The ask is another room's.
    NotMine,
    /// No client asks for a wildcard.
    Wildcard,
    /// The host has no address.
    NoAddress(String),
    /// The host's addresses cannot be looked up.
    Dns(DnsError),
}

/// Classifies: a name without address is the endpoint's fault, a resolver that does not answer ours.
pub(super) fn failure(attempted: &str, trouble: &Trouble) -> Failure {
    let endpoint = || Blame::Endpoint(attempted.trim_start_matches("look at ").into());
    let (kind, blame, cause) = match trouble {
        Trouble::NotMine => {
            (FailureKind::Refused, Blame::Ourselves, "the ask is another room's".to_owned())
        }
        Trouble::Wildcard => {
            let cause = "a wildcard cannot be asked for; declare a name below it".to_owned();
            (FailureKind::Refused, Blame::Ourselves, cause)
        }
        Trouble::NoAddress(host) => {
            (FailureKind::Refused, endpoint(), format!("`{host}` has no address"))
        }
        Trouble::Dns(error) => {
            let (kind, blame) = match error {
                DnsError::Name(_) => (FailureKind::Refused, endpoint()),
                // Somebody answered, and could not say: the zone behind the name is in trouble.
                DnsError::Code { .. }
                | DnsError::Aliases { .. }
                | DnsError::Lame { .. }
                | DnsError::TooDeep { .. } => (FailureKind::Transient, endpoint()),
                DnsError::Unwritable(_)
                | DnsError::Timeout { .. }
                | DnsError::Late { .. }
                | DnsError::Unreachable { .. }
                | DnsError::NoRoute { .. }
                | DnsError::Malformed { .. }
                | DnsError::Tsig { .. }
                | DnsError::NoServers(_) => (FailureKind::Transient, Blame::Ourselves),
            };
            (kind, blame, error.to_string())
        }
    };
    Failure { kind, blame, attempted: attempted.into(), cause: cause.into(), problem: None }
}
