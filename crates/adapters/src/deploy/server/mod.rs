//! The `server` recipes: Apache, Caddy, Dovecot, Postfix and PostgreSQL, one mechanism and a table.
//!
//! ```text
//! ask the server's own program ──▶ which files it reads, for which names ──▶ whose they are
//! stage ──▶ check ──▶ switch ──▶ check again, or go back ──▶ reload
//! ```
//!
//! What a server reads is asked of its own program wherever it has one that says so, since only that
//! knows its defaults, its includes and its variables. A row of the [`table`] says how it is asked,
//! checked and told, and who owns its files; [`uses`] reads the answers. No configuration is edited.
//!
//! The complications, and how each is met:
//! - Few of these servers say for which names a file is used. Then the leaf that lies there tells;
//!   where there is none, the file is the certificate's that alone goes to this target.
//! - A file that two certificates are served from is never taken over for one of them.
//! - What a program answers is bounded, and what cannot be understood is told, not guessed at.
//! - PostgreSQL's programs refuse to be run by root: they are run as the owner of its data.

mod table;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_core::words::Name;
use perennial_wire::program::{Program, ProgramError};

use super::access::AccessSettings;
use super::door::{Group, Read};
use super::install;
use super::layout::{CURRENT, File, Layout};
use super::trouble::Trouble;
use super::{Covers, leads_into};
use table::Row;
pub use table::ServerKind;
use uses::Use;

/// A server on this machine that is neither nginx nor unknown.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Which one.
    pub kind: ServerKind,
    /// Its main configuration file, or the directory that holds it; absolute.
    pub config: PathBuf,
    /// Its program; a bare name is looked up in `PATH`. Its other programs are beside it.
    pub binary: Option<PathBuf>,
    /// What makes it read its files again, instead of the row's own.
    pub reload: Option<Program>,
    /// Where the folders of the certificates are; absolute.
    pub dir: PathBuf,
    /// What certificates were called before they were renamed.
    pub former: BTreeMap<Name, Name>,
    /// Owner, group and modes.
    pub access: AccessSettings,
    /// Whether what others put there may be replaced.
    pub take_over: bool,
    /// The certificates that this target takes, with their names: they decide which files are whose.
    pub certificates: BTreeMap<Name, Covers>,
    /// How long a check or a reload may take.
    pub limit: Duration,
}

/// The recipe.
#[derive(Clone, Debug)]
pub(super) struct Server {
    settings: ServerSettings,
    row: &'static Row,
    config: PathBuf,
}

