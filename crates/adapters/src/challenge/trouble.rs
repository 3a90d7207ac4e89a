//! What can go wrong with a solver, and whose fault it is: classified here and nowhere else.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use perennial_core::words::{Blame, ChallengeKind, Failure, FailureKind, Name};
use perennial_wire::alpn::AlpnError;
use perennial_wire::dns::proto::ResponseCode;
use perennial_wire::dns::{DnsError, TsigFailure, mnemonic};
use perennial_wire::host::HostPort;
use perennial_wire::program::ProgramError;

use super::provider::{Said, SaidKind};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("this room performs no such action")]
    NotOurs,
    #[error("no solver has this name")]
    UnknownSolver,
    #[error("this solver does not answer {}", .0.as_str())]
    WrongKind(ChallengeKind),
    #[error("the answer does not say where it goes")]
    Placeless,
    #[error("the CA's token is not base64url, so it can name no file")]
    Token,
    #[error("a task was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("{what} `{}`: {source}", path.display())]
    Disk { what: &'static str, path: PathBuf, source: io::Error },
    #[error("listen on {address}: {source}{}", listen_hint(source, kind))]
    Listen { address: SocketAddr, source: io::Error, kind: ChallengeKind },
    #[error(transparent)]
    Alpn(#[from] AlpnError),
    #[error("find the server {server}: {source}")]
    Server { server: HostPort, source: io::Error },
    #[error("{error}")]
    Dns { zone: Box<str>, error: Box<DnsError> },
    #[error(
        "{server} answered the update with {}: {}",
        mnemonic(*code),
        update_hint(*code, *signed)
    )]
    Update { zone: Box<str>, server: SocketAddr, code: ResponseCode, signed: Signed },
    #[error("{provider}: {said}{}", provider_hint(provider, said.kind))]
    Provider { provider: Box<str>, zone: Box<str>, said: Box<Said> },
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// Whether an update was signed.
///
/// NOTAUTH stands for two things, "not authoritative" (RFC 2136) and "not authorized" (RFC 8945);
/// Knot says the second to updates that are not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Yes,
    No,
}

fn listen_hint(source: &io::Error, kind: &ChallengeKind) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse if *kind == ChallengeKind::TlsAlpn01 => {
            "; another program listens there, and a tls-alpn-01 answer can share its port with \
             nothing: prove the name by another challenge (`http-01 = \"webroot\"`, `dns-01`), or \
             have that program pass connections that offer acme-tls/1 alone on to a port of ours \
             (`listen = [...]`)"
        }
        io::ErrorKind::AddrInUse => {
            "; another program listens there: let it serve a webroot (`webroot = ...`), or have it \
             pass /.well-known/acme-challenge/ on to a port of ours (`listen = [...]`)"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need the capability CAP_NET_BIND_SERVICE \
             (`AmbientCapabilities=CAP_NET_BIND_SERVICE` in the systemd unit)"
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

const fn update_hint(code: ResponseCode, signed: Signed) -> &'static str {
    match code {
        ResponseCode::NotAuth if matches!(signed, Signed::No) => {
            "it wants updates to be signed (`tsig = ...`), or is not the primary of this zone"
        }
        ResponseCode::NotAuth => "it is not the primary of this zone",
        ResponseCode::Refused => "its policy does not let this key change this record",
        ResponseCode::ServFail => "it could not change the zone; its own log says why",
        ResponseCode::NotZone => "the record does not belong to the zone",
        ResponseCode::NotImp | ResponseCode::FormErr => "it takes no updates",
        _ => "it does not take the update",
    }
}

fn provider_hint(provider: &str, kind: SaidKind) -> String {
    match kind {
        SaidKind::Unauthorized => {
            format!("; which permissions the credentials need: perennial help {provider}")
        }
        SaidKind::NoZone => {
            "; is the zone in another account, or with another provider?".to_owned()
        }
        SaidKind::Refused | SaidKind::Trouble | SaidKind::NotDone | SaidKind::Taken => {
            String::new()
        }
    }
}

impl Trouble {
    pub(super) fn disk(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Disk { what, path: path.into(), source }
    }

    /// Says what kind of failure it is and whose fault.
    pub(super) fn classify(&self, solver: &Name, attempted: &str) -> Failure {
        use FailureKind::{Refused, Transient};
        let (kind, blame) = match self {
            Self::NotOurs | Self::UnknownSolver | Self::WrongKind(_) | Self::Placeless => {
                (Refused, Blame::Ourselves)
            }
            Self::Alpn(_) => (Transient, Blame::Ourselves),
            // Whether the name is wrong or our resolver fails cannot be told; it is our own lookup.
            Self::Task(_) | Self::Server { .. } => (Transient, Blame::Ourselves),
            // The CA chose it; nothing of ours can mend it, but the next order has another.
            Self::Token => (Transient, Blame::Solver(solver.clone())),
            Self::Disk { source, .. } => of_disk(source, solver),
            Self::Listen { source, .. } => of_listen(source, solver),
            Self::Dns { zone, error } => of_dns(error, zone, solver),
            Self::Update { zone, code, signed, .. } => of_update(*code, *signed, zone, solver),
            Self::Provider { zone, said, .. } => of_provider(said.kind, zone, solver),
            Self::Program(error) => of_program(error, solver),
        };
        let cause = self.to_string().into();
        Failure { kind, blame, attempted: attempted.into(), cause, problem: None }
    }
}

