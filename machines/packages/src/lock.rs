//! The lock file: a closed list of packages at exact versions, and the indexes that it was made from. Reading and writing
//! the text; how one is made stands elsewhere.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::{Fingerprint, Sha256};
use crate::family::Family;
use crate::location::{MirrorUrl, PackagePath};
use crate::name::{Architecture, IndexId, PackageName, PackageVersion};

/// The version of the format that is written.
const VERSION: u32 = 1;

/// Larger texts are not read.
const LARGEST: usize = 64 << 20;

const HEAD: &str = "# Made by `varve os lock`; `varve os update` changes it.\n";

/// All packages of a system, each at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Whose packages they are.
    pub family: Family,
    /// What the system runs on.
    pub architecture: Architecture,
    /// The list that it was made from.
    pub list: ListOrigin,
    /// Where the packages were found, sorted by their ids.
    pub indexes: Vec<LockedIndex>,
    /// The packages, sorted by name, architecture and version.
    pub packages: Vec<LockedPackage>,
}

/// The shopping list that a lock was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListOrigin {
    /// What the list calls itself.
    pub name: String,
    /// Of the list's file.
    pub sha256: Sha256,
    /// What was asked for, groups resolved, sorted.
    pub request: Vec<String>,
}

/// One signed index: a suite of a mirror, or a repository of RPM packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedIndex {
    /// What packages refer to it by.
    pub id: IndexId,
    /// Debian's suite; empty for RPM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suite: String,
    /// Debian's components; none for RPM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// When it was made, as RFC 3339 in UTC.
    pub date: String,
    /// Of the signed file: InRelease, Release or repomd.xml.
    pub sha256: Sha256,
    /// The keys whose signatures were found good, sorted.
    pub fingerprints: Vec<Fingerprint>,
    /// Where it was fetched from.
    pub mirror: MirrorUrl,
}

/// One package at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// What it is called.
    pub name: PackageName,
    /// As its family writes it.
    pub version: PackageVersion,
    /// The package's own: `all` and `noarch` fit every system.
    pub architecture: Architecture,
    /// The index that gave its digest.
    pub index: IndexId,
    /// Where the file is, relative to the index's mirror.
    pub path: PackagePath,
    /// Of the file, in bytes.
    pub size: u64,
    /// Of the file, as the signed index gives it.
    pub sha256: Sha256,
    /// Whether the list asked for it by name; else something needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requested: bool,
}

/// A text that is not a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not TOML, or not with the right keys and values.
    #[error("not a lock file")]
    Syntax(#[source] Box<toml::de::Error>),
    /// Written by a program of another time.
    #[error("a lock file of version {0}, but this program reads version {VERSION}")]
    Version(u32),
    /// More bytes than any lock has.
    #[error("a lock file of {0} bytes, but none is larger than {LARGEST}")]
    TooLarge(usize),
    /// Two packages, or two indexes, of one name.
    #[error("'{0}' stands in the lock file twice")]
    Twice(String),
    /// A package of an index that is not there.
    #[error("package {package} is from index '{index}', which the lock file lacks")]
    NoIndex {
        /// The package.
        package: PackageName,
        /// What it refers to.
        index: IndexId,
    },
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    family: Family,
    architecture: Architecture,
    list: ListOrigin,
    #[serde(default, rename = "index")]
    indexes: Vec<LockedIndex>,
    #[serde(default, rename = "package")]
    packages: Vec<LockedPackage>,
}

