//! One target: the order of its steps, whatever the recipe.

use std::sync::Arc;

use perennial_core::words::{BundleId, Fingerprint, Installed, Name};
use perennial_wire::clock::Clock;
use perennial_wire::program::{Program, ProgramError};
use perennial_wire::shelf::Shelf;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::TargetSettings;
use super::access::AccessSettings;
use super::door::Read;
use super::haproxy::{Haproxy, Untold};
use super::install::{self, Switched, Writing};
use super::layout::{CURRENT, File, Layout, WITH_COMBINED};
use super::nginx::Nginx;
use super::server::Server;
use super::step::Writer;
use super::trouble::{Aftermath, Trouble};

/// A place bundles are written to.
pub(super) struct Target {
    name: Name,
    settings: TargetSettings,
    shelf: Arc<dyn Shelf>,
    logical: Clock,
    /// Held by whoever writes here: two acts at once would clear each other's half made
    /// directories.
    writing: Mutex<()>,
}

impl Target {
    pub(super) fn new(
        name: Name,
        settings: TargetSettings,
        shelf: Arc<dyn Shelf>,
        logical: Clock,
    ) -> Self {
        Self { name, settings, shelf, logical, writing: Mutex::new(()) }
    }

    pub(super) async fn stage(&self, certificate: &Name, id: BundleId) -> Result<(), Trouble> {
        let _writing = self.writing.lock().await;
        let layout = self.layout(certificate)?;
        let access = self.access().await?;
        let shelf = Arc::clone(&self.shelf);
        let stage = move || {
            let bundle = shelf.bundle(id)?;
            install::stage(&mut Writer::default(), &layout, id, &bundle, access.resolve()?)
        };
        spawn_blocking(stage).await?
    }

    pub(super) async fn validate(&self, certificate: &Name, id: BundleId) -> Result<(), Trouble> {
        let _writing = self.writing.lock().await;
        let layout = self.layout(certificate)?;
        let version = install::staged(&layout, id)?;
        match &self.settings {
            TargetSettings::Files(files) => {
                let Some(validate) = &files.validate else { return Ok(()) };
                run(&concerning(validate, certificate, &layout, &version), Trouble::check).await
            }
            TargetSettings::Nginx(settings) => {
                let nginx = Nginx::new(settings);
                run(&nginx.check(), Trouble::check).await?;
                let trial = nginx.trial(&layout, &version)?;
                run(&trial.program, Trouble::check).await
            }
            TargetSettings::Haproxy(settings) => {
                let haproxy = Haproxy::new(settings);
                run(&haproxy.check(), Trouble::check).await?;
                let trial = haproxy.trial(&layout, &version)?;
                run(&trial.program, Trouble::check).await
            }
            TargetSettings::Server(settings) => {
                let check = Server::new(settings).check().await.map_err(Trouble::check)?;
                run(&check, Trouble::check).await
            }
        }
    }

    pub(super) async fn activate(
        &self,
        certificate: &Name,
        id: BundleId,
        take_over: bool,
    ) -> Result<(), Trouble> {
        let _writing = self.writing.lock().await;
        let layout = self.layout(certificate)?;
        let switched = {
            let layout = layout.clone();
            let groups = self.read(certificate, take_over).await?.groups;
            let switch =
                move || install::switch(&mut Writer::default(), &layout, id, &groups, take_over);
            spawn_blocking(switch).await??
        };
        if let Err(error) = self.check().await {
            let after = self.go_back(&layout, switched).await?;
            return Err(Trouble::Check { error, after: Some(after) });
        }
        if let Err(Untold { error, refused }) = self.tell(certificate, &layout).await {
            let after = self.go_back(&layout, switched).await?;
            let untold =
                after == Aftermath::RolledBack && self.tell(certificate, &layout).await.is_err();
            let after = if untold { Aftermath::RolledBackUntold } else { after };
            return Err(Trouble::Reload { error, refused, after });
        }
        // The new bundle is active: what could not be removed of the past does not undo that. The
        // next look tells of it.
        let retired = spawn_blocking(move || install::retire(&mut Writer::default(), &layout));
        if let Err(trouble) = retired.await? {
            tracing::info!(target_name = %self.name, %trouble, "old bundles could not be removed");
        }
        Ok(())
    }

    /// Makes active again what was before a bundle, if that is the leaf it is said to be and still
    /// valid.
    pub(super) async fn put_back(
        &self,
        certificate: &Name,
        id: BundleId,
        onto: Fingerprint,
    ) -> Result<(), Trouble> {
        let _writing = self.writing.lock().await;
        let layout = self.layout(certificate)?;
        let now = self.logical.now();
        let own = layout.clone();
        let put_back = move || install::put_back(&mut Writer::default(), &own, id, onto, now);
        spawn_blocking(put_back).await??;
        let told = self.tell(certificate, &layout).await;
        told.map_err(|Untold { error, refused }| Trouble::Reload {
            error,
            refused,
            after: Aftermath::RolledBackUntold,
        })
    }