fn of_disk(source: &io::Error, solver: &Name) -> (FailureKind, Blame) {
    match source.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::ReadOnlyFilesystem => (FailureKind::Transient, Blame::Ourselves),
        io::ErrorKind::PermissionDenied => (FailureKind::Refused, Blame::Ourselves),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            (FailureKind::Refused, Blame::Solver(solver.clone()))
        }
        _ => (FailureKind::Transient, Blame::Ourselves),
    }
}

fn of_listen(source: &io::Error, solver: &Name) -> (FailureKind, Blame) {
    match source.kind() {
        io::ErrorKind::AddrInUse => (FailureKind::Transient, Blame::Solver(solver.clone())),
        io::ErrorKind::AddrNotAvailable => (FailureKind::Refused, Blame::Solver(solver.clone())),
        io::ErrorKind::PermissionDenied => (FailureKind::Refused, Blame::Ourselves),
        _ => (FailureKind::Transient, Blame::Ourselves),
    }
}

fn of_dns(error: &DnsError, zone: &str, solver: &Name) -> (FailureKind, Blame) {
    let solver = Blame::Solver(solver.clone());
    match error {
        DnsError::Timeout { .. } | DnsError::Unreachable { .. } | DnsError::Malformed { .. } => {
            (FailureKind::Transient, solver)
        }
        DnsError::NoRoute { .. } => (FailureKind::Transient, Blame::Ourselves),
        DnsError::Tsig { failure, .. } => match failure {
            TsigFailure::BadKey | TsigFailure::BadSig => (FailureKind::Unauthorized, solver),
            TsigFailure::BadTrunc | TsigFailure::Other(_) | TsigFailure::Forged(_) => {
                (FailureKind::Refused, solver)
            }
            TsigFailure::BadTime { .. } => (FailureKind::Transient, Blame::Ourselves),
            // So Knot refuses zones that it does not have. Whoever forged it gained a retry.
            TsigFailure::Unsigned { code: "NOTAUTH" } => {
                (FailureKind::Transient, Blame::Zone(zone.into()))
            }
            TsigFailure::Unsigned { .. } => (FailureKind::Transient, solver),
        },
        DnsError::Name(_) | DnsError::Unwritable(_) => (FailureKind::Refused, Blame::Ourselves),
        DnsError::Code { .. }
        | DnsError::Aliases { .. }
        | DnsError::Lame { .. }
        | DnsError::TooDeep { .. }
        | DnsError::Late { .. }
        | DnsError::NoServers(_) => (FailureKind::Transient, solver),
    }
}

/// Source: RFC 2136 section 2.2.
fn of_update(
    code: ResponseCode,
    signed: Signed,
    zone: &str,
    solver: &Name,
) -> (FailureKind, Blame) {
    match code {
        ResponseCode::NotAuth if signed == Signed::No => {
            (FailureKind::Unauthorized, Blame::Solver(solver.clone()))
        }
        ResponseCode::NotAuth | ResponseCode::NotZone => {
            (FailureKind::Refused, Blame::Zone(zone.into()))
        }
        ResponseCode::ServFail => (FailureKind::Transient, Blame::Zone(zone.into())),
        ResponseCode::Refused => (FailureKind::Unauthorized, Blame::Solver(solver.clone())),
        _ => (FailureKind::Refused, Blame::Solver(solver.clone())),
    }
}

fn of_provider(said: SaidKind, zone: &str, solver: &Name) -> (FailureKind, Blame) {
    let solver = Blame::Solver(solver.clone());
    match said {
        SaidKind::Unauthorized => (FailureKind::Unauthorized, solver),
        SaidKind::Refused => (FailureKind::Refused, solver),
        SaidKind::Trouble => (FailureKind::Transient, solver),
        SaidKind::NoZone => (FailureKind::Refused, Blame::Zone(zone.into())),
        SaidKind::NotDone | SaidKind::Taken => (FailureKind::Transient, Blame::Zone(zone.into())),
    }
}

