//! The `haproxy` recipe: reads HAProxy's configuration to know which files serve which names, and
//! exchanges certificates in the running process.
//!
//! Files that `bind` lines and their lists name, and that lie in our folder or lead there, are ours.
//! Others are left alone, and what they hold is reported, so that it can be adopted; with `take_over`
//! those *files* are put aside and replaced by links into our folder. The configuration itself is
//! never edited. A listener shows many certificates, one for each name and variant, so one of ours may
//! lie beside any others.
//!
//! After a switch the files are what the next start reads, and the running HAProxy is told by its
//! runtime API, certificate by certificate: no process is replaced and no connection ends. Where that
//! is not allowed or refuses, HAProxy is reloaded.
//!
//! The complications: leaf and key lie in one file (`combined.pem`), or the key beside it with `.key`
//! behind the name; files of a folder are never taken over, since what would be kept aside there would
//! be read as well; names in a list may shorten what a certificate is shown for.

mod read;
mod runtime;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_core::words::{Identifier, Name};
use perennial_wire::private_key;
use perennial_wire::program::{Program, ProgramError};
use zeroize::Zeroizing;

use super::Covers;
use super::access::AccessSettings;
use super::door::{Group, Read};
use super::install::leaf_at;
use super::layout::{self, CURRENT, File, Layout};
use super::trouble::Trouble;
use read::{Config, Entry, unreadable};

/// A HAProxy on this machine.
#[derive(Clone, Debug)]
pub struct HaproxySettings {
    /// Its configuration: a file, or a folder of `*.cfg`; absolute.
    pub config: PathBuf,
    /// Its binary; a bare name is looked up in `PATH`.
    pub binary: PathBuf,
    /// The socket of its runtime API; if absent, the one that the configuration says.
    pub runtime: Option<PathBuf>,
    /// Makes it read its configuration and files again.
    pub reload: Program,
    /// Where the folders of the certificates are; absolute.
    pub dir: PathBuf,
    /// What certificates were called before they were renamed.
    pub former: BTreeMap<Name, Name>,
    /// Owner, group and modes.
    pub access: AccessSettings,
    /// Whether what others put there may be replaced.
    pub take_over: bool,
    /// The certificates that this target takes: they decide which files are whose.
    pub certificates: BTreeMap<Name, Covers>,
    /// How long a check may take.
    pub limit: Duration,
}

/// The recipe.
#[derive(Clone, Debug)]
pub(super) struct Haproxy {
    settings: HaproxySettings,
}

/// A configuration that reads nothing but a staged bundle. It goes when it is dropped.
pub(super) struct Trial {
    pub(super) program: Program,
    dir: PathBuf,
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What stays is cleared by the next stage.
        let _cleared = fs::remove_dir_all(&self.dir);
    }
}

/// Why HAProxy was not told.
pub(super) struct Untold {
    /// What the reload came to.
    pub(super) error: ProgramError,
    /// Why the runtime API could not be used before it.
    pub(super) refused: Option<String>,
}

impl Haproxy {
    pub(super) fn new(settings: &HaproxySettings) -> Self {
        Self { settings: settings.clone() }
    }

    /// Checks the configuration as it stands.
    pub(super) fn check(&self) -> Program {
        self.check_of(&self.settings.config)
    }

    fn check_of(&self, config: &Path) -> Program {
        let config = config.to_string_lossy().into_owned();
        Program {
            path: self.settings.binary.clone(),
            args: vec!["-c".to_owned(), "-f".to_owned(), config],
            env: BTreeMap::new(),
            told: BTreeMap::new(),
            limit: self.settings.limit,
        }
    }

