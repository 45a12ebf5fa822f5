//! Names of packages, versions, architectures and indexes: text that was checked for characters that could end a line,
//! leave a directory or become an option of a program.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that can't be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' cannot be {what}: {allowed}", text.escape_debug())]
pub struct NameError {
    text: String,
    what: &'static str,
    allowed: &'static str,
}

/// Longer ones are not in use, and would not fit into a file name.
const LONGEST: usize = 200;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $first:expr, $rest:expr, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the characters and the length.
            ///
            /// # Errors
            /// If a character is not allowed in it, or it is empty or too long.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if Self::is_valid(&text) { Ok(Self(text)) } else { Err(NameError { text, what: $what, allowed: $allowed }) }
            }

            fn is_valid(text: &str) -> bool {
                let (first, rest): (fn(u8) -> bool, fn(u8) -> bool) = ($first, $rest);
                text.len() <= LONGEST
                    && text.bytes().next().is_some_and(first)
                    && text.bytes().all(rest)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// The name of a package, as Debian and RPM allow it: `libstdc++6`, `NetworkManager`.
    PackageName,
    "the name of a package",
    |byte| byte.is_ascii_alphanumeric() || byte == b'_',
    |byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte),
    "letters, digits, '+', '-', '.' and '_' are allowed, and a letter or a digit begins it"
);

name!(
    /// A version as its family writes it: `[epoch:]version[-release]`.
    PackageVersion,
    "a version of a package",
    |byte| byte.is_ascii_alphanumeric(),
    |byte| byte.is_ascii_alphanumeric() || b"+-._~^:%".contains(&byte),
    "letters, digits and any of '+-._~^:%' are allowed, and a letter or a digit begins it"
);

name!(
    /// What a package runs on: `amd64`, `x86_64`, `all`, `noarch`.
    Architecture,
    "an architecture",
    |byte| byte.is_ascii_alphanumeric(),
    |byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte),
    "letters, digits, '-' and '_' are allowed, and a letter or a digit begins it"
);

name!(
    /// What a list and a lock call an index: `bookworm-security`, `baseos`.
    IndexId,
    "the id of an index",
    |byte| byte.is_ascii_alphanumeric(),
    |byte| byte.is_ascii_alphanumeric() || b"-_.+:".contains(&byte),
    "letters, digits and any of '-_.+:' are allowed, and a letter or a digit begins it"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_are_names() {
        for name in ["libstdc++6", "0ad", "NetworkManager", "java-1.8.0-openjdk", "libX11", "python3.11"] {
            assert!(PackageName::new(name).is_ok(), "{name}");
        }
        for version in ["1:2.3.4~rc1+dfsg-5+b1", "0:1.0^20240101git1a2b-3.el9_4", "9"] {
            assert!(PackageVersion::new(version).is_ok(), "{version}");
        }
    }

    #[test]
    fn what_could_do_harm_is_none() {
        let long = "a".repeat(201);
        for name in ["", "-o", "../x", "a/b", "a b", "a\nb", ".a", "ä", &long] {
            assert!(PackageName::new(name).is_err(), "{name}");
            assert!(PackageVersion::new(name).is_err(), "{name}");
            assert!(Architecture::new(name).is_err(), "{name}");
            assert!(IndexId::new(name).is_err(), "{name}");
        }
        let told = PackageName::new("a\nb").expect_err("because of the line's end").to_string();
        assert!(told.starts_with("'a\\nb' cannot be the name of a package: "), "{told}");
    }
}
