//! Which names of one directory are the same file, now and in the base revision.

use std::collections::{BTreeMap, HashMap};

use rustix::fs::FileType;

use super::Found;

/// Which names of one directory are the same file.
pub(super) struct Links {
    /// The number of each group and its names; only groups of two and more.
    groups: HashMap<(u64, u64), (u32, usize)>,
    /// How many surviving names each group of the base revision has.
    surviving: HashMap<u32, usize>,
    /// The group of the base revision that a group is made of, if it is made of exactly one.
    origin: HashMap<(u64, u64), Option<u32>>,
}

impl Links {
    pub(super) fn new(found: &[Found<'_>]) -> Self {
        let mut names: BTreeMap<(u64, u64), Vec<&Found<'_>>> = BTreeMap::new();
        let mut surviving = HashMap::new();
        for item in found.iter().filter(|item| is_leaf(item)) {
            if item.stat.st_nlink > 1 {
                names.entry(inode(item)).or_default().push(item);
            }
            if let Some(group) = old_group(item) {
                *surviving.entry(group).or_default() += 1;
            }
        }
        let mut links = Self { groups: HashMap::new(), surviving, origin: HashMap::new() };
        for (inode, members) in names.into_iter().filter(|(_, members)| members.len() > 1) {
            let first = old_group(members[0]);
            let one = members.iter().all(|member| old_group(member) == first).then_some(first).flatten();
            links.groups.insert(inode, (links.groups.len() as u32 + 1, members.len()));
            links.origin.insert(inode, one);
        }
        links
    }

    /// The number of a name's group, if it has one.
    pub(super) fn number(&self, item: &Found<'_>) -> Option<u32> {
        self.groups.get(&inode(item)).map(|(number, _)| *number)
    }

    /// Whether a name is the same file as the same other names as before.
    pub(super) fn unchanged(&self, item: &Found<'_>) -> bool {
        let survivors = |group| self.surviving.get(&group).copied().unwrap_or(0);
        match self.groups.get(&inode(item)) {
            Some((_, members)) => self
                .origin
                .get(&inode(item))
                .copied()
                .flatten()
                .is_some_and(|group| survivors(group) == *members),
            None => old_group(item).is_none_or(|group| survivors(group) == 1),
        }
    }
}

pub(super) fn is_leaf(item: &Found<'_>) -> bool {
    FileType::from_raw_mode(item.stat.st_mode) != FileType::Directory
}

pub(super) fn inode(item: &Found<'_>) -> (u64, u64) {
    (item.stat.st_dev, item.stat.st_ino)
}

/// The hard link group that a name had.
pub(super) fn old_group(item: &Found<'_>) -> Option<u32> {
    item.old.filter(|old| old.hard_link.count > 1).map(|old| old.hard_link.group)
}
