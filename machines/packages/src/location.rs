//! Where packages are: the address of a mirror, and paths below it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The address of a mirror: `https:`, `http:` or `file:`, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorUrl(String);

/// The path of a file relative to its mirror, or of an index file relative to its suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagePath(String);

/// Text that is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Not an address that packages can be fetched from.
    #[error("'{}' is not the address of a mirror: https://…, http://… or file:///…", .0.escape_debug())]
    Mirror(String),
    /// Not a path that stays below its mirror.
    #[error("'{}' is not a path below a mirror", .0.escape_debug())]
    Path(String),
}

/// Longer ones are a mistake or worse.
const LONGEST: usize = 2000;

impl MirrorUrl {
    /// Checks the scheme and the characters.
    ///
    /// # Errors
    /// If packages cannot be fetched from there.
    pub fn new(text: impl Into<String>) -> Result<Self, LocationError> {
        let text: String = text.into();
        let known = |rest: Option<&str>| rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let trimmed = text.trim_end_matches('/');
        let valid = trimmed.len() <= LONGEST
            && trimmed.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte))
            && (known(trimmed.strip_prefix("https://"))
                || known(trimmed.strip_prefix("http://"))
                || local(trimmed).is_some());
        if valid { Ok(Self(trimmed.to_owned())) } else { Err(LocationError::Mirror(text)) }
    }

    /// The address of a directory of this machine.
    ///
    /// # Errors
    /// If the path isn't absolute, or has characters that an address cannot have.
    pub fn of_directory(path: &Path) -> Result<Self, LocationError> {
        Self::new(format!("file://{}", path.display()))
    }

    /// The directory of this machine that it is, of a `file:` address.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        local(&self.0).map(PathBuf::from)
    }

    /// The address of a file below it.
    #[must_use]
    pub fn join(&self, path: &PackagePath) -> String {
        // What an address can't have in a path as it is; '+' and '~' can.
        let mut address = format!("{}/", self.0);
        for byte in path.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"/-._~+:@!$&'(),;=*".contains(&byte) {
                address.push(char::from(byte));
            } else {
                address.push_str(&format!("%{byte:02X}"));
            }
        }
        address
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The path of a `file:` address; both `file:/path` and `file:///path` are in use.
fn local(text: &str) -> Option<&str> {
    let path = text.strip_prefix("file:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (path.starts_with('/') && !path.starts_with("//") && !path.contains('%')).then_some(path)
}

impl PackagePath {
    /// Checks that it stays where it begins; a `./` in front is left out.
    ///
    /// # Errors
    /// If it is absolute, empty, leads upwards or has characters that no path of a mirror has.
    pub fn new(text: impl Into<String>) -> Result<Self, LocationError> {
        let text: String = text.into();
        let path = text.strip_prefix("./").unwrap_or(&text);
        let valid = path.len() <= LONGEST
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && path.chars().all(|character| !character.is_control() && character != '\\');
        if valid { Ok(Self(path.to_owned())) } else { Err(LocationError::Path(text)) }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = LocationError;

            fn from_str(text: &str) -> Result<Self, LocationError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = LocationError;

            fn try_from(text: String) -> Result<Self, LocationError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(location: $name) -> Self {
                location.0
            }
        }
    };
}

text!(MirrorUrl);
text!(PackagePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_have_a_scheme_and_no_slash_behind() {
        let mirror = |text: &str| MirrorUrl::new(text).map(|mirror| mirror.to_string());
        assert_eq!(
            mirror("http://mirror.example.org/debian/").as_deref(),
            Ok("http://mirror.example.org/debian")
        );
        assert_eq!(MirrorUrl::new("file:/srv/x").map(|url| url.directory()), Ok(Some("/srv/x".into())));
        assert_eq!(MirrorUrl::new("file:///srv/x").map(|url| url.directory()), Ok(Some("/srv/x".into())));
        for wrong in [
            "ftp://h/x",
            "http://",
            "http:///x",
            "file:x",
            "/srv",
            "http://h/a b",
            "http://h/\n",
            "file://h/x",
        ] {
            assert!(mirror(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_stay_below_their_mirror() {
        let path = |text: &str| PackagePath::new(text).map(|path| path.to_string());
        assert_eq!(path("./a_1.deb").as_deref(), Ok("a_1.deb"));
        for wrong in ["", "/a", "a/../b", "a//b", "a/", "a\\b", "a\nb", "..", "././a"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_escape_what_they_must() {
        let mirror = MirrorUrl::new("http://h/x").expect("because it is one");
        let path = PackagePath::new("pool/g++ 1~2%3a^ü").expect("because it is one");
        assert_eq!(mirror.join(&path), "http://h/x/pool/g++%201~2%253a%5E%C3%BC");
    }
}
