//! Folders of certificates that were renamed, and renamed back.
//!
//! ```text
//! <dir>/www/current  -> ../shop/current         `shop` was `www`
//! <dir>/shop/current -> 4f0c6b2e9d1a7788
//! ```
//!
//! Servers may read either. Complications, and how each is met:
//! - `www` may be declared again: the same certificate under its old name, or another one. Its
//!   `current` is then a link of ours to be replaced. The bundle that was read through it is copied
//!   here first, to have something to go back to that no other folder can remove.
//! - Links may lead on (`a` to `b` to `c`) and must never lead in a circle: a link to another
//!   folder is only made once `current` there leads to a bundle, and only in the place of one that
//!   led to a bundle. So every way ends at one, at every moment.

use std::fs;
use std::path::{Component, Path, PathBuf};

use perennial_core::words::Name;

use super::access::Access;
use super::layout::{
    CURRENT, Content, File, Layout, PREVIOUS, Pointed, is_folder, is_version, read,
};
use super::step::{Step, relink};
use super::trouble::Trouble;

/// Returns the name of the folder beside ours to whose `current` a link leads.
pub(super) fn led(to: &Path) -> Option<String> {
    let mut parts = to.components();
    let (up, name, current) = (parts.next()?, parts.next()?, parts.next()?);
    let (Component::ParentDir, Component::Normal(name), Component::Normal(current)) =
        (up, name, current)
    else {
        return None;
    };
    let name = name.to_str().filter(|name| is_folder(name))?;
    (current == CURRENT && parts.next().is_none()).then(|| name.to_owned())
}

impl Layout {
    /// Returns the same folder of a certificate that was called otherwise before.
    pub(super) fn renamed_from(self, dir: &Path, was: &Name) -> Result<Self, Trouble> {
        let former = Self::new(dir, was)?.folder;
        Ok(Self { former: (former != self.folder).then_some(former), ..self })
    }

    /// Plans, once `current` shows the new bundle, to let `current` of the former folder lead there:
    /// whoever reads under the old name reads what is new.
    pub(super) fn plan_follow(&self) -> Result<Vec<Step>, Trouble> {
        let (Some(folder), Some(name)) = (self.former.clone(), self.folder.file_name()) else {
            return Ok(Vec::new());
        };
        let former = Self { folder, former: None, files: self.files };
        if !matches!(former.pointed(CURRENT)?, Pointed::At(_)) {
            return Ok(Vec::new());
        }
        let to = Path::new("..").join(name).join(CURRENT);
        let mut steps = Vec::from(relink(&to, &former.folder.join(CURRENT)));
        steps.push(Step::SyncDir(former.folder));
        Ok(steps)
    }

    /// Returns where a file lies that is read through the former folder.
    pub(super) fn former_active(&self, file: File) -> Result<Option<PathBuf>, Trouble> {
        let Some(folder) = self.former.clone() else { return Ok(None) };
        let former = Self { folder, former: None, files: self.files };
        match former.pointed(CURRENT)? {
            Pointed::Led(name) if self.folder.ends_with(&name) => self.active(CURRENT, file),
            _ => former.active(CURRENT, file),
        }
    }

    /// Plans, before `current` stops leading to another folder, to make what is read through it the
    /// previous bundle of this one.
    pub(super) fn plan_return(&self, to: &str) -> Result<Vec<Step>, Trouble> {
        let Some((lender, version)) = self.lender()? else { return Ok(Vec::new()) };
        let mut steps = Vec::new();
        if version != to {
            let mut files = Vec::new();
            for file in self.files.iter().copied() {
                // What is not whole is nothing to go back to.
                let Some((metadata, bytes)) = read(&lender.file(&version, file))? else {
                    return Ok(Vec::new());
                };
                files.push(Content { file, bytes, access: Access::of(&metadata) });
            }
            steps.extend(self.plan_place(&version, files)?);
        }
        steps.extend(relink(Path::new(&version), &self.folder.join(PREVIOUS)));
        Ok(steps)
    }

    /// Finds the folder whose bundle is read through this one, and the directory of the bundle.
    fn lender(&self) -> Result<Option<(Self, String)>, Trouble> {
        let mut at = Self { folder: self.folder.clone(), former: None, files: self.files };
        for _ in 0..MAX_LED {
            match at.pointed(CURRENT)? {
                Pointed::Led(name) => {
                    let folder = at.folder.with_file_name(name);
                    // A link in its place would lead out of our directory.
                    if !fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
                        return Ok(None);
                    }
                    at.folder = folder;
                }
                Pointed::At(version) if is_version(&version) => return Ok(Some((at, version))),
                Pointed::At(_) | Pointed::Nowhere | Pointed::Elsewhere => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// How many folders a way may lead through; the kernel follows no more links.
const MAX_LED: usize = 40;
