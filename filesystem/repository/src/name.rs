//! Names: of repositories, of entries in a directory, and paths inside a repository. Entry names are bytes.

use std::fmt;
use std::str::FromStr;

use varve_content::PathKey;

/// The fully qualified name of a repository, such as `software.example.org`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything behind the first dot, empty without one.
    pub fn domain(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, domain)| domain)
    }

    /// Everything before the first dot.
    pub fn organization(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(first, _)| first)
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.len() <= 253
            && text.chars().all(allowed)
            && text.split('.').all(|label| !label.is_empty() && !label.starts_with('-'))
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Repository { text: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an entry in its directory: 1 to 255 bytes, no `/`, no NUL, not `.` or `..`; not necessarily UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Vec<u8>);

impl EntryName {
    /// Checks and keeps a name.
    ///
    /// # Errors
    /// [`NameError::Entry`] if no file can have that name.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, NameError> {
        let bytes = bytes.into();
        if Self::is_valid(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(NameError::Entry {
                text: String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned(),
            })
        }
    }

    /// Whether a file can have that name.
    pub fn is_valid(bytes: &[u8]) -> bool {
        (1..=255).contains(&bytes.len())
            && !bytes.iter().any(|byte| matches!(byte, 0 | b'/'))
            && bytes != b"."
            && bytes != b".."
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A path inside a repository: empty for the root, else `/` before every name and none at the end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RepositoryPath(Vec<u8>);

impl RepositoryPath {
    /// The root.
    pub const ROOT: Self = Self(Vec::new());

    /// Reads a path; `/` and the empty text are the root, and a missing first or an extra last `/` is forgiven.
    ///
    /// # Errors
    /// [`NameError`] if a component is no [`EntryName`].
    pub fn new(bytes: &[u8]) -> Result<Self, NameError> {
        let mut path = Self::ROOT;
        let trimmed = bytes.strip_prefix(b"/").unwrap_or(bytes);
        let trimmed = trimmed.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(trimmed);
        if trimmed.is_empty() {
            return Ok(path);
        }
        for component in trimmed.split(|&byte| byte == b'/') {
            path = path.join(&EntryName::new(component)?);
        }
        Ok(path)
    }

    /// The bytes as catalogs hash them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of this path in catalogs.
    pub fn key(&self) -> PathKey {
        PathKey::of(&self.0)
    }

    /// The path of an entry in this directory.
    #[must_use]
    pub fn join(&self, name: &EntryName) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.0.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(&name.0);
        Self(bytes)
    }

    /// The directory and the name of this path, `None` for the root.
    pub fn split_last(&self) -> Option<(Self, EntryName)> {
        let at = self.0.iter().rposition(|&byte| byte == b'/')?;
        Some((Self(self.0[..at].to_vec()), EntryName(self.0[at + 1..].to_vec())))
    }

    /// The names on the way from the root.
    pub fn components(&self) -> impl Iterator<Item = EntryName> + '_ {
        self.0.split(|&byte| byte == b'/').skip(1).map(|name| EntryName(name.to_vec()))
    }

    /// Whether this is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.strip_prefix(other.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str("/") } else { f.write_str(&String::from_utf8_lossy(&self.0)) }
    }
}

impl fmt::Debug for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A name that can't be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Not the name of a repository.
    #[error("'{text}' is not a repository name (letters, digits, '-', '_', in labels joined by dots)")]
    Repository {
        /// The offending text, shortened.
        text: String,
    },
    /// Not the name of a file.
    #[error("'{text}' is not a file name (1 to 255 bytes without '/' and NUL, not '.' or '..')")]
    Entry {
        /// The offending text, shortened.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names() {
        let name: RepositoryName = "sft.cern.ch".parse().expect("a usual name");
        assert_eq!((name.organization(), name.domain()), ("sft", "cern.ch"));
        for bad in ["", ".", "a..b", "a/b", "../x", "-a.b", "a b", "é.org", &"a".repeat(254)] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn entry_names_are_bytes() {
        assert!(EntryName::new(b"\xff\n'".to_vec()).is_ok());
        assert!(EntryName::new(vec![b'x'; 255]).is_ok());
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0", &[b'x'; 256]] {
            assert!(EntryName::new(bad).is_err());
        }
    }

    #[test]
    fn paths_are_taken_apart_and_joined() {
        let path = RepositoryPath::new(b"a/b/").expect("two names");
        assert_eq!(path.as_bytes(), b"/a/b");
        let (directory, name) = path.split_last().expect("not the root");
        assert_eq!((directory.as_bytes(), name.as_bytes()), (&b"/a"[..], &b"b"[..]));
        assert_eq!(directory.join(&name), path);
        assert!(
            path.starts_with(&directory)
                && path.starts_with(&path)
                && path.starts_with(&RepositoryPath::ROOT)
        );
        assert!(!RepositoryPath::new(b"/ab").expect("a name").starts_with(&directory));
        assert_eq!(RepositoryPath::new(b"/").expect("the root"), RepositoryPath::ROOT);
        assert_eq!(RepositoryPath::ROOT.components().count(), 0);
        for bad in [&b"/a//b"[..], b"/a/../b", b"./a", b"//"] {
            assert!(RepositoryPath::new(bad).is_err());
        }
    }
}
