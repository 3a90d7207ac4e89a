//! Who owns the challenge name, and so who can answer by dns-01.
//!
//! Source: RFC 8555 section 8.4.

use perennial_wire::dns::{RecordType, Resolver, is_within, parent};

use super::Unknown;

/// Who owns `_acme-challenge.<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeFacts {
    /// The challenge name.
    pub name: String,
    /// The names that it is an alias of, link by link.
    pub aliases: Vec<String>,
    /// The TXT records that lie there now.
    pub texts: Vec<String>,
    /// The zone in which the answer has to be written.
    pub zone: String,
    /// The name servers to which the challenge name is delegated for itself.
    pub delegated_to: Vec<String>,
}

pub(super) async fn look(resolver: &Resolver, name: &str) -> Result<ChallengeFacts, Unknown> {
    let name = format!("_acme-challenge.{name}");
    let found = resolver.lookup(&name, RecordType::TXT).await?;
    let owner = found.owner().to_owned();
    let zone = resolver.apex(&owner).await.map_err(|error| {
        let Unknown { cause, is_ours } = error.into();
        let what = format!("the zone of `{owner}`, where the answer has to be, cannot be found");
        Unknown { cause: format!("{what}: {cause}"), is_ours }
    })?;
    // Only a zone cut at the challenge name itself is a delegation of it.
    let is_cut = found.aliases.is_empty() && zone == name;
    let delegated_to = if is_cut {
        let servers = resolver.lookup(&name, RecordType::NS).await;
        servers.map(|servers| servers.name_servers()).unwrap_or_default()
    } else {
        Vec::new()
    };
    Ok(ChallengeFacts { texts: found.texts(), name, aliases: found.aliases, zone, delegated_to })
}

impl ChallengeFacts {
    /// Returns the name that owns the answer: the end of the chain of aliases.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.aliases.last().unwrap_or(&self.name)
    }

    /// Returns whether the answer has to be written outside of the zone that holds the name itself.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        let own = parent(&self.name).unwrap_or_default();
        !self.aliases.is_empty() && !is_within(own, &self.zone)
    }
}
