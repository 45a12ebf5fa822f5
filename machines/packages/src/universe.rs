//! What the solver needs to know of packages, whichever family they are of: names, versions, and relations resolved to sets
//! of packages. How relations are written stands with the families.

use std::cmp::Ordering;

use crate::family::Family;
use crate::lock::LockedPackage;

/// A package of a universe: its place in the order that the indexes were read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub(crate) u32);

impl From<u32> for PackageId {
    fn from(place: u32) -> Self {
        Self(place)
    }
}

impl PackageId {
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// A need: one of some packages, if all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Holds only if of each of these sets one is installed.
    pub when: Vec<Vec<PackageId>>,
    /// Any of these will do, the preferred first.
    pub any_of: Vec<PackageId>,
    /// As the index says it.
    pub text: String,
}

/// A package that must not be there at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// Every package that it means.
    pub none_of: Vec<PackageId>,
    /// As the index says it, with the word in front: `Conflicts: a (<< 2)`.
    pub text: String,
}

/// What a package needs, wants and refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// It doesn't work without these.
    pub requires: Vec<Clause>,
    /// It is usually installed with these.
    pub recommends: Vec<Clause>,
    /// It can't be installed beside these.
    pub excludes: Vec<Exclusion>,
}

/// A package whose entry in the index can't be understood.
#[derive(Debug, thiserror::Error)]
#[error("package {package} of index '{index}': '{}' is not a valid {field}", text.escape_debug())]
pub struct EntryError {
    /// Which one.
    pub package: String,
    /// Where it stands.
    pub index: String,
    /// What of it.
    pub field: &'static str,
    /// What stands there.
    pub text: String,
}

/// All packages of some indexes.
pub trait Universe {
    /// Whose packages they are.
    fn family(&self) -> Family;

    /// How many there are.
    fn count(&self) -> usize;

    /// What it is called.
    fn name(&self, id: PackageId) -> &str;

    /// As its family writes it.
    fn version(&self, id: PackageId) -> &str;

    /// The number of the index that it is in.
    fn index(&self, id: PackageId) -> usize;

    /// All of this name, newest first; of the same version the one of the first index.
    fn named(&self, name: &str) -> &[PackageId];

    /// All names, for suggestions.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// What can stand for a word that is no package's name: a virtual package, a capability, a file.
    ///
    /// # Errors
    /// If the word has a wrong form.
    fn providers(&self, word: &str) -> Result<Vec<PackageId>, EntryError>;

    /// The members of a group that the indexes define, if there is one of this name.
    fn group(&self, name: &str) -> Option<Vec<PackageId>>;

    /// The names of such groups, for suggestions.
    fn groups(&self) -> Vec<String>;

    /// Whether every system has it.
    fn is_essential(&self, id: PackageId) -> bool;

    /// What it takes when it is installed, in bytes.
    fn installed_size(&self, id: PackageId) -> u64;

    /// What it needs, wants and refuses.
    ///
    /// # Errors
    /// If its entry can't be understood.
    fn relations(&self, id: PackageId) -> Result<Relations, EntryError>;

    /// What a lock says of it.
    ///
    /// # Errors
    /// If its entry can't be understood.
    fn locked(&self, id: PackageId) -> Result<LockedPackage, EntryError>;

    /// The order of versions.
    fn compare(&self, one: &str, other: &str) -> Ordering {
        crate::version::compare_versions(self.family(), one, other)
    }
}
