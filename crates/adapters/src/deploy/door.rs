//! Paths that a server is configured with, and how they come to lead into our folder.
//!
//! Servers read fixed paths, often two of them, and two renames are two moments. So a path becomes
//! a symbolic link *through* our folder, and the switch is one rename inside it:
//!
//! ```text
//! /etc/ssl/www.pem -> <folder>/current/fullchain.pem
//! /etc/ssl/www.key -> <folder>/current/privkey.pem
//! ```
//!
//! Files that were there before us, and that we may take over, would still change at two moments.
//! They go through a *door*: first their bytes are copied to a directory `before-*`, the link
//! `door-*` is pointed at it, and the paths are replaced by links through the door: nothing that is
//! read has changed yet. Then the door is pointed at `current`, in one rename, and going back is
//! one rename too. The files themselves are kept beside their paths as `<name>.before-perennial`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::access::Access;
use super::layout::{
    BEFORE, CURRENT, Content, DOOR, File, Layout, Pointed, is_before, is_door, read,
};
use super::step::{Step, relink};
use super::trouble::Trouble;
use super::walk;

/// Paths that a server reads together, the key last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    paths: Vec<(File, PathBuf)>,
}

/// What a server reads, as far as it is known.
pub(super) struct Read {
    pub(super) groups: Vec<Group>,
    /// Why clients may not be shown what is installed, for people.
    pub(super) remarks: Vec<String>,
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lies {
    /// Nothing.
    Nothing,
    /// A link through our folder, or the path leads into our folder by itself.
    Ours {
        /// `current`, or a door.
        through: String,
    },
    /// A link of ours through the folder that the certificate had under another name.
    Former,
    /// Something we did not put there.
    Foreign,
}

/// Whose the paths of a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    /// Nothing lies there.
    Nobody,
    /// They show what is ours.
    Ours,
    /// At least one shows what is not.
    Foreign,
    /// A link is on the way that others may change, so that nobody looks what lies there.
    Veiled,
}

impl Owned {
    /// Returns whether it takes `take_over` to write there.
    pub(super) const fn is_others(self) -> bool {
        matches!(self, Self::Foreign | Self::Veiled)
    }
}

impl Group {
    /// Makes a group of the paths that are configured.
    pub(super) fn new(mut paths: Vec<(File, PathBuf)>) -> Self {
        paths.sort();
        paths.dedup();
        Self { paths }
    }

    /// Returns where the leaf lies that is read here, if there is one.
    pub(super) fn leaf(&self, layout: &Layout) -> Result<Option<PathBuf>, Trouble> {
        let is_leaf = |file| matches!(file, File::Fullchain | File::Cert | File::Combined);
        self.source(layout, is_leaf, File::Fullchain)
    }

    /// Returns where the key lies that is read here, if there is one.
    pub(super) fn key(&self, layout: &Layout) -> Result<Option<PathBuf>, Trouble> {
        self.source(layout, |file| matches!(file, File::Key | File::Combined), File::Key)
    }

    /// What is ours is read where it lies, past links of ours that others could have changed since.
    fn source(
        &self,
        layout: &Layout,
        is_wanted: fn(File) -> bool,
        usual: File,
    ) -> Result<Option<PathBuf>, Trouble> {
        let Some((file, path)) = self.paths.iter().find(|(file, _)| is_wanted(*file)) else {
            return layout.active(CURRENT, usual);
        };
        match lies(layout, *file, path)? {
            Lies::Nothing => Ok(None),
            Lies::Foreign => Ok(Some(path.clone())),
            Lies::Ours { through } => layout.active(&through, *file),
            Lies::Former => layout.former_active(*file),
        }
    }

    /// Looks whether the ways to the paths could be gone to read and to write there.
    pub(super) fn passable(&self) -> Result<(), Trouble> {
        for (_, path) in &self.paths {
            let dir = path.parent().unwrap_or(path);
            walk::check(dir).map_err(|error| Trouble::disk("write below", dir, error))?;
        }
        Ok(())
    }

    /// Looks what keeps what others put there from being read, if something does.
    pub(super) fn veil(&self, layout: &Layout) -> Result<(), Trouble> {
        if self.owned(layout)? == Owned::Veiled { self.readable() } else { Ok(()) }
    }