impl Lock {
    /// Reads a lock file's text.
    ///
    /// # Errors
    /// If it isn't one, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        if text.len() > LARGEST {
            return Err(LockError::TooLarge(text.len()));
        }
        #[derive(Deserialize)]
        struct Head {
            version: Option<u32>,
        }
        let syntax = |error| LockError::Syntax(Box::new(error));
        let head: Head = toml::from_str(text).map_err(syntax)?;
        if let Some(version) = head.version
            && version != VERSION
        {
            return Err(LockError::Version(version));
        }
        let Text { family, architecture, list, indexes, packages, .. } =
            toml::from_str(text).map_err(syntax)?;
        let mut lock = Self { family, architecture, list, indexes, packages };
        lock.sort();
        lock.check()?;
        Ok(lock)
    }

    /// The text; the same packages give the same bytes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut sorted = self.clone();
        sorted.sort();
        let Self { family, architecture, list, indexes, packages } = sorted;
        let text = Text { version: VERSION, family, architecture, list, indexes, packages };
        let toml = toml::to_string(&text).expect("because tables come last and all keys are text");
        format!("{HEAD}{toml}")
    }

    /// The index of this id.
    #[must_use]
    pub fn index(&self, id: &IndexId) -> Option<&LockedIndex> {
        self.indexes.iter().find(|index| index.id == *id)
    }

    /// The package of this name.
    #[must_use]
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        let at = self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        self.packages.get(at)
    }

    fn sort(&mut self) {
        self.list.request.sort();
        self.list.request.dedup();
        self.indexes.sort_by(|one, other| one.id.cmp(&other.id));
        for index in &mut self.indexes {
            index.fingerprints.sort();
            index.fingerprints.dedup();
        }
        let key = |package: &LockedPackage| {
            (package.name.clone(), package.architecture.clone(), package.version.clone())
        };
        self.packages.sort_by_cached_key(key);
    }

    fn check(&self) -> Result<(), LockError> {
        let mut ids = BTreeSet::new();
        for index in &self.indexes {
            if !ids.insert(&index.id) {
                return Err(LockError::Twice(index.id.to_string()));
            }
        }
        for package in &self.packages {
            if !ids.contains(&package.index) {
                return Err(LockError::NoIndex {
                    package: package.name.clone(),
                    index: package.index.clone(),
                });
            }
        }
        for (one, other) in self.packages.iter().zip(self.packages.iter().skip(1)) {
            if (&one.name, &one.architecture) == (&other.name, &other.architecture) {
                return Err(LockError::Twice(one.name.to_string()));
            }
        }
        Ok(())
    }
}

// As serde wants it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# Made by `varve os lock`; `varve os update` changes it.
version = 1
family = "debian"
architecture = "amd64"

[list]
name = "basic"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
request = ["b"]

[[index]]
id = "stable"
suite = "stable"
components = ["main"]
date = "2026-01-02T03:04:05Z"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
fingerprints = ["B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8"]
mirror = "http://mirror.example.org/debian"

[[package]]
name = "a"
version = "1:2-3"
architecture = "all"
index = "stable"
path = "pool/a_2-3_all.deb"
size = 12
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

[[package]]
name = "b"
version = "0"
architecture = "amd64"
index = "stable"
path = "pool/b_0_amd64.deb"
size = 34
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
requested = true
"#;

    #[test]
    fn a_lock_is_written_as_it_is_read() {
        let lock = Lock::parse(TEXT).expect("because it is one");
        assert_eq!(lock.to_text(), TEXT);
        assert_eq!(lock.package("b").map(|package| package.size), Some(34));
        assert_eq!(lock.package("c"), None);
    }

    #[test]
    fn the_order_that_packages_were_found_in_does_not_show() {
        let mut lock = Lock::parse(TEXT).expect("because it is one");
        lock.packages.reverse();
        assert_eq!(lock.to_text(), TEXT);
    }

    #[test]
    fn what_is_not_a_lock_is_told() {
        let told = |text: &str| Lock::parse(text).expect_err("because it is none").to_string();
        assert_eq!(told("x"), "not a lock file");
        assert_eq!(
            told("version = 2\nnew = 1"),
            "a lock file of version 2, but this program reads version 1"
        );
        assert_eq!(told(&TEXT.replace("name = \"b\"", "name = \"../b\"")), "not a lock file");
        assert_eq!(told(&TEXT.replace("path = \"pool", "path = \"..")), "not a lock file");
        let elsewhere = TEXT.replacen("index = \"stable\"", "index = \"other\"", 1);
        assert_eq!(told(&elsewhere), "package a is from index 'other', which the lock file lacks");
        let twice = TEXT.replace("name = \"b\"", "name = \"a\"").replace("\"all\"", "\"amd64\"");
        assert_eq!(told(&twice), "'a' stands in the lock file twice");
    }
}
