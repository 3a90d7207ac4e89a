//! Putting a bundle into the folder, making it the active one, and going back.
//!
//! Everything here is blocking and may be stopped by a crash after any step; repeating it from the
//! beginning finishes it.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use perennial_core::words::{BundleId, Fingerprint, Installed, LeafFacts};
use perennial_wire::private_key;
use perennial_wire::shelf::Bundle;
use perennial_wire::x509::Chain;

use super::access::Accesses;
use super::door::{Group, Owned, plan_close, plan_open};
use super::layout::{
    CURRENT, File, Layout, PREVIOUS, Pointed, contents, is_before, is_version, read,
};
use super::step::{Step, Writer, relink};
use super::trouble::Trouble;
use super::walk;

/// Makes a bundle lie in the folder, for nobody to see yet.
pub(super) fn stage(
    writer: &mut Writer,
    layout: &Layout,
    id: BundleId,
    bundle: &Bundle,
    accesses: Accesses,
) -> Result<(), Trouble> {
    writer.run(&layout.plan_stage(id, contents(bundle, accesses, layout.files))?)
}

/// Returns the directory of a staged bundle.
pub(super) fn staged(layout: &Layout, id: BundleId) -> Result<String, Trouble> {
    let version = Layout::version(id);
    for file in layout.files {
        let path = layout.file(&version, *file);
        if walk::file(&path).is_err() {
            return Err(Trouble::NotStaged(path));
        }
    }
    Ok(version)
}

/// Whether activating changed what is read at the paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switched {
    /// Another bundle is active.
    Bundle,
    /// The bundle was the active one already, but not at all of the paths.
    Paths,
    /// Nothing changed.
    Nothing,
}

/// Makes a staged bundle the active one.
///
/// Groups that show what is not ours are taken over if `take_over`; otherwise they are left as they
/// are, which is an error only if no other group would show the bundle.
pub(super) fn switch(
    writer: &mut Writer,
    layout: &Layout,
    id: BundleId,
    groups: &[Group],
    take_over: bool,
) -> Result<Switched, Trouble> {
    let version = staged(layout, id)?;
    let groups = chosen(layout, groups, take_over)?;
    for group in &groups {
        writer.run(&group.plan_take_over(layout)?)?;
    }
    let bundle = layout.plan_switch(&version)?;
    writer.run(&bundle)?;
    let mut paths = layout.plan_follow()?;
    paths.extend(plan_open(layout)?);
    writer.run(&paths)?;
    for group in &groups {
        let steps = group.plan_link(layout)?;
        writer.run(&steps)?;
        paths.extend(steps);
    }
    Ok(match (bundle.is_empty(), paths.is_empty()) {
        (false, _) => Switched::Bundle,
        (true, false) => Switched::Paths,
        (true, true) => Switched::Nothing,
    })
}

/// Leaves out the groups that may not be touched.
fn chosen<'a>(
    layout: &Layout,
    groups: &'a [Group],
    take_over: bool,
) -> Result<Vec<&'a Group>, Trouble> {
    let mut chosen = Vec::new();
    let mut left = None;
    for group in groups {
        if group.owned(layout)?.is_others() && !take_over {
            // Beside some of ours, the next look tells of it (`left_alone`).
            left = left.or(Some(group));
        } else {
            chosen.push(group);
        }
    }
    match left {
        Some(group) if chosen.is_empty() => {
            group.readable().and(Err(Trouble::Foreign(group.first())))
        }
        _ => Ok(chosen),
    }
}

/// Returns the leaf that would be active again after [`back`], if there is one to go back to.
pub(super) fn leaf_before(
    layout: &Layout,
    switched: Switched,
) -> Result<Option<Arc<LeafFacts>>, Trouble> {
    if switched == Switched::Nothing {
        return Ok(None);
    }
    if let Pointed::At(previous) = layout.pointed(PREVIOUS)?
        && switched == Switched::Bundle
    {
        return leaf_at(&layout.file(&previous, File::Fullchain));
    }
    for name in layout.names()?.iter().filter(|name| is_before(name)) {
        for file in [File::Fullchain, File::Cert, File::Combined] {
            if let Some(leaf) = leaf_at(&layout.file(name, file))? {
                return Ok(Some(leaf));
            }
        }
    }
    Ok(None)
}

