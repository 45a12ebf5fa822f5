//! The history of a repository: names for its revisions, and which revision was the newest at a time.
//!
//! A value in memory; its form as a database is in [`crate::db::history`].

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use varve_content::ContentHash;

use crate::RepositoryName;
use crate::db::{self, DatabaseError};

/// The tag of the newest revision.
pub const HEAD: &str = "trunk";

/// The tag of the revision before the newest one.
pub const PREVIOUS_HEAD: &str = "trunk-previous";

/// The most bytes of a history object, decompressed.
pub const HISTORY_LIMIT: usize = 256 << 20;

/// The name of a tag: a text of 1 to 255 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(String);

impl TagName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagName {
    type Err = HistoryError;

    fn from_str(text: &str) -> Result<Self, HistoryError> {
        if (1..=255).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(HistoryError::Name { text: text.chars().take(60).collect() })
        }
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name for a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The name.
    pub name: TagName,
    /// The revision's root catalog.
    pub root_catalog: ContentHash,
    /// Its size in bytes, decompressed; 0 where it is not told.
    pub root_catalog_size: u64,
    /// The revision's number.
    pub revision: u64,
    /// When it was published, in seconds since 1970.
    pub published: u64,
    /// What somebody wrote of it.
    pub description: String,
    /// The branch, empty for the trunk.
    pub branch: String,
}

/// A line of revisions beside the trunk, as the original knows them. Varve keeps and does not make them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The name, empty for the trunk.
    pub name: String,
    /// What it branches off from; none for the trunk.
    pub parent: Option<String>,
    /// Its first revision.
    pub initial_revision: u64,
}

impl Branch {
    pub(crate) fn trunk() -> Self {
        Self { name: String::new(), parent: None, initial_revision: 0 }
    }
}

/// A published root catalog, as a tag names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedRoot {
    /// The root catalog.
    pub root_catalog: ContentHash,
    /// Its size in bytes, decompressed.
    pub root_catalog_size: u64,
    /// The revision's number.
    pub revision: u64,
    /// When it was published, in seconds since 1970.
    pub published: u64,
}

impl PublishedRoot {
    /// A tag of this revision, on the trunk.
    pub fn tag(&self, name: TagName, description: &str) -> Tag {
        Tag {
            name,
            root_catalog: self.root_catalog,
            root_catalog_size: self.root_catalog_size,
            revision: self.revision,
            published: self.published,
            description: description.to_owned(),
            branch: String::new(),
        }
    }
}

/// All tags of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub(crate) repository: RepositoryName,
    pub(crate) previous: Option<ContentHash>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) branches: Vec<Branch>,
}

impl History {
    /// A history without tags.
    pub fn new(repository: RepositoryName) -> Self {
        Self { repository, previous: None, tags: Vec::new(), branches: vec![Branch::trunk()] }
    }

    /// Reads the database of a history object, decompressed.
    ///
    /// # Errors
    /// [`DatabaseError`] if the bytes are no such database.
    pub fn read(bytes: &[u8]) -> Result<Self, DatabaseError> {
        db::history::read(bytes)
    }

