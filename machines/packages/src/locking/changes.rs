//! What differs between two locks.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::lock::{Lock, LockedPackage};
use crate::version::compare_versions;

/// A package that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is called.
    pub name: String,
    /// What happened.
    pub change: ChangeKind,
    /// Its version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its version now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The index that it comes from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
}

/// What happened to a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It came in.
    Added,
    /// It went.
    Removed,
    /// It is newer.
    Upgraded,
    /// It is older.
    Downgraded,
    /// The same version has other bytes.
    Rebuilt,
}

impl ChangeKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Rebuilt => "rebuilt",
        }
    }
}

/// Every package that differs, by name.
#[must_use]
pub fn changes(before: &Lock, after: &Lock) -> Vec<Change> {
    let by_name = |lock: &'_ Lock| -> BTreeMap<(String, String), LockedPackage> {
        let key = |package: &LockedPackage| (package.name.to_string(), package.architecture.to_string());
        lock.packages.iter().map(|package| (key(package), package.clone())).collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    let mut found = Vec::new();
    for (key, package) in &new {
        let change = |kind, before: Option<&LockedPackage>| Change {
            name: package.name.to_string(),
            change: kind,
            before: before.map(|before| before.version.to_string()),
            after: Some(package.version.to_string()),
            index: Some(package.index.to_string()),
        };
        match old.get(key) {
            None => found.push(change(ChangeKind::Added, None)),
            Some(other) if other.sha256 == package.sha256 => {}
            Some(other) => {
                let order = compare_versions(after.family, package.version.as_str(), other.version.as_str());
                let kind = match order {
                    std::cmp::Ordering::Less => ChangeKind::Downgraded,
                    std::cmp::Ordering::Equal => ChangeKind::Rebuilt,
                    std::cmp::Ordering::Greater => ChangeKind::Upgraded,
                };
                found.push(change(kind, Some(other)));
            }
        }
    }
    for (key, package) in &old {
        if !new.contains_key(key) {
            let before = Some(package.version.to_string());
            let name = package.name.to_string();
            found.push(Change { name, change: ChangeKind::Removed, before, after: None, index: None });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}
