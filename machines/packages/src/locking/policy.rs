//! Which version of each package is considered, and what is preferred.

use std::collections::{HashMap, HashSet};

use super::requests::Requests;
use super::{Previous, UpdateScope};
use crate::index::Index;
use crate::list::ShoppingList;
use crate::solve::Reach;
use crate::universe::{PackageId, Universe};

/// How much is considered; the next is tried when there is no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// One version of each package: the locked one, or else the newest.
    One,
    /// The locked one and the newest.
    Two,
    /// All.
    Every,
}

impl Strictness {
    pub(super) const ALL: [Self; 3] = [Self::One, Self::Two, Self::Every];
}

/// What costs how much. In an update a package that is in the lock already is nearly free.
const NEW: u32 = 1000;
const PREFERRED: u32 = 500;
const KEPT: u32 = 10;
const OTHER_VERSION: u32 = 100;
const OLD: u32 = 5000;

/// The rules for one attempt.
pub(super) struct Policy<'a> {
    list: &'a ShoppingList,
    indexes: &'a [Index],
    universe: &'a dyn Universe,
    requests: &'a Requests,
    strictness: Strictness,
    preferred: HashSet<&'a str>,
    /// By name: the locked version, and whether it is to be kept.
    locked: HashMap<&'a str, (&'a str, bool)>,
}

impl<'a> Policy<'a> {
    pub(super) fn new(
        list: &'a ShoppingList,
        indexes: &'a [Index],
        universe: &'a dyn Universe,
        requests: &'a Requests,
        previous: Option<&Previous<'a>>,
        strictness: Strictness,
    ) -> Self {
        let mut locked = HashMap::new();
        if let Some(previous) = previous {
            for package in &previous.lock.packages {
                let kept = match &previous.scope {
                    UpdateScope::All => false,
                    UpdateScope::Least => true,
                    UpdateScope::Named(names) => !names.contains(&package.name),
                };
                locked.insert(package.name.as_str(), (package.version.as_str(), kept));
            }
        }
        let preferred = list.prefer.iter().map(String::as_str).collect();
        Self { list, indexes, universe, requests, strictness, preferred, locked }
    }

    /// The newest that comes without being asked for.
    fn newest(&self, same: &[PackageId]) -> Option<PackageId> {
        same.iter().copied().find(|&id| self.is_automatic(id))
    }

    fn is_automatic(&self, id: PackageId) -> bool {
        self.indexes.get(self.universe.index(id)).is_none_or(|index| index.automatic)
    }

    /// The version of the lock, if it is to be kept and still there, and no index of security updates has a newer one.
    fn kept(&self, same: &[PackageId]) -> Option<PackageId> {
        let name = self.universe.name(*same.first()?);
        let (version, true) = *self.locked.get(name)? else { return None };
        let kept = same.iter().copied().find(|&id| self.universe.version(id) == version)?;
        let is_newer = |id: PackageId| self.universe.compare(self.universe.version(id), version).is_gt();
        let secure =
            |id: PackageId| self.indexes.get(self.universe.index(id)).is_some_and(|index| index.security);
        let replaced = same.iter().any(|&id| secure(id) && is_newer(id));
        (!replaced).then_some(kept)
    }
}

impl Reach for Policy<'_> {
    fn admits(&self, id: PackageId) -> bool {
        let name = self.universe.name(id);
        if self.list.exclude.matching(name).is_some() {
            return false;
        }
        let same = match self.requests.pinned(name) {
            Some(pinned) if !pinned.contains(&id) => return false,
            Some(pinned) => pinned,
            None => self.universe.named(name),
        };
        let (kept, newest) = (self.kept(same), self.newest(same).or_else(|| same.first().copied()));
        match self.strictness {
            Strictness::One => kept.or(newest) == Some(id),
            Strictness::Two => kept == Some(id) || newest == Some(id),
            // What nobody asked for does not come from an index such as backports while there is another way.
            Strictness::Every => self.is_automatic(id) || newest == Some(id),
        }
    }

    fn weight(&self, id: PackageId) -> u32 {
        let name = self.universe.name(id);
        match self.locked.get(name) {
            Some((version, _)) if *version == self.universe.version(id) => KEPT,
            _ if self.newest(self.universe.named(name)).is_some_and(|newest| newest != id) => OLD,
            Some(_) => OTHER_VERSION,
            None if self.preferred.contains(name) => PREFERRED,
            None => NEW,
        }
    }

    fn recommends(&self) -> bool {
        self.list.recommends
    }
}
