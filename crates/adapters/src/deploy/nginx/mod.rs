//! The `nginx` recipe: reads nginx's configuration to know which files serve which names.
//!
//! Server blocks whose names a certificate covers are its blocks. Blocks that read our folder are
//! served by it already. Blocks that read other files are left alone, and what they read is
//! reported, so that it can be adopted; with `take_over` those *files* are put aside and replaced
//! by links into our folder. The configuration itself is never edited.
//!
//! The complications: a file may be read by several blocks, of which the certificate covers only
//! some (refused); several blocks may read several files (each pair goes through a door of its
//! own); several certificates may cover a block (the one it reads already, else the one with fewest
//! names); files may be named by variables or come from an engine (not understood, left alone).

mod block;
mod glob;
mod lex;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perennial_core::words::{Identifier, Name};
use perennial_wire::program::Program;

use super::access::AccessSettings;
use super::door::{Group, Read};
use super::layout::{CURRENT, File, Layout};
use super::trouble::Trouble;
use block::{Block, blocks};
use parse::{config, parse};

/// Reads a configuration and returns how many of its server blocks speak TLS. For the fuzzer.
///
/// # Errors
///
/// Returns what cannot be read, and where.
#[cfg(feature = "fuzzing")]
pub fn read_config(path: &Path) -> Result<usize, String> {
    let config = parse(path).map_err(|trouble| format!("{trouble:?}"))?;
    Ok(blocks(&config, path.parent().unwrap_or(Path::new("/"))).len())
}

/// An nginx on this machine.
#[derive(Clone, Debug)]
pub struct NginxSettings {
    /// Its main configuration file, or the directory that holds `nginx.conf`; absolute.
    pub config: PathBuf,
    /// Its binary; a bare name is looked up in `PATH`.
    pub binary: PathBuf,
    /// The prefix it is started with (`-p`), if it is not the one compiled in.
    pub prefix: Option<PathBuf>,
    /// Where the folders of the certificates are; absolute.
    pub dir: PathBuf,
    /// What certificates were called before they were renamed.
    pub former: BTreeMap<Name, Name>,
    /// Owner, group and modes.
    pub access: AccessSettings,
    /// Whether what others put there may be replaced.
    pub take_over: bool,
    /// The certificates that this target takes, with their names: they decide which server blocks
    /// are whose.
    pub certificates: BTreeMap<Name, Arc<[Identifier]>>,
    /// How long a check or a reload may take.
    pub limit: Duration,
}

/// The recipe.
#[derive(Clone, Debug)]
pub(super) struct Nginx {
    settings: NginxSettings,
    config: PathBuf,
}

/// A configuration that reads nothing but a staged bundle. Its directory goes when it is dropped.
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

impl Nginx {
    pub(super) fn new(settings: &NginxSettings) -> Self {
        let config = &settings.config;
        let config = if config.is_dir() { config.join("nginx.conf") } else { config.clone() };
        Self { settings: settings.clone(), config }
    }

    /// Checks the configuration as it stands.
    pub(super) fn check(&self) -> Program {
        self.program(&self.config, &["-t", "-q"])
    }

    /// Makes the running nginx read configuration and files again, without losing a connection.
    pub(super) fn reload(&self) -> Program {
        self.program(&self.config, &["-s", "reload"])
    }

    fn program(&self, config: &Path, words: &[&str]) -> Program {
        let mut args: Vec<String> = words.iter().map(ToString::to_string).collect();
        args.extend(["-c".to_owned(), config.to_string_lossy().into_owned()]);
        if let Some(prefix) = &self.settings.prefix {
            args.extend(["-p".to_owned(), prefix.to_string_lossy().into_owned()]);
        }
        Program {
            path: self.settings.binary.clone(),
            args,
            env: BTreeMap::new(),
            limit: self.settings.limit,
        }
    }

    /// Prepares a check that this nginx can load a staged bundle, before anything reads it.
    pub(super) fn trial(&self, layout: &Layout, version: &str) -> Result<Trial, Trouble> {
        let dir = layout.folder.join(".staging-trial");
        let failed = |error| Trouble::disk("prepare a trial in", &dir, error);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let config = dir.join("nginx.conf");
        let quoted = |file| layout.file(version, file).to_string_lossy().replace('"', "\\\"");
        let text = format!(
            "pid \"{dir}/pid\";\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n  \
             server {{\n    listen unix:{SOCKETS}/perennial-trial-{version}.sock;\n    \
             ssl_certificate \"{leaf}\";\n    ssl_certificate_key \"{key}\";\n  }}\n}}\n",
            dir = dir.to_string_lossy().replace('"', "\\\""),
            leaf = quoted(File::Fullchain),
            key = quoted(File::Key),
        );
        fs::write(&config, text).map_err(failed)?;
        Ok(Trial { program: self.program(&config, &["-t", "-q"]), dir })
    }