fn of_program(error: &ProgramError, solver: &Name) -> (FailureKind, Blame) {
    match error {
        ProgramError::Start { source, .. } => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                (FailureKind::Refused, Blame::Solver(solver.clone()))
            }
            _ => (FailureKind::Transient, Blame::Ourselves),
        },
        // A program cannot say whether trying again would help.
        ProgramError::Status { .. }
        | ProgramError::TimedOut { .. }
        | ProgramError::TooMuch { .. } => (FailureKind::Transient, Blame::Solver(solver.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::*;

    fn server() -> SocketAddr {
        "192.0.2.53:53".parse().unwrap()
    }

    fn disk(kind: io::ErrorKind) -> Trouble {
        Trouble::disk("write", "/x", kind.into())
    }

    fn listen(kind: io::ErrorKind) -> Trouble {
        let kind_of = ChallengeKind::Http01;
        Trouble::Listen { address: server(), source: kind.into(), kind: kind_of }
    }

    fn of_zone(error: DnsError) -> Trouble {
        Trouble::Dns { zone: "example.org".into(), error: Box::new(error) }
    }

    fn tsig(failure: TsigFailure) -> Trouble {
        of_zone(DnsError::Tsig { server: server(), failure })
    }

    fn update(code: ResponseCode) -> Trouble {
        let zone = "example.org".into();
        Trouble::Update { zone, server: server(), code, signed: Signed::Yes }
    }

    fn unsigned(code: ResponseCode) -> Trouble {
        let zone = "example.org".into();
        Trouble::Update { zone, server: server(), code, signed: Signed::No }
    }

    fn program(kind: io::ErrorKind) -> Trouble {
        ProgramError::Start { program: "/hook".into(), source: kind.into() }.into()
    }

    fn ended() -> Trouble {
        let status = ExitStatus::from_raw(256);
        ProgramError::Status { program: "/hook".into(), status, said: String::new() }.into()
    }

    fn hung() -> Trouble {
        let (limit, said) = (Duration::ZERO, String::new());
        ProgramError::TimedOut { program: "/hook".into(), limit, said }.into()
    }

    fn dns(make: fn(SocketAddr, String) -> DnsError) -> Trouble {
        of_zone(make(server(), "why".to_owned()))
    }

    #[test]
    fn each_trouble_is_blamed_on_one_thing() {
        use FailureKind::{Refused, Transient, Unauthorized};
        let solver = || Blame::Solver(Name::new("ns"));
        let zone = || Blame::Zone("example.org".into());
        let bad_time = || TsigFailure::BadTime { server_secs: None, fudge_secs: 300 };
        let table = [
            (Trouble::NotOurs, Refused, Blame::Ourselves),
            (Trouble::UnknownSolver, Refused, Blame::Ourselves),
            (Trouble::WrongKind(ChallengeKind::TlsAlpn01), Refused, Blame::Ourselves),
            (Trouble::Placeless, Refused, Blame::Ourselves),
            (Trouble::Token, Transient, solver()),
            (disk(io::ErrorKind::StorageFull), Transient, Blame::Ourselves),
            (disk(io::ErrorKind::ReadOnlyFilesystem), Transient, Blame::Ourselves),
            (disk(io::ErrorKind::PermissionDenied), Refused, Blame::Ourselves),
            (disk(io::ErrorKind::NotFound), Refused, solver()),
            (disk(io::ErrorKind::NotADirectory), Refused, solver()),
            (listen(io::ErrorKind::AddrInUse), Transient, solver()),
            (listen(io::ErrorKind::AddrNotAvailable), Refused, solver()),
            (listen(io::ErrorKind::PermissionDenied), Refused, Blame::Ourselves),
            (listen(io::ErrorKind::OutOfMemory), Transient, Blame::Ourselves),
            (update(ResponseCode::NotAuth), Refused, zone()),
            (unsigned(ResponseCode::NotAuth), Unauthorized, solver()),
            (unsigned(ResponseCode::Refused), Unauthorized, solver()),
            (update(ResponseCode::NotZone), Refused, zone()),
            (update(ResponseCode::ServFail), Transient, zone()),
            (update(ResponseCode::Refused), Unauthorized, solver()),
            (update(ResponseCode::NotImp), Refused, solver()),
            (update(ResponseCode::FormErr), Refused, solver()),
            (
                Trouble::Server { server: server().into(), source: io::ErrorKind::NotFound.into() },
                Transient,
                Blame::Ourselves,
            ),
            (tsig(TsigFailure::BadKey), Unauthorized, solver()),
            (tsig(TsigFailure::BadSig), Unauthorized, solver()),
            (tsig(TsigFailure::BadTrunc), Refused, solver()),
            (tsig(TsigFailure::Forged("x".to_owned())), Refused, solver()),
            (tsig(TsigFailure::Unsigned { code: "REFUSED" }), Transient, solver()),
            (tsig(TsigFailure::Unsigned { code: "NOTAUTH" }), Transient, zone()),
            (tsig(bad_time()), Transient, Blame::Ourselves),
            (of_zone(DnsError::Timeout { server: server(), timeout_ms: 1 }), Transient, solver()),
            (dns(|server, cause| DnsError::Unreachable { server, cause }), Transient, solver()),
            (dns(|server, cause| DnsError::NoRoute { server, cause }), Transient, Blame::Ourselves),
            (dns(|server, cause| DnsError::Malformed { server, cause }), Transient, solver()),
            (program(io::ErrorKind::NotFound), Refused, solver()),
            (program(io::ErrorKind::OutOfMemory), Transient, Blame::Ourselves),
            (ended(), Transient, solver()),
            (hung(), Transient, solver()),
        ];
        for (trouble, kind, blame) in table {
            let failure = trouble.classify(&Name::new("ns"), "present");
            assert_eq!((failure.kind, failure.blame), (kind, blame), "{trouble:?}");
        }
    }
}