    /// The database: the same bytes for the same tags in the same order.
    ///
    /// # Errors
    /// [`DatabaseError::Sqlite`], for example if two branches have one name.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DatabaseError> {
        db::history::write(self)
    }

    /// The repository that it says it belongs to.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The history object before this one.
    pub fn previous(&self) -> Option<ContentHash> {
        self.previous
    }

    /// Records which history object this one follows.
    pub fn set_previous(&mut self, previous: ContentHash) {
        self.previous = Some(previous);
    }

    /// All tags, in the order in which they were made.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// All tags, the newest first.
    pub fn newest_first(&self) -> Vec<&Tag> {
        let mut tags: Vec<_> = self.tags.iter().collect();
        tags.sort_by_key(|tag| std::cmp::Reverse((tag.published, tag.revision)));
        tags
    }

    /// All branches, the trunk among them.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The tag of this name.
    pub fn tag(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name.as_str() == name)
    }

    /// The revision that was the newest of the trunk at a time, as far as tags tell.
    pub fn at(&self, seconds: u64) -> Option<&Tag> {
        self.tags
            .iter()
            .filter(|tag| tag.branch.is_empty() && tag.published <= seconds)
            .reduce(|best, tag| if tag.revision > best.revision { tag } else { best })
    }

    /// Every root catalog that has a tag, the oldest first, each once.
    pub fn root_catalogs(&self) -> Vec<ContentHash> {
        let mut tags = self.newest_first();
        tags.reverse();
        let mut catalogs = Vec::new();
        for tag in tags {
            if !catalogs.contains(&tag.root_catalog) {
                catalogs.push(tag.root_catalog);
            }
        }
        catalogs
    }

    /// Adds a tag.
    ///
    /// # Errors
    /// [`HistoryError::Exists`] if there is one of its name, [`HistoryError::Reserved`] for the names that
    /// [`Self::advance`] keeps.
    pub fn insert(&mut self, tag: Tag) -> Result<(), HistoryError> {
        if [HEAD, PREVIOUS_HEAD].contains(&tag.name.as_str()) {
            return Err(HistoryError::Reserved { name: tag.name });
        }
        if self.tag(tag.name.as_str()).is_some() {
            return Err(HistoryError::Exists { name: tag.name });
        }
        self.tags.push(tag);
        Ok(())
    }

    /// Removes a tag and returns it.
    pub fn remove(&mut self, name: &str) -> Option<Tag> {
        let at = self.tags.iter().position(|tag| tag.name.as_str() == name)?;
        Some(self.tags.remove(at))
    }

    /// Moves the tag of the newest revision, and behind it the one of the revision before.
    pub fn advance(&mut self, head: &PublishedRoot) {
        if let Some(mut old) = self.remove(HEAD) {
            self.remove(PREVIOUS_HEAD);
            old.name = TagName(PREVIOUS_HEAD.to_owned());
            "default undo target".clone_into(&mut old.description);
            self.tags.push(old);
        }
        self.tags.push(head.tag(TagName(HEAD.to_owned()), "current HEAD"));
    }

    /// Goes back to a tag, whose revision was published once more as `head`: tags of later revisions of the trunk
    /// disappear, the tag itself names the new revision. Returns what disappeared.
    ///
    /// # Errors
    /// [`HistoryError::Unknown`] if there is no such tag.
    pub fn roll_back(&mut self, name: &str, head: &PublishedRoot) -> Result<Vec<Tag>, HistoryError> {
        let target =
            self.tag(name).ok_or_else(|| HistoryError::Unknown { name: name.chars().take(60).collect() })?;
        let (mut target, revision) = (target.clone(), target.revision);
        let (gone, kept) = std::mem::take(&mut self.tags).into_iter().partition::<Vec<_>, _>(|tag| {
            tag.branch.is_empty() && (tag.revision > revision || tag.name == target.name)
        });
        self.tags = kept;
        target = Tag { description: target.description, branch: target.branch, ..head.tag(target.name, "") };
        let reserved = [HEAD, PREVIOUS_HEAD].contains(&name);
        if !reserved {
            self.tags.push(target);
        }
        self.remove(HEAD);
        self.tags.push(head.tag(TagName(HEAD.to_owned()), "current HEAD"));
        Ok(gone.into_iter().filter(|tag| self.tag(tag.name.as_str()).is_none()).collect())
    }

    /// A name for a tag that nobody chose one for: `generic-2026-11-21T00:36:09Z`, with `_1`, `_2`, … behind it where it
    /// is taken.
    pub fn automatic_name(&self, seconds: u64) -> TagName {
        let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let time = time.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
        let name = format!("generic-{}", time.strftime("%Y-%m-%dT%H:%M:%SZ"));
        let numbered = (1u64..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| self.tag(name).is_none());
        TagName(free.unwrap_or(name))
    }
}

/// Why tags could not be changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// Not the name of a tag.
    #[error("'{text}' is no tag (1 to 255 bytes without control characters)")]
    Name {
        /// The offending text, shortened.
        text: String,
    },
    /// A tag of this name is there.
    #[error("tag '{name}' exists")]
    Exists {
        /// The name.
        name: TagName,
    },
    /// A name that publishing moves by itself.
    #[error("tag '{name}' is kept by the repository itself")]
    Reserved {
        /// The name.
        name: TagName,
    },
    /// There is no such tag.
    #[error("there is no tag '{name}'")]
    Unknown {
        /// The name, shortened.
        name: String,
    },
}