    /// Looks whether what others put there could be read.
    pub(super) fn readable(&self) -> Result<(), Trouble> {
        for (_, path) in &self.paths {
            if let Err(error) = walk::file(path)
                && walk::is_planted(&error)
            {
                return Err(Trouble::disk("read", path, error));
            }
        }
        Ok(())
    }

    /// Returns whose the paths are.
    pub(super) fn owned(&self, layout: &Layout) -> Result<Owned, Trouble> {
        let mut owned = Owned::Nobody;
        for (file, path) in &self.paths {
            let lies = match lies(layout, *file, path) {
                Err(trouble) if trouble.is_planted() => return Ok(Owned::Veiled),
                other => other?,
            };
            match lies {
                Lies::Nothing => {}
                Lies::Foreign if self.readable().is_err() => return Ok(Owned::Veiled),
                Lies::Foreign => return Ok(Owned::Foreign),
                Lies::Former => owned = Owned::Ours,
                Lies::Ours { through } if through == CURRENT => owned = Owned::Ours,
                Lies::Ours { through } => match layout.pointed(&through)? {
                    Pointed::At(to) if to == CURRENT => owned = Owned::Ours,
                    _ => return Ok(Owned::Foreign),
                },
            }
        }
        Ok(owned)
    }

    /// Returns the first path that is not ours, to say which.
    pub(super) fn first(&self) -> PathBuf {
        self.paths.first().map(|(_, path)| path.clone()).unwrap_or_default()
    }

    /// Plans to lead the paths that are not ours through a door that shows what they show now.
    pub(super) fn plan_take_over(&self, layout: &Layout) -> Result<Vec<Step>, Trouble> {
        let mut foreign = Vec::new();
        let mut shown = Vec::new();
        for (file, path) in &self.paths {
            if lies(layout, *file, path)? == Lies::Foreign {
                foreign.push((*file, path));
                shown.extend(read(path)?.map(|(metadata, bytes)| Content {
                    file: *file,
                    bytes,
                    access: Access::of(&metadata),
                }));
            }
        }
        let (number, open) = self.door(layout)?;
        // A key that has no leaf beside it serves nobody; it is not copied, and replaced
        // afterwards. (Where a crash left the leaf led through the door already, the key has to
        // follow.)
        let alone = !open && shown.iter().all(|content| content.file == File::Key);
        if foreign.is_empty() || alone {
            return Ok(Vec::new());
        }
        let door = format!("{DOOR}{number}");
        let before = format!("{BEFORE}{number}");
        let mut steps = Vec::new();
        if !open {
            steps.extend(layout.plan_place(&before, shown)?);
            steps.extend(relink(Path::new(&before), &layout.folder.join(&door)));
            steps.push(Step::SyncDir(layout.folder.clone()));
        }
        for (file, path) in foreign {
            steps.extend(plan_replace(path, &layout.file(&door, file))?);
        }
        Ok(steps)
    }

    /// Plans, once `current` shows the new bundle, to lead the remaining paths through it.
    pub(super) fn plan_link(&self, layout: &Layout) -> Result<Vec<Step>, Trouble> {
        let mut steps = Vec::new();
        for (file, path) in &self.paths {
            match lies(layout, *file, path)? {
                Lies::Ours { .. } => {}
                // Both ways lead to the same by now.
                Lies::Former => {
                    steps.extend(relink(&layout.file(CURRENT, *file), path));
                    steps.extend(path.parent().map(|parent| Step::SyncDir(parent.to_owned())));
                }
                Lies::Nothing | Lies::Foreign => {
                    steps.extend(plan_replace(path, &layout.file(CURRENT, *file))?);
                }
            }
        }
        Ok(steps)
    }

    /// Chooses the door: the one a crash left half way, or else a fresh one.
    fn door(&self, layout: &Layout) -> Result<(String, bool), Trouble> {
        for (file, path) in &self.paths {
            if let Lies::Ours { through } = lies(layout, *file, path)?
                && let Some(number) = through.strip_prefix(DOOR)
                && matches!(layout.pointed(&through)?, Pointed::At(to) if is_before(&to))
            {
                return Ok((number.to_owned(), true));
            }
        }
        let names = layout.names()?;
        let taken = |number: &usize| names.contains(&format!("{DOOR}{number}"));
        let free = (1..=MAX_DOORS).find(|number| !taken(number));
        let free = free.ok_or_else(|| Trouble::InTheWay(layout.folder.join(DOOR)))?;
        Ok((free.to_string(), false))
    }
}