    /// Prepares a check that this HAProxy can load a staged bundle, before anything reads it.
    pub(super) fn trial(&self, layout: &Layout, version: &str) -> Result<Trial, Trouble> {
        let dir = layout.folder.join(".staging-trial");
        let failed = |error| Trouble::disk("prepare a trial in", &dir, error);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let config = dir.join("haproxy.cfg");
        let quoted =
            |path: &Path| path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
        // A check binds no socket.
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
             frontend trial\n  bind \"unix@{}\" ssl crt \"{}\"\n",
            quoted(&dir.join("socket")),
            quoted(&layout.file(version, File::Combined)),
        );
        fs::write(&config, text).map_err(failed)?;
        Ok(Trial { program: self.check_of(&config), dir })
    }

    /// Returns the files that listeners read for a certificate, and what keeps clients from being
    /// shown it.
    ///
    /// # Errors
    ///
    /// Returns what cannot be understood, or, where files are to be taken over, why they may not
    /// be.
    pub(super) fn read(
        &self,
        certificate: &Name,
        layout: &Layout,
        take_over: bool,
    ) -> Result<Read, Trouble> {
        let config = self.config()?;
        let owners = self.owners(&config);
        let mut groups = BTreeSet::new();
        for (entry, owner) in config.entries.iter().zip(&owners) {
            if *owner != Some(certificate) {
                continue;
            }
            let group = group(entry.path());
            if take_over && group.owned(layout)?.is_others() {
                may_take_over(entry, *owner, &config, &owners)?;
            }
            groups.insert(group);
        }
        let remarks = self.remarks(certificate, layout, &config, &owners);
        Ok(Read { groups: groups.into_iter().collect(), remarks })
    }

    fn config(&self) -> Result<Config, Trouble> {
        if !self.settings.config.is_absolute() {
            return Err(Trouble::Relative(self.settings.config.clone()));
        }
        read::read(&self.settings.config)
    }

    /// Says why clients are not shown the certificate, and what to change.
    fn remarks(
        &self,
        certificate: &Name,
        layout: &Layout,
        config: &Config,
        owners: &[Option<&Name>],
    ) -> Vec<String> {
        if owners.contains(&Some(certificate)) {
            return Vec::new();
        }
        let Some(covers) = self.settings.certificates.get(certificate) else { return Vec::new() };
        let file = layout.file(CURRENT, File::Combined);
        let is_sibling = |owner: &Name| {
            self.settings.certificates.get(owner).is_some_and(|other| other.is_sibling_of(covers))
        };
        let mut beside = config.entries.iter().zip(owners);
        let beside = beside.find(|(_, owner)| owner.is_some_and(is_sibling));
        let add = format!("`crt {}`", file.display());
        let mut remarks = vec![match beside {
            Some((Entry { place, .. }, _)) => format!(
                "no {} leaf stands beside the one of `{}` line {}: add {add} to the `bind` line, or \
                 the file to its `crt-list`",
                covers.variant,
                place.file.display(),
                place.line
            ),
            None => format!(
                "no `bind` line in `{}` reads this certificate: add {add} to the one of its names, \
                 or the file to its `crt-list`",
                self.settings.config.display()
            ),
        }];
        remarks.extend(config.obscure.iter().map(|place| {
            let (file, line) = (place.file.display(), place.line);
            format!("`{file}` line {line} names a certificate in a way that is not understood")
        }));
        remarks
    }

    /// Returns whose each file is: of the certificate into whose folder it leads, or else of one that
    /// is for all the names it is shown for, with the fewest names. Each is the one's whose variant it
    /// has; where no file beside it has the variant of a certificate for its names, that one's.
    fn owners<'a>(&'a self, config: &Config) -> Vec<Option<&'a Name>> {
        let leads = |entry: &Entry| {
            let certificates = self.settings.certificates.keys();
            certificates.into_iter().find(|name| {
                let folder = self.settings.dir.join(name.as_str());
                super::leads_into(entry.path(), &folder)
            })
        };
        let led: Vec<Option<&Name>> = config.entries.iter().map(leads).collect();
        let variant = |name: &Name| self.settings.certificates.get(name).map(|own| own.variant);
        let mut fitting: Vec<(Option<&Name>, Option<&Name>)> = Vec::with_capacity(led.len());
        for (entry, led) in config.entries.iter().zip(led) {
            if led.is_some() {
                fitting.push((led, None));
                continue;
            }
            // What cannot be read is nobody's to be kept, and no name of it is known.
            let lying = leaf_at(entry.path()).ok().flatten();
            let names: Vec<&str> = match (&lying, entry.filters.is_empty()) {
                (_, false) => entry.filters.iter().map(String::as_str).collect(),
                (Some(leaf), true) => leaf.identifiers.iter().map(Identifier::as_str).collect(),
                (None, true) => Vec::new(),
            };
            let all = self.settings.certificates.iter();
            let mut covering: Vec<_> = all
                .filter(|(_, own)| !names.is_empty() && names.iter().all(|name| own.covers(name)))
                .collect();
            covering.sort_by_key(|(name, own)| (own.identifiers.len(), *name));
            let of = lying.and_then(|leaf| leaf.traits.as_ref()?.key_kind.variant());
            let same = covering.iter().find(|(name, _)| of.is_some() && variant(name) == of);
            fitting.push((same.map(|(name, _)| *name), covering.first().map(|(name, _)| *name)));
        }
        let taken: BTreeSet<&Name> = fitting.iter().filter_map(|(own, _)| *own).collect();
        fitting.iter().map(|(own, else_)| own.or(else_.filter(|n| !taken.contains(n)))).collect()
    }

    /// Tells the running HAProxy what lies at the files of a certificate now.
    pub(super) async fn tell(&self, certificate: &Name) -> Result<(), Untold> {
        let refused = match self.exchange(certificate).await {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        tracing::info!(%certificate, %refused, "haproxy is reloaded instead of told at run time");
        let told = self.settings.reload.run(&[]).await;
        told.map(|_said| ()).map_err(|error| Untold { error, refused: Some(refused) })
    }

    async fn exchange(&self, certificate: &Name) -> Result<(), String> {
        let (own, name) = (self.clone(), certificate.clone());
        let gathered = tokio::task::spawn_blocking(move || own.shown(&name)).await;
        let (socket, shown) = gathered.map_err(|error| error.to_string())??;
        for (name, pem) in shown {
            runtime::replace(&socket, &name, &pem).await?;
        }
        Ok(())
    }

    /// Returns the socket, and the files of a certificate as HAProxy calls them, each with what is to
    /// be shown.
    fn shown(&self, certificate: &Name) -> Result<Shown, String> {
        let config = self.config().map_err(|trouble| trouble.to_string())?;
        let socket = self.settings.runtime.clone().or(config.socket.clone());
        let Some(socket) = socket else {
            return Err("the configuration has no `stats socket` of `level admin`".to_owned());
        };
        let owners = self.owners(&config);
        let mut shown: BTreeMap<String, Zeroizing<Vec<u8>>> = BTreeMap::new();
        for (entry, _) in config.entries.iter().zip(owners).filter(|(_, o)| *o == Some(certificate))
        {
            let mut pem = Zeroizing::new(Vec::new());
            for path in [entry.path().to_owned(), beside(entry.path())] {
                let found = layout::read(&path).map_err(|trouble| trouble.to_string())?;
                if let Some((_, bytes)) = found {
                    pem.extend_from_slice(&bytes);
                    pem.push(b'\n');
                }
                if private_key::key_id(&pem).is_ok() {
                    break;
                }
            }
            shown.insert(entry.name.clone(), pem);
        }
        if shown.is_empty() {
            return Err("no file of it is known to be read".to_owned());
        }
        Ok((socket, shown.into_iter().collect()))
    }
}

