//! Object names: a content hash with the letter that tells what kind of object it is.

use std::fmt;
use std::str::FromStr;

use crate::hash::{ContentHash, HashError};

/// What an object holds, written as one letter behind its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// The whole content of a file; no letter.
    File,
    /// A part of a file; `P`.
    Chunk,
    /// A catalog; `C`.
    Catalog,
    /// A tag database; `H`.
    History,
    /// A publisher's X.509 certificate; `X`.
    Certificate,
    /// The repository's descriptive JSON; `M`.
    MetaInfo,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::File, Self::Chunk, Self::Catalog, Self::History, Self::Certificate, Self::MetaInfo];

    /// The letter, empty for whole files.
    pub fn letter(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Chunk => "P",
            Self::Catalog => "C",
            Self::History => "H",
            Self::Certificate => "X",
            Self::MetaInfo => "M",
        }
    }
}

/// The name of an object in a store: hash and kind. The same bytes may be stored once per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The hash of the stored bytes.
    pub hash: ContentHash,
    /// What the object holds.
    pub kind: ObjectKind,
}

impl ObjectName {
    /// Names the object of `kind` with this hash.
    pub fn new(hash: ContentHash, kind: ObjectKind) -> Self {
        Self { hash, kind }
    }

    /// The path below `data/`: two digits, `/`, the other digits, the algorithm's suffix and the kind's letter.
    pub fn path(&self) -> String {
        let text = self.to_string();
        format!("{}/{}", &text[..2], &text[2..])
    }

    /// The inverse of [`Self::path`].
    ///
    /// # Errors
    /// [`ObjectNameError`] if the path is not exactly of that form.
    pub fn from_path(path: &str) -> Result<Self, ObjectNameError> {
        let malformed = || ObjectNameError { text: path.chars().take(80).collect(), source: None };
        let (directory, rest) = path.split_once('/').ok_or_else(malformed)?;
        if directory.len() != 2 {
            return Err(malformed());
        }
        format!("{directory}{rest}").parse()
    }
}

impl FromStr for ObjectName {
    type Err = ObjectNameError;

    fn from_str(text: &str) -> Result<Self, ObjectNameError> {
        let kind = ObjectKind::ALL
            .into_iter()
            .find(|kind| !kind.letter().is_empty() && text.ends_with(kind.letter()))
            .unwrap_or(ObjectKind::File);
        let hash = text[..text.len() - kind.letter().len()].parse().map_err(|source| ObjectNameError {
            text: text.chars().take(80).collect(),
            source: Some(source),
        })?;
        Ok(Self { hash, kind })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.hash, self.kind.letter())
    }
}

/// A text that names no object.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' does not name an object")]
pub struct ObjectNameError {
    text: String,
    #[source]
    source: Option<HashError>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn paths_are_read_back() {
        for algorithm in Algorithm::ALL {
            for kind in ObjectKind::ALL {
                let name = ObjectName::new(algorithm.hash(b"x"), kind);
                assert_eq!(ObjectName::from_path(&name.path()), Ok(name));
            }
        }
    }

    #[test]
    fn the_letter_follows_the_suffix() {
        let name = ObjectName::new(Algorithm::Rmd160.hash(b"abc"), ObjectKind::Catalog);
        assert_eq!(name.path(), "8e/b208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160C");
    }

    #[test]
    fn other_paths_are_refused() {
        for bad in ["", "a/b", "8eb/208f7e05d987a9b044a8e98c6b087f15a0bfc", "../etc/passwd", "aa/", "é/x"] {
            assert!(ObjectName::from_path(bad).is_err(), "{bad}");
        }
    }
}