/// Makes active again what was before: the previous bundle, or else what was taken over.
pub(super) fn back(
    writer: &mut Writer,
    layout: &Layout,
    switched: Switched,
) -> Result<(), Trouble> {
    if let Pointed::At(previous) = layout.pointed(PREVIOUS)?
        && switched == Switched::Bundle
    {
        let current = layout.folder.join(CURRENT);
        writer.run(&relink(previous.as_ref(), &current))?;
        return writer.run(&[Step::SyncDir(layout.folder.clone())]);
    }
    writer.run(&plan_close(layout)?)
}

/// Makes active again what was before a bundle: the leaf `onto`, while it is valid.
pub(super) fn put_back(
    writer: &mut Writer,
    layout: &Layout,
    id: BundleId,
    onto: Fingerprint,
    now: Timestamp,
) -> Result<(), Trouble> {
    let is_good = |leaf: &LeafFacts| leaf.fingerprint == onto && leaf.ends_at() > now;
    let active = Pointed::At(Layout::version(id));
    if layout.pointed(CURRENT)? != active {
        // It was put back before a crash, or somebody put something else there.
        let lying = layout.active(CURRENT, File::Fullchain)?;
        let lying = lying.map_or(Ok(None), |path| leaf_at(&path))?;
        return if lying.is_some_and(|leaf| is_good(&leaf)) { Ok(()) } else { Err(gone(layout)) };
    }
    let before = leaf_before(layout, Switched::Bundle)?;
    if !before.is_some_and(|leaf| is_good(&leaf)) {
        return Err(gone(layout));
    }
    back(writer, layout, Switched::Bundle)
}

fn gone(layout: &Layout) -> Trouble {
    Trouble::NothingBefore(layout.folder.clone())
}

/// Removes what is older than the previous bundle.
pub(super) fn retire(writer: &mut Writer, layout: &Layout) -> Result<(), Trouble> {
    writer.run(&layout.plan_retire()?)
}

/// Whether somebody writes while is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// What is of the past lies there for good.
    Nobody,
    /// An activation may be about to remove what is of the past.
    Somebody,
}

/// Looks at what lies there. Proves nothing about what is served.
///
/// A way that would be refused when there is something to write is told now, while there is time;
/// with `take_over` that is also the way to what is somebody else's.
pub(super) fn inspect(
    layout: &Layout,
    groups: &[Group],
    take_over: bool,
    mut remarks: Vec<String>,
    writing: Writing,
) -> Result<Installed, Trouble> {
    let folder = &layout.folder;
    walk::check(folder).map_err(|error| Trouble::disk("write below", folder, error))?;
    for group in groups {
        match group.passable().and_then(|()| group.veil(layout)) {
            Err(trouble) if take_over || !group.owned(layout)?.is_others() => return Err(trouble),
            Err(trouble) => remarks.push(trouble.to_string()),
            Ok(()) => {}
        }
    }
    let (ours, speaker) = speaker(layout, groups)?;
    if ours {
        remarks.extend(left_alone(layout, groups)?);
    }
    let leftovers = match writing {
        Writing::Nobody => told(layout.of_the_past()?),
        Writing::Somebody => Box::default(),
    };
    let (remarks, staged) = (told(remarks), staged_leaves(layout)?.into());
    let (leaf, key) = match speaker {
        // What is read there is what another name has; of this one nothing lies there yet.
        _ if ours && matches!(layout.pointed(CURRENT)?, Pointed::Led(_)) => (None, None),
        Speaker::Group(group) => (group.leaf(layout)?, group.key(layout)?),
        Speaker::Current => {
            (layout.active(CURRENT, File::Fullchain)?, layout.active(CURRENT, File::Key)?)
        }
        Speaker::Nobody => (None, None),
    };
    let leaf = leaf.map_or(Ok(None), |path| leaf_at(&path))?;
    let key = key.map_or(Ok(None), |path| read(&path))?;
    let key_matches = leaf
        .as_deref()
        .zip(key)
        .map(|(leaf, (_, pem))| private_key::key_id(&pem).is_ok_and(|id| id == leaf.key));
    Ok(Installed { leaf, ours, staged, key_matches, remarks, leftovers })
}