    pub(super) async fn inspect(&self, certificate: &Name) -> Result<Installed, Trouble> {
        let layout = self.layout(certificate)?;
        let Read { groups, remarks } = self.read(certificate, false).await?;
        let take_over = match &self.settings {
            TargetSettings::Files(files) => files.take_over,
            TargetSettings::Nginx(nginx) => nginx.take_over,
            TargetSettings::Haproxy(haproxy) => haproxy.take_over,
            TargetSettings::Server(server) => server.take_over,
        };
        let free = self.writing.try_lock();
        let writing = if free.is_ok() { Writing::Nobody } else { Writing::Somebody };
        spawn_blocking(move || install::inspect(&layout, &groups, take_over, remarks, writing))
            .await?
    }

    /// Makes active again what was before this activation, unless that would be worse: there was
    /// nothing, it has expired, or an earlier activation switched already.
    async fn go_back(&self, layout: &Layout, switched: Switched) -> Result<Aftermath, Trouble> {
        let layout = layout.clone();
        let now = self.logical.now();
        let back = move || {
            let leaf = install::leaf_before(&layout, switched)?;
            let Some(leaf) = leaf else { return Ok(Aftermath::Kept) };
            if leaf.ends_at() <= now {
                return Ok(Aftermath::Kept);
            }
            install::back(&mut Writer::default(), &layout, switched)?;
            Ok(Aftermath::RolledBack)
        };
        spawn_blocking(back).await?
    }

    /// Checks the whole after the switch.
    async fn check(&self) -> Result<(), ProgramError> {
        let check = match &self.settings {
            TargetSettings::Files(_) => return Ok(()),
            TargetSettings::Nginx(settings) => Nginx::new(settings).check(),
            TargetSettings::Haproxy(settings) => Haproxy::new(settings).check(),
            TargetSettings::Server(settings) => Server::new(settings).check().await?,
        };
        check.run(&[]).await.map(|_said| ())
    }

    /// Tells the server of what lies there now.
    async fn tell(&self, certificate: &Name, layout: &Layout) -> Result<(), Untold> {
        let reload = match &self.settings {
            TargetSettings::Files(files) => {
                let Some(reload) = &files.reload else { return Ok(()) };
                concerning(reload, certificate, layout, CURRENT)
            }
            TargetSettings::Nginx(settings) => Nginx::new(settings).reload(),
            TargetSettings::Haproxy(settings) => {
                return Haproxy::new(settings).tell(certificate).await;
            }
            TargetSettings::Server(settings) => {
                let reload = Server::new(settings).reload().await;
                reload.map_err(|error| Untold { error, refused: None })?
            }
        };
        let told = reload.run(&[]).await;
        told.map(|_said| ()).map_err(|error| Untold { error, refused: None })
    }

    async fn read(&self, certificate: &Name, take_over: bool) -> Result<Read, Trouble> {
        match &self.settings {
            TargetSettings::Files(files) => {
                Ok(Read { groups: files.paths.groups(certificate)?, remarks: Vec::new() })
            }
            TargetSettings::Nginx(settings) => {
                let nginx = Nginx::new(settings);
                let layout = self.layout(certificate)?;
                let certificate = certificate.clone();
                spawn_blocking(move || nginx.read(&certificate, &layout, take_over)).await?
            }
            TargetSettings::Haproxy(settings) => {
                let haproxy = Haproxy::new(settings);
                let layout = self.layout(certificate)?;
                let certificate = certificate.clone();
                spawn_blocking(move || haproxy.read(&certificate, &layout, take_over)).await?
            }
            TargetSettings::Server(settings) => {
                let layout = self.layout(certificate)?;
                Server::new(settings).read(certificate, &layout, take_over).await
            }
        }
    }

    fn layout(&self, certificate: &Name) -> Result<Layout, Trouble> {
        let (dir, former) = match &self.settings {
            TargetSettings::Files(files) => (&files.dir, &files.former),
            TargetSettings::Nginx(nginx) => (&nginx.dir, &nginx.former),
            TargetSettings::Haproxy(haproxy) => (&haproxy.dir, &haproxy.former),
            TargetSettings::Server(server) => (&server.dir, &server.former),
        };
        let mut layout = Layout::new(dir, certificate)?;
        if matches!(self.settings, TargetSettings::Haproxy(_)) {
            layout.files = WITH_COMBINED;
        }
        match former.get(certificate) {
            Some(was) => layout.renamed_from(dir, was),
            None => Ok(layout),
        }
    }

    /// Returns owner and modes of the files, asking the server where nothing is declared.
    async fn access(&self) -> Result<AccessSettings, Trouble> {
        match &self.settings {
            TargetSettings::Files(files) => Ok(files.access.clone()),
            TargetSettings::Nginx(nginx) => Ok(nginx.access.clone()),
            TargetSettings::Haproxy(haproxy) => Ok(haproxy.access.clone()),
            TargetSettings::Server(server) => Server::new(server).access().await,
        }
    }
}

async fn run(program: &Program, trouble: fn(ProgramError) -> Trouble) -> Result<(), Trouble> {
    program.run(&[]).await.map(|_said| ()).map_err(trouble)
}

/// Fills the places in a command with the files it is about.
fn concerning(program: &Program, certificate: &Name, layout: &Layout, through: &str) -> Program {
    let path = |file| layout.file(through, file).to_string_lossy().into_owned();
    program.filled(&[
        ("certificate", certificate.as_str()),
        ("dir", &layout.folder.join(through).to_string_lossy()),
        ("fullchain", &path(File::Fullchain)),
        ("cert", &path(File::Cert)),
        ("chain", &path(File::Chain)),
        ("key", &path(File::Key)),
    ])
}
