//! Comparing the three trees: a walk over the upper directory, which costs what was changed and not what the bases hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::accounts::{self, Versions};
use super::entry::{Entry, Kind, Tree, same};
use super::{Attributes, Conflict, Dropped, Merge, Rebase, RebaseError, Resolution, Step, packages};

/// Files longer than this are not merged.
const MERGED_AT_MOST: u64 = 16 << 20;
/// What is computed from other files.
const DERIVED: [&str; 5] = [
    "etc/ld.so.cache",
    "etc/udev/hwdb.bin",
    "usr/lib/udev/hwdb.bin",
    "var/cache/ldconfig/aux-cache",
    "var/lib/systemd/catalog/database",
];
/// dpkg's list of what is installed.
const PACKAGES: &str = "var/lib/dpkg/status";

/// Computes what becomes of the changes in `upper`, the upper directory of an overlay over `before`, when the base is `after`.
///
/// Nothing is touched. `upper` may be in use, but what is changed meanwhile may be missed.
///
/// # Errors
/// [`RebaseError::Io`] if one of the trees can't be read.
pub fn plan(before: &Path, after: &Path, upper: &Path) -> Result<Rebase, RebaseError> {
    let trees = Trees { before: Tree::open(before)?, after: Tree::open(after)?, upper: Tree::open(upper)? };
    let mut plan = Plan { trees, rebase: Rebase::default() };
    // Groups before users: the numbers of groups stand in the list of users too.
    for file in ["etc/group", "etc/passwd"] {
        plan.path(Path::new(file))?;
    }
    plan.directory(Path::new(""))?;
    plan.rebase.steps.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(plan.rebase)
}

struct Trees {
    before: Tree,
    after: Tree,
    upper: Tree,
}

struct Plan {
    trees: Trees,
    rebase: Rebase,
}

/// What the bases have at a path.
struct Bases {
    before: Option<Entry>,
    after: Option<Entry>,
}

impl Plan {
    fn directory(&mut self, path: &Path) -> Result<(), RebaseError> {
        for name in self.trees.upper.names(path)? {
            let path = path.join(name);
            if path != Path::new("etc/passwd") && path != Path::new("etc/group") {
                self.path(&path)?;
            }
        }
        Ok(())
    }

    fn path(&mut self, path: &Path) -> Result<(), RebaseError> {
        let Some(here) = self.trees.upper.entry(path)? else { return Ok(()) };
        let bases = Bases { before: self.trees.before.entry(path)?, after: self.trees.after.entry(path)? };
        match here.kind {
            Kind::Directory => self.changed_directory(path, &here, &bases),
            Kind::Whiteout => {
                let resolution = self.removed(path, &bases)?;
                self.step(path, resolution);
                Ok(())
            }
            _ => {
                let resolution = self.changed(path, &here, bases)?;
                self.step(path, resolution);
                Ok(())
            }
        }
    }

    fn step(&mut self, path: &Path, resolution: Option<Resolution>) {
        match resolution {
            Some(resolution) => self.rebase.steps.push(Step { path: path.to_owned(), resolution }),
            None => self.rebase.untouched += 1,
        }
    }

    fn removed(&self, path: &Path, bases: &Bases) -> Result<Option<Resolution>, RebaseError> {
        Ok(match (&bases.before, &bases.after) {
            (_, None) => Some(Resolution::Dropped { because: Dropped::SameAsNew }),
            _ if self.bases_agree(path, bases)? => None,
            _ => Some(conflict(Conflict::RemovedHere)),
        })
    }

    fn changed_directory(&mut self, path: &Path, here: &Entry, bases: &Bases) -> Result<(), RebaseError> {
        match (&bases.before, &bases.after) {
            (_, Some(after)) if after.kind != Kind::Directory => {
                self.step(path, Some(conflict(Conflict::AnotherKind)));
                return Ok(());
            }
            (Some(before), Some(after)) if before.kind == Kind::Directory => {
                if self.trees.upper.is_opaque(path) {
                    let replaced = !self.same_below(path)?;
                    self.step(path, replaced.then(|| conflict(Conflict::Replaced)));
                    return Ok(());
                }
                let attributes = Attributes::merged(before, after, here);
                if attributes != Attributes::of(here) {
                    let was = Attributes::of(here);
                    self.step(path, Some(Resolution::Attributes { attributes, was }));
                }
            }
            _ => {}
        }
        self.directory(path)
    }

    /// A file, a link or a device.
    fn changed(
        &mut self,
        path: &Path,
        here: &Entry,
        bases: Bases,
    ) -> Result<Option<Resolution>, RebaseError> {
        let Trees { before: tree_before, after: tree_after, upper } = &self.trees;
        let same_as = |tree, entry: &Option<Entry>| match entry {
            Some(entry) => same(path, (upper, here), (tree, entry)),
            None => Ok(false),
        };
        if (bases.before.is_none() && bases.after.is_none()) || self.bases_agree(path, &bases)? {
            return Ok(None);
        }
        if same_as(tree_after, &bases.after)? {
            return Ok(Some(Resolution::Dropped { because: Dropped::SameAsNew }));
        }
        if same_as(tree_before, &bases.before)? {
            return Ok(Some(Resolution::Dropped { because: Dropped::Unchanged }));
        }
        if DERIVED.iter().any(|derived| path == Path::new(derived)) && bases.after.is_some() {
            return Ok(Some(Resolution::Dropped { because: Dropped::Derived }));
        }
        let Some(after) = bases.after else { return Ok(Some(conflict(Conflict::RemovedFromBase))) };
        if after.kind != Kind::File || here.kind != Kind::File {
            let alike = std::mem::discriminant(&after.kind) == std::mem::discriminant(&here.kind);
            return Ok(Some(conflict(if alike { Conflict::BothChanged } else { Conflict::AnotherKind })));
        }
        let Some(before) = bases.before.filter(|before| before.kind == Kind::File) else {
            return self.unmerged(path).map(Some);
        };
        let attributes = Attributes::merged(&before, &after, here);
        Ok(Some(match self.content(path)? {
            Some((by, content)) => Resolution::Merged { by, content, attributes },
            None => self.unmerged(path)?,
        }))
    }