/// Says which paths show what is not ours, beside others that do.
fn left_alone(layout: &Layout, groups: &[Group]) -> Result<Vec<String>, Trouble> {
    let ours = layout.file(CURRENT, File::Fullchain);
    let mut said = Vec::new();
    for group in groups {
        if group.owned(layout)? == Owned::Foreign {
            let (path, ours) = (group.first(), ours.display());
            said.push(format!(
                "`{}` is read too, and was not written by us: read `{ours}` instead, or declare \
                 `take_over = true`",
                path.display()
            ));
        }
    }
    Ok(said)
}

/// Bounds what is said: it goes into the journal.
fn told(remarks: Vec<String>) -> Box<[Box<str>]> {
    let bounded = |said: String| said.chars().take(MAX_REMARK_LEN).collect::<String>().into();
    remarks.into_iter().take(MAX_REMARKS).map(bounded).collect()
}

/// How many remarks are kept of one certificate at one target.
const MAX_REMARKS: usize = 8;

/// How many characters of each.
const MAX_REMARK_LEN: usize = 500;

/// Who says what is read.
enum Speaker<'a> {
    /// A group of paths.
    Group(&'a Group),
    /// What is ours, since no paths are configured.
    Current,
    /// Nobody: the only way there is one that is not gone.
    Nobody,
}

/// Chooses who speaks for all: a group of ours, or else one with something in it. Returns as well
/// whether what is read is ours.
fn speaker<'a>(layout: &Layout, groups: &'a [Group]) -> Result<(bool, Speaker<'a>), Trouble> {
    let mut foreign = None;
    let mut veiled = false;
    for group in groups {
        match group.owned(layout)? {
            Owned::Ours => return Ok((true, Speaker::Group(group))),
            Owned::Foreign => foreign = foreign.or(Some(group)),
            Owned::Veiled => veiled = true,
            Owned::Nobody => {}
        }
    }
    if veiled || foreign.is_some() {
        return Ok((false, foreign.map_or(Speaker::Nobody, Speaker::Group)));
    }
    // Nothing lies at the paths, or none are configured: what is ours lies behind `current`.
    let current_is_ours = match layout.pointed(CURRENT)? {
        Pointed::Nowhere | Pointed::Led(_) => true,
        Pointed::At(name) => is_version(&name),
        Pointed::Elsewhere => false,
    };
    Ok((current_is_ours, groups.first().map_or(Speaker::Current, Speaker::Group)))
}

fn staged_leaves(layout: &Layout) -> Result<Vec<perennial_core::words::Fingerprint>, Trouble> {
    let current = layout.pointed(CURRENT)?;
    let mut staged = Vec::new();
    for name in layout.names()?.into_iter().filter(|name| is_version(name)).take(MAX_STAGED) {
        if current != Pointed::At(name.clone())
            && let Some(leaf) = leaf_at(&layout.file(&name, File::Cert))?
        {
            staged.push(leaf.fingerprint);
        }
    }
    Ok(staged)
}

/// How many bundles are looked at: a folder has the active one, the one before it and the next.
const MAX_STAGED: usize = 100;

/// Reads the leaf in a file; nothing if there is no file, or no leaf that can be read in it.
pub(super) fn leaf_at(path: &Path) -> Result<Option<Arc<LeafFacts>>, Trouble> {
    let Some((_, pem)) = read(path)? else { return Ok(None) };
    // Core hears that there is none: one of ours is written anew, and of somebody else's files is
    // told that no leaf can be read there.
    Ok(Chain::from_pem(&pem).and_then(|chain| chain.facts()).ok().map(Arc::new))
}
