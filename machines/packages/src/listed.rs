//! The packages that a system has, as its tree lists them, and how two lists differ. Unlike what is checked when a tree is built,
//! a list is taken as it is: it describes systems that were published, whoever built them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::lock::Lock;

/// Versions by name and architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageList(BTreeMap<(String, String), String>);

/// A package that two lists have at different versions, or that one of them lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageDifference {
    /// What it is called.
    pub name: String,
    /// The package's own architecture.
    pub architecture: String,
    /// Its version in the older list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its version in the newer list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl PackageList {
    /// Where the tree of a system that Varve built has its lock.
    pub const LOCK_PATH: &str = "/usr/lib/varve/os.lock";
    /// Where dpkg keeps what is installed.
    pub const DPKG_PATH: &str = "/var/lib/dpkg/status";

    /// The packages of a lock.
    #[must_use]
    pub fn of_lock(lock: &Lock) -> Self {
        let packages = lock.packages.iter().map(|package| {
            let key = (package.name.to_string(), package.architecture.to_string());
            (key, package.version.to_string())
        });
        Self(packages.collect())
    }

    /// The installed packages of dpkg's status file. Paragraphs that say nothing of use are passed over.
    #[must_use]
    pub fn of_dpkg(status: &str) -> Self {
        let mut packages = BTreeMap::new();
        for paragraph in status.split("\n\n") {
            let field = |name: &str| {
                let value = |line: &str| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                };
                paragraph.lines().filter(|line| !line.starts_with([' ', '\t'])).find_map(value)
            };
            let is_installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
            if let (Some(name), Some(version), true) = (field("Package"), field("Version"), is_installed) {
                packages.insert((name, field("Architecture").unwrap_or_default()), version);
            }
        }
        Self(packages)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In what a newer list differs, by name.
    #[must_use]
    pub fn differences(&self, newer: &Self) -> Vec<PackageDifference> {
        let mut keys: Vec<_> = self.0.keys().chain(newer.0.keys()).collect();
        keys.sort();
        keys.dedup();
        let difference = |key: &(String, String)| {
            let (before, after) = (self.0.get(key).cloned(), newer.0.get(key).cloned());
            let (name, architecture) = key.clone();
            (before != after).then_some(PackageDifference { name, architecture, before, after })
        };
        keys.into_iter().filter_map(difference).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: all\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n\n\
        Package: b\nStatus: hold ok installed\nDescription: x\n Version: no\nArchitecture: amd64\nVersion: 4\n\nnonsense";

    #[test]
    fn lists_of_dpkg_are_compared() {
        let old = PackageList::of_dpkg(STATUS);
        assert_eq!(old.len(), 2);
        let new = PackageList::of_dpkg(
            &STATUS.replace("Version: 4", "Version: 5").replace("Package: a", "Package: c"),
        );
        let told: Vec<_> = old
            .differences(&new)
            .into_iter()
            .map(|difference| (difference.name, difference.before, difference.after))
            .collect();
        let version = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("a".to_owned(), version("1:2-3"), None),
                ("b".to_owned(), version("4"), version("5")),
                ("c".to_owned(), None, version("1:2-3")),
            ]
        );
        assert!(PackageList::of_dpkg("").is_empty());
    }
}