    /// The merged content of a file that all three have.
    fn content(&mut self, path: &Path) -> Result<Option<(Merge, Vec<u8>)>, RebaseError> {
        let Trees { before, after, upper } = &self.trees;
        let (Some(before), Some(after), Some(here)) = (
            before.content(path, MERGED_AT_MOST)?,
            after.content(path, MERGED_AT_MOST)?,
            upper.content(path, MERGED_AT_MOST)?,
        ) else {
            return Ok(None);
        };
        if let Some(file) = accounts::File::of(path) {
            let here = if file == accounts::File::Users {
                accounts::with_groups(&here, &self.rebase.groups)
            } else {
                here
            };
            let versions = Versions { before: &before, after: &after, here: &here };
            let accounts::Merged { content, renumbered } = accounts::merge(file, versions);
            match file {
                accounts::File::Users => self.rebase.users = renumbered,
                accounts::File::Groups => self.rebase.groups = renumbered,
                accounts::File::ByName => {}
            }
            return Ok(Some((Merge::Accounts, content)));
        }
        // Only the attributes were changed on one side.
        if before == here || before == after {
            let content = if before == here { after } else { here };
            return Ok(Some((Merge::Lines, content)));
        }
        Ok(merge(path, Versions { before: &before, after: &after, here: &here }))
    }

    /// What was made here stays; configuration of the base is put beside it.
    fn unmerged(&self, path: &Path) -> Result<Resolution, RebaseError> {
        let beside =
            if path.starts_with("etc") { self.trees.after.content(path, MERGED_AT_MOST)? } else { None };
        Ok(Resolution::Conflict { kind: Conflict::BothChanged, beside })
    }

    fn bases_agree(&self, path: &Path, bases: &Bases) -> Result<bool, RebaseError> {
        match (&bases.before, &bases.after) {
            (Some(before), Some(after)) => {
                same(path, (&self.trees.before, before), (&self.trees.after, after))
            }
            (None, None) => Ok(true),
            _ => Ok(false),
        }
    }

    /// Whether the bases have the same tree below a path.
    fn same_below(&self, path: &Path) -> Result<bool, RebaseError> {
        let Trees { before, after, .. } = &self.trees;
        let mut open: Vec<PathBuf> = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            let bases = Bases { before: before.entry(&path)?, after: after.entry(&path)? };
            if !self.bases_agree(&path, &bases)? {
                return Ok(false);
            }
            if bases.before.is_some_and(|entry| entry.kind == Kind::Directory) {
                let names = before.names(&path)?;
                if names != after.names(&path)? {
                    return Ok(false);
                }
                open.extend(names.into_iter().map(|name| path.join(name)));
            }
        }
        Ok(true)
    }
}

impl Attributes {
    pub(super) fn of(entry: &Entry) -> Self {
        Self { mode: entry.mode, user: entry.owner.0, group: entry.owner.1 }
    }

    /// What one side changed; where both did, what was made here.
    fn merged(before: &Entry, after: &Entry, here: &Entry) -> Self {
        let (before, after, here) = (Self::of(before), Self::of(after), Self::of(here));
        let choose = |before, after, here| if here == before { after } else { here };
        Self {
            mode: choose(before.mode, after.mode, here.mode),
            user: choose(before.user, after.user, here.user),
            group: choose(before.group, after.group, here.group),
        }
    }
}

/// Merges the contents of a file that both sides have changed, by the rules for its path.
pub(super) fn merge(path: &Path, versions: Versions<'_>) -> Option<(Merge, Vec<u8>)> {
    if let Some(file) = accounts::File::of(path) {
        return Some((Merge::Accounts, accounts::merge(file, versions).content));
    }
    let Versions { before, after, here } = versions;
    if path == Path::new(PACKAGES) {
        return Some((Merge::Packages, packages::merge(before, after, here)?));
    }
    if !path.starts_with("etc") {
        return None;
    }
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text: &&str| !text.contains('\0'));
    let merged = diffy::merge(text(before)?, text(here)?, text(after)?).ok()?;
    Some((Merge::Lines, merged.into_bytes()))
}

fn conflict(kind: Conflict) -> Resolution {
    Resolution::Conflict { kind, beside: None }
}

/// The numbers, the other way round.
pub(super) fn inverted(numbers: &BTreeMap<u32, u32>) -> BTreeMap<u32, u32> {
    numbers.iter().map(|(&old, &new)| (new, old)).collect()
}
