//! Why a question got no answer.

use std::io;
use std::net::SocketAddr;

use hickory_proto::op::{Message, ResponseCode};

/// Why a question got no answer that can be used. That a name does not exist is an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The text is no DNS name.
    #[error("`{0}` is no DNS name")]
    Name(String),
    /// The message is larger than DNS allows.
    #[error("the message cannot be written: {0}")]
    Unwritable(String),
    /// No answer came in time.
    #[error("{server} did not answer within {timeout_ms} ms")]
    Timeout {
        /// Who was asked.
        server: SocketAddr,
        /// How long was waited, in milliseconds.
        timeout_ms: u64,
    },
    /// No connection.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable {
        /// Who was asked.
        server: SocketAddr,
        /// What the system says.
        cause: String,
    },
    /// This machine has no way there (no IPv6 here, say): nothing is known of the server.
    #[error("there is no way from here to {server}: {cause}")]
    NoRoute {
        /// Who was to be asked.
        server: SocketAddr,
        /// What the system says.
        cause: String,
    },
    /// What came is no DNS message, or not the answer to what was asked.
    #[error("{server} answered with nonsense: {cause}")]
    Malformed {
        /// Who was asked.
        server: SocketAddr,
        /// What is wrong.
        cause: String,
    },
    /// The server does not accept our signature, or its own does not hold.
    #[error("{server}: {failure}")]
    Tsig {
        /// Who was asked.
        server: SocketAddr,
        /// What is wrong.
        failure: TsigFailure,
    },
    /// The server will not or cannot say.
    #[error("{server} answered {code} for {kind} of `{name}`{}", detail.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Code {
        /// Who was asked.
        server: SocketAddr,
        /// The response code's mnemonic (`SERVFAIL`).
        code: &'static str,
        /// What was asked for.
        kind: String,
        /// Of which name.
        name: String,
        /// The extended error (RFC 8914), where one was given.
        detail: Option<String>,
    },
    /// A chain of aliases that is too long or a circle.
    #[error("the chain of CNAMEs from `{name}` is too long or a circle")]
    Aliases {
        /// Where it begins.
        name: String,
    },
    /// The servers to which a zone is delegated do not answer for it.
    #[error("no server of zone `{}` answers for it", if zone.is_empty() { "." } else { zone })]
    Lame {
        /// Which zone.
        zone: String,
    },
    /// Too many questions for one name.
    #[error("looking `{name}` up takes more than {limit} questions")]
    TooDeep {
        /// Which name.
        name: String,
        /// The bound.
        limit: u32,
    },
    /// Everybody together took too long: a chain of aliases or of silent servers.
    #[error("`{name}` could not be looked up within {within_ms} ms")]
    Late {
        /// Which name.
        name: String,
        /// How long was waited, in milliseconds.
        within_ms: u64,
    },
    /// There is nobody to ask.
    #[error("no name server is known: {0}")]
    NoServers(String),
}

/// What is wrong about a signature.
///
/// Source: RFC 8945 section 5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TsigFailure {
    /// The server does not know a key of that name and algorithm; Knot says so too of a key that it
    /// knows but that no ACL lets do this.
    #[error("the server does not know the TSIG key, or has no use for it here (BADKEY)")]
    BadKey,
    /// The server knows the key, but with another secret.
    #[error("the secret of the TSIG key differs from the server's (BADSIG)")]
    BadSig,
    /// Our clock and the server's differ by more than five minutes.
    #[error("our clock and the server's differ by more than {fudge_secs} s (BADTIME){}", .server_secs.map(|at| format!("; the server's is at {at} s since 1970")).unwrap_or_default())]
    BadTime {
        /// The server's clock, in seconds since 1970, where it says so.
        server_secs: Option<u64>,
        /// The difference allowed, in seconds.
        fudge_secs: u16,
    },
    /// The server wants another length of signatures.
    #[error("the server refuses the length of the signature (BADTRUNC)")]
    BadTrunc,
    /// An error of TSIG that this release does not know.
    #[error("the server refuses the signature (TSIG error {0})")]
    Other(u16),
    /// The answer is not signed although the question was; nothing in it can be believed, not even
    /// that it was the server who refused.
    #[error("the answer ({code}) is not signed")]
    Unsigned {
        /// The response code's mnemonic.
        code: &'static str,
    },
    /// The answer's signature does not hold, or it was made at another time.
    #[error("the answer's signature does not hold: {0}")]
    Forged(String),
}

impl DnsError {
    /// Returns which server is at fault, where one is.
    #[must_use]
    pub const fn server(&self) -> Option<SocketAddr> {
        match self {
            Self::Timeout { server, .. }
            | Self::Unreachable { server, .. }
            | Self::NoRoute { server, .. }
            | Self::Malformed { server, .. }
            | Self::Tsig { server, .. }
            | Self::Code { server, .. } => Some(*server),
            _ => None,
        }
    }

    /// Makes the error of a system call.
    pub(super) fn of_io(server: SocketAddr, error: &io::Error) -> Self {
        let cause = crate::net::describe(error);
        if crate::net::no_route(error) {
            Self::NoRoute { server, cause }
        } else {
            Self::Unreachable { server, cause }
        }
    }

    /// Makes the error of an answer whose response code is no answer.
    pub(super) fn of_code(server: SocketAddr, answer: &Message) -> Self {
        let (kind, name) = answer.queries.first().map_or_else(Default::default, |query| {
            (query.query_type().to_string(), super::to_text(query.name()))
        });
        let code = mnemonic(answer.metadata.response_code);
        Self::Code { server, code, kind, name, detail: extended_error(answer) }
    }
}

/// Returns a response code as operators write it.
#[must_use]
pub const fn mnemonic(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::YXDomain => "YXDOMAIN",
        ResponseCode::YXRRSet => "YXRRSET",
        ResponseCode::NXRRSet => "NXRRSET",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotZone => "NOTZONE",
        ResponseCode::BADVERS => "BADVERS",
        _ => "an unknown response code",
    }
}

/// Reads the extended error of an answer: its number, with its text if it has one.
///
/// Source: RFC 8914 section 2.
fn extended_error(answer: &Message) -> Option<String> {
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    let EdnsOption::Unknown(_, data) = answer.edns.as_ref()?.option(EdnsCode::Unknown(15))? else {
        return None;
    };
    let (code, text) = data.split_at_checked(2)?;
    let code = u16::from_be_bytes(code.try_into().ok()?);
    let text = String::from_utf8_lossy(text);
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = EXTENDED.iter().find(|(known, _)| *known == code).map(|(_, name)| *name);
    let name = name.map_or_else(|| format!("extended error {code}"), str::to_owned);
    Some(if text.is_empty() { name } else { format!("{name}: {text}") })
}

/// Extended errors that operators meet. Source: RFC 8914 section 4.
const EXTENDED: [(u16, &str); 12] = [
    (6, "DNSSEC bogus"),
    (7, "signature expired"),
    (8, "signature not yet valid"),
    (9, "DNSKEY missing"),
    (10, "RRSIGs missing"),
    (11, "no zone key bit set"),
    (12, "NSEC missing"),
    (14, "not ready"),
    (15, "blocked"),
    (18, "prohibited"),
    (22, "no reachable authority"),
    (23, "network error"),
];
