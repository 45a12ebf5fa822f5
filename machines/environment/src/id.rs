//! The id of an environment, and the beginnings of ids that people type.

use std::fmt;
use std::str::FromStr;

use crate::sha256::{Sha256, Sha256Error};

/// Fewer digits name nothing.
const FEWEST_DIGITS: usize = 6;

/// The digest of an environment's canonical form. Text form: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId(Sha256);

impl EnvironmentId {
    pub(crate) fn of_canonical(text: &str) -> Self {
        Self(Sha256::of(text.as_bytes()))
    }

    /// The 64 digits alone: the name of files that belong to the environment.
    #[must_use]
    pub fn digits(&self) -> String {
        self.0.digits()
    }

    /// The 64 digits, read back from a file's name.
    ///
    /// # Errors
    /// [`IdError`] if these are not 64 lower-case hexadecimal digits.
    pub fn from_digits(digits: &str) -> Result<Self, IdError> {
        format!("sha256:{digits}").parse()
    }

    /// As many digits as people need to tell a few environments apart.
    #[must_use]
    pub fn short(&self) -> String {
        let mut digits = self.digits();
        digits.truncate(12);
        digits
    }
}

impl FromStr for EnvironmentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self).map_err(IdError::Malformed)
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The first digits of an id, at least six, with or without `sha256:` before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// Whether an id begins so.
    #[must_use]
    pub fn matches(&self, id: &EnvironmentId) -> bool {
        id.digits().starts_with(&self.0)
    }
}

impl FromStr for IdPrefix {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if (FEWEST_DIGITS..=64).contains(&digits.len()) && digits.bytes().all(is_digit) {
            Ok(Self(digits.to_owned()))
        } else {
            Err(IdError::Prefix { text: text.chars().take(80).collect() })
        }
    }
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a whole id.
    #[error("not the id of an environment")]
    Malformed(#[source] Sha256Error),
    /// Not the beginning of one.
    #[error(
        "'{text}' is not the beginning of an id: write at least {FEWEST_DIGITS} of its hexadecimal digits"
    )]
    Prefix {
        /// The text, shortened.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_match_what_begins_so() {
        let id = EnvironmentId::of_canonical("abc");
        assert_eq!(EnvironmentId::from_digits(&id.digits()), Ok(id));
        let prefix = |text: &str| text.parse::<IdPrefix>();
        assert!(prefix("ba7816").expect("six digits").matches(&id));
        assert!(prefix(&id.to_string()).expect("a whole id").matches(&id));
        assert!(!prefix("ba7817").expect("six digits").matches(&id));
        for bad in ["", "ba781", "BA7816", "analysis", &"a".repeat(65)] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }
}
