//! What accounts are called.

use std::fmt;
use std::str::FromStr;

/// At most this many characters.
const LONGEST: usize = 64;

/// A name: letters and digits of ASCII in lower case, `.`, `-`, `_` and `@`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(String);

/// Text that can't be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 2 to 64 letters a–z, digits, '.', '-', '_' or '@', and begins with a letter or digit")]
pub struct AccountNameError;

impl AccountName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What can be made of a name from elsewhere.
    pub fn near(text: &str) -> Option<Self> {
        let kept = text.to_lowercase();
        let kept: String = kept.chars().filter(|c| is_allowed(*c)).take(LONGEST - 8).collect();
        kept.trim_start_matches(['.', '-', '_', '@']).parse().ok()
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | '@')
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        let text = text.trim().to_ascii_lowercase();
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        let sound = first && (2..=LONGEST).contains(&text.len()) && text.chars().all(is_allowed);
        if sound { Ok(Self(text)) } else { Err(AccountNameError) }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!("Ada.L@cern".parse::<AccountName>().unwrap().as_str(), "ada.l@cern");
        for text in ["", "a", ".ab", "a b", "<b>", "ä1", &"a".repeat(65)] {
            assert!(text.parse::<AccountName>().is_err(), "{text}");
        }
        assert_eq!(AccountName::near("Zoë Müller").unwrap().as_str(), "zomller");
        assert_eq!(AccountName::near("☃"), None);
    }
}
