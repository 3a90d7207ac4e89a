//! Targets: places bundles are written to.
//!
//! A target proves nothing (law 5); what it must do is never make things worse (law 6). So a bundle
//! is first staged where nobody reads it, then checked by the target's own means, then made active
//! by one rename, and if the server cannot be told, the one before is made active again.
//!
//! | act | leaves behind when a crash stops it | repeated |
//! |---|---|---|
//! | `Stage` | what the next stage clears | finds the bundle there, or begins anew |
//! | `Validate` | nothing | checks again |
//! | `Activate` | the old bundle active, or the new one and the server not told | tells it again |
//! | `PutBack` | the new bundle active, or the old one and the server not told | tells it again |
//!
//! The recipes: [`FilesSettings`], a directory with optional fixed paths and commands;
//! [`NginxSettings`] and [`HaproxySettings`], which read their server's configuration to know which
//! files serve which names; and [`ServerSettings`], which asks other servers' own programs for that.
//! None edits a server's configuration. All keep one act at a time per target.

mod access;
mod door;
mod files;
mod former;
mod haproxy;
mod install;
mod layout;
mod nginx;
mod server;
mod step;
mod target;
mod trouble;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use perennial_core::action::{ActKind, AskKind, Fact, Outcome, Reply};
use perennial_core::words::{Failure, Identifier, Name, Variant};
use perennial_wire::clock::Clock;
use perennial_wire::shelf::Shelf;

pub use access::AccessSettings;
pub use files::{FilesSettings, PublicPaths};
pub use haproxy::HaproxySettings;
#[cfg(feature = "fuzzing")]
pub use nginx::read_config as read_nginx_config;
pub use nginx::{NginxSettings, Site, sites};
pub use server::{ServerKind, ServerSettings};

use target::Target;
use trouble::Trouble;

/// How a target is written to.
#[derive(Clone, Debug)]
pub enum TargetSettings {
    /// A directory.
    Files(FilesSettings),
    /// An nginx on this machine.
    Nginx(NginxSettings),
    /// A HAProxy on this machine.
    Haproxy(HaproxySettings),
    /// Another server on this machine.
    Server(ServerSettings),
}

/// What a certificate is for, to those recipes that read which server serves which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covers {
    /// Its names.
    pub identifiers: Arc<[Identifier]>,
    /// Which clients its leaf is for.
    pub variant: Variant,
}

impl Covers {
    /// Returns whether a leaf for its names is accepted for a name, as a server is configured with it.
    fn covers(&self, name: &str) -> bool {
        let wanted = Identifier::new(name);
        wanted.is_ok_and(|name| self.identifiers.iter().any(|own| own.covers(&name)))
    }

    /// Returns whether it is for the same names in the other variant.
    fn is_sibling_of(&self, other: &Self) -> bool {
        self.identifiers == other.identifiers && self.variant != other.variant
    }
}

/// Returns whether a path lies in a certificate's folder as servers read it, or is a link into it.
fn leads_into(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder.join(layout::CURRENT))
        || fs::read_link(path).is_ok_and(|to| to.starts_with(folder))
}

/// All targets, by name.
pub struct Targets {
    targets: BTreeMap<Name, Target>,
}

impl Targets {
    /// Makes the targets of what was configured.
    ///
    /// `logical` is the clock that certificates are judged by: a bundle that has expired is not
    /// gone back to.
    #[must_use]
    pub fn new(
        settings: BTreeMap<Name, TargetSettings>,
        shelf: &Arc<dyn Shelf>,
        logical: &Clock,
    ) -> Self {
        let target = |(name, settings): (Name, TargetSettings)| {
            let target = Target::new(name.clone(), settings, Arc::clone(shelf), logical.clone());
            (name, target)
        };
        Self { targets: settings.into_iter().map(target).collect() }
    }

    /// Performs `Stage`, `Validate`, `Activate` or `PutBack`.
    pub async fn perform(&self, act: &ActKind) -> Outcome {
        let (target, attempted) = match act {
            ActKind::Stage { target, certificate, .. } => (target, format!("stage {certificate}")),
            ActKind::Validate { target, certificate, .. } => {
                (target, format!("check {certificate}"))
            }
            ActKind::Activate { target, certificate, .. } => {
                (target, format!("activate {certificate}"))
            }
            ActKind::PutBack { target, certificate, .. } => {
                (target, format!("put back what was before {certificate}"))
            }
            other => {
                let attempted = format!("perform {other:?} at a target");
                return Outcome::Failed(Trouble::NotOurs.classify(&Name::new("none"), &attempted));
            }
        };
        match self.perform_at(target, act).await {
            Ok(fact) => Outcome::Done(fact),
            Err(trouble) => {
                Outcome::Failed(trouble.classify(target, &format!("{attempted} at {target}")))
            }
        }
    }

    async fn perform_at(&self, target: &Name, act: &ActKind) -> Result<Fact, Trouble> {
        let target = self.target(target)?;
        match act {
            ActKind::Stage { certificate, bundle, .. } => {
                target.stage(certificate, *bundle).await.map(|()| Fact::Staged)
            }
            ActKind::Validate { certificate, bundle, .. } => {
                target.validate(certificate, *bundle).await.map(|()| Fact::Validated)
            }
            ActKind::Activate { certificate, bundle, take_over, .. } => {
                target.activate(certificate, *bundle, *take_over).await.map(|()| Fact::Activated)
            }
            ActKind::PutBack { certificate, bundle, onto, .. } => {
                target.put_back(certificate, *bundle, *onto).await.map(|()| Fact::PutBack)
            }
            _ => Err(Trouble::NotOurs),
        }
    }

    /// Answers `Inspect`.
    pub async fn ask(&self, ask: &AskKind) -> Reply {
        let AskKind::Inspect { target: name, certificate } = ask else {
            let attempted = format!("answer {ask:?} at a target");
            return Reply::Failed(Trouble::NotOurs.classify(&Name::new("none"), &attempted));
        };
        let inspected = match self.target(name) {
            Ok(target) => target.inspect(certificate).await,
            Err(trouble) => Err(trouble),
        };
        let failed = |trouble: Trouble| -> Failure {
            trouble.classify(name, &format!("inspect {certificate} at {name}"))
        };
        inspected.map_or_else(|trouble| Reply::Failed(failed(trouble)), Reply::Installed)
    }

    fn target(&self, name: &Name) -> Result<&Target, Trouble> {
        self.targets.get(name).ok_or(Trouble::UnknownTarget)
    }
}
