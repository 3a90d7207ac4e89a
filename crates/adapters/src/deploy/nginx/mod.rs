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
//!
//! A block serves one leaf of each variant of key, so it may be of two certificates: each of its pairs
//! of files has an owner of its own. Where several certificates cover it, a pair is the one's whose
//! variant lies there; a pair of a variant that none of them has is left alone, so that no clients
//! lose what they are shown.

mod block;
mod glob;
mod lex;
mod parse;
mod sites;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_core::words::Name;
use perennial_wire::program::Program;

use super::Covers;
use super::access::AccessSettings;
use super::door::{Group, Read};
use super::install::leaf_at;
use super::layout::{CURRENT, File, Layout};
use super::trouble::Trouble;
use block::{Block, blocks};
use parse::{config, parse};
pub use sites::{Site, sites};

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
    pub certificates: BTreeMap<Name, Covers>,
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
            told: BTreeMap::new(),
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
        let pairs: Vec<Pair<'_>> = blocks.iter().flat_map(|block| self.pairs(block)).collect();
        let mut groups = BTreeSet::new();
        for pair in pairs.iter().filter(|pair| pair.owner == Some(certificate)) {
            let group = group(pair.leaf, pair.key);
            if take_over && group.owned(layout)?.is_others() {
                may_take_over(pair, &pairs)?;
            }
            groups.insert(group);
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
        let Some(covers) = self.settings.certificates.get(certificate) else { return Vec::new() };
        let is_sibling = |owner: &&Name| {
            let other = self.settings.certificates.get(*owner);
            other.is_some_and(|other| other.is_sibling_of(covers))
        };
        let mut remarks = Vec::new();
        for block in blocks {
            let owners: Vec<Option<&Name>> = match self.pairs(block).as_slice() {
                [] => vec![self.covering(block).next()],
                pairs => pairs.iter().map(|pair| pair.owner).collect(),
            };
            let is_own = owners.contains(&Some(certificate));
            let is_nobodys = owners.iter().all(Option::is_none);
            let lacking = block.lacking(&covers.identifiers);
            if (is_own || is_nobodys && block.is_partly_covered_by(&covers.identifiers))
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
            } else if !is_own && owners.iter().flatten().any(is_sibling) {
                let (block, variant) = (block.told(), covers.variant);
                remarks.push(format!(
                    "the server block of {block} has no {variant} leaf: add a second \
                     `ssl_certificate {};` and `ssl_certificate_key {};`",
                    path(File::Fullchain),
                    path(File::Key)
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

    /// Returns the pairs of files that a block reads, each with the certificate whose it is.
    fn pairs<'a>(&'a self, block: &'a Block) -> Vec<Pair<'a>> {
        let covering: Vec<&Name> = self.covering(block).collect();
        let variant_of = |name: &Name| self.settings.certificates.get(name).map(|own| own.variant);
        let is_of_two = block.pairs.len() > 1
            || covering
                .windows(2)
                .any(|two| matches!(two, [a, b] if variant_of(a) != variant_of(b)));
        let owner = |leaf: &Path| {
            let reads =
                |name: &&Name| super::leads_into(leaf, &self.settings.dir.join(name.as_str()));
            if let Some(name) = self.settings.certificates.keys().find(reads) {
                return Some(name);
            }
            let first = covering.first().copied();
            // What cannot be read is nobody's to be kept.
            let lying = || leaf_at(leaf).ok().flatten()?.traits.as_ref()?.key_kind.variant();
            let Some(variant) = is_of_two.then(lying).flatten() else { return first };
            let of_it = covering.iter().find(|name| variant_of(name) == Some(variant)).copied();
            of_it.or(first.filter(|_| block.pairs.len() == 1))
        };
        let pairs = block.pairs.iter();
        pairs.map(|(leaf, key)| Pair { block, leaf, key, owner: owner(leaf) }).collect()
    }

    /// Returns the certificates that cover a block, the one with fewest names first.
    fn covering<'a>(&'a self, block: &Block) -> impl Iterator<Item = &'a Name> {
        let all = self.settings.certificates.iter();
        let mut covering: Vec<_> =
            all.filter(|(_, covers)| block.is_covered_by(&covers.identifiers)).collect();
        covering.sort_by_key(|(name, covers)| (covers.identifiers.len(), *name));
        covering.into_iter().map(|(name, _)| name)
    }
}

/// A leaf and its key, as a server block reads them.
struct Pair<'a> {
    block: &'a Block,
    leaf: &'a Path,
    key: &'a Path,
    /// The certificate whose it is.
    owner: Option<&'a Name>,
}

fn group(leaf: &Path, key: &Path) -> Group {
    let leaf = (File::Fullchain, leaf.to_owned());
    let same = leaf.1 == key;
    let key = (!same).then(|| (File::Key, key.to_owned()));
    Group::new([Some(leaf), key].into_iter().flatten().collect())
}

/// Files may be taken over if all who read them are the certificate's.
fn may_take_over(pair: &Pair<'_>, all: &[Pair<'_>]) -> Result<(), Trouble> {
    if pair.leaf == pair.key {
        let reason = "leaf and key are read from one file, which cannot be taken over";
        return Err(config(&pair.block.file, pair.block.line, reason));
    }
    let others = || all.iter().filter(|other| other.owner != pair.owner);
    for path in [pair.leaf, pair.key] {
        if let Some(other) = others().find(|other| other.leaf == path || other.key == path) {
            let other = format!("the server block of {}", other.block.told());
            return Err(Trouble::Shared { path: path.to_owned(), other });
        }
    }
    Ok(())
}

/// Where the trial's socket goes: the names of sockets must be short. It is never connected to, and
/// one that exists already is no error for nginx's check.
const SOCKETS: &str = "/tmp";