    /// Returns the groups of paths that the blocks of a certificate read, and what keeps clients from
    /// being shown it.
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
        if !self.config.is_absolute() {
            return Err(Trouble::Relative(self.config.clone()));
        }
        let root = self.config.parent().unwrap_or(Path::new("/"));
        let blocks = blocks(&parse(&self.config)?, root);
        let (own, others): (Vec<&Block>, Vec<&Block>) =
            blocks.iter().partition(|block| self.owner(block) == Some(certificate));
        let mut groups = BTreeSet::new();
        for block in &own {
            for (leaf, key) in &block.pairs {
                let group = group(leaf, key);
                if take_over && group.owned(layout)?.is_others() {
                    may_take_over(block, leaf, key, &others)?;
                }
                groups.insert(group);
            }
        }
        let remarks = self.remarks(certificate, layout, &blocks, groups.is_empty());
        Ok(Read { groups: groups.into_iter().collect(), remarks })
    }

    /// Says which block keeps clients from being shown the certificate, and what to change.
    fn remarks(
        &self,
        certificate: &Name,
        layout: &Layout,
        blocks: &[Block],
        is_unread: bool,
    ) -> Vec<String> {
        let path = |file| layout.file(CURRENT, file).display().to_string();
        let point = format!(
            "point its `ssl_certificate` at `{}` and `ssl_certificate_key` at `{}`",
            path(File::Fullchain),
            path(File::Key)
        );
        let identifiers = self.settings.certificates.get(certificate).map_or(&[][..], |own| own);
        let mut remarks = Vec::new();
        for block in blocks {
            let owner = self.owner(block);
            let is_own = owner == Some(certificate);
            let lacking = block.lacking(identifiers);
            if (is_own || owner.is_none() && block.is_partly_covered_by(identifiers))
                && let Some(name) = lacking.first()
            {
                let block = block.told();
                remarks.push(format!(
                    "the server block of {block} has the name `{name}`, which this certificate \
                     lacks: add it to the certificate, or move it to a block of its own"
                ));
            } else if is_own && block.obscure {
                let block = block.told();
                remarks.push(format!(
                    "the server block of {block} names files in a way that is not understood: {point}"
                ));
            }
        }
        if is_unread && remarks.is_empty() {
            let config = self.config.display();
            remarks.push(format!(
                "no server block in `{config}` reads this certificate: in the block of its names, \
                 {point}"
            ));
        }
        remarks
    }

    /// Returns the certificate whose block it is.
    fn owner(&self, block: &Block) -> Option<&Name> {
        let reads = |name: &&Name| {
            let folder = self.settings.dir.join(name.as_str());
            block.pairs.iter().any(|(leaf, _)| leads_into(leaf, &folder))
        };
        if let Some(name) = self.settings.certificates.keys().find(reads) {
            return Some(name);
        }
        let covering = self.settings.certificates.iter();
        let covering = covering.filter(|(_, identifiers)| block.is_covered_by(identifiers));
        covering.min_by_key(|(name, identifiers)| (identifiers.len(), *name)).map(|(name, _)| name)
    }
}

/// Returns whether a path lies in a folder, or is a link into it.
fn leads_into(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder.join(CURRENT))
        || fs::read_link(path).is_ok_and(|to| to.starts_with(folder))
}

fn group(leaf: &Path, key: &Path) -> Group {
    let leaf = (File::Fullchain, leaf.to_owned());
    let same = leaf.1 == key;
    let key = (!same).then(|| (File::Key, key.to_owned()));
    Group::new([Some(leaf), key].into_iter().flatten().collect())
}

/// Files may be taken over if all who read them are the certificate's.
fn may_take_over(block: &Block, leaf: &Path, key: &Path, others: &[&Block]) -> Result<(), Trouble> {
    if leaf == key {
        let reason = "leaf and key are read from one file, which cannot be taken over";
        return Err(config(&block.file, block.line, reason));
    }
    for path in [leaf, key] {
        if let Some(other) = others.iter().find(|other| other.reads(path)) {
            return Err(Trouble::Shared { path: path.to_owned(), other: other.told() });
        }
    }
    Ok(())
}

/// Where the trial's socket goes: the names of sockets must be short. It is never connected to, and
/// one that exists already is no error for nginx's check.
const SOCKETS: &str = "/tmp";
