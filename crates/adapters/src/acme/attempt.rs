//! What is attempted, in words.

use perennial_core::action::{ActKind, AskKind};
use perennial_core::words::Identifier;

use super::Client;
use super::classify::Attempt;

impl Client {
    pub(super) fn attempt_of_act<'a>(&'a self, act: &'a ActKind) -> Attempt<'a> {
        let text = match act {
            ActKind::NewAccount { .. } => "make or find the account".to_owned(),
            ActKind::NewOrder { identifiers, .. } => {
                format!("create an order for {}", names(identifiers))
            }
            ActKind::Respond { kind, .. } => format!("respond to the {} challenge", kind.as_str()),
            ActKind::Finalize { identifiers, .. } => {
                format!("finalize the order for {}", names(identifiers))
            }
            ActKind::ChangeKey { .. } => "change the account's key".to_owned(),
            ActKind::EndAccount { .. } => "end the account".to_owned(),
            ActKind::Revoke { .. } => "revoke a leaf".to_owned(),
            ActKind::MakeKey { .. }
            | ActKind::DropKey { .. }
            | ActKind::Present { .. }
            | ActKind::Withdraw { .. }
            | ActKind::KeepBundle { .. }
            | ActKind::Stage { .. }
            | ActKind::Validate { .. }
            | ActKind::Activate { .. }
            | ActKind::PutBack { .. } => "perform an act that is not ACME's".to_owned(),
        };
        let (identifiers, replaces) = match act {
            ActKind::NewOrder { identifiers, replaces, .. } => (&**identifiers, replaces.is_some()),
            ActKind::Finalize { identifiers, .. } => (&**identifiers, false),
            _ => (&[][..], false),
        };
        Attempt { issuer: &self.settings.issuer, text, identifiers, replaces }
    }

    pub(super) fn attempt_of_ask(&self, ask: &AskKind) -> Attempt<'_> {
        let text = match ask {
            AskKind::Directory { .. } => "read the directory",
            AskKind::Account { .. } => "find the account",
            AskKind::Order { .. } => "look at the order",
            AskKind::Authorization { .. } => "look at the authorization",
            AskKind::Chain { .. } => "fetch the chain",
            AskKind::RenewalInfo { .. } => "fetch renewal information",
            AskKind::Locate { .. }
            | AskKind::Look { .. }
            | AskKind::Inspect { .. }
            | AskKind::Probe { .. } => "ask something that is not ACME's",
        };
        let (issuer, text) = (&self.settings.issuer, text.to_owned());
        Attempt { issuer, text, identifiers: &[], replaces: false }
    }
}

/// Names an order for people: by its first name and how many more there are.
fn names(identifiers: &[Identifier]) -> String {
    match identifiers {
        [] => "no names".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}