/// Plans to point every door that still shows what was before at `current`.
pub(super) fn plan_open(layout: &Layout) -> Result<Vec<Step>, Trouble> {
    plan_doors(layout, |number, to| {
        (to == format!("{BEFORE}{number}")).then_some(CURRENT.to_owned())
    })
}

/// Plans to point every door that was opened back at what was before, where that is still there.
pub(super) fn plan_close(layout: &Layout) -> Result<Vec<Step>, Trouble> {
    let names = layout.names()?;
    plan_doors(layout, |number, to| {
        let before = format!("{BEFORE}{number}");
        (to == CURRENT && names.contains(&before)).then_some(before)
    })
}

fn plan_doors(
    layout: &Layout,
    choose: impl Fn(&str, &str) -> Option<String>,
) -> Result<Vec<Step>, Trouble> {
    let mut steps = Vec::new();
    for door in layout.names()?.iter().filter(|name| is_door(name)) {
        if let Pointed::At(to) = layout.pointed(door)?
            && let Some(number) = door.strip_prefix(DOOR)
            && let Some(to) = choose(number, &to)
        {
            steps.extend(relink(Path::new(&to), &layout.folder.join(door)));
        }
    }
    if !steps.is_empty() {
        steps.push(Step::SyncDir(layout.folder.clone()));
    }
    Ok(steps)
}

fn lies(layout: &Layout, file: File, path: &Path) -> Result<Lies, Trouble> {
    if path == layout.file(CURRENT, file) {
        return Ok(Lies::Ours { through: CURRENT.to_owned() });
    }
    let to = match walk::lies(path) {
        Ok(walk::Lies::Link(to)) => to,
        Ok(walk::Lies::Directory) => return Err(Trouble::InTheWay(path.to_owned())),
        Ok(walk::Lies::File) => return Ok(Lies::Foreign),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lies::Nothing),
        Err(error) => return Err(Trouble::disk("look at", path, error)),
    };
    let lies = to.parent().and_then(|parent| {
        let through = parent.file_name()?.to_str()?;
        let folder = parent.parent()?;
        if to.file_name()? != file.name() || !(through == CURRENT || is_door(through)) {
            return None;
        }
        if folder == layout.folder {
            return Some(Lies::Ours { through: through.to_owned() });
        }
        (layout.former.as_deref() == Some(folder)).then_some(Lies::Former)
    });
    Ok(lies.unwrap_or(Lies::Foreign))
}

/// Plans to keep what lies at a path under another name and to replace it by a link.
fn plan_replace(path: &Path, to: &Path) -> Result<Vec<Step>, Trouble> {
    let mut steps = Vec::new();
    if let Ok(metadata) = fs::symlink_metadata(path) {
        steps.extend(plan_aside(path, &metadata)?);
    }
    steps.extend(relink(to, path));
    steps.extend(path.parent().map(|parent| Step::SyncDir(parent.to_owned())));
    Ok(steps)
}

/// Plans a second name for what lies at a path, unless a crash left it with one already.
fn plan_aside(path: &Path, metadata: &fs::Metadata) -> Result<Option<Step>, Trouble> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for number in 1..=MAX_ASIDES {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let aside = path.with_file_name(format!("{name}.before-perennial{suffix}"));
        match fs::symlink_metadata(&aside) {
            Ok(kept) if kept.ino() == metadata.ino() && kept.dev() == metadata.dev() => {
                return Ok(None);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Step::HardLink { from: path.to_owned(), to: aside }));
            }
            Err(error) => return Err(Trouble::disk("look at", &aside, error)),
        }
    }
    Err(Trouble::InTheWay(path.with_file_name(format!("{name}.before-perennial"))))
}

/// How many times the paths of one certificate may be taken over.
const MAX_DOORS: usize = 1000;

/// How many files may be kept aside for one path.
const MAX_ASIDES: usize = 99;
