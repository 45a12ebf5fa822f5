//! What a check found to be wrong, for people and for programs.

use std::fmt;

use serde::Serialize;
use varve_content::ObjectName;
use varve_repository::RepositoryPath;

/// What kind of thing is wrong. The names in the machine-readable form are these in lower case, joined by hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The manifest is missing, is none, or is not signed as it has to be.
    Manifest,
    /// The whitelist is missing, has expired, or is not signed by a master key.
    Whitelist,
    /// The certificate is missing or is none.
    Certificate,
    /// The log of references is missing, is none, or contradicts the manifest or the tags.
    Reflog,
    /// The history is missing or is none.
    History,
    /// The description is missing or is no JSON.
    MetaInfo,
    /// A tag names what does not exist or contradicts it.
    Tag,
    /// A catalog is missing, damaged, or is none.
    Catalog,
    /// A catalog does not have the size, the revision or the place that what refers to it says.
    CatalogReference,
    /// The rows of a catalog are no directory tree.
    CatalogTree,
    /// The directory at which two catalogs meet differs between them.
    Transition,
    /// A nested catalog is not registered, not flagged, or lacks its marker.
    Nested,
    /// The statistics of a catalog don't count what it lists.
    Counters,
    /// A link count is not the number of names.
    LinkCount,
    /// Names of one file differ.
    HardLink,
    /// An entry has attributes that its kind can't have.
    Entry,
    /// An object that a catalog lists is not stored.
    ObjectMissing,
    /// A stored object does not have the hash that it is named by.
    ObjectDamaged,
    /// A stored object does not decompress to the size that the catalog lists.
    ObjectSize,
    /// The store could not be read: this says nothing of what is in it.
    Unreadable,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The path in the repository, where it concerns one; bytes that are no text are replaced.
    pub path: Option<String>,
    /// The object or file of the store, where it concerns one.
    pub object: Option<String>,
    /// What is wrong, in words.
    pub problem: String,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, problem: impl Into<String>) -> Self {
        Self { kind, path: None, object: None, problem: problem.into() }
    }

    pub(super) fn at(mut self, path: &RepositoryPath) -> Self {
        self.path = Some(path.to_string());
        self
    }

    pub(super) fn of(mut self, object: &ObjectName) -> Self {
        self.object = Some(object.to_string());
        self
    }

    pub(super) fn of_file(mut self, name: impl fmt::Display) -> Self {
        self.object = Some(name.to_string());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.problem)?;
        if let Some(object) = &self.object {
            write!(f, " ({object})")?;
        }
        Ok(())
    }
}

/// The text of an error with everything that caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use varve_content::{Algorithm, ObjectKind};

    use super::*;

    #[test]
    fn findings_have_two_forms() {
        let object = ObjectName::new(Algorithm::Sha1.hash(b""), ObjectKind::Chunk);
        let path = RepositoryPath::new(b"/a/\xff").expect("a path");
        let finding = Finding::new(FindingKind::ObjectMissing, "is not stored").at(&path).of(&object);
        assert_eq!(
            finding.to_string(),
            "/a/\u{fffd}: is not stored (da39a3ee5e6b4b0d3255bfef95601890afd80709P)"
        );
        assert_eq!(
            serde_json::to_string(&finding).expect("text"),
            "{\"kind\":\"object-missing\",\"path\":\"/a/\u{fffd}\",\
            \"object\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709P\",\"problem\":\"is not stored\"}"
        );
    }
}