/// A socket, and files by HAProxy's names for them with what is to be shown.
type Shown = (PathBuf, Vec<(String, Zeroizing<Vec<u8>>)>);

/// Where HAProxy looks for the key of a file that has none.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

fn group(path: &Path) -> Group {
    let key = beside(path);
    let is_alone = || match layout::read(path) {
        Ok(Some((_, pem))) => private_key::key_id(&pem).is_err(),
        Ok(None) | Err(_) => false,
    };
    if key.exists() && is_alone() {
        return Group::new(vec![(File::Fullchain, path.to_owned()), (File::Key, key)]);
    }
    Group::new(vec![(File::Combined, path.to_owned())])
}

/// Files may be taken over if all who read them are the certificate's, and what is kept aside is not
/// read.
fn may_take_over(
    entry: &Entry,
    owner: Option<&Name>,
    config: &Config,
    owners: &[Option<&Name>],
) -> Result<(), Trouble> {
    if entry.is_in_folder {
        let reason = "names a folder, whose files are not taken over, since what is kept aside would \
                      be read as well: name the files by `crt`, or in a `crt-list`";
        return Err(unreadable(&entry.place, reason));
    }
    let mut others = config.entries.iter().zip(owners);
    let other = others.find(|(other, of)| other.name == entry.name && **of != owner);
    match other {
        Some((other, _)) => {
            let (file, line) = (other.place.file.display(), other.place.line);
            let other = format!("the names of `{file}` line {line}");
            Err(Trouble::Shared { path: entry.path().to_owned(), other })
        }
        None => Ok(()),
    }
}
