//! Names of machines and of their snapshots: they become directories, host names and tags, so little is allowed in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SpecError;

/// The longest label of a host name.
const LONGEST: usize = 63;

/// The name of a machine: a label of a host name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineName(String);

impl MachineName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that comes nearest to some words: what is not allowed becomes a dash.
    pub fn near(words: &str) -> Option<Self> {
        let mut name = String::new();
        for character in words.chars().map(|character| character.to_ascii_lowercase()) {
            if name.len() >= 40 {
                break;
            }
            match character {
                'a'..='z' | '0'..='9' => name.push(character),
                _ if name.is_empty() || name.ends_with('-') => {}
                _ => name.push('-'),
            }
        }
        name.trim_end_matches('-').parse().ok()
    }
}

impl FromStr for MachineName {
    type Err = SpecError;

    fn from_str(name: &str) -> Result<Self, SpecError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let ends = !name.starts_with('-') && !name.ends_with('-');
        if name.is_empty() || name.len() > LONGEST || !ends || !name.bytes().all(allowed) {
            return Err(SpecError::Name {
                name: shown(name),
                what: "machine",
                rule: "up to 63 letters a-z, digits and dashes, without a dash at either end",
            });
        }
        Ok(Self(name.to_owned()))
    }
}

/// The name of a state of a machine that was kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotName(String);

impl SnapshotName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotName {
    type Err = SpecError;

    fn from_str(name: &str) -> Result<Self, SpecError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // Those of digits alone are taken for numbers of snapshots by some programs.
        let number = name.bytes().all(|byte| byte.is_ascii_digit());
        if number || name.starts_with(['-', '.']) || name.len() > LONGEST || !name.bytes().all(allowed) {
            return Err(SpecError::Name {
                name: shown(name),
                what: "snapshot",
                rule: "up to 63 letters, digits, dashes, dots and underscores, beginning with a letter",
            });
        }
        Ok(Self(name.to_owned()))
    }
}

/// Foreign words in a message: no control characters, and not too many.
fn shown(words: &str) -> String {
    words.chars().take(80).flat_map(char::escape_default).collect()
}

macro_rules! text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = SpecError;

            fn try_from(text: String) -> Result<Self, SpecError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

text!(MachineName);
text!(SnapshotName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_elsewhere_are_refused() {
        for name in
            ["", ".", "..", "../x", "a/b", "a,b", "a b", "-a", "a-", "A", "a\0", "a\n", "ä", "a=b", "."]
        {
            assert!(name.parse::<MachineName>().is_err(), "{name:?}");
        }
        assert!("x".repeat(64).parse::<MachineName>().is_err());
        for name in ["a", "node-17", "0"] {
            assert_eq!(name.parse::<MachineName>().expect("because it is a name").as_str(), name);
        }
        for name in ["", "1", "12", "-x", ".x", "a b", "a'b", "../x", "a\n"] {
            assert!(name.parse::<SnapshotName>().is_err(), "{name:?}");
        }
        assert!("before.update_2".parse::<SnapshotName>().is_ok());
    }

    #[test]
    fn a_refused_name_is_shown_without_its_control_characters() {
        let error = "a\x1b[2J".parse::<MachineName>().expect_err("because of the escape");
        assert!(!error.to_string().contains('\x1b'), "{error}");
    }

    #[test]
    fn names_are_made_of_file_names() {
        let near = |words: &str| MachineName::near(words).map(String::from);
        assert_eq!(near("Debian 12 (cloud).qcow2").as_deref(), Some("debian-12-cloud-qcow2"));
        assert_eq!(near("../..//"), None);
        assert_eq!(near(&"x".repeat(500)).map(|name| name.len()), Some(40));
    }
}
