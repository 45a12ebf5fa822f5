//! Which packages a tree has, as its own database tells, and whether they are those of the lock.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::error::TreeError;
use super::rooted::Root;
use crate::family::Family;
use crate::lock::Lock;

pub(super) mod debian;
pub(super) mod rpm;

/// Versions by name and architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packages(BTreeMap<(String, String), String>);

/// How the packages of a tree differ from those of its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    /// Only in the lock.
    pub missing: Vec<String>,
    /// Only in the tree.
    pub unexpected: Vec<String>,
    /// In both, at different versions.
    pub other_version: Vec<String>,
}

impl Packages {
    /// Adds one; `false` if there is one of that name and architecture already.
    pub(super) fn add(&mut self, name: &str, architecture: &str, version: &str) -> bool {
        self.0.insert((name.to_owned(), architecture.to_owned()), version.to_owned()).is_none()
    }

    fn of(lock: &Lock) -> Self {
        let mut packages = Self::default();
        for package in &lock.packages {
            let (name, architecture) = (package.name.as_str(), package.architecture.as_str());
            packages.add(name, architecture, package.version.as_str());
        }
        packages
    }
}

/// Checks that a tree has exactly the packages of a lock, all of them installed to the end. Temporary files go to `scratch`.
pub(super) fn verify(root: &Root, lock: &Lock, scratch: &Path) -> Result<(), TreeError> {
    let installed = match lock.family {
        Family::Debian => debian::installed(root)?,
        Family::Rpm => rpm::installed(root, scratch)?,
    };
    match differences(&Packages::of(lock), &installed) {
        None => Ok(()),
        Some(differences) => Err(TreeError::Different { tree: root.path().to_owned(), differences }),
    }
}

fn differences(wanted: &Packages, installed: &Packages) -> Option<Differences> {
    let named = |((name, architecture), version): (&(String, String), &String)| {
        format!("{name} {version} ({architecture})")
    };
    let missing: Vec<_> =
        wanted.0.iter().filter(|(key, _)| !installed.0.contains_key(*key)).map(named).collect();
    let unexpected: Vec<_> =
        installed.0.iter().filter(|(key, _)| !wanted.0.contains_key(*key)).map(named).collect();
    let changed = wanted.0.iter().filter_map(|(key, version)| {
        let other = installed.0.get(key)?;
        let (name, architecture) = key;
        (other != version).then(|| format!("{name} {other} instead of {version} ({architecture})"))
    });
    let other_version: Vec<_> = changed.collect();
    let equal = missing.is_empty() && unexpected.is_empty() && other_version.is_empty();
    (!equal).then_some(Differences { missing, unexpected, other_version })
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A message names so many; the number tells of the others.
        const NAMED: usize = 10;
        let mut separator = "";
        for (what, names) in [
            ("missing", &self.missing),
            ("not in the lock", &self.unexpected),
            ("of another version", &self.other_version),
        ] {
            if names.is_empty() {
                continue;
            }
            let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            write!(f, "{separator}{what}: {shown}")?;
            if names.len() > NAMED {
                write!(f, " and {} more", names.len() - NAMED)?;
            }
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(list: &[(&str, &str, &str)]) -> Packages {
        let mut packages = Packages::default();
        for (name, architecture, version) in list {
            assert!(packages.add(name, architecture, version));
        }
        packages
    }

    #[test]
    fn all_differences_are_named() {
        let wanted = packages(&[("a", "all", "1"), ("b", "amd64", "1"), ("c", "amd64", "1:2-3")]);
        assert_eq!(differences(&wanted, &wanted.clone()), None);
        let installed = packages(&[("b", "amd64", "2"), ("c", "amd64", "1:2-3"), ("d", "all", "4")]);
        let told = differences(&wanted, &installed).expect("they differ").to_string();
        assert_eq!(
            told,
            "missing: a 1 (all); not in the lock: d 4 (all); of another version: b 2 instead of 1 (amd64)"
        );
    }

    #[test]
    fn long_lists_are_cut_short() {
        let list: Vec<_> = (0..13).map(|number| format!("p{number:02}")).collect();
        let mut wanted = Packages::default();
        for name in &list {
            wanted.add(name, "all", "1");
        }
        let told = differences(&wanted, &Packages::default()).expect("they differ").to_string();
        assert!(told.ends_with("p09 1 (all) and 3 more"), "{told}");
    }
}
