//! What can go wrong when looking, and whose fault it is: classified here and nowhere else.

use perennial_core::words::{Blame, Failure, FailureKind, Identifier};
use perennial_wire::dns::{DnsError, Resolver};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("this room answers no such question")]
    NotOurs,
    #[error("no DNS solver has this name")]
    UnknownSolver,
    #[error("the answer does not say where it goes")]
    Placeless,
    #[error("an address has no DNS answer; only http-01 and tls-alpn-01 can prove it")]
    Address(Identifier),
    #[error("its zone and servers were not found in time")]
    Late(Identifier),
    #[error("{error}")]
    Lookup { identifier: Identifier, error: Box<DnsError> },
}

impl Trouble {
    /// Says what kind of failure it is and whose fault. What fails at a server that recurses for us
    /// is our own, unless the server answers that it cannot find out.
    pub(super) fn classify(&self, resolver: &Resolver, attempted: &str) -> Failure {
        use FailureKind::{Refused, Transient};
        let (kind, blame) = match self {
            Self::NotOurs | Self::UnknownSolver | Self::Placeless => (Refused, Blame::Ourselves),
            Self::Address(identifier) => (Refused, Blame::Name(identifier.clone())),
            // Servers that recurse for us fail sooner than this; it is the name's own that are
            // slow.
            Self::Late(identifier) => (Transient, Blame::Name(identifier.clone())),
            Self::Lookup { identifier, error } => match &**error {
                DnsError::Timeout { server, .. }
                | DnsError::Unreachable { server, .. }
                | DnsError::Malformed { server, .. }
                    if resolver.relies_on(*server) =>
                {
                    (Transient, Blame::Ourselves)
                }
                DnsError::NoRoute { .. } | DnsError::NoServers(_) => (Transient, Blame::Ourselves),
                DnsError::Name(_) | DnsError::Aliases { .. } => {
                    (Refused, Blame::Name(identifier.clone()))
                }
                DnsError::Lame { zone } => (Transient, Blame::Zone(zone.as_str().into())),
                DnsError::Timeout { .. }
                | DnsError::Unreachable { .. }
                | DnsError::Malformed { .. }
                | DnsError::Unwritable(_)
                | DnsError::Tsig { .. }
                | DnsError::Code { .. }
                | DnsError::TooDeep { .. }
                | DnsError::Late { .. } => (Transient, Blame::Name(identifier.clone())),
            },
        };
        let cause = self.to_string().into();
        Failure { kind, blame, attempted: attempted.into(), cause, problem: None }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn each_trouble_is_blamed_on_one_thing() {
        use FailureKind::{Refused, Transient};
        let ours: SocketAddr = "192.0.2.53:53".parse().unwrap();
        let theirs: SocketAddr = "198.51.100.53:53".parse().unwrap();
        let resolver = Resolver::recursive(vec![ours]);
        let identifier = || Identifier::new("example.org").unwrap();
        let name = || Blame::Name(identifier());
        let lookup = |error| Trouble::Lookup { identifier: identifier(), error: Box::new(error) };
        let timeout = |server| lookup(DnsError::Timeout { server, timeout_ms: 1 });
        let cause = || "why".to_owned();
        let code = DnsError::Code {
            server: ours,
            code: "SERVFAIL",
            kind: cause(),
            name: cause(),
            detail: None,
        };
        let table = [
            (Trouble::NotOurs, Refused, Blame::Ourselves),
            (Trouble::UnknownSolver, Refused, Blame::Ourselves),
            (Trouble::Placeless, Refused, Blame::Ourselves),
            (Trouble::Address(Identifier::new("192.0.2.1").unwrap()), Refused, {
                Blame::Name(Identifier::new("192.0.2.1").unwrap())
            }),
            (Trouble::Late(identifier()), Transient, name()),
            (timeout(ours), Transient, Blame::Ourselves),
            (timeout(theirs), Transient, name()),
            (
                lookup(DnsError::NoRoute { server: theirs, cause: cause() }),
                Transient,
                Blame::Ourselves,
            ),
            (lookup(DnsError::NoServers(cause())), Transient, Blame::Ourselves),
            (lookup(DnsError::Aliases { name: cause() }), Refused, name()),
            (
                lookup(DnsError::Lame { zone: "example.org".to_owned() }),
                Transient,
                Blame::Zone("example.org".into()),
            ),
            (lookup(code), Transient, name()),
            (lookup(DnsError::TooDeep { name: cause(), limit: 1 }), Transient, name()),
        ];
        for (trouble, kind, blame) in table {
            let failure = trouble.classify(&resolver, "look");
            assert_eq!((failure.kind, failure.blame), (kind, blame), "{trouble:?}");
        }
    }
}
