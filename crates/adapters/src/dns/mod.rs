//! Looking: where a DNS answer goes, and who shows it.
//!
//! `Locate` follows the CNAME chain from `_acme-challenge.<name>`, finds the zone that holds its
//! end and where that zone's servers are. `Look` asks every one of them, each alone and all at
//! once, whether it shows the answer. Neither changes anything.

mod locate;
mod look;
mod trouble;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use perennial_core::action::{AskKind, Reply};
use perennial_core::words::Name;
use perennial_wire::authorization::record_name;
use perennial_wire::dns::Resolver;
use perennial_wire::host::HostPort;

use trouble::Trouble;

/// How places are found for a DNS solver.
#[derive(Clone, Debug, Default)]
pub struct PlaceSettings {
    /// Whether CNAMEs at the challenge's name are followed.
    pub follows_cname: bool,
    /// The zone's servers, instead of those that its NS records name.
    pub nameservers: Vec<SocketAddr>,
    /// The server that the solver writes to: looked at where no other can be found.
    pub server: Option<HostPort>,
}

/// Finds places and looks at answers.
#[derive(Debug)]
pub struct Places {
    resolver: Resolver,
    solvers: BTreeMap<Name, PlaceSettings>,
}

impl Places {
    /// Makes it of what was configured. Solvers that do not answer in DNS are left out.
    #[must_use]
    pub const fn new(resolver: Resolver, solvers: BTreeMap<Name, PlaceSettings>) -> Self {
        Self { resolver, solvers }
    }

    /// Answers `Locate` or `Look`.
    pub async fn ask(&self, ask: &AskKind) -> Reply {
        let answered = match ask {
            AskKind::Locate { solver, identifier, kind, account } => match self.solvers.get(solver)
            {
                Some(settings) => {
                    let begin = record_name(kind, identifier, account);
                    let found = locate::locate(&self.resolver, settings, identifier, begin);
                    found.await.map(Reply::Place)
                }
                None => Err(Trouble::UnknownSolver),
            },
            AskKind::Look { answer } => look::look(answer).await.map(Reply::Showing),
            _ => Err(Trouble::NotOurs),
        };
        answered.unwrap_or_else(|trouble| {
            let attempted = match ask {
                AskKind::Locate { identifier, .. } => {
                    format!("find where the DNS answer for {identifier} goes")
                }
                AskKind::Look { answer } => {
                    format!("look who shows the DNS answer for {}", answer.identifier)
                }
                other => format!("answer {other:?} by DNS"),
            };
            Reply::Failed(trouble.classify(&self.resolver, &attempted))
        })
    }
}
