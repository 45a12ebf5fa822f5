//! What a tree says of itself: the lock that it was built from, and a name and a version.

use std::io;

use serde::{Deserialize, Serialize};

use super::error::TreeError;
use super::rooted::Root;
use crate::digest::Sha256;
use crate::lock::Lock;
use crate::name::{NameError, PackageName};

/// In the tree: the record, and the lock word for word.
const RECORD: &str = "usr/lib/varve/os.toml";
const LOCK: &str = "usr/lib/varve/os.lock";

/// Larger records and locks are not read.
const LARGEST: u64 = 64 << 20;

/// What a tree is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A machine boots it.
    Machine,
    /// Programs run in it on a machine that has booted something else.
    Container,
}

/// The record of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeRecord {
    /// What the system is called: what its list is.
    pub name: PackageName,
    /// Its version, chosen by whoever built it.
    pub version: TreeVersion,
    /// What it was made for.
    pub role: Role,
    /// Of the lock's text.
    pub lock: Sha256,
}

/// A version of a tree: what may stand behind its name in a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreeVersion(String);

impl TreeVersion {
    /// Checks the characters.
    ///
    /// # Errors
    /// If a tag can't have them.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        crate::name::PackageVersion::new(text).map(|version| Self(version.into()))
    }

    /// The day of the newest index of a lock: `20260102`.
    ///
    /// # Errors
    /// If the lock's dates are none.
    pub fn of(lock: &Lock) -> Result<Self, TreeError> {
        let second = super::epoch(lock)?;
        let date = jiff::Timestamp::from_second(second).map_err(|_| TreeError::Date(second.to_string()))?;
        let day: String = date.to_string().chars().filter(char::is_ascii_digit).take(8).collect();
        Self::new(day.as_str()).map_err(|_| TreeError::Date(day))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for TreeVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for TreeVersion {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for TreeVersion {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<TreeVersion> for String {
    fn from(version: TreeVersion) -> Self {
        version.0
    }
}

/// Writes the record and the lock.
pub(super) fn write(root: &Root, record: &TreeRecord, lock: &str) -> io::Result<()> {
    let text = toml::to_string(record).expect("because all values are text");
    root.write(RECORD, format!("# Made by `varve os build`.\n{text}").as_bytes(), 0o644)?;
    root.write(LOCK, lock.as_bytes(), 0o644)
}

/// Reads both, and checks that they belong together.
pub(super) fn read(root: &Root) -> Result<(TreeRecord, Lock), TreeError> {
    let text = |path: &str| -> Result<String, TreeError> {
        let bytes = root.read(path, LARGEST).map_err(TreeError::io("read", &root.path().join(path)))?;
        let bytes = bytes.ok_or_else(|| TreeError::NoRecord { tree: root.path().to_owned() })?;
        String::from_utf8(bytes)
            .map_err(|_| TreeError::BadRecord { tree: root.path().to_owned(), source: None })
    };
    let (record, lock) = (text(RECORD)?, text(LOCK)?);
    let record: TreeRecord = toml::from_str(&record).map_err(|error| TreeError::BadRecord {
        tree: root.path().to_owned(),
        source: Some(Box::new(error)),
    })?;
    if Sha256::of(lock.as_bytes()) != record.lock {
        return Err(TreeError::OtherLock { tree: root.path().to_owned() });
    }
    Ok((record, Lock::parse(&lock)?))
}
