//! What accounts may do: each role may do all that the ones before it may.

use std::fmt;
use std::str::FromStr;

/// A role.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks at what is public and what was shared.
    Reader,
    /// Has contexts, pairs machines.
    User,
    /// Looks after the machines of all.
    Operator,
    /// Looks after accounts, and sees the audit log.
    Administrator,
}

/// Text that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of reader, user, operator, administrator")]
pub struct RoleError(String);

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Reader, Self::User, Self::Operator, Self::Administrator];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::User => "user",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }

    /// What it is for, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Reader => "looks at what is public and what was shared",
            Self::User => "has contexts and pairs machines",
            Self::Operator => "looks after everybody's machines",
            Self::Administrator => "looks after accounts and sees the audit log",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| RoleError(text.chars().take(40).collect()))
    }
}
