//! Accounts: who may sign in, and as what.

mod administration;
mod name;
mod password;
mod role;
mod sign_up;

pub use administration::AccountChange;
pub use name::{AccountName, AccountNameError};
pub use password::{Password, PasswordError, PasswordHash};
pub use role::{Role, RoleError};

use crate::ids::AccountId;

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which one.
    pub id: AccountId,
    /// What they are called, and sign in as.
    pub name: AccountName,
    /// What they may do.
    pub role: Role,
    /// Whether they are kept out.
    pub disabled: bool,
    /// Since when, milliseconds of Unix.
    pub created: i64,
}

/// Who may make an account by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUpPolicy {
    /// Everybody.
    Open,
    /// Whoever has an invitation.
    #[default]
    Invitation,
    /// Nobody; an administrator's code for the first account counts nonetheless.
    Closed,
}

impl std::str::FromStr for SignUpPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "invitation" => Ok(Self::Invitation),
            "closed" => Ok(Self::Closed),
            other => Err(format!("{other:?} is none of open, invitation, closed")),
        }
    }
}