impl Server {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let row = settings.kind.row();
        let config = &settings.config;
        let config = if config.is_dir() {
            let mut places = row.main.iter().map(|name| config.join(name));
            let first = places.next().unwrap_or_default();
            places.find(|place| place.is_file() && !first.is_file()).unwrap_or(first)
        } else {
            config.clone()
        };
        Self { settings: settings.clone(), row, config }
    }

    /// Returns what checks the configuration as it stands.
    pub(super) async fn check(&self) -> Result<Program, ProgramError> {
        Ok(self.program(self.row.check, self.data().await?.as_deref()))
    }

    /// Returns what makes the running server read its files again.
    pub(super) async fn reload(&self) -> Result<Program, ProgramError> {
        match &self.settings.reload {
            Some(reload) => Ok(reload.clone()),
            None => Ok(self.program(self.row.reload, self.data().await?.as_deref())),
        }
    }

    /// Returns owner and modes of the files: as declared, or else as the server needs them.
    pub(super) async fn access(&self) -> Result<AccessSettings, Trouble> {
        let mut access = self.settings.access.clone();
        if access.owner.is_some() || access.group.is_some() {
            return Ok(access);
        }
        if let Some(data) = self.data().await.map_err(Trouble::ask)? {
            let (uid, gid) = owner(&data)?;
            if rustix::process::geteuid().is_root() {
                (access.owner, access.group) = (Some(uid.to_string()), Some(gid.to_string()));
            }
        }
        Ok(access)
    }

    /// Returns the directory of the server's data, where its row asks for it.
    async fn data(&self) -> Result<Option<PathBuf>, ProgramError> {
        match self.row.data {
            None => Ok(None),
            Some(words) => {
                let said = self.ask(words, None).await?;
                Ok(Some(PathBuf::from(said.trim())))
            }
        }
    }

    async fn ask(&self, words: &[&str], data: Option<&Path>) -> Result<String, ProgramError> {
        self.program(words, data).answer(MAX_ANSWER).await
    }

    /// Returns the groups of paths that a certificate's clients are served from, and what keeps them
    /// from being shown it.
    ///
    /// # Errors
    ///
    /// Returns what the server's program says, or, where files are to be taken over, why they may
    /// not be.
    pub(super) async fn read(
        &self,
        certificate: &Name,
        layout: &Layout,
        take_over: bool,
    ) -> Result<Read, Trouble> {
        if !self.config.is_absolute() {
            return Err(Trouble::Relative(self.config.clone()));
        }
        let data = self.data().await.map_err(Trouble::ask)?;
        let mut answers = Vec::with_capacity(self.row.asks.len());
        for words in self.row.asks {
            let answer = self.ask(words, data.as_deref()).await;
            answers.push(answer.map_err(Trouble::ask)?);
        }
        let folder = self.config.parent().unwrap_or(Path::new("/")).to_owned();
        let (server, certificate, layout) = (self.clone(), certificate.clone(), layout.clone());
        let judge = move || {
            let root = data.as_deref().unwrap_or(&folder);
            let uses = (server.row.read)(&answers, root);
            let uses = uses.map_err(|reason| {
                let path = server.config.clone();
                Trouble::Config { path, line: 1, reason }
            })?;
            server.judge(&uses, &certificate, &layout, take_over)
        };
        tokio::task::spawn_blocking(judge).await?
    }

    fn judge(
        &self,
        uses: &[Use],
        certificate: &Name,
        layout: &Layout,
        take_over: bool,
    ) -> Result<Read, Trouble> {
        let owners: Vec<Option<&Name>> =
            uses.iter().map(|used| self.owner(used)).collect::<Result<_, _>>()?;
        let mut groups = BTreeSet::new();
        for (used, _) in uses.iter().zip(&owners).filter(|(_, own)| **own == Some(certificate)) {
            let group = group(used);
            if take_over && group.owned(layout)?.is_others() {
                let others = uses.iter().zip(&owners);
                let others = others.filter(|(_, own)| **own != Some(certificate));
                may_take_over(used, others.map(|(other, _)| other), &self.config)?;
            }
            groups.insert(group);
        }
        let mut remarks = Vec::new();
        if groups.is_empty() {
            let path = |file| layout.file(CURRENT, file).display().to_string();
            let point = self.row.point.replace("{fullchain}", &path(File::Fullchain));
            let point = point.replace("{key}", &path(File::Key));
            let config = self.config.display();
            remarks.push(format!("nothing in `{config}` reads this certificate: {point}"));
        }
        Ok(Read { groups: groups.into_iter().collect(), remarks })
    }

    /// Returns the certificate that is meant to lie where this is read.
    fn owner(&self, used: &Use) -> Result<Option<&Name>, Trouble> {
        let all = &self.settings.certificates;
        let into = |name: &&Name| leads_into(&used.leaf, &self.settings.dir.join(name.as_str()));
        if let Some(name) = all.keys().find(into) {
            return Ok(Some(name));
        }
        // What cannot be read (a link that others could have put there) tells nothing.
        let leaf = install::leaf_at(&used.leaf).ok().flatten();
        let variant = leaf.as_ref().and_then(|leaf| leaf.traits.as_ref()?.key_kind.variant());
        let best = |covered: &dyn Fn(&Covers) -> bool| {
            let covering = all.iter().filter(|(_, own)| covered(own));
            let other = |own: &Covers| variant.is_some_and(|variant| variant != own.variant);
            let best = covering.min_by_key(|(name, o)| (other(o), o.identifiers.len(), *name));
            best.map(|(name, _)| name)
        };
        if !used.names.is_empty() {
            return Ok(best(&|own| used.names.iter().all(|name| own.covers(name))));
        }
        if let Some(leaf) = &leaf {
            let names = &leaf.identifiers;
            return Ok(best(&|own| names.iter().all(|name| own.covers(name.as_str()))));
        }
        Ok(match all.len() {
            1 => all.keys().next(),
            _ => None,
        })
    }

    /// Makes a program of a row's words.
    fn program(&self, words: &[&str], data: Option<&Path>) -> Program {
        let config = self.config.to_string_lossy().into_owned();
        let folder = self.config.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        let data_text = data.unwrap_or(Path::new("")).to_string_lossy().into_owned();
        let fill = |word: &str| {
            let word = word.replace("{config}", &config).replace("{folder}", &folder);
            word.replace("{data}", &data_text)
        };
        let (first, rest) = words.split_first().unwrap_or((&"", &[]));
        let path = self.path_of(first);
        let mut args: Vec<String> = rest.iter().map(|word| fill(word)).collect();
        let limit = self.settings.limit;
        let as_owner = data.and_then(|data| owner(data).ok()).filter(|(uid, _)| *uid != 0);
        let path = match as_owner {
            Some((uid, gid)) if rustix::process::geteuid().is_root() => {
                let own = ["--reuid", &uid.to_string(), "--regid", &gid.to_string()]
                    .map(str::to_owned)
                    .into_iter();
                let then = ["--clear-groups".to_owned(), "--".to_owned()];
                let program = path.to_string_lossy().into_owned();
                args = own.chain(then).chain([program]).chain(args).collect();
                PathBuf::from("setpriv")
            }
            _ => path,
        };
        Program { path, args, env: BTreeMap::new(), told: BTreeMap::new(), limit }
    }

    /// Returns where a program of the server's is: beside the declared one, or wherever `PATH` says.
    fn path_of(&self, program: &str) -> PathBuf {
        let Some(binary) = &self.settings.binary else { return PathBuf::from(program) };
        if program == self.row.program {
            return binary.clone();
        }
        match binary.parent() {
            Some(folder) if folder != Path::new("") => folder.join(program),
            _ => PathBuf::from(program),
        }
    }
}

fn owner(data: &Path) -> Result<(u32, u32), Trouble> {
    let metadata = std::fs::metadata(data);
    let metadata = metadata.map_err(|error| Trouble::disk("look at", data, error))?;
    Ok((metadata.uid(), metadata.gid()))
}

fn group(used: &Use) -> Group {
    let key = (used.leaf != used.key).then(|| (File::Key, used.key.clone()));
    let leaf = (File::Fullchain, used.leaf.clone());
    Group::new([Some(leaf), key].into_iter().flatten().collect())
}

/// Files may be taken over if nobody else is served from them.
fn may_take_over<'u>(
    used: &Use,
    mut others: impl Iterator<Item = &'u Use>,
    config: &Path,
) -> Result<(), Trouble> {
    if used.leaf == used.key {
        let reason = "leaf and key are read from one file, which cannot be taken over".to_owned();
        return Err(Trouble::Config { path: config.to_owned(), line: 1, reason });
    }
    match others.find(|other| used.paths().any(|path| other.paths().any(|own| own == path))) {
        Some(other) => {
            Err(Trouble::Shared { path: used.leaf.clone(), other: other.told().to_owned() })
        }
        None => Ok(()),
    }
}

/// How much of what a program says about a configuration is read, in bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
